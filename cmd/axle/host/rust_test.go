package host_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/python-wheel-build/axle/cmd/axle/host"
)

// TestBrokenRust: of what a rustc says that can't be used the first line is told, and none of the backtrace after it.
func TestBrokenRust(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	program := "#!/bin/sh\nprintf 'error: no default is configured\\n\\nStack backtrace:\\n   0: main\\n' >&2\nexit 1\n"
	if err := os.WriteFile(filepath.Join(dir, "rustc"), []byte(program), 0o755); err != nil {
		t.Fatal(err)
	}
	found, err := host.RustToolchain(t.Context())
	if err == nil || !strings.HasSuffix(err.Error(), "rustc --print sysroot: exit status 1: error: no default is configured") {
		t.Errorf("got %q, %v", found, err)
	}
}
