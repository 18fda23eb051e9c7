package environ

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"path/filepath"
	"slices"
	"syscall"
)

// Watch knows every place where a change of the environment shows: each folder of /usr, whose packages are taken on trust, and each
// folder and file of what is hashed. A folder that is new shows in the one above. Where an image stands for the system, the system is not watched.
type Watch struct{ places []string }

// Watch looks for those places, which takes as long as naming the files does.
func (c Collector) Watch(ctx context.Context, in Interpreter) (*Watch, error) {
	w := &Watch{}
	var tops, hashed []string
	if c.Image == "" {
		for _, p := range []string{"/var/lib/dpkg", "/var/lib/dpkg/status", "/var/lib/dpkg/updates", "/var/lib/rpm", "/usr/lib/sysimage/rpm"} {
			w.places = append(w.places, c.host(p))
		}
		shown, err := c.etcShown()
		if err != nil {
			return nil, err
		}
		tops, hashed = []string{c.host("/usr")}, append([]string{"/usr/local"}, shown...)
	}
	if !in.isSystem() {
		hashed = append(hashed, in.Prefix)
	}
	for i := range hashed {
		hashed[i] = c.host(hashed[i])
	}
	docs := map[string]bool{}
	for _, dir := range c.Paths {
		dir = c.host(dir)
		hashed = append(hashed, dir) // which may be a link
		if real, err := filepath.EvalSymlinks(dir); err == nil && real != dir {
			dir = real
			hashed = append(hashed, dir)
		}
		docs[filepath.Join(dir, "share/doc")] = true
	}
	for _, file := range c.Files {
		file = c.host(file)
		w.places = append(w.places, file)
		if real, err := filepath.EvalSymlinks(file); err == nil && real != file {
			w.places = append(w.places, real)
		}
	}
	for _, top := range append(tops, hashed...) {
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
				return nil // what comes or goes here shows in the folder above
			case err != nil:
				return err
			case d.IsDir() && (docs[path] || slices.Contains([]string{"__pycache__", "site-packages", "dist-packages"}, d.Name())):
				return fs.SkipDir // hidden from builds
			case top == c.host("/usr") && (!d.IsDir() || path == c.host("/usr/local")):
				if d.IsDir() {
					return fs.SkipDir
				}
				return nil
			}
			w.places = append(w.places, path)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("environment: %w", err)
		}
	}
	return w, nil
}

// Stamp is a sign of the state that all those places are in: another one after packages were installed or removed, after a file came,
// went or was replaced, or one whose content is hashed was written. It costs tens of milliseconds, where Collect costs a second.
// Compare stamps of one Watch only.
func (w *Watch) Stamp() string {
	h := fnv.New128a() // nobody gains by two equal stamps: who may write there has no need to
	for _, p := range w.places {
		var st syscall.Stat_t
		if err := syscall.Lstat(p, &st); err != nil {
			fmt.Fprintf(h, "%v\n", err)
			continue
		}
		s := stampOf(&st)
		var b [40]byte
		for i, n := range []uint64{s.ino, uint64(s.size), uint64(s.mtime), uint64(s.ctime), uint64(st.Mode)} {
			for j := range 8 {
				b[8*i+j] = byte(n >> (8 * j))
			}
		}
		h.Write(b[:])
	}
	return hex.EncodeToString(h.Sum(nil))
}
