package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/python-wheel-build/axle/internal/testindex"
)

// tree gives the files of a generated sdist as a repository has them: without PKG-INFO.
func tree(t *testing.T, s testindex.Spec) map[string]string {
	t.Helper()
	_, b := testindex.Sdist(s)
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(z); ; {
		head, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, name, _ := strings.Cut(head.Name, "/"); name != "PKG-INFO" {
			files[name] = string(text)
		}
	}
}

// ran runs a command of the program that must work.
func (r *rig) ran(args ...string) string {
	r.t.Helper()
	stdout, stderr, err := r.run(args...)
	if err != nil {
		r.t.Fatalf("axle %s: %v\n%s%s", args, err, stdout, stderr)
	}
	return stdout
}

// pin is what `axle source list --json` says.
type pin struct {
	Kind, Index, Filename, Ref, Commit, SHA256 string
	Submodules                                 map[string]string
	Superseded                                 bool
}

func (r *rig) pins(what string) (list []pin) {
	r.t.Helper()
	r.ok(json.Unmarshal([]byte(r.ran("source", "list", "--json", what)), &list))
	return list
}

// loses removes a blob from the store, as a disk does.
func (r *rig) loses(digest string) {
	r.t.Helper()
	hex := strings.TrimPrefix(digest, "sha256:")
	r.ok(os.Remove(filepath.Join(r.store, "blobs/sha256", hex[:2], hex)))
}

// keeps looks through the whole store, packed logs included, for a secret.
func (r *rig) keeps(secret string) {
	r.t.Helper()
	unpack, err := zstd.NewReader(nil)
	r.ok(err)
	defer unpack.Close()
	r.ok(filepath.WalkDir(r.store, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(name)
		if plain, bad := unpack.DecodeAll(b, nil); bad == nil {
			b = plain
		}
		if bytes.Contains(b, []byte(secret)) {
			r.t.Errorf("%s holds a secret", name)
		}
		return err
	}))
}

// TestGitSource: a private project out of a repository that demands a login, with a submodule. Its tag moves.
func TestGitSource(t *testing.T) {
	t.Parallel()
	const secret = "hunter2"
	r := newRig(t)
	g := testindex.NewGit(t)
	g.Commit("lib", map[string]string{"lib.txt": "of the submodule"})
	project := func(marker string) map[string]string {
		return tree(t, testindex.Spec{Name: "acme-demo", Version: "1.0", Marker: marker,
			OnBuild: "seen['lib'] = open('lib/lib.txt').read()\nseen['info'] = open('PKG-INFO').read()\nprint(dict(os.environ), flush=True)\n"})
	}
	g.Commit("acme", project("one"))
	g.Run("acme", "submodule", "--quiet", "add", "--", g.URL+"/lib", "lib")
	first := g.Commit("acme", map[string]string{"more": ""})
	g.Run("acme", "tag", "v1.0")
	g.Login("reader", secret)
	for _, home := range []string{"", "server-home"} {
		r.write(filepath.Join(home, ".netrc"), "machine 127.0.0.1 login reader password "+secret+"\n")
	}
	r.write("overrides/settings/acme-demo.yaml", "git_options: {submodules: true}\n")
	r.config += "    private: [acme-*]\n    sources:\n      acme-demo: {git: " + g.URL + "/acme, versions: ['1.0']}\n"
	r.start()
	uv := clients(t)[2]
	folder := r.installs(uv, r.home(), "acme-demo")
	if got := r.marker(folder, "acme_demo"); got != "one" {
		t.Errorf("marker %q", got)
	}
	module, err := os.ReadFile(filepath.Join(folder, "acme_demo.py"))
	r.ok(err)
	for _, want := range []string{"of the submodule", `Name: acme-demo\nVersion: 1.0`} {
		if !strings.Contains(string(module), want) {
			t.Errorf("the build saw no %q:\n%s", want, module)
		}
	}
	pins := r.pins("acme-demo==1.0")
	if len(pins) != 1 || pins[0].Kind != "git" || pins[0].Commit != first || pins[0].Ref != "v1.0" || len(pins[0].Submodules) != 1 {
		t.Fatalf("pins %+v", pins)
	}

	// A tag that moves changes nothing while the bytes are there.
	second := g.Commit("acme", project("two"))
	g.Run("acme", "tag", "--force", "v1.0")
	r.restart()
	r.hits("the tag has moved", "acme-demo")
	// Where they have to be fetched again, it is refused, with both commits.
	r.loses(pins[0].SHA256)
	r.write("overrides/settings/acme-demo.yaml", "git_options: {submodules: true}\nenv: {A: b}\n")
	r.hup()
	_, stderr, err := r.run("build", "acme-demo")
	if err == nil || !strings.Contains(stderr, first) || !strings.Contains(stderr, second) || !strings.Contains(stderr, "axle source accept acme-demo==1.0") {
		t.Errorf("a moved tag: %v\n%s", err, stderr)
	}
	if said := r.ran("source", "accept", "acme-demo==1.0"); !strings.Contains(said, first) || !strings.Contains(said, second) {
		t.Errorf("accept says %q", said)
	}
	if got := r.marker(r.installs(uv, r.home(), "acme-demo"), "acme_demo"); got != "two" {
		t.Errorf("accepted, and the marker is %q", got)
	}
	if text := r.ran("source", "list"); strings.Count(text, "superseded") != 1 || strings.Count(text, "\n") != 2 {
		t.Errorf("source list:\n%s", text)
	}
	if n := r.up.Count("*"); n != r.up.Count("/simple/setuptools/*") {
		t.Errorf("the index was asked of a private project: %v", r.up.Requests())
	}
	// A login that is refused is told without the password.
	g.Login("reader", "changed")
	r.write("overrides/settings/acme-demo.yaml", "git_options: {submodules: false}\n")
	r.hup()
	_, stderr, err = r.run("build", "acme-demo")
	if err == nil || strings.Contains(stderr, secret) {
		t.Errorf("a wrong password: %v\n%s", err, stderr)
	}
	r.stop()
	if said := r.out.all(); strings.Contains(said, secret) {
		t.Errorf("the log holds a secret:\n%s", said)
	}
	r.keeps(secret)
}

