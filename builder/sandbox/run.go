package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// closeOnExec marks the descriptors that this process was started with, so that no build inherits a socket or lock that
// somebody left open. Those that Go opens are marked from the start.
func closeOnExec() error {
	names, err := os.ReadDir("/proc/self/fd")
	for _, name := range names {
		if n, err := strconv.Atoi(name.Name()); err == nil && n > 2 {
			unix.CloseOnExec(n)
		}
	}
	return err
}

// run is Run on its own thread.
func (s *Sandbox) run(ctx context.Context, slot int, c Command) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p := &process{limits: c.Limits}
	defer p.close()
	list := mounts(s.root, c)
	source := func(path string) string { return path }
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if s.asRoot {
		p.user = uintptr(s.user(slot))
		attr.Credential = &syscall.Credential{Uid: uint32(s.user(slot)), Gid: uint32(s.user(slot))}
		staged, err := stage(list, c.Work)
		if err != nil {
			return fmt.Errorf("sandbox: %w", err)
		}
		source = func(path string) string { return staged[path] }
	} else if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("sandbox: own file system attributes: %w", err)
	}
	unix.Umask(0o022) // this thread's and its children's only

	var failed error
	file := func(b []byte) *os.File {
		f, err := p.data(b)
		if err == nil && s.asRoot {
			err = f.Chown(s.user(slot), s.user(slot)) // for who opens /dev/stdin
		}
		failed = errors.Join(failed, err)
		return f
	}
	args := arguments(list, c, source, func(b []byte) int { return p.pass(file(b)) })
	argFD := p.pass(file([]byte(strings.Join(args, "\x00") + "\x00")))
	status, statusFD, err := p.pipe(false)
	failed = errors.Join(failed, err)
	release, releaseFD, err := p.pipe(true)
	failed = errors.Join(failed, err)
	output, outputEnd, err := os.Pipe()
	if err = errors.Join(failed, err); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	p.ours, p.theirs = append(p.ours, output), append(p.theirs, outputEnd)
	own, ownEnd := output, outputEnd // of stdout
	if c.Stdout != nil {
		if own, ownEnd, err = os.Pipe(); err != nil {
			return fmt.Errorf("sandbox: %w", err)
		}
		p.ours, p.theirs = append(p.ours, own), append(p.theirs, ownEnd)
	}
	if s.asRoot {
		_ = outputEnd.Chown(s.user(slot), s.user(slot)) // for who opens /dev/stderr
		_ = ownEnd.Chown(s.user(slot), s.user(slot))    // or /dev/stdout
	}

	p.cmd = &exec.Cmd{
		Path: s.bwrap,
		Args: append([]string{"bwrap", "--args", strconv.Itoa(argFD), "--json-status-fd", strconv.Itoa(statusFD), "--block-fd", strconv.Itoa(releaseFD), "--"}, c.Argv...),
		Env:  []string{}, Dir: "/", SysProcAttr: attr,
		Stdout: ownEnd, Stderr: outputEnd, ExtraFiles: p.extra,
	}
	if c.Stdin != nil {
		p.cmd.Stdin = file(c.Stdin)
	}
	if failed != nil {
		return fmt.Errorf("sandbox: %w", failed)
	}
	return p.run(ctx, c, output, own, status, release)
}

// process is one running bwrap and the files that it shares with us.
type process struct {
	cmd    *exec.Cmd
	limits Limits
	user   uintptr    // the slot's host user, 0 without root
	extra  []*os.File // descriptors 3 and up of bwrap
	ours   []*os.File // our ends
	theirs []*os.File // closed here once bwrap has them
}

