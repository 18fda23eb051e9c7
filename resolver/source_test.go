package resolver_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/testindex"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/source"
	"github.com/python-wheel-build/axle/resolver/upstream"
	"github.com/python-wheel-build/axle/resolver/view"
	"github.com/python-wheel-build/axle/resolver/view/config"
)

func spec(name, ver string) testindex.Spec { return testindex.Spec{Name: name, Version: ver} }

func indexOf(s, sub string) int { return strings.Index(s, sub) }

func (w *world) revoke(d cas.Digest) {
	w.t.Helper()
	w.ok(w.store.Create(w.t.Context(), "revocations/"+d.Encoded()+".json", map[string]string{"reason": "test"}))
}

// fetch pins a version's source.
func (w *world) fetch(v *view.View, pin string) (source.Source, error) {
	w.t.Helper()
	blob, s, err := w.catalog.File(w.t.Context(), v, w.lookup(v, pin).Source)
	if err == nil {
		w.ok(blob.Close())
	}
	return s, err
}

func TestChangedUpstreamBytes(t *testing.T) {
	for _, listed := range []bool{true, false} {
		w := newWorld(t)
		v := w.view(decided{})
		w.up.Set(testindex.Faults{NoHash: !listed})
		w.up.Add(spec("foo", "1.0"))
		first, err := w.fetch(v, "foo==1.0")
		w.ok(err)
		w.ok(w.store.Quarantine(t.Context(), "blobs/sha256/"+first.SHA256.Encoded()[:2]+"/"+first.SHA256.Encoded()))
		w.up.Remove(first.How.Filename)
		w.up.Add(testindex.Spec{Name: "foo", Version: "1.0", Marker: "other bytes"})
		w.fresh()
		_, err = w.fetch(v, "foo==1.0")
		if !errors.Is(err, source.ErrChanged) || !strings.Contains(err.Error(), first.SHA256.String()) || strings.Count(err.Error(), "sha256:") != 2 {
			t.Fatalf("listed %v: error %v, want one that names both digests", listed, err)
		}
		if pins := w.keys("sources/"); len(pins) != 1 {
			t.Fatalf("pins %q", pins)
		}
	}
}

func TestPagesDoNotPin(t *testing.T) {
	w := newWorld(t)
	w.up.Add(spec("foo", "1.0"), spec("foo", "2.0"))
	answers, err := w.catalog.Page(t.Context(), w.view(decided{}), "foo")
	w.ok(err)
	if len(answers) != 2 || answers[1].Source.Version.String() != "2.0" {
		t.Fatalf("answers %+v", answers)
	}
	if keys := append(w.keys("sources/"), w.keys("records/")...); len(keys) != 0 {
		t.Fatalf("a page wrote %q", keys)
	}
}

func TestUpstreamDown(t *testing.T) {
	w := newWorld(t)
	v := w.view(decided{})
	r := w.built(v, "foo==1.0", "1")
	w.up.Add(spec("foo", "2.0"), spec("bar", "1.0"))
	w.up.Down()
	w.fresh()
	answers, err := w.catalog.Page(t.Context(), v, "foo")
	w.ok(err)
	if len(answers) != 1 || answers[0].Record == nil || answers[0].Record.Wheel != r.Wheel {
		t.Fatalf("answers %+v, want the pinned version's hit alone", answers)
	}
	var down *upstream.DownError
	if _, err := w.catalog.Page(t.Context(), v, "bar"); !errors.As(err, &down) {
		t.Fatalf("a project that only upstream knows: %v, want that upstream is down", err)
	}
}

// TestUpstreamOfNoUse: an index that answers with something that is no listing is as good as one that is down.
func TestUpstreamOfNoUse(t *testing.T) {
	for name, fault := range map[string]testindex.Faults{"403": {Status: 403}, "401": {User: "u", Password: "p"}, "500": {Status: 500}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			v := w.view(decided{})
			r := w.built(v, "foo==1.0", "1", w.built(v, "tool==1.0", "t"))
			w.up.Set(fault)
			w.fresh()
			answers, err := w.catalog.Page(t.Context(), v, "foo")
			w.ok(err)
			if len(answers) != 1 || answers[0].Record == nil || answers[0].Record.Wheel != r.Wheel {
				t.Fatalf("answers %+v, want the pinned version's hit alone", answers)
			}
			_, err = w.catalog.Page(t.Context(), v, "bar")
			var answer *upstream.AnswerError
			var down *upstream.DownError
			if !errors.As(err, &answer) && !errors.As(err, &down) {
				t.Fatalf("a project that only upstream knows: %v, want what is wrong with upstream", err)
			}
		})
	}
}

