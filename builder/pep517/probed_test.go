package pep517_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/python-wheel-build/axle/builder/pep517"
	"github.com/python-wheel-build/axle/internal/testtools"
)

// What one uv found out about the interpreter the next one believes: it doesn't run it.
func TestProbed(t *testing.T) {
	dir := t.TempDir()
	runs, venv := filepath.Join(dir, "runs"), filepath.Join(dir, "venv")
	if out, err := exec.Command("python3", "-m", "venv", "--without-pip", venv).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	packages, err := filepath.Glob(filepath.Join(venv, "lib", "python3*", "site-packages"))
	if err != nil || len(packages) != 1 {
		t.Fatal(packages, err)
	}
	// Each run of that interpreter tells.
	if err := os.WriteFile(filepath.Join(packages[0], "tell.pth"), fmt.Appendf(nil, "import os; open(%q, 'a').write('x')\n", runs), 0o644); err != nil {
		t.Fatal(err)
	}
	var known pep517.Probed
	var ran []string
	for range 3 {
		cache := filepath.Join(t.TempDir(), "cache")
		if err := known.Lend(cache); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(filepath.Join(testtools.Dir(t), "bin", "uv"), "pip", "compile", "--quiet", "--no-config", "--offline", "--no-index", "--cache-dir", cache,
			"--python", filepath.Join(venv, "bin", "python"), os.DevNull)
		cmd.Env = []string{"HOME=" + dir, "PATH=/usr/bin:/bin"}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if err := known.Keep(dir, cache); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(runs)
		if err != nil {
			t.Fatal(err)
		}
		ran = append(ran, string(b))
	}
	if ran[0] == "" || ran[0] != ran[2] {
		t.Errorf("uv ran the interpreter each time: %q", ran)
	}
}
