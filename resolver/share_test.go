package resolver_test

import (
	"os"
	"slices"
	"testing"

	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/testindex"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/view"
	"github.com/python-wheel-build/axle/resolver/view/config"
)

// accelerated is a view of one accelerator: environments that differ in image and libc, and in what more says.
func accelerated(image string, more map[string]string, declared config.Environment) decided {
	d := decided{environment: map[string]string{"image": image, "libc": "of " + image}, declared: declared}
	for name, value := range more {
		d.environment[name] = value
	}
	return d
}

var pureShared = config.Environment{SharePure: []string{"image", "libc"}}

// share does what the builder does with each hit that it finds.
func (w *world) share(v *view.View, pin string) {
	w.t.Helper()
	w.ok(w.catalog.Share(w.t.Context(), w.lookup(v, pin)))
}

func TestShare(t *testing.T) {
	for name, test := range map[string]func(w *world, cpu, gpu *view.View){
		"a pure wheel: a hit in the other environment": func(w *world, cpu, gpu *view.View) {
			r := w.built(cpu, "foo==1.0", "1")
			w.miss(gpu, "foo==1.0", "never built")
			w.share(cpu, "foo==1.0")
			if got := w.lookup(gpu, "foo==1.0"); got.Record == nil || got.Record.Wheel != r.Wheel || got.Record.Recipe == r.Recipe || got.Share != nil {
				w.t.Fatalf("%+v, want the wheel %s", got, r.Wheel)
			}
			w.hit(cpu, "foo==1.0", r) // and where it was built it is what it was
			if keys := w.keys("records/foo/"); len(keys) != 2 || w.lookup(cpu, "foo==1.0").Share != nil {
				w.t.Fatalf("%q", keys)
			}
			w.share(cpu, "foo==1.0")
			if keys := w.keys("records/foo/"); len(keys) != 2 {
				w.t.Fatalf("twice: %q", keys)
			}
		},
		"nobody declared it: a miss": func(w *world, _, _ *view.View) {
			cpu, gpu := w.view(accelerated("a", nil, config.Environment{})), w.view(accelerated("b", nil, config.Environment{}))
			w.built(cpu, "foo==1.0", "1")
			w.share(cpu, "foo==1.0")
			w.miss(gpu, "foo==1.0", "never built")
		},
		"only the other one declared it: a miss": func(w *world, cpu, _ *view.View) {
			w.built(cpu, "foo==1.0", "1")
			w.share(cpu, "foo==1.0")
			w.miss(w.view(accelerated("b", nil, config.Environment{})), "foo==1.0", "never built")
		},
		"a project that says it can't be shared: a miss": func(w *world, _, _ *view.View) {
			not := pureShared
			not.Projects = map[dist.Project]config.Depends{"foo": {SharePure: []string{}}}
			cpu, gpu := w.view(accelerated("a", nil, not)), w.view(accelerated("b", nil, not))
			w.built(cpu, "foo==1.0", "1")
			w.share(cpu, "foo==1.0")
			w.miss(gpu, "foo==1.0", "never built")
		},
		"a project for itself: a hit, of other projects nothing": func(w *world, _, _ *view.View) {
			own := config.Environment{Projects: map[dist.Project]config.Depends{"foo": {SharePure: []string{"image", "libc"}}}}
			cpu, gpu := w.view(accelerated("a", nil, own)), w.view(accelerated("b", nil, own))
			for _, pin := range []string{"foo==1.0", "bar==1.0"} {
				w.built(cpu, pin, "1")
				w.share(cpu, pin)
			}
			if w.lookup(gpu, "foo==1.0").Record == nil {
				w.t.Error("foo is a miss")
			}
			w.miss(gpu, "bar==1.0", "never built")
		},
		"another component differs, too: a miss": func(w *world, cpu, _ *view.View) {
			w.built(cpu, "foo==1.0", "1")
			w.share(cpu, "foo==1.0")
			w.miss(w.view(accelerated("b", map[string]string{"env:ACCELERATOR": "cuda"}, pureShared)), "foo==1.0", "never built")
		},
		"a wheel of a platform: a miss": func(w *world, cpu, gpu *view.View) {
			w.builtAs(cpu, testindex.Spec{Name: "foo", Version: "1.0", Tags: "cp311-cp311-linux_x86_64"})
			w.share(cpu, "foo==1.0")
			w.miss(gpu, "foo==1.0", "never built")
		},
		"a wheel that says it is pure, and holds a library: a miss": func(w *world, cpu, gpu *view.View) {
			w.builtAs(cpu, testindex.Spec{Name: "foo", Version: "1.0", Files: map[string]string{"wheel/foo/lib/libfoo.so.1": "x"}})
			w.share(cpu, "foo==1.0")
			w.miss(gpu, "foo==1.0", "never built")
		},
		"built with a wheel of a platform: a miss": func(w *world, cpu, gpu *view.View) {
			tool := w.builtAs(cpu, testindex.Spec{Name: "tool", Version: "1.0", Tags: "cp311-cp311-linux_x86_64"})
			w.built(cpu, "foo==1.0", "1", tool)
			w.share(cpu, "tool==1.0")
			w.share(cpu, "foo==1.0")
			w.miss(gpu, "foo==1.0", "never built")
		},
		"built with pure wheels and one taken pre-built: hits, all the way up": func(w *world, _, _ *view.View) {
			d := accelerated("a", nil, pureShared)
			d.files = map[string]string{"settings/cmake.yaml": "variants: {cpu: {pre_built: true}}\n"}
			cpu := w.view(d)
			d.environment["image"] = "b"
			gpu := w.view(d)
			w.up.AddWheel(testindex.Spec{Name: "cmake", Version: "1.0", Tags: "py3-none-manylinux_2_17_x86_64"})
			w.fresh()
			cmake := w.builtAs(cpu, testindex.Spec{Name: "cmake", Version: "1.0", Tags: "py3-none-manylinux_2_17_x86_64"})
			base := w.built(cpu, "base==1.0", "b", cmake)
			tool := w.built(cpu, "tool==1.0", "t", base)
			top := w.built(cpu, "foo==1.0", "1", tool, cmake)
			for _, pin := range []string{"cmake==1.0", "base==1.0", "foo==1.0"} {
				w.share(cpu, pin)
			}
			w.miss(gpu, "foo==1.0", "tool==1.0", "tool==1.0") // which nobody shared yet
			w.share(cpu, "tool==1.0")
			if a := w.lookup(gpu, "foo==1.0"); a.Record == nil || a.Record.Wheel != top.Wheel {
				w.t.Errorf("a miss: %s", a.Why)
			}
		},
		"built with what the other environment has another wheel of: a miss": func(w *world, cpu, gpu *view.View) {
			tool := w.built(cpu, "tool==1.0", "of the cpu")
			w.built(cpu, "foo==1.0", "1", tool)
			w.share(cpu, "foo==1.0")
			w.built(gpu, "tool==1.0", "of the gpu")
			w.miss(gpu, "foo==1.0", "another wheel of tool==1.0")
		},
		"what an environment has built itself stays its hit": func(w *world, cpu, gpu *view.View) {
			w.built(cpu, "foo==1.0", "1", w.built(cpu, "tool==1.0", "t"))
			own := w.built(gpu, "foo==1.0", "2", w.built(gpu, "tool==2.0", "t"))
			w.clock = own.When.Add(1)
			for _, pin := range []string{"tool==1.0", "foo==1.0"} {
				w.share(cpu, pin)
			}
			w.hit(gpu, "foo==1.0", own)
			w.ok(os.Remove(w.blob(own.Wheel)))
			if a := w.lookup(gpu, "foo==1.0"); a.Record == nil || a.Record.Wheel == own.Wheel {
				w.t.Errorf("%+v: with its bytes gone the shared one is the hit", a)
			}
		},
		"a wheel that is damaged: nothing is shared, and nothing fails": func(w *world, cpu, gpu *view.View) {
			w.built(cpu, "foo==1.0", "1")
			a := w.lookup(cpu, "foo==1.0")
			w.flip(w.blob(a.Record.Wheel))
			w.ok(w.catalog.Share(w.t.Context(), a))
			w.ok(w.catalog.Share(w.t.Context(), a)) // by now it is set aside
			w.miss(gpu, "foo==1.0", "never built")
		},
		"nobody's address but a pure wheel's": func(w *world, cpu, gpu *view.View) {
			w.builtAs(cpu, testindex.Spec{Name: "foo", Version: "1.0", Tags: "cp311-cp311-linux_x86_64"})
			a := w.lookup(cpu, "foo==1.0")
			r := *a.Record
			shared := resolver.SharedRecipe(cpu, *a.Recipe)
			var err error
			r.Recipe, err = shared.Digest()
			w.ok(err)
			_, err = w.catalog.Publish(w.t.Context(), *shared, r)
			w.ok(err)
			w.miss(gpu, "foo==1.0", "never built")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			test(w, w.view(accelerated("a", nil, pureShared)), w.view(accelerated("b", nil, pureShared)))
		})
	}
}

