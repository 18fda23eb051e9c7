package sandbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/builder/sandbox"
	"github.com/python-wheel-build/axle/builder/sandbox/sandboxtest"
	"github.com/python-wheel-build/axle/resolver/environ"
	"golang.org/x/sync/errgroup"
)

// box is a sandbox of two slots and the work folder of slot 0.
type box struct {
	*sandbox.Sandbox
	t      *testing.T
	python string
	work   string
}

func newBox(t *testing.T, more ...environ.Mount) *box {
	t.Helper()
	python := sandboxtest.Python(t)
	root := sandboxtest.Root(t, python)
	root.Mounts = append(root.Mounts, more...)
	s, err := sandbox.New(root, t.TempDir(), 2)
	if err != nil {
		t.Fatal(err)
	}
	b := &box{Sandbox: s, t: t, python: python, work: t.TempDir()}
	t.Cleanup(func() {
		if err := sandbox.Remove(b.work); err != nil {
			t.Error(err)
		}
	})
	if err := s.Prepare(0, b.work); err != nil {
		t.Fatal(err)
	}
	return b
}

// run runs a command in slot 0, bounded in any case.
func (b *box) run(c sandbox.Command) (string, error) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	var log bytes.Buffer
	c.Log = &log
	if c.Work == "" {
		c.Work = b.work
	}
	if c.Env == nil {
		c.Env = map[string]string{"PATH": "/usr/bin:/bin"}
	}
	err := b.Run(ctx, 0, c)
	return log.String(), err
}

func (b *box) sh(script string) (string, error) {
	b.t.Helper()
	return b.run(sandbox.Command{Argv: []string{"sh", "-c", script}})
}

func (b *box) py(script string, l sandbox.Limits) (string, error) {
	b.t.Helper()
	return b.run(sandbox.Command{Argv: []string{b.python, "-c", script}, Limits: l})
}

func TestRun(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	b := newBox(t)
	out, err := b.run(sandbox.Command{
		Argv:  []string{"sh", "-c", `pwd; cat; env | sort; hostname; id -un; ls ~; touch file; echo out; echo err >&2; echo dev >/dev/stderr`},
		Env:   map[string]string{"PATH": "/usr/bin:/bin", "A": "1 \n2", "HOME": "/build/sub"},
		Dir:   "/build/sub",
		Stdin: []byte("stdin\n"),
	})
	if err == nil || !strings.Contains(err.Error(), "/build/sub") {
		t.Fatalf("a missing working folder: %v\n%s", err, out)
	}
	if err := errors.Join(os.Mkdir(filepath.Join(b.work, "sub"), 0o755), b.Prepare(0, b.work)); err != nil {
		t.Fatal(err)
	}
	out, err = b.run(sandbox.Command{
		Argv:  []string{"sh", "-c", `pwd; cat; env | sort; hostname; id -un; touch file; stat -c %a file; echo out; echo err >&2; echo dev >/dev/stderr`},
		Env:   map[string]string{"PATH": "/usr/bin:/bin", "A": "1 \n2"},
		Dir:   "/build/sub",
		Stdin: []byte("stdin\n"),
	})
	want := "/build/sub\nstdin\n2\nA=1 \nPATH=/usr/bin:/bin\nPWD=/build/sub\naxle\nbuild\n644\nout\nerr\ndev\n"
	if err != nil || out != want {
		t.Errorf("got %q, %v\nwant %q", out, err, want)
	}
	info, err := os.Stat(filepath.Join(b.work, "sub/file"))
	if err != nil {
		t.Fatal(err)
	}
	owner := os.Getuid()
	if owner == 0 {
		owner = sandbox.BaseUID
	}
	if got := int(info.Sys().(*syscall.Stat_t).Uid); got != owner {
		t.Errorf("the command's file belongs to %d, want %d", got, owner)
	}
}

