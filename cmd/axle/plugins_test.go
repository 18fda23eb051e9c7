package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/python-wheel-build/axle/internal/testindex"
	"github.com/python-wheel-build/axle/internal/testtools"
)

// plugged makes a virtual environment in the rig's folder and has the view take override plugins from there. What it gives installs a
// distribution with these entry points and modules into it, or with none of them uninstalls it.
func (r *rig) plugged() (install func(entryPoints []string, modules map[string]string)) {
	r.t.Helper()
	if out, err := exec.Command("python3", "-m", "venv", "--without-pip", filepath.Join(r.dir, "venv")).CombinedOutput(); err != nil {
		r.t.Fatalf("%v\n%s", err, out)
	}
	r.config = strings.Replace(r.config, "    build:", "    plugins: venv/bin/python\n    build:", 1)
	pip := func(args ...string) {
		r.t.Helper()
		cmd := exec.CommandContext(r.t.Context(), filepath.Join(testtools.Dir(r.t), "pip-26.3", "bin", "python"),
			append([]string{"-m", "pip", "--python", filepath.Join(r.dir, "venv/bin/python"), "--disable-pip-version-check"}, args...)...)
		cmd.Env = clientEnv(r.dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			r.t.Fatalf("pip %s: %v\n%s", args, err, out)
		}
	}
	return func(entryPoints []string, modules map[string]string) {
		r.t.Helper()
		pip("uninstall", "--yes", "acme-plugins")
		if len(entryPoints) == 0 {
			return
		}
		s := testindex.Spec{Name: "acme-plugins", Version: "1.0", Files: map[string]string{}}
		info := "wheel/acme_plugins-1.0.dist-info/"
		s.Files[info+"entry_points.txt"] = "[fromager.project_overrides]\n" + strings.Join(entryPoints, "\n") + "\n"
		for name, text := range modules {
			s.Files["wheel/"+name] = text
		}
		name, wheel := testindex.Wheel(s)
		r.ok(os.WriteFile(filepath.Join(r.dir, name), wheel, 0o644))
		pip("install", "--no-index", filepath.Join(r.dir, name))
	}
}

// TestOverridePlugins: a plugin is an input of its project alone, with what it imports; since only fromager could run it, nothing is
// built for that project, and says so at once. Taken back, what was built before is the hit.
func TestOverridePlugins(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	install := r.plugged()
	r.up.Add(spec("foo", "1.0", "f"), spec("bar", "1.0", "b"), testindex.Spec{Name: "top", Version: "1.0", BuildRequires: []string{"foo"}, See: []string{"foo"}})
	r.start()
	r.installs(clients(t)[2], r.home(), "foo", "bar", "top")
	all := []string{"foo", "bar", "top"}
	listed := map[string]string{}
	for _, p := range all {
		listed[p] = r.only(p).URL
	}
	// misses are demanded of exactly these; what is a hit is the file that it always was.
	misses := func(step string, want ...string) {
		t.Helper()
		built := r.built()
		r.hup()
		for _, p := range all {
			switch f := r.only(p); {
			case f.hit() == slices.Contains(want, p):
				t.Errorf("%s: %s is a hit: %v", step, p, f.hit())
			case f.hit() && f.URL != listed[p]:
				t.Errorf("%s: %s is listed as %s, and was %s", step, p, f.URL, listed[p])
			}
		}
		for _, p := range want {
			// No job is run, for the metadata or the wheel, whoever asks and however often.
			for _, c := range clients(t)[1:] {
				if _, out, err := r.install(c, r.home(), p); err == nil {
					t.Errorf("%s: %s installed %s:\n%s", step, c.name, p, out)
				}
			}
			_, stderr, err := r.run("build", p)
			if err == nil || !strings.Contains(stderr, "has the override plugin acme.foo, which only fromager can run") || !strings.Contains(stderr, "foo") {
				t.Errorf("%s: build %s: %v\n%s", step, p, err, stderr)
			}
		}
		if got := r.built(); got != built {
			t.Errorf("%s: %d builds", step, got-built)
		}
		if r.count(`axle_builds_total{outcome="failed"}`) != 0 {
			t.Errorf("%s: a job was begun", step)
		}
	}
	never := fmt.Sprintf("open(%q, 'w').close()\n", filepath.Join(r.dir, "trace"))
	modules := map[string]string{"acme/__init__.py": never, "acme/foo.py": "from acme import helper\n" + never, "acme/helper.py": never, "acme/other.py": never}
	plugin := []string{"foo = acme.foo"}
	install(plugin, modules)
	misses("a plugin is installed", "foo", "top") // what was built with foo needs it as it is today
	install([]string{"unrelated = acme.other", "foo = acme.foo"}, modules)
	misses("another project's plugin beside it", "foo", "top")
	install([]string{"unrelated = acme.other"}, modules)
	misses("an unrelated plugin only")
	modules["acme/other.py"] = "import acme.foo\n"
	install([]string{"unrelated = acme.other"}, modules)
	misses("an unrelated plugin edited")
	install(nil, nil)
	misses("uninstalled")

	// A plugin that can't be known whole changes nothing at all.
	modules["acme/foo.py"] = "from acme import helper\nfrom .gone import x\n"
	install(plugin, modules)
	n := len(r.out.all())
	r.ok(r.cmd.Process.Signal(syscall.SIGHUP))
	r.eventually("the server says what is wrong", func() bool {
		return strings.Contains(r.out.all()[n:], "acme/foo.py, line 2: module acme.gone is not found")
	})
	for _, p := range all {
		if f := r.only(p); f.URL != listed[p] {
			t.Errorf("%s is listed as %s after a refused publication, and was %s", p, f.URL, listed[p])
		}
	}
	if _, err := os.Stat(filepath.Join(r.dir, "trace")); err == nil {
		t.Error("a plugin was run")
	}
}
