package environ

import (
	"archive/zip"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/python-wheel-build/axle/internal/testtools"
)

// On the real machine, with an interpreter of our own that packages are really
// installed into: the components stay, and a real sandbox of the view holds
// exactly the files that they list.
func TestViewIsWhatComponentsSay(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"/rust/bin/axle-test-tool":            "+#!/bin/sh\n",
		"/rust/lib/__pycache__/x.pyc":         "pyc",
		"/rust/lib/python3/site-packages/own": "a declared tree is whole",
		"/rust/out":                           "-> ../..",
	})
	c := Collector{
		Python: copyInterpreter(t, filepath.Join(dir, "py")),
		Paths:  map[string]string{"rust": filepath.Join(dir, "rust")},
		Cache:  filepath.Join(dir, "cache"),
	}
	before, in, err := c.Collect(ctx)
	ok(t, err)
	if in.Prefix != filepath.Join(dir, "py") {
		t.Fatalf("prefix %s", in.Prefix)
	}

	install(t, in, dir)
	demo := filepath.Join(in.Prefix, "bin", "axle-demo")
	for _, name := range []string{demo, filepath.Join(in.Prefix, "share/axle-demo/data.txt")} {
		if _, err := os.Stat(name); err != nil {
			// Debian's Python puts scripts elsewhere below its prefix.
			if _, lerr := os.Stat(strings.Replace(name, in.Prefix, in.Prefix+"/local", 1)); lerr != nil {
				t.Fatal("the installation did not happen:", err)
			}
		}
	}
	after, _, err := c.Collect(ctx)
	ok(t, err)
	if d := Diff(before, after); d != nil {
		t.Fatal("installing packages changed:", d)
	}

	root, err := c.Root(ctx, in)
	ok(t, err)
	want := map[string]string{}
	for _, name := range []string{"python", "system", "path:rust"} {
		for key, value := range facts(string(after[name].Text)) {
			// Of /usr the package manager stands for most.
			if path := unquote(t, key); isFile(key) && (!within(path, "/usr") || within(path, "/usr/local")) {
				want[path] = value
			}
		}
	}
	got := listing(t, root, in.Prefix, "/etc", "/opt", "/usr/local")
	for _, m := range []map[string]string{want, got} {
		for name, value := range m {
			if f := strings.Fields(value); within(name, "/usr/local") && len(f) == 2 {
				m[name] = f[0] // hashing it a second time would only take time
			}
		}
	}
	if len(want) < 500 {
		t.Errorf("only %d files listed", len(want))
	}
	for path, value := range want {
		if got[path] != value {
			t.Errorf("%s is %q in the components and %q in the sandbox", path, value, got[path])
		}
	}
	for path, value := range got {
		if _, listed := want[path]; !listed {
			t.Errorf("%s is %q in the sandbox and in no component", path, value)
		}
	}

	// Gone for whoever looks for a command, and the declared one first.
	root.Path = append(root.Path, in.Prefix+"/bin", in.Prefix+"/local/bin")
	out := inside(t, root, "/bin/sh", "-c", "command -v axle-demo; command -v axle-demo-sh; command -v axle-test-tool; command -v sh; ls /")
	lines := strings.Fields(out)
	if len(lines) < 2 || lines[0] != "/opt/axle/rust/bin/axle-test-tool" || lines[1] != "/usr/bin/sh" && lines[1] != "/bin/sh" {
		t.Error(out)
	}
	for _, hidden := range []string{"home", "var", "work"} {
		if slices.Contains(lines[2:], hidden) {
			t.Errorf("/%s is shown", hidden)
		}
	}
}

// The interpreters of this machine are the same inside as outside, without the
// packages installed for them.
func TestInterpreterInside(t *testing.T) {
	ctx := context.Background()
	const version = "import sys, sysconfig; print(sys.version, sys.executable, sys.base_prefix, sysconfig.get_path('include'))"
	const packages = "import sys, os; print([os.listdir(p) for p in sys.path if p.endswith('-packages') and os.path.isdir(p) and os.listdir(p)])"
	for _, python := range pythons(t) {
		c := Collector{Python: python}
		in, err := probe(ctx, python)
		ok(t, err)
		root, err := c.Root(ctx, in)
		ok(t, err)
		want := run(t, in.Executable, "-I", "-c", version)
		if got := inside(t, root, in.Executable, "-I", "-c", version); got != want {
			t.Errorf("inside %s outside %s", got, want)
		}
		if got := inside(t, root, in.Executable, "-I", "-c", packages); got != "[]\n" {
			t.Errorf("%s: packages are shown: %s", python, got)
		}
	}
}

