package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/cmd/axle/host"
	"github.com/python-wheel-build/axle/internal/testindex"
)

func spec(name, version, marker string) testindex.Spec {
	return testindex.Spec{Name: name, Version: version, Marker: marker}
}

// files gives what a project's JSON page lists, with absolute URLs.
func (r *rig) files(project string) []file {
	r.t.Helper()
	page := r.base + "/simple/" + project + "/"
	resp := r.get(page, map[string]string{"Accept": "application/vnd.pypi.simple.v1+json"})
	if resp.status != http.StatusOK {
		r.t.Fatalf("page of %s: %d %s", project, resp.status, resp.body)
	}
	var body struct{ Files []file }
	r.ok(json.Unmarshal([]byte(resp.body), &body))
	base, err := url.Parse(page)
	r.ok(err)
	for i, f := range body.Files {
		u, err := base.Parse(f.URL)
		r.ok(err)
		body.Files[i].URL = u.String()
	}
	return body.Files
}

// only is the one file of a project with one version.
func (r *rig) only(project string) file {
	r.t.Helper()
	all := r.files(project)
	if len(all) != 1 {
		r.t.Fatalf("page of %s lists %d files: %+v", project, len(all), all)
	}
	return all[0]
}

type file struct {
	Filename string
	URL      string
	Hashes   map[string]string
}

func (f file) hit() bool { return f.Hashes["sha256"] != "" }

// TestSecondInstallIsAHit: what one client had built, every client gets, after any restart.
func TestSecondInstallIsAHit(t *testing.T) {
	r := newRig(t)
	r.up.Add(spec("base", "1.0", "b"), testindex.Spec{Name: "tool", Version: "1.0", Marker: "t", BuildRequires: []string{"base"}, See: []string{"base"}},
		testindex.Spec{Name: "demo", Version: "1.0", Marker: "d", BuildRequires: []string{"tool"}, See: []string{"tool"}, Requires: []string{"base"}})
	r.start()
	for i, c := range clients(t) {
		folder := r.installs(c, r.home(), "demo")
		if got := r.marker(folder, "demo") + r.marker(folder, "base"); got != "db" {
			t.Errorf("%s installed %q", c.name, got)
		}
		if got, want := r.built(), 3; i == 0 && got != want {
			t.Fatalf("%s: %d builds, want %d", c.name, got, want)
		}
		if i > 0 && r.built() != 0 {
			t.Errorf("%s: %d builds after the restart, want none", c.name, r.built())
		}
		if i == 0 {
			r.stop()
		} else {
			r.kill()
		}
		r.start()
	}
	if out, stderr, err := r.run("verify", "--store", r.store); err != nil || out != "" {
		t.Errorf("verify: %v\n%s%s", err, out, stderr)
	}
}

// legacy is a project with a setup.py only, whose build needs another project: nobody knows its metadata without running it.
func legacy(name string, requires ...string) testindex.Spec {
	var quoted []string
	for _, q := range requires {
		quoted = append(quoted, fmt.Sprintf("%q", q))
	}
	imports := ""
	for _, q := range requires {
		imports += "import " + q + "\n"
	}
	return testindex.Spec{Name: name, Version: "1.0", Backend: testindex.Legacy, MetadataVersion: "2.1", Files: map[string]string{
		"setup.py": fmt.Sprintf("from setuptools import setup\nimport sys\nif 'egg_info' not in sys.argv:\n    %s\nsetup(name=%q, version='1.0', py_modules=[%q], setup_requires=[%s])\n",
			strings.ReplaceAll(strings.TrimSpace(imports+"pass"), "\n", "\n    "), name, name, strings.Join(quoted, ", "))}}
}

// TestChainInOneSlot: five legacy projects in a row, each needing the one before already for its metadata.
func TestChainInOneSlot(t *testing.T) {
	r := newRacingRig(t)
	r.realSetuptools()
	r.args = []string{"--workers", "1"}
	r.up.Add(legacy("one"), legacy("two", "one"), legacy("three", "two"), legacy("four", "three"), legacy("five", "four"))
	r.start()
	r.installs(clients(t)[1], r.home(), "five")
	if got := r.built(); got < 6 {
		t.Errorf("%d builds, want the five and setuptools", got)
	}
}

// realSetuptools lets the rig's views find setuptools where the machine's pip would.
func (r *rig) realSetuptools() {
	r.t.Helper()
	urls, err := host.PipIndexes(r.t.Context(), "python3")
	r.ok(err)
	r.config = strings.Replace(r.config, "{main: %UP%}", fmt.Sprintf("{main: %%UP%%, real: %q}", urls[0].URL), 1)
}

