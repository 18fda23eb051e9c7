package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
)

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "axle.yaml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestRead(t *testing.T) {
	file := writeConfig(t, `
views:
  default:
    settings: overrides/
    variant: cuda12.8-ubi9
    constraints: [constraints.txt, /etc/more.txt]
    python: python3.11
    plugins: ./venv/bin/python
    build: never
    environment: {env: [CC, CFLAGS], paths: {rust: ../rust}, files: {site: etc/site.conf}, hook: [],
      image: "registry.example:5000/x/y:1.2@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}
    upstream: {main: "https://b.example/simple", a: "http://a.example:8080/simple/"}
    private: ["acme-*", My.Own_Thing]
    wheels_only: pre-built
    as_of: 2026-11-01
    sources:
      Foo.Bar: {git: "git@host.example:a/b.git", ref: "${canonicalized_name}-$version", submodules: [./vendor/, a], versions: ["2.0", "1.0"]}
      baz: {git: /srv/baz, submodules: false, versions: ["1"]}
  plain: {}
  inside: {environment: {hook: [/opt/axle/site/collect]}}
  program: {environment: {hook: [python3, -c, x]}}
  less:
    environment:
      projects: {Foo_X: {without: ["env:A", "path:p", "env:FROMAGER_BUILD_ENV_SIGN", python, "hook:*"]}, bar: {share_pure: []}}
      share_pure: [system, image, libc]
      hook: [bin/collect, --fast, ./x]
      env: [A]
      paths: {p: x}
  relative: {python: ./py/bin/python3, upstream: {}}
`)
	views, err := Read(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(file)
	c := views["default"]
	var upstream []string
	for _, i := range c.Upstream {
		upstream = append(upstream, i.Name+" "+i.URL.String())
	}
	if want := []string{"main https://b.example/simple/", "a http://a.example:8080/simple/"}; !reflect.DeepEqual(upstream, want) {
		t.Errorf("upstream %q, want the file's order and a slash at the end: %q", upstream, want)
	}
	c.Upstream = nil
	want := View{
		Settings: filepath.Join(dir, "overrides"), Variant: "cuda12.8-ubi9", Python: "python3.11", Plugins: filepath.Join(dir, "venv/bin/python"), Build: Never, WheelsOnly: PreBuilt,
		Constraints: []string{filepath.Join(dir, "constraints.txt"), "/etc/more.txt"},
		Environment: Environment{
			Env: []string{"CC", "CFLAGS"}, Paths: map[string]string{"rust": filepath.Join(filepath.Dir(dir), "rust")},
			Files: map[string]string{"site": filepath.Join(dir, "etc/site.conf")},
			Image: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
		},
		Private: []string{"acme-*", "my-own-thing"}, AsOf: time.Date(2026, 11, 1, 23, 59, 59, 999999999, time.UTC),
		Sources: map[dist.Project]Source{
			"foo-bar": {Git: "ssh://git@host.example/a/b.git", Ref: "${canonicalized_name}-$version", Submodules: []string{"a", "vendor"}, Versions: versions(t, "1.0", "2.0")},
			"baz":     {Git: "file:///srv/baz", Ref: "v${version}", Submodules: []string{}, Versions: versions(t, "1")},
		},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	if got, want := views["plain"], (View{Variant: "cpu", Build: OnDemand, WheelsOnly: Refuse}); !reflect.DeepEqual(got, want) {
		t.Errorf("defaults: got %+v, want %+v", got, want)
	}
	c = views["less"]
	if want := (Environment{
		Env: []string{"A"}, Paths: map[string]string{"p": filepath.Join(dir, "x")}, SharePure: []string{"system", "image", "libc"},
		Hook:     Hook{Command: []string{"/axle/hook/collect", "--fast", "./x"}, File: filepath.Join(dir, "bin/collect")},
		Projects: map[dist.Project]Depends{"foo-x": {Without: []string{"env:A", "path:p", "env:FROMAGER_BUILD_ENV_SIGN", "python", "hook:*"}}, "bar": {SharePure: []string{}}},
	}); !reflect.DeepEqual(c.Environment, want) {
		t.Errorf("got  %+v\nwant %+v", c.Environment, want)
	}
	for name, want := range map[string]Hook{"inside": {Command: []string{"/opt/axle/site/collect"}}, "program": {Command: []string{"python3", "-c", "x"}}} {
		if got := views[name].Hook; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	if c := views["relative"]; c.Python != filepath.Join(dir, "py/bin/python3") || c.Upstream == nil || len(c.Upstream) != 0 {
		t.Errorf("relative: %+v", c)
	}
}

func versions(t *testing.T, texts ...string) (all []version.Version) {
	t.Helper()
	for _, text := range texts {
		v, err := version.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	return all
}

func TestReadRefused(t *testing.T) {
	in := func(line string) string { return "views:\n  v:\n    " + line + "\n" }
	for _, c := range []struct {
		name, yaml, where string
		words             []string
	}{
		{"empty", "# nothing\n", ": ", []string{"no views"}},
		{"no view", "views: {}\n", ":1: ", []string{"no views"}},
		{"unknown top key", "views: {v: {}}\nstore: x\n", ":2: ", []string{`"store"`, "views"}},
		{"unknown key", in("patches: x"), ":3: ", []string{`"patches"`, "view v", "wheels_only"}},
		{"unknown environment key", in("environment: {vars: []}"), ":3: ", []string{`"vars"`, "environment", "env, files, hook, image, paths, projects, share_pure"}},
		{"duplicate", "views:\n  v: {}\n  v: {}\n", ":3: ", []string{`"v"`, "twice"}},
		{"view name", "views:\n  V: {}\n", ":2: ", []string{"views", `"V"`, "not a name"}},
		{"view name with a slash", "views:\n  a/b: {}\n", ":2: ", []string{`"a/b"`}},
		{"view null", "views:\n  v:\n", ":2: ", []string{"view v must be a mapping", "{}"}},
		{"build", in("build: always"), ":3: ", []string{"build", `"always"`, "on-demand, never"}},
		{"wheels_only", in("wheels_only: yes"), ":3: ", []string{"wheels_only", "boolean"}},
		{"variant", in("variant: a/b"), ":3: ", []string{"variant", `"a/b"`}},
		{"python number", in("python: 3.11"), ":3: ", []string{"python: 3.11 reads as a number", "quote it"}},
		{"python empty", in("python: ''"), ":3: ", []string{"python is empty"}},
		{"settings list", in("settings: [a]"), ":3: ", []string{"settings must be a string"}},
		{"settings empty", in("settings: ''"), ":3: ", []string{"settings: an empty path"}},
		{"constraints string", in("constraints: a.txt"), ":3: ", []string{"constraints must be a list"}},
		{"constraints empty", in("constraints: ['']"), ":3: ", []string{"constraints: an empty path"}},
		{"env name", in("environment: {env: [A-B]}"), ":3: ", []string{`"A-B"`}},
		{"env twice", in("environment: {env: [A, A]}"), ":3: ", []string{"A stands here twice"}},
		{"path name", in("environment: {paths: {Rust: x}}"), ":3: ", []string{`"Rust"`}},
		{"files list", in("environment: {files: [image.sha]}"), ":3: ", []string{"environment: files must be a mapping"}},
		{"file name", in("environment: {files: {a/b: x}}"), ":3: ", []string{`"a/b"`}},
		{"file and path of one name", in("environment: {files: {a: x}, paths: {a: y}}"), ":3: ", []string{"files: a", "/opt/axle/a", "another name"}},
		{"hook string", in("environment: {hook: ./x}"), ":3: ", []string{"hook must be a list"}},
		{"hook of an empty program", in("environment: {hook: ['']}"), ":3: ", []string{"hook", "empty"}},
		{"without a hook's component, and no hook", in("environment: {projects: {foo: {without: ['hook:*']}}}"), ":3: ", []string{`"hook:*"`}},
		{"without another than the hook's general one", in("environment: {hook: [x], projects: {foo: {without: ['hook:foo']}}}"), ":3: ", []string{`"hook:foo"`, "hook:*"}},
		{"unknown component", in("environment: {projects: {foo: {without: [sytem]}}}"), ":3: ", []string{"projects: foo: without", `"sytem"`, "image, libc, python, system"}},
		{"a variable that is not declared", in("environment: {env: [A], projects: {foo: {without: ['env:B']}}}"), ":3: ", []string{`"env:B"`, "there are env:A, image"}},
		{"a path that is a file", in("environment: {files: {a: x}, projects: {foo: {without: ['path:a']}}}"), ":3: ", []string{`"path:a"`, "file:a"}},
		{"platform", in("environment: {projects: {foo: {without: [platform]}}}"), ":3: ", []string{"platform", "target"}},
		{"without twice", in("environment: {projects: {foo: {without: [system, system]}}}"), ":3: ", []string{"system", "twice"}},
		{"project twice", in("environment: {projects: {a.b: {}, A-B: {}}}"), ":3: ", []string{"A-B is a-b", "keep one"}},
		{"project's unknown key", in("environment: {projects: {foo: {with: [system]}}}"), ":3: ", []string{`"with"`, "share_pure, without"}},
		{"share_pure of a variable", in("environment: {env: [A], share_pure: ['env:A']}"), ":3: ", []string{"share_pure: env:A", `without: ["env:A"]`}},
		{"share_pure of a path", in("environment: {paths: {a: x}, share_pure: ['path:a']}"), ":3: ", []string{"share_pure: path:a"}},
		{"share_pure of a file, by a project", in("environment: {files: {a: x}, projects: {foo: {share_pure: ['file:a']}}}"), ":3: ", []string{"projects: foo: share_pure: file:a"}},
		{"share_pure of a hook's", in("environment: {share_pure: ['hook:*']}"), ":3: ", []string{"share_pure: hook:*"}},
		{"share_pure unknown", in("environment: {share_pure: [cuda]}"), ":3: ", []string{`"cuda"`}},
		{"image of few digits", in("environment: {image: 'sha256:00'}"), ":3: ", []string{"image", `"sha256:00"`, "digest", "skopeo"}},
		{"image by tag", in("environment: {image: 'registry.example/x:1.2'}"), ":3: ", []string{`"registry.example/x:1.2"`, "@sha256:"}},
		{"image empty", in("environment: {image: ''}"), ":3: ", []string{"image", "digest"}},
		{"upstream list", in("upstream: [x]"), ":3: ", []string{"upstream must be a mapping"}},
		{"upstream name", in("upstream: {Main: 'http://x/'}"), ":3: ", []string{`"Main"`}},
		{"upstream twice", "views:\n  v:\n    upstream:\n      a: http://x/\n      a: http://y/\n", ":5: ", []string{`"a"`, "twice"}},
		{"ftp", in("upstream: {a: 'ftp://x/'}"), ":3: ", []string{"upstream: a: not an http or https URL"}},
		{"no host", in("upstream: {a: 'http:///simple'}"), ":3: ", []string{"not an http or https URL"}},
		{"user", in("upstream: {a: 'http://u:hunter2@x/'}"), ":3: ", []string{"upstream: a", "put it in netrc"}},
		{"broken with a password", in("upstream: {a: 'http://u:hunter2 @x/'}"), ":3: ", []string{"upstream: a"}},
		{"password as port", in("upstream: {a: 'http://u:hunter2/x@y'}"), ":3: ", []string{"upstream: a"}},
		{"query", in("upstream: {a: 'http://x/?a=hunter2'}"), ":3: ", []string{"upstream: a", "no ?"}},
		{"private", in("private: ['a b']"), ":3: ", []string{"private", `"a b"`, "glob"}},
		{"private regexp", in("private: ['a[bc]']"), ":3: ", []string{"private", "glob"}},
		{"as_of", in("as_of: yesterday"), ":3: ", []string{"as_of", "2026-11-01"}},
		{"source's name", in("sources: {-x: {}}"), ":3: ", []string{"sources", "-x"}},
		{"source twice", in("sources: {a_b: {git: /a, versions: ['1']}, a-b: {}}"), ":3: ", []string{"a-b", "twice"}},
		{"source without place", in("sources: {a: {versions: ['1']}}"), ":3: ", []string{"sources: a", "git: https"}},
		{"source without versions", in("sources: {a: {git: /a}}"), ":3: ", []string{"sources: a", "versions:"}},
		{"source's key", in("sources: {a: {hg: /a}}"), ":3: ", []string{`"hg"`, "git, ref, submodules, versions"}},
		{"git with a password", in("sources: {a: {git: 'https://u:hunter2@h.example/a'}}"), ":3: ", []string{"sources: a: git", "netrc"}},
		{"git by a program", in("sources: {a: {git: 'ext::sh -c x'}}"), ":3: ", []string{"sources: a: git"}},
		{"git by a relative path", in("sources: {a: {git: ../a}}"), ":3: ", []string{"sources: a: git"}},
		{"ref of an unknown", in("sources: {a: {git: /a, ref: '${nope}'}}"), ":3: ", []string{"ref", "${nope} is not known"}},
		{"ref that is an option", in("sources: {a: {git: /a, ref: --x}}"), ":3: ", []string{"ref", "--x"}},
		{"submodules outside", in("sources: {a: {git: /a, submodules: [../x]}}"), ":3: ", []string{"submodules", "../x"}},
		{"version", in("sources: {a: {git: /a, versions: [x]}}"), ":3: ", []string{"versions", `"x"`}},
		{"version twice", in("sources: {a: {git: /a, versions: ['1.0', '1']}}"), ":3: ", []string{"versions", "twice"}},
		{"second document", "views: {v: {}}\n---\n{}\n", ":", []string{"second YAML document"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := writeConfig(t, c.yaml)
			_, err := Read(file)
			wantError(t, err, file+c.where, c.words...)
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error repeats a password: %v", err)
			}
		})
	}
	if _, err := Read(filepath.Join(t.TempDir(), "gone.yaml")); err == nil || !strings.Contains(err.Error(), "gone.yaml: no such file") {
		t.Errorf("a missing file: %v", err)
	}
}

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
