package builder

import (
	"context"
	"fmt"
	"slices"
	"sync"

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
	waits map[[2]string]int // waiter, awaited -> how many times
}

// flight is one piece of work under way.
type flight struct {
	key, label string
	view       view.Digest
	done       chan struct{}
	err        error // readable once done is closed

	mu       sync.Mutex // guards what follows
	history  []resolver.Event
	watchers map[int]func(resolver.Event)
	next     int
}

// historyKept is how many events somebody who joins late is told at once.
const historyKept = 400

func newFlights(base context.Context) *flights {
	return &flights{base: base, m: map[string]*flight{}, waits: map[[2]string]int{}}
}

// join waits for the work of that key, starting it where nobody has. It gives the flight, whose view tells whose outcome it is.
// Where ctx ends first the error is resolver.ErrPending and the work goes on. A wait that would close a ring is a CycleError, at
// once.
func (fs *flights) join(ctx context.Context, key, label string, v view.Digest, watch func(resolver.Event), run func(context.Context, *flight) error) (*flight, error) {
	asker := resolver.AskerOf(ctx)
	fs.mu.Lock()
	f, ok := fs.m[key]
	if asker != nil {
		if ring := fs.ring(asker.ID, key, label); ring != nil {
			fs.mu.Unlock()
			return nil, &resolver.CycleError{Path: ring}
		}
		edge := [2]string{asker.ID, key}
		fs.waits[edge]++
		defer func() {
			fs.mu.Lock()
			defer fs.mu.Unlock()
			if fs.waits[edge]--; fs.waits[edge] == 0 {
				delete(fs.waits, edge)
			}
		}()
	}
	if !ok {
		f = &flight{key: key, label: label, view: v, done: make(chan struct{}), watchers: map[int]func(resolver.Event){}}
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
	fs.mu.Unlock()
	defer f.watch(watch)()
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

// ring gives the labels of the ring that a wait of from for to would close, nil where it closes none. The lock is held.
func (fs *flights) ring(from, to, label string) []string {
	came := map[string]string{to: ""}
	for queue := []string{to}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if at == from {
			var path []string
			for ; at != ""; at = came[at] {
				name := label
				if f := fs.m[at]; f != nil {
					name = f.label
				}
				path = append(path, name)
			}
			// came leads from the asker back to what it asks for; a ring reads the other way and names its start twice.
			slices.Reverse(path)
			return append([]string{path[len(path)-1]}, path...)
		}
		for edge := range fs.waits {
			if _, seen := came[edge[1]]; edge[0] == at && !seen {
				came[edge[1]] = at
				queue = append(queue, edge[1])
			}
		}
	}
	return nil
}

// tell gives an event to everybody who watches.
func (f *flight) tell(e resolver.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.history) == historyKept {
		f.history = slices.Delete(f.history, 0, historyKept/4)
	}
	f.history = append(f.history, e)
	for _, w := range f.watchers {
		w(e)
	}
}

// watch tells w what has happened and what happens from now on, until the returned function is called.
func (f *flight) watch(w func(resolver.Event)) (stop func()) {
	if w == nil {
		return func() {}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.history {
		w(e)
	}
	id := f.next
	f.next++
	f.watchers[id] = w
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.watchers, id)
	}
}
