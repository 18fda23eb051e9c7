package pep517

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/python-wheel-build/axle/internal/version"
)

func TestWritePKGInfo(t *testing.T) {
	v, err := version.Parse("1.0")
	if err != nil {
		t.Fatal(err)
	}
	src, outside := t.TempDir(), t.TempDir()
	for _, dir := range []string{"python", "own"} {
		if err := os.Mkdir(filepath.Join(src, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(src, "own", "PKG-INFO"), []byte("its own"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(src, "link")); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"", "python", "own", "nowhere", "link"} {
		if err := WritePKGInfo(src, dir, "foo", v); err != nil {
			t.Errorf("%q: %v", dir, err)
		}
	}
	for name, want := range map[string]string{"PKG-INFO": "Name: foo\nVersion: 1.0\n", "python/PKG-INFO": "Name: foo\nVersion: 1.0\n", "own/PKG-INFO": "its own"} {
		if b, err := os.ReadFile(filepath.Join(src, name)); err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
		t.Errorf("written through a link: %v, %v", left, err)
	}
}
