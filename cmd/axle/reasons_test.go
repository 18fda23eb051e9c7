package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/python-wheel-build/axle/internal/testindex"
)

// TestReasons: builds that lack something, for real, in the sandbox. Each title is one line that names it, and the next step.
func TestReasons(t *testing.T) {
	t.Parallel()
	run := func(argv ...string) string {
		return "import subprocess\nsubprocess.run(['" + strings.Join(argv, "', '") + "'], check=True)\n"
	}
	r := newRig(t)
	cmake := "cmake_minimum_required(VERSION 3.10)\nproject(demo NONE)\n"
	includes := map[string]string{"x.c": "#include <nope/foo.h>\n", "probe.c": "#include <optional.h>\n", "wrong.c": "int f(void) { return x; }\n", "good.c": "int main(void) { return 0; }\n"}
	for _, c := range []struct {
		name, tool string // what the machine must have
		spec       testindex.Spec
		what, next string
	}{
		{"no-header", "cc", testindex.Spec{Files: includes, OnBuild: run("cc", "-c", "x.c")}, "needs the header nope/foo.h", "apt-file find nope/foo.h"},
		{"no-library", "cc", testindex.Spec{Files: includes, OnBuild: run("cc", "good.c", "-lnope")}, "needs the system library nope", "libnope.so"},
		{"no-cause", "cc", testindex.Spec{Files: includes, OnBuild: "import subprocess\nfor f in 'probe.c', 'wrong.c':\n" +
			"  print('cc -Wall -c', f, '-o x.o', flush=True)\n  code = subprocess.run(['cc', '-c', f, '-o', 'x.o']).returncode\nraise SystemExit(code)\n"}, "build_wheel failed: wrong.c:1:", ""},
		{"no-program", "", testindex.Spec{OnBuild: run("nope-swig", "-v")}, "needs the program nope-swig", "bin/nope-swig"},
		{"no-command", "", testindex.Spec{OnBuild: run("/bin/sh", "-c", "nope-autoreconf -i")}, "needs the program nope-autoreconf", ""},
		{"no-compiler", "cmake", testindex.Spec{Files: map[string]string{"CMakeLists.txt": cmake + "enable_language(Fortran)\n"},
			OnBuild: "os.environ['FC'] = '/nowhere/gfortran'\n" + run("cmake", "-B", "/tmp/b", ".")}, "needs a Fortran compiler", "install one"},
		{"no-package", "cmake", testindex.Spec{Files: map[string]string{"CMakeLists.txt": cmake + "find_package(NopeLib REQUIRED)\n"},
			OnBuild: run("cmake", "-B", "/tmp/b", ".")}, "needs NopeLib (by CMake's find_package)", "apt-cache search nopelib"},
		{"no-host", "", testindex.Spec{OnBuild: "import urllib.request\nprint('Downloading https://download.test/x.tar.gz', flush=True)\n" +
			"urllib.request.urlopen('https://download.test/x.tar.gz')\n"}, "needs the network (download.test)", "patch it"},
		{"no-clone", "git", testindex.Spec{OnBuild: run("git", "clone", "https://git.test/x.git", "/tmp/x")}, "needs the network (git.test)", "patch it"},
		{"no-checkout", "git", testindex.Spec{OnBuild: run("git", "describe", "--tags")}, "needs git and a checkout", "patch out"},
		{"no-module", "", testindex.Spec{OnBuild: "import nope_build.thing\n"}, "needs the Python module nope_build to be built", "update_build_requires"},
		{"no-version", "", testindex.Spec{BuildRequires: []string{"setuptools-scm"}, WheelVersion: "0.1.dev0"},
			"the wheel that was built is of no-version 0.1.dev0 where no-version 1.0 was wanted", "SETUPTOOLS_SCM_PRETEND_VERSION: '1.0'"},
		{"no-requirement", "", testindex.Spec{BuildRequires: []string{"nowhere>=3"}}, "no versions of this view satisfy the build requirements (nowhere>=3)", "change them by project_override"},
		{"no-room", "", testindex.Spec{OnBuild: "raise OSError(28, 'No space left on device')"}, "limit of disk", "--limit-disk"},
	} {
		if r.cmd == nil {
			r.up.Add(spec("setuptools-scm", "9.0", "not the real one"))
			r.start()
		}
		t.Run(c.name, func(t *testing.T) {
			if _, err := exec.LookPath(c.tool); c.tool != "" && err != nil {
				t.Skipf("no %s on this machine", c.tool)
			}
			c.spec.Name, c.spec.Version = c.name, "1.0"
			r.up.Add(c.spec)
			_, stderr, err := r.run("build", c.name)
			prefix := "axle: " + c.name + " 1.0: " + c.what
			lines := strings.Split(stderr, "\n")
			i := slices.IndexFunc(lines, func(l string) bool {
				return strings.HasPrefix(l, prefix) || c.name == "no-room" && strings.Contains(l, c.what)
			})
			if err == nil || i < 0 || !strings.Contains(lines[i], c.next) {
				t.Errorf("%v, want a line with %q and %q in\n%s", err, prefix, c.next, stderr)
			}
		})
	}
	t.Run("everywhere", func(t *testing.T) {
		r.toldEverywhere("no-module", "needs the Python module nope_build to be built and does not declare it: add the project")
	})
}

