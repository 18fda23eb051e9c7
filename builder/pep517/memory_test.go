package pep517_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/python-wheel-build/axle/builder/pep517"
	"github.com/python-wheel-build/axle/internal/testindex"
)

// An environment of small wheels lies in memory and leaves nothing on disk, whatever an earlier one, which was large, has left in its place.
func TestEnvironmentInMemory(t *testing.T) {
	b := open(t, testindex.Spec{Name: "demo", Version: "1.0", See: []string{"helper"}, OnBuild: `
seen['memory'] = os.stat('/build/venv').st_dev != os.stat('/build').st_dev
seen['entries'] = sorted(os.listdir('/build/venv'))
open('/build/venv/own', 'w').close()
if not seen['memory']:
    os.rename('/build/venv', '/build/was')
    os.symlink('/build/src', '/build/venv')
`}, "")
	small := wheel(t, testindex.Spec{Name: "helper", Version: "1", Marker: "small"})
	large := wheel(t, testindex.Spec{Name: "helper", Version: "2", Marker: "large", Files: map[string]string{"wheel/data.bin": strings.Repeat("\x00", 65<<20)}})
	for i, want := range []struct {
		wheel  pep517.Wheel
		marker string
		memory bool
	}{{small, "small", true}, {large, "large", false}, {small, "small", true}} {
		got, err := b.run(pep517.Step{Do: "build", Wheels: []pep517.Wheel{want.wheel}})
		if err != nil {
			t.Fatalf("run %d: %v\n%s", i, err, b.log)
		}
		s := seen(t, got.Wheel, "demo")
		const entries = "[.lock bin lib lib64 pyvenv.cfg]" // the first is uv's
		if s["helper"] != want.marker || s["memory"] != want.memory || fmt.Sprint(s["entries"]) != entries {
			t.Errorf("run %d: the backend saw %v, want %s, memory %t, %s", i, s, want.marker, want.memory, entries)
		}
		if left, err := os.ReadDir(filepath.Join(b.Work, "venv")); want.memory && (err != nil || len(left) > 0) {
			t.Errorf("run %d left %v on disk, %v", i, left, err)
		}
	}
	if _, err := os.Stat(filepath.Join(b.Work, "src/own")); err == nil {
		t.Error("the environment was made where a link led")
	}
}
