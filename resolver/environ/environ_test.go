package environ

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	sumBinary = "9a3a45d01531a20e89ac6ae10b0b0beb0492acd7216a368aa062d1a5fecaf9cd"
)

// What is written here by hand is what builds depend on.
func TestPythonComponent(t *testing.T) {
	c := fakeRoot(t)
	set := collect(t, c, fakeInterp("/opt/py"))
	var got []string
	for line := range strings.Lines(string(set["python"].Text)) {
		f := strings.Fields(line)
		if len(f) >= 3 && len(f[len(f)-1]) == 64 {
			line = strings.Join(f[:len(f)-1], " ") + " HASH\n"
		}
		got = append(got, strings.TrimSuffix(line, "\n"))
	}
	want := []string{
		`"/opt/py/share/a name\nof two \"lines\"" 100644 HASH`,
		"/opt/py/bin/python3 120777 - python3.11",
		"/opt/py/bin/python3.11 100755 HASH",
		"/opt/py/bin/python3.11-config 100755 HASH",
		"/opt/py/include/python3.11/Python.h 100644 HASH",
		"/opt/py/lib/libpython3.11.so 100644 HASH",
		"/opt/py/lib/python3.11/ensurepip/_bundled/pip.whl 100644 HASH",
		"/opt/py/lib/python3.11/json/__init__.py 100644 HASH",
		"/opt/py/lib/python3.11/json/test/kept 100644 HASH",
		"/opt/py/lib/python3.11/loose.pyc 100644 HASH",
		"/opt/py/lib/python3.11/os.py 100644 HASH",
		"implementation cpython",
		"soabi cpython-311-x86_64-linux-gnu",
		"version 3.11.7",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	// printf binary | sha256sum
	if line := "/opt/py/bin/python3.11 100755 " + sumBinary + "\n"; !strings.Contains(string(set["python"].Text), line) {
		t.Errorf("no line %q in\n%s", line, set["python"].Text)
	}
}

func TestSystemComponent(t *testing.T) {
	set := collect(t, fakeRoot(t), fakeInterp("/opt/py"))
	var got []string
	for line := range strings.Lines(string(set["system"].Text)) {
		f := strings.Fields(line)
		got = append(got, strings.Join(slices.DeleteFunc(f, func(s string) bool { return len(s) == 64 }), " "))
	}
	want := []string{
		"/etc/alternatives/cc 120777 - /usr/bin/gcc",
		"/etc/ld.so.cache 100644",
		"/etc/os-release 120777 - ../usr/lib/os-release",
		"/usr/bin/cc 120777 - /etc/alternatives/cc",
		"/usr/bin/ninja 100755",
		"/usr/local/bin/tool 100755",
		"/usr/local/lib/node_modules/site-packages/not-python 100644",
		"/usr/local/share/data.txt 100644",
		"/usr/share/cmake/Find.cmake 100644",
		"package half:all 1:2 (half-configured)",
		"package libyaml-dev:amd64 0.2.5-1",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestOtherComponents(t *testing.T) {
	c := fakeRoot(t)
	c.Env = map[string]string{"CC": "gcc-12"}
	c.Sign = map[string]string{"AXLE_BUILD_ENV_SIGN": "a"}
	c.Paths = map[string]string{"rust": "/opt/rust"}
	set := collect(t, c, fakeInterp("/opt/py"))
	for name, want := range map[string]string{"platform": "linux-x86_64", "libc": "glibc-2.36", "env:CC": "gcc-12", "env:AXLE_BUILD_ENV_SIGN": "a"} {
		if d := cmp.Diff(Component{Value: want}, set[name]); d != "" {
			t.Error(name, d)
		}
	}
	text := string(set["path:rust"].Text)
	for _, want := range []string{"/opt/axle/rust/bin/cargo 100755 ", "/opt/axle/rust/lib/std 120777 - /opt/elsewhere\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	// Documentation is in no build.
	write(t, c.root, map[string]string{"/opt/rust-1.95/share/doc/a.html": "x"})
	if d := Diff(set, collect(t, c, fakeInterp("/opt/py"))); d != nil {
		t.Error(d)
	}
	root, err := c.Root(t.Context(), fakeInterp("/opt/py"))
	ok(t, err)
	if !slices.ContainsFunc(root.Mounts, func(m Mount) bool { return m.Kind == "tmpfs" && m.Target == "/opt/axle/rust/share" }) {
		t.Error("a build sees what is in no component")
	}
	write(t, c.root, map[string]string{"/opt/rust-1.95/share/x/doc/a": "x"})
	if d := Diff(set, collect(t, c, fakeInterp("/opt/py"))); d == nil {
		t.Error("share/x/doc is no component")
	}
	ok(t, os.RemoveAll(filepath.Join(c.root, "/opt/rust-1.95/share")))
	// The same tree at another place on the host is the same component.
	ok(t, os.Rename(filepath.Join(c.root, "/opt/rust-1.95"), filepath.Join(c.root, "/opt/moved")))
	c.Paths["rust"] = "/opt/moved"
	if d := Diff(set, collect(t, c, fakeInterp("/opt/py"))); d != nil {
		t.Error(d)
	}
}

// A system interpreter is its version; its packages are hidden from builds.
func TestSystemInterpreter(t *testing.T) {
	c := fakeRoot(t)
	write(t, c.root, map[string]string{"/usr/lib/python3/dist-packages/yaml.py": "x"})
	in := fakeInterp("/usr")
	if d := cmp.Diff(Component{Value: "cpython 3.11.7 cpython-311-x86_64-linux-gnu"}, collect(t, c, in)["python"]); d != "" {
		t.Error(d)
	}
	if text := string(collect(t, c, in)["system"].Text); strings.Contains(text, "yaml.py") {
		t.Error("they are hidden and still count")
	}
	if text := string(collect(t, c, fakeInterp("/opt/py"))["system"].Text); !strings.Contains(text, "/usr/lib/python3/dist-packages/yaml.py") {
		t.Error("they are shown and do not count")
	}
	r, err := c.Root(context.Background(), in)
	ok(t, err)
	if !slices.ContainsFunc(r.Mounts, func(m Mount) bool { return m.Kind == "tmpfs" && m.Target == "/usr/lib/python3/dist-packages" }) {
		t.Error("packages of the system's Python are shown")
	}
	r, err = c.Root(context.Background(), fakeInterp("/opt/py"))
	ok(t, err)
	if slices.ContainsFunc(r.Mounts, func(m Mount) bool { return m.Target == "/usr/lib/python3/dist-packages" }) {
		t.Error("another interpreter hides what the system's tools need")
	}
}

// An interpreter in /usr/local is told apart from the tools beside it.
func TestLocalInterpreter(t *testing.T) {
	c := fakeRoot(t)
	write(t, c.root, map[string]string{
		"/usr/local/bin/python3.11":       "+binary",
		"/usr/local/lib/python3.11/os.py": "os",
		"/usr/local/bin/shebang":          "+#!/usr/local/bin/python3.11\n",
	})
	in := fakeInterp("/usr/local")
	before := collect(t, c, in)
	text := string(before["python"].Text)
	if !strings.Contains(text, "/usr/local/bin/python3.11 ") || !strings.Contains(text, "/usr/local/lib/python3.11/os.py ") || strings.Contains(text, "bin/tool") {
		t.Error(text)
	}
	if strings.Contains(string(before["system"].Text), "shebang") {
		t.Error("an entry point is shown")
	}
	write(t, c.root, map[string]string{"/usr/local/bin/tool": "+other"})
	if d := cmp.Diff([]string{"system: /usr/local/bin/tool changed"}, Diff(before, collect(t, c, in))); d != "" {
		t.Error(d)
	}
	r, err := c.Root(context.Background(), in)
	ok(t, err)
	for _, m := range r.Mounts {
		if m.Target == "/usr/local" {
			t.Error("/usr/local is shown twice")
		}
	}
}

// The promise of the whole package: installing Python packages changes nothing,
// everything else does and is told.
func TestWhatChanges(t *testing.T) {
	c := fakeRoot(t)
	c.Cache = filepath.Join(t.TempDir(), "new", "cache")
	in := fakeInterp("/opt/py")
	before := collect(t, c, in)
	if d := Diff(before, collect(t, c, in)); d != nil {
		t.Fatal("two runs differ:", d)
	}
	pipInstall(t, c)
	if d := Diff(before, collect(t, c, in)); d != nil {
		t.Fatal("installing Python packages changed it:", d)
	}
	for _, step := range []struct {
		file, text string
		want       string
	}{
		{"/var/lib/dpkg/status", strings.Replace(status, "0.2.5-1", "0.2.5-2", 1), "system: libyaml-dev:amd64 0.2.5-1 -> 0.2.5-2"},
		{"/var/lib/dpkg/status", status + "\nPackage: libxml2-dev\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.9\nMaintainer: n\nDescription: x\n", "system: libxml2-dev:amd64 2.9 added"},
		{"/usr/local/share/data.txt", "atad", "system: /usr/local/share/data.txt changed"},
		{"/usr/local/new file", "x", `system: "/usr/local/new file" added`},
		{"/etc/alternatives/cc", "-> /usr/bin/clang", "system: /etc/alternatives/cc changed"},
		{"/etc/ld.so.cache", "cachf", "system: /etc/ld.so.cache changed"},
		{"/opt/py/lib/python3.11/os.py", "import syt", "python: /opt/py/lib/python3.11/os.py changed"},
		{"/opt/py/bin/python3", "-> python3.12", "python: /opt/py/bin/python3 changed"},
		{"/usr/local/bin/tool", "tool", "system: /usr/local/bin/tool changed"}, // mode only
		{"/usr/bin/ninja", "+another", "system: /usr/bin/ninja changed"},
		{"/usr/lib/new.so", "x", "system: /usr/lib/new.so added"},
		{"/usr/lib/libyaml.so", "another", ""}, // its package's version stands for it
		{"/usr/share/info/dir", "another", ""},
		{"/usr/lib/x/__pycache__/x.pyc", "x", ""},
		{"/etc/passwd", "other:x", ""},
	} {
		c := fakeRoot(t)
		pipInstall(t, c)
		write(t, c.root, map[string]string{step.file: step.text})
		var want []string
		if step.want != "" {
			want = []string{step.want}
		}
		if d := cmp.Diff(want, Diff(before, collect(t, c, in))); d != "" {
			t.Errorf("%s: %s", step.file, d)
		}
	}
}

func TestDiff(t *testing.T) {
	var many []string
	for _, r := range "abcdefghij" {
		many = append(many, "/usr/"+string(r)+" 100644 x")
	}
	a := Set{
		"gone":   {Value: "x"},
		"env:CC": {Value: "gcc"},
		"python": component([]string{"version 3.11.7", `"/a b" 100644 x`, `"/a\" b" 100644 x`}),
		"system": component([]string{"package kernel:x86_64 1", "package kernel:x86_64 2", "package zlib:amd64 1"}),
	}
	b := Set{
		"new":    {Value: "x"},
		"env:CC": {Value: ""},
		"python": component([]string{"version 3.11.8", `"/a b" 100644 y`, `"/a\" b" 100644 y`}),
		"system": component(append(many, "package kernel:x86_64 2", "package kernel:x86_64 3")),
	}
	want := []string{
		`env:CC: "gcc" -> ""`,
		"gone: removed",
		"new: added",
		"python: version 3.11.7 -> 3.11.8",
		`python: "/a b" changed`,
		`python: "/a\" b" changed`,
		"system: kernel:x86_64 1, 2 -> 2, 3",
		"system: zlib:amd64 1 removed",
		"system: /usr/a added", "system: /usr/b added", "system: /usr/c added", "system: /usr/d added", "system: /usr/e added", "system: /usr/f added",
		"system: and 4 more",
	}
	if d := cmp.Diff(want, Diff(a, b)); d != "" {
		t.Error(d)
	}
	if d := Diff(a, a); d != nil {
		t.Error(d)
	}
}

func TestBadInput(t *testing.T) {
	for name, c := range map[string]struct {
		c    Collector
		want string
	}{
		"relative":   {Collector{Python: "python3"}, `"python3" is not an absolute path`},
		"path name":  {Collector{Python: "/p", Paths: map[string]string{"../x": "/"}}, `path "../x": a name is`},
		"path place": {Collector{Python: "/p", Paths: map[string]string{"x": "opt"}}, `"opt" is not absolute`},
		"PATH":       {Collector{Python: "/p", Env: map[string]string{"PATH": "x"}}, "PATH can't be declared"},
		"env":        {Collector{Python: "/p", Env: map[string]string{"A=B": "x"}}, `"A=B" is not an environment variable`},
		"NUL":        {Collector{Python: "/p", Env: map[string]string{"A": "x\x00"}}, `"A" is not an environment variable`},
		"both":       {Collector{Python: "/p", Env: map[string]string{"A": "x"}, Sign: map[string]string{"A": "x"}}, "A is both"},
	} {
		_, _, err := c.c.Collect(context.Background())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := c.c.Root(context.Background(), Interpreter{}); err == nil {
			t.Errorf("%s: Root takes it", name)
		}
	}
}

func TestMachineWithout(t *testing.T) {
	in := fakeInterp("/opt/py")
	c := fakeRoot(t)
	ok(t, os.RemoveAll(filepath.Join(c.root, "/var/lib/dpkg")))
	if _, err := c.collect(context.Background(), in); err == nil || !strings.Contains(err.Error(), "neither a dpkg nor an rpm database") {
		t.Error(err)
	}
	c = fakeRoot(t)
	write(t, c.root, map[string]string{"/var/lib/dpkg/status": "rubbish\n"})
	if _, err := c.collect(context.Background(), in); err == nil || !strings.Contains(err.Error(), "dpkg-query") {
		t.Error(err)
	}
	for name, dir := range map[string]string{"absent": "/opt/absent", "a file": "/etc/passwd"} {
		c = fakeRoot(t)
		c.Paths = map[string]string{"x": dir}
		if _, err := c.collect(context.Background(), in); err == nil || !strings.Contains(err.Error(), "path x: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	c = fakeRoot(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.collect(ctx, in); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	const strays = "/usr/bin/cc 120777 - /etc/alternatives/cc\n"
	ok(t, os.Remove(filepath.Join(c.root, "/usr/bin/ninja")))
	ok(t, os.RemoveAll(filepath.Join(c.root, "/usr/share")))
	// /usr/local and /etc may be missing altogether.
	ok(t, os.RemoveAll(filepath.Join(c.root, "/usr/local")))
	ok(t, os.RemoveAll(filepath.Join(c.root, "/etc")))
	if got := string(collect(t, c, in)["system"].Text); got != strays+"package half:all 1:2 (half-configured)\npackage libyaml-dev:amd64 0.2.5-1\n" {
		t.Error(got)
	}
	_, err := c.Root(context.Background(), in)
	ok(t, err)
}

func TestFileThatChanges(t *testing.T) {
	c := fakeRoot(t)
	ctx := context.Background()
	for name, change := range map[string]func(path string) error{
		"written":    func(p string) error { return os.WriteFile(p, []byte("atad"), 0o644) },
		"mode":       func(p string) error { return os.Chmod(p, 0o600) },
		"replaced":   func(p string) error { os.Remove(p); return os.WriteFile(p, []byte("data"), 0o644) },
		"now a link": func(p string) error { os.Remove(p); return os.Symlink("/etc/passwd", p) },
		"now a pipe": func(p string) error { os.Remove(p); return mkfifo(p) },
		"removed":    os.Remove,
	} {
		path := filepath.Join(c.root, "/usr/local/share/data.txt")
		write(t, c.root, map[string]string{"/usr/local/share/data.txt": "data"})
		tr, err := scan(ctx, filepath.Dir(path), "/s", nil)
		ok(t, err)
		time.Sleep(10 * time.Millisecond) // more than the clock's tick of file times
		ok(t, change(path))
		_, err = tr.lines(ctx, openHashes(""), nil)
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
		if name == "removed" && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	}
}