// TestDownloadSource: an sdist out of a URL changes there, is accepted, and taken back.
func TestDownloadSource(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var mu sync.Mutex
	var serves []byte
	offer := func(marker string) {
		mu.Lock()
		defer mu.Unlock()
		_, serves = testindex.Sdist(spec("demo", "1.0", marker))
	}
	forge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if user, password, _ := req.BasicAuth(); user != "reader" || password != "hunter2" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write(serves)
	}))
	t.Cleanup(forge.Close)
	for _, home := range []string{"", "server-home"} {
		r.write(filepath.Join(home, ".netrc"), "machine 127.0.0.1 login reader password hunter2\n")
	}
	settings := "download_source: {url: '" + forge.URL + "/archive/$version', destination_filename: 'demo-${version}.tar.gz'}\n"
	r.write("overrides/settings/demo.yaml", settings)
	r.up.Add(spec("demo", "1.0", "of the index"))
	offer("one")
	r.start()
	uv := clients(t)[2]
	installed := func(step, want string, builds int) {
		t.Helper()
		before := r.built()
		if got := r.marker(r.installs(uv, r.home(), "demo"), "demo"); got != want {
			t.Errorf("%s: marker %q, want %q", step, got, want)
		}
		if got := r.built() - before; got != builds {
			t.Errorf("%s: %d builds, want %d", step, got, builds)
		}
	}
	installed("at first", "one", 1)
	first := r.pins("demo")[0]
	if first.Kind != "url" || first.Filename != "demo-1.0.tar.gz" || first.Index != "" {
		t.Errorf("pin %+v", first)
	}
	offer("two")
	installed("changed upstream", "one", 0)

	if said := r.ran("source", "accept", "demo==1.0"); strings.Count(said, "sha256:") != 2 || !strings.Contains(said, first.SHA256) {
		t.Errorf("accept says %q", said)
	}
	r.eventually("the page shows that it is accepted", func() bool { return !r.only("demo").hit() })
	misses := r.count(`axle_misses_total{cause="source"}`)
	if said := r.ran("explain", "demo"); !strings.Contains(said, "source") {
		t.Errorf("explain says\n%s", said)
	}
	installed("accepted", "two", 1)
	if got := r.count(`axle_misses_total{cause="source"}`); got <= misses {
		t.Errorf("%d misses for the source, as before", got)
	}
	r.ran("source", "accept", "demo==1.0", "--sha256", strings.TrimPrefix(first.SHA256, "sha256:"))
	r.eventually("the page shows that it is taken back", func() bool { return r.only("demo").hit() })
	installed("taken back", "one", 0)

	// The bytes are lost, and upstream gives others.
	r.loses(first.SHA256)
	r.write("overrides/settings/demo.yaml", settings+"env: {A: b}\n")
	r.hup()
	_, stderr, err := r.run("build", "demo")
	if err == nil || !strings.Contains(stderr, first.SHA256) || strings.Count(stderr, "sha256:") < 2 {
		t.Errorf("changed bytes: %v\n%s", err, stderr)
	}
	r.stop()
	r.keeps("hunter2")
	if strings.Contains(r.out.all(), "hunter2") {
		t.Error("the log holds a secret")
	}
	for _, args := range [][]string{{"demo"}, {"demo==1.0", "--view", "nowhere"}, {"demo==9.0"}, {"demo==1.0", "--sha256", "abc"}, {"demo==1.0", "--sha256", strings.Repeat("0", 64)}} {
		stdout, stderr, err := r.run(append([]string{"source", "accept"}, args...)...)
		if err == nil {
			t.Errorf("%q: %s", args, stdout)
		}
		t.Logf("%q: %s", args, stderr)
	}
}

