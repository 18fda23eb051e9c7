package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/python-wheel-build/axle/internal/testindex"
)

// needsExtra is a patch that makes a generated project need extra: as its metadata hook and its wheel say, or as its wheel alone does.
func needsExtra(fields ...string) string {
	text := "--- a/_backend/spec.json\n+++ b/_backend/spec.json\n"
	for i, field := range fields {
		text += fmt.Sprintf("@@ -%[1]d +%[1]d @@\n- %[2]q: [],\n+ %[2]q: [\"extra\"],\n", 15+5*i, field)
	}
	return text
}

// TestPatchAddsDependency: where a patch makes a project need another one, every client installs that too, whether it has installed the
// unpatched one before or nothing yet. Where only the wheel says so, which nobody can know before it is built, the install fails, and the
// next one is whole. Neither ever leaves an environment without what is needed.
func TestPatchAddsDependency(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.up.Add(spec("extra", "1.0", "e"))
	homes := map[string]string{}
	var projects []string
	for i, c := range clients(t) {
		homes[c.name] = r.home()
		for _, kind := range []string{"warm", "cold", "liar"} {
			projects = append(projects, fmt.Sprint(kind, i))
			r.up.Add(testindex.Spec{Name: projects[len(projects)-1], Version: "1.0", Marker: kind})
		}
	}
	r.start()
	for i, c := range clients(t) {
		folder := r.installs(c, homes[c.name], fmt.Sprint("warm", i), fmt.Sprint("liar", i))
		if has(t, folder, "extra.py") {
			t.Fatalf("%s installed extra before anything needed it", c.name)
		}
	}
	for _, p := range projects {
		fields := []string{"requires", "wheel_requires"}
		if p[:4] == "liar" {
			fields = fields[1:]
		}
		r.write("overrides/patches/"+p+"/needs.patch", needsExtra(fields...))
	}
	r.hup()
	for i, c := range clients(t) {
		for _, way := range []struct{ project, home string }{{fmt.Sprint("warm", i), homes[c.name]}, {fmt.Sprint("cold", i), r.home()}} {
			if folder := r.installs(c, way.home, way.project); r.marker(folder, "extra") != "e" {
				t.Errorf("%s installed %s without what it needs", c.name, way.project)
			}
		}
		liar := fmt.Sprint("liar", i)
		if folder, out, err := r.install(c, homes[c.name], liar); err == nil {
			t.Errorf("%s installed %s, whose wheel needs more than was promised (extra: %v):\n%s", c.name, liar, has(t, folder, "extra.py"), out)
		}
		if folder := r.installs(c, homes[c.name], liar); r.marker(folder, "extra") != "e" {
			t.Errorf("%s installed %s without what it needs, once that was known", c.name, liar)
		}
	}
}

// TestSetupLies: a setup.py that asks for more when it is built than when it was asked for its metadata fails the install that resolved
// without it, by pip and by uv, with what differs; the next install is whole.
func TestSetupLies(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.realSetuptools()
	r.up.Add(spec("extra", "1.0", "e"))
	for i := range clients(t) {
		name := fmt.Sprint("setuplies", i)
		r.up.Add(testindex.Spec{Name: name, Version: "1.0", Backend: testindex.Legacy, MetadataVersion: "2.1", Marker: "s", Files: map[string]string{
			"setup.py": "import sys\nfrom setuptools import setup\nsetup(name='" + name + "', version='1.0', py_modules=['" + name + "'], install_requires=['extra'] if 'bdist_wheel' in sys.argv else [])\n"}})
	}
	r.start()
	for i, c := range clients(t) {
		name, home := fmt.Sprint("setuplies", i), r.home()
		folder, out, err := r.install(c, home, name)
		if err == nil || !strings.Contains(out, "422") && !strings.Contains(out, "something else than was promised") {
			t.Errorf("%s installed %s (extra: %v), or says not why it can't: %v\n%s", c.name, name, has(t, folder, "extra.py"), err, out)
		}
		folder = r.installs(c, home, name)
		if r.marker(folder, "extra") != "e" || r.marker(folder, name) != "s" {
			t.Errorf("%s installed %s without what it needs, once that was known", c.name, name)
		}
	}
}

func has(t *testing.T, folder, name string) bool {
	t.Helper()
	_, err := os.Stat(filepath.Join(folder, name))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return err == nil
}
