// Package scratch gives each process a folder of its own for temporary files, and clears away what dead processes left.
//
//	<dir>/run-<random>/       the files of one process
//	<dir>/run-<random>.lock   held by flock(2) for as long as that process lives
//
// A lock that can be taken has no owner any more, so its folder is removed. Anything else in the folder is left alone.
package scratch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Folder is the scratch folder of this process. It lasts until Close or the end of the process.
type Folder struct {
	path string
	lock *os.File // holds the flock; closing it gives the folder up
}

// Open makes dir where it is missing, removes the folders of processes that are gone, and makes a new one. Several processes, and
// several folders of one process, may share dir.
func Open(dir string) (*Folder, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("making the scratch folder: %w", err)
	}
	if err := reap(dir); err != nil {
		return nil, err
	}
	for {
		lock, err := os.CreateTemp(dir, "run-*.lock")
		if err != nil {
			return nil, fmt.Errorf("making the scratch folder: %w", err)
		}
		// Between the making of the lock file and the taking of the lock another process may have reaped it: then start again.
		if owned, err := Lock(lock); err != nil || !owned {
			lock.Close()
			if err != nil {
				return nil, err
			}
			continue
		}
		path := strings.TrimSuffix(lock.Name(), ".lock")
		if err := os.Mkdir(path, 0o700); err != nil {
			os.Remove(lock.Name())
			lock.Close()
			return nil, fmt.Errorf("making the scratch folder: %w", err)
		}
		unrelated(path)
		return &Folder{path: path, lock: lock}, nil
	}
}

// unrelated tells ext4 that what lies in the folders of dir has nothing to do with one another (chattr +T), so that it spreads them over the
// disk. Without a journal ext4 uses no inode again for a minute after a file was removed, and looks at all of those again for each file that it
// makes near by: where one job removes a thousand files and the next one makes a thousand, that was about 15 % of all that a small build takes.
// Other file systems don't know the mark, and do without.
func unrelated(dir string) {
	f, err := os.Open(dir)
	if err != nil {
		return
	}
	defer f.Close()
	flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err == nil {
		_ = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags|topDir)
	}
}

const topDir = 0x00020000 // FS_TOPDIR_FL of linux/fs.h

// Path is the folder's absolute path.
func (f *Folder) Path() string { return f.path }

// Close removes the folder with all that is in it. A second Close does nothing.
func (f *Folder) Close() error {
	if f.lock == nil {
		return nil
	}
	err := removeAll(f.path)
	if err == nil {
		err = os.Remove(f.lock.Name())
	}
	err = errors.Join(err, f.lock.Close())
	f.lock = nil
	return err
}

// Lock takes the flock(2) of f, which lasts until f is closed, without waiting; false when another has it or f has lost its name. So one who
// makes a file and locks it, and another who removes what he can lock, never take a file from each other: the maker sees the false.
func Lock(f *os.File) (bool, error) {
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return false, nil
		}
		return false, fmt.Errorf("%s: the file system has no file locks (%w): put the folder on one that has, a local one", f.Name(), err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return false, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return st.Nlink > 0, nil
}

func reap(dir string) error {
	locks, err := filepath.Glob(filepath.Join(escape(dir), "run-*.lock"))
	if err != nil {
		return err
	}
	for _, name := range locks {
		lock, err := os.OpenFile(name, os.O_RDWR, 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return fmt.Errorf("clearing the scratch folder: %w", err)
		}
		owned, err := Lock(lock)
		if err == nil && owned {
			// The folder goes before its lock file: a crash in between leaves a lock without a folder, and that is reaped again.
			if err = removeAll(strings.TrimSuffix(name, ".lock")); err == nil {
				err = os.Remove(name)
			}
		}
		lock.Close()
		if err != nil {
			return fmt.Errorf("clearing what a dead process left in the scratch folder: %w; remove it by hand", err)
		}
	}
	return nil
}

// removeAll also removes what strangers' builds leave: folders that their owner may not read or write.
func removeAll(path string) error {
	if err := os.RemoveAll(path); err == nil {
		return nil
	}
	filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() && err == nil {
			os.Chmod(p, 0o700) // comes before the folder is read; what can't be changed shows in RemoveAll below
		}
		return nil
	})
	return os.RemoveAll(path)
}

// escape keeps a folder's name from being read as a pattern.
func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}
