package pep517_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/python-wheel-build/axle/builder/pep517"
	"github.com/python-wheel-build/axle/builder/sandbox"
	"github.com/python-wheel-build/axle/internal/testindex"
)

// In each of these a hook fails as if the project were at fault, but the machine had no more to give.
func TestMachinesFault(t *testing.T) {
	shm := "f = open('/dev/shm/x', 'wb')\ntry:\n  while True: f.write(b'x' * (1 << 20))\nexcept OSError as e: error = e\n"
	for _, c := range []struct {
		name, limit, onBuild string
		limits               sandbox.Limits
	}{
		{"the disk, faster than the watcher looks", "disk", "open('/build/home/x', 'wb').write(b'x' * (20 << 20)); raise RuntimeError('no')", sandbox.Limits{Disk: 10 << 20}},
		{"a file's size, and the file is gone", "disk",
			"f = open('x', 'wb')\ntry:\n  f.truncate(80 << 20)\nexcept OSError as e:\n  os.unlink('x')\n  raise RuntimeError(str(e))", sandbox.Limits{Disk: 10 << 20}},
		{"a memory file system, and the file is gone", "disk", shm + "os.unlink('/dev/shm/x')\nraise error", sandbox.Limits{}},
		{"a memory file system, without a word", "disk", shm + "raise RuntimeError('no')", sandbox.Limits{}},
		{"mapped memory", "disk", "import mmap\nf = open('/dev/shm/x', 'w+b'); f.truncate(300 << 20); m = mmap.mmap(f.fileno(), 0)\n" +
			"for i in range(0, 300 << 20, 4096): m[i] = 1", sandbox.Limits{}},
		{"the number of processes", "processes", "for i in range(300):\n  if os.fork() == 0: os._exit(0)",
			sandbox.Limits{Processes: 20}},
		{"a killed tool", "memory", "import subprocess; subprocess.run(['/bin/sh', '-c', 'kill -9 $$'], check=True)", sandbox.Limits{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := open(t, testindex.Spec{Name: "demo", Version: "1.0", OnBuild: c.onBuild}, "")
			b.Limits.Disk, b.Limits.Processes = c.limits.Disk, c.limits.Processes
			var limit *sandbox.LimitError
			if _, err := b.run(pep517.Step{Do: "build"}); !errors.As(err, &limit) || limit.Limit != c.limit || errors.As(err, new(*pep517.BackendError)) {
				t.Errorf("%v\n%s", err, b.log)
			}
		})
	}
	t.Run("installing", func(t *testing.T) {
		b := open(t, testindex.Spec{Name: "demo", Version: "1.0"}, "")
		b.Limits.Disk = 1 << 20
		big := wheel(t, testindex.Spec{Name: "helper", Version: "1", Files: map[string]string{"wheel/big": strings.Repeat("\x00", 70<<20)}})
		var limit *sandbox.LimitError
		if _, err := b.run(pep517.Step{Do: "build", Wheels: []pep517.Wheel{big}}); !errors.As(err, &limit) || limit.Limit != "disk" {
			t.Errorf("%v\n%s", err, b.log)
		}
	})
	t.Run("starting a hook", func(t *testing.T) {
		b := open(t, testindex.Spec{Name: "demo", Version: "1.0", OnRequires: "import resource; resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (4, 4))"}, "")
		if _, err := b.run(pep517.Step{Do: "build"}); err == nil || errors.As(err, new(*pep517.BackendError)) || !strings.Contains(err.Error(), "Too many open files") {
			t.Errorf("%v\n%s", err, b.log)
		}
	})
	t.Run("patching", func(t *testing.T) {
		b := open(t, testindex.Spec{Name: "demo", Version: "1.0"}, "")
		bin := filepath.Join(b.Work, "src", "bin")
		if err := errors.Join(os.Mkdir(bin, 0o755), os.WriteFile(filepath.Join(bin, "patch"), []byte("#!/no/such/shell\n"), 0o755)); err != nil {
			t.Fatal(err)
		}
		b.Variables = map[string]string{"PATH": "/build/src/bin"}
		err := b.Patch(t.Context(), []pep517.Patch{{Name: "001.patch", Path: filepath.Join(bin, "patch")}})
		if err == nil || errors.As(err, new(*pep517.PatchError)) {
			t.Errorf("a patch program that can't be started: %v", err)
		}
	})
}

// A backend can't turn its failure into a success by what it leaves.
func TestForgedResult(t *testing.T) {
	b := open(t, testindex.Spec{Name: "demo", Version: "1.0", OnBuild: `
if os.fork() == 0:
    open('/build/out/demo-1.0-py3-none-any.whl', 'w').close()
    while True:
        with open('/build/forged', 'w') as f: f.write('{"wheel": "demo-1.0-py3-none-any.whl"}')
        os.rename('/build/forged', '/build/result.json')
raise RuntimeError('no')
`}, "")
	var failed *pep517.BackendError
	if got, err := b.run(pep517.Step{Do: "build"}); !errors.As(err, &failed) || failed.Hook != "build_wheel" {
		t.Errorf("%+v, %v\n%s", got, err, b.log)
	}
}