func (p *process) close() {
	closeAll(p.ours)
	closeAll(p.theirs)
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// pass hands a file to bwrap and returns its number there.
func (p *process) pass(f *os.File) int {
	p.extra = append(p.extra, f)
	return len(p.extra) + 2
}

// data is an unnamed file that holds b, to be read from its start.
func (p *process) data(b []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("axle", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memory file: %w", err)
	}
	f := os.NewFile(uintptr(fd), "memory file")
	p.theirs = append(p.theirs, f)
	if _, err := f.Write(b); err != nil {
		return nil, err
	}
	_, err = f.Seek(0, io.SeekStart)
	return f, err
}

// pipe makes a pipe, passes one end to bwrap and returns ours: the writing one if write is set.
func (p *process) pipe(write bool) (mine *os.File, fd int, err error) {
	mine, theirs, err := os.Pipe()
	if err != nil {
		return nil, 0, err
	}
	if write {
		mine, theirs = theirs, mine
	}
	p.ours, p.theirs = append(p.ours, mine), append(p.theirs, theirs)
	return mine, p.pass(theirs), nil
}

// state is what bwrap reports, in several JSON documents: first the pid of the first process inside, later the
// command's exit code, which is missing if the command was never started.
type state struct {
	Pid  int  `json:"child-pid"`
	Exit *int `json:"exit-code"`
}

func (p *process) run(parent context.Context, c Command, output, own, status, release *os.File) error {
	ctx, stop := context.WithCancelCause(parent)
	defer stop(nil)
	wall := time.AfterFunc(p.limits.Wall, func() { stop(&LimitError{"wall time", p.limits.Wall.String()}) })
	defer wall.Stop()

	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("sandbox: starting bubblewrap: %w", err)
	}
	closeAll(p.theirs)
	// bwrap takes the whole sandbox with it (--die-with-parent).
	defer context.AfterFunc(ctx, func() { _ = p.cmd.Process.Kill() })()

	log := &logWriter{to: c.Log, limit: p.limits.Log, stop: stop}
	var read sync.WaitGroup
	read.Go(func() { _, _ = io.Copy(log, output) })
	if own != output {
		read.Go(func() {
			if _, err := io.Copy(c.Stdout, own); err != nil {
				stop(err)
			}
		})
	}

	var first, last state
	decoder := json.NewDecoder(status)
	setup := decoder.Decode(&first)
	inner := -1
	var watched chan struct{}
	if setup == nil {
		if inner, setup = unix.PidfdOpen(first.Pid, 0); setup == nil {
			defer unix.Close(inner)
			if setup = p.restrict(first.Pid); setup == nil {
				watched = make(chan struct{})
				go func() { defer close(watched); watch(ctx, first.Pid, c.Work, p.limits, stop) }()
				_, setup = release.Write([]byte{1})
			}
		}
	}
	if setup != nil {
		_ = p.cmd.Process.Kill()
	}
	waited := p.cmd.Wait()
	// bwrap is gone, and what it leaves behind is dying; wait for that.
	if inner >= 0 {
		if err := reap(inner); err != nil {
			return fmt.Errorf("sandbox: %w", err)
		}
	}
	if err := decoder.Decode(&last); err != nil && setup == nil {
		setup = errors.New("bubblewrap did not start the command")
	}
	read.Wait()
	cause := context.Cause(ctx)
	stop(nil)
	if watched != nil {
		<-watched
	}
	var ended *exec.ExitError
	switch {
	case parent.Err() != nil:
		return parent.Err()
	case cause != nil:
		return cause
	case setup != nil:
		return fmt.Errorf("sandbox: %w: %s", setup, log.complaint())
	case waited != nil && !errors.As(waited, &ended):
		return fmt.Errorf("sandbox: %w", waited)
	case last.Exit == nil:
		return fmt.Errorf("sandbox: bubblewrap said nothing of the command's end (%v): %s", p.cmd.ProcessState, log.complaint())
	case *last.Exit == 0:
		return nil
	case log.sign != nil:
		return log.sign.within(p.limits)
	}
	return &ExitError{Code: *last.Exit, Signal: syscall.Signal(max(0, *last.Exit-128))}
}

// reap kills the first process of the sandbox, hence all of its pid namespace, and waits until they are gone.
func reap(pidfd int) error {
	_ = unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
	deadline := time.Now().Add(30 * time.Second)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 1000)
		if n > 0 {
			return nil
		}
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("waiting for the sandbox's processes: %w", err)
		}
		if time.Now().After(deadline) {
			return errors.New("processes of the sandbox are still there 30 s after they were killed (a stuck disk or network file system?)")
		}
	}
}

