package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/python-wheel-build/axle/internal/testindex"
)

// explained asks for the explanation of a requirement, with more arguments; its first line, and all of it.
func (r *rig) explained(req string, args ...string) (verdict, all string) {
	r.t.Helper()
	out, stderr, err := r.run(append([]string{"explain", req}, args...)...)
	if err != nil {
		r.t.Fatalf("axle explain %s %s: %v\n%s", req, args, err, stderr)
	}
	verdict, _, _ = strings.Cut(out, "\n")
	return verdict, out
}

// TestExplain: real builds, what is said of them, and what is counted.
func TestExplain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.config += "  strict:\n    settings: overrides/\n    constraints: [strict.txt]\n    build: on-demand\n    upstream: {main: %UP%}\n"
	r.write("strict.txt", "")
	r.up.Add(testindex.Spec{Name: "helper", Version: "1.0", Marker: "one"},
		testindex.Spec{Name: "demo", Version: "1.0", Marker: "d", BuildRequires: []string{"helper"}},
		testindex.Spec{Name: "top", Version: "1.0", Marker: "t", BuildRequires: []string{"demo"}})
	r.start()
	says := func(step, all string, want ...string) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains(all, w) {
				t.Errorf("%s: it doesn't say %q:\n%s", step, w, all)
			}
		}
	}
	verdict := func(step, want, req string, args ...string) string {
		t.Helper()
		got, all := r.explained(req, args...)
		if got != want {
			t.Errorf("%s: %s is %q, want %q:\n%s", step, req, got, want, all)
		}
		return all
	}
	misses := func(step, cause string, want int) {
		t.Helper()
		if got := r.count(`axle_misses_total{cause="` + cause + `"}`); got != want {
			t.Errorf("%s: %d misses for %s, want %d", step, got, cause, want)
		}
	}
	verdict("at first", "miss: never-built", "demo==1.0")
	if _, _, err := r.run("build", "top"); err != nil {
		t.Fatal(err)
	}
	misses("all built", "never-built", 3)
	all := verdict("built", "hit", "demo")
	says("built", all, "recipe sha256:", "of sdist demo-1.0.tar.gz, index main", "  python: ", "with\n    helper 1.0 sha256:", "by axle ", "log "+r.base+"/api/v1/logs/demo/1.0/", "url "+r.base+"/files/")
	out, _, err := r.run("key", "demo")
	r.ok(err)
	var is struct{ Recipe, Input, Verdict string }
	_, text := r.explained("demo", "--json")
	r.ok(json.Unmarshal([]byte(text), &is))
	if strings.Count(out, "\n") != 1 || !strings.Contains(text, strings.Fields(out)[0]) || !strings.Contains(text, strings.Fields(out)[1]) || is.Verdict != "hit" {
		t.Errorf("key says %q, explain --json %s", out, text)
	}
	out, _, err = r.run("dependents", "helper")
	r.ok(err)
	if lines := strings.Split(out, "\n"); len(lines) != 3 || !strings.HasPrefix(lines[0], "demo==1.0 sha256:") || !strings.HasSuffix(lines[1], " by demo 1.0") {
		t.Errorf("dependents of helper:\n%s", out)
	}
	if out, _, err = r.run("dependents", "helper==1.0", "--direct"); err != nil || strings.Count(out, "\n") != 1 {
		t.Errorf("direct ones: %v\n%s", err, out)
	}

	r.write("overrides/patches/helper/fix.patch", patchMarker("helper", "one", "two"))
	r.hup()
	all = verdict("helper patched", "miss: requirement", "top")
	says("helper patched", all, "demo 1.0 was sha256:", "helper 1.0 was sha256:", "patches[fix.patch] added: sha256:")
	if _, _, err := r.run("build", "top"); err != nil {
		t.Fatal(err)
	}
	misses("helper patched", "patches", 1)
	misses("helper patched", "requirement", 1) // demo alone: it came out byte-equal, which makes top a hit again
	verdict("helper rebuilt", "hit", "top")
	var before struct{ View string }
	_, text = r.explained("helper", "--json")
	r.ok(json.Unmarshal([]byte(text), &before))

	r.write("overrides/patches/helper/fix.patch", patchMarker("helper", "one", "\x1b[31mthree"))
	r.write("strict.txt", "helper!=1.0\n")
	r.hup()
	all = verdict("patch edited", "miss: patches", "helper==1.0")
	says("patch edited", all, `-+MARKER = "two"`, `++MARKER = "\x1b[31mthree"`)
	all = verdict("excluded", "miss: constraint", "demo==1.0", "--view", "strict")
	says("excluded", all, "helper==1.0, which the view's constraints exclude (helper!=1.0)")
	all = verdict("against", "miss: patches", "helper==1.0", "--against", "@"+before.View)
	says("against", all, "in view @", "it is a hit", "patches[fix.patch] edited: sha256:")

	all = verdict("the other way round", "hit", "helper==1.0", "--view", "@"+before.View, "--against", "strict")
	says("the other way round", all, "it is a miss: patches", "why it is a miss there:")
	if _, stderr, err := r.run("explain", "nothing==1.0"); err == nil || !strings.Contains(stderr, "no such version") {
		t.Errorf("a version that nobody has: %v %s", err, stderr)
	}
	if !strings.Contains(r.out.all(), "msg=building project=helper version=1.0 expected=") || !strings.Contains(r.out.all(), "cause=patches\n") {
		t.Error("the server's log does not name the cause of a build")
	}
}
