// Package sandbox runs one command of a stranger's build where it can reach nothing but what it was given.
//
// Inside, the command is uid 1000 of its own user, pid, mount, network, ipc, uts and cgroup namespaces, has no
// capability and can make no further user namespace. It sees the files of an environ.Root and of the command's
// Binds, all read-only, one writable host folder at /build, and sized memory file systems at /tmp and /dev/shm.
// It has no network, no terminal and no environment but the command's. The work is done by bubblewrap (bwrap);
// this package decides what bwrap is told, watches the limits and makes sure that nothing is left behind.
//
// Two calls are needed: New once, Run for each command. SelfTest proves on this machine what is said above, and Precompile,
// once after it, makes Python start as fast as outside.
//
// When the caller is root, every slot has a host user of its own (BaseUID+slot), so that sandboxes can neither
// reach nor starve each other; privileges are dropped before bwrap starts. Otherwise they run as the caller.
//
// # Limits
//
// Every 200 ms the tasks of the sandbox are counted and their memory is summed; once a second (more seldom for
// large trees, so that it takes at most 5 % of a core) the blocks of the work folder are summed. Over a limit
// the whole sandbox is killed, and Run returns a *LimitError. Hence a short overshoot is possible.
//
//   - Memory is RssAnon+RssShmem of all processes. That counts a page once for each process sharing it, so before
//     a kill it is confirmed by the proportional shares (Pss), which are dear to read. Memory file systems
//     (/tmp: 2 GiB, /dev/shm: 256 MiB, Command.Memory: 1 GiB) come on top as far as no process maps their pages.
//   - Processes counts tasks, that is processes and threads. A little above it fork itself fails (RLIMIT_NPROC).
//   - Disk is blocks in use, not following links, an inode once. A tree deeper than 512 folders counts as over
//     the limit. Files that are deleted but still open, and what a folder that the caller can't read holds, are not
//     seen: therefore every sandbox also ends when its file system has less than 256 MiB or 8192 inodes free.
//   - Log: output beyond the limit is dropped, and a line in the log says so; a command that goes on to ten times
//     the limit is killed.
//
// A limit that a command meets by itself, before it is seen to be over it, makes the command fail, mostly with an exit code that says
// nothing. So when one fails, Run returns a *LimitError too if the work folder or its file system is full in the end, if the kernel
// killed a process for want of memory meanwhile, or if the output has one of the texts by which programs complain of such (file
// blame.go).
//
// There is no limit on address space: Go, Java and rustc reserve far more than they use.
package sandbox

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/python-wheel-build/axle/resolver/environ"
)

// BaseUID is the host user and group of slot 0 when the caller is root; slot n has BaseUID+n.
const BaseUID = 10001

// Limits bound one command. A zero field means the one of DefaultLimits.
type Limits struct {
	Wall      time.Duration
	Memory    int64 // bytes
	Processes int   // processes and threads
	Disk      int64 // bytes in the work folder, and the largest single file
	Log       int64 // bytes kept of the output
}

// DefaultLimits let the largest known builds pass (hours, many GB) and stop the runaway ones.
var DefaultLimits = Limits{Wall: 8 * time.Hour, Memory: 16 << 30, Processes: 4096, Disk: 64 << 30, Log: 100 << 20}

func (l Limits) orDefault() Limits {
	d := DefaultLimits
	if l.Wall > 0 {
		d.Wall = l.Wall
	}
	if l.Memory > 0 {
		d.Memory = l.Memory
	}
	if l.Processes > 0 {
		d.Processes = l.Processes
	}
	if l.Disk > 0 {
		d.Disk = l.Disk
	}
	if l.Log > 0 {
		d.Log = l.Log
	}
	return d
}

// Bind shows a host file or folder read-only at an absolute path inside.
type Bind struct{ Source, Target string }

// Command is one command to run.
type Command struct {
	Argv    []string          // Argv[0] is looked up in Env["PATH"] inside the sandbox
	Env     map[string]string // the whole environment
	Work    string            // host folder shown read-write at /build, given to the slot by Prepare
	Binds   []Bind            // on top of the Root, in order
	Dir     string            // working folder inside; "" is /build
	Memory  string            // folder inside, empty at first, that lies in memory and ends with the command; no link may lead there; "" is none
	Network bool              // share the host's network and show its resolver and certificate files
	Limits  Limits
	Log     io.Writer // receives stdout and stderr, as the bytes come; nil drops them
	Stdout  io.Writer // receives stdout in place of Log, all of it; nil leaves that there. An error of its Write ends the command, and Run returns it
	Stdin   []byte
}

// ExitError says that the command ran and failed. A signal is also seen in Code (128+n), and a command that exits
// with such a code itself can't be told from one that was killed.
type ExitError struct {
	Code   int
	Signal syscall.Signal // 0 when it ended by itself
}

func (e *ExitError) Error() string {
	switch {
	case e.Signal == syscall.SIGKILL:
		return "the command was killed (SIGKILL): the machine may be out of memory"
	case e.Signal != 0:
		return fmt.Sprintf("the command was ended by signal %d (%v)", int(e.Signal), e.Signal)
	}
	return fmt.Sprintf("the command failed with exit code %d", e.Code)
}

// LimitError says that the sandbox was killed for going over one of its Limits, or that the command failed where the machine had no more
// to give. That tells nothing about the project: with more of it, it may build.
type LimitError struct {
	Limit   string // "wall time" | "memory" | "processes" | "disk" | "log"
	Allowed string // readable, "2.0 GiB", or by what it is known
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("the sandbox came to its limit of %s (%s): %s, or see in the log what used it up", e.Limit, e.Allowed, more[e.Limit])
}

