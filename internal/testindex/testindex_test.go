package testindex

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/python-wheel-build/axle/internal/testtools"
)

// uv runs the real uv without its user's configuration, cache or any other index.
func uv(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(testtools.Tool(t, "uv"), append([]string{"--no-config"}, args...)...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "UV_CACHE_DIR="+filepath.Join(cmd.Dir, "cache"), "SOURCE_DATE_EPOCH=1700000000", "UV_PYTHON_DOWNLOADS=never")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// install has uv install a project of an index into a folder and returns the sources of the modules that are then in it.
func install(t *testing.T, x *Index, args ...string) (map[string]string, string, error) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "site")
	out, err := uv(t, append([]string{"pip", "install", "--target", dir, "--index-url", x.URL}, args...)...)
	modules := map[string]string{}
	paths, _ := filepath.Glob(filepath.Join(dir, "*.py"))
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		modules[filepath.Base(p)] = string(b)
	}
	return modules, out, err
}

func TestEqualSpecsGiveEqualBytes(t *testing.T) {
	s := Spec{Name: "Demo.Thing", Version: "1.0", Marker: "one", Ext: true, Files: map[string]string{"a": "1", "b": "2", "wheel/c": "3"}}
	for _, zip := range []bool{false, true} {
		s.Zip = zip
		name, a := Sdist(s)
		_, b := Sdist(s)
		if !bytes.Equal(a, b) {
			t.Errorf("%s: two generations differ", name)
		}
		s.Marker += "!"
		if _, c := Sdist(s); bytes.Equal(a, c) {
			t.Errorf("%s: another marker made the same bytes", name)
		}
	}
	name, a := Wheel(s)
	if _, b := Wheel(s); name != "demo_thing-1.0-py3-none-any.whl" || !bytes.Equal(a, b) {
		t.Errorf("wheel %s: name or second generation differ", name)
	}
}

// Every kind of page and sdist, taken by the real uv: JSON and HTML, .tar.gz and .zip, a requirement to build with and one to run with.
func TestUVInstallsFromIt(t *testing.T) {
	for name, faults := range map[string]Faults{"json": {}, "html": {HTMLOnly: true}, "html without hashes": {HTMLOnly: true, NoHash: true}} {
		t.Run(name, func(t *testing.T) {
			x := New(t)
			x.Set(faults)
			x.Add(Spec{Name: "helper", Version: "1.0", Marker: "old"}, Spec{Name: "helper", Version: "1.1", Marker: "new", Zip: true},
				Spec{Name: "Demo", Version: "2.0", Marker: "demo", BuildRequires: []string{"helper<1.1"}, See: []string{"helper"},
					MetadataVersion: "2.1", Requires: []string{"runs>=1"}, RequiresPython: ">=3.8", OnBuild: "seen['by'] = 'script'",
					Files: map[string]string{"wheel/extra.py": "E = 1\n"}})
			x.AddWheel(Spec{Name: "runs", Version: "1.5", Marker: "wheel"})
			modules, out, err := install(t, x, "--no-binary", "demo", "demo")
			want := map[string]string{
				"demo.py": "MARKER = \"demo\"\nSEEN = {\"by\": \"script\", \"helper\": \"old\"}\n", "extra.py": "E = 1\n",
				"runs.py": "MARKER = \"wheel\"\nSEEN = {}\n",
			}
			if err != nil || !maps.Equal(modules, want) {
				t.Errorf("%v\n%s\ngot %q, want %q", err, out, modules, want)
			}
		})
	}
}

