package archive

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// Unpack writes the one top folder of a source archive into dir, which must be there, and returns its name. An archive whose files lie in
// no folder, or in several, gives ".": dir itself is the source then, as with pip. The kind is told by filename: .tar.gz, .tgz, .tar.bz2,
// .tar or .zip. f is read from its start whatever its position.
//
// Files become 0644 or 0755 (where anyone may execute), folders 0755, whatever the archive or the umask say; owners are dropped,
// times kept (not of links). A name that comes twice is the later one, as with tar, but a folder stays one. Links must be relative and
// stay below the top; they are cleaned of "." and of ".." after a name. Hard links become hard links. Devices, pipes and all else are
// refused. A zip's names are UTF-8, else code page 437.
//
// The top folder must not be there before (fs.ErrExist). After an error dir holds what was written so far, for the caller to remove.
// A cancelled ctx ends it within the next block.
func Unpack(ctx context.Context, f *os.File, filename, dir string, l Limits) (top string, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", fmt.Errorf("unpacking %s: %w", filename, err)
	}
	defer root.Close()
	times := map[string]time.Time{} // of folders, set when nothing more is put into them
	top, err = walk(ctx, f, filename, l, func(e entry, open func() (io.Reader, error)) error {
		switch e.kind {
		case folder:
			if !e.time.IsZero() {
				times[e.name] = e.time
			}
			if e.again {
				return nil
			}
			if err := root.Mkdir(e.name, 0o755); err != nil {
				return err
			}
			return root.Chmod(e.name, 0o755)
		case symlink:
			if err := replace(root, e); err != nil {
				return err
			}
			return root.Symlink(e.link, e.name)
		case hardlink:
			if err := replace(root, e); err != nil {
				return err
			}
			return root.Link(e.link, e.name)
		default:
			return writeFile(root, e, open)
		}
	})
	if err != nil {
		return "", fmt.Errorf("unpacking: %w", err)
	}
	names := make([]string, 0, len(times))
	for name := range times {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(b, a) }) // inner before outer
	for _, name := range names {
		if err := setTime(root, name, times[name]); err != nil {
			return "", fmt.Errorf("unpacking %s: %w", filename, err)
		}
	}
	return top, nil
}

// replace makes room for an entry that comes again. It removes and never truncates, since the old one may be a hard link.
func replace(root *os.Root, e entry) error {
	if !e.again {
		return nil
	}
	return root.Remove(e.name)
}

func writeFile(root *os.Root, e entry, open func() (io.Reader, error)) error {
	if err := replace(root, e); err != nil {
		return err
	}
	r, err := open()
	if err != nil {
		return err
	}
	w, err := root.OpenFile(e.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer w.Close() // a second Close after the one below is harmless
	if _, err := io.Copy(w, r); err != nil {
		return err
	}
	mode := os.FileMode(0o644)
	if e.exec {
		mode = 0o755
	}
	if err := w.Chmod(mode); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return setTime(root, e.name, e.time)
}

// setTime keeps the seconds that every file system and the zip of a built wheel's clock can hold: 1970 to 2106.
func setTime(root *os.Root, name string, t time.Time) error {
	t = time.Unix(min(max(t.Unix(), 0), 1<<32-1), 0)
	return root.Chtimes(name, t, t)
}
