package resolver_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/testindex"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver/git"
	"github.com/python-wheel-build/axle/resolver/source"
	"github.com/python-wheel-build/axle/resolver/upstream"
	"github.com/python-wheel-build/axle/resolver/view"
	"github.com/python-wheel-build/axle/resolver/view/config"
)

// lose removes a blob, as a disk does.
func (w *world) lose(d cas.Digest) { w.t.Helper(); w.ok(os.Remove(w.blob(d))) }

func (w *world) accept(v *view.View, pin string, want cas.Digest) (before, after source.Source, err error) {
	w.t.Helper()
	name, ver, _ := strings.Cut(pin, "==")
	w.up.Forget()
	return w.catalog.Accept(w.t.Context(), v, w.project(name), w.version(ver), want)
}

// pinned demands what counts, and how many pins there are of it.
func (w *world) pinned(pin string, want cas.Digest, pins int) {
	w.t.Helper()
	name, ver, _ := strings.Cut(pin, "==")
	parsed := w.version(ver)
	all, err := w.catalog.Pins(w.t.Context(), w.project(name), &parsed)
	w.ok(err)
	if len(all) != pins || all[pins-1].SHA256 != want || all[pins-1].Superseded || all[pins-1].When.IsZero() {
		w.t.Fatalf("pins %+v, want %d, of which the last is %s", all, pins, want)
	}
	for _, p := range all[:pins-1] {
		if !p.Superseded {
			w.t.Errorf("%+v still counts", p)
		}
	}
}

func TestAccept(t *testing.T) {
	w := newWorld(t)
	v := w.view(decided{})
	r := w.built(v, "foo==1.0", "1", w.built(v, "tool==1.0", "t"))
	first := w.lookup(v, "foo==1.0").Source
	w.pinned("foo==1.0", first.SHA256, 1)

	before, after, err := w.accept(v, "foo==1.0", "")
	w.ok(err)
	if before.SHA256 != first.SHA256 || after.SHA256 != first.SHA256 {
		t.Errorf("unchanged: %s -> %s", before.SHA256, after.SHA256)
	}
	w.pinned("foo==1.0", first.SHA256, 1)

	w.up.Remove(first.How.Filename)
	w.up.Add(testindex.Spec{Name: "foo", Version: "1.0", Marker: "other bytes"})
	w.hit(v, "foo==1.0", r)
	if _, _, err := w.accept(v, "foo==1.0", "sha256:"+cas.Digest(strings.Repeat("0", 64))); err == nil || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("bytes that nobody has: %v", err)
	}
	w.pinned("foo==1.0", first.SHA256, 1)
	w.fresh()
	before, after, err = w.accept(v, "foo==1.0", "")
	w.ok(err)
	if before.SHA256 != first.SHA256 || after.SHA256 == first.SHA256 {
		t.Errorf("changed: %s -> %s", before.SHA256, after.SHA256)
	}
	w.pinned("foo==1.0", after.SHA256, 2)
	w.miss(v, "foo==1.0", "")

	// Going back asks nobody, and gives back the old wheel.
	w.up.Down()
	w.fresh()
	_, back, err := w.accept(v, "foo==1.0", first.SHA256)
	w.ok(err)
	if back.SHA256 != first.SHA256 || len(w.up.Requests()) > 0 {
		t.Errorf("back to %s, with %d requests", back.SHA256, len(w.up.Requests()))
	}
	w.pinned("foo==1.0", first.SHA256, 3)
	w.hit(v, "foo==1.0", r)

	w.revoke(after.SHA256)
	if _, _, err := w.accept(v, "foo==1.0", after.SHA256); err == nil || !strings.Contains(err.Error(), "revoked") {
		t.Errorf("revoked bytes: %v", err)
	}
	w.pinned("foo==1.0", first.SHA256, 3)

	// A damaged newest pin is an error and never the one before.
	keys := w.keys("sources/foo/")
	w.flip(w.path(keys[2]))
	w.fresh()
	var damaged *cas.DamagedError
	if _, err := w.catalog.Lookup(t.Context(), v, "foo", w.version("1.0")); !errors.As(err, &damaged) || damaged.Key != keys[2] {
		t.Errorf("damaged: %v", err)
	}
	if _, _, err := w.accept(v, "foo==1.0", ""); !errors.As(err, &damaged) {
		t.Errorf("accept over a damaged pin: %v", err)
	}
}

func TestAcceptWhatWasNeverPinned(t *testing.T) {
	w := newWorld(t)
	v := w.view(decided{})
	w.up.Add(spec("foo", "1.0"))
	before, after, err := w.accept(v, "foo==1.0", "")
	w.ok(err)
	if before.Pinned || after.SHA256 == "" {
		t.Errorf("%+v -> %+v", before, after)
	}
	w.pinned("foo==1.0", after.SHA256, 1)
}

