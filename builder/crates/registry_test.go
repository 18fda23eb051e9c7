package crates_test

import (
	"bytes"
	"errors"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/python-wheel-build/axle/builder/crates"
	"github.com/python-wheel-build/axle/builder/sandbox"
	"github.com/python-wheel-build/axle/internal/testindex"
)

// as is how cargo is told to use a registry in place of its own.
func as(r *testindex.Crates) crates.Registry {
	return crates.Registry{Config: []byte("[source.crates-io]\nreplace-with = 'mirror'\n[source.mirror]\nregistry = 'sparse+" + r.URL + "/'\n")}
}

// needy needs a crate of the registry.
func needy(more map[string]string) map[string]string {
	files := map[string]string{
		"src/Cargo.toml": "[package]\nname = 'app'\nversion = '1.0.0'\nedition = '2021'\n[dependencies]\nleaf = '1'\n",
		"src/src/lib.rs": "pub fn n() -> u8 { leaf::N }\n",
	}
	for name, text := range more {
		files[name] = text
	}
	return files
}

// builds runs cargo in the source as a hook would be shown it, offline.
func builds(t *testing.T, s crates.Step, v crates.Vendored, args ...string) (string, error) {
	t.Helper()
	env := map[string]string{"PATH": strings.Join(s.Sandbox.Root().Path, ":"), "HOME": "/build/home"}
	for k, v := range v.Env {
		env[k] = v
	}
	var out bytes.Buffer
	err := errors.Join(s.Sandbox.Prepare(0, s.Build), s.Sandbox.Run(t.Context(), 0, sandbox.Command{Argv: append([]string{"cargo", "check", "--locked"}, args...), Work: s.Build, Dir: "/build/src",
		Env: env, Binds: v.Binds, Log: &out}))
	return out.String(), err
}

func carry(t *testing.T, s crates.Step, v crates.Vendored) {
	t.Helper()
	if err := crates.Carry(s.Build, v.Locks); err != nil {
		t.Fatal(err)
	}
}

// again is the same step on another copy of the source, with the same store.
func again(t *testing.T, s crates.Step, files map[string]string) (crates.Step, *bytes.Buffer) {
	t.Helper()
	n, log := step(t, files)
	n.Store, n.Registry = s.Store, s.Registry
	return n, log
}

// TestStored: crates that the store has are not asked for again, whoever needs them; and the crates that a build sees are the same.
func TestStored(t *testing.T) {
	r := testindex.NewCrates(t)
	r.Add("leaf", "1.0.0", "pub const N: u8 = 1;")
	first, log := step(t, needy(nil))
	first.Registry = as(r)
	one, err := first.Vendor(t.Context())
	if err != nil || one.Locks["Cargo.lock"] == nil {
		t.Fatalf("%+v, %v\n%s", one, err, log)
	}
	if asked := r.Asked(); len(asked) != 3 {
		t.Errorf("the registry was asked for %q; want its configuration, a page and a crate", asked)
	}
	lock := string(one.Locks["Cargo.lock"])
	locked := needy(map[string]string{"src/Cargo.lock": lock})

	// Another day there is a newer one, and the registry lost the old one.
	r.Add("leaf", "1.0.1", "pub const N: u8 = 2;")
	r.Serve("leaf", "1.0.0", nil)
	for name, test := range map[string]struct {
		files map[string]string
		kept  map[string][]byte
		made  bool
	}{
		"the source's own lock": {files: locked},
		"a lock made before":    {files: needy(nil), kept: map[string][]byte{"Cargo.lock": []byte(lock)}, made: true},
	} {
		s, log := again(t, first, test.files)
		s.Made = test.kept
		v, err := s.Vendor(t.Context())
		if err != nil || (len(v.Locks) > 0) != test.made || test.made && string(v.Locks["Cargo.lock"]) != lock {
			t.Fatalf("%s: %+v, %v\n%s", name, v, err, log)
		}
		if asked := r.Asked(); len(asked) != 0 {
			t.Errorf("%s: the registry was asked for %q", name, asked)
		}
		if out, err := exec.Command("diff", "-r", one.Binds[0].Source, v.Binds[0].Source).CombinedOutput(); err != nil {
			t.Errorf("%s: other crates than the first time: %s", name, out)
		}
		carry(t, s, v)
		if out, err := builds(t, s, v); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}

	// A lock that does not fit is refused though its crates are there.
	s, log := again(t, first, map[string]string{"src/Cargo.toml": strings.ReplaceAll(needy(nil)["src/Cargo.toml"], "'1'", "'=1.0.1'"), "src/Cargo.lock": lock, "src/src/lib.rs": ""})
	var bad *crates.Error
	if v, err := s.Vendor(t.Context()); !errors.As(err, &bad) || !strings.Contains(bad.Text, "Cargo.lock is out of date") {
		t.Errorf("a lock that does not fit: %+v, %v\n%s", v, err, log)
	}
}

