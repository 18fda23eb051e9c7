// Package sandboxtest is what tests that run real sandboxes need: an interpreter, a file view, another user.
package sandboxtest

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
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

// Unprivileged runs the tests of the calling package once more as a user without rights, with the interpreter /usr/bin/python3.
// At least that many of them must pass. env is added to theirs.
func Unprivileged(t *testing.T, least int, env ...string) {
	if os.Getuid() != 0 {
		t.Skip("this is a user without rights already")
	}
	if _, err := os.Stat("/usr/bin/python3"); err != nil {
		t.Skip("no interpreter that every user can read: /usr/bin/python3 is missing")
	}
	dir, err := os.MkdirTemp("", "axle-unprivileged-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "tests")
	const nobody = 65534
	if err := errors.Join(os.WriteFile(program, self, 0o755), os.Chmod(program, 0o755), os.Chown(dir, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), program, "-test.v", "-test.timeout=5m")
	c.Dir, c.Env = dir, append(env, "PATH=/usr/bin:/bin", "TMPDIR="+dir, "HOME="+dir)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, Pdeathsig: syscall.SIGKILL}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if n := bytes.Count(out, []byte("\n--- PASS")); n < least {
		t.Errorf("only %d tests passed:\n%s", n, out)
	}
	if testing.Verbose() {
		t.Logf("%s", out)
	}
}
