package names

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/cas/disk"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/resolver/view"
	"github.com/python-wheel-build/axle/resolver/view/config"
)

// world is a store with names in it, and a clock.
type world struct {
	*testing.T
	dir   string
	names *Names
	clock time.Time
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, dir: t.TempDir(), clock: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	w.names = w.beside()
	return w
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// beside is another process on the same store.
func (w *world) beside() *Names {
	w.Helper()
	b, err := disk.Open(w.dir)
	w.ok(err)
	store, err := cas.Open(w.Context(), b, w.TempDir())
	w.ok(err)
	w.Cleanup(func() { _ = store.Close() })
	return &Names{Store: store, Now: func() time.Time { return w.clock }}
}

// view is one that differs from others by this constraint.
func (w *world) view(constraint string) view.Digest {
	w.Helper()
	file := filepath.Join(w.TempDir(), "c.txt")
	w.ok(os.WriteFile(file, []byte(constraint+"\n"), 0o600))
	v, err := view.Publish(w.Context(), w.names.Store, config.View{Constraints: []string{file}}, view.Machine{
		Target: dist.Target{Python: "cp311", ABI: "cp311", Platform: "linux_x86_64", PythonVersion: "3.11", PythonFullVersion: "3.11.7"}})
	w.ok(err)
	return v.Digest()
}

// point moves a name as a person would.
func (w *world) point(name string, d view.Digest, onDemand bool) {
	w.Helper()
	last, err := w.names.Newest(w.Context(), name)
	w.ok(err)
	_, err = w.names.Point(w.Context(), last, Pointer{Name: name, View: d, OnDemand: onDemand, Origins: []string{"axle"}, Who: "ann@desk"})
	w.ok(err)
}

// configure reads a configuration as a server would.
func (w *world) configure(d view.Digest) (Entry, bool) {
	w.Helper()
	before, moved, err := w.names.Configure(w.Context(), Pointer{Name: "default", View: d, OnDemand: true, Origins: []string{"axle"}, Who: "server"})
	w.ok(err)
	return before, moved
}

// demand says what asking for a name or @digest must give: "builds", "hits" (only) or "none", and of a name which view.
func (w *world) demand(step string, n *Names, name, want string, d view.Digest) {
	w.Helper()
	got, err := n.Get(w.Context(), name)
	is := "hits"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		is = "none"
	case err != nil:
		w.Fatalf("%s: %s: %v", step, name, err)
	case got.OnDemand:
		is = "builds"
	}
	if is != want || is != "none" && got.View.Digest() != d {
		w.Errorf("%s: %s is %s, %v; want %s, %s", step, name, is, got, want, d)
	}
}

func at(d view.Digest) string { return "@" + string(d) }

// newest is the file of a name's newest pointer.
func (w *world) newest(folder string) string {
	w.Helper()
	all, err := filepath.Glob(filepath.Join(w.dir, folder, "*.json"))
	w.ok(err)
	if len(all) == 0 {
		w.Fatalf("nothing in %s", folder)
	}
	return slices.Min(all)
}

// TestPolicy: what a name and the view before it give, by name and by digest.
func TestPolicy(t *testing.T) {
	w := newWorld(t)
	one, two, three := w.view("a<1"), w.view("a<2"), w.view("a<3")
	w.demand("an empty store", w.names, "default", "none", "")
	w.demand("an empty store", w.names, at(one), "hits", one)
	w.demand("an empty store", w.names, "@"+strings.TrimPrefix(string(one), "sha256:"), "hits", one)
	w.demand("an empty store", w.names, "@0123", "none", "")
	w.demand("an empty store", w.names, at("sha256:"+view.Digest(strings.Repeat("0", 64))), "none", "")

	w.point("default", one, true)
	w.demand("pointed", w.names, "default", "builds", one)
	w.demand("pointed", w.names, at(one), "builds", one)
	w.point("default", two, true)
	w.point("default", two, true) // a change of nothing does not make the view before another one
	for _, d := range []view.Digest{one, two} {
		w.demand("moved", w.names, at(d), "builds", d)
	}
	w.point("default", three, true)
	w.demand("moved again", w.names, at(one), "hits", one)
	w.demand("moved again", w.names, at(two), "builds", two)
	w.point("default", three, false)
	w.demand("never", w.names, "default", "hits", three)
	w.demand("never", w.names, at(three), "hits", three)
	w.demand("never", w.names, at(two), "hits", two)
	w.point("other", three, true)
	w.demand("another name builds it", w.names, "default", "hits", three)
	w.demand("another name builds it", w.names, at(three), "builds", three)
	w.point("other", "", false)
	w.demand("retired", w.names, "other", "none", "")
	w.demand("retired", w.names, at(three), "hits", three)
	all, err := w.names.All(t.Context())
	w.ok(err)
	if len(all) != 1 || all[0].Name != "default" || all[0].View != three || all[0].Who != "ann@desk" || !all[0].When.Equal(w.clock) {
		t.Errorf("%+v", all)
	}
	w.point("other", one, true)
	w.demand("back again", w.names, "other", "builds", one)
	w.demand("back again", w.names, at(three), "hits", three)
}