// A virtual environment, made with links or copies, and a launcher all mean the
// base interpreter.
func TestProbe(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	for i, python := range pythons(t) {
		base, err := probe(ctx, python)
		ok(t, err)
		if fi, err := os.Lstat(base.Executable); err != nil || !fi.Mode().IsRegular() {
			t.Errorf("%s: %v", base.Executable, err)
		}
		if !strings.HasPrefix(base.Target.Python, "cp3") || base.Target.Glibc == "" || base.Target.Markers["python_full_version"] != base.Target.PythonFullVersion {
			t.Errorf("%+v", base.Target)
		}
		if base.Target.Markers["platform_release"] != "" || base.Target.Markers["platform_version"] != "" {
			t.Error("the kernel is an input")
		}
		for j, flag := range []string{"--symlinks", "--copies"} {
			venv := filepath.Join(dir, fmt.Sprint("v", i, j))
			run(t, base.Executable, "-I", "-m", "venv", "--without-pip", flag, venv)
			got, err := probe(ctx, filepath.Join(venv, "bin", "python"))
			ok(t, err)
			if d := cmp.Diff(base, got, cmp.AllowUnexported(Interpreter{})); d != "" {
				t.Errorf("%s: %s", flag, d)
			}
		}
		launcher := fmt.Sprint("launcher", i)
		write(t, dir, map[string]string{launcher: "+#!/bin/sh\nexec " + base.Executable + " \"$@\"\n"})
		got, err := probe(ctx, filepath.Join(dir, launcher))
		ok(t, err)
		if got.Executable != base.Executable {
			t.Error(got.Executable)
		}
	}
	write(t, dir, map[string]string{"silent": "+#!/bin/sh\n", "fails": "+#!/bin/sh\necho no such thing >&2; exit 3\n", "text": "x"})
	for name, want := range map[string]string{
		"absent": "no such file", "silent": "does not answer like a Python", "fails": "exit status 3: no such thing", "text": "permission denied",
	} {
		_, err := probe(ctx, filepath.Join(dir, name))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), filepath.Join(dir, name)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnswers(t *testing.T) {
	good := answer{Executable: "/p/bin/python3", Prefix: "/p", Exec: "/p", Implementation: "cpython", Version: "3.13.1", Flags: "t", Platform: "linux-x86_64", Libc: "glibc 2.36"}
	in, err := good.interpreter()
	ok(t, err)
	if in.Target.ABI != "cp313t" || in.Target.Python != "cp313" || in.Target.Platform != "linux_x86_64" || in.Target.Machine != "x86_64" {
		t.Errorf("%+v", in.Target)
	}
	for want, change := range map[string]func(*answer){
		"only CPython":   func(a *answer) { a.Implementation = "pypy" },
		"musl":           func(a *answer) { a.Libc = "" },
		"exec_prefix":    func(a *answer) { a.Exec = "/q" },
		"does not lie":   func(a *answer) { a.Executable = "/q/python" },
		`version "3" is`: func(a *answer) { a.Version = "3" },
	} {
		a := good
		change(&a)
		if _, err := a.interpreter(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	// A prefix that the interpreter knows by a link to it keeps that link.
	dir, err := filepath.EvalSymlinks(t.TempDir())
	ok(t, err)
	write(t, dir, map[string]string{"/real/lib/": "", "/alias": "-> real"})
	a := good
	a.Prefix, a.Exec, a.Executable, a.Libdir = dir+"/real", dir+"/real", dir+"/real/bin/python3", dir+"/alias/lib"
	in, err = a.interpreter()
	ok(t, err)
	c := fakeRoot(t)
	root, err := c.Root(context.Background(), withPrefix(in, "/opt/py"))
	ok(t, err)
	link := Mount{Kind: "symlink", Source: "/opt/py", Target: dir + "/alias"}
	if !slices.ContainsFunc(root.Mounts, func(m Mount) bool { return cmp.Equal(m, link) }) {
		t.Error("the link is not shown")
	}
	if text := string(collect(t, c, withPrefix(in, "/opt/py"))["python"].Text); !strings.Contains(text, linkLine(dir+"/alias", "/opt/py")) {
		t.Error("the link is in no component")
	}
}

func withPrefix(in Interpreter, prefix string) Interpreter {
	fake := fakeInterp(prefix)
	fake.alias = in.alias
	return fake
}

// pythons is the interpreters of this machine: the one on PATH and the system's.
func pythons(t *testing.T) []string {
	t.Helper()
	found := map[string]bool{}
	if p, err := exec.LookPath("python3"); err == nil {
		found[p] = true
	}
	if _, err := os.Stat("/usr/bin/python3"); err == nil {
		found["/usr/bin/python3"] = true
	}
	if len(found) == 0 {
		t.Fatal("no python3 on this machine: install one")
	}
	return slices.Sorted(maps.Keys(found))
}

// copyInterpreter makes a small interpreter at prefix, of one of this machine's.
func copyInterpreter(t *testing.T, prefix string) string {
	t.Helper()
	in, err := probe(context.Background(), pythons(t)[0])
	ok(t, err)
	stdlib := filepath.Join("lib", "python"+in.Target.PythonVersion)
	ok(t, os.MkdirAll(filepath.Join(prefix, "bin"), 0o755))
	exe := filepath.Join(prefix, "bin", "python"+in.Target.PythonVersion)
	run(t, "cp", in.Executable, exe)
	ok(t, os.MkdirAll(filepath.Join(prefix, stdlib), 0o755))
	entries, err := os.ReadDir(in.stdlib[0])
	ok(t, err)
	args := []string{"-a", "-t", filepath.Join(prefix, stdlib)}
	for _, e := range entries {
		switch name := e.Name(); name {
		case "site-packages", "dist-packages", "test", "__pycache__", "sitecustomize.py", "EXTERNALLY-MANAGED", "idlelib", "tkinter", "lib2to3", "pydoc_data":
		default:
			if !strings.HasPrefix(name, "config-") {
				args = append(args, filepath.Join(in.stdlib[0], name))
			}
		}
	}
	run(t, "cp", args...)
	run(t, exe, "-S", "-c", "import json, email.message") // leaves some __pycache__
	return exe
}

// install puts packages into the interpreter with uv, and with pip if it has one.
func install(t *testing.T, in Interpreter, dir string) {
	t.Helper()
	wheel := filepath.Join(dir, "axle_demo-1-py3-none-any.whl")
	f, err := os.Create(wheel)
	ok(t, err)
	z := zip.NewWriter(f)
	for name, text := range map[string]string{
		"axle_demo.py":                                   "def main(): pass\n",
		"axle_demo-1.data/scripts/axle-demo-sh":          "#!/bin/sh\n",
		"axle_demo-1.data/headers/demo.h":                "h",
		"axle_demo-1.data/data/share/axle-demo/data.txt": "data",
		"axle_demo-1.dist-info/METADATA":                 "Metadata-Version: 2.1\nName: axle-demo\nVersion: 1\n",
		"axle_demo-1.dist-info/WHEEL":                    "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
		"axle_demo-1.dist-info/entry_points.txt":         "[console_scripts]\naxle-demo = axle_demo:main\n",
		"axle_demo-1.dist-info/RECORD":                   "",
	} {
		w, err := z.Create(name)
		ok(t, err)
		_, err = w.Write([]byte(text))
		ok(t, err)
	}
	ok(t, z.Close())
	ok(t, f.Close())
	run(t, testtools.Tool(t, "uv"), "pip", "install", "--no-config", "--offline", "--no-index", "--no-cache", "--break-system-packages", "--python", in.Executable, wheel)
	bundled, err := filepath.Glob(filepath.Join(in.stdlib[0], "ensurepip", "_bundled", "pip-*.whl"))
	ok(t, err)
	if len(bundled) == 0 {
		t.Log("pip itself is not tried: this Python comes without it")
		return
	}
	run(t, in.Executable, "-I", filepath.Join(bundled[0], "pip"), "install", "--no-compile", "--no-index", "--force-reinstall", "--break-system-packages", wheel)
}

// inside runs a command in a sandbox that shows root and nothing else.
func inside(t *testing.T, root Root, argv ...string) string {
	t.Helper()
	args := []string{"--unshare-all", "--die-with-parent", "--clearenv", "--setenv", "PATH", strings.Join(root.Path, ":"), "--setenv", "LC_ALL", "C",
		"--setenv", "PYTHONDONTWRITEBYTECODE", "1", "--proc", "/proc", "--dev", "/dev"}
	var last []string
	for _, m := range root.Mounts {
		switch m.Kind {
		case "bind":
			args = append(args, "--ro-bind", m.Source, m.Target)
		case "tmpfs":
			args = append(args, "--tmpfs", m.Target)
			last = append(last, "--remount-ro", m.Target)
		case "symlink":
			args = append(args, "--symlink", m.Source, m.Target)
		default:
			t.Fatalf("mount %+v", m)
		}
	}
	args = append(append(append(args, last...), "--remount-ro", "/", "--chdir", "/", "--"), argv...)
	return run(t, "bwrap", args...)
}

// listing is the files and links below folders in the sandbox, as a manifest has
// them, by programs of the system.
func listing(t *testing.T, root Root, folders ...string) map[string]string {
	t.Helper()
	m := map[string]string{}
	find := append(append([]string{"find"}, folders...), "!", "-type", "d", "-printf", `%y %m %p\0%l\0`)
	f := strings.Split(inside(t, root, find...), "\x00")
	for i := 0; i+1 < len(f); i += 2 {
		p := strings.SplitN(f[i], " ", 3)
		mode, err := strconv.ParseUint(p[1], 8, 32)
		ok(t, err)
		switch p[0] {
		case "f":
			m[p[2]] = fmt.Sprintf("%o", 0o100000|mode)
		case "l":
			m[p[2]] = "120777 - " + quote(f[i+1])
		default:
			t.Logf("%s is of type %s", p[2], p[0])
		}
	}
	hash := append(append([]string{"find"}, slices.DeleteFunc(slices.Clone(folders), func(s string) bool { return s == "/usr/local" })...),
		"-type", "f", "-exec", "sha256sum", "-z", "{}", "+")
	for line := range strings.SplitSeq(inside(t, root, hash...), "\x00") {
		if sum, name, found := strings.Cut(line, "  "); found {
			m[name] += " " + sum
		}
	}
	return m
}

func unquote(t *testing.T, s string) string {
	t.Helper()
	if !strings.HasPrefix(s, `"`) {
		return s
	}
	s, err := strconv.Unquote(s)
	ok(t, err)
	return s
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	var stderr strings.Builder
	cmd := exec.Command(name, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, stderr.String())
	}
	return string(out)
}
