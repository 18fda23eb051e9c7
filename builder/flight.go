package builder

import (
	"context"
	"fmt"
	"sync"

	"github.com/python-wheel-build/axle/builder/slots"
	"github.com/python-wheel-build/axle/builder/story"
	"github.com/python-wheel-build/axle/builder/waits"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/view"
)

// flights makes each piece of work happen once however many ask for it, and knows who waits for whom, so that a ring of waits is an
// error when it would close instead of a silence for ever.
type flights struct {
	// base is the context that work runs in: it outlives every asker and ends with the process.
	base context.Context

	mu    sync.Mutex // guards what follows, for moments only
	m     map[string]*flight
	waits waits.Graph
}

// flight is one piece of work under way.
type flight struct {
	key, label    string
	view          view.Digest
	done          chan struct{}
	err           error          // readable once done is closed
	check         resolver.Check // of a check without err, likewise
	slots.Urgency                // grows under the lock of all flights
	story.Story
}

func newFlights(base context.Context) *flights {
	return &flights{base: base, m: map[string]*flight{}, waits: waits.Graph{}}
}

// join waits for the work of that key, starting it where nobody has. It gives the flight, whose view tells whose outcome it is.
// Where ctx ends first the error is resolver.ErrPending and the work goes on. A wait that would close a ring is a CycleError, at
// once.
func (fs *flights) join(ctx context.Context, key, label string, v view.Digest, watch func(resolver.Event), run func(context.Context, *flight) error) (*flight, error) {
	asker := resolver.AskerOf(ctx)
	give, _ := ctx.Value(optionalKey{}).(context.CancelFunc)
	fs.mu.Lock()
	if asker != nil {
		ring := fs.waits.Ring(asker.ID, key, false)
		if ring != nil && fs.mixed(ring) {
			// Each view for itself has no ring, so this one flies alone.
			key += "@" + string(v)
			ring = fs.waits.Ring(asker.ID, key, false)
		}
		if ring != nil {
			err := &resolver.CycleError{Path: fs.labels(ring, label)}
			fs.mu.Unlock()
			return nil, err
		}
		// A ring that only closes through somebody's optional wait is undone by ending that wait.
		for ring := fs.waits.Ring(asker.ID, key, true); ring != nil; ring = fs.waits.Ring(asker.ID, key, true) {
			fs.waits.Open(ring)
		}
		end := fs.waits.Add(asker.ID, key, give)
		defer func() {
			fs.mu.Lock()
			defer fs.mu.Unlock()
			end()
		}()
	}
	f, ok := fs.m[key]
	if !ok {
		f = &flight{key: key, label: label, view: v, done: make(chan struct{}), Urgency: slots.Guess()}
		f.Begin(v)
		fs.m[key] = f
		go func() {
			defer func() {
				fs.mu.Lock()
				delete(fs.m, key)
				fs.mu.Unlock()
				close(f.done)
			}()
			f.err = run(fs.base, f)
		}()
	}
	if asker != nil {
		f.Need()
	}
	if fs.waitsInEarnest(ctx, asker) {
		fs.want(f)
	}
	fs.mu.Unlock()
	if watch != nil {
		defer f.Watch(0, func(_ uint64, e resolver.Event) { watch(e) })()
	}
	select {
	case <-f.done:
		return f, f.err
	case <-ctx.Done():
		// Done and ended at once: the outcome is worth more than the clock.
		select {
		case <-f.done:
			return f, f.err
		default:
			return f, fmt.Errorf("%s: %w", label, resolver.ErrPending)
		}
	}
}

// waitsInEarnest says whether there is somebody who waits for what this asker asks for: a flight asks for those who wait for it. The lock
// is held.
func (fs *flights) waitsInEarnest(ctx context.Context, asker *resolver.Asker) bool {
	if asker == nil {
		return ctx.Value(earlyKey{}) == nil
	}
	f := fs.m[asker.ID]
	return f == nil || !f.Early()
}

// want notes that somebody waits for a flight, and so for all that it waits for. The lock is held.
func (fs *flights) want(f *flight) {
	if f == nil || !f.Early() {
		return
	}
	f.Want()
	for key := range fs.waits.Of(f.key) {
		fs.want(fs.m[key])
	}
}

// mixed says that a ring goes through flights of several views. The lock is held.
func (fs *flights) mixed(ring []string) bool {
	views := map[view.Digest]bool{}
	for _, key := range ring {
		if f := fs.m[key]; f != nil {
			views[f.view] = true
		}
	}
	return len(views) > 1
}

// labels names a ring for people; unknown is the label of a flight that was not begun. The lock is held.
func (fs *flights) labels(ring []string, unknown string) (all []string) {
	for _, key := range ring {
		if f := fs.m[key]; f != nil {
			all = append(all, f.label)
		} else {
			all = append(all, unknown)
		}
	}
	return all
}

type optionalKey struct{}

// optional marks waits that are given up rather than let a ring close. It ends with ctx.
func optional(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	return context.WithValue(ctx, optionalKey{}, cancel)
}

type earlyKey struct{}

// early marks the waits of somebody who needs no answer yet.
func early(ctx context.Context) context.Context { return context.WithValue(ctx, earlyKey{}, true) }