func TestIndexOrder(t *testing.T) {
	w := newWorld(t)
	second := testindex.New(t)
	w.up.Add(spec("foo", "1.0"))
	second.Add(testindex.Spec{Name: "foo", Version: "1.0", Marker: "second"}, spec("foo", "2.0"))
	main, other := config.Index{Name: "main", URL: w.up.Base()}, config.Index{Name: "other", URL: second.Base()}
	v := w.view(decided{indexes: []config.Index{main, other}})
	if got := w.lookup(v, "foo==1.0").Source.How.Index; got != "main" {
		t.Errorf("1.0 comes from %s, want main", got)
	}
	if got := w.lookup(v, "foo==2.0").Source.How.Index; got != "other" {
		t.Errorf("2.0 comes from %s, want other", got)
	}
	turned := w.view(decided{indexes: []config.Index{other, main}})
	if got := w.lookup(turned, "foo==1.0").Source.How.Index; got != "other" {
		t.Errorf("turned: 1.0 comes from %s, want other", got)
	}
	// A pinned source counts before one that is only listed.
	_, err := w.fetch(v, "foo==1.0")
	w.ok(err)
	if got := w.lookup(turned, "foo==1.0").Source.How.Index; got != "main" {
		t.Errorf("turned, pinned: 1.0 comes from %s, want main", got)
	}
	// What the later index has does not stand in for the earlier one while that is down.
	w.up.Down()
	w.fresh()
	answers, err := w.catalog.Page(t.Context(), v, "foo")
	w.ok(err)
	if len(answers) != 1 || answers[0].Source.How.Index != "main" {
		t.Errorf("with main down: %+v, want the pinned source alone", answers)
	}
}

func TestPrivateNamesAreNotAsked(t *testing.T) {
	w := newWorld(t)
	w.up.Add(spec("acme-core", "1.0"))
	v := w.view(decided{private: []string{"acme-*"}})
	if _, err := w.catalog.Page(t.Context(), v, "acme-core"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a private name: %v, want that nobody knows it", err)
	}
	if n := len(w.up.Requests()); n != 0 {
		t.Fatalf("upstream got %d requests: %v", n, w.up.Requests())
	}
}

func TestOnlyWheels(t *testing.T) {
	w := newWorld(t)
	w.up.AddWheel(spec("foo", "2.0"))
	w.up.Add(spec("foo", "1.0"))
	refuses := w.view(decided{})
	a := w.lookup(refuses, "foo==2.0")
	if a.Record != nil || !strings.Contains(a.Why, "only wheels") {
		t.Fatalf("answer %+v, want a refusal that says why", a)
	}
	takes := w.lookup(w.view(decided{wheelsOnly: config.PreBuilt}), "foo==2.0")
	if takes.Source.How.Kind != "only-wheel" || !takes.Recipe.PreBuilt() {
		t.Fatalf("answer %+v, want the wheel, marked pre-built", takes)
	}
	// Taken by one view, it is still refused by the other.
	_, err := w.fetch(w.view(decided{wheelsOnly: config.PreBuilt}), "foo==2.0")
	w.ok(err)
	if a := w.lookup(refuses, "foo==2.0"); !strings.Contains(a.Why, "only wheels") {
		t.Fatalf("answer %+v after the other view pinned it", a)
	}
}

func TestPreBuilt(t *testing.T) {
	w := newWorld(t)
	w.up.Add(spec("foo", "1.0"))
	w.up.AddWheel(spec("foo", "1.0"), testindex.Spec{Name: "foo", Version: "1.0", Tags: "cp311-cp311-linux_x86_64"},
		testindex.Spec{Name: "foo", Version: "1.0", Tags: "cp39-cp39-win_amd64"})
	declared := w.view(decided{files: map[string]string{"settings/foo.yaml": "variants: {cpu: {pre_built: true}}\n"}})
	a := w.lookup(declared, "foo==1.0")
	if a.Source.How.Kind != "wheel" || a.Source.How.Filename != "foo-1.0-cp311-cp311-linux_x86_64.whl" {
		t.Fatalf("source %+v, want the wheel that fits best", a.Source)
	}
	if b, err := a.Recipe.Canonical(); err != nil || strings.Contains(string(b), "environment") || strings.Contains(string(b), "builder") {
		t.Fatalf("recipe %s (%v), want project, version, source and target only", b, err)
	}
	_, err := w.fetch(declared, "foo==1.0")
	w.ok(err)
	if a := w.lookup(w.view(decided{}), "foo==1.0"); a.Source.How.Kind != "sdist" {
		t.Fatalf("another view takes %+v, want the sdist", a.Source.How)
	}
}