func TestPipInstallsFromIt(t *testing.T) {
	for name, faults := range map[string]Faults{"json": {}, "html": {HTMLOnly: true}} {
		t.Run(name, func(t *testing.T) {
			x := New(t)
			x.Set(faults)
			x.Add(Spec{Name: "helper", Version: "1.0", Marker: "h"},
				Spec{Name: "demo", Version: "2.0", BuildRequires: []string{"helper"}, See: []string{"helper"}, MetadataVersion: "2.1", Requires: []string{"runs"}})
			x.AddWheel(Spec{Name: "runs", Version: "1.5", Marker: "wheel"})
			dir := t.TempDir()
			pip := filepath.Join(testtools.Dir(t), "pip-26.3", "bin", "python")
			out, err := run(dir, nil, pip, "-I", "-m", "pip", "--isolated", "install", "--no-cache-dir", "--target", "site", "--index-url", x.URL, "demo")
			built, _ := os.ReadFile(filepath.Join(dir, "site", "demo.py"))
			_, missing := os.Stat(filepath.Join(dir, "site", "runs.py"))
			if err != nil || missing != nil || !strings.Contains(string(built), `SEEN = {"helper": "h"}`) {
				t.Errorf("%v %v\n%s\n%s", err, missing, out, built)
			}
		})
	}
}

func TestAddOnceAskedForDynamicRequirement(t *testing.T) {
	x := New(t)
	x.Add(Spec{Name: "helper", Version: "1.0", Marker: "h"}, Spec{Name: "demo", Version: "1", DynamicRequires: []string{"helper"}, See: []string{"helper"}})
	if modules, out, err := install(t, x, "demo"); err != nil || !strings.Contains(modules["demo.py"], `{"helper": "h"}`) {
		t.Errorf("%v\n%s\n%q", err, out, modules)
	}
}

