package crates_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/builder/crates"
	"github.com/python-wheel-build/axle/builder/sandbox"
	"github.com/python-wheel-build/axle/builder/sandbox/sandboxtest"
	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/cas/disk"
	"github.com/python-wheel-build/axle/resolver/environ"
)

// step is one on a tree, whose source lies in src, with this machine's toolchain. No test here asks a registry for anything.
func step(t *testing.T, files map[string]string) (crates.Step, *bytes.Buffer) {
	t.Helper()
	rustc := exec.Command("rustc", "--print", "sysroot")
	rustc.Dir = "/"
	out, err := rustc.Output()
	if err != nil {
		t.Skipf("no Rust toolchain on PATH: install one to run this (%v)", err)
	}
	sysroot := strings.TrimSpace(string(out))
	if _, err := os.Stat(filepath.Join(sysroot, "bin/cargo")); err != nil {
		t.Skipf("no cargo in the Rust toolchain %s: install it to run this", sysroot)
	}
	root := sandboxtest.Root(t, sandboxtest.Python(t))
	if sysroot != "/usr" {
		root.Mounts = append(root.Mounts, environ.Mount{Kind: "bind", Source: sysroot, Target: "/opt/axle/rust"})
		root.Path = append([]string{"/opt/axle/rust/bin"}, root.Path...)
	}
	s, err := sandbox.New(root, t.TempDir(), 1)
	if err != nil {
		t.Fatal(err)
	}
	build, dir := tree(t, files), t.TempDir()
	t.Cleanup(func() {
		if err := errors.Join(sandbox.Remove(build), sandbox.Remove(dir)); err != nil {
			t.Error(err)
		}
	})
	if err := s.Prepare(0, build); err != nil {
		t.Fatal(err)
	}
	backend, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	store, err := cas.Open(t.Context(), backend, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	log := new(bytes.Buffer)
	return crates.Step{Sandbox: s, Build: build, Dir: dir, Manifests: []crates.Manifest{{Path: "Cargo.toml"}}, Log: log, Store: store,
		Limits: sandbox.Limits{Wall: time.Minute}, Variables: map[string]string{"CARGO_NET_RETRY": "0", "CARGO_NET_OFFLINE": "true"}}, log
}

// app depends on nothing but a crate beside it.
func app(more map[string]string) map[string]string {
	files := map[string]string{
		"src/Cargo.toml":        "[package]\nname = 'app'\nversion = '1.0.0'\nedition = '2021'\n[dependencies]\nbeside = {path = 'beside'}\n",
		"src/src/lib.rs":        "",
		"src/build.rs":          `fn main() { std::fs::write("/build/ran", "").unwrap() }`,
		"src/beside/Cargo.toml": "[package]\nname = 'beside'\nversion = '1.0.0'\nedition = '2021'\n",
		"src/beside/src/lib.rs": "",
	}
	for name, text := range more {
		files[name] = text
	}
	return files
}

func lock(packages ...string) string {
	text := "version = 3\n"
	for _, p := range packages {
		text += "\n[[package]]\nname = \"" + p + "\"\nversion = \"1.0.0\"\n"
		if p == "app" && len(packages) > 1 {
			text += "dependencies = [\n \"beside\",\n]\n"
		}
	}
	return text
}

// TestLock: a lock that fits is used, one that is missing is made and told, and one that doesn't fit is the source's fault.
func TestLock(t *testing.T) {
	s, log := step(t, app(map[string]string{"src/Cargo.lock": lock("app", "beside")}))
	v, err := s.Vendor(t.Context())
	if err != nil || len(v.Locks) != 0 || len(v.Binds) != 2 || v.Env["CARGO_NET_OFFLINE"] != "true" {
		t.Errorf("with a lock: %+v, %v\n%s", v, err, log)
	}
	s, log = step(t, app(nil))
	v, err = s.Vendor(t.Context())
	if err != nil || len(v.Locks) != 1 || !strings.Contains(string(v.Locks["Cargo.lock"]), `name = "beside"`) || !strings.Contains(log.String(), "the source has no Cargo.lock") {
		t.Errorf("without a lock: %+v, %v\n%s", v, err, log)
	}
	if _, err := os.Lstat(filepath.Join(s.Build, "src/Cargo.lock")); err == nil {
		t.Error("the source was changed")
	}
	s, log = step(t, app(map[string]string{"src/Cargo.lock": lock("app")}))
	var bad *crates.Error
	if v, err := s.Vendor(t.Context()); !errors.As(err, &bad) || !strings.Contains(bad.Text, "Cargo.lock is out of date") {
		t.Errorf("with another lock: %+v, %v\n%s", v, err, log)
	}
}

// TestWorkspace: the lock of a member is its workspace's; each of several manifests has its own.
func TestWorkspace(t *testing.T) {
	member := "[package]\nname = 'app'\nversion = '1.0.0'\nedition = '2021'\n"
	s, log := step(t, map[string]string{
		"src/Cargo.toml": "[workspace]\nmembers = ['app']\nresolver = '2'\n", "src/Cargo.lock": lock("app"), "src/app/Cargo.toml": member, "src/app/src/lib.rs": "",
		"src/other folder/Cargo.toml": member + "[workspace]\n", "src/other folder/src/lib.rs": "",
	})
	s.Manifests = []crates.Manifest{{Path: "app/Cargo.toml"}, {Path: "other folder/Cargo.toml"}}
	v, err := s.Vendor(t.Context())
	if err != nil || len(v.Locks) != 1 || v.Locks["other folder/Cargo.lock"] == nil || strings.Contains(log.String(), "no Cargo.lock") || !strings.Contains(log.String(), "no other folder/Cargo.lock") {
		t.Errorf("%+v, %v\n%s", v, err, log)
	}
}

// TestHostile: nothing that a source or a hook left is run or read as configuration, and no link of theirs is followed on the host.
func TestHostile(t *testing.T) {
	evil := "#!/bin/sh\ntouch /build/ran\nexec \"$@\"\n"
	config := "[build]\nrustc = '/build/src/evil'\nrustc-wrapper = '/build/src/evil'\n[registry]\nglobal-credential-providers = ['/build/src/evil']\n" +
		"[alias]\nvendor = 'run'\ngenerate-lockfile = 'run'\n[target.x86_64-unknown-linux-gnu]\nrunner = '/build/src/evil'\n[this is no TOML\n"
	s, log := step(t, app(map[string]string{"src/evil": evil, "src/.cargo/config.toml": config, ".cargo/config.toml": config, "home/.cargo/config.toml": config,
		"src/rust-toolchain.toml": "[toolchain]\nchannel = 'nightly-1999-01-01'\n"}))
	if _, err := s.Vendor(t.Context()); err != nil {
		t.Errorf("%v\n%s", err, log)
	}
	if _, err := os.Lstat(filepath.Join(s.Dir, "work/ran")); err == nil {
		t.Errorf("code of the source ran\n%s", log)
	}
	// Where cargo does look, that configuration has an effect.
	var out bytes.Buffer
	err := s.Sandbox.Run(t.Context(), 0, sandbox.Command{Argv: []string{"cargo", "vendor"}, Work: s.Build, Dir: "/build/src", Log: &out,
		Env: map[string]string{"PATH": strings.Join(s.Sandbox.Root().Path, ":"), "HOME": "/build/home"}})
	if err == nil || !strings.Contains(out.String(), ".cargo/config.toml") {
		t.Errorf("cargo in the source: %v\n%s", err, &out)
	}

	outside := tree(t, app(nil))
	s, log = step(t, map[string]string{"src": "->" + filepath.Join(outside, "src")})
	if v, err := s.Vendor(t.Context()); err == nil {
		t.Errorf("a link out of the sandbox was followed: %+v\n%s", v, log)
	}
}

// TestWhoseFault: what can't be reached isn't the source's fault, what makes no sense is.
func TestWhoseFault(t *testing.T) {
	for name, test := range map[string]struct {
		manifest, want string
		source         bool
	}{
		"unreachable": {"[dependencies]\nfar = {git = 'http://127.0.0.1:9/far'}\n", "can't be reached", false},
		"no TOML":     {"[dependencies\n", "Cargo.toml", true},
		"no crate":    {"[dependencies]\nfar = {path = 'far'}\n", "far", true},
	} {
		s, log := step(t, app(map[string]string{"src/Cargo.toml": "[package]\nname = 'app'\nversion = '1.0.0'\nedition = '2021'\n" + test.manifest}))
		v, err := s.Vendor(t.Context())
		var bad *crates.Error
		if err == nil || errors.As(err, &bad) != test.source || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %+v, %v; want %q\n%s", name, v, err, test.want, log)
		}
	}
}
