// Package names points names to views, in the store: `default`, `cuda12`. What a name points to, and whether misses are built under it,
// is a history of small documents that only grows, so every server on a store serves every name in it, and a name can be taken back to
// what it was.
//
//	names/<name>/<10^12 - n, 12 digits>.json          a [Pointer]; so the newest comes first in a listing
//	leases/<view's digest>/<10^12 - n, 12 digits>.json  a [Lease]
//
// [Names.Get] finds what a client asks for, by name or digest; [Names.Point] moves a name.
package names

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/resolver/view"
)

// Name is a view as it is asked for, with the policy that goes with that.
type Name struct {
	Name string // or "@sha256:<hex>"
	View *view.View
	// OnDemand says that a client's fetch of a miss builds it; else only hits are there.
	OnDemand bool
	// Under is the name, or of a view that is asked for by digest those that point to it, or did until they were last moved.
	Under []string
}

// Names are the views that are served, by name and by digest. What other processes do to a store shows within a second, what is done
// through this value at once. It is safe for concurrent use.
type Names struct {
	Store *cas.Store
	// Now is the clock; nil is time.Now.
	Now func() time.Time

	flights singleflight.Group

	mu    sync.Mutex // guards what follows, for moments
	moves uint64     // how often something was written through this value
	seen  *snapshot
	views map[view.Digest]*view.View
}

const (
	// maxAge is how long the names are taken to be what they were when they were last read.
	maxAge = time.Second
	// readLimit ends a reading that hangs for good.
	readLimit = time.Minute
	// maxViews bounds how many views are held in memory, whatever digests are asked for.
	maxViews = 64
)

// snapshot is what the store said at one moment. Only leases grows.
type snapshot struct {
	asOf  time.Time        // before anything was read
	moves uint64           // of that moment
	names map[string]Entry // the newest of each
	// pointed are the present views of the names, and of each that builds on demand the one before: its clients are still waiting.
	pointed map[view.Digest]pointed
	known   map[string]Entry // each pointer that was read, by key: they never change
	leases  map[view.Digest]leased
}

// pointed is what names make of a view.
type pointed struct {
	under    []string
	onDemand bool
}

// leased is whether a view that no name points to builds on demand.
type leased struct {
	onDemand bool
	err      error
}

func (n *Names) now() time.Time {
	if n.Now != nil {
		return n.Now()
	}
	return time.Now()
}

// Get finds a view by name, or by "@sha256:<hex>" or "@<hex>" in the store. By digest a view builds on demand while a name that does so
// points to it or did until it was last moved, and while there is a lease; every other view of the store is served, but builds nothing.
// fs.ErrNotExist where there is none. A pointer or lease that is damaged is an error for what hangs on it and for nothing else.
func (n *Names) Get(ctx context.Context, name string) (Name, error) {
	now, err := n.read(ctx)
	if err != nil {
		return Name{}, err
	}
	hex, byDigest := strings.CutPrefix(name, "@")
	if !byDigest {
		e, ok := now.names[name]
		switch {
		case e.Err != nil:
			return Name{}, e.Err
		case !ok || e.Retired():
			return Name{}, fmt.Errorf("view %q: %w", name, fs.ErrNotExist)
		}
		v, err := n.view(ctx, e.View)
		if err != nil {
			return Name{}, fmt.Errorf("name %s points to view %s, which can't be read: %w; look below quarantine/ in the store and put it back, or point "+
				"the name to another view with `axle view promote`", name, e.View, strip(err))
		}
		return Name{Name: name, View: v, OnDemand: e.OnDemand, Under: []string{name}}, nil
	}
	digest, err := view.ParseDigest("sha256:" + strings.TrimPrefix(hex, "sha256:"))
	if err != nil {
		return Name{}, fmt.Errorf("view %q: %w: %w", name, fs.ErrNotExist, err)
	}
	v, err := n.view(ctx, digest)
	if err != nil {
		return Name{}, fmt.Errorf("view %q: %w", name, err)
	}
	p := now.pointed[digest]
	onDemand := p.onDemand
	if !onDemand {
		if onDemand, err = n.leased(ctx, now, digest); err != nil {
			return Name{}, err
		}
	}
	return Name{Name: "@" + string(digest), View: v, OnDemand: onDemand, Under: p.under}, nil
}

