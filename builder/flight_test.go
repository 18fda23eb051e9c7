package builder

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/view"
)

// as marks a context as working for a flight.
func as(ctx context.Context, key string) context.Context {
	return resolver.WithAsker(ctx, &resolver.Asker{ID: key})
}

// chain is a piece of work that waits for others before it ends.
func chain(fs *flights, waits ...string) func(context.Context, *flight) error {
	return func(ctx context.Context, f *flight) error {
		for _, w := range waits {
			if _, err := fs.join(as(ctx, f.key), w, "the "+w, "v", nil, chain(fs)); err != nil {
				return err
			}
		}
		return nil
	}
}

func TestOneFlightForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := newFlights(t.Context())
		var runs atomic.Int32
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				_, err := fs.join(t.Context(), "a", "a", "v", nil, func(context.Context, *flight) error {
					runs.Add(1)
					time.Sleep(time.Minute)
					return errors.New("as it ends")
				})
				if err == nil || err.Error() != "as it ends" {
					t.Errorf("outcome %v", err)
				}
			})
		}
		wg.Wait()
		if runs.Load() != 1 {
			t.Errorf("%d runs", runs.Load())
		}
		if len(fs.m) != 0 || len(fs.waits) != 0 {
			t.Errorf("left over: %v %v", fs.m, fs.waits)
		}
	})
}

func TestWhoHangsUpEndsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := newFlights(t.Context())
		ended := make(chan bool, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := fs.join(ctx, "a", "the a", "v", nil, func(ctx context.Context, _ *flight) error {
			select {
			case <-ctx.Done():
			case <-time.After(time.Minute):
				ended <- true
			}
			return nil
		})
		if !errors.Is(err, resolver.ErrPending) {
			t.Fatalf("outcome %v, want that it is pending", err)
		}
		<-ended
	})
}

func TestRings(t *testing.T) {
	for _, test := range []struct {
		name  string
		graph map[string][]string
		ring  string // "" for none
	}{
		{"none", map[string][]string{"a": {"b", "c"}, "b": {"c"}, "c": nil}, ""},
		{"of two", map[string][]string{"a": {"b"}, "b": {"a"}}, "the b -> the a -> the b"},
		{"with itself", map[string][]string{"a": {"a"}}, "the a -> the a"},
		{"of three", map[string][]string{"a": {"b"}, "b": {"c"}, "c": {"a"}}, "the c -> the a -> the b -> the c"},
		{"below the start", map[string][]string{"a": {"b"}, "b": {"c"}, "c": {"b"}}, "the c -> the b -> the c"},
		{"a diamond", map[string][]string{"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": nil}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			fs := newFlights(t.Context())
			var run func(key string) func(context.Context, *flight) error
			run = func(key string) func(context.Context, *flight) error {
				return func(ctx context.Context, f *flight) error {
					errs := make(chan error)
					for _, next := range test.graph[key] {
						go func() {
							_, err := fs.join(as(ctx, key), next, "the "+next, "v", nil, run(next))
							errs <- err
						}()
					}
					var first error
					for range test.graph[key] {
						if err := <-errs; first == nil {
							first = err
						}
					}
					return first
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			_, err := fs.join(ctx, "a", "the a", "v", nil, run("a"))
			var ring *resolver.CycleError
			switch {
			case test.ring == "" && err != nil:
				t.Errorf("outcome %v, want none", err)
			case test.ring != "" && !errors.As(err, &ring):
				t.Errorf("outcome %v, want the ring %s", err, test.ring)
			case test.ring != "" && strings.Join(ring.Path, " -> ") != test.ring:
				t.Errorf("ring %s, want %s", strings.Join(ring.Path, " -> "), test.ring)
			}
			if len(fs.waits) != 0 {
				t.Errorf("waits left over: %v", fs.waits)
			}
		})
	}
}

// TestRingsAtOnce: whoever comes last closes the ring, whatever the order; nobody waits for ever.
func TestRingsAtOnce(t *testing.T) {
	for range 200 {
		fs := newFlights(t.Context())
		n := 5
		errs := make(chan error, n)
		for i := range n {
			go func() {
				key, next := fmt.Sprint(i), fmt.Sprint((i+1)%n)
				_, err := fs.join(t.Context(), key, key, "v", nil, chain(fs, next))
				errs <- err
			}()
		}
		for range n {
			select {
			case <-errs:
			case <-time.After(20 * time.Second):
				t.Fatal("somebody waits for ever")
			}
		}
	}
}

func TestLateWatcherIsToldTheStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := newFlights(t.Context())
		work := func(_ context.Context, f *flight) error {
			f.Tell(resolver.Event{ID: 1, Text: "early"})
			time.Sleep(time.Minute)
			f.Tell(resolver.Event{ID: 2, Text: "late"})
			return nil
		}
		var heard []string
		go func() { _, _ = fs.join(t.Context(), "a", "a", "v", nil, work) }()
		time.Sleep(time.Second)
		_, err := fs.join(t.Context(), "a", "a", "v", func(e resolver.Event) { heard = append(heard, e.Text) }, work)
		if err != nil || strings.Join(heard, " ") != "early late" {
			t.Errorf("heard %q (%v)", heard, err)
		}
	})
}

// TestNoRingAcrossViews: two views each wait for the other's flight, and neither has a ring of its own.
func TestNoRingAcrossViews(t *testing.T) {
	fs := newFlights(t.Context())
	began, both := make(chan bool), make(chan bool)
	errs := make(chan error, 2)
	run := func(needs string) func(context.Context, *flight) error {
		return func(ctx context.Context, f *flight) error {
			if needs == "" {
				return nil
			}
			began <- true
			<-both
			_, err := fs.join(as(ctx, f.key), needs, "the "+needs, f.view, nil, func(context.Context, *flight) error { return nil })
			return err
		}
	}
	for key, v := range map[string]view.Digest{"a": "one", "b": "two"} {
		other := map[string]string{"a": "b", "b": "a"}[key]
		go func() {
			_, err := fs.join(t.Context(), key, "the "+key, v, nil, run(other))
			errs <- err
		}()
	}
	<-began
	<-began
	close(both)
	for range 2 {
		select {
		case err := <-errs:
			if err != nil {
				t.Errorf("outcome %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("somebody waits for ever")
		}
	}
}

// TestOptionalWaitGivesWay: who must wait for somebody that waits without need does not fail; the other one goes on.
func TestOptionalWaitGivesWay(t *testing.T) {
	fs := newFlights(t.Context())
	waits := make(chan bool)
	s := func(ctx context.Context, f *flight) error {
		ctx, cancel := context.WithCancel(optional(as(ctx, f.key)))
		defer cancel()
		_, err := fs.join(ctx, "t", "the t", "v", nil, func(ctx context.Context, f *flight) error {
			<-waits
			_, err := fs.join(as(ctx, f.key), "s", "the s", "v", nil, nil)
			return err
		})
		if !errors.Is(err, resolver.ErrPending) {
			return fmt.Errorf("the optional wait ended with %w", err)
		}
		return nil
	}
	go func() {
		for {
			fs.mu.Lock()
			n := len(fs.waits)
			fs.mu.Unlock()
			if n == 1 {
				waits <- true
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := fs.join(ctx, "s", "the s", "v", nil, s); err != nil {
		t.Errorf("s: %v", err)
	}
	if _, err := fs.join(ctx, "t", "the t", "v", nil, func(context.Context, *flight) error { return nil }); err != nil {
		t.Errorf("t: %v", err)
	}
}
