package crates_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/python-wheel-build/axle/builder/crates"
)

// tree writes files; a text that starts with "->" is a link to what follows.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(text, "->"); ok {
			err = os.Symlink(target, name)
		} else {
			err = os.WriteFile(name, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const vendored = `
[source.crates-io]
replace-with = "one"
[source.one]
replace-with = "two"
[source.two]
directory = "include/cargo"
`

func TestFind(t *testing.T) {
	outside := tree(t, map[string]string{"Cargo.toml": "", "pyproject.toml": "", "vendor/x": ""})
	for name, test := range map[string]struct {
		files map[string]string
		dir   string
		want  []string
	}{
		"nothing":       {map[string]string{"pyproject.toml": "", "setup.py": ""}, "", nil},
		"beside":        {map[string]string{"pyproject.toml": "", "Cargo.toml": "", "rust/Cargo.toml": ""}, "", []string{"Cargo.toml"}},
		"no pyproject":  {map[string]string{"setup.py": "", "Cargo.toml": ""}, "", []string{"Cargo.toml"}},
		"maturin":       {map[string]string{"pyproject.toml": "[tool.maturin]\nmanifest-path = 'crates/py/Cargo.toml'", "crates/py/Cargo.toml": "", "Cargo.toml": ""}, "", []string{"crates/py/Cargo.toml"}},
		"maturin, none": {map[string]string{"pyproject.toml": "[tool.maturin]\nmanifest-path = 'absent/Cargo.toml'", "Cargo.toml": ""}, "", []string{"Cargo.toml"}},
		"setuptools-rust": {map[string]string{"pyproject.toml": "[[tool.setuptools-rust.ext-modules]]\ntarget='a'\npath='a/Cargo.toml'\n" +
			"[[tool.setuptools-rust.ext-modules]]\ntarget='a2'\npath='a/Cargo.toml'\n[[tool.setuptools-rust.ext-modules]]\ntarget='c'\n[[tool.setuptools-rust.bins]]\npath='b/Cargo.toml'",
			"a/Cargo.toml": "", "b/Cargo.toml": ""}, "", []string{"a/Cargo.toml", "b/Cargo.toml"}},
		"deep":           {map[string]string{"pyproject.toml": "", "src/_x/Cargo.toml": "", "a/b/c/Cargo.toml": ""}, "", []string{"src/_x/Cargo.toml"}},
		"equally deep":   {map[string]string{"setup.py": "", "a/Cargo.toml": "", "b/Cargo.toml": ""}, "", []string{"a/Cargo.toml", "b/Cargo.toml"}},
		"the locked one": {map[string]string{"setup.py": "", "examples/Cargo.toml": "", "rust/Cargo.toml": "", "rust/Cargo.lock": ""}, "", []string{"rust/Cargo.toml"}},
		"setup.py": {map[string]string{"setup.py": "RustExtension('x', path='b/Cargo.toml'), RustExtension(\"y\", \"a/c/Cargo.toml\")\nopen('absent/Cargo.toml')",
			"a/Cargo.toml": "", "a/c/Cargo.toml": "", "b/Cargo.toml": ""}, "", []string{"b/Cargo.toml", "a/c/Cargo.toml"}},
		"setup.py, in pieces": {map[string]string{"setup.py": "os.path.join('rust', 'Cargo.toml')", "rust/Cargo.toml": ""}, "", []string{"rust/Cargo.toml"}},
		"setup.py, too large": {map[string]string{"setup.py": "'a/Cargo.toml'" + strings.Repeat("#\n", 1<<20), "a/Cargo.toml": ""}, "", []string{"a/Cargo.toml"}},
		"setup.py, overruled": {map[string]string{"setup.py": "'a/Cargo.toml'", "pyproject.toml": "[tool.maturin]\nmanifest-path = 'b/Cargo.toml'", "a/Cargo.toml": "", "b/Cargo.toml": ""}, "", []string{"b/Cargo.toml"}},
		"build folder":        {map[string]string{"Cargo.toml": "", "py/pyproject.toml": "", "py/Cargo.toml": ""}, "py", []string{"py/Cargo.toml"}},
		"named above":         {map[string]string{"Cargo.toml": "", "py/pyproject.toml": "[tool.maturin]\nmanifest-path = '../Cargo.toml'"}, "py", []string{"Cargo.toml"}},
		"hidden":              {map[string]string{"setup.py": "", ".git/Cargo.toml": ""}, "", nil},
		"byte order mark":     {map[string]string{"pyproject.toml": "\ufeff[tool.maturin]\nmanifest-path = 'a/Cargo.toml'", "a/Cargo.toml": ""}, "", []string{"a/Cargo.toml"}},

		"vendored":           {map[string]string{".cargo/config.toml": vendored, "include/cargo/x": "", "Cargo.toml": ""}, "", nil},
		"vendored, old name": {map[string]string{".cargo/config": vendored, "include/cargo/x": "", "Cargo.toml": ""}, "", nil},
		"vendored above":     {map[string]string{".cargo/config.toml": vendored, "include/cargo/x": "", "py/Cargo.toml": ""}, "py", nil},
		"vendored, absent":   {map[string]string{".cargo/config.toml": vendored, "Cargo.toml": ""}, "", []string{"Cargo.toml"}},
		"other config":       {map[string]string{".cargo/config.toml": "[build]\nrustflags = []\n", "Cargo.toml": ""}, "", []string{"Cargo.toml"}},
		"circular":           {map[string]string{".cargo/config.toml": "[source.crates-io]\nreplace-with='crates-io'", "Cargo.toml": ""}, "", []string{"Cargo.toml"}},
		"no config at all":   {map[string]string{".cargo/config.toml": "[[[", "Cargo.toml": ""}, "", []string{"Cargo.toml"}},

		// What a stranger may try.
		"link out":          {map[string]string{"setup.py": "", "Cargo.toml": "->" + outside + "/Cargo.toml"}, "", nil},
		"folder out":        {map[string]string{"setup.py": "", "rust": "->" + outside}, "", nil},
		"named out":         {map[string]string{"pyproject.toml": "[tool.maturin]\nmanifest-path = '../" + filepath.Base(outside) + "/Cargo.toml'"}, "", nil},
		"named absolute":    {map[string]string{"pyproject.toml": "[tool.maturin]\nmanifest-path = '" + outside + "/Cargo.toml'"}, "", nil},
		"named through":     {map[string]string{"pyproject.toml": "[tool.maturin]\nmanifest-path = 'x/Cargo.toml'", "x": "->" + outside}, "", nil},
		"vendored out":      {map[string]string{".cargo/config.toml": strings.ReplaceAll(vendored, "include/cargo", outside+"/vendor"), "Cargo.toml": ""}, "", []string{"Cargo.toml"}},
		"vendored by link":  {map[string]string{".cargo/config.toml": vendored, "include/cargo": "->" + outside + "/vendor", "Cargo.toml": ""}, "", []string{"Cargo.toml"}},
		"loop":              {map[string]string{"setup.py": "", "a/b": "->..", "a/c/Cargo.toml": ""}, "", []string{"a/c/Cargo.toml"}},
		"link inside":       {map[string]string{"setup.py": "", "Cargo.toml": "->rust/Cargo.toml", "rust/Cargo.toml": ""}, "", []string{"Cargo.toml"}},
		"a folder by name":  {map[string]string{"setup.py": "", "Cargo.toml/x": "", "rust/Cargo.toml": ""}, "", []string{"rust/Cargo.toml"}},
		"dash and newlines": {map[string]string{"setup.py": "", "--x\n$(y)/Cargo.toml": ""}, "", []string{"--x\n$(y)/Cargo.toml"}},
	} {
		t.Run(name, func(t *testing.T) {
			src, err := os.OpenRoot(tree(t, test.files))
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			got, err := crates.Find(src, test.dir)
			var paths []string
			for _, m := range got {
				paths = append(paths, m.Path)
			}
			if err != nil || !slices.Equal(paths, test.want) {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
		})
	}
}

// TestFeatures: of the features that a build turns on by name those of dependencies are told, each with its manifest.
func TestFeatures(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		want  []crates.Manifest
	}{
		"maturin": {map[string]string{"pyproject.toml": "[tool.maturin]\nfeatures = ['own', 'py/b', {feature = 'py/a', python-version = '>=3.9'}, 'py/b', 1, {}, '--x/y', 'a,b/c']", "Cargo.toml": ""},
			[]crates.Manifest{{"Cargo.toml", []string{"py/a", "py/b"}}}},
		"maturin, named": {map[string]string{"pyproject.toml": "[tool.maturin]\nmanifest-path = 'a/Cargo.toml'\nfeatures = ['py/a']", "a/Cargo.toml": ""},
			[]crates.Manifest{{"a/Cargo.toml", []string{"py/a"}}}},
		"maturin, nearest": {map[string]string{"pyproject.toml": "[tool.maturin]\nfeatures = ['py/a']", "a/b/Cargo.toml": ""},
			[]crates.Manifest{{"a/b/Cargo.toml", []string{"py/a"}}}},
		"setuptools-rust": {map[string]string{"pyproject.toml": "[[tool.setuptools-rust.ext-modules]]\npath='a/Cargo.toml'\nfeatures=['py/b']\n" +
			"[[tool.setuptools-rust.ext-modules]]\npath='a/Cargo.toml'\nfeatures=['py/a']\n[[tool.setuptools-rust.bins]]\npath='b/Cargo.toml'", "a/Cargo.toml": "", "b/Cargo.toml": ""},
			[]crates.Manifest{{"a/Cargo.toml", []string{"py/a", "py/b"}}, {"b/Cargo.toml", nil}}},
	} {
		src, err := os.OpenRoot(tree(t, test.files))
		if err != nil {
			t.Fatal(err)
		}
		got, err := crates.Find(src, "")
		if err != nil || fmt.Sprint(got) != fmt.Sprint(test.want) {
			t.Errorf("%s: got %q, %v; want %q", name, got, err, test.want)
		}
		src.Close()
	}
}

func TestFindRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"no TOML":   {map[string]string{"pyproject.toml": "[tool", "Cargo.toml": ""}, "pyproject.toml: "},
		"a number":  {map[string]string{"pyproject.toml": "[tool.maturin]\nmanifest-path = 1", "Cargo.toml": ""}, "pyproject.toml: "},
		"too large": {map[string]string{"pyproject.toml": strings.Repeat("#\n", 1<<20), "Cargo.toml": ""}, "more than"},
		"a folder":  {map[string]string{"pyproject.toml/x": ""}, "not a regular file"},
	} {
		src, err := os.OpenRoot(tree(t, test.files))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := crates.Find(src, ""); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %q, %v; want %q", name, got, err, test.want)
		}
		src.Close()
	}
}
