package resolver_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/cas/disk"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/source"
	"github.com/python-wheel-build/axle/resolver/upstream"
	"github.com/python-wheel-build/axle/resolver/view"
)

// counting notes how often each object is looked at.
type counting struct {
	*disk.Backend
	mu   sync.Mutex // guards seen
	seen map[string]int
}

func (c *counting) note(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[what]++
}

func (c *counting) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, cas.Info, error) {
	c.note("open " + key)
	return c.Backend.Open(ctx, key, off, n)
}

func (c *counting) Stat(ctx context.Context, key string) (cas.Info, error) {
	c.note("stat " + key)
	return c.Backend.Stat(ctx, key)
}

func (c *counting) List(ctx context.Context, prefix, after string) iter.Seq2[cas.Info, error] {
	c.note("list " + prefix)
	return c.Backend.List(ctx, prefix, after)
}

// memory keeps objects in a map: to make a store of thousands of documents in no time.
type memory map[string][]byte

func (m memory) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, cas.Info, error) {
	info, err := m.Stat(ctx, key)
	if err != nil {
		return nil, info, err
	}
	return io.NopCloser(bytes.NewReader(m[key])), info, nil // cas opens whole objects only
}

func (m memory) Create(_ context.Context, key string, _ int64, r io.Reader) (err error) {
	m[key], err = io.ReadAll(r)
	return err
}

func (m memory) Stat(_ context.Context, key string) (cas.Info, error) {
	b, ok := m[key]
	if !ok {
		return cas.Info{}, fs.ErrNotExist
	}
	return cas.Info{Key: key, Size: int64(len(b))}, nil
}

func (m memory) List(context.Context, string, string) iter.Seq2[cas.Info, error] {
	return func(func(cas.Info, error) bool) {}
}

func (m memory) Remove(context.Context, string) error { return nil }

// large is a world whose project foo has that many versions, each built with so many wheels, one of each of as many projects of ten
// versions. Its store is on disk and was written by nobody's build.
func large(t testing.TB, versions, requirements int) (*world, *view.View) {
	w := newWorld(t)
	v := w.view(decided{environment: map[string]string{"libc": "glibc-2.36", "platform": "linux-x86_64", "system": "sha256:0000"},
		files: map[string]string{"settings.yaml": "backends:\n  mesonpy:\n    config_settings: {builddir: build}\n"}})
	objects := memory{}
	store, err := cas.Open(t.Context(), objects, t.TempDir())
	w.ok(err)
	defer store.Close()
	catalog := &resolver.Catalog{Sources: source.Sources{Store: store}}
	file := func(pin string, with []resolver.Record) resolver.Record {
		name, ver, _ := strings.Cut(pin, "==")
		s := source.Source{Project: dist.Project(name), Version: w.version(ver), SHA256: digest.FromString(pin),
			How: source.How{Kind: "sdist", Index: "main", Filename: name + "-" + ver + ".tar.gz"}}
		w.ok(store.Create(t.Context(), "sources/"+name+"/"+ver+"/"+digest.FromString(pin).Encoded()+".json", map[string]any{"project": name, "version": ver,
			"how": s.How, "sha256": s.SHA256, "size": "1", "uploaded": w.clock}))
		recipe := resolver.NewRecipe(v, s)
		of, err := recipe.Digest()
		w.ok(err)
		r := resolver.Record{Project: s.Project, Version: s.Version, Recipe: of, Bytes: "1", Filename: dist.FormatWheelName(s.Project, s.Version, "", "py3-none-any"), Who: "test", When: w.clock}
		r.Wheel, err = store.AddBytes(t.Context(), []byte("wheel "+pin))
		w.ok(err)
		r.Metadata, err = store.AddBytes(t.Context(), []byte("metadata "+pin))
		w.ok(err)
		for _, q := range with {
			r.Requirements = append(r.Requirements, resolver.Requirement{Project: q.Project, Version: q.Version, Wheel: q.Wheel})
		}
		r, err = catalog.Publish(t.Context(), recipe, r)
		w.ok(err)
		return r
	}
	const each = 10
	tools := make([][]resolver.Record, requirements)
	for i := range tools {
		for j := range each {
			tools[i] = append(tools[i], file(fmt.Sprintf("tool%d==%d.0", i, j), nil))
		}
	}
	for n := range versions {
		var with []resolver.Record
		for i := range tools {
			with = append(with, tools[i][(i+n)%each])
		}
		file(fmt.Sprintf("foo==%d.%d", n/20, n%20), with)
	}
	for key, b := range objects {
		w.ok(os.MkdirAll(filepath.Dir(w.path(key)), 0o755))
		if key != "axle-store.json" {
			w.ok(os.WriteFile(w.path(key), b, 0o644))
		}
	}
	w.catalog.Upstream = &upstream.Client{Fresh: time.Hour}
	return w, v
}

