package resolver_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/internal/testindex"
	"github.com/python-wheel-build/axle/resolver/upstream"
)

// BenchmarkPage is what a page costs whose project has 600 versions upstream, an sdist and a wheel each, and 12 of them built: about
// what setuptools has. The listing is fresh and everything was read before.
func BenchmarkPage(b *testing.B) {
	w := newWorld(b)
	v := w.view(decided{environment: map[string]string{"libc": "glibc-2.36", "platform": "linux-x86_64", "system": "sha256:0000"},
		files: map[string]string{"settings.yaml": "backends:\n  mesonpy:\n    config_settings: {builddir: build}\n"}})
	for i := range 600 {
		spec := testindex.Spec{Name: "foo", Version: fmt.Sprintf("%d.%d.%d", i/20, i%20, i%3)}
		w.up.Add(spec)
		w.up.AddWheel(spec)
		if i%50 == 0 {
			w.built(v, "foo=="+spec.Version, spec.Version)
		}
	}
	w.catalog.Upstream = &upstream.Client{Fresh: time.Hour}
	b.ReportAllocs()
	for b.Loop() {
		answers, err := w.catalog.Page(b.Context(), v, "foo")
		if err != nil || len(answers) != 600 {
			b.Fatal(len(answers), err)
		}
	}
}
