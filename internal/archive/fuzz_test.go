package archive

import (
	"archive/tar"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/python-wheel-build/axle/internal/testindex"
)

// To run one: go test -fuzz '^FuzzUnpack$' -fuzztime 30s -fuzzminimizetime 20x (the default for the latter stalls).

// Whatever the bytes: nothing is written beside the folder, no link leads out of the top, and SdistFile tells what Unpack wrote.
func FuzzUnpack(f *testing.F) {
	f.Add(true, tarOf(f, dir("top", 0o755), text("top/a", "content"), hard("top/b", "top/a"), link("top/l", "a"), link("top/d/l", "../a"), text("top/a", "again")))
	f.Add(true, tarOf(f, link("top/x", "."), link("top/y", "x/../..")))
	f.Add(true, tarOf(f, text("top/"+strings.Repeat("n", 150), "long"), item{Typeflag: tar.TypeFifo, Name: "top/pipe"}))
	f.Add(true, sparse(f, 2000))
	f.Add(false, zipOf(f, zipItem{name: "top/a", content: "content"}, zipItem{name: `top\b`, content: "b"}, zipItem{name: "top/d/", mode: fs.ModeDir}, zipItem{name: "top/../x"}))
	_, sdist := testindex.Sdist(testindex.Spec{Name: "demo", Version: "1.0", Zip: true})
	f.Add(false, sdist)
	f.Fuzz(func(t *testing.T, isTar bool, data []byte) {
		filename := "demo-1.0.zip"
		if isTar {
			filename = "demo-1.0.tar"
			data = bytes.Clone(data)
			resum(data) // else nearly all that the fuzzer tries ends at a checksum
		}
		archive := open(t, data)
		outside := t.TempDir()
		into := filepath.Join(outside, "in")
		if err := os.Mkdir(into, 0o755); err != nil {
			t.Fatal(err)
		}
		limits := Limits{Files: 50, File: 1 << 16, Bytes: 1 << 17}
		top, err := Unpack(t.Context(), archive, filename, into, limits)
		if beside, _ := os.ReadDir(outside); len(beside) != 1 {
			t.Fatalf("written outside: %v", beside)
		}
		for name, what := range listing(t, into, true) {
			if !strings.HasPrefix(what, "link ") {
				continue
			}
			real, lerr := filepath.EvalSymlinks(filepath.Join(into, name))
			if errors.Is(lerr, fs.ErrNotExist) || lerr != nil && strings.Contains(lerr.Error(), "too many links") {
				continue
			}
			first, _, _ := strings.Cut(name, "/")
			if lerr == nil && real != filepath.Join(into, first) && !strings.HasPrefix(real, filepath.Join(into, first)+"/") {
				t.Errorf("link %q leads to %q", name, real)
			}
		}
		if err != nil {
			return
		}
		seen := 0
		for name := range listing(t, into, true) {
			_, below, ok := strings.Cut(name, "/")
			if info, err := os.Lstat(filepath.Join(into, name)); err != nil || !info.Mode().IsRegular() || !ok || seen == 5 {
				continue
			}
			seen++
			want, err := os.ReadFile(filepath.Join(into, name))
			if err != nil {
				t.Fatal(err)
			}
			got, err := SdistFile(archive, filename, below, limits)
			if (err != nil || !bytes.Equal(got, want)) && !strings.Contains(fmt.Sprint(err), "plain file is wanted") {
				t.Errorf("%s/%s: SdistFile %q, %v; Unpack %q", top, below, got, err, want)
			}
		}
	})
}

// A wheel that passes holds, file by file, what its RECORD says, and packing its files again passes too.
func FuzzWheel(f *testing.F) {
	filename, data := testindex.Wheel(demo())
	f.Add(data)
	f.Add(pack(f, read(f, data), zipItem{name: "demo.py"}))
	f.Add(pack(f, map[string]string{info + "RECORD": info + "RECORD,,\n"}))
	f.Fuzz(func(t *testing.T, data []byte) {
		limits := Limits{Files: 50, File: 1 << 16, Bytes: 1 << 17}
		if err := check(t, filename, data, limits); err != nil {
			var bad *Error
			if !errors.As(err, &bad) {
				t.Errorf("not the wheel's fault: %v", err)
			}
			return
		}
		files := read(t, data)
		maps.DeleteFunc(files, func(name, _ string) bool { return strings.HasSuffix(name, "/") })
		if err := check(t, filename, pack(t, files), limits); err != nil {
			t.Errorf("packed again: %v", err)
		}
	})
}

func FuzzWheelFile(f *testing.F) {
	f.Add([]byte("Wheel-Version: 1.0\nGenerator: g 1\nRoot-Is-Purelib: true\nTag: py2.py3-none-any\nBuild: 1\n"))
	f.Add([]byte("wheel-version:1.9\r\nROOT-IS-PURELIB: False\r\n\r\nTag: cp311-abi3-linux_x86_64\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		w, err := ParseWheelFile(b)
		if err != nil {
			return
		}
		text := fmt.Sprintf("Wheel-Version: %s\nGenerator: %s\nRoot-Is-Purelib: %t\nBuild: %s\n", w.Version, w.Generator, w.Purelib, w.Build)
		for _, tag := range w.Tags {
			text += "Tag: " + tag.String() + "\n"
		}
		again, err := ParseWheelFile([]byte(text))
		if err != nil || !reflect.DeepEqual(w, again) {
			t.Errorf("%+v, written and read again: %+v, %v", w, again, err)
		}
	})
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte("a.py,sha256=abc_-=,3\r\n\"b, \"\"c\"\"\",sha512=x,\nx/RECORD,,\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := parseRecord(b)
		if err != nil {
			return
		}
		var text bytes.Buffer
		w := csv.NewWriter(&text)
		for _, name := range slices.Sorted(maps.Keys(all)) {
			line := []string{name, "", ""}
			if r := all[name]; r.algorithm != "" {
				line[1] = r.algorithm + "=" + r.sum
			}
			if all[name].size >= 0 {
				line[2] = strconv.FormatInt(all[name].size, 10)
			}
			if err := w.Write(line); err != nil {
				t.Fatal(err)
			}
		}
		w.Flush()
		again, err := parseRecord(text.Bytes())
		if err != nil || !maps.Equal(all, again) {
			t.Errorf("%v, written and read again: %v, %v", all, again, err)
		}
	})
}