// BenchmarkHit is what the answers for a project's thousand versions cost, each of them a hit: alone, and built with fifty wheels each;
// cold is the first question of a process, warm every later one.
func BenchmarkHit(b *testing.B) {
	for _, requirements := range []int{0, 50} {
		w, v := large(b, 1000, requirements)
		for _, cold := range []bool{true, false} {
			name := fmt.Sprintf("requirements=%d/warm", requirements)
			if cold {
				name = fmt.Sprintf("requirements=%d/cold", requirements)
			}
			b.Run(name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if cold {
						b.StopTimer()
						listed := w.catalog.Upstream
						w.fresh()
						w.catalog.Upstream = listed
						b.StartTimer()
					}
					hits(b, w, v, 1000)
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/1000, "us/version")
			})
		}
	}
}

// hits demands that all versions are.
func hits(t testing.TB, w *world, v *view.View, versions int) {
	t.Helper()
	answers, err := w.catalog.Page(t.Context(), v, dist.Project("foo"))
	if err != nil || len(answers) != versions {
		t.Fatal(len(answers), err)
	}
	for _, a := range answers {
		if a.Record == nil {
			t.Fatalf("%s is a miss: %s", a.Source.Version, a.Why)
		}
	}
}

// TestHitReads: one question looks at each object once, and what it makes of the store's answers is little.
func TestHitReads(t *testing.T) {
	const versions, requirements = 100, 50
	w, v := large(t, versions, requirements)
	backend, err := disk.Open(w.dir)
	w.ok(err)
	count := &counting{Backend: backend, seen: map[string]int{}}
	store, err := cas.Open(t.Context(), count, t.TempDir())
	w.ok(err)
	defer store.Close()
	listed := w.catalog.Upstream
	w.catalog = &resolver.Catalog{Sources: source.Sources{Store: store, Upstream: listed}}
	hits(t, w, v, versions)
	kinds := map[string]int{}
	for what, n := range count.seen {
		kind, _, _ := strings.Cut(what, " ")
		kinds[kind]++
		if n > 1 && !strings.HasSuffix(what, "axle-store.json") {
			t.Errorf("%s: %d times in one question", what, n)
		}
	}
	// A pin and a record for each version asked for and for each of those that they were built with; a wheel and its metadata of the former.
	const nodes = versions + 10*requirements
	if kinds["open"] != 2*nodes+1 || kinds["stat"] != 2*versions {
		t.Errorf("%v, want 2 documents of each of %d versions read and 2 blobs of each of %d looked for", kinds, nodes, versions)
	}
	clear(count.seen)
	hits(t, w, v, versions)
	for what := range count.seen {
		if strings.HasPrefix(what, "open ") {
			t.Errorf("the second question reads %s again", what)
		}
	}
	if got := testing.AllocsPerRun(3, func() { hits(t, w, v, versions) }) / nodes; got > 120 {
		t.Errorf("%.0f allocations for each of %d versions, want at most 120", got, nodes)
	} else {
		t.Logf("%.0f allocations for each version", got)
	}
}
