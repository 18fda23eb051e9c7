package pep517

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"

	"github.com/python-wheel-build/axle/builder/sandbox"
)

func strs(s System) []string {
	list := []string{s.Backend}
	for _, r := range s.Requires {
		list = append(list, r.String())
	}
	return append(list, s.BackendPath...)
}

func TestReadSystem(t *testing.T) {
	for text, want := range map[string][]string{
		"":                    {"setuptools.build_meta:__legacy__", "setuptools>=40.8.0"},
		"[project]\nname='x'": {"setuptools.build_meta:__legacy__", "setuptools>=40.8.0"},
		"[build-system]\nrequires=['a>1', 'b[c]; python_version<\"3\"']":                               {"setuptools.build_meta:__legacy__", "a>1", "b[c]; python_version < \"3\""},
		"\ufeff[build-system]\nrequires=[]\nbuild-backend='x.y:z'\nbackend-path=['.', 'p/q']\nother=1": {"x.y:z", ".", "p/q"},
		// What old backends say of themselves, and pip takes.
		"[build-system]\nrequires=[]\nbuild-backend='x'\nbackend-path='p'":  {"x", "p"},
		"[build-system]\nrequires=[]\nbuild-backend='x'\nbackend-path=['']": {"x", "."},
		"[build-system]\nrequires=[]\nbuild-backend='x'\nbackend-path=''":   {"x", "."},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "pyproject.toml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := ReadSystem(dir, "")
		if diff := cmp.Diff(want, strs(got)); err != nil || diff != "" {
			t.Errorf("%q: %v %s", text, err, diff)
		}
	}
	for text, want := range map[string]string{
		"[build-system]\nbuild-backend='x'":                  "no requires",
		"[build-system]\nrequires='x'":                       "line 2",
		"[build-system]\nrequires=['!']":                     "requires",
		"[build-system]\nrequires=[]\nbuild-backend=''":      "module:object",
		"[build-system]\nrequires=[]\nbuild-backend='a b'":   "module:object",
		"[build-system]\nrequires=[]\nbackend-path=['..']":   "PEP 517",
		"[build-system]\nrequires=[]\nbackend-path=['/etc']": "PEP 517",
		"[build-system]\nrequires=[]\nbackend-path='..'":     "PEP 517",
		"[build-system]\nrequires=[]\nbackend-path=1":        "PEP 517",
		"[build-system]\nrequires=[]\nbackend-path=[1]":      "no text",
		"x = ":                                 "line 1",
		"x = " + strings.Repeat("[", 500000):   "deep",
		"x = " + strings.Repeat("{a=", 200000): "deep",
		strings.Repeat("x", maxProject+1):      "more than",
		strings.Repeat("a.", 500000) + "a=1\n[build-system]\nrequires=": "line 3",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "pyproject.toml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadSystem(dir, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: got %v, %v; want %q", text, got, err, want)
		}
	}
}

func TestReadSystemPlaces(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "pyproject.toml")
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(
		os.WriteFile(outside, []byte("[build-system]\nrequires=['stolen']"), 0o644),
		os.Mkdir(at("empty"), 0o755), os.Mkdir(at("linked"), 0o755), os.Mkdir(at("pipe"), 0o755), os.Mkdir(at("inside"), 0o755),
		os.Mkdir(at("legacy"), 0o755), os.WriteFile(at("legacy/setup.py"), nil, 0o644),
		os.Symlink(outside, at("linked/pyproject.toml")),
		os.Symlink("../real.toml", at("inside/pyproject.toml")), os.WriteFile(at("real.toml"), []byte("[build-system]\nrequires=['ok']"), 0o644),
		syscall.Mkfifo(at("pipe/pyproject.toml"), 0o644),
		os.Symlink(filepath.Dir(outside), at("away")),
	); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"linked": "escapes", "pipe": "not a regular file", "away": "escapes", "../x": "not below", "/etc": "not below", "missing": "no such file", "real.toml": "is a file",
	} {
		if got, err := ReadSystem(dir, name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, %v; want %q", name, got, err, want)
		}
	}
	if _, err := ReadSystem(dir, "empty"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("neither file: %v", err)
	}
	if got, err := ReadSystem(dir, "inside"); err != nil || got.Requires[0].String() != "ok" {
		t.Errorf("a link inside: %v, %v", got, err)
	}
	if got, err := ReadSystem(dir, "legacy"); err != nil || got.Backend != legacyBackend {
		t.Errorf("setup.py alone: %v, %v", got, err)
	}
}

