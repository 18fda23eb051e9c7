package sandbox_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/builder/sandbox"
)

// What real tools print when they can't go on, and what looks like it.
func TestSigns(t *testing.T) {
	b := newBox(t)
	for text, want := range map[string]string{
		"/tmp/ccAbC.s: No space left on device":                                               "disk",
		"error: failed to write: No space left on device (os error 28)":                       "disk",
		"link: write $WORK/b001/a.out: no space left on device":                               "disk", // Go
		"OSError: [Errno 122] Disk quota exceeded: 'x'":                                       "disk",
		"OSError: [Errno 27] File too large":                                                  "disk",
		"make: vfork: Resource temporarily unavailable":                                       "processes",
		"sh: 1: Cannot fork":                                                                  "processes",
		"RuntimeError: can't start new thread":                                                "processes",
		"virtual memory exhausted: Cannot allocate memory":                                    "memory",
		"Traceback (most recent call last):\nMemoryError":                                     "memory",
		"x.c:1: cc1: out of memory allocating 65536 bytes after a total":                      "memory",
		"c++: fatal error: Killed signal terminated program cc1plus":                          "memory",
		"terminate called after throwing an instance of 'std::bad_alloc'":                     "memory",
		"process didn't exit successfully: `rustc` (signal: 9, SIGKILL: k)":                   "memory",
		"x.c:3: error: 'y' undeclared\n  3 |  PyErr_NoMemory(); /* no space on the device */": "",
		"x.c:3: error: expected ';'\n  3 |  raise(PyExc_MemoryError)":                         "",
	} {
		out, err := b.sh("cat >&2 <<'END'\n" + text + "\nEND\nexit 1")
		var limit *sandbox.LimitError
		if want == "" && !errors.As(err, new(*sandbox.ExitError)) || want != "" && (!errors.As(err, &limit) || limit.Limit != want) {
			t.Errorf("%q: %v, want %q\n%s", text, err, want, out)
		}
		if out, err := b.sh("cat <<'END'\n" + text + "\nEND"); err != nil {
			t.Errorf("%q of a command that succeeds: %v\n%s", text, err, out)
		}
	}
	if out, err := b.sh("printf 'No space left'; sleep 0.2; printf ' on device'; sleep 0.2; yes | head -c 100000; exit 1"); !errors.As(err, new(*sandbox.LimitError)) {
		t.Errorf("said in two parts, long before the end: %v\n%.100s", err, out)
	}
}

// A compiler that the kernel kills makes the build fail like any other.
func TestKilledForMemory(t *testing.T) {
	b := newBox(t)
	file := filepath.Join(t.TempDir(), "vmstat")
	tell := func(kills int) {
		if err := os.WriteFile(file, fmt.Appendf(nil, "oom_kill_disable 9\noom_kill %d\ndrop_pagecache 0\n", kills), 0o644); err != nil {
			t.Error(err)
		}
	}
	kernels := *sandbox.VMStat
	*sandbox.VMStat = file
	defer func() { *sandbox.VMStat = kernels }()
	for _, after := range []int{7, 8} {
		tell(7)
		err := b.Run(t.Context(), 0, sandbox.Command{Argv: []string{"/bin/sh", "-c", "echo now; read x; exit 1"}, Work: b.work, Log: writer(func() { tell(after) })})
		var limit *sandbox.LimitError
		if after == 7 && !errors.As(err, new(*sandbox.ExitError)) || after == 8 && (!errors.As(err, &limit) || limit.Limit != "memory") {
			t.Errorf("%d more were killed: %v", after-7, err)
		}
	}
}

type writer func()

func (w writer) Write(b []byte) (int, error) {
	w()
	return len(b), nil
}

// The same with a real kernel, where this process may make control groups.
func TestKernelKills(t *testing.T) {
	group, limits := fmt.Sprintf("/sys/fs/cgroup/memory/axle-test-%d", os.Getpid()), []string{"memory.limit_in_bytes", "memory.memsw.limit_in_bytes"}
	if _, err := os.Stat(filepath.Dir(group)); err != nil {
		group, limits = fmt.Sprintf("/sys/fs/cgroup/axle-test-%d", os.Getpid()), []string{"memory.max", "memory.swap.max"}
	}
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Skipf("no control group can be made here: %v", err)
	}
	defer os.Remove(group)
	if err := os.WriteFile(filepath.Join(group, limits[0]), []byte("50000000"), 0o644); err != nil {
		t.Skipf("no control group's memory can be limited here: %v", err)
	}
	_ = os.WriteFile(filepath.Join(group, limits[1]), []byte("50000000"), 0o644) // absent without swap
	b := newBox(t)
	marker := fmt.Sprintf("marker-%d", time.Now().UnixNano())
	go func() {
		for len(processes(t, marker)) < 3 && t.Context().Err() == nil { // two bwrap, the shell
			time.Sleep(20 * time.Millisecond)
		}
		for _, p := range processes(t, marker) {
			_ = os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strings.Split(p, "/")[2]), 0o644)
		}
		_ = os.WriteFile(filepath.Join(b.work, "go"), nil, 0o644)
	}()
	out, err := b.run(sandbox.Command{Argv: []string{"/bin/sh", "-c",
		"while ! [ -e go ]; do sleep 0.05; done; $0 -c 'print(len(b\"x\" * (200 << 20)))' || exit 1", b.python, marker}})
	var limit *sandbox.LimitError
	if !errors.As(err, &limit) || limit.Limit != "memory" || !strings.Contains(err.Error(), "the kernel killed") {
		t.Errorf("%v\n%s", err, out)
	}
}

// Threads end while commands run, and processors are scarce, so that goroutines change threads.
func TestRunTied(t *testing.T) {
	var stop atomic.Bool
	var busy, tied sync.WaitGroup
	for range 3 * runtime.NumCPU() {
		busy.Go(func() {
			for !stop.Load() {
			}
		})
	}
	busy.Go(func() {
		for !stop.Load() {
			go runtime.LockOSThread() // ends its thread
			time.Sleep(time.Millisecond)
		}
	})
	for range 4 {
		for range 16 {
			tied.Go(func() {
				c := exec.Command("sleep", "0.5")
				c.Stdin = strings.NewReader("x")
				if err := sandbox.RunTied(c); err != nil {
					t.Error(err)
				}
			})
		}
		tied.Wait()
	}
	stop.Store(true)
	busy.Wait()
}
