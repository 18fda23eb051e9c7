package view

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver/view/config"
	"github.com/python-wheel-build/axle/resolver/view/pyyaml"
)

func files(pairs ...string) fstest.MapFS {
	m := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1]), Mode: 0o644}
	}
	return m
}

func interpret(t *testing.T, fsys fstest.MapFS, variant string) (*decided, error) {
	t.Helper()
	in, err := readTree(fsys, "over")
	if err != nil {
		return nil, err
	}
	return in.interpret("over", variant, nil)
}

// wantError checks that an error begins with where (file:line) and holds every one of the words.
func wantError(t *testing.T, err error, where string, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %s %q", where, words)
	}
	for _, w := range words {
		if !strings.HasPrefix(err.Error(), where) || !strings.Contains(err.Error(), w) {
			t.Errorf("error %q: want it to begin with %q and to hold %q", err, where, w)
		}
	}
}

func mustVersion(t testing.TB, s string) version.Version {
	t.Helper()
	v, err := version.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestProjectSettings(t *testing.T) {
	for _, c := range []struct {
		name, yaml string
		want       ProjectSettings
	}{
		{"empty file", "", ProjectSettings{}},
		{"only comments", "# nothing\n", ProjectSettings{}},
		{"env strings and integers", "env: {A: x, B: '', C: 5, D: +5, E: -5, F: -0, G: '012', H: \"on\"}",
			ProjectSettings{Env: map[string]string{"A": "x", "B": "", "C": "5", "D": "5", "E": "-5", "F": "0", "G": "012", "H": "on"}}},
		{"env as Python prints it", "env: {A: on, B: No, C: 012, D: 0o17, E: 1e3, F: 1_000, G: 12:30:45, H: 1.10, I: 1.5e+16, J: 0x1F, K: -.INF, L: 1:30.5, M: 0b11, N: 1e-05, O: 0.00001, P: -0, Q: 089}",
			ProjectSettings{Env: map[string]string{"A": "1", "B": "0", "C": "10", "D": "0o17", "E": "1e3", "F": "1000", "G": "45045", "H": "1.1", "I": "1.5e+16", "J": "31",
				"K": "-inf", "L": "90.5", "M": "3", "N": "1e-05", "O": "1e-05", "P": "0", "Q": "089"}}},
		{"env that refers to others", "env: {A: '1', B: '${A}-$A', C: $$A, D: '${NOPE:-x y}$NOPE', E: '$${A:-z}'}\nvariants: {cpu: {env: {B: '${B}/cpu'}}}",
			ProjectSettings{Env: map[string]string{"A": "1", "B": "1-1/cpu", "C": "$A", "D": "x yx y", "E": "${A:-z}"}}},
		{"env that is known late", "env: {PATH: '/opt/x:$PATH', V: 'v${__version__}', W: '$V-$$', X: plain}",
			ProjectSettings{Env: map[string]string{"X": "plain"}, Templates: map[string]string{"PATH": "/opt/x:${PATH}", "V": "v${__version__}", "W": "v${__version__}-$$"}}},
		{"project_override", "project_override: {update_build_requires: ['setuptools<80', 'Foo_Bar >=1'], remove_build_requires: [Ninja], requires_external: [openssl]}",
			ProjectSettings{Override: &Override{Update: []string{"foo-bar>=1", "setuptools<80"}, Remove: []dist.Project{"ninja"}}}},
		{"changelog", "changelog: {'1.0': [a, b], '2.0.0': [], 1.2.post1: [c]}", ProjectSettings{Changes: map[string]string{"1.0": "2", "1.2.post1": "1"}}},
		{"what changes no wheel", "annotations: {a: b}\nbuild_options: {cpu_cores_per_job: 4, memory_per_job_gb: 8.5, exclusive_build: true}\ngit_options: {submodules: true}\n" +
			"purl: {name: x}\nresolver_dist: {min_release_age: 3, include_wheels: true, sdist_server_url: null}\ndownload_source: {destination_filename: x}\n" +
			"variants: {cpu: {annotations: {a: c}}, cuda: {wheel_server_url: https://wheels.example/}}\n", ProjectSettings{}},
		{"download_source", "download_source: {url: 'https://H.example/${version}.zip?a=b', destination_filename: $canonicalized_name-$version.zip}",
			ProjectSettings{Download: &Download{"https://H.example/${version}.zip?a=b", "$canonicalized_name-$version.zip"}}},
		{"env without the spaces around", "env:\n  A: '  x y '\n  B: |\n    text\n",
			ProjectSettings{Env: map[string]string{"A": "x y", "B": "text"}}},
		{"config settings", "config_settings: {--a: b, c: [d, e], f: [], '1': ''}",
			ProjectSettings{ConfigSettings: ConfigSettings{"--a": "b", "c": []string{"d", "e"}, "f": []string{}, "1": ""}}},
		{"build dir", "build_dir: ./python//pkg/", ProjectSettings{BuildDir: "python/pkg"}},
		{"build dir top", "build_dir: .", ProjectSettings{}},
		{"extensions", "extensions: optional", ProjectSettings{Extensions: Optional}},
		{"variant over project", "env: {A: '1', B: '2'}\nvariants:\n  cpu: {env: {B: '3', C: '4'}}\n  cuda: {pre_built: true, env: {A: '9'}}\n",
			ProjectSettings{Env: map[string]string{"A": "1", "B": "3", "C": "4"}}},
		{"variant alone", "variants: {cpu: {env: {B: '3'}, pre_built: yes}}",
			ProjectSettings{Env: map[string]string{"B": "3"}, PreBuilt: true}},
		{"pre_built off", "variants: {cpu: {pre_built: off}}", ProjectSettings{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := interpret(t, files("settings/Foo_Bar.yaml", c.yaml), "cpu")
			if err != nil {
				t.Fatal(err)
			}
			got, stored := d.projects["foo-bar"]
			if stored == c.want.isZero() {
				t.Errorf("stored: %v, want only settings that say something", stored)
			}
			if len(got.Env) == 0 {
				got.Env = nil
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %#v\nwant %#v", got, c.want)
			}
		})
	}
}

func TestSettingsRefused(t *testing.T) {
	const foo = "settings/foo.yaml"
	for _, c := range []struct {
		name, file, yaml, where string
		words                   []string
	}{
		{"unknown key", foo, "env: {A: b}\nchangelogs: {}\n", ":2", []string{`"changelogs"`, "project foo", "build_dir", "config_settings, download_source, env"}},
		{"unknown variant key", foo, "variants:\n  cuda:\n    wheel_server: x\n", ":3", []string{`"wheel_server"`, "variant cuda", "env, pre_built"}},
		{"server of wheels", foo, "variants:\n  cpu:\n    wheel_server_url: x\n", ":3", []string{"wheel_server_url is not supported", "upstream"}},
		{"server of sdists", foo, "resolver_dist:\n  sdist_server_url: x\n", ":2", []string{"sdist_server_url is not supported", "upstream"}},
		{"download of no URL", foo, "download_source:\n  url: x\n", ":2", []string{"download_source: url: not an http or https URL"}},
		{"download with a password", foo, "download_source:\n  url: https://u:p@h.example/x.zip\n", ":2", []string{"netrc"}},
		{"download with a token", foo, "download_source:\n  url: https://h.example/x.zip?private_token=p\n", ":2", []string{"private_token", "netrc"}},
		{"download of an unknown", foo, "download_source:\n  url: https://h.example/${dist_name}.zip\n", ":2", []string{"${dist_name} is not known", "canonicalized_name"}},
		{"download to a folder", foo, "download_source:\n  url: https://h.example/\n  destination_filename: a/b.zip\n", ":2", []string{"destination_filename", "a/b.zip"}},
		{"download to no archive", foo, "download_source:\n  url: https://h.example/\n  destination_filename: b.tar.xz\n", ":2", []string{".tar.bz2"}},
		{"submodules elsewhere", foo, "git_options:\n  submodule_paths: [../x]\n", ":2", []string{"git_options: submodule_paths", "../x"}},
		{"changelog of no version", foo, "changelog:\n  newest: [a]\n", ":2", []string{"changelog", "newest"}},
		{"changelog of a number", foo, "changelog:\n  1.0: [a]\n", ":2", []string{"key 1.0 reads as a number"}},
		{"override of no requirement", foo, "project_override:\n  update_build_requires: ['!']\n", ":2", []string{"update_build_requires"}},
		{"override by a URL", foo, "project_override:\n  update_build_requires: ['a @ https://x.example/a.whl']\n", ":2", []string{"direct URL"}},
		{"pre_built outside of a variant", foo, "pre_built: true\n", ":1", []string{`"pre_built"`}},
		{"unknown global key", "settings.yaml", "# x\nchangelogs: {}\n", ":2", []string{`"changelogs"`, "backends, changelog, external_commands, packages"}},
		{"unknown backend key", "settings.yaml", "backends:\n  mesonpy:\n    env: {}\n", ":3", []string{`"env"`, "backends: mesonpy", "config_settings"}},
		{"backend is no module", "settings.yaml", "backends:\n  'a:b': {}\n", ":2", []string{`"a:b"`, "before the colon"}},
		{"package is no project", "settings.yaml", "packages:\n  -foo: {}\n", ":2", []string{"packages", "-foo"}},
		{"not a mapping", foo, "- a\n", ":1", []string{"must be a mapping"}},
		{"env null", foo, "env:\n", ":1", []string{"env must be a mapping"}},
		{"duplicate key", foo, "env: {A: x}\nbuild_dir: x\nenv: {}\n", ":3", []string{`"env"`, "twice", "line 1"}},
		{"duplicate env", foo, "env:\n  A: x\n  A: y\n", ":3", []string{`"A"`, "line 2"}},
		{"null value", foo, "env:\n  A:\n", ":2", []string{"an empty value reads as null", "quote it"}},
		{"list value", foo, "env:\n  A: [b]\n", ":2", []string{"env: A must be a string"}},
		{"bool key", foo, "env:\n  on: x\n", ":2", []string{"key on reads as a boolean", "quote it"}},
		{"bad env name", foo, "env:\n  'A=B': x\n", ":2", []string{`"A=B"`, "environment variable"}},
		{"NUL", foo, "env:\n  A: \"a\\0b\"\n", ":2", []string{"NUL"}},
		{"substitution", foo, "env:\n  A: ${NOPE}/x\n", ":2", []string{"env: A", "${NOPE}/x", "NOPE is not known", "environment: env"}},
		{"command", foo, "env:\n  A: '$(date)'\n", ":2", []string{"$(command) is not supported"}},
		{"dollar", foo, "env:\n  A: 5 $\n", ":2", []string{"for a dollar write $$"}},
		{"config int", foo, "config_settings:\n  a: 1\n", ":2", []string{"config_settings: a: 1 reads as a number", "quote it"}},
		{"config list of list", foo, "config_settings:\n  a: [[b]]\n", ":2", []string{"config_settings: a must be a string"}},
		{"build_dir absolute", foo, "build_dir: /x\n", ":1", []string{"build_dir", `"/x"`, "below the source tree"}},
		{"build_dir outside", foo, "build_dir: a/../../x\n", ":1", []string{"build_dir", "no .. in it"}},
		{"build_dir empty", foo, "build_dir: ''\n", ":1", []string{"build_dir"}},
		{"extensions unknown", foo, "extensions: required\n", ":1", []string{`"required"`, `"optional"`}},
		{"extensions no string", foo, "extensions: [optional]\n", ":1", []string{"extensions must be a string"}},
		{"pre_built quoted", foo, "variants:\n  cpu:\n    pre_built: 'true'\n", ":3", []string{"pre_built must be true or false"}},
		{"pre_built number", foo, "variants:\n  cpu:\n    pre_built: 1\n", ":3", []string{"pre_built must be true or false"}},
		{"merge key", foo, "env:\n  <<: {A: x}\n", ":2", []string{"merge key <<"}},
		{"anchor", foo, "env: &a {A: x}\n", ":1", []string{"anchors and aliases"}},
		{"alias", foo, "env: {A: x, B: *a}\n", ": ", []string{"unknown anchor 'a'"}},
		{"tag", foo, "env:\n  A: !!str 5\n", ":2", []string{"tag !!str"}},
		{"tag of nothing", foo, "!x\n", ":1", []string{"tag !x"}},
		{"key not scalar", foo, "? [a]\n: b\n", ":1", []string{"a key must be a string"}},
		{"second document", foo, "env: {}\n---\nenv: {}\n", ":", []string{"a second YAML document"}},
		{"syntax", foo, "env: {}\nbuild_dir: [\n", ":", []string{"not YAML"}},
		{"not UTF-8", foo, "env: {A: \xff}\n", ":", []string{"not UTF-8"}},
		{"huge", foo, strings.Repeat("#", pyyaml.MaxSize+1), ":", []string{"larger than"}},
		{"file is no project", "settings/-foo.yaml", "", ":", []string{"not a project's"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := interpret(t, files(c.file, c.yaml), "cpu")
			wantError(t, err, filepath.Join("over", c.file)+c.where, c.words...)
		})
	}
}

func TestOneProjectTwice(t *testing.T) {
	_, err := interpret(t, files("settings/foo_bar.yaml", "", "settings/Foo.Bar.yaml", ""), "cpu")
	wantError(t, err, "over/settings/foo_bar.yaml:1", "foo-bar", "over/settings/Foo.Bar.yaml:1", "keep one")
	_, err = interpret(t, files("settings.yaml", "packages:\n  foo: {}\n", "settings/foo.yaml", "env: {}"), "cpu")
	wantError(t, err, "over/settings/foo.yaml:1", "foo", "over/settings.yaml:2")
	_, err = interpret(t, files("settings.yaml", "packages:\n  foo_x: {}\n  foo-x: {}\n"), "cpu")
	wantError(t, err, "over/settings.yaml:3", "foo-x", "over/settings.yaml:2")
}

func TestGlobalSettings(t *testing.T) {
	d, err := interpret(t, files("settings.yaml", `
packages:
  Foo.Bar: {build_dir: x}
backends:
  mesonpy: {config_settings: {build-dir: /build/meson}}
  a.b: {}
`), "cpu")
	if err != nil {
		t.Fatal(err)
	}
	if want := map[dist.Project]ProjectSettings{"foo-bar": {BuildDir: "x"}}; !reflect.DeepEqual(d.projects, want) {
		t.Errorf("projects %v, want %v", d.projects, want)
	}
	if want := map[string]ConfigSettings{"mesonpy": {"build-dir": "/build/meson"}}; !reflect.DeepEqual(d.backends, want) {
		t.Errorf("backends %v, want %v", d.backends, want)
	}
}

func TestPatchOrder(t *testing.T) {
	d, err := interpret(t, files(
		"patches/foo_bar/2.patch", "all",
		"patches/foo_bar/1.patch", "all",
		"patches/foo_bar/cpu/1.patch", "all, cpu",
		"patches/foo_bar/cuda/1.patch", "other variant",
		"patches/foo_bar-1.0/1.patch", "1.0",
		"patches/foo_bar-1.0/cpu/1.patch", "1.0, cpu",
		"patches/foo_bar-1.0/0.patch", "1.0",
		"patches/foo_bar-2!1.0/0.patch", "2!1.0",
		"patches/foo_bar-1.0.post1/3.patch", "1.0.post1",
		"patches/foo/1.patch", "another project",
		"patches/.gitkeep", "", "patches/README.md", "notes", "patches/foo/README.md", "notes", "README.md", "notes",
		"constraints.txt", "notes",
	), "cpu")
	if err != nil {
		t.Fatal(err)
	}
	v := &View{Patches: d.patches, patches: map[dist.Project][]ProjectPatch{}}
	for _, p := range d.patches {
		v.patches[p.Project] = append(v.patches[p.Project], p)
	}
	bytes := map[string]string{}
	for i, p := range d.patches {
		bytes[string(p.SHA256)] = string(d.blobs[i])
	}
	for ver, want := range map[string]string{
		"1.0":       "0.patch 1.0; 1.patch all; 1.patch all, cpu; 1.patch 1.0; 1.patch 1.0, cpu; 2.patch all",
		"1":         "0.patch 1.0; 1.patch all; 1.patch all, cpu; 1.patch 1.0; 1.patch 1.0, cpu; 2.patch all",
		"1.0.0+abc": "0.patch 1.0; 1.patch all; 1.patch all, cpu; 1.patch 1.0; 1.patch 1.0, cpu; 2.patch all",
		"1.0.post1": "1.patch all; 1.patch all, cpu; 2.patch all; 3.patch 1.0.post1",
		"1.0rc1":    "1.patch all; 1.patch all, cpu; 2.patch all",
		"2!1.0":     "0.patch 2!1.0; 1.patch all; 1.patch all, cpu; 2.patch all",
	} {
		var got []string
		for _, p := range v.Settings("foo-bar", mustVersion(t, ver)).Patches {
			got = append(got, p.Name+" "+bytes[string(p.SHA256)])
		}
		if s := strings.Join(got, "; "); s != want {
			t.Errorf("%s: got  %s\nwant %s", ver, s, want)
		}
	}
}

func TestLayoutRefused(t *testing.T) {
	for _, c := range []struct {
		name  string
		files fstest.MapFS
		where string
		words []string
	}{
		{"file at the top", files("setting.yaml", ""), "over/setting.yaml: ", []string{"not part of a settings folder", "settings/<project>.yaml"}},
		{"folder at the top", files("patch/foo/1.patch", "x"), "over/patch: ", []string{"not part"}},
		{"yml", files("settings/foo.yml", ""), "over/settings/foo.yml: ", []string{"not part"}},
		{"folder in settings", files("settings/a/foo.yaml", ""), "over/settings/a/foo.yaml: ", []string{"not part"}},
		{"patch without folder", files("patches/1.patch", "x"), "over/patches/1.patch: ", []string{"not part"}},
		{"not a patch", files("patches/foo/1.diff", "x"), "over/patches/foo/1.diff: ", []string{"not part", "*.patch"}},
		{"too deep", files("patches/foo/cpu/x/1.patch", "x"), "over/patches/foo/cpu/x: ", []string{"not part"}},
		{"dash in the name", files("patches/foo-bar-1.0/1.patch", "x"), "over/patches/foo-bar-1.0: ", []string{"not a version", "written _"}},
		{"other spelling", files("patches/Foo.Bar-1.0/1.patch", "x"), "over/patches/Foo.Bar-1.0: ", []string{"foo_bar"}},
		{"no version after the dash", files("patches/foo-/1.patch", "x"), "over/patches/foo-: ", []string{"not a version"}},
		{"local version", files("patches/foo-1.0+cpu/1.patch", "x"), "over/patches/foo-1.0+cpu: ", []string{"+cpu", "ignored"}},
		{"one version twice", files("patches/foo-1.0/1.patch", "x", "patches/foo-1/2.patch", "x"), "over/patches/foo-1: ", []string{"foo-1.0 is", "keep one"}},
		{"empty patch", files("patches/foo/1.patch", ""), "over/patches/foo/1.patch: ", []string{"empty"}},
		{"empty patch of another variant", files("patches/foo/cuda/1.patch", ""), "over/patches/foo/cuda/1.patch: ", []string{"empty"}},
		{"huge", files("patches/foo/1.patch", strings.Repeat("x", config.MaxFile+1)), "over/patches/foo/1.patch: ", []string{"larger than 16 MiB"}},
		{"control character", files("patches/foo/a\nb.patch", "x"), `"over/patches/foo/a\nb.patch": `, []string{"rename"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := interpret(t, c.files, "cpu")
			wantError(t, err, c.where, c.words...)
		})
	}
}

func TestLinks(t *testing.T) {
	dir := t.TempDir()
	over := filepath.Join(dir, "over")
	for name, text := range map[string]string{
		"over/settings/foo.yaml": "build_dir: x", "over/patches/foo/1.patch": "p", "secret.yaml": "build_dir: y",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, name string) string {
		t.Helper()
		name = filepath.Join(over, name)
		if err := os.Symlink(to, name); err != nil {
			t.Fatal(err)
		}
		return name
	}
	link("foo.yaml", "settings/bar.yaml")
	link("foo", "patches/bar")
	in, err := read(config.View{Settings: over})
	if err != nil {
		t.Fatal(err)
	}
	d, err := in.settings.interpret(over, "cpu", nil)
	if err != nil {
		t.Fatal(err)
	}
	if d.projects["bar"].BuildDir != "x" || len(d.patches) != 2 {
		t.Errorf("links inside of the folder are not read through: %v, %v", d.projects, d.patches)
	}

	for _, c := range [][2]string{
		{"../../secret.yaml", "settings/out.yaml"},
		{filepath.Join(dir, "secret.yaml"), "settings/abs.yaml"},
		{dir, "patches/out"},
	} {
		name := link(c[0], c[1])
		_, err := read(config.View{Settings: over})
		wantError(t, err, name+": ", "leaves the settings folder")
		os.Remove(name)
	}
	name := link("nowhere.yaml", "settings/gone.yaml")
	_, err = read(config.View{Settings: over})
	wantError(t, err, name+": ", "no such file")
	os.Remove(name)
	name = link(".", "patches/loop")
	_, err = read(config.View{Settings: over})
	wantError(t, err, filepath.Join(over, "patches/loop/"), "not part of a settings folder")
	os.Remove(name)
	_, err = read(config.View{Settings: over + "x"})
	wantError(t, err, over+"x: ", "no such file")
}

func TestEffectiveSettings(t *testing.T) {
	v := &View{
		Projects: map[dist.Project]ProjectSettings{
			"own": {ConfigSettings: ConfigSettings{"build-dir": "b"}, Env: map[string]string{"A": "1"}, BuildDir: "d", Extensions: Optional},
			"pre": {PreBuilt: true},
		},
		Backends: map[string]ConfigSettings{"mesonpy": {"build-dir": "/build/meson"}, "other": {"build-dir": "x", "y": []string{"z"}}},
	}
	one := mustVersion(t, "1")
	want := map[string]any{
		"env": map[string]string{"A": "1"}, "config_settings": ConfigSettings{"build-dir": "b"}, "build_dir": "d",
		"extensions": "optional",
		"backends":   map[string]ConfigSettings{"other": {"y": []string{"z"}}},
	}
	if got := v.Settings("own", one).Recipe(); !reflect.DeepEqual(got, want) {
		t.Errorf("what a project sets itself must win over its backend's: got %v, want %v", got, want)
	}
	if got := v.Settings("none", one).Recipe(); !reflect.DeepEqual(got, map[string]any{"backends": v.Backends}) {
		t.Errorf("a project without settings: got %v", got)
	}
	if got := (&View{}).Settings("none", one).Recipe(); len(got) != 0 {
		t.Errorf("nothing said: got %v", got)
	}
	if !v.PreBuilt("pre") || v.PreBuilt("own") || v.PreBuilt("none") {
		t.Error("PreBuilt is not the project's pre_built")
	}
	if n := len(maps.Clone(v.Backends)["other"]); n != 2 {
		t.Errorf("the view was changed: %v", v.Backends)
	}
}

func TestPrivate(t *testing.T) {
	v := &View{Private: []string{"acme-*", "*-internal", "one"}}
	for p, want := range map[string]bool{
		"acme-foo": true, "acme": false, "my-acme-foo": false, "x-internal": true, "one": true, "one-two": false, "two": false,
	} {
		if got := v.IsPrivate(mustProject(t, p)); got != want {
			t.Errorf("IsPrivate(%s) = %v, want %v", p, got, want)
		}
	}
}