// What parses comes back the same when it is written and read again.
func FuzzParseSystem(f *testing.F) {
	f.Add("[build-system]\nrequires=['a>1', 'b[c]; python_version<\"3\"']\nbuild-backend='x.y:z'\nbackend-path=['.', 'p/q']")
	f.Add("[build-system]\nrequires=[]\n[[tool.x]]\na={b=[1,{c='\\u00e9'}]}")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseSystem([]byte(text))
		if err != nil {
			return
		}
		requires := []string{}
		for _, r := range s.Requires {
			requires = append(requires, r.String())
		}
		again, err := toml.Marshal(map[string]any{"build-system": map[string]any{
			"requires": requires, "build-backend": s.Backend, "backend-path": append([]string{}, s.BackendPath...)}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := parseSystem(again)
		if diff := cmp.Diff(strs(s), strs(got)); err != nil || diff != "" {
			t.Errorf("%s: %v %s", again, err, diff)
		}
	})
}

// The result of the hooks is a stranger's: none of these may lead out of the work folder or be taken for a wheel.
func TestHostileResult(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret.whl")
	if err := os.WriteFile(secret, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	write := func(path, text string) error {
		return errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644))
	}
	for name, c := range map[string]struct {
		do   string
		make func(dir string) error
	}{
		"no result":         {"build", func(dir string) error { return nil }},
		"pipe":              {"build", func(dir string) error { return syscall.Mkfifo(dir+"/result.json", 0o644) }},
		"linked result":     {"build", func(dir string) error { return os.Symlink(secret, dir+"/result.json") }},
		"folder":            {"build", func(dir string) error { return os.Mkdir(dir+"/result.json", 0o755) }},
		"huge":              {"build", func(dir string) error { return write(dir+"/result.json", strings.Repeat(" ", maxResult+1)) }},
		"no JSON":           {"build", func(dir string) error { return write(dir+"/result.json", `wheel`) }},
		"deep JSON":         {"build", func(dir string) error { return write(dir+"/result.json", strings.Repeat(`[`, maxResult)) }},
		"other fields":      {"build", func(dir string) error { return write(dir+"/result.json", `{"wheel":"a.whl","more":1}`) }},
		"nothing":           {"build", func(dir string) error { return write(dir+"/result.json", `{}`) }},
		"path":              {"build", func(dir string) error { return write(dir+"/result.json", `{"wheel":"../../secret.whl"}`) }},
		"absolute":          {"build", func(dir string) error { return write(dir+"/result.json", `{"wheel":"`+secret+`"}`) }},
		"no wheel":          {"build", func(dir string) error { return write(dir+"/result.json", `{"wheel":"a.tar.gz"}`) }},
		"metadata path":     {"prepare", func(dir string) error { return write(dir+"/result.json", `{"metadata":".."}`) }},
		"missing metadata":  {"prepare", func(dir string) error { return write(dir+"/result.json", `{"metadata":"a.dist-info"}`) }},
		"no metadata given": {"prepare", func(dir string) error { return write(dir+"/result.json", `{"wheel":"a.whl"}`) }},
		"linked wheel": {"build", func(dir string) error {
			return errors.Join(os.Mkdir(dir+"/out", 0o755), os.Symlink(secret, dir+"/out/a.whl"), write(dir+"/result.json", `{"wheel":"a.whl"}`))
		}},
		"linked folder": {"build", func(dir string) error {
			return errors.Join(os.Symlink(filepath.Dir(secret), dir+"/out"), write(dir+"/result.json", `{"wheel":"secret.whl"}`))
		}},
		"inner link": {"build", func(dir string) error {
			return errors.Join(write(dir+"/b/a.whl", ""), os.Symlink("b", dir+"/out"), write(dir+"/result.json", `{"wheel":"a.whl"}`))
		}},
		"linked metadata": {"prepare", func(dir string) error {
			return errors.Join(os.MkdirAll(dir+"/meta/a", 0o755), os.Symlink(secret, dir+"/meta/a/METADATA"), write(dir+"/result.json", `{"metadata":"a"}`))
		}},
		"linked dist-info": {"prepare", func(dir string) error {
			return errors.Join(os.Mkdir(dir+"/meta", 0o755), write(dir+"/m/METADATA", ""), os.Symlink("../m", dir+"/meta/a"), write(dir+"/result.json", `{"metadata":"a"}`))
		}},
		"huge metadata": {"prepare", func(dir string) error {
			return errors.Join(write(dir+"/meta/a/METADATA", ""), os.Truncate(dir+"/meta/a/METADATA", 1<<40), write(dir+"/result.json", `{"metadata":"a"}`))
		}},
	} {
		dir := t.TempDir()
		if err := c.make(dir); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Env{Work: dir}.result(root, Step{Do: c.do}, &sandbox.Tail{})
		if !errors.As(err, new(*BackendError)) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		root.Close()
	}
}

// That a result can't be opened may be this process's own fault.
func TestResultOutOfReach(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := os.WriteFile(filepath.Join(dir, "result.json"), []byte(`{"wheel": "x.whl"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 1, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	_, got := Env{Work: dir}.result(root, Step{Do: "build"}, &sandbox.Tail{})
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(got, syscall.EMFILE) || errors.As(got, new(*BackendError)) {
		t.Error(got)
	}
}
