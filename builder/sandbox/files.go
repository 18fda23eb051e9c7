package sandbox

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// own gives a tree to a user and his group.
func own(dir string, uid int) error {
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, uid)
	})
	if err != nil {
		return fmt.Errorf("sandbox: giving %s to user %d: %w", dir, uid, err)
	}
	return nil
}

// Remove removes a folder that a command may have filled, whatever modes, names and depth it has. Absent is success. No command
// may be running in it.
//
// A hostile tree can be deeper than there are file descriptors and longer than any
// path, and hold folders without any permission; so each sub-folder's folders are moved up into dir, until there are
// none.
func Remove(dir string) error {
	top, err := openDir(unix.AT_FDCWD, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return os.Remove(dir)
	}
	if err != nil {
		return fmt.Errorf("removing %s: %w", dir, err)
	}
	defer top.Close()
	moved := 0
	err = each(top, func(name string) error { return removeEntry(int(top.Fd()), name, &moved) })
	if err != nil {
		return fmt.Errorf("removing %s: %w", dir, err)
	}
	return os.Remove(dir)
}

// removeEntry removes one entry of the folder top. The folders in it are moved to top under new names.
func removeEntry(top int, name string, moved *int) error {
	err := unix.Unlinkat(top, name, 0)
	if err != unix.EISDIR {
		return gone(err)
	}
	sub, err := openDir(top, name)
	if err != nil {
		return err
	}
	defer sub.Close()
	fd := int(sub.Fd())
	err = each(sub, func(n string) error {
		if err := unix.Unlinkat(fd, n, 0); err != unix.EISDIR {
			return gone(err)
		}
		if err := unix.Fchmodat(fd, n, 0o700, 0); err != nil { // a folder moves only if it can be written
			return err
		}
		for {
			*moved++
			err := unix.Renameat(fd, n, top, ".axle-"+strconv.Itoa(*moved))
			switch err {
			case unix.EEXIST, unix.ENOTEMPTY, unix.ENOTDIR: // the tree has such a name too
			default:
				return err
			}
		}
	})
	if err != nil {
		return err
	}
	return unix.Unlinkat(top, name, unix.AT_REMOVEDIR)
}

// each calls do, which removes, for each name in the folder, until a whole pass finds none: entries that come or go
// while a folder is read may be missed by that pass.
func each(f *os.File, do func(name string) error) error {
	for {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		found := false
		for {
			names, err := f.Readdirnames(1024)
			if len(names) == 0 && err != nil && err != io.EOF {
				return err
			}
			if len(names) == 0 {
				break
			}
			found = true
			for _, name := range names {
				if err := do(name); err != nil {
					return fmt.Errorf("%q: %w", name, err)
				}
			}
		}
		if !found {
			return nil
		}
	}
}

func gone(err error) error {
	if err == unix.ENOENT {
		return nil
	}
	return err
}

// openDir opens a folder for listing, never through a link, and makes it accessible to its owner first.
func openDir(dir int, name string) (*os.File, error) {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(dir, name, flags, 0)
	if err == unix.EACCES { // so it is a folder, not a link
		if err = unix.Fchmodat(dir, name, 0o700, 0); err == nil {
			fd, err = unix.Openat(dir, name, flags, 0)
		}
	}
	if err != nil {
		return nil, err
	}
	_ = unix.Fchmod(fd, 0o700)
	return os.NewFile(uintptr(fd), name), nil
}
