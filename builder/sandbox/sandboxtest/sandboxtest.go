// Package sandboxtest makes file views for tests that run real sandboxes.
package sandboxtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/python-wheel-build/axle/resolver/environ"
)

// Python is the real interpreter behind python3 of PATH, not a shim or a virtual environment's.
func Python(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("python3", "-c", "import os, sys; print(os.path.realpath(sys.executable))").Output()
	if err != nil {
		t.Fatalf("no python3 on PATH: install one (%v)", err)
	}
	return strings.TrimSpace(string(out))
}

// Root shows /usr, the links into it, and the prefix of python: as much as tests need, without the masks of a real one.
func Root(t testing.TB, python string) environ.Root {
	t.Helper()
	r := environ.Root{Path: []string{"/usr/local/bin", "/usr/bin", "/bin"}, Env: map[string]string{}}
	bind := func(path string) {
		r.Mounts = append(r.Mounts, environ.Mount{Kind: "bind", Source: path, Target: path})
	}
	bind("/usr")
	for _, name := range []string{"/bin", "/sbin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives"} {
		if link, err := os.Readlink(name); err == nil {
			r.Mounts = append(r.Mounts, environ.Mount{Kind: "symlink", Source: link, Target: name})
		} else if _, err := os.Stat(name); err == nil {
			bind(name)
		}
	}
	if prefix := filepath.Dir(filepath.Dir(python)); prefix != "/usr" {
		bind(prefix)
	}
	return r
}