// What a project does not depend on makes no miss of it, and of every other project one.
func TestWithout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	less := config.Environment{Projects: map[dist.Project]config.Depends{"foo": {Without: []string{"path:rocm"}}}}
	of := func(rocm string) *view.View {
		return w.view(decided{environment: map[string]string{"path:rocm": rocm}, declared: less})
	}
	r := w.built(of("1"), "foo==1.0", "1")
	w.built(of("1"), "bar==1.0", "2")
	w.hit(of("2"), "foo==1.0", r)
	w.miss(of("2"), "bar==1.0", "never built")
	w.hit(w.view(decided{}), "foo==1.0", r) // as where there is no such component
}

// What a hook says counts for those whom it means.
func TestHookComponents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	of := func(components ...string) *view.View {
		d := decided{environment: map[string]string{}, declared: config.Environment{Hook: config.Hook{Command: []string{"x"}},
			Projects: map[dist.Project]config.Depends{"deaf": {Without: []string{"hook:*"}}}}}
		for i := 0; i < len(components); i += 2 {
			d.environment["hook:"+components[i]] = components[i+1]
		}
		return w.view(d)
	}
	was := of("*", "1", "foo", "1", "bar==2.0", "1")
	pins := []string{"foo==1.0", "bar==1.0", "bar==2.0.0", "other==1.0", "deaf==1.0"}
	records := map[string]resolver.Record{}
	for _, pin := range pins {
		records[pin] = w.built(was, pin, pin)
	}
	for _, test := range []struct {
		is   *view.View
		miss []string
	}{
		{was, nil},
		{of("*", "2", "foo", "1", "bar==2.0", "1"), []string{"foo==1.0", "bar==1.0", "bar==2.0.0", "other==1.0"}},
		{of("*", "1", "foo", "2", "bar==2.0", "1"), []string{"foo==1.0"}},
		{of("*", "1", "foo", "1", "bar==2.0", "2"), []string{"bar==2.0.0"}},
		{of("*", "1", "foo", "1", "bar==2.0", "1", "other==1.0", "1", "bar==3.0", "1"), []string{"other==1.0"}},
		{of("*", "1", "bar==2.0", "1"), []string{"foo==1.0"}},
	} {
		for _, pin := range pins {
			if slices.Contains(test.miss, pin) {
				w.miss(test.is, pin, "never built")
			} else {
				w.hit(test.is, pin, records[pin])
			}
		}
	}
}
