// Package disk keeps a store's objects as files: the key is the path below the store's folder. Create is a temporary file, fsync,
// link(2), fsync of the folder: a file has its name only once its bytes are safe, and a name is given once. Several processes of
// one machine may share the folder.
//
//	<dir>/<key>
//	<dir>/tmp/put-*     files that are being written, each under flock(2); the next Open removes those of dead processes
package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/python-wheel-build/axle/cas"
)

// Backend is a folder of files. It implements cas.Backend and its optional File.
type Backend struct {
	dir  string
	link func(oldname, newname string) error // os.Link, but for tests

	mu     sync.Mutex          // guards synced, for a look or an entry
	synced map[string]struct{} // folders whose own names are known to be durable
}

var _ cas.Backend = (*Backend)(nil)

// maxSynced bounds the memory; forgetting costs an fsync per folder.
const maxSynced = 100_000

// tmp is the one name at the top that is no key.
const tmp = "tmp"

// Open uses dir, which is made where missing, and tries whether its file system can do what is needed.
func Open(dir string) (*Backend, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	b := &Backend{dir: dir, link: os.Link, synced: map[string]struct{}{}}
	if err := b.prepare(); err != nil {
		return nil, fmt.Errorf("opening the store folder: %w", err)
	}
	return b, nil
}

func (b *Backend) prepare() error {
	if err := os.MkdirAll(filepath.Join(b.dir, tmp), 0o777); err != nil {
		return err
	}
	if err := errors.Join(syncFolder(filepath.Dir(b.dir)), syncFolder(b.dir)); err != nil {
		return err
	}
	if err := b.reap(); err != nil {
		return err
	}
	f, err := b.temp()
	if err != nil {
		return err
	}
	defer discard(f)
	probe := f.Name() + "-link"
	if err := b.link(f.Name(), probe); err != nil {
		return b.linkError(err)
	}
	return os.Remove(probe)
}

// path is where key lies.
func (b *Backend) path(key string) (string, error) {
	if err := cas.CheckKey(key); err != nil {
		return "", err
	}
	if key == tmp || strings.HasPrefix(key, tmp+"/") {
		return "", fmt.Errorf("key %q: %s/ is for temporary files", key, tmp)
	}
	return filepath.Join(b.dir, filepath.FromSlash(key)), nil
}

// File opens the object at key for reading. The error is fs.ErrNotExist when there is none.
func (b *Backend) File(key string) (*os.File, error) {
	f, _, err := b.open(key)
	return f, err
}

func (b *Backend) open(key string) (*os.File, cas.Info, error) {
	path, err := b.path(key)
	if err != nil {
		return nil, cas.Info{}, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, cas.Info{}, absent(err)
	}
	stat, err := f.Stat()
	if err == nil {
		err = regular(path, stat)
	}
	if err != nil {
		f.Close()
		return nil, cas.Info{}, err
	}
	return f, cas.Info{Key: key, Size: stat.Size(), ModTime: stat.ModTime()}, nil
}

// absent says of a path below an object that it is not there.
func absent(err error) error {
	if errors.Is(err, unix.ENOTDIR) {
		return fmt.Errorf("%w (%w)", fs.ErrNotExist, err)
	}
	return err
}

// regular says of a folder that it is no object.
func regular(path string, stat fs.FileInfo) error {
	if !stat.Mode().IsRegular() {
		return &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	return nil
}

// Open implements cas.Backend.
func (b *Backend) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, cas.Info, error) {
	if err := ctx.Err(); err != nil {
		return nil, cas.Info{}, err
	}
	if off < 0 {
		return nil, cas.Info{}, fmt.Errorf("opening %s: offset %d", key, off)
	}
	f, info, err := b.open(key)
	if err != nil {
		return nil, cas.Info{}, err
	}
	if n < 0 || n > info.Size-off {
		n = max(0, info.Size-off)
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(f, off, n), f}, info, nil
}

// Stat implements cas.Backend.
func (b *Backend) Stat(ctx context.Context, key string) (cas.Info, error) {
	if err := ctx.Err(); err != nil {
		return cas.Info{}, err
	}
	path, err := b.path(key)
	if err != nil {
		return cas.Info{}, err
	}
	stat, err := os.Stat(path)
	if err != nil {
		return cas.Info{}, absent(err)
	}
	if err := regular(path, stat); err != nil {
		return cas.Info{}, err
	}
	return cas.Info{Key: key, Size: stat.Size(), ModTime: stat.ModTime()}, nil
}

