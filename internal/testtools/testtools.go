// Package testtools finds the programs that tests run: the ones `make tools` installs.
package testtools

import (
	"os"
	"path/filepath"
	"testing"
)

// Dir is the tools folder: AXLE_TOOLS where set, else .tools at the module's root. A missing folder ends the test, since a test
// without its real part would prove nothing.
func Dir(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("AXLE_TOOLS")
	if dir == "" {
		dir = filepath.Join(root(t), ".tools")
	}
	if _, err := os.Stat(filepath.Join(dir, "bin", "uv")); err != nil {
		t.Fatalf("no tools in %s: run `make tools` first (%v)", dir, err)
	}
	return dir
}

// Tool is the absolute path of one program of the tools folder.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(Dir(t), "bin", name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("no %s: run `make tools` first (%v)", name, err)
	}
	return path
}

func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
	}
	t.Fatal("no go.mod above the test's folder")
	return ""
}
