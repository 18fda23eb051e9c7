package sandbox

import (
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// ownThread runs f on a thread of its own that ends with f. So f may change what belongs to a thread (mount
// namespace, umask), and a child that f starts has that thread as its parent: if the process dies, so does the child.
// The main thread can't end, so it is never the one.
func ownThread(f func()) {
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			ownThread(f)
			runtime.UnlockOSThread()
			close(done)
			return
		}
		defer close(done) // still locked: the runtime ends the thread
		f()
	}()
	<-done
}

// RunTied is cmd.Run for a command outside any sandbox that the kernel is to kill when this process dies. It sets Pdeathsig, which
// means the thread that started the child, not the process: without a thread kept for it, the end of any thread (each Run ends
// one) may kill the child in mid-work.
func RunTied(cmd *exec.Cmd) (err error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	ownThread(func() { err = cmd.Run() })
	return err
}
