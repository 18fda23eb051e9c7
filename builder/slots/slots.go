// Package slots hands out the rights to run a sandbox. A step that somebody waits for takes a free one before all others, and who came
// first among several. Of the others, which were begun early, those that another build waits for come first, since more hangs on them.
// They never hold all slots, so that no build that was only guessed at stands in anybody's way, however long it runs.
package slots

import (
	"context"
	"slices"
	"sync"
)

// Slots are numbered from 0. They may be used by any number at once.
type Slots struct {
	mu    sync.Mutex // guards what follows, for moments only
	held  []*turn    // by slot, nil where it is free
	queue []*turn    // in the order in which they came
}

// turn is one step that waits for a slot, or has it.
type turn struct {
	Urgency
	slot chan int // holds the slot that it was given
}

// New gives n free ones.
func New(n int) *Slots { return &Slots{held: make([]*turn, n)} }

// Take waits for a slot; waits is called if there is none at once. How urgent a step is may change while it waits here and while it holds
// its slot. Where ctx ends first nothing is taken, else give must be called once.
func (s *Slots) Take(ctx context.Context, u Urgency, waits func()) (slot int, give func(), err error) {
	t := &turn{u, make(chan int, 1)}
	over := make(chan struct{})
	if u.Early() {
		go func() { // being wanted from now on may let this step have a slot, or another that nobody waits for
			select {
			case <-u.wanted:
				s.change(func() {})
			case <-over:
			}
		}()
	}
	s.change(func() { s.queue = append(s.queue, t) })
	give = func() {
		close(over)
		s.change(func() { s.held[slot] = nil })
	}
	select {
	case slot = <-t.slot:
		return slot, give, nil
	default:
		waits()
	}
	select {
	case slot = <-t.slot:
		return slot, give, nil
	case <-ctx.Done():
		close(over)
		s.change(func() {
			s.queue = slices.DeleteFunc(s.queue, func(other *turn) bool { return other == t })
			select {
			case slot := <-t.slot: // it came just now
				s.held[slot] = nil
			default:
			}
		})
		return 0, nil, ctx.Err()
	}
}

// change changes something and then hands out what is free.
func (s *Slots) change(what func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	what()
	for {
		slot := slices.Index(s.held, nil)
		if slot < 0 {
			return
		}
		next := slices.IndexFunc(s.queue, func(t *turn) bool { return !t.Early() })
		if next < 0 {
			unwanted := 0
			for _, h := range s.held {
				if h != nil && h.Early() {
					unwanted++
				}
			}
			if len(s.queue) == 0 || unwanted+1 >= len(s.held) {
				return
			}
			next = max(0, slices.IndexFunc(s.queue, func(t *turn) bool { return isClosed(t.needed) }))
		}
		t := s.queue[next]
		s.queue = slices.Delete(s.queue, next, next+1)
		s.held[slot] = t
		t.slot <- slot
	}
}

// Urgency says how much hangs on a piece of work. It only grows: who hangs up may come back. With the zero Urgency somebody waits.
type Urgency struct {
	wanted chan struct{} // closed once somebody waits for it, be it for the sake of another build
	needed chan struct{} // closed once another build waits for it
}

// Guess is the urgency of what nobody waits for yet.
func Guess() Urgency { return Urgency{make(chan struct{}), make(chan struct{})} }

// Early says that nobody waits yet.
func (u Urgency) Early() bool { return u.wanted != nil && !isClosed(u.wanted) }

// Want notes that somebody waits, be it for the sake of another build. Of several calls of Want and Need one must end before the next
// begins; all other methods may run meanwhile.
func (u Urgency) Want() {
	if u.Early() {
		close(u.wanted)
	}
}

// Need notes that another build waits.
func (u Urgency) Need() {
	if u.needed != nil && !isClosed(u.needed) {
		close(u.needed)
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
