package pep517_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/builder/pep517"
	"github.com/python-wheel-build/axle/builder/sandbox"
	"github.com/python-wheel-build/axle/builder/sandbox/sandboxtest"
	"github.com/python-wheel-build/axle/internal/archive"
	"github.com/python-wheel-build/axle/internal/testindex"
	"github.com/python-wheel-build/axle/internal/testtools"
)

// build is one work folder and what was printed there.
type build struct {
	pep517.Env
	t      testing.TB
	log    *bytes.Buffer
	system pep517.System
}

// open unpacks the sdist of a spec into a new work folder.
func open(t testing.TB, spec testindex.Spec, buildDir string) *build {
	t.Helper()
	python := sandboxtest.Python(t)
	root := sandboxtest.Root(t, python)
	root.Env["FROM_ROOT"], root.Env["BOTH"] = "root", "root"
	s, err := sandbox.New(root, t.TempDir(), 1)
	if err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	t.Cleanup(func() {
		if err := sandbox.Remove(work); err != nil {
			t.Error(err)
		}
	})
	filename, data := testindex.Sdist(spec)
	file := filepath.Join(t.TempDir(), filename)
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	top, err := archive.Unpack(t.Context(), f, filename, work, archive.DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	src := filepath.Join(work, "src")
	if err := errors.Join(os.Rename(filepath.Join(work, top), src), s.Prepare(0, work)); err != nil {
		t.Fatal(err)
	}
	b := &build{t: t, log: new(bytes.Buffer)}
	b.Env = pep517.Env{Sandbox: s, Work: work, Tools: testtools.Dir(t), Python: python, Limits: sandbox.Limits{Wall: time.Minute},
		Variables: map[string]string{"FROM_SETTINGS": "yes", "BOTH": "settings", "TZ": "Europe/Berlin"}, Log: b.log}
	if b.system, err = pep517.ReadSystem(src, buildDir); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *build) run(s pep517.Step) (pep517.Result, error) {
	b.t.Helper()
	s.System = b.system
	return b.Run(b.t.Context(), s)
}

// wheel writes a generated wheel into a folder of its own.
func wheel(t testing.TB, spec testindex.Spec) pep517.Wheel {
	t.Helper()
	name, data := testindex.Wheel(spec)
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return pep517.Wheel{Path: path, Digest: fmt.Sprintf("%x", sha256.Sum256(data))}
}

// seen is the dict SEEN in the module of a built wheel.
func seen(t testing.TB, path, module string) map[string]any {
	t.Helper()
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	f, err := z.Open(module + ".py")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	_, object, _ := strings.Cut(string(text), "SEEN = ")
	var m map[string]any
	if err := json.Unmarshal([]byte(object), &m); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return m
}

func untar(t testing.TB, data []byte) map[string]string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			b, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			_, name, _ := strings.Cut(h.Name, "/")
			files[name] = string(b)
		}
	}
}

func TestBuild(t *testing.T) {
	spec := testindex.Spec{Name: "Demo.Pkg", Version: "1.0", Marker: "x", Requires: []string{"six>=1"}}
	b := open(t, spec, "")
	got, err := b.run(pep517.Step{Do: "prepare"})
	if err != nil || string(got.Metadata) != string(testindex.WheelMetadata(spec)) || got.NoPrepare {
		t.Fatalf("prepare: %v %q\n%s", err, got.Metadata, b.log)
	}
	got, err = b.run(pep517.Step{Do: "build", ConfigSettings: map[string]any{"a": "1", "b": []string{"2", "3"}}})
	if err != nil || got.Wheel != filepath.Join(b.Work, "out", "demo_pkg-1.0-py3-none-any.whl") {
		t.Fatalf("build: %v %q\n%s", err, got.Wheel, b.log)
	}
	want := map[string]any{"config_settings": map[string]any{"a": "1", "b": []any{"2", "3"}}}
	if s := seen(t, got.Wheel, "demo_pkg"); fmt.Sprint(s) != fmt.Sprint(want) {
		t.Errorf("the backend saw %v, want %v", s, want)
	}
	if _, err := b.run(pep517.Step{Do: "build", ConfigSettings: map[string]any{"a": 1}}); err == nil {
		t.Error("a number is no config setting")
	}
	first, err := os.ReadFile(filepath.Join(b.Work, "out", "demo_pkg-1.0-py3-none-any.whl"))
	if err != nil {
		t.Fatal(err)
	}
	other := open(t, spec, "")
	if got, err = other.run(pep517.Step{Do: "build", ConfigSettings: map[string]any{"a": "1", "b": []string{"2", "3"}}}); err != nil {
		t.Fatal(err)
	}
	if second, _ := os.ReadFile(got.Wheel); !bytes.Equal(first, second) {
		t.Error("two builds of the same differ")
	}
}

