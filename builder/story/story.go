// Package story keeps what is told of one piece of work under way, for everybody who listens, early or late.
package story

import (
	"crypto/rand"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/view"
)

// Story is told and listened to by any number at once. The zero Story has nobody yet.
type Story struct {
	mu       sync.Mutex // guards what follows
	about    resolver.Flight
	history  []told
	count    uint64          // of all events
	begun    told            // the newest "begin" of its own job
	seen     map[uint64]bool // IDs of late events
	watchers map[int]func(uint64, resolver.Event)
	next     int
}

// told is the n-th event, counted from 1.
type told struct {
	n uint64
	resolver.Event
}

// Kept is how many events somebody who joins late is told at once.
const Kept = 400

// Begin says that the work begins, for this view.
func (s *Story) Begin(v view.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.about = resolver.Flight{ID: strings.ToLower(rand.Text()), View: v, Since: time.Now()}
}

// Describe says what the work is for.
func (s *Story) Describe(a resolver.Ask, stage string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.about.Project, s.about.Version, s.about.Stage = a.Project, a.Version, stage
}

// Expect says how long the job may run, and gives it back.
func (s *Story) Expect(d time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.about.Expected = d
	return d
}

// About is the work as it stands.
func (s *Story) About() resolver.Flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.about
}

// Tell gives an event to everybody who watches.
func (s *Story) Tell(e resolver.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// What is needed by several is heard from each of them.
	if s.seen[e.ID] {
		return
	}
	if s.seen == nil || len(s.seen) > 10*Kept {
		s.seen = map[uint64]bool{}
	}
	s.seen[e.ID] = true
	if len(s.history) == Kept {
		s.history = slices.Delete(s.history, 0, Kept/4)
	}
	s.count++
	now := told{s.count, e}
	s.history = append(s.history, now)
	if e.Kind != "log" && e.Project == s.about.Project && e.Version.String() == s.about.Version.String() {
		s.about.Doing = e
		if e.Kind == "begin" {
			s.begun = now
		}
	}
	for _, w := range s.watchers {
		w(now.n, e)
	}
}

// Watch tells w what has happened after the n-th event and what happens from now on, until the returned function is called. Of what is no
// longer known, it tells the last beginning.
func (s *Story) Watch(n uint64, w func(uint64, resolver.Event)) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.history) > 0 && n < s.begun.n && s.begun.n < s.history[0].n {
		w(s.begun.n, s.begun.Event)
	}
	for _, e := range s.history {
		if e.n > n {
			w(e.n, e.Event)
		}
	}
	id := s.next
	s.next++
	if s.watchers == nil {
		s.watchers = map[int]func(uint64, resolver.Event){}
	}
	s.watchers[id] = w
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, id)
	}
}
