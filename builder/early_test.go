package builder

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestWantedFlights: a flight that was started early becomes one that somebody waits for with its first asker, and with it all that it waits
// for and will wait for.
func TestWantedFlights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := newFlights(t.Context())
		wanted := func(want string) {
			t.Helper()
			synctest.Wait()
			fs.mu.Lock()
			defer fs.mu.Unlock()
			var got []string
			for key, f := range fs.m {
				if !f.Early() {
					got = append(got, key)
				}
			}
			slices.Sort(got)
			if s := fmt.Sprint(got); s != want {
				t.Errorf("wanted: %s, want %s", s, want)
			}
		}
		// top needs middle, which needs bottom; after an hour top also needs late. other is needed by nobody else.
		sleep := func(context.Context, *flight) error { time.Sleep(4 * time.Hour); return nil }
		need := func(ctx context.Context, f *flight, key string, run func(context.Context, *flight) error) error {
			_, err := fs.join(as(ctx, f.key), key, key, "v", nil, run)
			return err
		}
		middle := func(ctx context.Context, f *flight) error { return need(ctx, f, "bottom", sleep) }
		top := func(ctx context.Context, f *flight) error {
			go func() { _ = need(ctx, f, "middle", middle) }()
			time.Sleep(time.Hour)
			return need(ctx, f, "late", sleep)
		}
		go func() { _, _ = fs.join(early(t.Context()), "top", "top", "v", nil, top) }()
		go func() { _, _ = fs.join(early(t.Context()), "other", "other", "v", nil, sleep) }()
		wanted("[]")
		// Who asks again early, or leaves, changes nothing.
		go func() { _, _ = fs.join(early(t.Context()), "bottom", "bottom", "v", nil, sleep) }()
		wanted("[]")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := fs.join(ctx, "top", "top", "v", nil, top); err == nil {
			t.Error("top ended")
		}
		wanted("[bottom middle top]")
		time.Sleep(2 * time.Hour)
		wanted("[bottom late middle top]")
		time.Sleep(10 * time.Hour)
	})
}