// more is how to have more of what is limited.
var more = map[string]string{
	"wall time": "raise --limit-time of axle serve",
	"memory":    "raise --limit-memory of axle serve, or have fewer compilers run at once (MAX_JOBS in the project's env)",
	"processes": "have fewer run at once (MAX_JOBS in the project's env)",
	"disk":      "raise --limit-disk of axle serve, or, where /tmp is full, set TMPDIR: /build/home in the project's env",
	"log":       "have the build print less",
}

// within adds to what a program said the limits that it may have come to.
func (e *LimitError) within(l Limits) *LimitError {
	known := map[string]string{
		"memory":    size(l.Memory) + " are allowed",
		"processes": fmt.Sprintf("%d are allowed", l.Processes),
		"disk":      fmt.Sprintf("%s are allowed below /build, %s below /tmp, %s below /dev/shm, %s in an environment that lies in memory", size(l.Disk), size(tmpSize), size(shmSize), size(memSize)),
	}
	return &LimitError{e.Limit, e.Allowed + "; " + known[e.Limit]}
}

// Sandbox runs commands. It may be used by many goroutines, each with a slot of its own at a time.
type Sandbox struct {
	root    environ.Root
	scratch string
	slots   int
	bwrap   string
	asRoot  bool
	kept    *kept
}

// New finds bubblewrap and readies slots 0 to slots-1. scratch is a folder for SelfTest's files. What else can be
// wrong with this machine is found by SelfTest.
func New(root environ.Root, scratch string, slots int) (*Sandbox, error) {
	if slots < 1 {
		return nil, fmt.Errorf("sandbox: %d slots: at least one is needed", slots)
	}
	bwrap, err := exec.LookPath("bwrap")
	if err != nil {
		return nil, fmt.Errorf("sandbox: bubblewrap is missing (%w): install bubblewrap 0.8.0 or newer", err)
	}
	if bwrap, err = filepath.Abs(bwrap); err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	if err := closeOnExec(); err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	for _, m := range root.Mounts {
		switch m.Kind {
		case "bind", "tmpfs", "symlink", "file":
		default:
			return nil, fmt.Errorf("sandbox: mount of unknown kind %q at %s", m.Kind, m.Target)
		}
		if !filepath.IsAbs(m.Target) {
			return nil, fmt.Errorf("sandbox: mount target %q is not absolute", m.Target)
		}
	}
	return &Sandbox{root: root, scratch: scratch, slots: slots, bwrap: bwrap, asRoot: os.Geteuid() == 0, kept: &kept{all: map[string]string{}}}, nil
}

// Root is the file view that every command gets.
func (s *Sandbox) Root() environ.Root { return s.root }

// Without is the same sandbox, with the same slots, for commands that are shown nothing of these components of the environment.
func (s *Sandbox) Without(components []string) *Sandbox {
	own := *s
	own.root = s.root.Without(components)
	return &own
}

// Slots is the number of commands that may run at once.
func (s *Sandbox) Slots() int { return s.slots }

// Run runs one command to its end and returns nil if it exited with 0, else *ExitError, *LimitError (see Limits), ctx.Err(), or
// another error when the sandbox could not be made. When Run returns, every process of the sandbox is gone, also those
// that the command left behind. If the calling process dies, they die too.
func (s *Sandbox) Run(ctx context.Context, slot int, c Command) error {
	if err := s.check(slot, c); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	c.Limits = c.Limits.orDefault()
	if c.Dir == "" {
		c.Dir = "/build"
	}
	kills := oomKills()
	var err error
	ownThread(func() { err = s.run(ctx, slot, c) })
	if _, failed := err.(*ExitError); failed {
		if oomKills() > kills { // if it was another's process, a failing build is tried again for nothing
			return (&LimitError{"memory", "the kernel killed a process for want of it"}).within(c.Limits)
		}
		// A command that fills the disk or comes to its file size limit may fail by itself before the watcher looks.
		if over := diskOver(ctx, c.Work, c.Limits.Disk); over != nil {
			return over
		}
	}
	return err
}

func (s *Sandbox) check(slot int, c Command) error {
	if slot < 0 || slot >= s.slots {
		return fmt.Errorf("slot %d of %d", slot, s.slots)
	}
	if len(c.Argv) == 0 {
		return fmt.Errorf("no command")
	}
	if !filepath.IsAbs(c.Work) {
		return fmt.Errorf("work folder %q is not absolute", c.Work)
	}
	if c.Memory != "" && !filepath.IsAbs(c.Memory) {
		return fmt.Errorf("folder %q in memory is not absolute", c.Memory)
	}
	for _, a := range c.Argv {
		if strings.ContainsRune(a, 0) {
			return fmt.Errorf("argument %q holds a NUL", a)
		}
	}
	for k, v := range c.Env {
		if k == "" || strings.ContainsAny(k, "=\x00") || strings.ContainsRune(v, 0) {
			return fmt.Errorf("environment variable %q=%q can't be set", k, v)
		}
	}
	for _, b := range c.Binds {
		if !filepath.IsAbs(b.Source) || !filepath.IsAbs(b.Target) {
			return fmt.Errorf("bind %q at %q: both must be absolute", b.Source, b.Target)
		}
	}
	return nil
}

// user is the host user and group of a slot.
func (s *Sandbox) user(slot int) int { return BaseUID + slot }

// Prepare gives dir and everything in it to the slot's user, so that a command of that slot can write it as its
// Work folder. Links are given, not followed. No command may be running in dir. Without root it does nothing.
func (s *Sandbox) Prepare(slot int, dir string) error {
	if !s.asRoot {
		return nil
	}
	if slot < 0 || slot >= s.slots {
		return fmt.Errorf("sandbox: slot %d of %d", slot, s.slots)
	}
	return own(dir, s.user(slot))
}
