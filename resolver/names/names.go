package names

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/resolver/view"
)

// Name is a name's present view, with the name's policy.
type Name struct {
	Name string
	View *view.View
	// OnDemand says that a client's fetch of a miss builds it; else only hits are there.
	OnDemand bool
}

// Names are the views that are served, by name and by digest. It is safe for concurrent use.
type Names struct {
	Store *cas.Store

	mu       sync.RWMutex // guards what follows
	names    map[string]Name
	byDigest map[view.Digest]Name
}

// pointer is one entry of a name's history.
type pointer struct {
	Name     string      `json:"name"`
	View     view.Digest `json:"view"`
	OnDemand bool        `json:"on_demand"`
	Who      string      `json:"who"`
	When     time.Time   `json:"when"`
	Why      string      `json:"why"`
}

// pointers are kept newest first in a listing.
const pointerTop = 1_000_000_000_000

// Set makes the name point to the view from now on, and says which view it pointed to before: nil when it is new, the same view when
// nothing changed (then nothing is written). Two processes that set one name at once both get an entry; the later one counts.
func (n *Names) Set(ctx context.Context, next Name, who, why string) (before *view.View, err error) {
	number := pointerTop
	var last pointer
	for key, err := range n.Store.Keys(ctx, "names/"+next.Name+"/") {
		if err != nil {
			return nil, fmt.Errorf("listing name %s: %w", next.Name, err)
		}
		// A damaged pointer is an error and never the older one: that would be a silent rollback.
		if err := n.Store.Read(ctx, key, &last); err != nil {
			return nil, fmt.Errorf("name %s: %w", next.Name, err)
		}
		if _, err := fmt.Sscanf(key, "names/"+next.Name+"/%d.json", &number); err != nil {
			return nil, fmt.Errorf("name %s: key %s is not one of a pointer", next.Name, key)
		}
		break
	}
	if last.View != "" {
		if before, err = view.Load(ctx, n.Store, last.View); err != nil {
			return nil, fmt.Errorf("name %s points to view %s, which can't be read: %w; look below quarantine/ in the store and put it back, or remove the pointers below names/%[1]s/",
				next.Name, last.View, err)
		}
	}
	if last.View != next.View.Digest() || last.OnDemand != next.OnDemand {
		p := pointer{Name: next.Name, View: next.View.Digest(), OnDemand: next.OnDemand, Who: who, When: time.Now().UTC().Truncate(time.Second), Why: why}
		for {
			number--
			err := n.Store.Create(ctx, fmt.Sprintf("names/%s/%012d.json", next.Name, number), p)
			if err == nil {
				break
			}
			if !errors.Is(err, fs.ErrExist) {
				return nil, fmt.Errorf("name %s: %w", next.Name, err)
			}
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.names == nil {
		n.names, n.byDigest = map[string]Name{}, map[view.Digest]Name{}
	}
	n.names[next.Name] = next
	for _, v := range []*view.View{before, next.View} {
		if v == nil {
			continue
		}
		// Promises of the view that this one replaces stay good: their clients are still waiting.
		onDemand := next.OnDemand
		for _, other := range n.names {
			onDemand = onDemand || other.OnDemand && other.View.Digest() == v.Digest()
		}
		n.byDigest[v.Digest()] = Name{Name: "@" + string(v.Digest()), View: v, OnDemand: onDemand}
	}
	return before, nil
}

// Keep drops every name that is not among these: a view taken out of the configuration is no longer served by name.
func (n *Names) Keep(names []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name := range n.names {
		if !slices.Contains(names, name) {
			delete(n.names, name)
		}
	}
}

// Get finds a view by name, or by "@sha256:<hex>" or "@<hex>" in the store. A view that no name here ever pointed to is served, but
// builds nothing. fs.ErrNotExist where there is none.
func (n *Names) Get(ctx context.Context, name string) (Name, error) {
	hex, byDigest := strings.CutPrefix(name, "@")
	if !byDigest {
		n.mu.RLock()
		defer n.mu.RUnlock()
		if found, ok := n.names[name]; ok {
			return found, nil
		}
		return Name{}, fmt.Errorf("view %q: %w", name, fs.ErrNotExist)
	}
	digest, err := view.ParseDigest("sha256:" + strings.TrimPrefix(hex, "sha256:"))
	if err != nil {
		return Name{}, fmt.Errorf("view %q: %w: %w", name, fs.ErrNotExist, err)
	}
	n.mu.RLock()
	found, ok := n.byDigest[digest]
	n.mu.RUnlock()
	if ok {
		return found, nil
	}
	v, err := view.Load(ctx, n.Store, digest)
	if err != nil {
		return Name{}, fmt.Errorf("view %q: %w", name, err)
	}
	return Name{Name: "@" + string(digest), View: v}, nil
}

// All gives the names, sorted.
func (n *Names) All() []Name {
	n.mu.RLock()
	defer n.mu.RUnlock()
	var all []Name
	for _, name := range n.names {
		all = append(all, name)
	}
	slices.SortFunc(all, func(a, b Name) int { return strings.Compare(a.Name, b.Name) })
	return all
}
