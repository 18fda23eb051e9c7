package publish

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// worktrees are the git work trees that a configuration's files lie in, with the state of each one's index.
//
// Files that are read twice and found equal are what the folder held at the moment between the two readings. But git writes one file after
// the other, so that may be a moment within a checkout, when the folder is half of one tree and half of another. A checkout holds index.lock
// from before its first file until the new index is in place behind its last one: where there is no lock before and after, and the
// index is the same, no checkout was under way.
type worktrees map[string]string

// add notes the work tree that the path lies in, if there is one. It is an error where git is at work there.
func (w worktrees) add(path string) error {
	git, err := gitFolder(path)
	if err != nil || git == "" || w[git] != "" {
		return err
	}
	w[git], err = indexOf(git)
	return err
}

// same is an error where git was at work meanwhile.
func (w worktrees) same() error {
	for git, before := range w {
		now, err := indexOf(git)
		if err != nil {
			return err
		}
		if now != before {
			return fmt.Errorf("git was at work in the work tree of %s while its files were read: publish again when it is done", git)
		}
	}
	return nil
}

// indexOf says in which state the index is.
func indexOf(git string) (string, error) {
	lock := filepath.Join(git, "index.lock")
	if _, err := os.Lstat(lock); err == nil {
		return "", fmt.Errorf("git is at work in the work tree that the files lie in: publish again when it is done; if no git runs, one has left %s behind: remove it", lock)
	}
	info, err := os.Stat(filepath.Join(git, "index"))
	if errors.Is(err, fs.ErrNotExist) {
		return "none", nil
	}
	if err != nil {
		return "", err
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", fmt.Errorf("%s: no inode is told of it", git)
	}
	return fmt.Sprint(s.Ino, s.Size, s.Mtim, s.Ctim), nil
}

// gitFolder is where git keeps the index of the work tree that the path lies in, "" where it lies in none.
func gitFolder(path string) (string, error) {
	dir, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil // who reads it says so
	}
	if err != nil {
		return "", err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", err
	}
	for {
		git := filepath.Join(dir, ".git")
		info, err := os.Stat(git)
		switch {
		case err == nil && info.IsDir():
			return git, nil
		case err == nil: // of a linked work tree, or of a submodule
			b, err := os.ReadFile(git)
			at, ok := strings.CutPrefix(strings.TrimSpace(string(b)), "gitdir: ")
			if err != nil || !ok {
				return "", fmt.Errorf("%s: not a file of git: %w", git, errors.Join(err, fs.ErrInvalid))
			}
			if !filepath.IsAbs(at) {
				at = filepath.Join(dir, at)
			}
			return at, nil
		case dir == filepath.Dir(dir):
			return "", nil
		}
		dir = filepath.Dir(dir)
	}
}
