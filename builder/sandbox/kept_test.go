package sandbox_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/python-wheel-build/axle/builder/sandbox"
)

func TestKept(t *testing.T) {
	s := newBox(t)
	shell := func(script string) sandbox.Command {
		return sandbox.Command{Argv: []string{"/bin/sh", "-c", script}, Env: map[string]string{"PATH": "/usr/bin:/bin"}}
	}
	dir, err := s.Kept(t.Context(), 0, "random", shell("mkdir out && cat /proc/sys/kernel/random/uuid > out/x"))
	if err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(filepath.Join(dir, "x"))
	if err != nil || len(first) == 0 {
		t.Fatalf("%q, %v", first, err)
	}
	for _, slot := range []int{0, 1} {
		again, err := s.Kept(t.Context(), slot, "random", shell("mkdir out && echo another > out/x"))
		if err != nil || again != dir {
			t.Errorf("asked for again: %s, %v", again, err)
		}
		work := t.TempDir()
		if err := s.Prepare(slot, work); err != nil {
			t.Fatal(err)
		}
		c := shell("cat /kept/x && ! echo written > /kept/x && ! touch /kept/y")
		c.Work, c.Binds = work, []sandbox.Bind{{Source: dir, Target: "/kept"}}
		if err := s.Run(t.Context(), slot, c); err != nil {
			t.Errorf("slot %d reads what is kept, and can't write it: %v", slot, err)
		}
	}
	for _, script := range []string{"mkdir out; exit 3", "true", "ln -s / out"} {
		for range 2 {
			if dir, err := s.Kept(t.Context(), 0, script, shell(script)); dir != "" || err != nil {
				t.Errorf("%s gave %q, %v", script, dir, err)
			}
		}
	}
	if _, err := s.Kept(t.Context(), 0, "no command", sandbox.Command{}); err == nil {
		t.Error("what the caller got wrong is no error")
	}
}
