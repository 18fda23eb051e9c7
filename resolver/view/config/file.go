package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// MaxFile bounds what a wrong path can do.
const MaxFile = 16 << 20

// Unreadable is the error of a file that can't be read, under the name that a person knows it by.
func Unreadable(name string, err error) error {
	if cause := (*fs.PathError)(nil); errors.As(err, &cause) {
		// os.Root's own words for a link that leaves it; it has no error value for that.
		if strings.Contains(cause.Err.Error(), "escapes") {
			return fmt.Errorf("%s: a link that leaves the settings folder: copy the file there instead", name)
		}
		err = cause.Err
	}
	return fmt.Errorf("%s: %w", name, err)
}

// ReadFile reads one file that a person named, of at most MaxFile bytes.
func ReadFile(name string) ([]byte, error) {
	info, err := os.Stat(name) // first: opening a pipe would wait for its writer
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a file")
	}
	if err != nil {
		return nil, Unreadable(name, err)
	}
	b, err := ReadBounded(os.DirFS(filepath.Dir(name)), filepath.Base(name), MaxFile)
	if err != nil {
		return nil, Unreadable(name, err)
	}
	return b, nil
}

// ReadBounded reads a file of at most limit bytes.
func ReadBounded(fsys fs.FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("larger than %d MiB", limit>>20)
	}
	return b, err
}
