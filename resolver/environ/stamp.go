package environ

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// stamped are the places that change whenever the system's packages, its alternatives or its libraries do.
var stamped = []string{"/var/lib/dpkg/status", "/var/lib/rpm", "/usr/lib/sysimage/rpm", "/etc/alternatives", "/etc/ld.so.cache", "/usr/bin", "/usr/lib", "/usr/include"}

// Stamp is a sign of the environment that costs microseconds, where Collect costs a second: it is not the same after packages were
// installed or removed, an alternative was changed, or a file came into or left the upper folders of /usr/local, of the interpreter's
// prefix or of a declared tree. An edit in place deeper down does not show: only Collect sees all. Compare stamps of one process only.
func (c Collector) Stamp(in Interpreter) (string, error) {
	var paths []string
	for _, p := range stamped {
		paths = append(paths, c.host(p))
	}
	tops := []string{c.host("/usr/local")}
	if !in.isSystem() {
		tops = append(tops, c.host(in.Prefix))
	}
	for _, dir := range c.Paths {
		tops = append(tops, c.host(dir))
	}
	paths = append(paths, c.host(in.Executable))
	for _, top := range tops {
		folders, err := filepath.Glob(filepath.Join(top, "*"))
		if err != nil {
			return "", err
		}
		paths = append(append(paths, top), folders...)
	}
	slices.Sort(paths)
	h := sha256.New()
	for _, p := range paths {
		info, err := os.Stat(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("environment: %w", err)
		}
		fmt.Fprintf(h, "%q %d %d", p, info.ModTime().UnixNano(), info.Size())
		if s, ok := info.Sys().(*syscall.Stat_t); ok {
			fmt.Fprintf(h, " %d %d.%d", s.Ino, s.Ctim.Sec, s.Ctim.Nsec)
		}
		h.Write([]byte("\n"))
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
