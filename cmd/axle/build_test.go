package main

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/python-wheel-build/axle/cmd/axle/command"
	"github.com/python-wheel-build/axle/internal/testindex"
)

// TestBuilds goes through what an sdist can be, on one server: what its wheel must hold, or what the error must say.
func TestBuilds(t *testing.T) {
	r := newRig(t)
	r.args = []string{"--workers", "2"}
	r.config += "    wheels_only: pre-built\n"
	r.write("overrides/settings/declared.yaml", "variants: {cpu: {pre_built: true}}\n")
	r.write("overrides/settings/set.yaml", "env: {COLOUR: green, COUNT: 3}\nconfig_settings: {--build-option: [one, two], plain: x}\n")
	r.write("overrides/settings/templated.yaml", "env: {PATH: '/opt/first:$PATH', MINE: x}\nvariants: {cpu: {env: {WHAT: 'v${__version__} of ${MINE}'}}}\n")
	r.write("overrides/settings/overridden.yaml", "project_override: {update_build_requires: [tool<2], remove_build_requires: [nowhere, setuptools]}\n")
	r.write("overrides/settings/logged.yaml", "changelog: {'1.0': [one change, another]}\n")
	r.write("overrides/settings/inner.yaml", "build_dir: python/pkg\n")
	r.write("overrides/patches/patched/2.patch", patchMarker("patched", "second", "third"))
	r.write("overrides/patches/patched/1.patch", patchMarker("patched", "first", "second"))
	r.write("overrides/patches/twice_patched/1.patch", patchMarker("twice_patched", "first", "second"))
	r.write("overrides/patches/twice_patched-1.0/1.patch", patchMarker("twice_patched", "second", "third"))
	r.write("overrides/patches/unpatchable/1.patch", patchMarker("unpatchable", "not there", "x"))
	r.write("overrides/patches/outward/1.patch", "--- a/../../outside\n+++ b/../../outside\n@@ -0,0 +1 @@\n+x\n")
	r.up.AddWheel(testindex.Spec{Name: "declared", Version: "1.0", Marker: "as it was"}, testindex.Spec{Name: "onlywheel", Version: "1.0", Marker: "as it was"},
		testindex.Spec{Name: "foreign", Version: "1.0", Tags: "cp311-cp311-win_amd64"})
	r.up.Add(spec("declared", "1.0", "from source"), spec("tool", "1.0", "old tool"), spec("tool", "2.0", "new tool"), spec("extra-tool", "1.0", "extra"))
	for _, test := range []struct {
		name string
		spec *testindex.Spec
		wheel,
		fails string
	}{
		{name: "simple", spec: &testindex.Spec{Marker: "m"}, wheel: `MARKER = "m"`},
		{name: "zipped", spec: &testindex.Spec{Marker: "m", Zip: true}, wheel: `MARKER = "m"`},
		{name: "compiled", spec: &testindex.Spec{Marker: "m", Ext: true}, wheel: `MARKER = "m"`},
		{name: "static", spec: &testindex.Spec{BuildRequires: []string{"tool<2"}, See: []string{"tool"}}, wheel: "old tool"},
		{name: "newest", spec: &testindex.Spec{BuildRequires: []string{"tool"}, See: []string{"tool"}}, wheel: "new tool"},
		{name: "dynamic", spec: &testindex.Spec{DynamicRequires: []string{"tool", "extra-tool; extra == 'all'"}, See: []string{"tool"}}, wheel: "new tool"},
		{name: "dynamic-holds", spec: &testindex.Spec{BuildRequires: []string{"tool"}, DynamicRequires: []string{"tool>=1", "extra-tool"}, See: []string{"tool", "extra_tool"}}, wheel: "new tool"},
		{name: "dynamic-moves", spec: &testindex.Spec{BuildRequires: []string{"tool"}, DynamicRequires: []string{"tool<2"}, See: []string{"tool"}}, wheel: "old tool"},
		{name: "old-metadata", spec: &testindex.Spec{MetadataVersion: "2.1", Marker: "m"}, wheel: `MARKER = "m"`},
		{name: "no-hook", spec: &testindex.Spec{MetadataVersion: "2.1", NoPrepare: true, Marker: "m"}, wheel: `MARKER = "m"`},
		{name: "marker-off", spec: &testindex.Spec{BuildRequires: []string{"nowhere; sys_platform == 'win32'"}, Marker: "m"}, wheel: `MARKER = "m"`},
		{name: "set", spec: &testindex.Spec{OnBuild: "seen['env'] = os.environ['COLOUR'] + os.environ['COUNT']"}, wheel: `"green3"`},
		{name: "templated", spec: &testindex.Spec{OnBuild: "seen['env'] = os.environ['WHAT'] + ' ' + ':'.join(os.environ['PATH'].split(':')[:2])"}, wheel: `"v1.0 of x /opt/first:/build/venv/bin"`},
		{name: "overridden", spec: &testindex.Spec{BuildRequires: []string{"nowhere", "tool"}, See: []string{"tool"}}, wheel: "old tool"},
		{name: "finds-itself", spec: &testindex.Spec{OnBuild: "import sys\nseen['path'] = str(sys.path.index(os.path.join(os.getcwd(), '_backend')))"}, wheel: `"path": "0"`},
		{name: "logged", spec: &testindex.Spec{Marker: "m"}, wheel: `MARKER = "m"`},
		{name: "patched", spec: &testindex.Spec{Marker: "first"}, wheel: `MARKER = "third"`},
		{name: "twice-patched", spec: &testindex.Spec{Marker: "first"}, wheel: `MARKER = "third"`},
		{name: "reaches-its-wheels", spec: &testindex.Spec{BuildRequires: []string{"tool"}, DynamicRequires: []string{"extra-tool"},
			OnBuild: "seen['given'] = str(any('wheel' in n for n in os.listdir('/build')))"}, wheel: `"given": "False"`},
		{name: "declared", wheel: `"as it was"`},
		{name: "onlywheel", wheel: `"as it was"`},
		{name: "inner", spec: &testindex.Spec{Marker: "inner", Dir: "python/pkg"}, wheel: `MARKER = "inner"`},

		{name: "foreign", fails: "none of them for cp311"},
		{name: "unknown-project", fails: "unknown-project"},
		{name: "needs-unknown", spec: &testindex.Spec{BuildRequires: []string{"nowhere>=3"}}, fails: "nowhere"},
		{name: "needs-conflict", spec: &testindex.Spec{BuildRequires: []string{"tool>=3"}}, fails: "tool>=3"},
		{name: "needs-url", spec: &testindex.Spec{BuildRequires: []string{"tool @ http://127.0.0.1:9/tool.whl"}}, fails: "direct URL"},
		{name: "dynamic-never-ends", spec: &testindex.Spec{BuildRequires: []string{"tool"}, DynamicRequires: []string{"not a requirement!"}}, fails: "not a requirement!"},
		{name: "unpatchable", spec: &testindex.Spec{Marker: "m"}, fails: "1.patch"},
		{name: "outward", spec: &testindex.Spec{Marker: "m"}, fails: "1.patch"},
		{name: "fails", spec: &testindex.Spec{FailBuild: "no such header: x.h"}, fails: "no such header: x.h"},
		{name: "fails-in-latin", spec: &testindex.Spec{OnBuild: "os.write(2, b'caf\\xe9 is missing\\n')\nraise SystemExit(3)"}, fails: "is missing"},
		{name: "fails-to-prepare", spec: &testindex.Spec{MetadataVersion: "2.1", FailPrepare: "cannot say"}, wheel: "MARKER"},
		{name: "claims", spec: &testindex.Spec{WheelVersion: "9.9"}, fails: "9.9"},
		{name: "needs-failing", spec: &testindex.Spec{BuildRequires: []string{"fails"}}, fails: "no such header: x.h"},
		{name: "reaches-out", spec: &testindex.Spec{OnBuild: "import urllib.request\nurllib.request.urlopen('" + r.up.URL + "')"}, fails: "reaches-out"},
		{name: "looks-around", spec: &testindex.Spec{OnBuild: "seen['store'] = str(os.path.exists('" + r.dir + "'))"}, wheel: `"store": "False"`},
	} {
		if test.spec != nil {
			test.spec.Name, test.spec.Version = test.name, "1.0"
			r.up.Add(*test.spec)
		}
		if r.cmd == nil {
			r.start()
		}
		t.Run(test.name, func(t *testing.T) {
			stdout, stderr, err := r.run("build", test.name)
			if test.fails != "" {
				if err == nil || !strings.Contains(lastLines(stderr, 12), test.fails) {
					t.Fatalf("%v, want %q in\n%s", err, test.fails, stderr)
				}
				return
			}
			if err != nil {
				t.Fatalf("%v\n%s", err, stderr)
			}
			if number := map[bool]string{true: "-2_", false: "-0_"}[test.name == "logged"]; !strings.Contains(stdout, test.name+"-1.0"+number) &&
				!strings.Contains(stdout, strings.ReplaceAll(test.name, "-", "_")+"-1.0"+number) {
				t.Errorf("%s: the build tag's number should be %s", stdout, number)
			}
			if got := wheelModule(t, strings.TrimSpace(stdout), testindex.Module(test.name)); !strings.Contains(got, test.wheel) {
				t.Errorf("the wheel has %q, want %s", got, test.wheel)
			}
		})
	}
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// wheelModule is the text of the module in the wheel at a URL.
func wheelModule(t *testing.T, url, module string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %v", url, resp.StatusCode, err)
	}
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	f, err := z.Open(module + ".py")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestBrokenPromise: a wheel that needs other projects than was promised is published, but not given to who was promised otherwise.
func TestBrokenPromise(t *testing.T) {
	r := newRig(t)
	r.up.Add(spec("extra", "1.0", "e"))
	for _, name := range []string{"demo0", "demo1", "demo2"} {
		r.up.Add(testindex.Spec{Name: name, Version: "1.0", Marker: "d", WheelRequires: []string{"extra"}})
	}
	r.start()
	for i, c := range clients(t) {
		demo := fmt.Sprint("demo", i)
		if _, out, err := r.install(c, r.home(), demo); err == nil {
			t.Fatalf("%s installed a wheel that needs something else than was promised:\n%s", c.name, out)
		}
		// The page is true by now.
		if folder := r.installs(c, r.home(), demo); r.marker(folder, "extra") != "e" {
			t.Errorf("%s did not install what the wheel needs", c.name)
		}
	}
}

// TestRevoked: withdrawn bytes are not served, not built with and not accepted again, however often somebody asks.
func TestRevoked(t *testing.T) {
	r := newRig(t)
	r.up.Add(spec("tool", "1.0", "t"), testindex.Spec{Name: "demo", Version: "1.0", BuildRequires: []string{"tool"}})
	r.start()
	r.installs(clients(t)[2], r.home(), "demo")
	url := r.only("tool").URL
	store, err := command.OpenStore(t.Context(), r.store, false)
	r.ok(err)
	defer store.Close()
	r.ok(store.Create(t.Context(), "revocations/"+r.only("tool").Hashes["sha256"]+".json", map[string]string{"reason": "test"}))
	if got := r.get(url, nil).status; got != http.StatusGone {
		t.Errorf("the revoked wheel: %d, want 410", got)
	}
	// Pages may be a second old where another process wrote the revocation, as here.
	r.eventually("what is revoked, or was built with it, is no hit", func() bool { return !r.only("tool").hit() && !r.only("demo").hit() })
	records := func() int { return len(glob(t, r.store, "records/*/*/*/*/*.json")) }
	before := records()
	for range 3 {
		if _, stderr, err := r.run("build", "--retry", "demo"); err == nil || !strings.Contains(stderr, "revoked") {
			t.Errorf("build: %v\n%s", err, stderr)
		}
	}
	if got := records(); got != before {
		t.Errorf("%d records, want the %d from before", got, before)
	}
}
