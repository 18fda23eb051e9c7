package scratch

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLivingFolderStaysDeadOneGoes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a [b]*")
	living, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	dead, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []*Folder{living, dead} {
		if err := os.WriteFile(filepath.Join(f.Path(), "file"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	shut := filepath.Join(dead.Path(), "shut")
	if err := os.MkdirAll(filepath.Join(shut, "deep"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(shut, 0); err != nil {
		t.Fatal(err)
	}
	stranger := filepath.Join(dir, "not-ours")
	if err := os.WriteFile(stranger, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dead.lock.Close() // what the kernel does when a process dies

	next, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(living.Path(), "file")); err != nil {
		t.Errorf("the living process lost its file: %v", err)
	}
	if _, err := os.Stat(dead.Path()); !os.IsNotExist(err) {
		t.Errorf("the dead process's folder is still there: %v", err)
	}
	if _, err := os.Stat(stranger); err != nil {
		t.Errorf("a stranger's file was removed: %v", err)
	}
	for range 2 {
		if err := next.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if err := living.Close(); err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("left in the folder: %v, %v; want the stranger's file alone", left, err)
	}
}

// TestUnrelated: on ext4, what lies in the folders of a scratch folder is spread over the disk.
func TestUnrelated(t *testing.T) {
	t.Parallel()
	folder, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	var fs unix.Statfs_t
	if err := unix.Statfs(folder.Path(), &fs); err != nil {
		t.Fatal(err)
	}
	if fs.Type != unix.EXT4_SUPER_MAGIC {
		t.Skipf("the temp folder is on a file system of type %#x: only ext4 knows the mark", fs.Type)
	}
	f, err := os.Open(folder.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS); err != nil || flags&topDir == 0 {
		t.Errorf("flags %#x, %v: not the top of a hierarchy", flags, err)
	}
}