func TestFailures(t *testing.T) {
	w := newWorld(t)
	v, other := w.view(decided{}), w.view(decided{constraints: "x<1\n"})
	w.up.Add(spec("foo", "1.0"))
	recipe, err := w.lookup(v, "foo==1.0").Recipe.Digest()
	w.ok(err)
	fail := func(resolved bool, class string) {
		w.ok(w.catalog.Fail(t.Context(), resolver.Failure{Project: "foo", Version: w.version("1.0"), Recipe: recipe, View: v.Digest(), Stage: "wheel",
			Resolved: resolved, Class: class, Title: "no", When: w.clock}))
	}
	remembered := func(what string, in *view.View, stage string, want bool) {
		t.Helper()
		f, err := w.catalog.FailedIn(t.Context(), in.Digest(), recipe, stage)
		w.ok(err)
		if (f != nil) != want {
			t.Errorf("%s: remembered %v, want %v", what, f != nil, want)
		}
	}
	fail(true, "infrastructure")
	remembered("infrastructure", v, "wheel", false)
	fail(false, "build")
	remembered("unresolved, at once", v, "wheel", true)
	remembered("unresolved, other view", other, "wheel", false)
	remembered("unresolved, other stage", v, "metadata", false)
	w.clock = w.clock.Add(11 * time.Minute)
	remembered("unresolved, after eleven minutes", v, "wheel", false)
	fail(true, "build")
	w.clock = w.clock.Add(1000 * time.Hour)
	remembered("resolved, for good", v, "wheel", true)
}

func TestDamagedPinIsAnError(t *testing.T) {
	w := newWorld(t)
	v := w.view(decided{})
	w.built(v, "foo==1.0", "1")
	key := w.keys("sources/")[0]
	w.flip(w.path(key))
	w.fresh()
	_, err := w.catalog.Lookup(t.Context(), v, "foo", w.version("1.0"))
	var damaged *cas.DamagedError
	if !errors.As(err, &damaged) || damaged.Key != key {
		t.Fatalf("error %v, want one that names %s", err, key)
	}
}

// TestRenamedIndex: the bytes of a requirement are the same under another index name; what was built with it stays a hit.
func TestRenamedIndex(t *testing.T) {
	w := newWorld(t)
	v := w.view(decided{})
	r := w.built(v, "foo==1.0", "1", w.built(v, "tool==1.0", "t"))
	w.hit(w.view(decided{indexes: []config.Index{{Name: "renamed", URL: w.up.Base()}}}), "foo==1.0", r)
}

// TestDeclaredPreBuiltLater: a wheel that was taken since there was nothing else is the same wheel once it is declared.
func TestDeclaredPreBuiltLater(t *testing.T) {
	w := newWorld(t)
	w.up.AddWheel(spec("tool", "1.0"))
	takes := decided{wheelsOnly: config.PreBuilt}
	tool := w.built(w.view(takes), "tool==1.0", "t")
	r := w.built(w.view(takes), "foo==1.0", "1", tool)
	takes.files = map[string]string{"settings/tool.yaml": "variants: {cpu: {pre_built: true}}\n"}
	w.hit(w.view(takes), "foo==1.0", r)
}

// TestYankedOnThePageOfItsOwnRequirement: a project built with a newer version of itself keeps what the page says of both.
func TestYankedOnThePageOfItsOwnRequirement(t *testing.T) {
	w := newWorld(t)
	v := w.view(decided{})
	newer := w.built(v, "foo==2.0", "2")
	w.built(v, "foo==1.0", "1", newer)
	filename, _ := testindex.Sdist(spec("foo", "2.0"))
	w.up.Edit(filename, func(f *testindex.File) { f.IsYanked = true })
	w.fresh()
	answers, err := w.catalog.Page(t.Context(), v, "foo")
	w.ok(err)
	if len(answers) != 2 || !answers[1].Source.Yanked || answers[0].Source.Yanked || answers[1].Record == nil {
		t.Fatalf("answers %+v, want 2.0 as a yanked hit", answers)
	}
}

// TestPrivateLater: what an index once gave under a name that is private now is not taken.
func TestPrivateLater(t *testing.T) {
	w := newWorld(t)
	w.built(w.view(decided{}), "acme-core==1.0", "squatted")
	w.up.Forget()
	if _, err := w.catalog.Lookup(t.Context(), w.view(decided{private: []string{"acme-*"}}), "acme-core", w.version("1.0")); !errors.Is(err, source.ErrNone) {
		t.Fatalf("a private name: %v, want that there is no source", err)
	}
	if n := len(w.up.Requests()); n != 0 {
		t.Fatalf("upstream got %v", w.up.Requests())
	}
}
