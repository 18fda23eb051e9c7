package index

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/cas/disk"
	"github.com/python-wheel-build/axle/internal/testindex"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/source"
	"github.com/python-wheel-build/axle/resolver/upstream"
	"github.com/python-wheel-build/axle/resolver/view"
)

// hits says of each file of a page whether it is a hit, in the page's order.
func (w *world) hits(path string) string {
	w.Helper()
	var s strings.Builder
	for _, f := range w.listed(path) {
		if f.Hashes["sha256"] != "" {
			s.WriteString("h")
		} else {
			s.WriteString("p")
		}
	}
	return s.String()
}

// What this server does itself shows on the very next page, however lately the page was asked for.
func TestPagesAreTrueAtOnce(t *testing.T) {
	w := newWorld(t, nil)
	w.add(testindex.Spec{Name: "demo", Version: "1.0", Marker: "one"}, testindex.Spec{Name: "demo", Version: "2.0"}, testindex.Spec{Name: "demo", Version: "3.0"})
	const page = "simple/demo/"
	shows := func(want, what string) {
		t.Helper()
		for range 2 { // computed, and remembered
			if got := w.hits(page); got != want {
				t.Fatalf("%s: the page shows %s, want %s", what, got, want)
			}
		}
	}
	shows("ppp", "nothing is built")
	one := w.build("demo", "1.0")
	shows("hpp", "one is built")
	two := w.build("demo", "2.0")
	shows("hhp", "two are built")
	check(t, w.Catalog.Store.Create(t.Context(), "revocations/"+two.Wheel.Encoded()+".json", struct{}{}))
	shows("hpp", "one is revoked")
	blob := filepath.Join(w.dir, "blobs", "sha256", one.Wheel.Encoded()[:2], one.Wheel.Encoded())
	check(t, errors.Join(os.Chmod(blob, 0o666), os.WriteFile(blob, []byte("other bytes"), 0o666)))
	if a := w.get(w.url + filePath(&view.View{}, one)); a.status != 503 {
		t.Fatalf("a damaged wheel: %d %s", a.status, a.body)
	}
	shows("ppp", "one was found damaged")
	if again := w.build("demo", "1.0"); again.Wheel != one.Wheel {
		t.Errorf("rebuilt as %s, was %s", again.Wheel, one.Wheel)
	}
	shows("hpp", "it is built again, to the same bytes")
	before := w.listed(page)[2].Filename
	w.publish("default", true, "demo<9")
	if after := w.listed(page)[2].Filename; after == before {
		t.Errorf("the name points to another view, and its page has still %s", after)
	}
	w.publish("default", false, "demo<9")
	shows("h", "the name builds nothing any more")
}

// What others do shows after a second, and until then no page is computed again.
func TestPagesOfOthersChanges(t *testing.T) {
	w := newWorld(t, nil)
	w.add(testindex.Spec{Name: "demo", Version: "1.0"})
	backend, err := disk.Open(w.dir)
	check(t, err)
	store, err := cas.Open(t.Context(), backend, t.TempDir())
	check(t, err)
	defer store.Close()
	mine := w.builder.catalog
	w.builder.catalog = &resolver.Catalog{Sources: source.Sources{Store: store, Upstream: &upstream.Client{}}}
	for _, change := range []struct {
		what, before, after string
		make                func()
	}{
		{"another process builds", "p", "h", func() { w.build("demo", "1.0") }},
		{"upstream has a new release", "h", "hp", func() { w.up.Add(testindex.Spec{Name: "demo", Version: "2.0"}) }},
	} {
		if got := w.hits("simple/demo/"); got != change.before {
			t.Fatalf("before %s: %s", change.what, got)
		}
		change.make()
		made := time.Now()
		asked := len(w.up.Requests())
		for w.hits("simple/demo/") != change.after {
			if time.Since(made) > time.Second+5*time.Second { // the machine may be slow, too
				t.Fatalf("%s: not seen after %s", change.what, time.Since(made))
			}
			time.Sleep(10 * time.Millisecond)
		}
		if n := len(w.up.Requests()) - asked; n > 2+int(time.Since(made)/time.Second) {
			t.Errorf("%s: upstream was asked %d times in %s", change.what, n, time.Since(made))
		}
	}
	w.builder.catalog = mine
}