// TestAcceptAtOnce: of several who accept at once each is told what counts or to try again, and one pin is written.
func TestAcceptAtOnce(t *testing.T) {
	w := newWorld(t)
	v := w.view(decided{})
	w.up.Add(spec("foo", "1.0"))
	first, err := w.fetch(v, "foo==1.0")
	w.ok(err)
	w.up.Remove(first.How.Filename)
	w.up.Add(testindex.Spec{Name: "foo", Version: "1.0", Marker: "other bytes"})
	_, other := testindex.Sdist(testindex.Spec{Name: "foo", Version: "1.0", Marker: "other bytes"})
	want := digest.FromBytes(other)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			c := &source.Sources{Store: w.store, Upstream: &upstream.Client{}}
			_, after, err := c.Accept(t.Context(), v, "foo", w.version("1.0"), "")
			if err != nil && !strings.Contains(err.Error(), "try again") || err == nil && after.SHA256 != want {
				t.Errorf("accepted %s, %v", after.SHA256, err)
			}
		})
	}
	wg.Wait()
	w.pinned("foo==1.0", want, 2)
}

// TestPinnedMeanwhile: a source that somebody else pinned after it was looked at is compared with that pin.
func TestPinnedMeanwhile(t *testing.T) {
	w := newWorld(t)
	v := w.view(decided{})
	w.up.Add(spec("foo", "1.0"))
	w.up.Set(testindex.Faults{NoHash: true, HTMLOnly: true}) // which tells no size either
	looked := w.lookup(v, "foo==1.0").Source
	first, err := w.fetch(v, "foo==1.0")
	w.ok(err)
	w.up.Edit(first.How.Filename, func(f *testindex.File) {
		f.Data = sdist(testindex.Spec{Name: "foo", Version: "1.0", Marker: "other bytes"})
	})
	w.fresh()
	if _, _, err := w.catalog.File(t.Context(), v, looked); !errors.Is(err, source.ErrChanged) || !strings.Contains(err.Error(), first.SHA256.String()) {
		t.Errorf("error %v, want both digests", err)
	}
	w.pinned("foo==1.0", first.SHA256, 1)
}

// forge offers archives at URLs that no index knows.
type forge struct {
	*httptest.Server
	mu    sync.Mutex
	files map[string][]byte // by path
	asked []string
}

func newForge(t *testing.T) *forge {
	f := &forge{files: map[string][]byte{}}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		b, ok := f.files[r.URL.Path]
		f.asked = append(f.asked, r.URL.Path)
		f.mu.Unlock()
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(b)
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *forge) put(path string, b []byte) { f.mu.Lock(); defer f.mu.Unlock(); f.files[path] = b }

func sdist(s testindex.Spec) []byte { _, b := testindex.Sdist(s); return b }

