package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

var ctx = context.Background()

const fullChild = "AXLE_TEST_FULL_CHILD" // the store folder of a child that may write only small files

func TestMain(m *testing.M) {
	if dir := os.Getenv(fullChild); dir != "" {
		fmt.Println(writeTooMuch(dir))
		return
	}
	os.Exit(m.Run())
}

func open(t *testing.T, dir string) *Backend {
	t.Helper()
	b, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// empty checks that no temporary file is left.
func empty(t *testing.T, b *Backend) {
	t.Helper()
	left, err := os.ReadDir(filepath.Join(b.dir, tmp))
	if err != nil || len(left) > 0 {
		t.Errorf("left in tmp: %v, %v", left, err)
	}
}

// writeTooMuch creates a large object under a file size limit, which stands for a full disk: write(2) fails half-way.
func writeTooMuch(dir string) error {
	b, err := Open(dir)
	if err != nil {
		return err
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 1 << 20, Max: 1 << 20}); err != nil {
		return err
	}
	err = b.Create(ctx, "large", 3<<20, bytes.NewReader(make([]byte, 3<<20)))
	if !errors.Is(err, unix.EFBIG) {
		return fmt.Errorf("Create: %v; want EFBIG", err)
	}
	return b.Create(ctx, "small", 5, strings.NewReader("hello"))
}

func TestFullDisk(t *testing.T) {
	b := open(t, t.TempDir())
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fullChild+"="+b.dir)
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "<nil>\n" {
		t.Fatalf("%s, %v", out, err)
	}
	if _, err := b.Stat(ctx, "large"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what did not fit: %v; want fs.ErrNotExist", err)
	}
	if info, err := b.Stat(ctx, "small"); err != nil || info.Size != 5 {
		t.Errorf("what did fit: %+v, %v", info, err)
	}
	empty(t, b)
}

func TestNoHardLinks(t *testing.T) {
	for errno, want := range map[unix.Errno]string{
		unix.EPERM: "no hard links", unix.ENOTSUP: "no hard links", unix.ENOSYS: "no hard links", unix.EXDEV: "one file system",
	} {
		b := open(t, t.TempDir())
		b.link = func(a, b string) error { return &os.LinkError{Op: "link", Old: a, New: b, Err: errno} }
		for name, err := range map[string]error{"Open": b.prepare(), "Create": b.Create(ctx, "a", 1, strings.NewReader("x"))} {
			if !errors.Is(err, errno) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), b.dir) {
				t.Errorf("%s with %v: %v; want an error with %q and the folder", name, errno, err, want)
			}
		}
		empty(t, b)
	}
}

func TestFoldersOfKeys(t *testing.T) {
	b := open(t, t.TempDir())
	for _, key := range []string{"a/b", "f"} {
		if err := b.Create(ctx, key, 1, strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"a", "a/b/c", "a/b/c/d", "f/g"} {
		if err := b.Create(ctx, key, 1, strings.NewReader("x")); err == nil || !strings.Contains(err.Error(), "folder of another") {
			t.Errorf("%s beside a/b and f: %v", key, err)
		}
	}
	for _, key := range []string{"tmp", "tmp/x"} {
		if err := b.Create(ctx, key, 1, strings.NewReader("x")); err == nil || !strings.Contains(err.Error(), "temporary") {
			t.Errorf("%s: %v", key, err)
		}
	}
	empty(t, b)
}

// An operator removes folders under a running process.
func TestFolderRemoved(t *testing.T) {
	b := open(t, t.TempDir())
	for range 2 {
		if err := b.Create(ctx, "a/b/c", 1, strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(b.dir, "a")); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Create(ctx, "a/b/c", 1, strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(b.dir, tmp)); err != nil {
		t.Fatal(err)
	}
	if err := b.Create(ctx, "d", 1, strings.NewReader("x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without tmp: %v", err)
	}
}

// Files of the dead go at the next Open, those of the living don't.
func TestReap(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	living, err := b.temp()
	if err != nil {
		t.Fatal(err)
	}
	defer discard(living)
	dead, err := b.temp()
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	open(t, dir)
	if _, err := os.Stat(living.Name()); err != nil {
		t.Errorf("the living one: %v", err)
	}
	if _, err := os.Stat(dead.Name()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the dead one: %v", err)
	}
}

// Nobody can change an object by mistake, and links that an operator makes are followed.
func TestFiles(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	b := open(t, dir)
	if err := os.Symlink(elsewhere, filepath.Join(dir, "blobs")); err != nil {
		t.Fatal(err)
	}
	if err := b.Create(ctx, "blobs/x/y", 5, strings.NewReader("hello")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(elsewhere, "x/y"))
	if err != nil || info.Mode()&0o222 != 0 {
		t.Errorf("%v, %v; want a file without rights to write", info, err)
	}
	n := 0
	for info, err := range b.List(ctx, "", "") {
		if n++; err != nil || info.Key != "blobs/x/y" || info.Size != 5 {
			t.Errorf("List: %+v, %v", info, err)
		}
	}
	if n != 1 {
		t.Errorf("%d keys listed, want 1", n)
	}
	// A prefix leads to keys only: not to temporary files, nor out of the store.
	for name, text := range map[string]string{"tmp/put-1": "x", "tmp/process/file": "x", "../beside/key": "x"} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	for _, prefix := range []string{"tmp/", "tmp/process/", "../beside/", "blobs/../../beside/", "./tmp/"} {
		for info, err := range b.List(ctx, prefix, "") {
			t.Errorf("List %s: %+v, %v; want nothing", prefix, info, err)
		}
	}
	f, err := b.File("blobs/x/y")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := io.ReadAll(f); string(got) != "hello" {
		t.Errorf("File: %q, %v", got, err)
	}
	for _, key := range []string{"blobs", "blobs/x", "blobs/x/z", "blobs/x/y/z"} {
		if _, err := b.File(key); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("File %s: %v; want fs.ErrNotExist", key, err)
		}
	}
	if _, err := b.File("../x"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("File outside: %v", err)
	}
}
