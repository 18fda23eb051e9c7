package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/index/why"
	"github.com/python-wheel-build/axle/internal/testindex"
)

// truth is a server and the projects that it has built, of which each step demands exactly which are misses, why, and which are built again.
type truth struct {
	*rig
	versions []string // project==version
	// extra are builds that a step makes beside those of the versions; skip is one that its constraints don't let anybody order.
	extra int
	skip  string
}

// held is what a version is at one time: the input digest and the wheel's SHA-256 of the hit, "" for a miss.
type held struct{ input, sha256 string }

// ask is what `axle explain` says of each version. Pages must say the same: what clients see.
func (w *truth) ask(step string) map[string]why.Answer {
	w.t.Helper()
	all := map[string]why.Answer{}
	for _, pin := range w.versions {
		project, version, _ := strings.Cut(pin, "==")
		out, stderr, err := w.run("explain", "--json", pin)
		if err != nil {
			w.t.Fatalf("%s: explain %s: %v\n%s", step, pin, err, stderr)
		}
		var a why.Answer
		w.ok(json.Unmarshal([]byte(out), &a))
		all[pin] = a
		files := slices.DeleteFunc(w.files(project), func(f file) bool { return !strings.Contains(f.Filename, "-"+version+"-") })
		if len(files) != 1 {
			w.t.Fatalf("%s: the page of %s lists %+v", step, pin, files)
		}
		if sha := hit(a).sha256; files[0].Hashes["sha256"] != sha {
			w.t.Errorf("%s: explain says %q of %s, and its page %+v", step, a.Verdict, pin, files[0])
		}
	}
	return all
}

func hit(a why.Answer) held {
	if a.Hit == nil {
		return held{}
	}
	return held{a.Hit.Input, a.Hit.SHA256}
}

// now is what each version is.
func (w *truth) now(step string) map[string]held {
	w.t.Helper()
	all := map[string]held{}
	for pin, a := range w.ask(step) {
		all[pin] = hit(a)
	}
	return all
}

// says checks an explanation. Wanted is the cause and, behind it, what it must name: a requirement's project, or a path in the recipe and
// how it changed.
func (w *truth) says(step, pin string, a why.Answer, want string) {
	w.t.Helper()
	cause, thing, _ := strings.Cut(want, " ")
	if want == "" {
		if a.Miss != nil {
			w.t.Errorf("%s: %s is a miss: %s: %s %+v", step, pin, a.Cause, a.Why, a.Changes)
		}
		return
	}
	if a.Miss == nil {
		w.t.Errorf("%s: %s is a hit, want a miss for %s", step, pin, want)
		return
	}
	var named []string
	for _, c := range a.Changes {
		named = append(named, c.Path+" "+c.How)
	}
	for _, n := range a.Needs {
		named = append(named, n.Project)
	}
	for _, q := range a.Excluded {
		named = append(named, q.Project)
	}
	if a.Cause != cause || thing != "" && !slices.Contains(named, thing) {
		w.t.Errorf("%s: %s is a miss for %s %q, want %s: %s", step, pin, a.Cause, named, want, a.Why)
	}
}

// order has all built.
func (w *truth) order() (stdout, stderr string, err error) {
	w.t.Helper()
	return w.run(append([]string{"build"}, slices.DeleteFunc(slices.Clone(w.versions), func(pin string) bool { return pin == w.skip })...)...)
}

// step is one change of the world. It demands that exactly those wanted are misses then, for these causes, and has everything built: those
// in built, nil for all wanted, must get another record, and what was a hit stays what it was. It gives what each version is afterwards.
func (w *truth) step(step string, change func(), want map[string]string, built []string) map[string]held {
	w.t.Helper()
	was := w.now(step)
	change()
	w.hup()
	for pin, a := range w.ask(step) {
		w.says(step, pin, a, want[pin])
	}
	if built == nil {
		built = slices.Collect(maps.Keys(want))
	}
	n := w.built()
	if _, stderr, err := w.order(); err != nil {
		w.t.Fatalf("%s: build: %v\n%s", step, err, stderr)
	}
	if got := w.built() - n; got != len(built)+w.extra {
		w.t.Errorf("%s: %d builds, want those of %q and %d more", step, got, built, w.extra)
	}
	is := w.now(step + ", built")
	for _, pin := range w.versions {
		if again := is[pin].input != was[pin].input; again != slices.Contains(built, pin) {
			w.t.Errorf("%s: %s has another record than before: %t", step, pin, again)
		}
	}
	return is
}

// back undoes a change: every version must be what it was, and nothing is built.
func (w *truth) back(step string, undo func(), was map[string]held) {
	w.t.Helper()
	undo()
	w.hup()
	w.same(step, was)
}

