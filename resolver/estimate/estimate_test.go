package estimate_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/cas/disk"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/estimate"
	"github.com/python-wheel-build/axle/resolver/source"
	"github.com/python-wheel-build/axle/resolver/view"
)

// world is a store in which builds of one project are on record.
type world struct {
	t       *testing.T
	catalog *resolver.Catalog
	view    *view.View
	clock   time.Time
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, clock: time.Now(), view: &view.View{}}
	w.view.Target = dist.Target{Python: "cp311", ABI: "cp311", Platform: "linux_x86_64", Glibc: "2.36", PythonVersion: "3.11", PythonFullVersion: "3.11.7", Implementation: "cpython", Machine: "x86_64"}
	backend, err := disk.Open(t.TempDir())
	w.ok(err)
	store, err := cas.Open(t.Context(), backend, t.TempDir())
	w.ok(err)
	t.Cleanup(func() { _ = store.Close() })
	w.catalog = &resolver.Catalog{Sources: source.Sources{Store: store}}
	return w
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) version(s string) version.Version {
	w.t.Helper()
	v, err := version.Parse(s)
	w.ok(err)
	return v
}

func (w *world) expect(ver string) time.Duration {
	w.t.Helper()
	return estimate.Of(w.t.Context(), w.catalog.Store, w.view, "demo", w.version(ver))
}

// ran puts a build on record: of a version, for a target, that took so long.
func (w *world) ran(ver, tags, seconds string) {
	w.t.Helper()
	sum, err := w.catalog.Store.AddBytes(w.t.Context(), []byte(ver+tags+seconds))
	w.ok(err)
	r := resolver.Record{Project: "demo", Version: w.version(ver), Wheel: sum, Metadata: sum, Bytes: "1", Seconds: seconds, Who: "test", When: w.clock,
		Recipe: resolver.RecipeDigest(sum), Filename: dist.FormatWheelName("demo", w.version(ver), "", tags)}
	w.clock = w.clock.Add(time.Minute)
	_, err = w.catalog.Publish(w.t.Context(), resolver.Recipe{Project: r.Project, Version: r.Version}, r)
	w.ok(err)
}

func TestOf(t *testing.T) {
	w := newWorld(t)
	const here, there = "py3-none-any", "cp27-cp27m-win32"
	expect := func(ver string, want time.Duration) {
		t.Helper()
		if got := w.expect(ver); got != want {
			t.Errorf("%s: %s, want %s", ver, got, want)
		}
	}
	expect("1.0", 0) // never built
	w.ran("1.0", here, "")
	expect("1.0", 0) // taken as it was, or by an Axle that did not measure
	w.ran("1.0", here, "360.5")
	expect("1.0", 360500*time.Millisecond)
	w.ran("10.0", here, "10")
	w.ran("9.0", here, "9")
	expect("1.0", 360500*time.Millisecond) // the same version tells most
	expect("2.0", 10*time.Second)          // of others the newest, by number
	w.ran("1.0", here, "60")
	expect("1.0", time.Minute) // what was built last
	w.ran("1.0", there, "7")
	expect("1.0", time.Minute) // for this target where there is a choice
	w.ran("3.0", there, "7")
	expect("3.0", 7*time.Second)
	for i, bad := range []string{"soon", "-1", "NaN", "Inf", "1e300"} {
		w.ran(fmt.Sprintf("20.%d", i), here, bad)
		expect(fmt.Sprintf("20.%d", i), 10*time.Second)
	}
}

// However many records a project has, an estimate reads a few.
func TestIsBounded(t *testing.T) {
	w := newWorld(t)
	w.ran("1.0", "py3-none-any", "5")
	for i := range 40 {
		w.ran(fmt.Sprintf("2.%d", i), "py3-none-any", "")
	}
	if got := w.expect("3.0"); got != 0 {
		t.Errorf("%s: it read all of them", got)
	}
	if got := w.expect("1.0"); got != 5*time.Second {
		t.Errorf("%s for a version of its own", got)
	}
}

func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "", -1: "", 1234567890: "1.23", time.Hour: "3600.00"} {
		if got := estimate.Seconds(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
	if got := estimate.Took(resolver.Record{Seconds: "1.23"}); got != 1230*time.Millisecond {
		t.Error(got)
	}
}
