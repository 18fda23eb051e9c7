// Package asks bounds how many questions for metadata run at once. A resolver may ask for those of each of a project's five hundred versions
// together, and each answer may take a job. The bounds are for clients from outside only: a flight that waited here for its build
// requirements would hold a place and wait for one.
package asks

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/resolver"
)

const (
	// PerProject is what one client may have running for one project: resolvers go from version to version, so one is worked on
	// while another is near its end, and most of those behind are never needed.
	PerProject = 2
	// perCPU bounds what runs for all clients together. Most of a question is waiting (for an upstream, for uv, for a slot, for a
	// build requirement), so a few for each CPU keep the slots busy; more would only hold more sources and resolvers in memory.
	perCPU = 4
	// placeTime is how long a question that hangs keeps its place: longer than any client waits for an answer, and not for ever.
	placeTime = time.Hour
)

// Asks are the questions for metadata that clients from outside have running, each once however many ask it. A place is taken for one
// when it begins and kept until it ends, also where the client has long left, since its work goes on. One that waits for a place has
// none, and leaves nothing behind when its client leaves.
type Asks struct {
	// Limit is how many run for all clients together; not changed after the first call of Ask.
	Limit int

	metadata func(context.Context, resolver.Ask) (resolver.Promised, error) // the Builder's
	time     time.Duration

	mu      sync.Mutex         // guards what follows, for moments only
	running map[string]*asking // by view, project and version
	places  map[place]int      // how many of those each place has
	changed chan struct{}      // closed, and another one made, when a question begins or ends
}

// place is what the bound for one client is counted by.
type place struct {
	client  string
	project dist.Project
}

// asking is one question that runs.
type asking struct {
	done     chan struct{}
	promised resolver.Promised // readable, as err, once done is closed
	err      error
}

// New bounds the calls of metadata, a builder's.
func New(metadata func(context.Context, resolver.Ask) (resolver.Promised, error)) *Asks {
	return &Asks{Limit: perCPU * runtime.GOMAXPROCS(0), metadata: metadata, time: placeTime,
		running: map[string]*asking{}, places: map[place]int{}, changed: make(chan struct{})}
}

// Ask is the builder's Metadata within the bounds. Waiting for a place ends with ctx as waiting for the answer does:
// resolver.ErrPending.
func (q *Asks) Ask(ctx context.Context, client string, a resolver.Ask) (resolver.Promised, error) {
	for ctx.Err() == nil {
		f, changed := q.begin(ctx, place{client, a.Project}, a)
		if f == nil {
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		select {
		case <-f.done:
			return f.promised, f.err
		case <-ctx.Done():
		}
	}
	return resolver.Promised{}, fmt.Errorf("metadata of %s %s: %w", a.Project, a.Version, resolver.ErrPending)
}

// begin gives the question as it runs, whoever began it, else begins it; nil where there is no place, and a channel that is closed
// when there may be one.
func (q *Asks) begin(ctx context.Context, at place, a resolver.Ask) (*asking, <-chan struct{}) {
	key := fmt.Sprintf("%s %s==%s", a.View.Digest(), a.Project, a.Version)
	q.mu.Lock()
	defer q.mu.Unlock()
	f := q.running[key]
	if f != nil || q.places[at] >= PerProject || len(q.running) >= q.Limit {
		return f, q.changed
	}
	f = &asking{done: make(chan struct{})}
	q.running[key] = f
	q.places[at]++
	q.wake() // another client's wait for a place may be a wait for this very answer now
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), q.time)
		defer cancel()
		defer func() {
			if p := recover(); p != nil { // costs this question, as it would in the request's own goroutine, and not the server
				f.err = fmt.Errorf("metadata of %s %s: panic: %v\n%s", a.Project, a.Version, p, debug.Stack())
			}
			q.mu.Lock()
			defer q.mu.Unlock()
			delete(q.running, key)
			if q.places[at]--; q.places[at] == 0 {
				delete(q.places, at)
			}
			q.wake()
			close(f.done)
		}()
		if f.promised, f.err = q.metadata(ctx, a); f.err != nil && ctx.Err() != nil {
			f.err = fmt.Errorf("metadata of %s %s: %w", a.Project, a.Version, resolver.ErrPending)
		}
	}()
	return f, q.changed
}

// wake has everybody who waits look again. The lock is held.
func (q *Asks) wake() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// Client is the address that a request comes from; of IPv6 the first half, since a host has all addresses of its network. Behind a
// proxy all clients are one: what a header says of them is anybody's word.
func Client(r *http.Request) string {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr // a socket of another kind
	}
	addr := from.Addr().Unmap().WithZone("")
	if net, err := addr.Prefix(64); err == nil && addr.Is6() {
		return net.String()
	}
	return addr.String()
}