func TestBuildsThatFail(t *testing.T) {
	for name, s := range map[string]Spec{
		"build":    {FailBuild: "the compiler is sulking"},
		"prepare":  {MetadataVersion: "2.1", FailPrepare: "the compiler is sulking"},
		"requires": {OnRequires: "raise SystemExit('the compiler is sulking')"},
	} {
		t.Run(name, func(t *testing.T) {
			s.Name, s.Version = "demo", "1.0"
			x := New(t)
			x.Add(s)
			if _, out, err := install(t, x, "demo"); err == nil || !strings.Contains(out, "the compiler is sulking") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// build has uv build the wheel of a generated sdist and returns its files.
func build(t *testing.T, s Spec) (string, map[string]string) {
	t.Helper()
	dir := t.TempDir()
	name, data := Sdist(s)
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := uv(t, "build", "--wheel", "--offline", "--out-dir", dir, filepath.Join(dir, name)); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	wheels, _ := filepath.Glob(filepath.Join(dir, "*.whl"))
	if len(wheels) != 1 {
		t.Fatalf("got wheels %q", wheels)
	}
	z, err := zip.OpenReader(wheels[0])
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	files := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[f.Name] = string(b)
	}
	return filepath.Base(wheels[0]), files
}

func TestExtensionIsForThisPlatformAndTheSameTwice(t *testing.T) {
	s := Spec{Name: "native", Version: "1.0", Marker: "c", Ext: true}
	name, files := build(t, s)
	_, again := build(t, s)
	if strings.HasSuffix(name, "-none-any.whl") || !maps.Equal(files, again) {
		t.Errorf("%s: for any platform, or other bytes the second time: %q and %q", name, slices.Sorted(maps.Keys(files)), slices.Sorted(maps.Keys(again)))
	}
}

func TestWheelsThatBreakPromises(t *testing.T) {
	_, files := build(t, Spec{Name: "demo", Version: "1.0", Requires: []string{"a"}, WheelRequires: []string{"b"}, NoPrepare: true})
	if got := files["demo-1.0.dist-info/METADATA"]; got != "Metadata-Version: 2.4\nName: demo\nVersion: 1.0\nRequires-Dist: b\n\n" {
		t.Errorf("METADATA %q", got)
	}

	// uv refuses a wheel of another version, so the backend's function is called directly.
	dir := t.TempDir()
	_, data := Sdist(Spec{Name: "demo", Version: "1.0", WheelVersion: "1.1"})
	if out, err := run(dir, bytes.NewReader(data), "tar", "-xz", "--strip-components=1"); err != nil {
		t.Fatal(err, out)
	}
	script := "import sys; sys.path.insert(0, '_backend'); import testindex_backend as b; print(b.build_wheel('.'))"
	if out, err := run(dir, nil, "python3", "-c", script); err != nil || out != "demo-1.1-py3-none-any.whl\n" {
		t.Errorf("%v, %q", err, out)
	}
}

func run(dir string, stdin io.Reader, argv ...string) (string, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdin = dir, stdin
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// The setup.py of the two setuptools backends, run with the setuptools of the machine's own Python.
func TestSetuptoolsSourcesBuild(t *testing.T) {
	if out, err := run(t.TempDir(), nil, "python3", "-c", "import setuptools"); err != nil {
		t.Skipf("the python3 on PATH has no setuptools to try the generated setup.py with: %s", out)
	}
	for _, backend := range []Backend{Setuptools, Legacy} {
		s := Spec{Name: "demo", Version: "1.0", Backend: backend, Requires: []string{"six>1"}, Ext: true, RequiresPython: ">=3.8"}
		dir := t.TempDir()
		_, data := Sdist(s)
		if out, err := run(dir, bytes.NewReader(data), "tar", "-xz", "--strip-components=1"); err != nil {
			t.Fatal(err, out)
		}
		if out, err := run(dir, nil, "python3", "setup.py", "-q", "install_lib", "--install-dir", "out", "install_egg_info", "--install-dir", "out"); err != nil {
			t.Fatalf("%s: %v\n%s", backend, err, out)
		}
		requires, _ := filepath.Glob(filepath.Join(dir, "out", "*.egg-info", "requires.txt"))
		library, _ := filepath.Glob(filepath.Join(dir, "out", "_demo*.so"))
		_, err := os.Stat(filepath.Join(dir, "pyproject.toml"))
		if len(requires) != 1 || len(library) != 1 || (err == nil) != (backend == Setuptools) {
			t.Errorf("%s: requires.txt %q, library %q, pyproject.toml: %v", backend, requires, library, err)
		}
	}
}

func TestPKGInfoSaysWhatItsKindSays(t *testing.T) {
	s := Spec{Name: "Demo", Version: "1.0", Requires: []string{"a"}, Extras: []string{"x"}}
	if got := pkgInfo(s); !strings.Contains(got, "Metadata-Version: 2.4\nName: Demo\n") || !strings.Contains(got, "Requires-Dist: a\nProvides-Extra: x\n") {
		t.Errorf("static: %q", got)
	}
	s.Dynamic = []string{"Requires-Dist"}
	if got := pkgInfo(s); strings.Contains(got, "Requires-Dist: a") || !strings.Contains(got, "Dynamic: Requires-Dist\n") {
		t.Errorf("dynamic: %q", got)
	}
	s.Dynamic, s.MetadataVersion = nil, "2.1"
	if got := pkgInfo(s); strings.Contains(got, "Requires-Dist") || !strings.Contains(string(WheelMetadata(s)), "Requires-Dist: a\n") {
		t.Errorf("old: %q and wheel %q", got, WheelMetadata(s))
	}
}

func get(t *testing.T, url string, header ...string) (int, http.Header, string, error) {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, res.Header, string(b), err
}

func TestPageTellsAllOfAFile(t *testing.T) {
	x := New(t)
	x.Add(Spec{Name: "demo", Version: "1.0", RequiresPython: ">=3.9"})
	x.AddWheel(Spec{Name: "demo", Version: "1.0"})
	x.Edit("demo-1.0.tar.gz", func(f *File) { f.IsYanked, f.Yanked = true, "it <bites>" })
	_, _, body, _ := get(t, x.URL+"demo/", "Accept", jsonType)
	var page struct {
		Name     string
		Versions []string
		Files    []struct {
			Filename, URL  string
			Hashes         map[string]string
			Size           int
			Yanked         any
			RequiresPython string            `json:"requires-python"`
			UploadTime     string            `json:"upload-time"`
			Core           map[string]string `json:"core-metadata"`
		}
	}
	if err := json.Unmarshal([]byte(body), &page); err != nil || len(page.Files) != 2 || page.Name != "demo" || !slices.Equal(page.Versions, []string{"1.0"}) {
		t.Fatal(err, body)
	}
	sdist, wheel := page.Files[0], page.Files[1]
	if sdist.Yanked != "it <bites>" || sdist.RequiresPython != ">=3.9" || sdist.UploadTime != "2024-01-01T00:00:00.000000Z" || wheel.Yanked != false {
		t.Error(body)
	}
	for _, want := range []struct{ url, sha string }{{sdist.URL, sdist.Hashes["sha256"]}, {wheel.URL, wheel.Hashes["sha256"]}, {wheel.URL + ".metadata", wheel.Core["sha256"]}} {
		if status, _, data, err := get(t, want.url); status != 200 || err != nil || sha([]byte(data)) != want.sha {
			t.Errorf("%s: %d %v, hash %s is not %s", want.url, status, err, sha([]byte(data)), want.sha)
		}
	}
	_, _, body, _ = get(t, x.URL+"demo/")
	for _, want := range []string{`data-yanked="it &lt;bites&gt;"`, `data-requires-python="&gt;=3.9"`, `data-core-metadata="sha256=` + wheel.Core["sha256"], "#sha256=" + sdist.Hashes["sha256"]} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in %s", want, body)
		}
	}
	if _, _, body, _ = get(t, x.URL); !strings.Contains(body, ">demo</a>") {
		t.Error(body)
	}
}

func TestFaults(t *testing.T) {
	x := New(t)
	x.Add(Spec{Name: "demo", Version: "1.0"})
	page, file := x.URL+"demo/", x.FileURL("demo", "demo-1.0.tar.gz")
	_, head, _, _ := get(t, page)
	if status, _, body, _ := get(t, page, "If-None-Match", head.Get("ETag")); status != 304 || body != "" {
		t.Errorf("asked again with the ETag: %d %q", status, body)
	}
	_, _, whole, _ := get(t, file)
	if status, _, body, _ := get(t, file, "Range", "bytes=10-"); status != 206 || body != whole[10:] {
		t.Errorf("range: %d, %d bytes", status, len(body))
	}
	if n := x.Count("/simple/demo/"); n != 2 {
		t.Errorf("%d requests for the page", n)
	}
	if n := x.Count("/files/*"); n != 2 || x.Requests()[3].Status != 206 {
		t.Errorf("%d requests for files: %v", n, x.Requests())
	}
	x.Forget()

	x.Set(Faults{CutAfter: 100})
	if _, _, body, err := get(t, file); err == nil || body != whole[:100] {
		t.Errorf("cut: %v, %d bytes", err, len(body))
	}
	x.Set(Faults{NoRange: true})
	if status, _, body, _ := get(t, file, "Range", "bytes=10-"); status != 200 || body != whole {
		t.Errorf("no range: %d, %d bytes", status, len(body))
	}
	x.Set(Faults{Status: 503})
	if status, _, _, _ := get(t, page); status != 503 {
		t.Errorf("out of order: %d", status)
	}
	x.Set(Faults{Hang: true})
	if _, _, _, err := get(t, page); err == nil {
		t.Error("hang: got an answer")
	}
	x.Set(Faults{User: "me", Password: "secret"})
	if status, _, _, _ := get(t, page); status != 401 {
		t.Errorf("without a password: %d", status)
	}
	if status, _, _, _ := get(t, page, "Authorization", "Basic bWU6c2VjcmV0"); status != 200 {
		t.Errorf("with the password: %d", status)
	}
	x.Set(Faults{})
	x.Corrupt("demo-1.0.tar.gz")
	if _, _, body, _ := get(t, file); body == whole || len(body) != len(whole) {
		t.Error("corrupt: nothing changed")
	}
	if status, head, _, _ := get(t, strings.Replace(page, "demo", "Demo", 1)); status != 200 || head.Get("ETag") == "" {
		t.Errorf("not normal name: %d", status)
	}
	x.Remove("demo-1.0.tar.gz")
	if status, _, _, _ := get(t, page); status != 404 {
		t.Errorf("removed: %d", status)
	}
	x.Down()
	if _, _, _, err := get(t, page); err == nil {
		t.Error("down: got an answer")
	}
}
