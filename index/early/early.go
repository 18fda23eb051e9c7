// Package early begins builds before their client asks for them. pip asks for the metadata of what it is about to install, and only then
// for the wheels, one after another: were each build begun by its own request, no two would run at once.
//
// So it is remembered which version of each project a client was told the metadata of last. Its first fetch of a wheel that isn't built
// has the others begun too, at low priority, each by an Ask that is marked Early; with that the memory of this client is spent. Who only
// resolves never fetches, and so begins nothing. A client that has several fetches open at once needs no help, and gets none: what it
// doesn't fetch it doesn't need.
//
// All of it is a guess that costs a wheel too many where it is wrong, and time where it is forgotten. Hence everything is bounded, and
// what doesn't fit is left out.
package early

import (
	"cmp"
	"context"
	"crypto/sha256"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/view"
)

const (
	// fresh is how long a client's question is remembered: longer than any client waits for one answer, since it asks for one after the
	// other before it fetches.
	fresh = 15 * time.Minute
	// pause is the time after a client's first fetch in which one that fetches several at once shows it.
	pause = 200 * time.Millisecond

	maxClients  = 256
	maxProjects = 512  // of one client
	maxQueue    = 2048 // of all clients
)

// Client is one that resolves for one view, as far as requests show: two programs of one kind on one machine are the same.
type Client struct {
	address string
	agent   [sha256.Size]byte
	view    view.Digest
}

// NewClient names a client by the address it comes from, its User-Agent and the view that it uses.
func NewClient(address, agent string, v view.Digest) Client {
	return Client{address, sha256.Sum256([]byte(agent)), v}
}

// Starts remembers what clients ask and begins what they may fetch. Its methods may be called by any number at once. The nil Starts does
// nothing.
type Starts struct {
	ensure func(context.Context, resolver.Ask) (resolver.Record, error)
	most   int

	mu      sync.Mutex // guards what follows, for moments only
	clients map[Client]*memory
	queue   []wish // to be begun
	running int    // how many of those wait for their end
}

// memory is what is known of one client.
type memory struct {
	told    map[dist.Project]told
	last    time.Time // when it was told anything
	open    int       // fetches without an answer
	fetched bool      // the pause after the first one has begun
}

type told struct {
	version version.Version
	when    time.Time
}

// wish is a version that a client may fetch soon.
type wish struct {
	ask  resolver.Ask
	when time.Time // of what it goes by
}

// New gives one that has most builds going at once; with 0 it is nil. ensure is a Builder's; how a build ends is told to nobody here, since
// whoever asks for it finds out.
func New(most int, ensure func(context.Context, resolver.Ask) (resolver.Record, error)) *Starts {
	if most <= 0 {
		return nil
	}
	return &Starts{ensure: ensure, most: most, clients: map[Client]*memory{}}
}

// Told notes that a client was told the metadata of a version that is not built.
func (s *Starts) Told(c Client, p dist.Project, v version.Version) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	m := s.clients[c]
	if m == nil {
		if len(s.clients) >= maxClients {
			maps.DeleteFunc(s.clients, func(_ Client, m *memory) bool { return now.Sub(m.last) > fresh && !m.fetched })
		}
		if len(s.clients) >= maxClients {
			return
		}
		m = &memory{told: map[dist.Project]told{}}
		s.clients[c] = m
	}
	m.last = now
	if _, known := m.told[p]; !known && len(m.told) >= maxProjects {
		maps.DeleteFunc(m.told, func(_ dist.Project, t told) bool { return now.Sub(t.when) > fresh })
		if len(m.told) >= maxProjects {
			return
		}
	}
	m.told[p] = told{v, now}
}

// Fetch notes that a client asks for a wheel, and what else it may fetch in that view is begun soon after. ended must be called once, when
// the client was answered or is gone.
func (s *Starts) Fetch(c Client, v *view.View, p dist.Project) (ended func()) {
	if s == nil {
		return func() {}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.clients[c]
	if m == nil {
		return func() {}
	}
	delete(m.told, p)
	m.open++
	if !m.fetched {
		m.fetched = true
		time.AfterFunc(pause, func() { s.begin(c, v) })
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		m.open--
	}
}

// begin spends what is remembered of a client.
func (s *Starts) begin(c Client, v *view.View) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.clients[c]
	delete(s.clients, c)
	if m.open > 1 {
		return
	}
	var wishes []wish
	for p, t := range m.told {
		wishes = append(wishes, wish{resolver.Ask{View: v, Project: p, Version: t.version, Early: true}, t.when})
	}
	// Clients fetch in about the order in which they resolved.
	slices.SortFunc(wishes, func(a, b wish) int {
		return cmp.Or(a.when.Compare(b.when), cmp.Compare(a.ask.Project, b.ask.Project))
	})
	s.queue = append(s.queue, wishes[:min(len(wishes), maxQueue-len(s.queue))]...)
	for range min(s.most-s.running, len(s.queue)) {
		s.running++
		go s.run()
	}
}

// run begins one after the other until there is none.
func (s *Starts) run() {
	for {
		s.mu.Lock()
		if len(s.queue) == 0 {
			s.running--
			s.mu.Unlock()
			return
		}
		next := s.queue[0]
		s.queue = s.queue[1:]
		s.mu.Unlock()
		if time.Since(next.when) <= fresh {
			s.one(next.ask)
		}
	}
}

// one begins a build and waits for its end. It belongs to nobody, so no context ends the wait.
func (s *Starts) one(a resolver.Ask) {
	defer func() {
		_ = recover() // who asks for the same panics too, in his own request, which says so, and not in a goroutine that ends the server
	}()
	_, _ = s.ensure(context.Background(), a)
}