func TestDownloadSource(t *testing.T) {
	w := newWorld(t)
	at := newForge(t)
	from := func(url string) *view.View {
		return w.view(decided{files: map[string]string{"settings/foo.yaml": "download_source: {url: '" + at.URL + url + "', destination_filename: '${canonicalized_name}-${version}.tar.gz'}\n"}})
	}
	v, plain := from("/v${version}"), w.view(decided{})
	w.up.Add(spec("foo", "1.0"), spec("foo", "2.0"))
	w.up.AddWheel(spec("foo", "3.0"))
	at.put("/v1.0", sdist(testindex.Spec{Name: "foo", Version: "1.0", Marker: "forge"}))
	answers, err := w.catalog.Page(t.Context(), v, "foo")
	w.ok(err)
	if len(answers) != 3 || answers[0].Source.How.Kind != "url" || answers[2].Source.Refused != "" || answers[0].Source.Uploaded.IsZero() {
		t.Fatalf("answers %+v, want the three versions of the index, each from the URL", answers)
	}
	listed := answers[0].Source.Listed()
	if other := w.lookup(from("/w${version}"), "foo==1.0").Source.Listed(); other == listed || listed == w.lookup(v, "foo==2.0").Source.Listed() {
		t.Errorf("two URLs are listed alike: %s, %s", listed, other)
	}
	first, err := w.fetch(v, "foo==1.0")
	w.ok(err)
	if onIndex, err := w.fetch(plain, "foo==1.0"); err != nil || onIndex.SHA256 == first.SHA256 || onIndex.How.Kind != "sdist" {
		t.Errorf("without the setting: %+v, %v", onIndex, err)
	}
	if got := w.lookup(v, "foo==1.0").Source; !got.Pinned || got.SHA256 != first.SHA256 {
		t.Errorf("pinned: %+v", got)
	}
	if _, err := w.fetch(v, "foo==2.0"); err == nil || !strings.Contains(err.Error(), "download_source") {
		t.Errorf("a version that is not there: %v", err)
	}
	if _, err := w.catalog.Lookup(t.Context(), v, "foo", w.version("9.0")); !errors.Is(err, source.ErrNone) {
		t.Errorf("a version that no index lists: %v", err)
	}

	// Another URL is another source; the same bytes there are the same recipe.
	at.put("/w1.0", at.files["/v1.0"])
	moved, err := w.fetch(from("/w${version}"), "foo==1.0")
	w.ok(err)
	if moved.SHA256 != first.SHA256 || len(w.keys("sources/foo/1.0/")) != 3 {
		t.Errorf("moved: %+v, pins %q", moved, w.keys("sources/foo/"))
	}

	// With the index down the pinned ones are left.
	at.put("/v1.0", sdist(testindex.Spec{Name: "foo", Version: "1.0", Marker: "changed"}))
	w.lose(first.SHA256)
	w.up.Down()
	w.fresh()
	answers, err = w.catalog.Page(t.Context(), v, "foo")
	w.ok(err)
	if len(answers) != 1 || answers[0].Source.SHA256 != first.SHA256 {
		t.Fatalf("answers %+v, want the pinned one", answers)
	}
	_, err = w.fetch(v, "foo==1.0")
	if !errors.Is(err, source.ErrChanged) || !strings.Contains(err.Error(), first.SHA256.String()) || strings.Count(err.Error(), "sha256:") != 2 || !strings.Contains(err.Error(), "axle source accept foo==1.0") {
		t.Fatalf("changed bytes: %v", err)
	}
	_, after, err := w.accept(v, "foo==1.0", "")
	w.ok(err)
	if after.SHA256 == first.SHA256 {
		t.Error("the old bytes were accepted")
	}
	if got, err := w.fetch(v, "foo==1.0"); err != nil || got.SHA256 != after.SHA256 {
		t.Errorf("accepted: %+v, %v", got, err)
	}
}

// TestDownloadOfNoArchive: the page of a login is not pinned.
func TestDownloadOfNoArchive(t *testing.T) {
	w := newWorld(t)
	at := newForge(t)
	w.up.Add(spec("foo", "1.0"))
	v := w.view(decided{files: map[string]string{"settings/foo.yaml": "download_source: {url: '" + at.URL + "/foo.tar.gz'}\n"}})
	at.put("/foo.tar.gz", []byte("<html>log in"))
	if _, err := w.fetch(v, "foo==1.0"); err == nil || len(w.keys("sources/")) > 0 {
		t.Errorf("error %v, pins %q", err, w.keys("sources/"))
	}
	at.put("/foo.tar.gz", sdist(spec("foo", "1.0")))
	_, err := w.fetch(v, "foo==1.0")
	w.ok(err)
	for _, key := range w.keys("sources/") {
		b, err := os.ReadFile(w.path(key))
		w.ok(err)
		if strings.Contains(string(b), "http") {
			t.Errorf("a URL stands in the pin: %s", b)
		}
	}
}