// What pip puts up with.
func TestLooseBackends(t *testing.T) {
	for name, script := range map[string]string{
		"more than the wheel": "open('/build/out/other-1.0-py3-none-any.whl', 'w').close(); os.mkdir('/build/out/tmp')",
		"the whole path": `import testindex_backend as b
build = b.build_wheel
b.build_wheel = lambda d, *a: os.path.join(d, build(d, *a))
prepare = b.prepare_metadata_for_build_wheel
b.prepare_metadata_for_build_wheel = lambda d, *a: os.path.join(d, prepare(d, *a))`,
	} {
		t.Run(name, func(t *testing.T) {
			spec := testindex.Spec{Name: "demo", Version: "1.0"}
			if name == "the whole path" {
				spec.Files = map[string]string{"_backend/whole.py": "import os\n" + script + "\nfrom testindex_backend import *\n",
					"pyproject.toml": "[build-system]\nrequires = []\nbuild-backend = \"whole\"\nbackend-path = [\"\", \"_backend\"]\n"}
			} else {
				spec.OnBuild = script
			}
			b := open(t, spec, "")
			got, err := b.run(pep517.Step{Do: "prepare"})
			if err != nil || len(got.Metadata) == 0 {
				t.Errorf("prepare: %+v, %v\n%s", got, err, b.log)
			}
			got, err = b.run(pep517.Step{Do: "build"})
			if err != nil || filepath.Base(got.Wheel) != "demo-1.0-py3-none-any.whl" {
				t.Errorf("build: %+v, %v\n%s", got, err, b.log)
			}
		})
	}
}

func TestRequirements(t *testing.T) {
	b := open(t, testindex.Spec{Name: "demo", Version: "1.0", BuildRequires: []string{"helper"}, DynamicRequires: []string{"extra>1 ; python_version > '3'"},
		See: []string{"helper", "extra"}}, "")
	if len(b.system.Requires) != 1 || b.system.Requires[0].String() != "helper" {
		t.Fatalf("requires %v", b.system.Requires)
	}
	one := []pep517.Wheel{wheel(t, testindex.Spec{Name: "helper", Version: "1", Marker: "helper 1"})}
	for _, do := range []string{"prepare", "build"} {
		got, err := b.run(pep517.Step{Do: do, Wheels: one})
		if err != nil || !slices.Equal(got.Requires, []string{"extra>1 ; python_version > '3'"}) || got.Metadata != nil || got.Wheel != "" {
			t.Fatalf("%s: %+v, %v\n%s", do, got, err, b.log)
		}
	}
	two := append(one, wheel(t, testindex.Spec{Name: "extra", Version: "2", Marker: "extra 2"}))
	got, err := b.run(pep517.Step{Do: "build", Wheels: two, HaveRequires: true})
	if err != nil {
		t.Fatalf("%v\n%s", err, b.log)
	}
	if s := seen(t, got.Wheel, "demo"); s["helper"] != "helper 1" || s["extra"] != "extra 2" {
		t.Errorf("the backend saw %v", s)
	}
	// Nothing of an earlier environment is there any more.
	_, err = b.run(pep517.Step{Do: "build", Wheels: two[1:], HaveRequires: true})
	var failed *pep517.BackendError
	if !errors.As(err, &failed) || failed.Hook != "build_wheel" || !strings.Contains(failed.Output, "No module named 'helper'") {
		t.Errorf("without helper: %v", err)
	}
	if _, err := b.run(pep517.Step{Do: "build", Wheels: append(one, one...)}); err == nil || !strings.Contains(err.Error(), "two wheels") {
		t.Errorf("a wheel twice: %v", err)
	}
	wrong := wheel(t, testindex.Spec{Name: "helper", Version: "1", Tags: "cp27-cp27m-win32"})
	if _, err = b.run(pep517.Step{Do: "build", Wheels: []pep517.Wheel{wrong}}); !errors.As(err, &failed) || failed.Hook != "install" {
		t.Errorf("a wheel of another platform: %v", err)
	}
}

