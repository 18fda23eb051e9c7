package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/internal/testindex"
	"github.com/python-wheel-build/axle/internal/testtools"
)

// copyPython gives a copy of this machine's Python, with a pip of its own, that a test may change; its path.
func copyPython(t *testing.T, prefix string) string {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	run := func(argv ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
		cmd.Env = clientEnv(prefix)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v\n%s", argv, err, out)
		}
		return string(out)
	}
	var is struct{ Executable, Stdlib, Version, Shared string }
	must(json.Unmarshal([]byte(run("python3", "-I", "-c", `
import json, os, sys, sysconfig
get = sysconfig.get_config_var
shared = os.path.join(get("LIBDIR"), get("INSTSONAME") or "") if get("Py_ENABLE_SHARED") else ""
print(json.dumps({"Executable": os.path.realpath(sys._base_executable), "Stdlib": sysconfig.get_path("stdlib"),
    "Version": "%d.%d" % sys.version_info[:2], "Shared": shared if os.path.exists(shared) else ""}))`)), &is))
	lib := filepath.Join(prefix, "lib", "python"+is.Version)
	must(os.MkdirAll(filepath.Join(prefix, "bin"), 0o755))
	must(os.MkdirAll(filepath.Join(lib, "site-packages"), 0o755))
	python := filepath.Join(prefix, "bin", "python"+is.Version)
	program, err := os.ReadFile(is.Executable)
	must(err)
	if is.Shared != "" {
		run("cp", "-a", is.Shared, filepath.Join(prefix, "lib"))
		// The program names the folder of its library; the copy must find its own, also where the other can't be seen.
		old, own := filepath.Dir(is.Shared)+"\x00", "$ORIGIN/../lib\x00"
		if len(own) > len(old) || !strings.Contains(string(program), "\x00"+old) {
			t.Logf("the copy goes on using %s", is.Shared)
		} else {
			program = []byte(strings.Replace(string(program), "\x00"+old, "\x00"+own+strings.Repeat("\x00", len(old)-len(own)), 1))
		}
	}
	must(os.WriteFile(python, program, 0o755))
	entries, err := os.ReadDir(is.Stdlib)
	must(err)
	args := []string{"cp", "-a", "--reflink=auto", "-t", lib}
	for _, e := range entries {
		switch name := e.Name(); name {
		case "site-packages", "dist-packages", "test", "__pycache__", "sitecustomize.py", "EXTERNALLY-MANAGED", "idlelib", "tkinter", "lib2to3", "pydoc_data":
		default:
			if !strings.HasPrefix(name, "config-") {
				args = append(args, filepath.Join(is.Stdlib, name))
			}
		}
	}
	run(args...)
	// pip is put into it as into any other folder, by the pip that the tests have.
	pip := run(filepath.Join(testtools.Dir(t), "pip-26.3", "bin", "python"), "-I", "-c", "import os, pip; print(os.path.dirname(pip.__file__))")
	run("cp", "-a", strings.TrimSpace(pip), strings.TrimSpace(run(python, "-I", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")))
	if where := strings.TrimSpace(run(python, "-I", "-c", "import sys; print(sys.prefix)")); where != prefix {
		t.Fatalf("the copy in %s believes to be in %s", prefix, where)
	}
	return python
}

// said gives what the server has said since it had said n bytes.
func (r *rig) said(n int) string {
	r.t.Helper()
	// Its output is read beside the test: what stood before the line that ended start may come after it.
	r.eventually("the server tells of its configuration", func() bool { return strings.Contains(r.out.all()[n:], "changes told") })
	return r.out.all()[n:]
}

// restart ends the server as an operator would and gives what the next one says of itself.
func (r *rig) restart() string {
	r.t.Helper()
	r.stop()
	n := len(r.out.all())
	r.start()
	return r.said(n)
}

// demands checks what a restart or a SIGHUP said.
func (r *rig) demands(step, said string, want ...string) {
	r.t.Helper()
	for _, w := range want {
		if !strings.Contains(said, w) {
			r.t.Errorf("%s: the server does not say %q:\n%s", step, w, said)
		}
	}
}

// hits checks that a project's wheel is stored and can be installed without a build.
func (r *rig) hits(step string, projects ...string) {
	r.t.Helper()
	for _, p := range projects {
		if f := r.only(p); !f.hit() {
			r.t.Errorf("%s: %s is a miss: %+v", step, p, f)
			return
		}
	}
	before := r.built()
	r.installs(clients(r.t)[2], r.home(), projects...)
	if got := r.built(); got != before {
		r.t.Errorf("%s: %d builds, want none", step, got-before)
	}
}

// TestPipInstallIntoPython: what is installed into the Python that a view builds with changes nothing of what is built.
func TestPipInstallIntoPython(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	prefix, err := filepath.EvalSymlinks(r.dir)
	r.ok(err)
	python := copyPython(t, filepath.Join(prefix, "python"))
	r.config = strings.Replace(r.config, "    build:", "    python: "+python+"\n    build:", 1)
	r.env = append(r.env, "XDG_CACHE_HOME="+r.dir+"/cache") // the copy's files are nobody else's
	r.up.Add(testindex.Spec{Name: "demo", Version: "1.0", Marker: "d", OnBuild: `
try:
    import intruder
    seen["intruder"] = intruder.MARKER
except ImportError:
    seen["intruder"] = "not there"
seen["prefix"] = sys.base_prefix
`}, testindex.Spec{Name: "native", Version: "1.0", Marker: "n"})
	r.up.AddWheel(testindex.Spec{Name: "intruder", Version: "1.0", Marker: "from the machine", Files: map[string]string{
		"wheel/intruder-1.0.data/scripts/intruder-tool":        "#!/bin/sh\n",
		"wheel/intruder-1.0.data/data/share/intruder/data.txt": "data",
	}})
	r.start()
	folder := r.installs(clients(t)[2], r.home(), "demo", "native")
	check := func(folder string) {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(folder, "demo.py"))
		if err != nil || !strings.Contains(string(b), `"intruder": "not there"`) || !strings.Contains(string(b), filepath.Dir(filepath.Dir(python))) {
			t.Errorf("the build saw: %v %s", err, b)
		}
	}
	check(folder)
	sha := r.only("demo").Hashes["sha256"]

	// With the copy's own pip, into the very Python, from the rig's upstream.
	cmd := exec.CommandContext(t.Context(), python, "-m", "pip", "install", "--no-cache-dir", "--index-url", r.up.URL, "intruder")
	cmd.Env, cmd.Dir = clientEnv(r.home()), r.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("pip install into %s: %v\n%s", python, err, out)
	}
	cmd = exec.CommandContext(t.Context(), python, "-c", "import intruder, shutil, os, sys; print(intruder.MARKER, os.path.exists(os.path.join(sys.prefix, 'share/intruder/data.txt')))")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "from the machine ") {
		t.Fatalf("it was not installed: %v %s", err, out)
	}
	r.demands("after pip install", r.restart(), "view unchanged")
	r.hits("after pip install", "demo", "native")
	if got := r.only("demo").Hashes["sha256"]; got != sha {
		t.Errorf("demo was %s and is %s", sha, got)
	}
	// A build that is new sees nothing of it either.
	r.up.Add(testindex.Spec{Name: "demo2", Version: "1.0", OnBuild: "import importlib.util\nseen['found'] = str(importlib.util.find_spec('intruder'))\n"})
	folder = r.installs(clients(t)[2], r.home(), "demo2")
	if b, err := os.ReadFile(filepath.Join(folder, "demo2.py")); err != nil || !strings.Contains(string(b), `"found": "None"`) {
		t.Errorf("a new build sees what was installed: %v %s", err, b)
	}

	// A change of the interpreter itself is one.
	lib, err := filepath.Glob(filepath.Join(prefix, "python", "lib", "python3.*", "this.py"))
	if err != nil || len(lib) != 1 {
		t.Fatal(lib, err)
	}
	text, err := os.ReadFile(lib[0])
	r.ok(err)
	r.ok(os.WriteFile(lib[0], append(text, "# changed\n"...), 0o644))
	r.demands("after a change of the standard library", r.restart(), "view changed", "hits_before=3 hits_now=0 became_misses=3", "this.py changed")
	if r.only("demo").hit() {
		t.Error("demo is a hit with another interpreter")
	}
	if said := r.ran("explain", "demo==1.0"); !strings.HasPrefix(said, "miss: environment:python\n") {
		t.Errorf("explained:\n%s", said)
	}
}

