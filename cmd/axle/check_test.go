package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/python-wheel-build/axle/index/checks"
	"github.com/python-wheel-build/axle/internal/testindex"
)

// shuffled has the wheel's files written in an order that hangs on how many jobs there may be.
const shuffled = `
import zipfile
class Z(zipfile.ZipFile):
    held = ()
    def writestr(self, *item):
        self.held += (item,)
    def close(self):
        held, self.held = self.held, ()
        for item in held[::-1] if int(os.environ["MAX_JOBS"]) % 2 else held:
            super().writestr(*item)
        super().close()
sys.modules["testindex_backend"].zipfile = type("zipfile", (), {"ZipFile": Z, "ZipInfo": zipfile.ZipInfo, "ZIP_DEFLATED": zipfile.ZIP_DEFLATED})
`

// checksOf is what the server keeps of a version's checks, newest first.
func (r *rig) checksOf(project string) []checks.Check {
	r.t.Helper()
	var out struct{ Checks []checks.Check }
	got := r.get("/api/v1/checks/"+project+"/1.0", nil)
	if got.status != http.StatusOK {
		r.t.Fatalf("checks of %s: %d %s", project, got.status, got.body)
	}
	r.ok(json.Unmarshal([]byte(got.body), &out))
	return out.Checks
}

