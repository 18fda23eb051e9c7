package resolver_test

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/cas/disk"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/testindex"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/environ"
	"github.com/python-wheel-build/axle/resolver/git"
	"github.com/python-wheel-build/axle/resolver/source"
	"github.com/python-wheel-build/axle/resolver/upstream"
	"github.com/python-wheel-build/axle/resolver/view"
	"github.com/python-wheel-build/axle/resolver/view/config"
	"github.com/python-wheel-build/axle/resolver/view/plugins"
)

// world is a store, an upstream, and what can be said about them in one line each.
type world struct {
	t       testing.TB
	dir     string
	store   *cas.Store
	up      *testindex.Index
	catalog *resolver.Catalog
	clock   time.Time
	git     *git.Client // nil where a test has no use for it
}

var target = dist.Target{Python: "cp311", ABI: "cp311", Platform: "linux_x86_64", Glibc: "2.36", PythonVersion: "3.11", PythonFullVersion: "3.11.7",
	Implementation: "cpython", Machine: "x86_64", Markers: map[string]string{"python_version": "3.11", "sys_platform": "linux"}}

func newWorld(t testing.TB) *world {
	w := &world{t: t, dir: t.TempDir(), up: testindex.New(t), clock: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	b, err := disk.Open(w.dir)
	w.ok(err)
	w.store, err = cas.Open(t.Context(), b, filepath.Join(w.dir, "tmp"))
	w.ok(err)
	t.Cleanup(func() { _ = w.store.Close() })
	w.fresh()
	return w
}

// fresh is the catalog of another process on the same store, which remembers nothing.
func (w *world) fresh() {
	w.catalog = &resolver.Catalog{Sources: source.Sources{Store: w.store, Upstream: &upstream.Client{HTTP: http.DefaultClient}, Git: w.git},
		Now: func() time.Time { return w.clock }}
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// decided is what a view is published from; the zero value is a view with nothing special.
type decided struct {
	files       map[string]string // of the settings folder
	constraints string
	environment map[string]string
	declared    config.Environment
	private     []string
	wheelsOnly  string
	indexes     []config.Index
	sources     map[dist.Project]config.Source
	asOf        time.Time
	target      dist.Target
	plugins     plugins.Found
}

// plugged is an override plugin of one project, of one source.
func plugged(project dist.Project, text string) plugins.Found {
	return plugins.Found{Blobs: [][]byte{[]byte(text)}, Overrides: map[dist.Project]plugins.Override{
		project: {EntryPoint: "acme", Sources: []plugins.Source{{Path: "acme.py", SHA256: digest.FromString(text)}}}}}
}

func (w *world) view(d decided) *view.View {
	w.t.Helper()
	tree := fstest.MapFS{}
	for name, text := range d.files {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	c := config.View{SettingsFS: tree, Settings: "test", Environment: d.declared, Upstream: d.indexes, Private: d.private, Sources: d.sources, AsOf: d.asOf, WheelsOnly: d.wheelsOnly}
	if c.Upstream == nil {
		c.Upstream = []config.Index{{Name: "main", URL: w.up.Base()}}
	}
	if d.constraints != "" {
		file := filepath.Join(w.t.TempDir(), "constraints.txt")
		w.ok(os.WriteFile(file, []byte(d.constraints), 0o600))
		c.Constraints = []string{file}
	}
	set := environ.Set{"python": {Value: "cpython-3.11.7"}}
	for name, value := range d.environment {
		set[name] = environ.Component{Value: value}
	}
	if d.target.Python == "" {
		d.target = target
	}
	v, err := view.Publish(w.t.Context(), w.store, c, view.Machine{Environment: set, Target: d.target, Plugins: d.plugins})
	w.ok(err)
	return v
}

func (w *world) project(s string) dist.Project {
	w.t.Helper()
	p, err := dist.ParseProject(s)
	w.ok(err)
	return p
}

func (w *world) version(s string) version.Version {
	w.t.Helper()
	v, err := version.Parse(s)
	w.ok(err)
	return v
}

func (w *world) lookup(v *view.View, pin string) resolver.Answer {
	w.t.Helper()
	name, ver, _ := strings.Cut(pin, "==")
	a, err := w.catalog.Lookup(w.t.Context(), v, w.project(name), w.version(ver))
	w.ok(err)
	return a
}

// built stands for a build of pin in the view that gave these bytes with these wheels in its environment. The source is added
// upstream where it isn't there yet, and pinned.
func (w *world) built(v *view.View, pin, bytes string, with ...resolver.Record) resolver.Record {
	w.t.Helper()
	name, ver, _ := strings.Cut(pin, "==")
	return w.builtAs(v, testindex.Spec{Name: name, Version: ver, Marker: bytes}, with...)
}

// builtAs is built where the wheel is that of the spec.
func (w *world) builtAs(v *view.View, s testindex.Spec, with ...resolver.Record) resolver.Record {
	w.t.Helper()
	name, ver, pin := s.Name, s.Version, s.Name+"=="+s.Version
	spec := testindex.Spec{Name: name, Version: ver}
	ctx := w.t.Context()
	if _, err := w.catalog.Lookup(ctx, v, w.project(name), w.version(ver)); errors.Is(err, source.ErrNone) {
		w.up.Add(spec)
		w.fresh()
	}
	a := w.lookup(v, pin)
	blob, source, err := w.catalog.File(ctx, v, a.Source)
	w.ok(err)
	w.ok(blob.Close())
	recipe := resolver.NewRecipe(v, source)
	digest, err := recipe.Digest()
	w.ok(err)
	filename, data := testindex.Wheel(s)
	wheel, err := w.store.AddBytes(ctx, data)
	w.ok(err)
	metadata, err := w.store.AddBytes(ctx, []byte("metadata "+s.Marker))
	w.ok(err)
	r := resolver.Record{Project: w.project(name), Version: w.version(ver), Recipe: digest, Wheel: wheel, Metadata: metadata,
		Bytes: strconv.Itoa(len(data)), Filename: filename,
		Who: "test", When: w.clock}
	for _, q := range with {
		r.Requirements = append(r.Requirements, resolver.Requirement{Project: q.Project, Version: q.Version, Wheel: q.Wheel})
	}
	w.clock = w.clock.Add(time.Minute)
	r, err = w.catalog.Publish(ctx, recipe, r)
	w.ok(err)
	return r
}

// hit demands that the view's answer is this record.
func (w *world) hit(v *view.View, pin string, want resolver.Record) {
	w.t.Helper()
	a := w.lookup(v, pin)
	if a.Record == nil {
		w.t.Fatalf("%s is a miss (%s), want the wheel %s", pin, a.Why, want.Wheel)
	}
	if a.Record.Wheel != want.Wheel || a.Record.Input() != want.Input() {
		w.t.Fatalf("%s: hit is wheel %s of input %s, want %s of %s", pin, a.Record.Wheel, a.Record.Input(), want.Wheel, want.Input())
	}
}

// miss demands a miss whose reason says why.
func (w *world) miss(v *view.View, pin, why string, wanting ...string) {
	w.t.Helper()
	a := w.lookup(v, pin)
	if a.Record != nil {
		w.t.Fatalf("%s is a hit (wheel %s), want a miss: %s", pin, a.Record.Wheel, why)
	}
	if !strings.Contains(a.Why, why) {
		w.t.Fatalf("%s: reason %q does not say %q", pin, a.Why, why)
	}
	var got []string
	for _, p := range a.Wanting {
		got = append(got, p.String())
	}
	if !slices.Equal(got, wanting) {
		w.t.Fatalf("%s: wanting %q, want %q", pin, got, wanting)
	}
}

// path is where a key lies on disk.
func (w *world) path(key string) string { return filepath.Join(w.dir, filepath.FromSlash(key)) }

func (w *world) blob(d cas.Digest) string {
	return w.path("blobs/sha256/" + d.Encoded()[:2] + "/" + d.Encoded())
}

// keys lists what is stored below a prefix.
func (w *world) keys(prefix string) (all []string) {
	w.t.Helper()
	for key, err := range w.store.Keys(w.t.Context(), prefix) {
		w.ok(err)
		all = append(all, key)
	}
	return all
}

// flip changes one byte of a file in place.
func (w *world) flip(path string) {
	w.t.Helper()
	b, err := os.ReadFile(path)
	w.ok(err)
	b[len(b)/2] ^= 1
	w.ok(os.Chmod(path, 0o600))
	w.ok(os.WriteFile(path, b, fs.FileMode(0o600)))
}