func TestEnvironment(t *testing.T) {
	b := open(t, testindex.Spec{Name: "demo", Version: "1.0", OnBuild: `
seen["env"] = dict(os.environ); seen["path"] = sys.path; seen["prefix"] = sys.prefix; seen["cwd"] = os.getcwd(); seen["version"] = sys.version
seen["umask"] = oct(os.umask(0)); seen["stdin"] = sys.stdin.read(); seen["python"] = sys.executable; seen["files"] = sorted(os.listdir("/build"))
`}, "")
	got, err := b.run(pep517.Step{Do: "build"})
	if err != nil {
		t.Fatalf("%v\n%s", err, b.log)
	}
	s := seen(t, got.Wheel, "demo")
	env := s["env"].(map[string]any)
	for k, want := range map[string]string{
		"PATH": "/build/venv/bin:/usr/local/bin:/usr/bin:/bin", "HOME": "/build/home", "TMPDIR": "/tmp", "LC_ALL": "C.UTF-8", "TZ": "Europe/Berlin",
		"SOURCE_DATE_EPOCH": "1700000000", "PYTHONHASHSEED": "0", "VIRTUAL_ENV": "/build/venv", "CARGO_NET_OFFLINE": "true",
		"FROM_ROOT": "root", "FROM_SETTINGS": "yes", "BOTH": "settings",
	} {
		if env[k] != want {
			t.Errorf("%s is %q, want %q", k, env[k], want)
		}
	}
	if jobs := fmt.Sprint(env["MAX_JOBS"]); !regexp.MustCompile(`^[1-9]\d*$`).MatchString(jobs) || env["MAKEFLAGS"] != "-j"+jobs {
		t.Errorf("MAX_JOBS %v, MAKEFLAGS %v", jobs, env["MAKEFLAGS"])
	}
	for k := range env {
		if strings.HasPrefix(k, "UV_") || strings.HasPrefix(k, "PIP_") || k == "PYTHONPATH" {
			t.Errorf("%s is set", k)
		}
	}
	if s["prefix"] != "/build/venv" || s["python"] != "/build/venv/bin/python" || s["cwd"] != "/build/src" || s["umask"] != "0o22" || s["stdin"] != "" {
		t.Errorf("prefix %v, python %v, cwd %v, umask %v, stdin %q", s["prefix"], s["python"], s["cwd"], s["umask"], s["stdin"])
	}
	if strings.Contains(fmt.Sprint(s["path"]), "/axle/lib ") || fmt.Sprint(s["files"]) != "[home out src venv]" {
		t.Errorf("sys.path %v, /build %v", s["path"], s["files"])
	}
}

