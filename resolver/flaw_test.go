package resolver_test

import (
	"os"
	"strings"
	"testing"

	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/view"
)

// TestFlaw: a miss names what speaks against each record of its recipe.
func TestFlaw(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		cause resolver.Cause
		why   string
		needs int
		of    func(w *world, tool, foo resolver.Record) *view.View
	}{
		"a constraint, and which": {resolver.CauseConstraint, "(tool>=2)", 1, func(w *world, _, _ resolver.Record) *view.View {
			return w.view(decided{constraints: "tool>=2\n"})
		}},
		"the wheel is revoked": {resolver.CauseRevoked, "is revoked", 0, func(w *world, _, foo resolver.Record) *view.View {
			w.revoke(foo.Wheel)
			return w.view(decided{})
		}},
		"a requirement's wheel is revoked": {resolver.CauseRevoked, "a wheel of tool==1.0 that is revoked", 1, func(w *world, tool, _ resolver.Record) *view.View {
			w.revoke(tool.Wheel)
			return w.view(decided{})
		}},
		"excluded and revoked: what a person decided about the view first": {resolver.CauseConstraint, "exclude", 1, func(w *world, tool, _ resolver.Record) *view.View {
			w.revoke(tool.Wheel)
			return w.view(decided{constraints: "tool>=2\n"})
		}},
		"a requirement that is a miss": {resolver.CauseRequirement, "a wheel of tool==1.0", 1, func(w *world, _, _ resolver.Record) *view.View {
			return w.view(decided{files: map[string]string{"patches/tool/1.patch": patch}})
		}},
		"its bytes": {resolver.CauseBytes, "missing", 0, func(w *world, _, foo resolver.Record) *view.View {
			w.ok(os.Remove(w.blob(foo.Wheel)))
			return w.view(decided{})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			v := w.view(decided{})
			tool := w.built(v, "tool==1.0", "t1")
			foo := w.built(v, "foo==1.0", "1", tool)
			a := w.lookup(test.of(w, tool, foo), "foo==1.0")
			if len(a.Candidates) != 1 || a.Candidates[0].Record.Wheel != foo.Wheel {
				t.Fatalf("candidates %+v, want the one record", a.Candidates)
			}
			f := a.Candidates[0].Flaw
			if f.Cause != test.cause || !strings.Contains(f.Why, test.why) || len(f.Requirements) != test.needs {
				t.Errorf("flaw %+v, want cause %s, %d requirements and words like %q", f, test.cause, test.needs, test.why)
			}
		})
	}
}

// TestRecipeBlob: a record leads to its recipe's document.
func TestRecipeBlob(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.built(w.view(decided{files: map[string]string{"settings/foo.yaml": "env: {A: b}\n"}}), "foo==1.0", "1")
	b, err := w.store.Bytes(t.Context(), r.RecipeBlob, 1<<20)
	w.ok(err)
	recipe, err := resolver.ParseRecipe(b)
	w.ok(err)
	if d, err := recipe.Digest(); err != nil || d != r.Recipe {
		t.Fatalf("the blob holds recipe %s (%v), the record says %s", d, err, r.Recipe)
	}
}
