package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/python-wheel-build/axle/internal/testindex"
	"github.com/python-wheel-build/axle/internal/testtools"
)

// inRust is a project whose backend can run cargo: "maturin" is among its build requirements.
func inRust(name string, files map[string]string) testindex.Spec {
	return testindex.Spec{Name: name, Version: "1.0", Files: files, BuildRequires: []string{"maturin"}}
}

const crate = "[package]\nname = 'demo'\nversion = '1.0.0'\nedition = '2021'\n"

// fails demands that a project can't be built, for that reason.
func (r *rig) fails(project, why string) {
	r.t.Helper()
	_, stderr, err := r.run("build", project)
	if err == nil || !strings.Contains(lastLines(stderr, 12), why) {
		r.t.Errorf("%s: %v, want %q in\n%s", project, err, why, stderr)
	}
}

// TestRustWithoutToolchain: where crates are needed and nothing can get them, that is said and nothing runs.
func TestRustWithoutToolchain(t *testing.T) {
	for _, cargo := range []string{"/usr/bin/cargo", "/usr/local/bin/cargo"} {
		if _, err := os.Stat(cargo); !errors.Is(err, fs.ErrNotExist) {
			t.Skipf("every build sees %s", cargo)
		}
	}
	r := newRig(t)
	r.up.Add(spec("maturin", "1.0", "not the real one"), inRust("needy", map[string]string{"Cargo.toml": crate}), inRust("no-crate", nil),
		inRust("ships", map[string]string{"Cargo.toml": crate, "include/x": "",
			".cargo/config.toml": "[source.crates-io]\nreplace-with = 'own'\n[source.own]\ndirectory = 'include'\n"}))
	r.start()
	r.fails("needy", "needs a Rust toolchain: declare")
	for _, p := range []string{"no-crate", "ships"} {
		if _, stderr, err := r.run("build", p); err != nil {
			t.Errorf("%s: %v\n%s", p, err, stderr)
		}
	}
}

// TestRust: a real crate that depends on one of the registry is built by the real maturin, offline but for the step that gets the crate.
func TestRust(t *testing.T) {
	toolchain, err := rustToolchain(t.Context())
	if err != nil || toolchain == "" {
		t.Skipf("no Rust toolchain with cargo on PATH (or the system's, which builds see anyway): install one with rustup to run this (%v)", err)
	}
	r := newRig(t)
	r.config += "    environment:\n      paths: {rust: " + toolchain + "}\n"
	files := map[string]string{
		"pyproject.toml": "[build-system]\nrequires = ['maturin>=1']\nbuild-backend = 'maturin'\n" +
			"[project]\nname = 'demo'\nversion = '1.0'\n[tool.maturin]\nbindings = 'bin'\nmanifest-path = 'rust/Cargo.toml'\n",
		"rust/Cargo.toml":  crate + "[dependencies]\nitoa = '1'\n",
		"rust/src/main.rs": `fn main() { println!("{}", itoa::Buffer::new().format(40 + 2)) }`,
	}
	// What the machine can't get, Axle can't.
	host := t.TempDir()
	for _, name := range []string{"rust/Cargo.toml", "rust/src/main.rs"} {
		path := filepath.Join(host, name)
		r.ok(errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(files[name]), 0o644)))
	}
	lock := exec.Command(filepath.Join(toolchain, "bin/cargo"), "generate-lockfile", "--manifest-path", filepath.Join(host, "rust/Cargo.toml"))
	lock.Env, lock.Dir = append(clientEnv(host), "CARGO_HOME="+host), host
	if out, err := lock.CombinedOutput(); err != nil {
		t.Skipf("the crate registry can't be reached from here: %v\n%s", err, out)
	}
	download := exec.Command(filepath.Join(testtools.Dir(t), "pip-26.3/bin/python"), "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", host, "maturin")
	if out, err := download.CombinedOutput(); err != nil {
		t.Skipf("pip can't get maturin here: %v\n%s", err, out)
	}
	for _, wheel := range glob(t, host, "maturin-*.whl") {
		r.ok(r.up.AddPath(wheel))
	}
	r.write("overrides/settings/maturin.yaml", "variants: {cpu: {pre_built: true}}\n")
	r.up.Add(testindex.Spec{Name: "demo", Version: "1.0", Files: files})
	stale := map[string]string{"Cargo.toml": crate + "[dependencies]\nbeside = {path = 'beside'}\n", "Cargo.lock": "version = 3\n\n[[package]]\nname = \"demo\"\nversion = \"1.0.0\"\n",
		"src/lib.rs": "", "beside/Cargo.toml": strings.ReplaceAll(crate, "demo", "beside"), "beside/src/lib.rs": ""}
	r.up.Add(inRust("stale", stale))
	r.start()
	folder := r.installs(clients(t)[1], r.home(), "demo")
	out, err := exec.Command(filepath.Join(folder, "bin/demo")).CombinedOutput()
	if err != nil || string(out) != "42\n" {
		t.Errorf("the installed program printed %q, %v", out, err)
	}
	r.fails("stale", "Cargo.lock is out of date")
}
