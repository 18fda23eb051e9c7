package sandbox

import (
	"fmt"
	"os"
	"strconv"

	"github.com/python-wheel-build/axle/resolver/environ"
	"golang.org/x/sys/unix"
)

// stageDir is covered by a memory file system that only this thread and its children see. bwrap itself mounts there,
// for the same reason: it always exists, is no link, and nothing of it is needed once the sources are open.
const stageDir = "/tmp"

// stage moves the calling thread, which must be root, into a mount namespace of its own, and shows each host path there at
// a place that every user can reach; so that bwrap, as the slot's user, can bind an interpreter under a home folder or a
// work folder under a private one. It returns the new path of each. The mounts end with the namespace: with the thread
// and its children.
func stage(list []environ.Mount, work string) (map[string]string, error) {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil { // implies CLONE_FS
		return nil, fmt.Errorf("making a mount namespace: %w: as root Axle needs CAP_SYS_ADMIN; or start it as another user", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, fmt.Errorf("making the mount namespace private: %w", err)
	}
	staged := map[string]string{work: ""}
	for _, m := range list {
		if m.Kind == "bind" {
			staged[m.Source] = ""
		}
	}
	// Open first: a source may lie under stageDir.
	open := map[string]*os.File{}
	for path := range staged {
		fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("showing %s: %w", path, err)
		}
		f := os.NewFile(uintptr(fd), path)
		defer f.Close()
		open[path] = f
	}
	if err := unix.Mount("axle", stageDir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755,size=1m"); err != nil {
		return nil, fmt.Errorf("mounting a file system for the sandbox's sources: %w", err)
	}
	for path, f := range open {
		target := stageDir + "/" + strconv.Itoa(int(f.Fd()))
		info, err := f.Stat()
		if err == nil && info.IsDir() {
			err = os.Mkdir(target, 0o755)
		} else if err == nil {
			err = os.WriteFile(target, nil, 0o644)
		}
		if err == nil {
			err = unix.Mount(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), target, "", unix.MS_BIND|unix.MS_REC, "")
		}
		if err != nil {
			return nil, fmt.Errorf("showing %s: %w", path, err)
		}
		staged[path] = target
	}
	return staged, nil
}