// Remove implements cas.Backend. It leaves the folders.
func (b *Backend) Remove(ctx context.Context, key string) error {
	path, err := b.path(key)
	if err != nil {
		return err
	}
	if _, err := b.Stat(ctx, key); errors.Is(err, fs.ErrNotExist) { // os.Remove would take an empty folder
		return nil
	} else if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// Create implements cas.Backend.
func (b *Backend) Create(ctx context.Context, key string, size int64, r io.Reader) error {
	path, err := b.path(key)
	if err != nil {
		return err
	}
	f, err := b.temp()
	if err != nil {
		return fmt.Errorf("creating %s: %w", key, err)
	}
	defer discard(f)
	if err := fill(ctx, f, size, r); err != nil {
		return fmt.Errorf("creating %s: %w", key, err)
	}
	err = b.publish(f.Name(), path)
	if errors.Is(err, fs.ErrExist) {
		err = b.compare(f, path)
	}
	if err != nil {
		return fmt.Errorf("creating %s: %w", key, err)
	}
	// Also when another has given the name: he may not have come to this line yet.
	return syncFolder(filepath.Dir(path))
}

// fill writes exactly size bytes of r to f, durably.
func fill(ctx context.Context, f *os.File, size int64, r io.Reader) error {
	// One byte more than is wanted shows that there is more.
	n, err := io.Copy(f, io.LimitReader(&reader{ctx, r}, size+1))
	switch {
	case err != nil:
		return err
	case n > size:
		return fmt.Errorf("there are more than the %d bytes promised", size)
	case n < size:
		return fmt.Errorf("got %d bytes of %d: %w", n, size, io.ErrUnexpectedEOF)
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return ctx.Err() // the last point at which leaving leaves nothing
}

// publish gives the temporary file its name.
func (b *Backend) publish(temp, path string) error {
	for attempt := 0; ; attempt++ {
		if err := b.folder(filepath.Dir(path)); err != nil {
			return err
		}
		err := b.link(temp, path)
		switch {
		case errors.Is(err, fs.ErrNotExist) && attempt == 0: // somebody has removed a folder that we had made
			b.mu.Lock()
			clear(b.synced)
			b.mu.Unlock()
		case errors.Is(err, unix.ENOTDIR):
			return fmt.Errorf("%w: no key may be a folder of another", err)
		case errors.Is(err, fs.ErrExist):
			return err
		default:
			return b.linkError(err)
		}
	}
}

// linkError says what to do about a file system that can't link.
func (b *Backend) linkError(err error) error {
	switch {
	case errors.Is(err, unix.EXDEV):
		return fmt.Errorf("%w: all of %s must lie in one file system", err, b.dir)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.ENOTSUP), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EMLINK):
		return fmt.Errorf("%w: the file system of %s has no hard links, without which a name can't be given just once: "+
			"put the store on one that has them, as ext4, xfs, btrfs and zfs do", err, b.dir)
	}
	return err
}

// folder makes path, one of the store's folders, and sees to it that its name is durable.
func (b *Backend) folder(path string) error {
	if path == b.dir {
		return nil
	}
	b.mu.Lock()
	_, done := b.synced[path]
	b.mu.Unlock()
	if done {
		return nil
	}
	if err := b.folder(filepath.Dir(path)); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		if errors.Is(err, unix.ENOTDIR) {
			err = fmt.Errorf("%w: no key may be a folder of another", err)
		}
		return err
	}
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.synced) >= maxSynced {
		clear(b.synced)
	}
	b.synced[path] = struct{}{}
	return nil
}

// compare is nil when the file at path has the bytes of f, else fs.ErrExist.
func (b *Backend) compare(f *os.File, path string) error {
	other, err := os.Open(path)
	if err != nil {
		return err
	}
	defer other.Close()
	info, err := other.Stat()
	if err != nil {
		return err
	}
	if info.IsDir() {
		return fmt.Errorf("%w as a folder: no key may be a folder of another", &fs.PathError{Op: "link", Path: path, Err: fs.ErrExist})
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	same, err := equal(f, other)
	if err == nil && !same {
		err = &fs.PathError{Op: "link", Path: path, Err: fs.ErrExist}
	}
	return err
}

func equal(a, b io.Reader) (bool, error) {
	x, y := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, errA := io.ReadFull(a, x)
		m, errB := io.ReadFull(b, y)
		if !bytes.Equal(x[:n], y[:m]) {
			return false, nil
		}
		for _, err := range []error{errA, errB} {
			if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
				return false, err
			}
		}
		if errA != nil {
			return errB != nil, nil
		}
	}
}

// reader ends a long copy soon after its context ends.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// syncFolder makes the names in a folder durable.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
