package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// Makers of archives, good and bad.

type item = tar.Header

// text is a file whose content tarOf takes from Gname, a field that nothing here needs.
func text(name, content string) item {
	return item{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content)), Gname: content}
}

func dir(name string, mode int64) item { return item{Typeflag: tar.TypeDir, Name: name, Mode: mode} }
func link(name, to string) item        { return item{Typeflag: tar.TypeSymlink, Name: name, Linkname: to} }
func hard(name, to string) item        { return item{Typeflag: tar.TypeLink, Name: name, Linkname: to} }

func tarOf(t testing.TB, items ...item) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range items {
		content := h.Gname
		h.Gname = ""
		if h.ModTime.IsZero() && h.Typeflag != tar.TypeXGlobalHeader {
			h.ModTime = time.Unix(1e9, 0)
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(h.Name, err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(h.Name, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gz(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type zipItem struct {
	name, content string
	mode          fs.FileMode
	change        func(*zip.FileHeader)
}

func zipOf(t testing.TB, items ...zipItem) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, i := range items {
		h := &zip.FileHeader{Name: i.name, Method: zip.Deflate, Modified: time.Unix(1e9, 0)}
		if i.mode == 0 {
			i.mode = 0o644
		}
		h.SetMode(i.mode)
		if i.change != nil {
			i.change(h)
		}
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, i.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func open(t testing.TB, data []byte) *os.File {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.Write(data); err != nil { // and leaves the position at the end, which must not matter
		t.Fatal(err)
	}
	return f
}

// sparse is a tar of one GNU sparse file of format 1.0 that holds no data; Go's writer makes none.
func sparse(t testing.TB, size int) []byte {
	t.Helper()
	var pax string
	for _, kv := range []string{"major=1", "minor=0", "name=top/hole", fmt.Sprintf("realsize=%d", size)} {
		kv = " GNU.sparse." + kv + "\n"
		pax += fmt.Sprint(len(kv)+2) + kv
	}
	holes := fmt.Sprintf("1\n%d\n0\n", size)
	return slices.Concat(block("pax", 'x', pax), block("top/hole", '0', holes+strings.Repeat("\x00", 512-len(holes))), make([]byte, 1024))
}

// block is a raw header of a ustar and its content, padded.
func block(name string, kind byte, content string) []byte {
	b := make([]byte, 512, 1024)
	copy(b, name)
	copy(b[100:], "0000644\x000000000\x000000000\x00")
	copy(b[124:], fmt.Sprintf("%011o\x0000000000000\x00", len(content)))
	b[156] = kind
	copy(b[257:], "ustar\x0000")
	b = append(b, content...)
	b = append(b, make([]byte, (512-len(content)%512)%512)...)
	resum(b)
	return b
}

// resum sets right the checksums of what looks like headers in a tar.
func resum(b []byte) {
	for ; len(b) >= 512; b = b[512:] {
		if string(b[257:262]) != "ustar" {
			continue
		}
		copy(b[148:], "        ")
		sum := 0
		for _, c := range b[:512] {
			sum += int(c)
		}
		copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	}
}
