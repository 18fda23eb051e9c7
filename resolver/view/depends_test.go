package view

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver/environ"
	"github.com/python-wheel-build/axle/resolver/view/config"
	"github.com/python-wheel-build/axle/resolver/view/sitehook"
)

// What a project does not depend on is in its view, but not in what its recipes are made of.
func TestDepends(t *testing.T) {
	store := newStore(t)
	set := environ.Set{"system": {Value: "s"}, "libc": {Value: "l"}, "env:CC": {Value: "gcc"}, "path:rust": {Value: "r"}}
	all := map[string]string{"system": "s", "libc": "l", "env:CC": "gcc", "path:rust": "r"}
	publish := func(c config.Environment) *View {
		t.Helper()
		v, err := Publish(t.Context(), store, config.View{Environment: c}, Machine{Environment: set, Target: dist.Target{Python: "cp311", ABI: "cp311", Platform: "linux_x86_64"}})
		if err != nil {
			t.Fatal(err)
		}
		again, err := Load(t.Context(), store, v.Digest())
		if err != nil || !cmp.Equal(again.Depends, v.Depends) || !cmp.Equal(again.SharePure, v.SharePure) {
			t.Errorf("published %+v, loaded %+v (%v)", v, again, err)
		}
		return v
	}
	ver, err := version.Parse("1.0")
	if err != nil {
		t.Fatal(err)
	}
	plain := publish(config.Environment{})
	v := publish(config.Environment{SharePure: []string{"system", "image", "libc"}, Projects: map[dist.Project]config.Depends{
		"foo": {Without: []string{"system", "env:CC"}},
		"bar": {SharePure: []string{}},
		"baz": {SharePure: []string{"system"}},
		"qux": {SharePure: []string{"libc", "system"}, Without: []string{"env:UNSET", "image"}}, // which is what all say, and nothing
	}})
	for _, c := range []struct {
		project dist.Project
		own     map[string]string
		shared  []string
	}{
		{"other", all, []string{"libc", "system"}},
		{"foo", map[string]string{"libc": "l", "path:rust": "r"}, []string{"libc", "system"}},
		{"bar", all, []string{}},
		{"baz", all, []string{"system"}},
		{"qux", all, []string{"libc", "system"}},
	} {
		if d := cmp.Diff(c.own, v.EnvironmentOf(c.project, ver)); d != "" {
			t.Errorf("%s: %s", c.project, d)
		}
		if d := cmp.Diff(c.shared, v.SharedWithout(c.project)); d != "" {
			t.Errorf("%s: %s", c.project, d)
		}
	}
	if len(v.Depends) != 3 {
		t.Errorf("%+v: what makes no difference is kept", v.Depends)
	}
	if !cmp.Equal(v.Environment, all) {
		t.Errorf("the view's own environment became %v", v.Environment)
	}
	if len(plain.SharedWithout("foo")) != 0 || plain.Digest() == v.Digest() {
		t.Error("a view that says nothing shares nothing, and is another one")
	}
	if none := publish(config.Environment{SharePure: []string{"image"}, Projects: map[dist.Project]config.Depends{"foo": {Without: []string{"image"}}}}); none.Digest() != plain.Digest() {
		t.Error("leaving out what isn't there makes another view")
	}
}

// The view is what a hook answers, whatever it was asked; the question has what the settings folder names.
func TestAsk(t *testing.T) {
	store := newStore(t)
	e := newExample(t)
	e.file("patches/patched-1.0/1.patch", "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n")
	e.file("settings/counted.yaml", "changelog: {'1.5': [fixed]}\n")
	name := t.TempDir() + "/constraints.txt"
	if err := os.WriteFile(name, []byte(e.constraints), 0o644); err != nil {
		t.Fatal(err)
	}
	e.Constraints = []string{name}
	var asked sitehook.Question
	publish := func(printed string) *View {
		t.Helper()
		v, err := Publish(t.Context(), store, e.View, Machine{Environment: e.env, Target: e.target, Ask: func(_ context.Context, q sitehook.Question) (environ.Set, error) {
			asked = q
			return sitehook.Parse([]byte(printed))
		}})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	v := publish(`{"*": "aGk="}`)
	if got := asked.Projects; len(got["patched"]) != 1 || got["patched"][0].String() != "1.0" || len(got["counted"]) != 1 || asked.Variant != e.Variant || asked.Target.Python != e.target.Python {
		t.Errorf("asked %+v", asked)
	}
	if again := publish("{\n\"*\": \"aGk=\"}"); again.Digest() != v.Digest() {
		t.Error("the same answer gives another view")
	}
	if other := publish(`{"*": "aGk=", "foo": ""}`); other.Digest() == v.Digest() {
		t.Error("another answer gives the same view")
	}
	set, err := v.Components(t.Context(), store)
	if err != nil || string(set["hook:*"].Text) != "hi" {
		t.Errorf("kept: %q, %v", set["hook:*"].Text, err)
	}
	refused := errors.New("no answer")
	none := func(context.Context, sitehook.Question) (environ.Set, error) { return nil, refused }
	if _, err := Publish(t.Context(), store, e.View, Machine{Environment: e.env, Target: e.target, Ask: none}); !errors.Is(err, refused) {
		t.Errorf("no answer: %v", err)
	}
}