// TestBeside: a feature of a dependency that is turned on by name brings in a crate that stands in no lock. It is got, too, and another day it is
// the same crate, whether the source has a lock or not.
func TestBeside(t *testing.T) {
	r := testindex.NewCrates(t)
	r.Add("rare", "1.0.0", "pub const N: u8 = 1;")
	r.Add("leaf", "1.0.0", "#[cfg(feature = \"rare\")]\npub use rare::N;", "rare")
	on := []crates.Manifest{{Path: "Cargo.toml", Features: []string{"leaf/rare"}}}
	first, log := step(t, needy(nil))
	first.Registry, first.Manifests = as(r), on
	one, err := first.Vendor(t.Context())
	if err != nil || len(one.Locks) != 1 || len(one.Made) != 2 || !strings.Contains(string(one.Made["Cargo.lock.features"]), `"rare"`) {
		t.Fatalf("%+v, %v\n%s", one, err, log)
	}
	lock := string(one.Locks["Cargo.lock"])
	r.Add("rare", "1.0.1", "pub const N: u8 = 2;")
	r.Asked()
	for name, test := range map[string]struct {
		files map[string]string
		made  map[string][]byte
	}{
		"a made lock":           {needy(nil), one.Made},
		"the source's own lock": {needy(map[string]string{"src/Cargo.lock": lock}), map[string][]byte{"Cargo.lock.features": one.Made["Cargo.lock.features"]}},
	} {
		s, log := again(t, first, test.files)
		s.Manifests, s.Made = on, test.made
		v, err := s.Vendor(t.Context())
		if err != nil || len(v.Made) != len(test.made) {
			t.Fatalf("%s: %+v, %v\n%s", name, v, err, log)
		}
		if asked := r.Asked(); len(asked) != 0 {
			t.Errorf("%s: the registry was asked for %q", name, asked)
		}
		if out, err := exec.Command("diff", "-r", one.Binds[0].Source, v.Binds[0].Source).CombinedOutput(); err != nil {
			t.Errorf("%s: other crates than the first time: %s", name, out)
		}
		carry(t, s, v)
		if out, err := builds(t, s, v, "--features", "leaf/rare"); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}

	// Chosen anew where nothing was chosen yet; a feature that there is not is for the build to complain of.
	for feature, want := range map[string]string{"leaf/rare": `version = "1.0.1"`, "leaf/none": "", "none/rare": ""} {
		s, log := again(t, first, needy(map[string]string{"src/Cargo.lock": lock}))
		s.Manifests = []crates.Manifest{{Path: "Cargo.toml", Features: []string{feature}}}
		v, err := s.Vendor(t.Context())
		if beside := string(v.Made["Cargo.lock.features"]); err != nil || len(v.Locks) != 0 || (beside == "") != (want == "") || !strings.Contains(beside, want) {
			t.Errorf("%s: %+v, %v\n%s", feature, v, err, log)
		}
	}
}

// TestChecksum: what the registry gives is what the lock says, or nothing is built or kept.
func TestChecksum(t *testing.T) {
	r := testindex.NewCrates(t)
	sum := r.Add("leaf", "1.0.0", "pub const N: u8 = 1;")
	files := needy(map[string]string{"src/Cargo.lock": "version = 3\n\n[[package]]\nname = \"app\"\nversion = \"1.0.0\"\ndependencies = [\n \"leaf\",\n]\n\n" +
		"[[package]]\nname = \"leaf\"\nversion = \"1.0.0\"\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = \"" + sum + "\"\n"})
	r.Serve("leaf", "1.0.0", []byte("other bytes"))
	s, log := step(t, files)
	s.Registry = as(r)
	if v, err := s.Vendor(t.Context()); err == nil {
		t.Errorf("%+v\n%s", v, log)
	}
	for key := range s.Store.Keys(t.Context(), "blobs/") {
		t.Errorf("kept %s", key)
	}
}

// TestRepository: a crate that comes out of a git repository is taken at the commit that the lock says.
func TestRepository(t *testing.T) {
	dir := tree(t, map[string]string{"leaf/Cargo.toml": "[package]\nname = 'leaf'\nversion = '1.0.0'\nedition = '2021'\n", "leaf/src/lib.rs": "pub const N: u8 = 3;"})
	repository := filepath.Join(dir, "leaf")
	git := func(args ...string) string {
		c := exec.Command("git", append([]string{"-C", repository, "-c", "user.name=x", "-c", "user.email=x@example.invalid"}, args...)...)
		c.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "HOME="+dir)
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "--quiet", "--initial-branch", "main")
	git("add", ".")
	git("commit", "--quiet", "--message", "one")
	server := httptest.NewServer(&cgi.Handler{Path: filepath.Join(git("--exec-path"), "git-http-backend"),
		Env: []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"}})
	defer server.Close()
	manifest := "[package]\nname = 'app'\nversion = '1.0.0'\nedition = '2021'\n[dependencies]\nleaf = {git = '" + server.URL + "/leaf/.git'}\n"
	r := testindex.NewCrates(t)
	r.Add("rare", "1.0.0", "")
	r.Add("other", "1.0.0", "", "rare")
	s, log := step(t, needy(map[string]string{"src/Cargo.toml": manifest + "other = '1'\n"}))
	s.Registry, s.Manifests = as(r), []crates.Manifest{{Path: "Cargo.toml", Features: []string{"other/rare"}}}
	v, err := s.Vendor(t.Context())
	if err != nil || !strings.Contains(string(v.Locks["Cargo.lock"]), "#"+git("rev-parse", "HEAD")) {
		t.Fatalf("%+v, %v\n%s", v, err, log)
	}
	carry(t, s, v)
	if out, err := builds(t, s, v, "--features", "other/rare"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
