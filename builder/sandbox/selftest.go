package sandbox

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

//go:embed selftest.py
var selfTest string

// hints are next steps for what bwrap says, and for the parts that the test names.
var hints = []struct{ part, next string }{
	{"Unknown option", "install bubblewrap 0.8.0 or newer"},
	{"Can't mount proc", "the container hides parts of /proc: start it with an unmasked one (procMount: Unmasked, or systempaths=unconfined)"},
	{"namespace", userNamespaces},
	{"uid map", userNamespaces},
	{"NEWADDR", userNamespaces},
	{"Can't find source path", "let the user of the sandbox read it, or start Axle as root"},
	{"interpreter", "show its prefix at its own path: the loader took another library"},
	{"files", "see which mounts the environment's file view shows"},
}

const userNamespaces = "allow user namespaces: sysctl user.max_user_namespaces above 0, kernel.unprivileged_userns_clone=1 and " +
	"kernel.apparmor_restrict_unprivileged_userns=0 where there are such, and in a container a seccomp profile that allows unshare and mount"

func selfTestError(part string, what any) error {
	text := fmt.Sprintf("%s: %v", part, what)
	for _, h := range hints {
		if strings.Contains(text, h.part) {
			return fmt.Errorf("sandbox self-test: %s; next step: %s", text, h.next)
		}
	}
	return fmt.Errorf("sandbox self-test: %s; next step: run bubblewrap by hand with its --help at hand, and report this if it is in order", text)
}

// SelfTest proves on this machine that the sandbox holds what the package says. python is the absolute path of the
// interpreter that builds use, outside and inside. The error names the part that fails and what to do about it.
func (s *Sandbox) SelfTest(ctx context.Context, python string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if _, err := os.Stat(fmt.Sprintf("/proc/self/task/%d/children", unix.Getpid())); err != nil {
		return selfTestError("watcher", fmt.Errorf("the kernel doesn't list a process's children (CONFIG_PROC_CHILDREN): %w", err))
	}
	outside := exec.CommandContext(ctx, python, "-I", "-S", "-c", "import sys; sys.stdout.write(sys.version)")
	outside.Env = []string{}
	version, err := outside.Output()
	if err != nil {
		return selfTestError("interpreter", fmt.Errorf("%s does not run: %w", python, err))
	}
	dir, err := os.MkdirTemp(s.scratch, "selftest-")
	if err != nil {
		return selfTestError("scratch", err)
	}
	defer func() { _ = Remove(dir) }()
	work, hidden := filepath.Join(dir, "work"), filepath.Join(dir, "hidden")
	if err := errors.Join(os.Mkdir(work, 0o755), os.WriteFile(hidden, nil, 0o644), s.Prepare(0, work)); err != nil {
		return selfTestError("scratch", err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return selfTestError("network", err)
	}
	defer tcp.Close()
	abstract := fmt.Sprintf("\x00axle-selftest-%d-%d", os.Getpid(), time.Now().UnixNano())
	local, err := net.Listen("unix", "@"+abstract[1:])
	if err != nil {
		return selfTestError("network", err)
	}
	defer local.Close()
	stdin, err := json.Marshal(map[string]any{
		"port": tcp.Addr().(*net.TCPAddr).Port, "socket": abstract, "hidden": hidden, "version": string(version),
	})
	if err != nil {
		return err
	}
	var out bytes.Buffer
	err = s.Run(ctx, 0, Command{
		Argv: []string{python, "-I", "-S", "-c", selfTest}, Env: map[string]string{"PATH": "/usr/bin:/bin"},
		Work: work, Log: &out, Stdin: stdin, Limits: Limits{Log: 1 << 20},
	})
	if err != nil {
		return selfTestError("start", fmt.Errorf("%w\n%s", err, out.Bytes()))
	}
	var result struct{ Part, What string }
	if err := json.Unmarshal(out.Bytes(), &result); err != nil {
		return selfTestError("start", fmt.Errorf("the probe printed %q", out.Bytes()))
	}
	if result.Part != "" {
		return selfTestError(result.Part, result.What)
	}
	return nil
}
