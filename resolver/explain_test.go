package resolver_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/explain"
	"github.com/python-wheel-build/axle/resolver/view"
)

func (w *world) explain(v *view.View, pin string) explain.Explanation {
	w.t.Helper()
	name, ver, _ := strings.Cut(pin, "==")
	e, err := explain.Of(w.t.Context(), w.catalog, v, w.project(name), w.version(ver))
	w.ok(err)
	return e
}

// told is a miss in one line each: the cause, and what is said of it, requirements indented below.
func told(m *explain.Miss, indent string) (all []string) {
	all = append(all, indent+string(m.Cause))
	for _, c := range m.Changes {
		line := indent + c.Path + " " + c.How
		if c.How == explain.Edited || len(c.Was+c.Is) < 40 {
			line += fmt.Sprintf(" %.12s -> %.12s", c.Was, c.Is)
		}
		all = append(all, line)
		for _, l := range c.Lines {
			all = append(all, indent+" | "+l)
		}
	}
	if m.Reason != "" {
		all = append(all, indent+"reason: "+m.Reason)
	}
	for _, n := range m.Needs {
		today := "miss"
		if n.Today != "" {
			today = "another"
		}
		all = append(all, fmt.Sprintf("%s%s==%s: %s", indent, n.Requirement.Project, n.Requirement.Version, today))
		if n.Miss != nil {
			all = append(all, told(n.Miss, indent+"  ")...)
		}
	}
	for _, v := range m.Versions {
		all = append(all, indent+"has "+v.String())
	}
	return all
}

func TestExplain(t *testing.T) {
	t.Parallel()
	const edited = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+c\n"
	patches := func(all ...string) decided {
		d := decided{files: map[string]string{}}
		for i := 0; i < len(all); i += 2 {
			d.files["patches/"+all[i]] = all[i+1]
		}
		return d
	}
	for name, test := range map[string]struct {
		was, is decided
		ask     string
		between func(w *world, is *view.View)
		want    string
	}{
		"a patch added":  {decided{}, patches("foo/fix.patch", patch), "foo==1.0", nil, "patches\npatches[fix.patch] added"},
		"a patch edited": {patches("foo/fix.patch", patch), patches("foo/fix.patch", edited), "foo==1.0", nil, "patches\npatches[fix.patch] edited sha256:814a6 -> sha256:f9b9f\n | @@ -5 +5 @@\n | -+b\n | ++c"},
		"a variable":     {decided{files: map[string]string{"settings/foo.yaml": "env: {A: b, C: d}\n"}}, decided{files: map[string]string{"settings/foo.yaml": "env: {A: c, C: d}\n"}}, "foo==1.0", nil, "settings\nsettings.env.A edited b -> c"},
		"lines of one":   {decided{files: map[string]string{"settings/foo.yaml": "env: {A: \"b\\nc\"}\n"}}, decided{files: map[string]string{"settings/foo.yaml": "env: {A: \"b\\nd\"}\n"}}, "foo==1.0", nil, "settings\nsettings.env.A edited b\nc -> b\nd\n | @@ -2 +2 @@\n | -c (no line end)\n | +d (no line end)"},
		"a component":    {decided{environment: map[string]string{"env:CC": "gcc"}}, decided{environment: map[string]string{"env:CC": "clang"}}, "foo==1.0", nil, "environment:env:CC\nenvironment.env:CC edited gcc -> clang"},
		"a build requirement is patched, and no wheel of it is there": {decided{}, patches("tool/fix.patch", patch), "foo==1.0", nil,
			"requirement\ntool==1.0: miss\n  patches\n  patches[fix.patch] added"},
		"it is patched and built": {decided{}, patches("tool/fix.patch", patch), "foo==1.0", func(w *world, is *view.View) { w.built(is, "tool==1.0", "t patched") },
			"requirement\ntool==1.0: another\n  patches\n  patches[fix.patch] added"},
		"a requirement of it is": {decided{}, patches("base/fix.patch", patch), "foo==1.0", nil,
			"requirement\ntool==1.0: miss\n  requirement\n  base==1.0: miss\n    patches\n    patches[fix.patch] added"},
		"a constraint": {decided{}, decided{constraints: "tool>=2\n"}, "foo==1.0", nil, "constraint"},
		"revoked": {decided{}, decided{}, "foo==1.0", func(w *world, is *view.View) { w.revoke(w.lookup(is, "foo==1.0").Record.Wheel) },
			"revoked\nreason: test"},
		"bytes": {decided{}, decided{}, "foo==1.0", func(w *world, is *view.View) { w.ok(os.Remove(w.blob(w.lookup(is, "foo==1.0").Record.Wheel))) }, "bytes"},
		"never built": {decided{}, decided{}, "foo==2.0", func(w *world, _ *view.View) { w.up.Add(spec("foo", "2.0")); w.fresh() },
			"never-built\nhas 1.0"},
		"the record that is nearest": {patches("foo/a.patch", patch, "foo/b.patch", patch), patches("foo/a.patch", patch), "foo==1.0", func(w *world, is *view.View) {
			w.built(w.view(patches("foo/a.patch", edited, "foo/b.patch", patch)), "foo==1.0", "two away")
		}, "patches\npatches[b.patch] removed"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			was := w.view(test.was)
			base := w.built(was, "base==1.0", "b")
			tool := w.built(was, "tool==1.0", "t", base)
			w.built(was, "foo==1.0", "1", tool)
			is := w.view(test.is)
			if test.between != nil {
				test.between(w, is)
			}
			e := w.explain(is, test.ask)
			if e.Miss == nil {
				t.Fatal("it is a hit")
			}
			if got := strings.Join(told(e.Miss, ""), "\n"); got != test.want {
				t.Errorf("told:\n%s\nwant:\n%s\nwhy: %s", got, test.want, e.Miss.Why)
			}
			if e.Miss.Why == "" || strings.Contains(e.Miss.Why, "\n") {
				t.Errorf("why %q is not one line", e.Miss.Why)
			}
			cause, err := explain.Cause(t.Context(), w.catalog, is, w.lookup(is, test.ask))
			if err != nil || cause != e.Miss.Cause {
				t.Errorf("the cause alone is %q (%v), explained it is %q", cause, err, e.Miss.Cause)
			}
		})
	}
}

