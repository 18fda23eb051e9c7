package pages

import (
	"context"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/index/simple"
)

// BenchmarkPage is what this package adds to a page of 200 versions that is remembered, next to what rendering it anew would cost.
func BenchmarkPage(b *testing.B) {
	p := simple.Page{Project: "demo"}
	for i := range 200 {
		v := fmt.Sprintf("1.%d", i)
		name := "demo-" + v + "-0_0123456789ab-py3-none-any.whl"
		p.Files = append(p.Files, simple.File{Filename: name, Version: v, URL: "../../files/0123456789012345678901234567890123456789012345678901234567890123/" + name,
			SHA256: "0123456789012345678901234567890123456789012345678901234567890123", Size: 12345, Uploaded: time.Unix(1_700_000_000, 0), RequiresPython: ">=3.8",
			Metadata: true, MetadataSHA256: "0123456789012345678901234567890123456789012345678901234567890123"})
	}
	r := httptest.NewRequest("GET", "/simple/demo/", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	b.Run("remembered", func(b *testing.B) {
		var c Cache
		for b.Loop() {
			page, err := c.Get(b.Context(), Key{ContentType: simple.TypeJSON}, func() uint64 { return 0 }, func(context.Context) (Page, error) { return p, nil })
			if err != nil {
				b.Fatal(err)
			}
			page.Serve(httptest.NewRecorder(), r)
		}
	})
	b.Run("changed", func(b *testing.B) {
		for b.Loop() {
			render(simple.TypeJSON, p).Serve(httptest.NewRecorder(), r)
		}
	})
}