// same demands that every version is what it was, and that asking for all of them builds nothing.
func (w *truth) same(step string, was map[string]held) {
	w.t.Helper()
	n := w.built()
	for pin, a := range w.ask(step) {
		if hit(a) != was[pin] {
			w.t.Errorf("%s: %s is %+v, and was %+v", step, pin, hit(a), was[pin])
			w.says(step, pin, a, "")
		}
	}
	if _, stderr, err := w.order(); err != nil {
		w.t.Fatalf("%s: build: %v\n%s", step, err, stderr)
	}
	if got := w.built() - n; got != 0 {
		w.t.Errorf("%s: %d builds, want none", step, got)
	}
}

// nested is s, with the same project of another marker in the folder sub.
func nested(s testindex.Spec, marker string) testindex.Spec {
	inner := s
	inner.Marker = marker
	_, data := testindex.Sdist(inner)
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		panic(err)
	}
	s.Files = map[string]string{}
	for in := tar.NewReader(z); ; {
		head, err := in.Next()
		if errors.Is(err, io.EOF) {
			return s
		}
		if err != nil {
			panic(err)
		}
		text, err := io.ReadAll(in)
		if err != nil {
			panic(err)
		}
		_, name, _ := strings.Cut(head.Name, "/")
		s.Files["sub/"+name] = string(text)
	}
}

// newTruth is a world of nine projects, all built: a chain base <- tool <- lib <- app, each of which packs what it saw of the one before; dyn,
// which asks for helper when it is built; an extension in C; and two that depend on nothing, of which blind is declared not to depend on
// the declared file.
func newTruth(t *testing.T) (w *truth, install func(entryPoints []string, modules map[string]string)) {
	r := newRig(t)
	w = &truth{rig: r}
	see := func(name, needs string) testindex.Spec {
		return testindex.Spec{Name: name, Version: "1.0", Marker: name, BuildRequires: []string{needs}, OnBuild: "import " + needs + "\nseen['" + needs + "'] = repr(" + needs + ".SEEN)\n"}
	}
	base := testindex.Spec{Name: "base", Version: "1.0", Marker: "base", OnBuild: "seen['of'] = open('base.py').read()\n"}
	for _, s := range []testindex.Spec{base, see("tool", "base"), see("lib", "tool"), see("app", "lib"), {Name: "helper", Version: "1.0", Marker: "h"},
		{Name: "dyn", Version: "1.0", DynamicRequires: []string{"helper"}, See: []string{"helper"}}, {Name: "ext", Version: "1.0", Marker: "e", Ext: true},
		nested(spec("solo", "1.0", "outer"), "inner"), spec("blind", "1.0", "b")} {
		r.up.Add(s)
		w.versions = append(w.versions, s.Name+"==1.0")
	}
	r.config += "    constraints: [constraints.txt]\n    environment:\n      image: " + imageOf("a") + "\n      hook: [./collect]\n      files: {site: etc/site.conf}\n      projects: {blind: {without: ['file:site']}}\n"
	install = r.plugged()
	r.write("constraints.txt", "")
	r.write("etc/site.conf", "one")
	r.hook(`echo '{"ext": "b25l", "nobody": "b25l"}'`)
	r.write("overrides/settings/solo.yaml", solo)
	r.start()
	if _, stderr, err := w.order(); err != nil {
		t.Fatalf("build: %v\n%s", err, stderr)
	}
	if got := r.built(); got != len(w.versions) {
		t.Fatalf("%d builds at first, want %d", got, len(w.versions))
	}
	return w, install
}

const solo = "env: {A: '1', B: '2'}\nconfig_settings: {x: y, z: w}\n"

// noted is a patch that adds a file to the wheel of a generated project, or else only to its sdist.
func noted(where, text string) string {
	return fmt.Sprintf("--- /dev/null\n+++ b/%s\n@@ -0,0 +1 @@\n+%s\n", where, text)
}