// TestAsOf: what an index got later is not there.
func TestAsOf(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.config += "    as_of: 2024-01-01T00:30:00Z\n"
	r.up.Add(spec("demo", "1.0", "old"), spec("demo", "2.0", "new")) // listed with midnight and one o'clock
	r.start()
	if got := r.marker(r.installs(clients(t)[2], r.home(), "demo"), "demo"); got != "old" {
		t.Errorf("marker %q", got)
	}
	if _, stderr, err := r.run("build", "demo==2.0"); err == nil || !strings.Contains(stderr, "2.0") {
		t.Errorf("a later version: %v\n%s", err, stderr)
	}
}

// TestRealVersionsFromGit: what real setuptools-scm, hatch-vcs and pbr make of a tree that has neither .git nor a PKG-INFO of its own.
func TestRealVersionsFromGit(t *testing.T) {
	if !*whole {
		t.Skip("`make real` builds it, with what these three need of the real upstream")
	}
	r := newRig(t)
	g := testindex.NewGit(t)
	r.config = "views:\n  default:\n    wheels_only: pre-built\n    sources:\n"
	for name, files := range map[string]map[string]string{
		"try-scm": {"pyproject.toml": "[build-system]\nrequires = ['setuptools>=64', 'setuptools-scm>=8']\nbuild-backend = 'setuptools.build_meta'\n" +
			"[project]\nname = 'try-scm'\ndynamic = ['version']\n[tool.setuptools_scm]\n"},
		"try-hatch": {"pyproject.toml": "[build-system]\nrequires = ['hatchling', 'hatch-vcs']\nbuild-backend = 'hatchling.build'\n" +
			"[project]\nname = 'try-hatch'\ndynamic = ['version']\n[tool.hatch.version]\nsource = 'vcs'\n"},
		"try-pbr": {"pyproject.toml": "[build-system]\nrequires = ['setuptools', 'pbr']\nbuild-backend = 'pbr.build'\n",
			"setup.cfg": "[metadata]\nname = try-pbr\n[files]\npackages =\n  try_pbr\n", "setup.py": "import setuptools\nsetuptools.setup(pbr=True)\n"},
	} {
		files[testindex.Module(name)+"/__init__.py"] = ""
		g.Commit(name, files)
		g.Run(name, "tag", "v1.2.3")
		r.config += "      " + name + ": {git: " + g.URL + "/" + name + ", versions: ['1.2.3']}\n"
	}
	r.start()
	projects := []string{"try-scm", "try-hatch", "try-pbr"}
	r.imports(clients(t)[2], r.installs(clients(t)[2], r.home(), projects...), projects...)
	for _, p := range projects {
		if f := r.only(p); !f.hit() || !strings.HasPrefix(f.Filename, testindex.Module(p)+"-1.2.3-") {
			t.Errorf("%s: %+v", p, f)
		}
	}
}