// TestEnvironmentChanges: a change of what a view declares to be an input makes misses, and the server says of which and why; the change
// taken back makes the old wheels hits again. What decides nothing changes nothing.
func TestEnvironmentChanges(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.config = "views:\n  default:\n    settings: overrides/\n    upstream: {main: %UP%}\n    environment:\n      env: [AXLE_TEST_FLAVOUR]\n      paths: {tool: tool}\n"
	r.write("tool/bin/flavour", "#!/bin/sh\necho one\n")
	r.ok(os.Chmod(filepath.Join(r.dir, "tool/bin/flavour"), 0o755))
	r.write("overrides/settings/demo.yaml", "env: {A: one, B: two}\nconfig_settings: {x: y}\n")
	r.env = []string{"AXLE_TEST_FLAVOUR=plain", "AXLE_TEST_OTHER=1"}
	r.up.Add(spec("base", "1.0", "b"), testindex.Spec{Name: "demo", Version: "1.0", Marker: "d", BuildRequires: []string{"base"},
		OnBuild: "import subprocess\nseen['saw'] = '%s, %s, %s' % (subprocess.check_output(['flavour'], text=True).strip(), os.environ['AXLE_TEST_FLAVOUR'], os.environ.get('AXLE_TEST_OTHER'))\n"})
	r.start()
	saw := func(step, want string, builds int) (sha string) {
		t.Helper()
		before := r.built()
		folder := r.installs(clients(t)[2], r.home(), "demo")
		b, err := os.ReadFile(filepath.Join(folder, "demo.py"))
		if err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s: %v %s, want %q", step, err, b, want)
		}
		if got := r.built() - before; got != builds {
			t.Errorf("%s: %d builds, want %d", step, got, builds)
		}
		return r.only("demo").Hashes["sha256"]
	}
	first := saw("at first", "one, plain, None", 2)

	// Nothing of this decides anything: comments, the order of keys, a variable that nobody declared.
	r.write("overrides/settings/demo.yaml", "# a comment\nconfig_settings:\n  x: 'y'\nenv: {B: two, A: one}\n")
	r.write("overrides/settings.yaml", "# nothing\n")
	n := len(r.out.all())
	r.hup()
	r.demands("a comment", r.said(n), "view unchanged")
	r.hits("a comment", "base", "demo")
	r.env[1] = "AXLE_TEST_OTHER=2"

	// A file of a declared tree.
	r.write("tool/bin/flavour", "#!/bin/sh\necho two\n")
	r.demands("the tool edited", r.restart(), "hits_before=2 hits_now=0 became_misses=2", "path:tool: /opt/axle/tool/bin/flavour changed")
	if r.only("demo").hit() || r.only("base").hit() {
		t.Error("what was built with the old tool is still a hit")
	}
	if sha := saw("the tool edited", "two, plain, None", 2); sha == first {
		t.Error("the same wheel with another tool")
	}

	// A declared variable, and one that only signs, together with the tool as it was.
	r.write("tool/bin/flavour", "#!/bin/sh\necho one\n")
	r.env[0] = "AXLE_TEST_FLAVOUR=spicy"
	r.env = append(r.env, "FROMAGER_BUILD_ENV_SIGN=image-2")
	r.demands("variables set", r.restart(), "became_misses=2", `env:AXLE_TEST_FLAVOUR: \"plain\" -> \"spicy\"`, "env:FROMAGER_BUILD_ENV_SIGN: added", "path:tool: /opt/axle/tool/bin/flavour changed")
	r.up.Down() // from here on nothing new is asked of anybody
	r.env[0] = "AXLE_TEST_FLAVOUR=plain"
	r.demands("only the signature differs", r.restart(), "hits_before=0 hits_now=0 became_misses=0", `env:AXLE_TEST_FLAVOUR: \"spicy\" -> \"plain\"`)
	r.env = r.env[:2]
	r.demands("all as at first", r.restart(), "hits_before=0 hits_now=2 became_misses=0", "env:FROMAGER_BUILD_ENV_SIGN: removed")
	r.hits("all as at first", "base", "demo")
	if sha := saw("all as at first", "one, plain, None", 0); sha != first {
		t.Errorf("demo was %s and is %s", first, sha)
	}
}