// TestCheck builds projects twice by `axle build --check`: what leaks into a wheel is told file by file and kept, and the wheel that is
// served stays the one from before.
func TestCheck(t *testing.T) {
	r := newRig(t)
	r.config += "    wheels_only: pre-built\n"
	r.up.AddWheel(testindex.Spec{Name: "taken", Version: "1.0"})
	r.up.Add(spec("tool", "1.0", "old"), spec("tool", "2.0", "new"), spec("other-tool", "1.0", "other"))
	jobs := max(1, runtime.GOMAXPROCS(0)/2) // as a first build has; r.args has two workers
	tests := []struct {
		name    string
		spec    testindex.Spec
		outcome string
		says    []string // on standard error
	}{
		{"same", testindex.Spec{Ext: true, Marker: "m"}, "identical", []string{"same: check: identical"}},
		{"same-dynamic", testindex.Spec{BuildRequires: []string{"tool"}, DynamicRequires: []string{"other-tool", "tool>1"}, See: []string{"tool", "other_tool"}}, "identical", nil},
		// Two environments, and another version in each: the record has both.
		{"same-moves", testindex.Spec{BuildRequires: []string{"tool"}, DynamicRequires: []string{"tool<2"}, See: []string{"tool"}}, "identical", nil},
		{"random", testindex.Spec{OnBuild: "seen['token'] = os.urandom(8).hex()"}, "different",
			[]string{"random: check: NOT reproducible: sha256:", `  random.py: line 2 was "SEEN = {\"token\": `, "log of the second build: http://127.0.0.1:"}},
		{"clock", testindex.Spec{OnBuild: "import time\nseen['when'] = str(time.time())"}, "different", []string{"clock.py: line 2 was", "(it looks like a time)"}},
		{"clock-in-c", testindex.Spec{Ext: true, OnBuild: "import time\nopen('stamp.h', 'w').write('#define STAMP \"built at %f\"\\n' % time.time())",
			Files: map[string]string{"_clock_in_c.c": "#include \"stamp.h\"\nconst char *stamp = STAMP;\n"}}, "different",
			[]string{"_clock_in_c.cpython-", "code or data", `in .rodata: "built at 1`, "(it looks like a time)"}},
		{"shuffled", testindex.Spec{OnBuild: shuffled}, "different", []string{"  no file differs, only the archive around them\n", "the archive's order of files differs: entry 1 was "}},
		{"once", testindex.Spec{OnBuild: fmt.Sprintf("if int(os.environ['MAX_JOBS']) > %d: raise RuntimeError('not twice')", jobs)}, "failed",
			[]string{"once: check: NOT reproducible", "built again it failed", "not twice"}},
		{"asks-anew", testindex.Spec{BuildRequires: []string{"tool"}, OnRequires: fmt.Sprintf("if int(os.environ['MAX_JOBS']) > %d: "+
			"sys.modules['testindex_backend'].SPEC['dynamic'] = ['other-tool']", jobs)}, "failed", []string{"other build requirements than the record has"}},
		{"taken", testindex.Spec{}, "", []string{"taken: check: skipped: the wheel was taken pre-built from index main"}},
	}
	var names []string
	for _, test := range tests {
		test.spec.Name, test.spec.Version = test.name, "1.0"
		if test.outcome != "" {
			r.up.Add(test.spec)
		}
		names = append(names, test.name)
	}
	r.start()
	first, stderr, err := r.run(append([]string{"build"}, names...)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	built := r.built()
	again, stderr, err := r.run(append([]string{"build", "--check"}, names...)...)
	if !equalLines(again, first) {
		t.Errorf("the wheels' URLs are\n%swant those from before\n%s", again, first)
	}
	if err == nil || !strings.HasSuffix(strings.TrimSpace(stderr), "axle: 6 of 10 not reproducible") {
		t.Errorf("%v\n%s", err, stderr)
	}
	if _, errs, err := r.run("build", "--check", "same"); err != nil || !strings.Contains(errs, "same: check: identical") {
		t.Errorf("all is well: %v\n%s", err, errs)
	}
	if _, errs, err := r.run("build", "--check", "random"); err == nil || !strings.HasSuffix(strings.TrimSpace(errs), "1 of 1 not reproducible") {
		t.Errorf("once more: %v\n%s", err, errs)
	}
	if got := r.built() - built; got != 0 {
		t.Errorf("%d checks are counted as builds", got)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, want := range test.says {
				if !strings.Contains(stderr, want) {
					t.Errorf("not said: %q in\n%s", want, stderr)
				}
			}
			url := regexp.MustCompile(`(?m)^.*/` + testindex.Module(test.name) + `-1\.0-.*$`).FindString(first)
			sum := digest.FromString(r.get(url, nil).body).Encoded()
			if !strings.Contains(url, "/"+sum+"/") {
				t.Errorf("%s has now the bytes %s", url, sum)
			}
			kept := r.checksOf(test.name)
			if test.outcome == "" {
				if len(kept) != 0 {
					t.Errorf("kept: %+v", kept)
				}
				return
			}
			want := 1
			if test.name == "same" || test.name == "random" {
				want = 2
			}
			if len(kept) != want {
				t.Fatalf("%d checks are kept, want %d: %+v", len(kept), want, kept)
			}
			for _, c := range kept {
				if c.Outcome != test.outcome || c.SHA256 != sum || (c.Other == sum) != (test.outcome == "identical") || (c.Other == "") != (test.outcome == "failed") ||
					(len(c.Differences) == 0) != (test.outcome == "identical") || c.Recipe == "" || c.Input == "" || c.Who == "" || c.When.IsZero() {
					t.Errorf("%+v", c)
				}
				if log := r.get(c.Log, nil); log.status != http.StatusOK || !strings.Contains(log.body, "axle: running the backend (build)") {
					t.Errorf("its log: %d %s", log.status, log.body)
				}
				if c.Outcome != "different" {
					continue
				}
				if _, err := os.Stat(filepath.Join(r.store, "blobs", "sha256", c.Other[:2], c.Other)); err != nil {
					t.Errorf("the evidence: %v", err)
				}
				if got := r.get(strings.Replace(url, sum, c.Other, 1), nil).status; got != http.StatusNotFound {
					t.Errorf("the evidence is served: %d", got)
				}
			}
			if n := len(glob(t, r.store, "records/"+test.name+"/1.0/*/*/*.json")); n != 1 {
				t.Errorf("%d records, want 1", n)
			}
		})
	}
	if left, err := filepath.Glob(filepath.Join(r.store, "failures/*/*.json")); err != nil || len(left) != 0 {
		t.Errorf("a failed check is remembered as a failure: %v %v", left, err)
	}
	if got := r.count(`axle_checks_total{outcome="identical"}`); got != 4 {
		t.Errorf("%d identical checks are counted, want 4", got)
	}
	// A wheel that the record was built with is gone from the store: that ends the check and says what is missing.
	gone := r.only("other-tool").Hashes["sha256"]
	r.ok(os.Remove(filepath.Join(r.store, "blobs", "sha256", gone[:2], gone)))
	_, stderr, err = r.run("build", "--check", "same-dynamic", "same")
	if err == nil || !strings.Contains(stderr, "built with other-tool 1.0 (sha256:"+gone+"), whose bytes the store has no longer; `axle build other-tool==1.0`") ||
		!strings.Contains(stderr, "same: check: identical") || !strings.HasSuffix(strings.TrimSpace(stderr), "1 of 2 failed") {
		t.Errorf("%v\n%s", err, stderr)
	}
	if out, errs, err := r.run("verify", "--store", r.store); err != nil || out != "" {
		t.Errorf("verify: %v\n%s%s", err, out, errs)
	}
}

// equalLines compares texts whose lines may come in any order.
func equalLines(a, b string) bool {
	la, lb := strings.Split(a, "\n"), strings.Split(b, "\n")
	slices.Sort(la)
	slices.Sort(lb)
	return slices.Equal(la, lb)
}
