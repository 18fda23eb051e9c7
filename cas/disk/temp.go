package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/python-wheel-build/axle/internal/scratch"
)

// temp makes a file under tmp/ that holds its own lock for as long as it is open.
func (b *Backend) temp() (*os.File, error) {
	for {
		name := filepath.Join(b.dir, tmp, fmt.Sprintf("put-%016x", rand.Uint64()))
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o444) // nobody else ever writes to an object
		if errors.Is(err, fs.ErrExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		owned, err := scratch.Lock(f)
		if err != nil {
			discard(f)
			return nil, err
		}
		if owned {
			return f, nil
		}
		f.Close() // reaped by another Open before we had the lock: make another
	}
}

// discard removes a file of temp. After a link its bytes stay under the other name.
func discard(f *os.File) {
	os.Remove(f.Name()) // before the lock goes, so that reap never sees a file that can still be linked; what stays is reaped later
	f.Close()
}

// reap removes the temporary files of processes that are gone.
func (b *Backend) reap() error {
	entries, err := os.ReadDir(filepath.Join(b.dir, tmp))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "put-") || !e.Type().IsRegular() {
			continue
		}
		name := filepath.Join(b.dir, tmp, e.Name())
		// For reading only: the file may be 0444 and this process not root.
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		owned, err := scratch.Lock(f)
		if err == nil && owned {
			err = os.Remove(name)
		}
		f.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
