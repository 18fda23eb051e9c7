package main

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/python-wheel-build/axle/cmd/axle/host"
)

var truthReal = flag.Bool("truth", false, "what must be built again and what must not, of real projects, too (minutes)")

// TestTruthReal is TestTruth in short on real projects: one in C, one in Cython, which needs Cython itself built, and a pure one.
func TestTruthReal(t *testing.T) {
	if !*truthReal {
		t.Skip("needs network and minutes: `make truth`")
	}
	r := newRig(t)
	w := &truth{rig: r, versions: []string{"markupsafe==3.0.2", "cymem==2.0.11", "idna==3.10"}}
	urls, err := host.PipIndexes(t.Context(), "python3")
	r.ok(err)
	r.remove("overrides")
	if _, stderr, err := r.run("defaults", filepath.Join(r.dir, "overrides")); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	r.config = strings.Replace(r.config, "%UP%", urls[0].URL.String(), 1) + "    constraints: [constraints.txt]\n"
	r.write("constraints.txt", "")
	r.start()
	if _, stderr, err := w.order(); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	t.Logf("%d built at first", r.built())
	first := w.now("at first")
	for pin, h := range first {
		if h.input == "" {
			t.Fatalf("%s is no hit", pin)
		}
	}
	put := func(name, text string) func() { return func() { w.write(name, text) } }
	remove := func(name string) func() { return func() { w.remove(name) } }
	only := func(pin, cause string) map[string]string { return map[string]string{pin: cause} }

	w.step("a patch in C", put("overrides/patches/markupsafe/n.patch", noted("note.txt", "n")), only("markupsafe==3.0.2", "patches patches[n.patch] added"), nil)
	w.back("the patch taken back", remove("overrides/patches/markupsafe"), first)
	w.step("a variable for Cython", put("overrides/settings/cymem.yaml", "env: {CFLAGS: -O1}\n"), only("cymem==2.0.11", "settings settings.env.CFLAGS added"), nil)
	w.back("the variable taken back", remove("overrides/settings/cymem.yaml"), first)
	w.step("a config setting of a pure one", put("overrides/settings/idna.yaml", "config_settings: {x: y}\n"),
		only("idna==3.10", "settings settings.config_settings.x added"), nil)
	w.back("the config setting taken back", remove("overrides/settings/idna.yaml"), first)
	w.extra = 1 // Cython itself, from which the same wheel comes
	w.step("Cython patched where no wheel shows it", put("overrides/patches/cython/n.patch", noted("note.txt", "n")),
		only("cymem==2.0.11", "requirement cython"), []string{})
	w.extra = 0
	w.back("Cython's patch taken back", remove("overrides/patches/cython"), first)

	setuptools := ""
	for _, q := range w.ask("setuptools")["markupsafe==3.0.2"].Hit.Requirements {
		if q.Project == "setuptools" {
			setuptools = q.Version
		}
	}
	w.extra = 2 // another setuptools, and Cython with it
	w.step("the setuptools of records excluded", put("constraints.txt", "setuptools!="+setuptools+"\n"),
		map[string]string{"markupsafe==3.0.2": "constraint setuptools", "cymem==2.0.11": "constraint setuptools"}, nil)
	w.extra = 0
	w.back("the constraint taken back", put("constraints.txt", ""), first)

	for name, text := range map[string]string{"a comment": "# why\n", "another variant": "variants: {cuda: {env: {A: b}}}\n", "changelog": "changelog: {'3.0.2': [anew]}\n",
		"job counts": "build_options: {cpu_cores_per_job: 3}\n"} {
		w.back(name, put("overrides/settings/markupsafe.yaml", text), first)
	}
	w.elsewhere()
	w.same("a server elsewhere", first)
}

// TestAlternatives: which program a name of the system leads to is an input: an alternative chosen by hand is a miss, and chosen back the
// hit of before.
func TestAlternatives(t *testing.T) {
	if os.Getenv("AXLE_TEST_APT") == "" {
		t.Skip("changes /etc/alternatives: `make truth` runs it")
	}
	if os.Getuid() != 0 {
		t.Skip("only root may change /etc/alternatives")
	}
	const name = "axle-test-alternative"
	alternatives := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("update-alternatives", append([]string{"--quiet"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("update-alternatives %s: %v\n%s", args, err, out)
		}
	}
	if out, err := exec.Command("update-alternatives", "--query", name).CombinedOutput(); err == nil {
		t.Fatalf("there is an alternative of that name already: %s", out)
	}
	r := newRig(t)
	w := &truth{rig: r, versions: []string{"demo==1.0", "user==1.0"}}
	demo, user := spec("demo", "1.0", "d"), spec("user", "1.0", "u")
	demo.OnBuild = "import subprocess\nseen['is'] = os.readlink('/etc/alternatives/" + name + "')\n"
	user.BuildRequires = []string{"demo"}
	r.up.Add(demo, user)
	link := filepath.Join("/usr/bin", name)
	t.Cleanup(func() { alternatives("--remove-all", name) })
	alternatives("--install", link, name, "/usr/bin/true", "10")
	alternatives("--install", link, name, "/usr/bin/false", "5")
	r.start()
	if _, stderr, err := w.order(); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	first := w.now("at first")
	const cause = "environment:system environment.system edited"
	w.step("another alternative", func() { alternatives("--set", name, "/usr/bin/false") }, map[string]string{"demo==1.0": cause, "user==1.0": cause}, nil)
	if b, err := os.ReadFile(filepath.Join(r.installs(clients(t)[2], r.home(), "demo"), "demo.py")); err != nil || !strings.Contains(string(b), "/usr/bin/false") {
		t.Errorf("%v %s", err, b)
	}
	w.back("the alternative of before", func() { alternatives("--set", name, "/usr/bin/true") }, first)
}