// Two slots run at once, and each one's files are closed to the other where they have users of their own.
func TestSlots(t *testing.T) {
	b := newBox(t)
	works := []string{b.work, t.TempDir()}
	if err := b.Prepare(1, works[1]); err != nil {
		t.Fatal(err)
	}
	var both errgroup.Group
	for slot, work := range works {
		both.Go(func() error {
			var log bytes.Buffer
			err := b.Run(t.Context(), slot, sandbox.Command{Work: work, Log: &log, Env: map[string]string{"PATH": "/usr/bin:/bin"},
				Argv: []string{"sh", "-c", "touch mine; sleep 0.5"}})
			if err != nil {
				return fmt.Errorf("slot %d: %w %s", slot, err, log.String())
			}
			return nil
		})
	}
	if err := both.Wait(); err != nil {
		t.Error(err)
	}
	for slot, work := range works {
		info, err := os.Stat(filepath.Join(work, "mine"))
		if err != nil {
			t.Fatal(err)
		}
		if uid := int(info.Sys().(*syscall.Stat_t).Uid); os.Getuid() == 0 && uid != sandbox.BaseUID+slot {
			t.Errorf("the file of slot %d belongs to %d", slot, uid)
		}
	}
}

func TestExit(t *testing.T) {
	b := newBox(t)
	var exit *sandbox.ExitError
	if _, err := b.sh("exit 3"); !errors.As(err, &exit) || exit.Code != 3 || exit.Signal != 0 {
		t.Errorf("exit 3: %v", err)
	}
	if _, err := b.sh("kill -SEGV $$"); !errors.As(err, &exit) || exit.Signal != syscall.SIGSEGV {
		t.Errorf("a crash: %v", err)
	}
	if _, err := b.run(sandbox.Command{Argv: []string{"no-such-program"}}); err == nil || errors.As(err, new(*sandbox.ExitError)) ||
		!strings.Contains(err.Error(), "no-such-program") {
		t.Errorf("no such program: %v", err)
	}
	if _, err := b.run(sandbox.Command{Argv: []string{"true"}, Work: "/no/such/folder"}); err == nil || !strings.Contains(err.Error(), "/no/such/folder") {
		t.Errorf("no work folder: %v", err)
	}
	// It said so itself; no process was killed.
	if _, err := b.sh("echo 'bwrap: lies'; exit 1"); !errors.As(err, &exit) || exit.Code != 1 {
		t.Errorf("exit 1: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := b.Run(ctx, 0, sandbox.Command{Argv: []string{"/usr/bin/sleep", "60"}, Work: b.work}); err != context.DeadlineExceeded {
		t.Errorf("cancelled: %v", err)
	}
	for _, c := range []sandbox.Command{
		{Work: b.work}, {Argv: []string{"true"}}, {Argv: []string{"a\x00b"}, Work: b.work},
		{Argv: []string{"true"}, Work: b.work, Env: map[string]string{"A=": "x"}},
		{Argv: []string{"true"}, Work: b.work, Binds: []sandbox.Bind{{Source: "x", Target: "/x"}}},
	} {
		if err := b.Run(t.Context(), 0, c); err == nil {
			t.Errorf("%+v ran", c)
		}
	}
	if err := b.Run(t.Context(), 2, sandbox.Command{Argv: []string{"true"}, Work: b.work}); err == nil {
		t.Error("slot 2 of 2 ran")
	}
}

func TestMounts(t *testing.T) {
	dir := t.TempDir()
	inner := filepath.Join(dir, "inner")
	if err := errors.Join(os.Mkdir(inner, 0o755), os.WriteFile(filepath.Join(dir, "f"), []byte("f"), 0o644),
		os.WriteFile(filepath.Join(inner, "g"), []byte("g"), 0o644), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	b := newBox(t,
		environ.Mount{Kind: "bind", Source: dir, Target: "/opt/a"},
		environ.Mount{Kind: "tmpfs", Target: "/opt/a/inner"},
		environ.Mount{Kind: "bind", Source: inner, Target: "/opt/a/inner/again"},
		environ.Mount{Kind: "symlink", Source: "a/f", Target: "/opt/link"},
		environ.Mount{Kind: "file", Target: "/opt/file", Data: []byte("data")})
	out, err := b.run(sandbox.Command{
		Argv:  []string{"sh", "-c", "cat /opt/link /opt/file /opt/a/inner/again/g; ls /opt/a/inner; for f in /opt/x /opt/a/x /opt/a/inner/x /opt/file /opt/b/x; do (echo >$f) 2>/dev/null && echo wrote $f; done; cat /opt/b/g"},
		Binds: []sandbox.Bind{{Source: inner, Target: "/opt/b"}},
		Env:   map[string]string{"PATH": "/usr/bin:/bin"},
	})
	if want := "fdatagagain\ng"; err != nil || out != want {
		t.Errorf("got %q, %v; want %q", out, err, want)
	}
	for _, m := range []environ.Mount{{Kind: "rw", Target: "/x"}, {Kind: "tmpfs", Target: "x"}} {
		if _, err := sandbox.New(environ.Root{Mounts: []environ.Mount{m}}, dir, 1); err == nil {
			t.Errorf("%+v is accepted", m)
		}
	}
}

// Builds that test themselves or start helpers talk to a server of their own, by its usual names.
func TestLoopbackHasNames(t *testing.T) {
	out, err := newBox(t).py(`import socket
server = socket.create_server(("", 0))
for name in "localhost", socket.gethostname():
    socket.create_connection((name, server.getsockname()[1]), 10).close()
    assert socket.gethostbyname(name) == "127.0.0.1"
open("/var/tmp/x", "w").close()`, sandbox.Limits{})
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestNetworkOnRequest(t *testing.T) {
	b := newBox(t)
	port := listen(t)
	script := fmt.Sprintf("import socket; socket.create_connection(('127.0.0.1', %d), 5)", port)
	if out, err := b.run(sandbox.Command{Argv: []string{b.python, "-c", script}, Network: true}); err != nil {
		t.Errorf("with the network: %v\n%s", err, out)
	}
	if out, err := b.run(sandbox.Command{Argv: []string{b.python, "-c", script}}); !errors.As(err, new(*sandbox.ExitError)) {
		t.Errorf("without: %v\n%s", err, out)
	}
}

func TestSelfTest(t *testing.T) {
	b := newBox(t)
	if err := b.SelfTest(t.Context(), b.python); err != nil {
		t.Fatal(err)
	}
	fake := filepath.Join(t.TempDir(), "python")
	if err := os.WriteFile(fake, []byte("#!/bin/sh\nprintf other\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for want, mounts := range map[string][]environ.Mount{
		"interpreter": {{Kind: "bind", Source: b.python, Target: fake}},
		"/etc/shadow": {{Kind: "file", Target: "/etc/shadow"}, {Kind: "symlink", Source: b.python, Target: fake}},
		"execvp":      nil,
	} {
		err := newBox(t, mounts...).SelfTest(t.Context(), fake)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "next step") {
			t.Errorf("want an error about %s, got %v", want, err)
		}
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := sandbox.New(b.Root(), t.TempDir(), 1); err == nil || !strings.Contains(err.Error(), "install bubblewrap") {
		t.Errorf("without bwrap: %v", err)
	}
}

// TestPrecompile hides the bytecode of json and looks whether the interpreter takes the one made for it.
func TestPrecompile(t *testing.T) {
	folder, err := exec.Command(sandboxtest.Python(t), "-c", "import json; print(json.__path__[0], end='')").Output()
	if err != nil {
		t.Fatal(err)
	}
	hidden := string(folder) + "/__pycache__"
	if _, err := os.Stat(hidden); err != nil {
		t.Skipf("no folder to hide: %v", err)
	}
	b := newBox(t, environ.Mount{Kind: "tmpfs", Target: hidden})
	look := "import sys, json, os; print(os.path.exists(json.__cached__), *os.listdir(sys.argv[1]))"
	for _, want := range []string{"False\n", "True "} {
		out, err := b.run(sandbox.Command{Argv: []string{b.python, "-v", "-c", look, hidden}})
		taken := strings.Contains(out, " matches "+string(folder)+"/__init__.py")
		if err != nil || !strings.Contains(out, "\n"+want) || taken != (want == "True ") {
			t.Errorf("want %q: %v, bytecode taken: %v", want, err, taken)
		}
		if err := b.Precompile(t.Context(), b.python); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := b.sh("echo x > " + hidden + "/x"); err == nil {
		t.Errorf("a build can write bytecode: %s", out)
	}
}

// TestUnprivileged runs this package's tests once more as a user without rights, who has only what that user can read.
func TestUnprivileged(t *testing.T) { sandboxtest.Unprivileged(t, 10) }