func TestGitSource(t *testing.T) {
	w := newWorld(t)
	g := testindex.NewGit(t)
	w.git = &git.Client{Program: g.Program, Env: []string{"PATH=" + os.Getenv("PATH")}}
	w.fresh()
	g.Commit("lib", map[string]string{"lib.c": ""})
	g.Commit("acme", map[string]string{"setup.py": "one\n", "PKG-INFO": "Metadata-Version: 2.2\nName: acme-foo\nVersion: 1.0\n"})
	g.Run("acme", "submodule", "--quiet", "add", "--", g.URL+"/lib", "lib")
	commit := g.Commit("acme", map[string]string{"more": ""})
	g.Run("acme", "tag", "v1.0")
	from := func(url string, submodules ...string) decided {
		one, err := version.Parse("1.0")
		w.ok(err)
		two, err := version.Parse("2.0")
		w.ok(err)
		return decided{private: []string{"acme-*"}, sources: map[dist.Project]config.Source{
			"acme-foo": {Git: url, Ref: "v${version}", Submodules: submodules, Versions: []version.Version{one, two}}}}
	}
	v := w.view(from(g.URL + "/acme"))
	w.up.Add(testindex.Spec{Name: "acme-foo", Version: "3.0"})
	answers, err := w.catalog.Page(t.Context(), v, "acme-foo")
	w.ok(err)
	if len(answers) != 2 || answers[0].Source.How.Kind != "git" || answers[0].Recipe != nil || answers[0].Source.Listed() == answers[1].Source.Listed() {
		t.Fatalf("answers %+v, want the two that the view lists", answers)
	}
	first, err := w.fetch(v, "acme-foo==1.0")
	w.ok(err)
	if first.Tree.Commit != commit || first.Tree.Submodules != nil {
		t.Errorf("tree %+v", first.Tree)
	}
	a := w.lookup(v, "acme-foo==1.0")
	if a.Recipe.Source.Kind != "git" || a.Recipe.Source.SHA256 != first.SHA256 || !a.Recipe.Touched() {
		t.Errorf("recipe %+v", a.Recipe.Source)
	}
	if _, err := w.catalog.Promised(t.Context(), v, a); err == nil {
		t.Error("a PKG-INFO that lies in a repository was believed")
	}
	if _, err := w.catalog.Lookup(t.Context(), v, "acme-foo", w.version("3.0")); !errors.Is(err, source.ErrNone) {
		t.Errorf("a version that the view doesn't list: %v", err)
	}
	if n := len(w.up.Requests()); n > 0 {
		t.Errorf("the index was asked for a private project: %v", w.up.Requests())
	}
	with, err := w.fetch(w.view(from(g.URL+"/acme", ".")), "acme-foo==1.0")
	w.ok(err)
	if with.SHA256 == first.SHA256 || len(with.Tree.Submodules) != 1 {
		t.Errorf("with submodules: %+v", with)
	}
	if elsewhere, err := w.fetch(w.view(from("file://"+g.Dir+"/acme")), "acme-foo==1.0"); err != nil || elsewhere.SHA256 != first.SHA256 {
		t.Errorf("from another place: %+v, %v", elsewhere, err)
	}

	// The tag moves: noticed when the bytes are fetched again, and refused until it is accepted.
	second := g.Commit("acme", map[string]string{"setup.py": "two\n"})
	g.Run("acme", "tag", "--force", "v1.0")
	w.lose(first.SHA256)
	_, err = w.fetch(v, "acme-foo==1.0")
	if !errors.Is(err, source.ErrChanged) || !strings.Contains(err.Error(), commit) || !strings.Contains(err.Error(), second) {
		t.Fatalf("a moved tag: %v, want both commits", err)
	}
	before, after, err := w.accept(v, "acme-foo==1.0", "")
	w.ok(err)
	if before.Tree.Commit != commit || after.Tree.Commit != second {
		t.Errorf("accepted %s -> %s", before.Tree.Commit, after.Tree.Commit)
	}
	if got, err := w.fetch(v, "acme-foo==1.0"); err != nil || got.SHA256 != after.SHA256 || got.Tree.Commit != second {
		t.Errorf("after that: %+v, %v", got, err)
	}
	w.git = &git.Client{}
	w.fresh()
	if _, err := w.fetch(v, "acme-foo==2.0"); err == nil || !strings.Contains(err.Error(), "install git") {
		t.Errorf("without git: %v", err)
	}
}

func TestAsOf(t *testing.T) {
	w := newWorld(t)
	w.up.Add(spec("foo", "1.0"), spec("foo", "2.0")) // at midnight and at one
	w.up.AddWheel(spec("foo", "2.0"))
	now := w.view(decided{})
	_, err := w.fetch(now, "foo==2.0")
	w.ok(err)
	v := w.view(decided{asOf: time.Date(2024, 1, 1, 0, 30, 0, 0, time.UTC)})
	versions := func(v *view.View) (all []string) {
		t.Helper()
		answers, err := w.catalog.Page(t.Context(), v, "foo")
		w.ok(err)
		for _, a := range answers {
			all = append(all, a.Source.Version.String())
		}
		return all
	}
	if got := versions(v); len(got) != 1 || got[0] != "1.0" {
		t.Errorf("as of before the second: %q, also since it is pinned", got)
	}
	if _, err := w.catalog.Lookup(t.Context(), v, "foo", w.version("2.0")); !errors.Is(err, source.ErrNone) {
		t.Errorf("a later version asked for by number: %v", err)
	}
	if got := versions(now); len(got) != 2 {
		t.Errorf("today: %q", got)
	}
	filename, _ := testindex.Sdist(spec("foo", "1.0"))
	w.up.Edit(filename, func(f *testindex.File) { f.Uploaded = time.Time{} })
	w.fresh()
	if a := w.lookup(v, "foo==1.0"); !strings.Contains(a.Why, "when "+filename+" was uploaded") {
		t.Errorf("without a time: %q", a.Why)
	}
	if a := w.lookup(now, "foo==1.0"); a.Source.Refused != "" {
		t.Errorf("without a time, today: %q", a.Source.Refused)
	}
}
