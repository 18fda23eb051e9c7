package compare

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode"

	"github.com/python-wheel-build/axle/internal/archive"
)

// told demands that what is said fits on a terminal.
func told(t *testing.T, lines ...string) {
	t.Helper()
	if len(lines) > maxLines+2 {
		t.Errorf("%d lines", len(lines))
	}
	for _, l := range lines {
		if len(l) > 4<<10 || strings.ContainsFunc(l, func(c rune) bool { return !unicode.IsPrint(c) }) {
			t.Errorf("a line of %d bytes: %q", len(l), l)
		}
	}
}

// Whatever two wheels hold, what is said of them is short and printable, and nothing is said of equal ones alone.
func FuzzWheels(f *testing.F) {
	f.Add("a.py", []byte("X = 1\n"), []byte("X = 2\n"))
	f.Add("__pycache__/a.pyc", []byte("\xa7\r\r\n\x00\x00\x00\x00"), []byte("\xa7\r\r\n\x00\x00\x00\x01"))
	f.Add("a\u202eb.so", object(1), object(2))
	f.Add("demo-1.0.dist-info/RECORD", []byte("a\nb\n"), []byte("b\na\n"))
	f.Add("x", []byte("caf\xe9"), []byte("caf\xc3"))
	f.Fuzz(func(t *testing.T, name string, a, b []byte) {
		if strings.HasSuffix(name, "/") {
			return
		}
		first, second := pack(t, item{name: name, content: string(a)}), pack(t, item{name: name, content: string(b)})
		lines, err := Wheels(t.Context(), first, second)
		var bad *archive.Error
		if err != nil {
			if !errors.As(err, &bad) {
				t.Errorf("not the wheel's fault: %v", err)
			}
			return
		}
		told(t, lines...)
		if bytes.Equal(a, b) != (len(lines) == 0) {
			t.Errorf("%q of %q and %q", lines, a, b)
		}
	})
}

// The same of the archives themselves.
func FuzzArchives(f *testing.F) {
	data := func(items ...item) []byte {
		s := pack(f, items...)
		b, err := io.ReadAll(io.NewSectionReader(s.R, 0, s.Size))
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	f.Add(data(item{name: "a.py", content: "X"}, item{name: "b.py"}), data(item{name: "b.py"}, item{name: "a.py", content: "X", stored: true}))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		lines, err := Wheels(t.Context(), side(a), side(b))
		var bad *archive.Error
		if err != nil {
			if !errors.As(err, &bad) {
				t.Errorf("not the wheel's fault: %v", err)
			}
			return
		}
		told(t, lines...)
		if bytes.Equal(a, b) != (len(lines) == 0) {
			t.Errorf("%q", lines)
		}
	})
}

// object is a small object with one section of content.
func object(content byte) []byte {
	var b bytes.Buffer
	h := elf.Header64{Shoff: 64, Shnum: 3, Shentsize: 64, Shstrndx: 2, Ehsize: 64}
	copy(h.Ident[:], elf.ELFMAG+"\x02\x01\x01")
	for _, part := range []any{h, elf.Section64{}, elf.Section64{Name: 1, Type: 1, Off: 256, Size: 16}, elf.Section64{Name: 7, Type: 3, Off: 272, Size: 16},
		[16]byte{0: content, 5: 'w', 'o', 'r', 'd', 's', ' ', content}, [16]byte{1: '.', 't', 'e', 'x', 't', 0, '.', 's'}} {
		if err := binary.Write(&b, binary.LittleEndian, part); err != nil {
			panic(err)
		}
	}
	return b.Bytes()
}

// Objects are taken apart without a panic and in bounded memory, whatever their tables say.
func FuzzELF(f *testing.F) {
	f.Add(object(1), object(2))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		told(t, explainELF(a, b, 0))
		for _, s := range [][]byte{a, b} {
			if all, err := sections(s); err == nil && len(all) > maxSections {
				t.Errorf("%d sections", len(all))
			}
		}
	})
}
