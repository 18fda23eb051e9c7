package sandbox_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/python-wheel-build/axle/builder/sandbox"
)

func TestMemory(t *testing.T) {
	b := newBox(t)
	look := sandbox.Command{Argv: []string{b.python, "-c", `import os
print(os.listdir('/build/m/n'), os.stat('/build/m/n').st_dev == os.stat('/build/m').st_dev, oct(os.stat('/build/m/n').st_mode))
fs = os.statvfs('/build/m/n')
print(fs.f_blocks * fs.f_frsize >> 20)
open('/build/m/n/file', 'w').write('x')`}, Memory: "/build/m/n"}
	for range 2 {
		out, err := b.run(look)
		if want := "[] False 0o40755\n1024\n"; err != nil || out != want {
			t.Errorf("got %q, %v; want %q", out, err, want)
		}
	}
	if left, err := os.ReadDir(filepath.Join(b.work, "m/n")); err != nil || len(left) > 0 {
		t.Errorf("on disk is %v, %v", left, err)
	}
	look.Memory = "m"
	if _, err := b.run(look); err == nil {
		t.Error("a relative folder is accepted")
	}
}