// TestTruth: what must be built again is, and exactly that; what must not be isn't; the explanation names the cause; and every change
// taken back gives back the wheels of before.
func TestTruth(t *testing.T) {
	t.Parallel()
	w, install := newTruth(t)
	first := w.now("at first")
	put := func(name, text string) func() { return func() { w.write(name, text) } }
	remove := func(name string) func() { return func() { w.remove(name) } }
	only := func(pin, cause string) map[string]string { return map[string]string{pin + "==1.0": cause} }
	all := func(cause string, but ...string) map[string]string {
		want := map[string]string{}
		for _, pin := range w.versions {
			want[pin] = cause
		}
		for _, pin := range but {
			delete(want, pin+"==1.0")
		}
		return want
	}
	configured := func(old, new string) func() {
		return func() {
			w.config = strings.Replace(w.config, old, new, 1)
			w.write("axle.yaml", strings.ReplaceAll(w.config, "%UP%", w.up.URL))
		}
	}
	const settings = "overrides/settings/solo.yaml"

	// Patches, of which each state of before is there again.
	one := w.step("patch added", put("overrides/patches/solo/one.patch", patchMarker("solo", "outer", "one")), only("solo", "patches patches[one.patch] added"), nil)
	w.step("patch edited", put("overrides/patches/solo/one.patch", patchMarker("solo", "outer", "two")), only("solo", "patches patches[one.patch] edited"), nil)
	w.back("patch edited back", put("overrides/patches/solo/one.patch", patchMarker("solo", "outer", "one")), one)
	two := w.step("another patch", put("overrides/patches/solo/two.patch", noted("wheel/note.txt", "note")), only("solo", "patches patches[two.patch] added"), nil)
	rename := func(from, to string) func() {
		return func() {
			w.ok(os.Rename(filepath.Join(w.dir, "overrides/patches/solo", from), filepath.Join(w.dir, "overrides/patches/solo", to)))
		}
	}
	w.step("patches reordered", rename("one.patch", "zero.patch"), only("solo", "patches patches[zero.patch] renamed"), nil)
	w.back("patches ordered as before", rename("zero.patch", "one.patch"), two)
	w.back("patches removed", remove("overrides/patches/solo"), first)

	// Settings.
	for _, s := range []struct{ name, text, cause string }{
		{"env", "env: {A: '1', B: '3'}\nconfig_settings: {x: y, z: w}\n", "settings settings.env.B edited"},
		{"variant setting", solo + "variants: {cpu: {env: {C: '3'}}}\n", "settings settings.env.C added"},
		{"config_settings", "env: {A: '1', B: '2'}\nconfig_settings: {x: [y]}\n", "settings settings.config_settings.x edited"},
		{"build_dir", solo + "build_dir: sub\n", "settings settings.build_dir added"},
	} {
		w.step(s.name, put(settings, s.text), only("solo", s.cause), nil)
		w.back(s.name+" taken back", put(settings, solo), first)
	}

	// The environment.
	w.step("image digest", configured(imageOf("a"), imageOf("b")), all("environment:image environment.image edited"), nil)
	w.back("the image of before", configured(imageOf("b"), imageOf("a")), first)
	w.step("a declared file edited", put("etc/site.conf", "two"), all("environment:file:site environment.file:site edited", "blind"), nil)
	w.back("the file of before", put("etc/site.conf", "one"), first)

	w.step("what the site's hook says of one project", func() { w.hook(`echo '{"ext": "dHdv", "nobody": "b25l"}'`) },
		only("ext", "environment:hook:ext environment.hook:ext edited"), nil)
	w.back("what it says of a project that is not there", func() { w.hook(`echo '{"nobody": "dHdv", "ext": "b25l"}'`) }, first)

	// Requirements.
	chain := map[string]string{"base==1.0": "patches patches[m.patch] added", "tool==1.0": "requirement base", "lib==1.0": "requirement tool", "app==1.0": "requirement lib"}
	w.step("a build requirement patched", put("overrides/patches/base/m.patch", patchMarker("base", "base", "patched")), chain, nil)
	w.back("the requirement's patch taken back", remove("overrides/patches/base"), first)
	w.step("a dynamic requirement patched", put("overrides/patches/helper/m.patch", patchMarker("helper", "h", "patched")),
		map[string]string{"helper==1.0": "patches patches[m.patch] added", "dyn==1.0": "requirement helper"}, nil)
	w.back("the dynamic requirement's patch taken back", remove("overrides/patches/helper"), first)
	equal := put("overrides/patches/base-1.0/note.patch", noted("note.txt", "what no wheel holds"))
	chain["base==1.0"] = "patches patches[note.patch] added"
	w.step("a requirement rebuilt to equal bytes", equal, chain, []string{"base==1.0"})
	w.back("its patch taken back", remove("overrides/patches/base-1.0"), first)

	// Sources.
	pinned := strings.TrimPrefix(w.rig.pins("blind")[0].SHA256, "sha256:")
	accept := func(args ...string) func() {
		return func() {
			w.ran(append([]string{"source", "accept", "blind==1.0"}, args...)...)
			time.Sleep(1100 * time.Millisecond) // so old may a page be of what another process did
		}
	}
	w.back("other bytes upstream", func() { w.up.Add(spec("blind", "1.0", "changed")) }, first)
	w.step("a source accepted anew", accept(), only("blind", "source source.sha256 edited"), nil)
	w.back("the source of before accepted", accept("--sha256", pinned), first)

	// An override plugin: nobody here could run it, so nothing is built.
	w.back("a plugin of a project that is not there", func() { install([]string{"unrelated = acme"}, map[string]string{"acme.py": "x = 1\n"}) }, first)
	install([]string{"unrelated = acme", "ext = acme.ext"}, map[string]string{"acme/__init__.py": "", "acme/ext.py": ""})
	w.hup()
	for pin, a := range w.ask("a plugin") {
		w.says("a plugin", pin, a, only("ext", "overrides overrides.sources[acme/ext.py] added")[pin])
	}
	if _, stderr, err := w.run("build", "ext==1.0"); err == nil || !strings.Contains(stderr, "override plugin acme.ext") {
		t.Errorf("a plugin: %v\n%s", err, stderr)
	}
	w.back("an unrelated plugin edited, the other one uninstalled", func() { install([]string{"unrelated = acme"}, map[string]string{"acme.py": "x = 2\n"}) }, first)

	// What decides nothing.
	for _, s := range []struct{ name, file, text string }{
		{"a comment", settings, "# why\n" + solo},
		{"key order", settings, "config_settings: {z: w, x: y}\nenv: {B: '2', A: '1'}\n"},
		{"changelog", settings, solo + "changelog: {'1.0': [built anew]}\n"},
		{"annotations", settings, solo + "annotations: {who: me}\n"},
		{"another variant's setting", settings, solo + "variants: {cuda: {env: {C: '3'}}}\n"},
		{"resolver settings", settings, solo + "resolver_dist: {include_sdists: true, ignore_platform: true}\n"},
		{"job counts", settings, solo + "build_options: {cpu_cores_per_job: 3, memory_per_job_gb: 2.5, exclusive_build: true}\n"},
		{"another variant's patch", "overrides/patches/solo/cuda/x.patch", patchMarker("solo", "outer", "cuda")},
		{"another version's patch", "overrides/patches/solo-2.0/x.patch", patchMarker("solo", "outer", "2.0")},
		{"another project's patch", "overrides/patches/other/x.patch", patchMarker("other", "a", "b")},
		{"a note", "overrides/README.md", "how to"},
	} {
		undo := remove(s.file)
		if s.file == settings {
			undo = put(settings, solo)
		}
		w.back(s.name, put(s.file, s.text), first)
		undo()
	}

	// A new release of what others are built with, and a server elsewhere, on the same store in another place.
	w.up.Add(spec("base", "2.0", "newer"))
	w.elsewhere()
	w.same("a new release, and a server elsewhere", first)
	equal = put("overrides/patches/base-1.0/plain.patch", noted("note.txt", "no wheel holds this either"))
	chain["base==1.0"] = "patches patches[plain.patch] added"
	w.step("a requirement rebuilt to equal bytes, though a newer one is there", equal, chain, []string{"base==1.0"})
	w.back("its patch taken back again", remove("overrides/patches/base-1.0"), first)
	w.extra, w.skip = 1, "base==1.0" // the new base in place of the old one
	w.step("a constraint that excludes a requirement of records", put("constraints.txt", "base>=2\n"),
		map[string]string{"tool==1.0": "constraint base", "lib==1.0": "requirement tool", "app==1.0": "requirement lib"}, nil)
	w.extra, w.skip = 0, ""
	w.back("the constraint taken back", put("constraints.txt", ""), first)
}

