package sandbox_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/builder/sandbox"
	"github.com/python-wheel-build/axle/builder/sandbox/sandboxtest"
)

func listen(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

// Each of these tries what a build must not be able to do; the script prints PWNED where it succeeds and "end" at its end.
func TestHostile(t *testing.T) {
	b := newBox(t)
	hidden := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(hidden, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	abstract := fmt.Sprintf("axle-hostile-%d", time.Now().UnixNano())
	l, err := net.Listen("unix", "@"+abstract)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("AXLE_SECRET", "seen")
	try := func(stmt string) string {
		return "try:\n  " + stmt + "\n  print('PWNED')\nexcept OSError as e: print(e)\n"
	}
	libc := "import ctypes, os, socket, signal\nlibc = ctypes.CDLL(None, use_errno=True)\n" +
		"def call(f, *a):\n  if getattr(libc, f)(*a) < 0: raise OSError(ctypes.get_errno(), f)\n"
	for name, script := range map[string]string{
		"read shadow":        try("open('/etc/shadow').read()"),
		"read a host file":   try(fmt.Sprintf("open(%q).read()", hidden)),
		"host loopback":      try(fmt.Sprintf("socket.create_connection(('127.0.0.1', %d), 3)", listen(t))),
		"outside":            try("socket.create_connection(('192.0.2.1', 80), 3)"),
		"abstract socket":    try(fmt.Sprintf("socket.socket(socket.AF_UNIX).connect('\\0%s')", abstract)),
		"mount":              try("call('mount', b'x', b'/tmp', b'tmpfs', 0, None)"),
		"remount root":       try("call('mount', None, b'/', None, 32 | 4096, None)"),
		"new user namespace": try("call('unshare', 0x10000000)"),
		"new mount space":    try("call('unshare', 0x00020000)"),
		"become root":        try("os.setuid(0)"),
		"device":             try("os.mknod('/build/sda', 0o60600, os.makedev(254, 0))"),
		"chroot":             try("os.chroot('/build')"),
		"write to /":         try("open('/x', 'w')"),
		"write to /usr":      try("open('/usr/x', 'w')"),
		"write to /dev":      try("open('/dev/x', 'w')"),
		"write to /etc":      try("open('/etc/x', 'w')"),
		"overwrite python":   try(fmt.Sprintf("open(%q, 'r+b')", b.python)),
		"hard link":          try("os.link('/usr/bin/env', '/build/env')"),
		"set-uid file":       try("open('/build/s', 'w'); os.chmod('/build/s', 0o4755); os.execv('/build/s', ['s'])"),
		"kill everybody":     "signal.signal(signal.SIGTERM, signal.SIG_IGN)\ntry: os.kill(-1, signal.SIGTERM)\nexcept OSError: pass\n",
		"host processes":     "print('PWNED' if len([p for p in os.listdir('/proc') if p.isdigit()]) > 2 else '')\n",
		"kill the parent":    try(fmt.Sprintf("os.kill(%d, 9)", os.Getpid())),
		"host environment":   "print('PWNED' if b'AXLE_SECRET' in b''.join(open(f'/proc/{p}/environ', 'rb').read() for p in ['self']) else '')\n",
		"other descriptors":  "print('PWNED' if set(os.listdir('/proc/self/fd')) - set('0123') else '')\n",
		"terminal":           try("open('/dev/tty')"),
		"kernel settings":    try("open('/proc/sys/kernel/core_pattern', 'w')") + try("open('/proc/sysrq-trigger', 'w')"),
		"kernel log":         try("call('klogctl', 2, ctypes.create_string_buffer(10), 10)"),
	} {
		out, err := b.py(libc+script+"print('end')", sandbox.Limits{Wall: 20 * time.Second})
		if err != nil || strings.Contains(out, "PWNED") || !strings.HasSuffix(out, "end\n") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func TestLimits(t *testing.T) {
	b := newBox(t)
	for _, c := range []struct {
		name, script, limit string // limit "" = it must pass
		limits              sandbox.Limits
	}{
		{"endless loop", "while True: pass", "wall time", sandbox.Limits{Wall: 500 * time.Millisecond}},
		{"sleep", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)", "wall time", sandbox.Limits{Wall: 500 * time.Millisecond}},
		{"memory", "import time\nx = []\nwhile len(x) < 4000: x.append(bytearray(b'x' * (1 << 20))); time.sleep(.001)", "memory", sandbox.Limits{Memory: 200 << 20}},
		{"memory of children", "import os, time\nfor i in range(8):\n  if os.fork() == 0: break\nx = b'x' * (50 << 20)\ntime.sleep(20)", "memory",
			sandbox.Limits{Memory: 200 << 20}},
		{"shared memory", "import mmap, time\nx = mmap.mmap(-1, 250 << 20)\nfor i in range(250): x.write(b'x' * (1 << 20))\ntime.sleep(20)", "memory",
			sandbox.Limits{Memory: 200 << 20}},
		{"memory shared by forks", "import os, time\nx = b'x' * (100 << 20)\nfor i in range(4):\n  if os.fork() == 0: break\ntime.sleep(1)", "",
			sandbox.Limits{Memory: 300 << 20}},
		{"address space", "import mmap; mmap.mmap(-1, 64 << 30, flags=mmap.MAP_PRIVATE | 0x4000)", "", sandbox.Limits{Memory: 200 << 20}},
		{"fork bomb", "import os, time\nwhile True:\n  try: os.fork()\n  except OSError: time.sleep(.1)", "processes", sandbox.Limits{Processes: 100}},
		{"threads", "import threading, time\ntry:\n  for i in range(1000): threading.Thread(target=time.sleep, args=(20,)).start()\nexcept RuntimeError: time.sleep(20)",
			"processes", sandbox.Limits{Processes: 100}},
		{"disk", "import time\nfor i in range(9): open(f'f{i}', 'wb').write(b'x' * (10 << 20))\ntime.sleep(20)", "disk", sandbox.Limits{Disk: 50 << 20}},
		{"disk at the end", "open('g', 'wb').write(b'x' * (150 << 20)); raise SystemExit(1)", "disk", sandbox.Limits{Disk: 50 << 20}},
		{"sparse file", "import os, time; os.truncate(os.open('h', os.O_CREAT | os.O_RDWR), 100 << 20); time.sleep(1.5)", "", sandbox.Limits{Disk: 50 << 20}},
		{"hidden folder", "import os, time\nos.mkdir('d')\nfor i in range(9): open(f'd/{i}', 'wb').write(b'x' * (10 << 20))\ntime.sleep(20)", "disk",
			sandbox.Limits{Disk: 50 << 20}},
		{"deep tree", "import os, time\nfor i in range(6000): os.mkdir('d'); os.chdir('d')\ntime.sleep(20)", "disk", sandbox.Limits{}},
		{"chatter", "while True: print('x' * 1000)", "log", sandbox.Limits{Log: 20000}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.sh("chmod -R u+rwx .; rm -rf *")
			if c.limits.Wall == 0 {
				c.limits.Wall = 15 * time.Second
			}
			out, err := b.py(c.script, c.limits)
			var limit *sandbox.LimitError
			if c.limit == "" && err != nil || c.limit != "" && (!errors.As(err, &limit) || limit.Limit != c.limit) {
				t.Errorf("got %v; want %q\n%.2000s", err, c.limit, out)
			}
			if c.limit == "log" && (len(out) > 20200 || !strings.Contains(out, "the log's limit of 19.5 KiB is reached")) {
				t.Errorf("%d bytes of log, ending in %q", len(out), out[max(0, len(out)-200):])
			}
		})
	}
}

// A log just over its limit is cut, and the command goes on.
func TestLogIsCut(t *testing.T) {
	b := newBox(t)
	out, err := b.py("print('\\x1b[2J' + 'x' * 500)\nprint('y' * 5000, flush=True)\nopen('done', 'w')", sandbox.Limits{Log: 1000})
	if err != nil || !strings.HasPrefix(out, "\x1b[2Jxxx") || strings.Count(out, "y") != 1000-505+strings.Count("the rest of the output is dropped", "y") {
		t.Errorf("%v %q", err, out)
	}
	if _, err := os.Stat(filepath.Join(b.work, "done")); err != nil {
		t.Error(err)
	}
	full := errors.New("disk full")
	if err := b.Run(t.Context(), 0, sandbox.Command{Argv: []string{"/usr/bin/yes"}, Work: b.work, Log: failing{full}}); !errors.Is(err, full) {
		t.Errorf("a log that can't be written: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// processes are the ids of the host's processes whose command line holds a marker.
func processes(t *testing.T, marker string) (pids []string) {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		if b, err := os.ReadFile(line); err == nil && strings.Contains(string(b), marker) {
			pids = append(pids, line)
		}
	}
	return pids
}

func TestNothingIsLeftBehind(t *testing.T) {
	b := newBox(t)
	marker := fmt.Sprintf("60.%09d", time.Now().Nanosecond())
	if out, err := b.sh("(setsid sleep " + marker + " >/dev/null 2>&1 &) ; (setsid sleep " + marker + " &); sleep 0.2; exit 0"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if left := processes(t, marker); len(left) > 0 {
		t.Errorf("after the end: %v", left)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	err := b.Run(ctx, 0, sandbox.Command{Argv: []string{"/bin/sh", "-c", "setsid sleep " + marker + " & sleep " + marker}, Work: b.work,
		Env: map[string]string{"PATH": "/usr/bin"}})
	if left := processes(t, marker); err != context.DeadlineExceeded || len(left) > 0 {
		t.Errorf("after a cancellation: %v %v", err, left)
	}
}

// TestMain lets this binary be the parent that is killed.
func TestMain(m *testing.M) {
	if marker := os.Getenv("AXLE_TEST_PARENT"); marker != "" {
		parent(marker)
	}
	os.Exit(m.Run())
}

func parent(marker string) {
	t := &testing.T{}
	s, err := sandbox.New(sandboxtest.Root(t, "/usr/bin/env"), os.TempDir(), 1)
	if err == nil {
		err = s.Prepare(0, os.Getenv("AXLE_TEST_WORK"))
	}
	if err == nil {
		err = s.Run(context.Background(), 0, sandbox.Command{Argv: []string{"/bin/sh", "-c", "setsid sleep " + marker + " & sleep " + marker},
			Env: map[string]string{"PATH": "/usr/bin:/bin"}, Work: os.Getenv("AXLE_TEST_WORK")})
	}
	fmt.Println(err)
	os.Exit(1)
}

func TestKilledParent(t *testing.T) {
	before, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	marker := fmt.Sprintf("60.%09d", time.Now().Nanosecond())
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), "AXLE_TEST_PARENT="+marker, "AXLE_TEST_WORK="+t.TempDir())
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	wait := func(done func(n int) bool) (left []string) {
		for range 200 {
			if left = processes(t, marker); done(len(left)) {
				return nil
			}
			time.Sleep(50 * time.Millisecond)
		}
		return left
	}
	// Two bwrap, the shell, two sleeps.
	if left := wait(func(n int) bool { return n >= 5 }); left != nil {
		t.Errorf("started only %v", left)
	}
	after, _ := os.ReadFile("/proc/self/mountinfo")
	if string(before) != string(after) {
		t.Errorf("the host's mounts changed from\n%s\nto\n%s", before, after)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if left := wait(func(n int) bool { return n == 0 }); left != nil {
		t.Errorf("still there: %v", left)
	}
}

func TestRemove(t *testing.T) {
	b := newBox(t)
	// Longer than any path, deeper than a process has descriptors; folders without permissions; a name that Remove uses too.
	out, err := b.py("import os\nos.mkdir('.axle-1')\nopen('.axle-2', 'w')\nos.makedirs('.axle-3/x')\nos.makedirs('a/b/c')\nopen('a/b/c/f', 'w')\nos.symlink('/etc', 'a/link')\n"+
		"os.mkfifo('a/pipe')\nos.chmod('a/b/c', 0)\nos.chmod('a/b', 0)\nos.chmod('a', 0)\n"+
		"for i in range(5000): os.mkdir('d'); os.chdir('d')\nos.chmod('.', 0)", sandbox.Limits{})
	if err != nil && !errors.As(err, new(*sandbox.LimitError)) {
		t.Fatalf("%v\n%s", err, out)
	}
	for range 2 {
		if err := sandbox.Remove(b.work); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Lstat(b.work); !errors.Is(err, os.ErrNotExist) {
		t.Error("it is still there")
	}
	dir := t.TempDir()
	kept, link := filepath.Join(dir, "kept"), filepath.Join(dir, "link")
	if err := errors.Join(os.Mkdir(kept, 0o755), os.Symlink(kept, link), sandbox.Remove(link)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Error("Remove followed a link")
	}
}
