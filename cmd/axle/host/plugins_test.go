package host

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/testtools"
	"github.com/python-wheel-build/axle/resolver/view/plugins"
)

// virtual is a virtual environment with nothing in it.
type virtual struct {
	*testing.T
	dir, python, site string
}

func newVirtual(t *testing.T) virtual {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "venv")
	if out, err := exec.Command("python3", "-m", "venv", "--without-pip", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	sites, err := filepath.Glob(filepath.Join(dir, "lib", "python3.*", "site-packages"))
	if err != nil || len(sites) != 1 {
		t.Fatal(sites, err)
	}
	return virtual{t, dir, filepath.Join(dir, "bin", "python"), sites[0]}
}

func (v virtual) write(dir string, files map[string]string) {
	v.Helper()
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			v.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			v.Fatal(err)
		}
	}
}

// pip runs the pip that tests have on this environment.
func (v virtual) pip(args ...string) {
	v.Helper()
	cmd := exec.CommandContext(v.Context(), filepath.Join(testtools.Dir(v.T), "pip-26.3", "bin", "python"),
		append([]string{"-m", "pip", "--python", v.python, "--disable-pip-version-check"}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		v.Fatalf("pip %s: %v\n%s", args, err, out)
	}
}

// files is a distribution as pip puts it into an environment.
func files(name, entryPoints string, modules map[string]string) map[string]string {
	all := map[string]string{}
	info := name + "-1.0.dist-info/"
	all[info+"METADATA"] = "Metadata-Version: 2.1\nName: " + name + "\nVersion: 1.0\n"
	all[info+"entry_points.txt"] = "[fromager.project_overrides]\n" + entryPoints + "\n"
	record := info + "METADATA,,\n"
	for module, text := range modules {
		all[module] = text
		record += module + ",,\n"
	}
	all[info+"RECORD"] = record
	return all
}

func (v virtual) find() (plugins.Found, error) { return Plugins(v.Context(), v.python) }

// made gives the paths of a project's sources.
func made(found plugins.Found, project dist.Project) (paths []string) {
	for _, s := range found.Overrides[project].Sources {
		paths = append(paths, s.Path)
	}
	return paths
}

// runs is a source that leaves a file behind if it is ever run.
func runs(trace string) string { return fmt.Sprintf("open(%q, 'w').close()\n", trace) }

// TestPluginsInstalled: a real distribution, installed in each way in which its sources end up somewhere else, has the same plugins made of
// the same sources, and none of it is run.
func TestPluginsInstalled(t *testing.T) {
	const entryPoints = "[project.entry-points.'fromager.project_overrides']\nfoo = 'acme.plugins.foo'\nzlib_ng = 'acme.plugins.zlib:Plugin'\n"
	const head = "[project]\nname = 'acme-plugins'\nversion = '1.0'\n" + entryPoints
	setuptools := head + "[build-system]\nrequires = ['setuptools']\nbuild-backend = 'setuptools.build_meta'\n"
	hatchling := head + "[build-system]\nrequires = ['hatchling']\nbuild-backend = 'hatchling.build'\n[tool.hatch.build.targets.wheel]\npackages = ['src/acme']\n"
	install := func(args ...string) func(virtual, string) {
		return func(v virtual, dir string) { v.pip(append(append([]string{"install"}, args...), dir)...) }
	}
	for name, way := range map[string]struct {
		pyproject, packages string
		install             func(v virtual, dir string)
	}{
		"setuptools":                  {setuptools, "src", install()},
		"setuptools, editable finder": {setuptools + "[tool.setuptools]\npackages = ['acme', 'acme.plugins']\npackage-dir = {acme = 'lib'}\n", "lib", install("--editable")},
		"hatchling, editable":         {hatchling, "src", install("--editable")},
		"hatchling, editable exact":   {hatchling + "[tool.hatch.build]\ndev-mode-exact = true\n", "src", install("--editable")},
		"setuptools, develop": {setuptools, "src", func(v virtual, dir string) {
			v.pip("install", "setuptools<80")
			cmd := exec.CommandContext(v.Context(), v.python, "-c", "from setuptools import setup; setup()", "develop", "--no-deps")
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				v.Fatalf("develop: %v\n%s", err, out)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVirtual(t)
			dir, trace := filepath.Join(t.TempDir(), "plugins"), filepath.Join(t.TempDir(), "trace")
			modules := map[string]string{
				"acme/__init__.py":           runs(trace),
				"acme/plugins/__init__.py":   "",
				"acme/plugins/foo.py":        "import os\nfrom ..helper import shared\nfrom fromager import sources\n" + runs(trace),
				"acme/plugins/zlib.py":       "class Plugin: pass\n",
				"acme/helper/__init__.py":    "",
				"acme/helper/shared.py":      "def lazily():\n    import acme.last\n" + runs(trace),
				"acme/last.py":               "",
				"acme/plugins/unrelated.py":  runs(trace),
				"acme/plugins/notes/data.py": "this is no Python",
			}
			if way.packages == "lib" {
				way.pyproject = strings.Replace(way.pyproject, "'acme.plugins']", "'acme.plugins', 'acme.helper', 'acme.plugins.notes']", 1)
			}
			place := func(module string) string { // of a module, below dir
				if way.packages == "lib" {
					module = strings.TrimPrefix(module, "acme/")
				}
				return filepath.Join(way.packages, module)
			}
			for module, text := range modules {
				v.write(dir, map[string]string{place(module): text})
			}
			v.write(dir, map[string]string{"pyproject.toml": way.pyproject, "README": ""})
			way.install(v, dir)
			v.write(v.site, map[string]string{"zz.pth": "import sitecustomize\nimport os; open(" + fmt.Sprintf("%q", trace) + ", 'w')\n", "sitecustomize.py": runs(trace)})
			find := func() plugins.Found {
				t.Helper()
				if err := os.RemoveAll(trace); err != nil {
					t.Fatal(err)
				}
				found, err := v.find()
				if err != nil {
					entries, _ := filepath.Glob(v.site + "/*")
					t.Fatalf("%v\n%s", err, strings.Join(entries, "\n"))
				}
				if _, err := os.Stat(trace); err == nil {
					t.Error("something of the environment was run")
				}
				return found
			}
			first := find()
			foo := []string{"acme/__init__.py", "acme/helper/__init__.py", "acme/helper/shared.py", "acme/last.py", "acme/plugins/__init__.py", "acme/plugins/foo.py"}
			if d := cmp.Diff(foo, made(first, "foo")); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff([]string{"acme/__init__.py", "acme/plugins/__init__.py", "acme/plugins/zlib.py"}, made(first, "zlib-ng")); d != "" {
				t.Error(d)
			}
			if got := first.Overrides["zlib-ng"].EntryPoint; got != "acme.plugins.zlib:Plugin" {
				t.Error(got)
			}
			texts := slices.Collect(maps.Values(modules))
			for _, blob := range first.Blobs {
				if !slices.Contains(texts, string(blob)) {
					t.Errorf("not a source: %q", blob)
				}
			}
			changed := func(module, text string) plugins.Found {
				t.Helper()
				v.write(dir, map[string]string{place(module): text})
				if name == "setuptools" {
					v.pip("install", "--force-reinstall", dir)
				}
				return find()
			}
			if d := cmp.Diff(first.Overrides, changed("acme/plugins/unrelated.py", "edited = True\n").Overrides); d != "" {
				t.Errorf("a module that nobody imports was edited: %s", d)
			}
			edited := changed("acme/helper/shared.py", "edited = True\n")
			if d := cmp.Diff(first.Overrides["zlib-ng"], edited.Overrides["zlib-ng"]); d != "" {
				t.Errorf("a module that it does not import was edited: %s", d)
			}
			if cmp.Equal(first.Overrides["foo"], edited.Overrides["foo"]) || slices.Contains(made(edited, "foo"), "acme/last.py") {
				t.Errorf("an imported module was edited: %+v", edited.Overrides["foo"])
			}
		})
	}
}

// TestPluginsImports: which modules an import counts.
func TestPluginsImports(t *testing.T) {
	t.Parallel()
	v := newVirtual(t)
	v.write(v.site, files("acme", "p = acme.p", map[string]string{
		"acme/__init__.py": "", "acme/p.py": "", "acme/a.py": "", "acme/b.py": "", "acme/sub/__init__.py": "__all__ = ['x'] + ['no']\n", "acme/sub/x.py": "", "acme/sub/y.py": "",
		"acme/deep/one/two.py": "", "single.py": "import acme.b\n",
	}))
	v.write(v.site, map[string]string{"acme/others.py": "", "elsewhere.py": "import acme.a\n"})
	for text, want := range map[string]string{
		"": "", "import acme.a": "a", "import acme.a as x, acme.b": "a b", "from acme import a, nothing": "a", "from . import a": "a", "from .a import x": "a",
		"from acme.sub import y": "sub sub/y", "from acme.sub import *": "sub sub/x", "from .sub.x import *": "sub sub/x", "def f():\n  class C:\n    from . import b": "b",
		"import acme.deep.one.two": "deep/one/two", "from .deep.one import two": "deep/one/two", "import single": "../single b", "import elsewhere": "",
		"from . import others": "", "import os, sys, json.decoder, builtins, fromager.sources": "",
		"import importlib\nimportlib.import_module('acme.a')": "a", "__import__('acme.b')": "b", "importlib.import_module('acme.' + x)": "a b deep/one/two sub sub/x sub/y",
		"from importlib import import_module as i\ni('acme.a')": "a b deep/one/two sub sub/x sub/y", "importlib.import_module('.a', __package__)": "a b deep/one/two sub sub/x sub/y",
		"import pkgutil\npkgutil.iter_modules(acme.__path__)":                                             "a b deep/one/two sub sub/x sub/y",
		"try:\n  from . import a, gone\n  from .missing import x\nexcept ImportError:\n  from . import b": "a b",
		"if TYPE_CHECKING:\n  from .types import T\n  import acme.a\nelse:\n  import acme.b":              "b", "match x:\n  case 1:\n    import acme.a": "a",
		"import acme.p": "", "# coding: latin-1\nimport acme.a # \xe4": "a",
	} {
		v.write(v.site, map[string]string{"acme/p.py": text})
		found, err := v.find()
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		var got []string
		for _, path := range made(found, "p") {
			path = strings.TrimSuffix(strings.TrimSuffix(path, ".py"), "/__init__")
			switch inner, ok := strings.CutPrefix(path, "acme/"); {
			case !ok && path != "acme":
				got = append(got, "../"+path)
			case ok && inner != "p":
				got = append(got, inner)
			}
		}
		slices.Sort(got)
		if strings.Join(got, " ") != want {
			t.Errorf("%q imports %q, want %q", text, strings.Join(got, " "), want)
		}
	}
}

// TestPluginsRefused: what can't be known whole is an error that names the plugin, the reason and the next step.
func TestPluginsRefused(t *testing.T) {
	t.Parallel()
	good := files("acme", "foo = acme.foo", map[string]string{"acme/__init__.py": "", "acme/foo.py": ""})
	suffix := "." + strings.TrimSpace(func() string {
		out, err := exec.Command("python3", "-c", "import sysconfig; print(sysconfig.get_config_var('SOABI'))").Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}()) + ".so"
	v := newVirtual(t)
	v.write(v.site, good)
	if found, err := v.find(); err != nil || len(found.Overrides) != 1 {
		t.Fatal(found, err)
	}
	for name, c := range map[string]struct {
		files map[string]string
		gone  string
		want  []string
	}{
		"no such module":     {map[string]string{}, "acme/foo.py", []string{"override plugin foo of acme 1.0", "module acme.foo is not found", "install acme 1.0 whole"}},
		"no such import":     {map[string]string{"acme/foo.py": "\n\nfrom .helper import x\n"}, "", []string{"override plugin foo", "acme/foo.py, line 3", "module acme.helper is not found"}},
		"no such submodule":  {map[string]string{"acme/foo.py": "import acme.helper\n"}, "", []string{"module acme.helper is not found"}},
		"too many dots":      {map[string]string{"acme/foo.py": "from ...helper import x\n"}, "", []string{"acme/foo.py, line 1", "leaves the top package"}},
		"does not parse":     {map[string]string{"acme/foo.py": "x = 1\ndef\n"}, "", []string{"override plugin foo", "acme/foo.py, line 2", "correct it"}},
		"a null byte":        {map[string]string{"acme/foo.py": "x = '\x00'\n"}, "", []string{"acme/foo.py", "correct it"}},
		"too deep":           {map[string]string{"acme/foo.py": "x = " + strings.Repeat("(", 5000) + strings.Repeat(")", 5000)}, "", []string{"acme/foo.py", "correct it"}},
		"too large":          {map[string]string{"acme/foo.py": strings.Repeat("# much\n", 1<<20)}, "", []string{"acme/foo.py has 7340032 bytes"}},
		"only compiled":      {map[string]string{"acme/foo" + suffix: ""}, "acme/foo.py", []string{"override plugin foo", "only compiled", "install its source"}},
		"a compiled import":  {map[string]string{"acme/foo.py": "import acme.fast\n", "acme/fast" + suffix: ""}, "", []string{"module acme.fast", "only compiled"}},
		"only bytecode":      {map[string]string{"acme/foo.pyc": ""}, "acme/foo.py", []string{"only compiled"}},
		"somebody else's":    {files("other", "bar = acme.foo", nil), "", []string{"override plugin bar of other 1.0", "not of other 1.0"}},
		"two of one project": {files("other", "foo = other", map[string]string{"other.py": ""}), "", []string{"override plugin foo", "acme 1.0", "other 1.0", "uninstall one"}},
		"one distribution, twice": {map[string]string{"acme-2.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: Acme\nVersion: 2.0\n"}, "",
			[]string{"acme 1.0", "Acme 2.0", "more than once"}},
		"a name of its own":   {files("other", "Foo-Bar = other", map[string]string{"other.py": ""}), "", []string{"override plugin Foo-Bar", "write foo_bar"}},
		"a value of its own":  {files("other", "bar = other.py/x", nil), "", []string{"override plugin bar", "other.py/x", "module:object"}},
		"no RECORD":           {map[string]string{}, "acme-1.0.dist-info/RECORD", []string{"acme 1.0", "no RECORD", "pip"}},
		"more than one thing": {files("other", "bar = gone\nbaz = gone", nil), "", []string{"override plugin bar", "override plugin baz"}},
	} {
		t.Run(name, func(t *testing.T) {
			v.T = t
			if err := os.RemoveAll(v.site); err != nil {
				t.Fatal(err)
			}
			v.write(v.site, good)
			v.write(v.site, c.files)
			record, err := os.OpenFile(filepath.Join(v.site, "acme-1.0.dist-info/RECORD"), os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			for module := range c.files {
				fmt.Fprintf(record, "%s,,\n", module)
			}
			if err := record.Close(); err != nil {
				t.Fatal(err)
			}
			if c.gone != "" {
				_ = os.Remove(filepath.Join(v.site, c.gone))
			}
			found, err := v.find()
			if err == nil {
				t.Fatalf("it is not refused: %+v", found)
			}
			for _, want := range append(c.want, v.python) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\ndoes not say %q", err, want)
				}
			}
		})
	}
	for python, want := range map[string]string{"/no/such/python": "plugins:", "/bin/false": "it can't be asked", "/bin/true": "not an answer"} {
		if _, err := Plugins(t.Context(), python); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), python) {
			t.Errorf("%s: %v", python, err)
		}
	}
}
