package slots

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// steps runs steps that each take a minute, coming a second after one another, and tells in which order they had their slots. For those
// whose names begin with "early" nobody waits until wanted says so; but another build does where they end in "needed". Who loses its slot
// begins again, modest; so do at once those that end in "modest".
type steps struct {
	t      *testing.T
	slots  *Slots
	mu     sync.Mutex // guards what follows
	began  []string
	wanted map[string]Urgency
	all    sync.WaitGroup
}

func newSteps(t *testing.T, n int) *steps {
	return &steps{t: t, slots: New(n), wanted: map[string]Urgency{}}
}

func (s *steps) come(names ...string) {
	for _, name := range names {
		u := Guess()
		if !strings.HasPrefix(name, "early") {
			u.Want()
		}
		if strings.HasSuffix(name, "needed") {
			u.Need()
		}
		s.wanted[name] = u
		s.all.Go(func() {
			for modest := strings.HasSuffix(name, "modest"); ; modest = true {
				_, held, give, err := s.slots.Take(s.t.Context(), u, modest, func() {})
				if err != nil {
					s.t.Error(err)
					return
				}
				s.mu.Lock()
				s.began = append(s.began, name)
				s.mu.Unlock()
				select {
				case <-time.After(time.Minute):
				case <-held.Done():
				}
				lost := errors.Is(context.Cause(held), ErrLost)
				give()
				if !lost {
					return
				}
			}
		})
		time.Sleep(time.Second)
	}
}

// has demands that just these have had a slot by now.
func (s *steps) has(want string) {
	s.t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := strings.Join(s.began, " "); got != want {
		s.t.Errorf("had a slot: %s; want %s", got, want)
	}
}

func TestSlotsGoToThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSteps(t, 2)
		s.come("a", "early1", "early2", "b", "early3-needed", "c", "d-needed")
		s.has("a early1")
		s.all.Wait()
		s.has("a early1 b c d-needed early3-needed early2")
	})
}

// TestEarlyStepsMakeWay: they have every slot that is free, and who comes and is waited for waits a second at most; the one that had its
// slot last begins again later, and then leaves one free.
func TestEarlyStepsMakeWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSteps(t, 3)
		s.come("early1", "early2", "early3", "a")
		s.has("early1 early2 early3 a")
		s.come("b") // somebody who is waited for has a slot: no other early step loses its own
		s.has("early1 early2 early3 a")
		s.all.Wait()
		s.has("early1 early2 early3 a b early3")

		s = newSteps(t, 2)
		s.come("early1", "early2-modest")
		s.has("early1")
		s.come("a") // needs to wait for nobody
		s.has("early1 a")
		s.all.Wait()
		s.has("early1 a early2-modest")
	})
}

// TestEarlyStepsThatEndInTime: an early step that ends within a second is not robbed of its slot.
func TestEarlyStepsThatEndInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSteps(t, 2)
		s.come("early1", "early2")
		time.Sleep(58*time.Second - patience/2) // early1 ends half a second after this
		s.come("a")
		s.has("early1 early2 a")
		s.all.Wait()
		s.has("early1 early2 a")
	})
}

func TestWantedWhileItWaitsForASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSteps(t, 2)
		s.come("early1", "early2", "early3")
		s.has("early1 early2")
		s.wanted["early3"].Want()
		time.Sleep(patience)
		s.has("early1 early2 early3")
		s.all.Wait()
		s.has("early1 early2 early3 early2")

		s = newSteps(t, 2)
		s.come("a", "b", "early1", "early2", "c")
		s.wanted["early2"].Want()
		s.all.Wait()
		s.has("a b early2 c early1")
	})
}

func TestWantedWhileItHoldsASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSteps(t, 2)
		s.come("early1-modest", "early2-modest")
		s.has("early1-modest")
		s.wanted["early1-modest"].Want() // it is one that somebody waits for now, so there may be another early one
		s.has("early1-modest early2-modest")
		s.all.Wait()
	})
}

func TestLeavingTheQueueForASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(1)
		_, _, give, err := s.Take(t.Context(), Urgency{}, false, func() { t.Error("waits") })
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		waited := 0
		if _, _, _, err := s.Take(ctx, Urgency{}, false, func() { waited++ }); !errors.Is(err, context.DeadlineExceeded) || waited != 1 {
			t.Errorf("%v, told %d times that it waits", err, waited)
		}
		give()
		if len(s.queue) != 0 || s.held[0] != nil {
			t.Errorf("left over: %v %v", s.queue, s.held)
		}
	})
}

// TestSlotsAtOnce: much happens at once, and still no slot has two holders, none is lost, and nobody is forgotten.
func TestSlotsAtOnce(t *testing.T) {
	const n = 3
	s := New(n)
	var holders [n]sync.Mutex
	var all sync.WaitGroup
	for i := range 400 {
		u := Guess()
		all.Go(func() {
			time.Sleep(time.Duration(rand.Int64N(int64(20 * time.Millisecond))))
			u.Want()
		})
		all.Go(func() {
			ctx := t.Context()
			if i%3 == 0 {
				short, cancel := context.WithTimeout(ctx, time.Duration(rand.Int64N(int64(10*time.Millisecond))))
				defer cancel()
				ctx = short
			}
			slot, _, give, err := s.Take(ctx, u, i%2 == 0, func() {})
			if err != nil {
				return
			}
			if !holders[slot].TryLock() {
				t.Errorf("slot %d has two holders", slot)
				return
			}
			time.Sleep(time.Duration(rand.Int64N(int64(time.Millisecond))))
			holders[slot].Unlock()
			give()
		})
	}
	all.Wait()
	if len(s.queue) != 0 || slices.ContainsFunc(s.held, func(t *turn) bool { return t != nil }) {
		t.Errorf("left over: %v %v", s.queue, s.held)
	}
}
