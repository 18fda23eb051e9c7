package view

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver/environ"
	"github.com/python-wheel-build/axle/resolver/view/config"
	"github.com/python-wheel-build/axle/resolver/view/plugins"
)

// What a project does not depend on is in its view, but not in what its recipes are made of.
func TestDepends(t *testing.T) {
	store := newStore(t)
	set := environ.Set{"system": {Value: "s"}, "libc": {Value: "l"}, "env:CC": {Value: "gcc"}, "path:rust": {Value: "r"}}
	all := map[string]string{"system": "s", "libc": "l", "env:CC": "gcc", "path:rust": "r"}
	publish := func(c config.Environment) *View {
		t.Helper()
		v, err := Publish(t.Context(), store, config.View{Environment: c}, set, dist.Target{Python: "cp311", ABI: "cp311", Platform: "linux_x86_64"}, plugins.Found{})
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