// TestOtherProcess: what one process writes the other sees within a second, its own at once.
func TestOtherProcess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.beside()
	one, two := w.view("a<1"), w.view("a<2")
	w.demand("an empty store", other, "default", "none", "")
	w.demand("an empty store", other, at(two), "hits", two)
	w.point("default", one, true)
	w.ok(w.names.Lend(t.Context(), Lease{View: two, OnDemand: true, Until: w.clock.Add(time.Hour)}))
	w.demand("at once", w.names, "default", "builds", one)
	w.demand("at once", w.names, at(two), "builds", two)
	time.Sleep(maxAge)
	w.demand("after a second", other, "default", "builds", one)
	w.demand("after a second", other, at(two), "builds", two)
}

// TestConfigure: the configuration moves a name only where it says something new; what people decided since it last did stands.
func TestConfigure(t *testing.T) {
	w := newWorld(t)
	one, two, three := w.view("a<1"), w.view("a<2"), w.view("a<3")
	if before, moved := w.configure(one); !moved || before.View != "" {
		t.Errorf("a new name: %+v, moved %v", before, moved)
	}
	for range 2 { // a restart
		if before, moved := w.configure(one); moved || before.View != one || before.From != FromConfig {
			t.Errorf("the same configuration: %+v, moved %v", before, moved)
		}
	}
	w.point("default", two, true)
	if before, moved := w.configure(one); moved || before.View != two || before.Who != "ann@desk" {
		t.Errorf("a promotion was undone: %+v, moved %v", before, moved)
	}
	w.demand("promoted", w.names, "default", "builds", two)
	if before, moved := w.configure(three); !moved || before.View != two {
		t.Errorf("a new configuration: %+v, moved %v", before, moved)
	}
	w.demand("configured anew", w.names, "default", "builds", three)

	// What is promoted first and configured then is the configuration's from then on: a rollback stands.
	w.point("default", one, true)
	if _, moved := w.configure(one); !moved {
		t.Error("a configuration that says what was promoted must be kept as said")
	}
	w.point("default", three, true)
	if _, moved := w.configure(one); moved {
		t.Error("a rollback was undone")
	}
	w.point("default", "", false)
	if before, moved := w.configure(one); moved || !before.Retired() {
		t.Errorf("a retired name came back: %+v", before)
	}
	if _, moved, err := w.names.Configure(t.Context(), Pointer{Name: "default", View: one, Origins: []string{"axle"}}); err != nil || !moved {
		t.Errorf("another policy is another configuration: %v %v", moved, err)
	}
	w.demand("never", w.names, "default", "hits", one)
}

// TestRefused: what no name is pointed to.
func TestRefused(t *testing.T) {
	w := newWorld(t)
	one, two := w.view("a<1"), w.view("a<2")
	w.point("default", one, true)
	last, err := w.names.Newest(t.Context(), "default")
	w.ok(err)
	for _, c := range []struct {
		p    Pointer
		want string
	}{
		{Pointer{Name: "Default", View: one, Origins: []string{"axle"}}, `"Default" is not a name`},
		{Pointer{Name: "../x", View: one, Origins: []string{"axle"}}, "is not a name"},
		{Pointer{Name: "default", View: "sha256:" + view.Digest(strings.Repeat("0", 64)), Origins: []string{"axle"}}, "no such file"},
		{Pointer{Name: "default", View: one}, "axle vouches for"},
	} {
		if _, err := w.names.Point(t.Context(), last, c.p); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.p, err, c.want)
		}
	}
	w.point("default", two, true)
	if _, err := w.names.Point(t.Context(), last, Pointer{Name: "default", View: one, Origins: []string{"axle"}}); !errors.Is(err, ErrMoved) {
		t.Errorf("a name that was moved meanwhile: %v", err)
	}
	w.demand("refused", w.names, "default", "builds", two)
	if err := w.names.Lend(t.Context(), Lease{View: "sha256:" + view.Digest(strings.Repeat("0", 64))}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a lease of no view: %v", err)
	}
}

