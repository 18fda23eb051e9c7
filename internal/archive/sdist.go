package archive

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// SdistFile returns one file of a source archive's top folder ("PKG-INFO", "pyproject.toml"), or of an archive without one, without unpacking it: the bytes that
// Unpack would write there, at most 16 MiB. It refuses what Unpack refuses, as far as names, kinds and sizes go.
// fs.ErrNotExist when there is none; a link is an *Error, since what it leads to may come later.
//
// The whole archive is gone through, since a later entry of the same name counts.
func SdistFile(f *os.File, filename, name string, l Limits) ([]byte, error) {
	found := map[bool][]byte{} // by whether it lies in no folder; which one it is shows when all names are known
	top, err := walk(context.Background(), f, filename, l, func(e entry, open func() (io.Reader, error)) error {
		if _, below, _ := strings.Cut(e.name, "/"); below != name && e.name != name {
			return nil
		}
		if e.kind != file {
			return fmt.Errorf("it is %v, and a plain file is wanted", e.kind)
		}
		r, err := open()
		if err != nil {
			return err
		}
		found[e.name == name], err = readText(r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	text, there := found[top == "."]
	if !there {
		return nil, fmt.Errorf("archive %s: no %s: %w", filename, path.Join(top, name), fs.ErrNotExist)
	}
	return text, nil
}

// readText reads a file of bounded size into memory, to its end so that a checksum is checked.
func readText(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxText+1))
	if err == nil && len(b) > maxText {
		err = fmt.Errorf("more than %d bytes, too many for such a file", maxText)
	}
	return b, err
}
