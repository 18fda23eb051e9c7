package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	pace     = 200 * time.Millisecond
	diskPace = time.Second
	maxDepth = 512
	minFree  = 256 << 20
	minNodes = 8192
)

// watch calls stop with a *LimitError when the processes below pid, or the files in work, go over a limit. It returns when
// ctx is done.
func watch(ctx context.Context, pid int, work string, l Limits, stop context.CancelCauseFunc) {
	go func() {
		wait := diskPace
		for sleep(ctx, wait) {
			began := time.Now()
			if err := diskOver(ctx, work, l.Disk); err != nil {
				stop(err)
				return
			}
			wait = max(diskPace, 20*time.Since(began))
		}
	}()
	for sleep(ctx, pace) {
		tasks, memory, pids := usage(pid, l.Processes)
		if tasks > l.Processes {
			stop(&LimitError{"processes", strconv.Itoa(l.Processes)})
			return
		}
		if memory > l.Memory && shares(pids) > l.Memory {
			stop(&LimitError{"memory", size(l.Memory)})
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// usage walks the processes from the first one of a pid namespace down: none can leave that tree, since orphans become its
// children. It stops counting beyond max. Processes that end meanwhile count nothing.
func usage(pid, max int) (tasks int, memory int64, pids []int) {
	pids = []int{pid}
	for i := 0; i < len(pids) && tasks <= max; i++ {
		dir := "/proc/" + strconv.Itoa(pids[i])
		threads, err := os.ReadDir(dir + "/task")
		if err != nil {
			continue
		}
		tasks += len(threads)
		memory += fields(dir+"/status", "RssAnon:", "RssShmem:")
		for _, t := range threads {
			b, err := os.ReadFile(dir + "/task/" + t.Name() + "/children")
			if err != nil {
				continue
			}
			for _, f := range strings.Fields(string(b)) {
				if n, err := strconv.Atoi(f); err == nil {
					pids = append(pids, n)
				}
			}
		}
	}
	return tasks, memory, pids
}

// shares is the memory of processes with each page counted once, divided among those that share it. Where that can't be
// read, the plain count is taken.
func shares(pids []int) int64 {
	var sum int64
	for _, pid := range pids {
		dir := "/proc/" + strconv.Itoa(pid)
		n := fields(dir+"/smaps_rollup", "Pss_Anon:", "Pss_Shmem:")
		if n == 0 {
			n = fields(dir+"/status", "RssAnon:", "RssShmem:")
		}
		sum += n
	}
	return sum
}

// fields sums the named lines of a proc file, which are in kB.
func fields(path string, names ...string) int64 {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	var sum int64
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		for _, name := range names {
			if len(f) >= 2 && f[0] == name {
				n, _ := strconv.ParseInt(f[1], 10, 64)
				sum += n << 10
			}
		}
	}
	return sum
}

var errDeep = fmt.Errorf("more than %d nested folders", maxDepth)

// diskOver is a *LimitError when the tree takes more than the allowed bytes, or its file system is nearly full, else nil.
func diskOver(ctx context.Context, work string, allowed int64) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(work, &fs); err == nil {
		if int64(fs.Bavail)*fs.Bsize < minFree {
			return &LimitError{"disk", "the file system has less than " + size(minFree) + " free"}
		}
		if fs.Files > 0 && fs.Ffree < minNodes {
			return &LimitError{"disk", fmt.Sprintf("the file system has less than %d inodes free", minNodes)}
		}
	}
	used, err := disk(ctx, work)
	switch {
	case errors.Is(err, errDeep):
		return &LimitError{"disk", errDeep.Error()}
	case used > allowed:
		return &LimitError{"disk", size(allowed)}
	}
	return nil
}

// disk sums the blocks of a tree that others are changing; what vanishes or can't be read counts nothing.
func disk(ctx context.Context, dir string) (int64, error) {
	linked := map[uint64]bool{}
	var walk func(at int, name string, depth int) (int64, error)
	walk = func(at int, name string, depth int) (sum int64, err error) {
		if depth > maxDepth {
			return 0, errDeep
		}
		fd, err := unix.Openat(at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return 0, nil
		}
		f := os.NewFile(uintptr(fd), name)
		defer f.Close()
		for {
			names, _ := f.Readdirnames(1024)
			if len(names) == 0 || ctx.Err() != nil {
				return sum, nil
			}
			for _, n := range names {
				var st unix.Stat_t
				if unix.Fstatat(fd, n, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
					continue
				}
				isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
				if st.Nlink > 1 && !isDir {
					if linked[st.Ino] {
						continue
					}
					linked[st.Ino] = true
				}
				sum += st.Blocks * 512
				if isDir {
					below, err := walk(fd, n, depth+1)
					sum += below
					if err != nil {
						return sum, err
					}
				}
			}
		}
	}
	return walk(unix.AT_FDCWD, dir, 0)
}
