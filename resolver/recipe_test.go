package resolver_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/view"
	"github.com/python-wheel-build/axle/resolver/view/plugins"
)

func hex(c string) cas.Digest { return cas.Digest("sha256:" + strings.Repeat(c, 64)) }

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/" + name
	if os.Getenv("AXLE_GOLDEN") == "write" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: every digest made so far changes with these bytes\n got %s\nwant %s", name, got, want)
	}
}

// TestRecipeBytes pins the bytes: a change of them is a change of every wheel's address.
func TestRecipeBytes(t *testing.T) {
	w := newWorld(t)
	full := resolver.Recipe{Project: "foo-bar", Version: w.version("1!1.0.post1+local"), Source: resolver.RecipeSource{Kind: "sdist", SHA256: hex("a")},
		Patches: []view.Patch{{Name: "2.patch", SHA256: hex("b")}, {Name: "1.patch", SHA256: hex("c")}},
		Settings: view.Settings{Env: map[string]string{"Ü": "\u20ac \"quoted\"", "A": "1"}, ConfigSettings: view.ConfigSettings{"--x": []string{"b", "a"}, "y": "z"},
			BuildDir: "python", Backends: map[string]view.ConfigSettings{"mesonpy": {"build-dir": "/build/meson"}}}.Recipe(),
		Overrides:   &plugins.Override{EntryPoint: "acme.foo_bar:Plugin", Sources: []plugins.Source{{Path: "acme/__init__.py", SHA256: hex("e")}, {Path: "acme/foo_bar.py", SHA256: hex("f")}}},
		Environment: map[string]string{"python": "sha256:0", "env:CC": "gcc", "libc": "glibc-2.36"},
		Target:      resolver.RecipeTarget{Python: "cp311", ABI: "cp311", Platform: "linux_x86_64"},
		Builder:     &resolver.RecipeBuilder{Name: "pep517/1", Isolation: "bubblewrap", Origin: "axle"}}
	small := resolver.Recipe{Project: "foo", Version: w.version("1.0"), Source: resolver.RecipeSource{Kind: "wheel", SHA256: hex("d")}, Target: full.Target}
	for name, r := range map[string]resolver.Recipe{"recipe.json": full, "recipe-prebuilt.json": small} {
		b, err := r.Canonical()
		w.ok(err)
		d, err := r.Digest()
		w.ok(err)
		golden(t, name, string(b)+"\n"+string(d)+"\n")
		back, err := resolver.ParseRecipe(b)
		w.ok(err)
		if again, err := back.Digest(); err != nil || again != d {
			t.Errorf("%s read back has digest %s (%v), want %s", name, again, err, d)
		}
		if _, err := resolver.ParseRecipe([]byte(strings.Replace(string(b), `"project"`, `"colour":"red","project"`, 1))); err == nil {
			t.Errorf("%s: an unknown field was passed over", name)
		}
	}
}

// TestRecordBytes pins a record's document and its input digest.
func TestRecordBytes(t *testing.T) {
	w := newWorld(t)
	r := resolver.Record{Project: "foo", Version: w.version("1.0"), Recipe: resolver.RecipeDigest(hex("1")),
		Requirements: []resolver.Requirement{{Project: "setuptools", Version: w.version("80.0"), Wheel: hex("3")}, {Project: "flit-core", Version: w.version("3.12"), Wheel: hex("2")}},
		Wheel:        hex("4"), Bytes: "1234", Filename: "foo-1.0-py3-none-any.whl", Metadata: hex("5"), RequiresPython: ">=3.9", Log: hex("6"), Who: "axle (devel)",
		When: time.Date(2026, 11, 22, 9, 52, 57, 0, time.UTC)}
	b, err := cas.Canonical(r)
	w.ok(err)
	golden(t, "record.json", string(b)+"\n"+string(r.Input())+"\n"+r.Listed(0)+"\n")
	turned := r
	turned.Requirements = []resolver.Requirement{r.Requirements[1], r.Requirements[0], r.Requirements[1]}
	if turned.Input() != r.Input() {
		t.Error("the order of requirements, or one named twice, changes the input digest")
	}
	other := r
	other.Requirements = r.Requirements[:1]
	if other.Input() == r.Input() {
		t.Error("a requirement less is the same input digest")
	}
}

func FuzzParseRecipe(f *testing.F) {
	for _, name := range []string{"recipe.json", "recipe-prebuilt.json"} {
		b, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		doc, _, _ := strings.Cut(string(b), "\n")
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := resolver.ParseRecipe(b)
		if err != nil {
			return
		}
		doc, err := r.Canonical()
		if err != nil {
			return // e.g. a null
		}
		again, err := resolver.ParseRecipe(doc)
		if err != nil {
			t.Fatalf("%s was read and written as %s, which can't be read: %v", b, doc, err)
		}
		if twice, err := again.Canonical(); err != nil || string(twice) != string(doc) {
			t.Fatalf("%s, then %s (%v)", doc, twice, err)
		}
	})
}
