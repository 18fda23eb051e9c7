package archive

import (
	"fmt"
	"io"
	"os"
)

// ReadFile gives a regular file of an unpacked tree, which a stranger made: links are followed as far as root allows, and a file of more than
// limit bytes is an error, whatever size it says it has. A name that is not there is fs.ErrNotExist.
func ReadFile(root *os.Root, name string, limit int64) ([]byte, error) {
	info, err := root.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for ever
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes", name, limit)
	}
	return b, nil
}