// restrict sets the resource limits of the sandbox's first process, which waits for its release: everything later
// inherits them. It is done as the slot's user, to whom the process belongs; root would need CAP_SYS_RESOURCE, which
// containers seldom have.
func (p *process) restrict(pid int) error {
	var err error
	ownThread(func() {
		if p.user != 0 {
			// The raw calls change this thread alone, which ends here.
			_, _, e1 := unix.RawSyscall(unix.SYS_SETRESGID, p.user, p.user, p.user)
			_, _, e2 := unix.RawSyscall(unix.SYS_SETRESUID, p.user, p.user, p.user)
			if e1 != 0 || e2 != 0 {
				err = fmt.Errorf("becoming user %d: %w, %w", p.user, e1, e2)
				return
			}
		}
		err = p.setLimits(pid)
	})
	return err
}

func (p *process) setLimits(pid int) error {
	for _, r := range []struct {
		name  string
		which int
		max   uint64
	}{
		// Counted for this user namespace alone (Linux 5.14; before that for the host user). Some room above the
		// watched number, so that going over it is seen, and said, by the watcher.
		{"nproc", unix.RLIMIT_NPROC, uint64(p.limits.Processes) + 64},
		{"nofile", unix.RLIMIT_NOFILE, 4096},
		{"core", unix.RLIMIT_CORE, 0},
		{"fsize", unix.RLIMIT_FSIZE, uint64(p.limits.Disk) + 64<<20},
	} {
		var now unix.Rlimit
		err := unix.Prlimit(pid, r.which, nil, &now)
		if err == nil {
			m := min(r.max, now.Max)
			err = unix.Prlimit(pid, r.which, &unix.Rlimit{Cur: m, Max: m}, nil)
		}
		if err != nil {
			return fmt.Errorf("setting the limit %s: %w", r.name, err)
		}
	}
	// Builds yield to the server, and the kernel's memory killer takes them first. Neither is a promise.
	_ = unix.Setpriority(unix.PRIO_PROCESS, pid, 5)
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte("1000"), 0)
	return nil
}

// logWriter passes output on up to the limit, then drops it.
type logWriter struct {
	to    io.Writer
	limit int64
	stop  context.CancelCauseFunc

	seen int64
	tail []byte      // the last few lines, for complaint
	sign *LimitError // the first in all of the output, or nil
}

func (w *logWriter) Write(b []byte) (int, error) {
	keep := b[:min(int64(len(b)), max(0, w.limit-w.seen))]
	cut := w.seen <= w.limit && w.seen+int64(len(b)) > w.limit
	w.seen += int64(len(b))
	known := len(w.tail)
	w.tail = append(w.tail, b...)
	if w.sign == nil {
		w.sign = sign(w.tail[max(0, known-maxSign):])
	}
	w.tail = w.tail[max(0, len(w.tail)-2048):]
	if w.to != nil {
		_, err := w.to.Write(keep)
		if err == nil && cut {
			_, err = fmt.Fprintf(w.to, "\n[axle: the log's limit of %s is reached; the rest of the output is dropped]\n", size(w.limit))
		}
		if err != nil {
			w.to = nil
			w.stop(fmt.Errorf("sandbox: writing the log: %w", err))
		}
	}
	if w.seen > 10*w.limit {
		w.stop(&LimitError{"log", size(w.limit) + " kept, ten times that at most"})
	}
	return len(b), nil // always drained, so that the command never waits for us
}

// complaint is what bwrap said last.
func (w *logWriter) complaint() string {
	lines := bytes.Split(bytes.TrimSpace(w.tail), []byte("\n"))
	for i := len(lines) - 1; i >= 0; i-- {
		if text, ok := bytes.CutPrefix(lines[i], []byte("bwrap: ")); ok {
			return string(text)
		}
	}
	return "it gave no reason"
}

// size is a readable number of bytes.
func size(n int64) string {
	const units = "KMGT"
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/(1<<10), 0
	for ; f >= 1<<10 && i < len(units)-1; i++ {
		f /= 1 << 10
	}
	return fmt.Sprintf("%.1f %ciB", f, units[i])
}