// TestPointRace: of those who move a name at once from what they saw exactly one does, and no entry is lost.
func TestPointRace(t *testing.T) {
	w := newWorld(t)
	views := []view.Digest{w.view("a<1"), w.view("a<2"), w.view("a<3"), w.view("a<4")}
	w.point("default", w.view("a"), true)
	for round := range 10 {
		last, err := w.names.Newest(t.Context(), "default")
		w.ok(err)
		var all sync.WaitGroup
		moved := make([]error, len(views))
		for i, d := range views {
			n := w.beside()
			all.Go(func() {
				_, moved[i] = n.Point(context.Background(), last, Pointer{Name: "default", View: d, OnDemand: true, Origins: []string{"axle"}, Who: fmt.Sprint(round, i)})
			})
		}
		all.Wait()
		now, err := w.names.Newest(t.Context(), "default")
		w.ok(err)
		for i, err := range moved {
			if (err == nil) != (now.View == views[i]) || err != nil && !errors.Is(err, ErrMoved) {
				t.Fatalf("round %d: %v, and the name points to %s of %s", round, moved, now.View, views)
			}
		}
	}
	n := 0
	for e, err := range w.names.History(t.Context(), "default") {
		w.ok(errors.Join(err, e.Err))
		n++
	}
	if n != 11 {
		t.Errorf("%d entries, want 11", n)
	}
}

// TestDamage: a pointer or lease that can't be read is an error that names it, for what hangs on it and for nothing else; the pointer
// before it never stands in.
func TestDamage(t *testing.T) {
	w := newWorld(t)
	one, two, three := w.view("a<1"), w.view("a<2"), w.view("a<3")
	w.point("default", one, true)
	w.configure(two)
	w.point("default", three, true)
	w.point("other", one, true)
	ctx := t.Context()
	for what, spoil := range map[string]func(string){
		"a flipped bit":    func(file string) { w.flip(file) },
		"another's":        func(file string) { w.copy(w.newest("names/other"), file) },
		"a newer format":   func(file string) { w.ok(os.WriteFile(file, document(t, `{"name":"default","weight":"2"}`), 0o600)) },
		"a key of no form": func(file string) { w.copy(file, filepath.Join(filepath.Dir(file), "00000000000x.json")) },
	} {
		file := w.newest("names/default")
		saved, err := os.ReadFile(file)
		w.ok(err)
		w.ok(os.Chmod(file, 0o600))
		spoil(file)
		n := w.beside()
		names := func(step string, err error) {
			t.Helper()
			if err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "names/default/0") && !strings.Contains(err.Error(), "names/default/9") {
				t.Errorf("%s: %s: %v, want an error that names the key", what, step, err)
			}
		}
		_, err = n.Get(ctx, "default")
		names("Get", err)
		_, _, err = n.Configure(ctx, Pointer{Name: "default", View: two, OnDemand: true, Origins: []string{"axle"}})
		names("Configure", err)
		w.demand(what, n, "other", "builds", one)
		w.demand(what, n, at(three), "hits", three)
		all, err := n.All(ctx)
		w.ok(err)
		if len(all) != 2 || all[1].Err != nil || all[0].View != "" {
			t.Errorf("%s: %+v", what, all)
		} else {
			names("All", all[0].Err)
		}
		if what != "a key of no form" {
			// Somebody says anew what it is to point to.
			last, err := n.Newest(ctx, "default")
			w.ok(err)
			_, err = n.Point(ctx, last, Pointer{Name: "default", View: two, OnDemand: true, Origins: []string{"axle"}})
			w.ok(err)
			w.demand(what+", said anew", n, "default", "builds", two)
			w.ok(os.Remove(w.newest("names/default")))
		} else {
			w.ok(os.Remove(filepath.Join(filepath.Dir(file), "00000000000x.json")))
		}
		w.ok(os.WriteFile(file, saved, 0o600))
		w.demand(what+", put back", w.beside(), "default", "builds", three)
	}

	// An older one that is damaged takes nothing from the name, but nobody knows any more what the configuration said last.
	all, err := filepath.Glob(filepath.Join(w.dir, "names/default/*.json"))
	w.ok(err)
	w.ok(os.Chmod(all[1], 0o600))
	saved, err := os.ReadFile(all[1])
	w.ok(err)
	w.flip(all[1])
	w.demand("the one before is damaged", w.beside(), "default", "builds", three)
	if _, _, err := w.names.Configure(ctx, Pointer{Name: "default", View: two, OnDemand: true, Origins: []string{"axle"}}); err == nil || !strings.Contains(err.Error(), filepath.Base(all[1])) {
		t.Errorf("Configure: %v", err)
	}
	w.ok(os.WriteFile(all[1], saved, 0o600))

	// The view's own blob.
	hex := strings.TrimPrefix(string(three), "sha256:")
	w.flip(filepath.Join(w.dir, "blobs/sha256", hex[:2], hex))
	if _, err := w.beside().Get(ctx, "default"); err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), hex) {
		t.Errorf("a view that is gone: %v", err)
	}
	w.demand("a view that is gone", w.beside(), "other", "builds", one)
}