func TestNoPrepare(t *testing.T) {
	b := open(t, testindex.Spec{Name: "demo", Version: "1.0", NoPrepare: true}, "")
	if got, err := b.run(pep517.Step{Do: "prepare"}); err != nil || !got.NoPrepare || got.Metadata != nil {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestBuildDir(t *testing.T) {
	_, data := testindex.Sdist(testindex.Spec{Name: "inner", Version: "1.0", OnBuild: "seen['cwd'] = os.getcwd()"})
	files := map[string]string{"pyproject.toml": "[build-system]\nrequires = [\"no-such\"]\n"}
	for name, text := range untar(t, data) {
		files["python/sub/"+name] = text
	}
	b := open(t, testindex.Spec{Name: "inner", Version: "1.0", Files: files}, "python/sub")
	got, err := b.run(pep517.Step{Do: "build", BuildDir: "python/sub"})
	if err != nil || seen(t, got.Wheel, "inner")["cwd"] != "/build/src/python/sub" {
		t.Errorf("%+v, %v\n%s", got, err, b.log)
	}
	if _, err := b.run(pep517.Step{Do: "build", BuildDir: "../x"}); err == nil {
		t.Error("a build folder outside is accepted")
	}
}

func TestFailures(t *testing.T) {
	for _, c := range []struct {
		spec       testindex.Spec
		do         string
		hook, text string
	}{
		{testindex.Spec{FailBuild: "no compiler\x1b[0m"}, "build", "build_wheel", "RuntimeError: no compiler\x1b[0m"},
		{testindex.Spec{FailPrepare: "no name"}, "prepare", "prepare_metadata_for_build_wheel", "no name"},
		{testindex.Spec{OnRequires: "raise KeyError('why')"}, "build", "get_requires_for_build_wheel", "KeyError: 'why'"},
		{testindex.Spec{Files: map[string]string{"pyproject.toml": "[build-system]\nrequires=[]\nbuild-backend='no_such.backend'\n"}},
			"build", "get_requires_for_build_wheel", "No module named 'no_such'"},
		{testindex.Spec{OnBuild: "os.rmdir('/build/out'); os.symlink('/tmp', '/build/out')"}, "build", "build_wheel", "out is not a folder"},
		{testindex.Spec{OnPrepare: "os.rmdir('/build/meta'); os.makedirs('/tmp/m'); os.symlink('/tmp/m', '/build/meta')"}, "prepare",
			"prepare_metadata_for_build_wheel", "meta is not a folder"},
	} {
		c.spec.Name, c.spec.Version = "demo", "1.0"
		b := open(t, c.spec, "")
		got, err := b.run(pep517.Step{Do: c.do})
		var failed *pep517.BackendError
		if !errors.As(err, &failed) || failed.Hook != c.hook || !strings.Contains(err.Error(), c.text) {
			t.Errorf("got %+v, %v\nwant %s, %s", got, err, c.hook, c.text)
		}
	}
	// Not the project's fault, so not its error.
	b := open(t, testindex.Spec{Name: "demo", Version: "1.0", OnBuild: "os.kill(os.getpid(), 9)"}, "")
	var exit *sandbox.ExitError
	if _, err := b.run(pep517.Step{Do: "build"}); !errors.As(err, &exit) || exit.Signal != syscall.SIGKILL {
		t.Errorf("a hook that was killed: %v", err)
	}
	b = open(t, testindex.Spec{Name: "demo", Version: "1.0", BuildSleep: time.Minute}, "")
	b.Limits.Wall = time.Second
	var limit *sandbox.LimitError
	if _, err := b.run(pep517.Step{Do: "build"}); !errors.As(err, &limit) || limit.Limit != "wall time" {
		t.Errorf("a slow hook: %v", err)
	}
}

// A setup.py alone is built with setuptools, which here asks for one more.
func TestLegacy(t *testing.T) {
	b := open(t, testindex.Spec{Name: "demo", Version: "1.0", Backend: testindex.Legacy}, "")
	var found []string
	for _, dir := range []string{filepath.Dir(filepath.Dir(b.Python)) + "/lib/python3*/ensurepip/_bundled", "/usr/share/python-wheels"} {
		more, _ := filepath.Glob(dir + "/setuptools-*.whl")
		found = append(found, more...)
	}
	if len(found) == 0 {
		t.Skip("this Python brings no setuptools wheel along (from 3.12 on it doesn't)")
	}
	got, err := b.run(pep517.Step{Do: "build", Wheels: []pep517.Wheel{{Path: found[0]}}})
	if err != nil || len(got.Requires) == 0 && got.Wheel == "" {
		t.Errorf("%+v, %v\n%s", got, err, b.log)
	}
	t.Logf("%s: %+v", filepath.Base(found[0]), got)
}

func TestPatch(t *testing.T) {
	spec := testindex.Spec{Name: "demo", Version: "1.0", Marker: "one", Files: map[string]string{"wheel/data.txt": "a\nb\nc\n"}}
	write := func(name, text string) pep517.Patch {
		path := filepath.Join(t.TempDir(), "p")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return pep517.Patch{Name: name, Path: path}
	}
	good := write("001-good.patch", "--- a/demo.py\n+++ b/demo.py\n@@ -1 +1 @@\n-MARKER = \"one\"\n+MARKER = \"two\"\n")
	added := write("002-new.patch", "--- /dev/null\n+++ b/wheel/new.txt\n@@ -0,0 +1 @@\n+new\n")
	bad := write("003-bad.patch", "--- a/wheel/data.txt\n+++ b/wheel/data.txt\n@@ -1,3 +1,3 @@\n x\n-y\n+z\n c\n")
	escape := write("004-escape.patch", "--- /dev/null\n+++ b/../../outside.txt\n@@ -0,0 +1 @@\n+new\n")
	b := open(t, spec, "")
	if err := b.Patch(t.Context(), []pep517.Patch{good, added}); err != nil {
		t.Fatal(err)
	}
	marker, _ := os.ReadFile(filepath.Join(b.Work, "src/demo.py"))
	names, _ := filepath.Glob(filepath.Join(b.Work, "src", "*.orig"))
	if string(marker) != "MARKER = \"two\"\n" || len(names) > 0 {
		t.Errorf("%q %v\n%s", marker, names, b.log)
	}
	if _, err := os.Stat(filepath.Join(b.Work, "src/wheel/new.txt")); err != nil {
		t.Error(err)
	}
	var rejected *pep517.PatchError
	for p, want := range map[pep517.Patch]string{bad: "@@ -1,3 +1,3 @@\n x\n-y\n+z\n c", good: "previously applied", escape: "dangerous file name"} {
		err := b.Patch(t.Context(), []pep517.Patch{p})
		if !errors.As(err, &rejected) || rejected.Name != p.Name || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v\nwant %q", p.Name, err, want)
		}
	}
	b.Variables = map[string]string{"PATH": "/nowhere"}
	if err := b.Patch(t.Context(), []pep517.Patch{bad}); err == nil || !strings.Contains(err.Error(), "install patch") {
		t.Errorf("without patch(1): %v", err)
	}
}

func TestUnprivileged(t *testing.T) { sandboxtest.Unprivileged(t, 8, "AXLE_TOOLS="+testtools.Dir(t)) }

func BenchmarkBuild(b *testing.B) {
	e := open(b, testindex.Spec{Name: "demo", Version: "1.0"}, "")
	for b.Loop() {
		if _, err := e.run(pep517.Step{Do: "build"}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBuildWithRequirement(b *testing.B) {
	e := open(b, testindex.Spec{Name: "demo", Version: "1.0", See: []string{"helper"}}, "")
	wheels := []pep517.Wheel{wheel(b, testindex.Spec{Name: "helper", Version: "1"})}
	for b.Loop() {
		if _, err := e.run(pep517.Step{Do: "build", Wheels: wheels}); err != nil {
			b.Fatal(err)
		}
	}
}