// toldEverywhere demands that a failure's reason is in all that tells of it.
func (r *rig) toldEverywhere(project, reason string) {
	r.t.Helper()
	posted, err := http.Post(r.base+"/api/v1/builds", "application/json", strings.NewReader(`{"requirements": ["`+project+`"], "retry": true}`))
	r.ok(err)
	defer posted.Body.Close()
	body, err := io.ReadAll(posted.Body)
	r.ok(err)
	resp := string(body)
	for _, kind := range []string{"failed", "result"} {
		i := slices.IndexFunc(strings.Split(resp, "\n"), func(l string) bool { return strings.Contains(l, `"kind":"`+kind+`"`) && strings.Contains(l, reason) })
		if i < 0 {
			r.t.Errorf("no %s line with %q in %s", kind, reason, resp)
		}
	}
	var logs []string
	for _, key := range glob(r.t, r.store, "failures/*/*.json") {
		b, err := os.ReadFile(key)
		r.ok(err)
		if strings.Contains(string(b), `"project":"`+project+`"`) {
			var f struct{ Title, Log, Tail string }
			r.ok(json.Unmarshal([]byte(strings.SplitN(string(b), "\n", 2)[0]), &f))
			if !strings.HasPrefix(f.Title, reason) || strings.Contains(f.Title, "\n") || !strings.Contains(f.Tail, "ModuleNotFoundError") {
				r.t.Errorf("%s: %s", filepath.Base(key), b)
			}
			logs = append(logs, strings.TrimPrefix(f.Log, "sha256:"))
		}
	}
	for _, log := range logs {
		page := r.get("/failed/"+project+"/1.0/"+log, nil)
		var p struct{ Title, Detail string }
		r.ok(json.Unmarshal([]byte(page.body), &p))
		if page.status != 422 || !strings.HasPrefix(p.Title, project+" 1.0: "+reason) || !strings.HasSuffix(p.Title, "backend-path in pyproject.toml") || !strings.Contains(p.Detail, "ModuleNotFoundError") {
			r.t.Errorf("%d %s", page.status, page.body)
		}
	}
	if len(logs) < 2 {
		r.t.Errorf("%d failures of %s stored, want the one and the retried", len(logs), project)
	}
}

// TestLeftOut: a build that goes on without its extension fails where upstream's wheels have it, unless that is declared.
func TestLeftOut(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("no cc on this machine")
	}
	arch := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	if arch == "" {
		t.Skip("no wheel tag is known for " + runtime.GOARCH)
	}
	goesOn := testindex.Spec{Version: "1.0", Files: map[string]string{"x.c": "#include <nope/foo.h>\n"}, OnBuild: `
import subprocess
if subprocess.run(["cc", "-c", "x.c"]).returncode:
    print('warning: build_ext: building extension "_x" failed: command cc failed with exit code 1', flush=True)
`}
	r := newRig(t)
	add := func(name string, tags string) {
		s := goesOn
		s.Name = name
		r.up.Add(s)
		if tags != "" {
			r.up.AddWheel(testindex.Spec{Name: name, Version: "1.0", Tags: tags}, testindex.Spec{Name: name, Version: "1.0"})
		}
	}
	add("slow", "py3-none-manylinux_2_17_"+arch)
	add("declared", "py3-none-manylinux_2_17_"+arch)
	add("pure", "py3-none-any")
	add("foreign", "cp27-cp27m-manylinux_2_17_"+arch)
	add("alone", "")
	quiet := testindex.Spec{Name: "quiet", Version: "1.0", Marker: "q"}
	r.up.Add(quiet)
	r.up.AddWheel(testindex.Spec{Name: "quiet", Version: "1.0", Tags: "py3-none-manylinux_2_17_" + arch})
	r.write("overrides/settings/declared.yaml", "extensions: optional\n")
	r.start()
	for _, p := range []string{"declared", "pure", "foreign", "alone", "quiet"} {
		if _, stderr, err := r.run("build", p); err != nil {
			t.Errorf("%s: %v\n%s", p, err, stderr)
		}
	}
	r.fails("slow", "left out its compiled extension _x, which needs the header nope/foo.h: install")
	r.fails("slow", "set `extensions: optional` in the project's settings") // remembered
	r.write("overrides/settings/slow.yaml", "extensions: optional\n")
	r.hup()
	if _, stderr, err := r.run("build", "slow"); err != nil {
		t.Errorf("with the setting: %v\n%s", err, stderr)
	}
}
