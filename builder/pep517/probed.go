package pep517

import (
	"os"
	"path/filepath"
	"sync"
)

// Probed is what uv found out about one interpreter, for the next uv: to find out it runs the interpreter, which takes longer than to resolve.
// uv itself looks whether the interpreter is still the same file. Its methods may be called by any number at once.
type Probed struct {
	mu  sync.Mutex // guards dir
	dir string     // "" while nothing is known
}

// Lend puts it into a new cache folder for uv (--cache-dir). Where nothing is known yet there is no folder afterwards.
func (p *Probed) Lend(cache string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dir == "" {
		return nil
	}
	return os.CopyFS(cache, os.DirFS(p.dir))
}

// Keep takes it out of the cache folder of a uv that has ended, into a new folder below scratch, unless it is known.
func (p *Probed) Keep(scratch, cache string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	found, err := filepath.Glob(filepath.Join(cache, "interpreter-*"))
	if err != nil || p.dir != "" || len(found) != 1 { // else uv has changed its ways, and finds out each time
		return err
	}
	dir, err := os.MkdirTemp(scratch, "probed-")
	if err != nil {
		return err
	}
	if err := os.Rename(found[0], filepath.Join(dir, filepath.Base(found[0]))); err != nil {
		return err
	}
	p.dir = dir
	return nil
}