// TestCycles: what needs each other to build is told so, at once, with the whole ring.
func TestCycles(t *testing.T) {
	r := newRacingRig(t)
	for ring, specs := range map[string][]testindex.Spec{
		"wheels":   {{Name: "ping-%s", BuildRequires: []string{"pong-%s"}}, {Name: "pong-%s", BuildRequires: []string{"ping-%s"}}},
		"metadata": {{Name: "ping-%s", BuildRequires: []string{"pong-%s"}, MetadataVersion: "2.1"}, {Name: "pong-%s", BuildRequires: []string{"ping-%s"}, MetadataVersion: "2.1"}},
		"three": {{Name: "ping-%s", BuildRequires: []string{"pong-%s"}}, {Name: "pong-%s", BuildRequires: []string{"pang-%s"}},
			{Name: "pang-%s", BuildRequires: []string{"ping-%s"}, MetadataVersion: "2.1"}},
		"itself": {{Name: "ping-%s", BuildRequires: []string{"ping-%s"}}},
	} {
		var names []string
		for _, s := range specs {
			s.Version, s.Name, s.BuildRequires[0] = "1.0", fmt.Sprintf(s.Name, ring), fmt.Sprintf(s.BuildRequires[0], ring)
			r.up.Add(s)
			names = append(names, s.Name)
		}
		if r.cmd == nil {
			r.start()
		}
		t.Run(ring, func(t *testing.T) {
			began := time.Now()
			_, stderr, err := r.run("build", names[0])
			if err == nil || !strings.Contains(stderr, "need each other") {
				t.Fatalf("build: %v\n%s", err, stderr)
			}
			for _, name := range names {
				if !strings.Contains(stderr, name+" 1.0") {
					t.Errorf("the ring does not name %s:\n%s", name, stderr)
				}
			}
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

// TestFiftyAtOnce: one build, fifty equal wheels, and who hangs up cancels nothing.
func TestFiftyAtOnce(t *testing.T) {
	r := newRacingRig(t)
	r.up.Add(testindex.Spec{Name: "demo", Version: "1.0", Marker: "d", BuildSleep: 3 * time.Second})
	r.start()
	url := r.only("demo").URL
	var wg sync.WaitGroup
	bodies := make([]string, 50)
	for i := range bodies {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if i%5 == 0 { // these hang up
				impatient := &http.Client{Timeout: 300 * time.Millisecond}
				if resp, err := impatient.Get(url); err == nil {
					_ = resp.Body.Close()
					t.Error("a client that waits 0.3 s got an answer to a build of 3 s")
				}
				return
			}
			resp := r.get(url, nil)
			if resp.status != http.StatusOK {
				t.Errorf("client %d: %d %s", i, resp.status, resp.body)
			}
			bodies[i] = resp.body
		}()
	}
	wg.Wait()
	for i, b := range bodies {
		if i%5 != 0 && (b != bodies[1] || len(b) < 100) {
			t.Errorf("client %d got %d bytes, unlike the others", i, len(b))
		}
	}
	if got := r.built(); got != 1 {
		t.Errorf("%d builds, want 1", got)
	}
}

// TestEverybodyHangsUp: the build goes on.
func TestEverybodyHangsUp(t *testing.T) {
	r := newRacingRig(t)
	r.up.Add(testindex.Spec{Name: "demo", Version: "1.0", BuildSleep: 2 * time.Second})
	r.start()
	if resp, err := (&http.Client{Timeout: 500 * time.Millisecond}).Get(r.only("demo").URL); err == nil {
		_ = resp.Body.Close()
		t.Fatal("an answer to a build of 2 s after 0.5 s")
	}
	r.eventually("the wheel is a hit", func() bool { return r.only("demo").hit() })
}

var failedURL = regexp.MustCompile(`http://[^\s"']*/failed/demo/1\.0/[0-9a-f]{64}`)

// TestFailure: every client stops at once and shows the way to the log; the next fails fast; a changed input is tried again.
func TestFailure(t *testing.T) {
	r := newRig(t)
	r.up.Add(testindex.Spec{Name: "demo", Version: "1.0", Marker: "d", FailBuild: "no such header: frobnicate.h"})
	r.start()
	for i, c := range clients(t) {
		began := time.Now()
		_, out, err := r.install(c, r.home(), "demo")
		if err == nil {
			t.Fatalf("%s installed what does not build", c.name)
		}
		if url := failedURL.FindString(out); url == "" && !strings.Contains(out, "frobnicate.h") {
			t.Errorf("%s shows neither the log's URL nor its text:\n%s", c.name, out)
		} else if url != "" {
			if resp := r.get(url, nil); resp.status != http.StatusUnprocessableEntity || !strings.Contains(resp.body, "frobnicate.h") {
				t.Errorf("%s: %d %s", url, resp.status, resp.body)
			}
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s took %s to give up", c.name, took)
		}
		if got := r.count(`axle_builds_total{outcome="failed"}`); got != 1 {
			t.Errorf("after client %d: tried %d times, want once", i+1, got)
		}
	}
	if _, stderr, err := r.run("build", "demo"); err == nil || !strings.Contains(stderr, "frobnicate.h") {
		t.Errorf("axle build: %v\n%s", err, stderr)
	}
	if _, _, err := r.run("build", "--retry", "demo"); err == nil {
		t.Error("axle build --retry made it work")
	}
	if got := r.count(`axle_builds_total{outcome="failed"}`); got != 2 {
		t.Errorf("tried %d times after --retry, want twice", got)
	}
	// The patch takes the failure out of the backend.
	r.write("overrides/patches/demo/1.patch", "--- a/_backend/spec.json\n+++ b/_backend/spec.json\n@@ -1,3 +1,3 @@\n {\n- \"build_fail\": \"no such header: frobnicate.h\",\n+ \"build_fail\": \"\",\n  \"build_sleep\": 0,\n")
	r.hup()
	if folder := r.installs(clients(t)[0], r.home(), "demo"); r.marker(folder, "demo") != "d" {
		t.Error("another marker")
	}
	// Without it the old failure is remembered, also by a server that starts anew.
	r.remove("overrides/patches")
	r.kill()
	r.start()
	if _, _, err := r.run("build", "demo"); err == nil || r.count(`axle_builds_total{outcome="failed"}`) != 0 {
		t.Errorf("the failure was forgotten: %v", err)
	}
}

// TestConstraintTriesAgain: a build that fails with one version of its requirement is tried with another.
func TestConstraintTriesAgain(t *testing.T) {
	r := newRig(t)
	r.config += "    constraints: [constraints.txt]\n"
	r.write("constraints.txt", "")
	r.up.Add(spec("tool", "1.0", "good"), spec("tool", "2.0", "bad"), testindex.Spec{Name: "demo", Version: "1.0", BuildRequires: []string{"tool"},
		OnBuild: "import tool\nif tool.MARKER == 'bad':\n    raise SystemExit('this tool is bad')\n"})
	r.start()
	if _, stderr, err := r.run("build", "demo"); err == nil || !strings.Contains(stderr, "this tool is bad") {
		t.Fatalf("build: %v\n%s", err, stderr)
	}
	r.write("constraints.txt", "tool<2  # the new one is bad\n")
	r.hup()
	r.installs(clients(t)[2], r.home(), "demo")
}

// TestWarmCacheIsNeverStale: what a warm uv cache holds is never taken for what the page shows now.
func TestWarmCacheIsNeverStale(t *testing.T) {
	r := newRig(t)
	r.up.Add(spec("tool", "1.0", "tool one"), testindex.Spec{Name: "demo", Version: "1.0", Marker: "demo one", BuildRequires: []string{"tool"}, See: []string{"tool"}})
	r.start()
	uv, home := clients(t)[2], r.home()
	look := func(step, demo, tool string, builds int) {
		t.Helper()
		before := r.built()
		folder := r.installs(uv, home, "demo")
		b, err := os.ReadFile(filepath.Join(folder, "demo.py"))
		r.ok(err)
		if got := r.marker(folder, "demo"); got != demo || !strings.Contains(string(b), tool) {
			t.Fatalf("%s: installed %s, want %q built with %q", step, b, demo, tool)
		}
		if got := r.built() - before; got != builds {
			t.Fatalf("%s: %d builds, want %d", step, got, builds)
		}
	}
	look("at first", "demo one", "tool one", 2)
	r.write("overrides/patches/demo/1.patch", patchMarker("demo", "demo one", "demo two"))
	r.hup()
	look("project patched", "demo two", "tool one", 1)
	r.write("overrides/patches/tool/1.patch", patchMarker("tool", "tool one", "tool two"))
	r.hup()
	look("build requirement patched", "demo two", "tool two", 2)
	r.remove("overrides/patches")
	r.hup()
	look("patches taken out", "demo one", "tool one", 0)
}

// TestUpstreamDownHitsInstall: what is in the store needs nobody else.
func TestUpstreamDownHitsInstall(t *testing.T) {
	r := newRig(t)
	r.up.Add(spec("base", "1.0", "b"), testindex.Spec{Name: "demo", Version: "1.0", Marker: "d", Requires: []string{"base"}})
	r.start()
	r.installs(clients(t)[1], r.home(), "demo")
	r.up.Down()
	r.kill()
	r.start()
	r.installs(clients(t)[1], r.home(), "demo")
	if r.built() != 0 {
		t.Errorf("%d builds", r.built())
	}
}

// TestFlippedBlob: never served, reported, built anew.
func TestFlippedBlob(t *testing.T) {
	r := newRig(t)
	r.up.Add(spec("demo", "1.0", "d"))
	r.start()
	r.installs(clients(t)[1], r.home(), "demo")
	listed := r.only("demo")
	sha, url := listed.Hashes["sha256"], listed.URL
	good := r.get(url, nil)
	blob := filepath.Join(r.store, "blobs", "sha256", sha[:2], sha)
	b, err := os.ReadFile(blob)
	r.ok(err)
	b[len(b)/2] ^= 4
	r.ok(os.Chmod(blob, 0o644))
	r.ok(os.WriteFile(blob, b, 0o644))
	if out, _, err := r.run("verify", "--store", r.store); err == nil || !strings.Contains(out, sha) {
		t.Errorf("verify: %v\n%s", err, out)
	}
	if resp := r.get(url, nil); resp.status == http.StatusOK {
		t.Errorf("flipped bytes were served: %d bytes", len(resp.body))
	}
	if r.only("demo").hit() {
		t.Errorf("the damaged wheel is still listed as a hit")
	}
	r.installs(clients(t)[2], r.home(), "demo")
	if resp := r.get(url, nil); resp.status != http.StatusOK || resp.body != good.body {
		t.Errorf("built anew: %d, %d bytes, want the first %d", resp.status, len(resp.body), len(good.body))
	}
	if out, _, err := r.run("verify", "--store", r.store); err != nil {
		t.Errorf("verify after the rebuild: %v\n%s", err, out)
	}
}

// TestKilled: kill -9 at any time; what was acknowledged is there afterwards, and the rest is built when asked for again.
func TestKilled(t *testing.T) {
	r := newRacingRig(t)
	for i := range 8 {
		r.up.Add(testindex.Spec{Name: fmt.Sprintf("p%d", i), Version: "1.0", Marker: "m", BuildSleep: time.Duration(i) * 40 * time.Millisecond})
	}
	acknowledged := map[string]string{} // project -> digest of its wheel
	for round := range 4 {
		r.start()
		for p, sha := range acknowledged {
			if f := r.only(p); f.Hashes["sha256"] != sha {
				t.Fatalf("round %d: %s was acknowledged with %s and is now %+v", round, p, sha, f)
			}
		}
		had := len(acknowledged)
		var mu sync.Mutex // guards acknowledged
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				p := fmt.Sprintf("p%d", i)
				out, _, err := r.run("build", p)
				if err == nil {
					mu.Lock()
					defer mu.Unlock()
					acknowledged[p] = shaInURL.FindString(out)
				}
			}()
		}
		// The first time at once, later only after something more was acknowledged, with the rest under way.
		r.eventually("another build is acknowledged, or all are", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return round == 0 || len(acknowledged) > had || len(acknowledged) == 8
		})
		time.Sleep(time.Duration(200*round) * time.Millisecond)
		r.kill()
		wg.Wait()
		if out, stderr, err := r.run("verify", "--store", r.store); err != nil {
			t.Fatalf("round %d: verify: %v\n%s%s", round, err, out, stderr)
		}
	}
	if len(acknowledged) == 0 {
		t.Error("no build was acknowledged before a kill: nothing was shown")
	}
	r.start()
	for i := range 8 {
		r.installs(clients(t)[2], r.home(), fmt.Sprintf("p%d", i))
	}
	if left, err := filepath.Glob(filepath.Join(r.store, "tmp", "*", "job-*")); err != nil || len(left) > 0 {
		t.Errorf("scratch left: %v %v", left, err)
	}
}

var shaInURL = regexp.MustCompile(`[0-9a-f]{64}`)
