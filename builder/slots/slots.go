// Package slots hands out the rights to run a sandbox. A step that somebody waits for takes a free one before all others, and who came
// first among several. Of the others, which were begun early, those that another build waits for come first, since more hangs on them.
// They stand in nobody's way, however long they run: where they hold all slots, the one that had its last loses it as soon as a step that
// somebody waits for has waited a second. What lost its slot once is modest from then on: with others like it it leaves one slot free.
package slots

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// ErrLost is the cause for which the context of a step that was begun early ends, when its slot goes to one that somebody waits for.
var ErrLost = errors.New("the slot went to a build that somebody waits for")

// patience is how long a step that somebody waits for lets an early one go on in the last slot: most end by themselves meanwhile, and
// nothing is lost.
const patience = time.Second

// Slots are numbered from 0. They may be used by any number at once.
type Slots struct {
	mu    sync.Mutex // guards what follows, for moments only
	held  []*turn    // by slot, nil where it is free
	queue []*turn    // in the order in which they came
	given uint64     // how many slots were given
}

// turn is one step that waits for a slot, or has it.
type turn struct {
	Urgency
	modest bool
	slot   chan int // holds the slot that it was given
	lose   context.CancelCauseFunc
	had    uint64 // when it had its slot, among all; 0 before
	lost   bool
	timed  bool // it is looked after when its patience ends
}

// New gives n free ones.
func New(n int) *Slots { return &Slots{held: make([]*turn, n)} }

// Take waits for a slot; waits is called if there is none at once. How urgent a step is may change while it waits here and while it holds
// its slot. Where ctx ends first nothing is taken, else give must be called once. The step is to run with the context held, which ends with
// ctx, or of a step that nobody waits for with the cause ErrLost: then it has to end at once and to give its slot.
func (s *Slots) Take(ctx context.Context, u Urgency, modest bool, waits func()) (slot int, held context.Context, give func(), err error) {
	t := &turn{Urgency: u, modest: modest, slot: make(chan int, 1)}
	held, t.lose = context.WithCancelCause(ctx)
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
		t.lose(nil)
		s.change(func() { s.held[slot] = nil })
	}
	select {
	case slot = <-t.slot:
		return slot, held, give, nil
	default:
		waits()
	}
	select {
	case slot = <-t.slot:
		return slot, held, give, nil
	case <-ctx.Done():
		close(over)
		t.lose(nil)
		s.change(func() {
			s.queue = slices.DeleteFunc(s.queue, func(other *turn) bool { return other == t })
			select {
			case slot := <-t.slot: // it came just now
				s.held[slot] = nil
			default:
			}
		})
		return 0, nil, nil, ctx.Err()
	}
}

// change changes something and then hands out what is free.
func (s *Slots) change(what func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	what()
	for {
		slot := slices.Index(s.held, nil)
		next := s.next()
		if slot < 0 || next < 0 {
			break
		}
		t := s.queue[next]
		s.queue = slices.Delete(s.queue, next, next+1)
		s.given++
		t.had = s.given
		s.held[slot] = t
		t.slot <- slot
	}
	for _, t := range s.queue {
		if !t.Early() && !t.timed {
			t.timed = true
			time.AfterFunc(patience, func() { s.change(func() { s.makeWay(t) }) })
		}
	}
}

// next is who of the queue is to have a free slot, -1 for nobody. The lock is held.
func (s *Slots) next() int {
	if next := slices.IndexFunc(s.queue, func(t *turn) bool { return !t.Early() }); next >= 0 {
		return next
	}
	early := 0
	for _, h := range s.held {
		if h != nil && h.Early() {
			early++
		}
	}
	may := func(t *turn) bool { return !t.modest || early+1 < len(s.held) }
	if next := slices.IndexFunc(s.queue, func(t *turn) bool { return may(t) && isClosed(t.needed) }); next >= 0 {
		return next
	}
	return slices.IndexFunc(s.queue, may)
}

// makeWay takes a slot from an early step, the one that had its last, where they have all and this one still waits. The lock is held.
func (s *Slots) makeWay(t *turn) {
	if !slices.Contains(s.queue, t) {
		return
	}
	last := s.held[0]
	for _, h := range s.held {
		if h == nil || !h.Early() || h.lost {
			return // somebody who is waited for has a slot, or is about to
		}
		if h.had > last.had {
			last = h
		}
	}
	last.lost = true
	last.lose(ErrLost)
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