// elsewhere moves the store, and starts the server anew with all that must not matter changed: home, user, host name, time zone, umask,
// cores, memory, workers, temporary folder.
func (w *truth) elsewhere() {
	w.t.Helper()
	w.stop()
	moved := filepath.Join(w.dir, "elsewhere", "deep", "store")
	w.ok(os.MkdirAll(filepath.Dir(moved), 0o755))
	w.ok(os.Rename(w.store, moved))
	w.store = moved
	home := filepath.Join(w.dir, "another home")
	w.ok(os.MkdirAll(filepath.Join(home, "tmp"), 0o755))
	w.env = append(w.env, "HOME="+home, "TMPDIR="+home+"/tmp", "USER=somebody", "LOGNAME=somebody", "TZ=Asia/Kathmandu", "LANG=de_DE.UTF-8", "MAX_JOBS=7", "MAKEFLAGS=-j7")
	w.args = []string{"--workers", "1", "--limit-memory", "3"}
	script := "#!/bin/sh\numask 077\nexec taskset -c 0 " + w.program + " \"$@\"\n"
	if os.Getuid() == 0 {
		script = "#!/bin/sh\numask 077\nexec unshare --uts sh -c 'hostname another-host && exec taskset -c 0 " + w.program + " \"$@\"' axle \"$@\"\n"
	} else {
		w.t.Log("not root: the host name stays as it is")
	}
	w.program = filepath.Join(w.dir, "program")
	w.ok(os.WriteFile(w.program, []byte(script), 0o755))
	w.start()
}