// TestExplainRing: records that only vouch for each other are explained, each once.
func TestExplainRing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.view(decided{})
	a, b := w.built(v, "a==1.0", "a"), w.built(v, "b==1.0", "b")
	w.built(v, "a==1.0", "a", b)
	w.built(v, "b==1.0", "b", a)
	is := w.view(decided{files: map[string]string{"patches/a/1.patch": patch, "patches/b/1.patch": patch}})
	if got := strings.Join(told(w.explain(is, "a==1.0").Miss, ""), "\n"); got != "patches\npatches[1.patch] added" {
		t.Error(got)
	}
	for _, r := range []resolver.Record{a, b} {
		w.ok(os.Remove(w.path(fmt.Sprintf("records/%s/1.0/%s/%s/0000.json", r.Project, string(r.Recipe)[7:], string(r.Input())[7:]))))
	}
	w.fresh()
	want := "requirement\nb==1.0: miss\n  requirement\n  a==1.0: miss\n    requirement\n    b==1.0: miss"
	if got := strings.Join(told(w.explain(v, "a==1.0").Miss, ""), "\n"); got != want {
		t.Errorf("told:\n%s\nwant:\n%s", got, want)
	}
}

func TestExplainHit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cpu, gpu := w.view(decided{}), w.view(decided{environment: map[string]string{"path:rocm": "sha256:1"}})
	tool := w.built(cpu, "tool==1.0", "t")
	r := w.built(cpu, "foo==1.0", "1", tool)
	same := w.built(gpu, "foo==1.0", "1", w.built(gpu, "tool==1.0", "t"))
	w.built(w.view(decided{files: map[string]string{"settings/foo.yaml": "env: {A: b}\n"}}), "foo==1.0", "1", tool)
	e := w.explain(cpu, "foo==1.0")
	if e.Miss != nil || e.Hit == nil || e.Hit.Record.Input() != r.Input() || e.Digest != r.Recipe {
		t.Fatalf("%+v, want the hit %s", e, r.Input())
	}
	if len(e.Hit.Twins) != 1 || e.Hit.Twins[0].Record.Recipe != same.Recipe || !slices.Equal(e.Hit.Twins[0].Components, []string{"path:rocm"}) {
		t.Errorf("twins %+v, want the one of %s", e.Hit.Twins, same.Recipe)
	}
}

