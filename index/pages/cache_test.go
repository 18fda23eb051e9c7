package pages

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/index/simple"
)

// finds is a cache with what its answers are found by.
type finds struct {
	Cache
	store, found atomic.Uint64
	in           chan struct{}        // a find has begun
	out          chan error           // ends one; closed, finds end at once
	ctx          chan context.Context // of each find
}

func newFinds() *finds {
	return &finds{in: make(chan struct{}, 100), out: make(chan error), ctx: make(chan context.Context, 100)}
}

func (f *finds) ask(ctx context.Context) (string, error) {
	page, err := f.Get(ctx, Key{Project: "demo", ContentType: simple.TypeJSON}, f.store.Load, func(ctx context.Context) (Page, error) {
		n := f.found.Add(1)
		f.ctx <- ctx
		f.in <- struct{}{}
		err := <-f.out
		return simple.Page{Project: "demo", Files: []simple.File{{Filename: fmt.Sprint(n)}}}, err
	})
	if err != nil {
		return "", err
	}
	return string(page.plain.body), nil
}

// Fifty who ask at once wait for one answer, which the first of them doesn't end by leaving.
func TestPagesAreFoundOnce(t *testing.T) {
	f := newFinds()
	leaver, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := f.ask(leaver)
		left <- err
	}()
	<-f.in
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if got, err := f.ask(t.Context()); err != nil || !strings.Contains(got, `"1"`) {
				t.Errorf("%s %v", got, err)
			}
		})
	}
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who leaves gets %v", err)
	}
	if err := (<-f.ctx).Err(); err != nil {
		t.Errorf("the work ended with its first asker: %v", err)
	}
	close(f.out)
	all.Wait()
	if n := f.found.Load(); n != 1 {
		t.Errorf("found %d times", n)
	}
}

// Who asks after a change gets nothing that was begun before it; an answer that a change came into is not given again.
func TestPagesAcrossAChange(t *testing.T) {
	f := newFinds()
	early := make(chan string, 1)
	go func() {
		got, _ := f.ask(t.Context())
		early <- got
	}()
	<-f.in
	f.store.Add(1)
	late := make(chan string, 1)
	go func() {
		got, _ := f.ask(t.Context())
		late <- got
	}()
	<-f.in // its own
	f.out <- nil
	f.out <- nil
	first, second := <-early, <-late
	if first == second || !strings.Contains(second, `"2"`) {
		t.Errorf("before the change %s, after it %s", first, second)
	}
	close(f.out)
	if got, err := f.ask(t.Context()); err != nil || strings.Contains(got, `"1"`) {
		t.Errorf("later: %s %v", got, err)
	}
}

func TestErrorsOfPagesAreNotRemembered(t *testing.T) {
	f := newFinds()
	go func() { f.out <- errors.New("down"); close(f.out) }()
	if _, err := f.ask(t.Context()); err == nil {
		t.Fatal("no error")
	}
	if got, err := f.ask(t.Context()); err != nil || !strings.Contains(got, `"2"`) {
		t.Errorf("%s %v", got, err)
	}
}

func TestPagesAreBounded(t *testing.T) {
	var c Cache
	ask := func(i int) *Rendered {
		p, err := c.Get(t.Context(), Key{Root: fmt.Sprint(i), ContentType: simple.TypeJSON}, func() uint64 { return 0 }, func(context.Context) (Page, error) {
			return simple.Page{Project: strings.Repeat("x", 1<<20)}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for i := range 70 {
		ask(i)
	}
	if c.bytes > maxBytes || len(c.known) != c.used.Len() || len(c.known) < 25 {
		t.Errorf("%d bytes in %d, %d pages", c.bytes, len(c.known), c.used.Len())
	}
	if c.known[Key{Root: "69", ContentType: simple.TypeJSON}] == nil || c.known[Key{Root: "0", ContentType: simple.TypeJSON}] != nil {
		t.Error("not the oldest were dropped")
	}
	time.Sleep(maxAge)
	before, bytes := ask(69), c.bytes
	if ask(69) != before || c.bytes != bytes {
		t.Error("a page that says the same was rendered again")
	}
}