// aptPackage is tiny, depends on nothing, and is rarely there.
const aptPackage = "uthash-dev"

// TestAptInstall changes the machine for real, so it runs only where that was asked for: a -dev package makes misses.
func TestAptInstall(t *testing.T) {
	if os.Getenv("AXLE_TEST_APT") != "1" {
		t.Skipf("set AXLE_TEST_APT=1 to have %s installed on this machine with apt-get, and removed again", aptPackage)
	}
	try := func(args ...string) error {
		cmd := exec.Command("timeout", append([]string{"300", "apt-get", "-qy", "-o", "DPkg::Lock::Timeout=120"}, args...)...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %q: %w\n%s", args, err, out)
		}
		return nil
	}
	apt := func(args ...string) {
		t.Helper()
		if err := try(args...); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(try("update"), try("install", "--download-only", "--no-install-recommends", aptPackage)); err != nil {
		t.Skip("no package can be had from the system's repositories here: ", err)
	}
	if err := exec.Command("dpkg-query", "--status", aptPackage).Run(); err == nil {
		t.Fatalf("%s is installed already: remove it, or name another package in this test", aptPackage)
	}
	r := newRig(t)
	r.up.Add(spec("demo", "1.0", "d"), spec("other", "1.0", "o"), spec("late", "1.0", "l"))
	r.start()
	r.installs(clients(t)[1], r.home(), "demo", "other")
	sha := r.only("demo").Hashes["sha256"]

	installed := false
	remove := func() {
		if installed {
			installed = false
			apt("purge", aptPackage)
		}
	}
	t.Cleanup(remove)
	installed = true
	apt("install", "--no-install-recommends", aptPackage)
	time.Sleep(11 * time.Second) // so old may a look at the machine be when a job begins
	if _, stderr, err := r.run("build", "late"); err == nil || !strings.Contains(stderr, aptPackage) || !strings.Contains(stderr, "SIGHUP") {
		t.Errorf("a build in an environment that is not the view's any more: %v\n%s", err, stderr)
	}
	said := r.restart()
	t.Log(said)
	r.demands("apt-get install", said, "hits_before=2 hits_now=0 became_misses=2", "system: "+aptPackage, " added")
	if r.only("demo").hit() {
		t.Error("demo is still a hit")
	}
	if said := r.ran("explain", "demo==1.0"); !strings.HasPrefix(said, "miss: environment:system\n") {
		t.Errorf("explained:\n%s", said)
	}
	r.installs(clients(t)[2], r.home(), "demo")
	if got := r.built(); got != 1 {
		t.Errorf("%d builds, want one", got)
	}

	remove()
	began := time.Now()
	said = r.restart()
	t.Logf("removed, and started in %s:\n%s", time.Since(began), said)
	r.hits("after the removal", "demo", "other")
	if got := r.only("demo").Hashes["sha256"]; got != sha {
		t.Errorf("demo was %s and is %s", sha, got)
	}
}