// TestLease: a view without a name builds until its lease runs out, is served afterwards, and one damaged lease harms its own view only.
func TestLease(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	one, two, three := w.view("a<1"), w.view("a<2"), w.view("a<3")
	lend := func(d view.Digest, onDemand bool, hours int) {
		t.Helper()
		w.ok(w.names.Lend(ctx, Lease{View: d, OnDemand: onDemand, Until: w.clock.Add(time.Duration(hours) * time.Hour), Who: "ann@desk", Why: "!17"}))
	}
	lend(one, true, 3)
	lend(one, true, 1)
	lend(one, false, 9)
	lend(two, false, 9)
	lend(three, true, 9)
	w.demand("lent", w.names, at(one), "builds", one)
	w.demand("lent, hits only", w.names, at(two), "hits", two)
	w.clock = w.clock.Add(2 * time.Hour)
	w.demand("one of two ran out", w.beside(), at(one), "builds", one)
	w.clock = w.clock.Add(time.Hour)
	w.demand("ran out", w.beside(), at(one), "hits", one)
	leases, err := w.names.Leases(ctx)
	w.ok(err)
	if len(leases) != 3 || !slices.ContainsFunc(leases, func(l Lease) bool { return l.View == three && l.OnDemand && l.Who == "ann@desk" && l.Why == "!17" }) {
		t.Errorf("%+v", leases)
	}
	folder := "leases/" + strings.TrimPrefix(string(one), "sha256:")
	file := w.newest(folder)
	w.ok(os.Chmod(file, 0o600))
	w.flip(file)
	n := w.beside()
	if _, err := n.Get(ctx, at(one)); err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), folder) {
		t.Errorf("a damaged lease: %v", err)
	}
	w.demand("another's lease is damaged", n, at(three), "builds", three)
	if leases, err := n.Leases(ctx); err == nil || !strings.Contains(err.Error(), folder) || len(leases) != 2 {
		t.Errorf("%+v %v", leases, err)
	}
	w.point("default", one, true) // a name's own policy needs no lease
	w.demand("named", w.names, at(one), "builds", one)
}

// document is what a store would hold, whoever wrote it.
func document(t *testing.T, line string) []byte {
	t.Helper()
	return fmt.Appendf(nil, "%s\n%s\n", line, digest.FromString(line))
}

func (w *world) copy(from, to string) {
	w.Helper()
	b, err := os.ReadFile(from)
	w.ok(err)
	w.ok(os.WriteFile(to, b, 0o600))
}

// flip changes one byte of a file in place.
func (w *world) flip(file string) {
	w.Helper()
	b, err := os.ReadFile(file)
	w.ok(err)
	b[len(b)/2] ^= 1
	w.ok(os.Chmod(file, 0o600))
	w.ok(os.WriteFile(file, b, 0o600))
}