// strip hides that something is not there from those who would take it for the whole answer.
func strip(err error) error { return errors.New(err.Error()) }

// All gives the newest pointer of each name that is not retired, sorted. Of one that can't be read there is its Err.
func (n *Names) All(ctx context.Context) ([]Entry, error) {
	now, err := n.read(ctx)
	if err != nil {
		return nil, err
	}
	var all []Entry
	for _, name := range slices.Sorted(maps.Keys(now.names)) {
		if e := now.names[name]; e.Err != nil || !e.Retired() {
			all = append(all, e)
		}
	}
	return all, nil
}

// view loads a view, or gives it again.
func (n *Names) view(ctx context.Context, d view.Digest) (*view.View, error) {
	n.mu.Lock()
	v := n.views[d]
	n.mu.Unlock()
	if v != nil {
		return v, nil
	}
	v, err := view.Load(ctx, n.Store, d)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.views == nil {
		n.views = map[view.Digest]*view.View{}
	}
	for other := range n.views { // any will do
		if len(n.views) < maxViews {
			break
		}
		delete(n.views, other)
	}
	n.views[d] = v
	return v, nil
}

// read gives what the store says, at most a second ago. All who ask at once wait for one reading, which none of them ends by leaving.
func (n *Names) read(ctx context.Context) (*snapshot, error) {
	n.mu.Lock()
	moves, last := n.moves, n.seen
	n.mu.Unlock()
	if last != nil && last.moves == moves && time.Since(last.asOf) < maxAge {
		return last, nil
	}
	flight := n.flights.DoChan(fmt.Sprint(moves), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readLimit)
		defer cancel()
		next := &snapshot{asOf: time.Now(), moves: moves}
		if err := n.fill(ctx, next, last); err != nil {
			return nil, fmt.Errorf("reading the names: %w", err)
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.seen == nil || n.seen.moves <= moves {
			n.seen = next
		}
		return next, nil
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r := <-flight:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*snapshot), nil
	}
}

// fill reads what is new since the snapshot before, nil for none: which pointers there are, and those of each name that count.
func (n *Names) fill(ctx context.Context, s, before *snapshot) error {
	s.names, s.pointed, s.known, s.leases = map[string]Entry{}, map[view.Digest]pointed{}, map[string]Entry{}, map[view.Digest]leased{}
	keys := map[string][]string{}
	for key, err := range n.Store.Keys(ctx, "names/") {
		if err != nil {
			return err
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(key, "names/"), "/")
		keys[name] = append(keys[name], key)
	}
	for name, keys := range keys {
		for i, key := range keys {
			var e Entry
			ok := false
			if before != nil {
				e, ok = before.known[key]
			}
			if !ok {
				e = n.entry(ctx, name, key)
			}
			if e.Err == nil { // one that is damaged may be put back
				s.known[key] = e
			}
			if i == 0 {
				s.names[name] = e
			}
			newest := s.names[name]
			if newest.Err != nil || i > 0 && !newest.OnDemand {
				break
			}
			if e.Err != nil {
				break // the view before can't be told: only who still waits for it is harmed
			}
			if p := s.pointed[e.View]; e.View != "" && !slices.Contains(p.under, name) {
				s.pointed[e.View] = pointed{append(p.under, name), p.onDemand || newest.OnDemand}
			}
			if e.View != newest.View {
				break
			}
		}
	}
	return nil
}

// leased looks for a lease that holds.
func (n *Names) leased(ctx context.Context, now *snapshot, d view.Digest) (bool, error) {
	n.mu.Lock()
	known, ok := now.leases[d]
	n.mu.Unlock()
	if !ok {
		known.onDemand, known.err = n.findLease(ctx, d)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		n.mu.Lock()
		now.leases[d] = known
		n.mu.Unlock()
	}
	return known.onDemand, known.err
}