// TestExplainShared: a record that environments share is compared with the recipe that they share, and what is declared is no news.
func TestExplainShared(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cpu, gpu := w.view(accelerated("a", nil, pureShared)), w.view(accelerated("b", map[string]string{"path:rocm": "r"}, pureShared))
	w.built(cpu, "foo==1.0", "1")
	w.share(cpu, "foo==1.0")
	if got := strings.Join(told(w.explain(gpu, "foo==1.0").Miss, ""), "\n"); got != "environment:path:rocm\nenvironment.path:rocm added  -> r" {
		t.Errorf("told:\n%s", got)
	}
	w.built(gpu, "foo==1.0", "1")
	e := w.explain(gpu, "foo==1.0")
	if e.Hit == nil || len(e.Hit.Twins) != 1 || !slices.Equal(e.Hit.Twins[0].Components, []string{"path:rocm"}) {
		t.Errorf("%+v, want a twin that differs in path:rocm, and not in what is declared", e.Hit)
	}
	other := w.view(accelerated("c", nil, pureShared))
	if e := w.explain(other, "foo==1.0"); e.Hit == nil || e.Hit.Record.Recipe == e.Digest {
		t.Errorf("%+v, want the shared record", e)
	}
}

func TestDependents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.view(decided{})
	base := w.built(v, "base==1.0", "b")
	tool := w.built(v, "tool==1.0", "t", base)
	other := w.built(v, "tool==2.0", "t2")
	w.built(v, "foo==1.0", "f", tool, other)
	w.built(v, "bar==1.0", "x", other)
	w.built(v, "top==1.0", "y", w.built(v, "mid==1.0", "m", tool), base)
	for _, test := range []struct {
		view *view.View
		of   string
		want string
	}{
		{v, "base==1.0", "foo 1.0 [tool 1.0], mid 1.0 [tool 1.0], tool 1.0 [base 1.0] direct, top 1.0 [base 1.0 mid 1.0] direct"},
		{v, "tool", "bar 1.0 [tool 2.0] direct, foo 1.0 [tool 1.0 tool 2.0] direct, mid 1.0 [tool 1.0] direct, top 1.0 [mid 1.0]"},
		{v, "tool==2.0", "bar 1.0 [tool 2.0] direct, foo 1.0 [tool 2.0] direct"},
		{v, "top==1.0", ""},
		{w.view(decided{files: map[string]string{"patches/mid/1.patch": patch}}), "base==1.0", "foo 1.0 [tool 1.0], tool 1.0 [base 1.0] direct"},
	} {
		name, ver, one := strings.Cut(test.of, "==")
		all, err := w.catalog.Dependents(t.Context(), test.view, func(p resolver.Pin) bool {
			return string(p.Project) == name && (!one || p.Version.String() == ver)
		})
		w.ok(err)
		var got []string
		for _, d := range all {
			var with []string
			for _, q := range d.With {
				with = append(with, fmt.Sprintf("%s %s", q.Project, q.Version))
			}
			slices.Sort(with)
			line := fmt.Sprintf("%s %s %v", d.Project, d.Version, with)
			if d.Direct {
				line += " direct"
			}
			got = append(got, line)
		}
		if s := strings.Join(got, ", "); s != test.want {
			t.Errorf("dependents of %s: %s\nwant %s", test.of, s, test.want)
		}
	}
}
