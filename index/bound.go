package index

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

// A resolver may ask for the metadata of each of a project's five hundred versions at once, and each answer may take a job. These
// bounds hold for clients from outside only: a flight that waited here for its build requirements would hold a place and wait for one.
const (
	// asksPerProject is what one client may have running for one project: resolvers go from version to version, so one is worked on
	// while another is near its end, and most of those behind are never needed.
	asksPerProject = 2
	// asksPerCPU bounds what runs for all clients together. Most of a question is waiting (for an upstream, for uv, for a slot, for a
	// build requirement), so a few for each CPU keep the slots busy; more would only hold more sources and resolvers in memory.
	asksPerCPU = 4
	// askTime is how long a question that hangs keeps its place: longer than any client waits for an answer, and not for ever.
	askTime = time.Hour
)

// asks are the questions for metadata that clients from outside have running, each once however many ask it. A place is taken for one
// when it begins and kept until it ends, also where the client has long left, since its work goes on. One that waits for a place has
// none, and leaves nothing behind when its client leaves.
type asks struct {
	metadata func(context.Context, resolver.Ask) (resolver.Promised, error) // the Builder's
	limit    int
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

func newAsks(b Builder) *asks {
	return &asks{metadata: b.Metadata, limit: asksPerCPU * runtime.GOMAXPROCS(0), time: askTime,
		running: map[string]*asking{}, places: map[place]int{}, changed: make(chan struct{})}
}

// ask is the Builder's Metadata within the bounds. Waiting for a place ends with ctx as waiting for the answer does:
// resolver.ErrPending.
func (q *asks) ask(ctx context.Context, client string, a resolver.Ask) (resolver.Promised, error) {
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
func (q *asks) begin(ctx context.Context, at place, a resolver.Ask) (*asking, <-chan struct{}) {
	key := fmt.Sprintf("%s %s==%s", a.View.Digest(), a.Project, a.Version)
	q.mu.Lock()
	defer q.mu.Unlock()
	f := q.running[key]
	if f != nil || q.places[at] >= asksPerProject || len(q.running) >= q.limit {
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
func (q *asks) wake() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// clientOf is the address that a request comes from; of IPv6 the first half, since a host has all addresses of its network. Behind a
// proxy all clients are one: what a header says of them is anybody's word.
func clientOf(r *http.Request) string {
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
