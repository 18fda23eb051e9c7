package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/python-wheel-build/axle/cmd/axle/host"
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
	if err == nil || !strings.Contains(stderr, why) {
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

// cargoBuilds is what a build hook runs for a project whose crate prints something, which its module's SEEN then says.
const cargoBuilds = `import subprocess
subprocess.run(["cargo", "build", "--quiet"], check=True)
seen["out"] = subprocess.run(["target/debug/demo"], check=True, stdout=subprocess.PIPE, text=True).stdout
seen["lock"] = open("Cargo.lock").read()
`

// TestMadeLock: a project that doesn't tell that it runs cargo, and has no lock, is built with the newest crates of the day from the
// mirror. The lock that was made is kept with the record and used again, by other stages and servers, though there are newer crates and
// the mirror has lost the old ones; and one that only a failure came of is made anew by --retry.
func TestMadeLock(t *testing.T) {
	toolchain, err := host.RustToolchain(t.Context())
	if err != nil || toolchain == "" {
		t.Skipf("no Rust toolchain with cargo on PATH (or the system's, which builds see anyway): install one with rustup to run this (%v)", err)
	}
	crates := testindex.NewCrates(t)
	crates.Add("leaf", "1.0.0", "pub const N: u8 = 1;")
	r := newRig(t)
	r.config += "    environment:\n      paths: {rust: " + toolchain + "}\n"
	r.args = append(r.args, "--crates", "sparse+"+crates.URL)
	files := map[string]string{"Cargo.toml": crate + "[dependencies]\nleaf = '1'\n", "src/main.rs": `fn main() { print!("{}", leaf::N) }`}
	r.up.Add(testindex.Spec{Name: "silent", Version: "1.0", Files: files, OnBuild: cargoBuilds})
	broken := maps.Clone(files)
	broken["src/main.rs"] = `fn main() { print!("{}", leaf::LATER) }`
	r.up.Add(testindex.Spec{Name: "broken", Version: "1.0", Files: broken, OnBuild: cargoBuilds})
	r.start()
	r.fails("broken", "build_wheel failed: ")
	seen := func() string {
		t.Helper()
		folder := r.installs(clients(t)[1], r.home(), "silent")
		text, err := os.ReadFile(filepath.Join(folder, "silent.py"))
		r.ok(err)
		return string(text)
	}
	first := seen()
	records := glob(t, r.store, "records/silent/*/*/*/0000.json")
	if len(records) != 1 {
		t.Fatalf("records: %q", records)
	}
	var record struct {
		Wheel string
		Locks map[string]string
	}
	doc, err := os.ReadFile(records[0])
	r.ok(err)
	doc, _, _ = bytes.Cut(doc, []byte("\n"))
	r.ok(json.Unmarshal(doc, &record))
	blob := func(digest string) string {
		hex := strings.TrimPrefix(digest, "sha256:")
		return filepath.Join(r.store, "blobs/sha256", hex[:min(2, len(hex))], hex)
	}
	lock, err := os.ReadFile(blob(record.Locks["Cargo.lock"]))
	r.ok(err)
	if !strings.Contains(first, `"out": "1"`) || !strings.Contains(string(lock), `version = "1.0.0"`) {
		t.Errorf("the module is %s\nthe lock is %s", first, lock)
	}

	crates.Add("leaf", "1.0.1", "pub const N: u8 = 2; pub const LATER: u8 = 3;")
	crates.Serve("leaf", "1.0.0", nil)
	crates.Asked()
	r.kill()
	r.ok(os.Remove(blob(record.Wheel)))
	r.start()
	if again := seen(); again != first {
		t.Errorf("built again the module is %s, at first it was %s", again, first)
	}
	if asked := crates.Asked(); len(asked) > 0 {
		t.Errorf("the mirror was asked for %q", asked)
	}
	r.fails("broken", "build_wheel failed: ")
	if _, stderr, err := r.run("build", "--retry", "broken"); err != nil {
		t.Errorf("with the crates of another day: %v\n%s", err, lastLines(stderr, 12))
	}
}

// TestRust: a real crate that depends on one of the registry is built by the real maturin, offline but for the step that gets the crate.
func TestRust(t *testing.T) {
	toolchain, err := host.RustToolchain(t.Context())
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
