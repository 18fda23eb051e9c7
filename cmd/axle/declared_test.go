package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/internal/testindex"
	"github.com/python-wheel-build/axle/internal/testtools"
)

func imageOf(digit string) string {
	return "registry.example/builder:1@sha256:" + strings.Repeat(digit, 64)
}

// TestImageAndFiles: where an image stands for the system, its digest is what counts; a declared file counts by what it holds, which is kept
// nowhere, and a change of it while the server runs is noticed before anything is built with it.
func TestImageAndFiles(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	image := func(digit string) {
		r.config = "views:\n  default:\n    settings: overrides/\n    upstream: {main: %UP%}\n    environment:\n      image: " + imageOf(digit) + "\n      files: {site: etc/site.conf}\n"
	}
	image("1")
	r.write("etc/site.conf", "flavour-one")
	reads := "seen['site'] = open('/opt/axle/site').read()\ntry:\n    open('/opt/axle/site', 'w')\nexcept OSError as e:\n    seen['write'] = e.strerror\n"
	r.up.Add(testindex.Spec{Name: "base", Version: "1.0"}, testindex.Spec{Name: "demo", Version: "1.0", BuildRequires: []string{"base"}, OnBuild: reads},
		testindex.Spec{Name: "late", Version: "1.0"})
	r.start()
	saw := func(want string) (sha string) {
		t.Helper()
		folder := r.installs(clients(t)[2], r.home(), "demo")
		if b, err := os.ReadFile(filepath.Join(folder, "demo.py")); err != nil || !strings.Contains(string(b), `"site": "`+want+`"`) || !strings.Contains(string(b), "Read-only file system") {
			t.Errorf("%v %s, want %s", err, b, want)
		}
		return r.only("demo").Hashes["sha256"]
	}
	first := saw("flavour-one")

	image("2")
	r.demands("another image", r.restart(), "hits_before=2 hits_now=0 became_misses=2", "image: ", strings.Repeat("1", 64), strings.Repeat("2", 64))
	if r.only("demo").hit() || r.only("base").hit() {
		t.Error("what was built in another image is a hit")
	}
	image("1")
	r.demands("the first image again", r.restart(), "hits_now=2")
	r.hits("the first image again", "base", "demo")

	r.write("etc/site.conf", "flavour-two")
	time.Sleep(11 * time.Second) // so old may a look at the machine be when a job begins
	if _, stderr, err := r.run("build", "late"); err == nil || !strings.Contains(stderr, "file:site: /opt/axle/site changed") || !strings.Contains(stderr, "SIGHUP") {
		t.Errorf("a build with a file that is not the view's any more: %v\n%s", err, stderr)
	}
	n := len(r.out.all())
	r.hup()
	r.demands("the file changed", r.said(n), "hits_before=2 hits_now=0 became_misses=2", "file:site: /opt/axle/site changed")
	if sha := saw("flavour-two"); sha == first {
		t.Error("the same wheel with another file")
	}
	r.write("etc/site.conf", "flavour-one")
	n = len(r.out.all())
	r.hup()
	r.demands("the file as it was", r.said(n), "hits_now=2")
	if sha := saw("flavour-one"); sha != first {
		t.Errorf("demo was %s and is %s", first, sha)
	}

	// A file is often a secret: of what it says nothing is kept, but in wheels that took it.
	r.ok(filepath.WalkDir(r.store, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(b), "flavour-") {
			t.Errorf("%s holds what the file says", path)
		}
		return err
	}))
}

// TestFewerComponents: what a project says that it does not depend on is hidden from its builds, and a change of it makes no miss of it.
func TestFewerComponents(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	config := func(image, projects string) {
		r.config = "views:\n  default:\n    settings: overrides/\n    upstream: {main: %UP%}\n    environment:\n      image: " + imageOf(image) +
			"\n      env: [AXLE_TEST_ACCELERATOR]\n      paths: {tool: tool}\n      files: {site: etc/site.conf}\n      projects: " + projects + "\n"
	}
	const less = "{blind: {without: [image, 'env:AXLE_TEST_ACCELERATOR', 'path:tool', 'file:site']}}"
	config("1", less)
	r.write("tool/bin/flavour", "#!/bin/sh\necho one\n")
	r.ok(os.Chmod(filepath.Join(r.dir, "tool/bin/flavour"), 0o755))
	r.write("etc/site.conf", "one")
	r.env = []string{"AXLE_TEST_ACCELERATOR=cuda"}
	const look = "import shutil\nseen['saw'] = '%s, %s, %s, %s' % (os.environ.get('AXLE_TEST_ACCELERATOR'), shutil.which('flavour'), os.path.exists('/opt/axle/tool'), os.path.exists('/opt/axle/site'))\n"
	r.up.Add(testindex.Spec{Name: "blind", Version: "1.0", OnBuild: look}, testindex.Spec{Name: "seeing", Version: "1.0", OnBuild: look})
	r.start()
	folder := r.installs(clients(t)[2], r.home(), "blind", "seeing")
	for module, want := range map[string]string{"blind": "None, None, False, False", "seeing": "cuda, /opt/axle/tool/bin/flavour, True, True"} {
		if b, err := os.ReadFile(filepath.Join(folder, module+".py")); err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s: %v %s, want %q", module, err, b, want)
		}
	}
	sha := r.only("blind").Hashes["sha256"]
	r.up.Down()
	for _, change := range []struct {
		step string
		do   func()
	}{
		{"another image", func() { config("2", less) }},
		{"another variable", func() { config("1", less); r.env[0] = "AXLE_TEST_ACCELERATOR=rocm" }},
		{"another tool", func() { r.env[0] = "AXLE_TEST_ACCELERATOR=cuda"; r.write("tool/bin/flavour", "#!/bin/sh\necho two\n") }},
		{"another file", func() { r.write("tool/bin/flavour", "#!/bin/sh\necho one\n"); r.write("etc/site.conf", "two") }},
	} {
		change.do() // and undo the one before
		r.restart()
		r.hits(change.step, "blind")
		if got := r.only("blind").Hashes["sha256"]; got != sha || r.only("seeing").hit() {
			t.Errorf("%s: blind is %s, was %s; seeing is a hit: %t", change.step, got, sha, r.only("seeing").hit())
		}
	}
	config("1", "{}")
	r.restart()
	if r.only("blind").hit() {
		t.Error("what was built without the components is a hit for a project that depends on all")
	}
	r.stop()
	config("1", "{blind: {without: ['path:tools']}}")
	r.write("axle.yaml", strings.ReplaceAll(r.config, "%UP%", r.up.URL))
	if _, stderr, err := r.run("serve", "--listen", "127.0.0.1:0", "--store", r.store, "--tools", testtools.Dir(t), "--config", filepath.Join(r.dir, "axle.yaml")); err == nil ||
		!strings.Contains(stderr, `"path:tools"`) || !strings.Contains(stderr, "path:tool") {
		t.Errorf("a component that is not there: %v\n%s", err, stderr)
	}
}
