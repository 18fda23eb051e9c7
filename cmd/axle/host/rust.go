package host

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// RustToolchain is the folder of the Rust toolchain that rustc of PATH belongs to, "" where there is none. One that the package manager
// installed in /usr is a part of the system, which builds see anyway.
func RustToolchain(ctx context.Context) (string, error) {
	rustc, err := exec.LookPath("rustc")
	if err != nil {
		return "", nil
	}
	if rustc, err = filepath.Abs(rustc); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, rustc, "--print", "sysroot")
	cmd.Dir = "/" // rustup's rustc asks the folder that it runs in which toolchain to use, and may install what is missing
	cmd.Env = append(os.Environ(), "RUSTUP_AUTO_INSTALL=0")
	cmd.WaitDelay = time.Second
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		said, _, _ := strings.Cut(strings.TrimSpace(complaint.String()), "\n") // a backtrace may follow
		return "", fmt.Errorf("%s --print sysroot: %w: %s", rustc, err, said)
	}
	dir, err := filepath.EvalSymlinks(strings.TrimSpace(string(out)))
	if err != nil {
		return "", fmt.Errorf("%s --print sysroot: %w", rustc, err)
	}
	if dir == "/usr" {
		return "", nil
	}
	if _, err := os.Stat(filepath.Join(dir, "bin/cargo")); err != nil {
		return "", fmt.Errorf("the toolchain has no cargo: %w", err)
	}
	return dir, nil
}
