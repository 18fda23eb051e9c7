package archive_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/python-wheel-build/axle/internal/archive"
)

// TestReadFile: nothing but a regular file within bounds and within the tree is read, and a pipe is not waited for.
func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{os.WriteFile(in("file"), []byte("12345"), 0o644), os.Symlink("file", in("inside")), os.Symlink("/etc/passwd", in("outside")),
		os.Mkdir(in("folder"), 0o755), syscall.Mkfifo(in("pipe"), 0o644)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for name, want := range map[string]string{"file": "", "inside": "", "outside": "escapes", "folder": "not a regular file", "pipe": "not a regular file", "none": "no such file"} {
		b, err := archive.ReadFile(root, name, 5)
		if want == "" && (err != nil || string(b) != "12345") || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %q, %v; want %q", name, b, err, want)
		}
		if name == "none" && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("none: %v is not fs.ErrNotExist", err)
		}
	}
	if _, err := archive.ReadFile(root, "file", 4); err == nil || !strings.Contains(err.Error(), "more than 4 bytes") {
		t.Errorf("a file over the limit: %v", err)
	}
}
