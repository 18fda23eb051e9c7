package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/python-wheel-build/axle/internal/testtools"
)

// hook writes the site's hook beside the configuration.
func (r *rig) hook(script string) {
	r.t.Helper()
	r.write("collect", "#!/bin/sh\ncat >/dev/null\n"+script+"\n")
	r.ok(os.Chmod(filepath.Join(r.dir, "collect"), 0o755))
}

// TestSiteHook: what the site's hook says is a part of the environment of those that it means, and of nobody else.
func TestSiteHook(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.config = "views:\n  default:\n    settings: overrides/\n    upstream: {main: %UP%}\n    environment:\n      hook: [./collect]\n"
	r.hook(`echo '{"Demo": "b25l", "other==9.9": "b25l"}'`)
	r.up.Add(spec("demo", "1.0", "d"), spec("other", "1.0", "o"), spec("third", "1.0", "t"))
	r.start()
	r.installs(clients(t)[2], r.home(), "demo", "other", "third")
	first := r.only("demo").Hashes["sha256"]
	reads := func(step, script string, want ...string) {
		t.Helper()
		n := len(r.out.all())
		r.hook(script)
		r.hup()
		r.demands(step, r.said(n), want...)
	}

	// The records that were made meanwhile are in the question, and the answer is what it was.
	reads("the same answer, in other words", `printf '{ "other==9.9.0" : "b25l" ,\n"demo":"b25l"}'`, "view changed", "hits_before=3 hits_now=3")
	reads("the same answer", `echo '{"demo": "b25l", "other==9.9.0": "b25l"}'; : # said again`, "view unchanged")
	reads("for a version that is not there", `echo '{"demo": "b25l", "other==9.9": "dHdv"}'`, "became_misses=0", "hook:other==9.9: ")
	reads("for one project", `echo '{"demo": "dHdv", "other==9.9": "dHdv"}'`, "hits_before=3 hits_now=2 became_misses=1", "hook:demo: ", "one", "two")
	if r.only("demo").hit() || !r.only("other").hit() || !r.only("third").hit() {
		t.Error("demo alone is another one")
	}
	if stdout, stderr, err := r.run("explain", "demo==1.0"); !strings.Contains(stdout, "environment:hook:demo") && !strings.Contains(stdout, "environment.hook:demo") {
		t.Errorf("explained: %v\n%s\n%s", err, stdout, stderr)
	}
	r.installs(clients(t)[2], r.home(), "demo") // which is built: no machine says what a hook does
	reads("for a version", `echo '{"demo": "b25l", "other==1.0": "dHdv"}'`, "hook:other==1.0: added")
	if !r.only("demo").hit() || r.only("demo").Hashes["sha256"] != first || r.only("other").hit() || !r.only("third").hit() {
		t.Error("demo is what it was, and other alone is another one")
	}
	reads("for all", `echo '{"*": "dHdv"}'`, "hits_now=0", "hook:*: added")
	reads("all as at first", `echo '{"demo": "b25l"}'`, "hits_now=3")
	r.hits("all as at first", "demo", "other", "third")

	// One that gives no answer changes nothing.
	before := r.get("/api/v1/views", nil).body
	for step, refused := range map[string][2]string{
		"fails":          {"echo no such device >&2\nexit 3", "no such device"},
		"prints rubbish": {"echo hello", "JSON object"},
		"is gone":        {"", "collect"},
	} {
		n := len(r.out.all())
		r.hook(refused[0])
		if refused[0] == "" {
			r.remove("collect")
		}
		r.ok(r.cmd.Process.Signal(syscall.SIGHUP))
		r.eventually("a hook that "+step+" is told", func() bool { return strings.Contains(r.out.all()[n:], refused[1]) })
		if said := r.out.all()[n:]; !strings.Contains(said, "/axle/hook/collect") || !strings.Contains(said, "view default") {
			t.Errorf("a hook that %s: %s", step, said)
		}
		if after := r.get("/api/v1/views", nil).body; after != before {
			t.Errorf("a hook that %s changed views:\n%s\n%s", step, before, after)
		}
		r.hits("a hook that "+step, "demo", "other", "third")
	}
}

// TestSiteHookAtStart: a server does not start without the hook's answer.
func TestSiteHookAtStart(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]string{
		"echo no such device >&2; exit 3": "no such device",
		"echo '{\"a\": 1}'":               `"a" is not a string`,
		"sleep 1000":                      "did not end within 1m0s",
	} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.write("axle.yaml", "views: {default: {upstream: {}, settings: overrides, environment: {hook: [./collect]}}}\n")
			r.hook(script)
			_, stderr, err := r.run("serve", "--listen", "127.0.0.1:0", "--store", r.store, "--tools", testtools.Dir(t), "--config", filepath.Join(r.dir, "axle.yaml"))
			if err == nil || !strings.Contains(stderr, want) || !strings.Contains(stderr, "/axle/hook/collect") || !strings.Contains(stderr, "out of the configuration") {
				t.Errorf("%v\n%s\nwant %q", err, stderr, want)
			}
		})
	}
}
