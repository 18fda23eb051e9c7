package asks

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/view"
)

// newTestAsks are some with a builder of the test's own.
func newTestAsks(limit int, metadata func(context.Context, resolver.Ask) (resolver.Promised, error)) *Asks {
	return &Asks{Limit: limit, metadata: metadata, time: time.Minute, running: map[string]*asking{}, places: map[place]int{}, changed: make(chan struct{})}
}

func (q *Asks) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.running) == 0 && len(q.places) == 0
}

func demoAsk(project string, n int) resolver.Ask {
	v, err := version.Parse(fmt.Sprint(n))
	if err != nil {
		panic(err)
	}
	return resolver.Ask{View: &view.View{}, Project: dist.Project(project), Version: v}
}

func TestBound(t *testing.T) {
	if got, want := New(nil).Limit, perCPU*runtime.GOMAXPROCS(0); got != want || got < PerProject {
		t.Errorf("the bound is %d, want %d", got, want)
	}
}

// Many clients ask for many versions of many projects, some leave: no bound is passed, nobody is forgotten, and no place is lost.
func TestAsksKeepToTheirBounds(t *testing.T) {
	const limit = 5
	var (
		mu         sync.Mutex
		now, most  int
		ofProject  = map[dist.Project]int{}
		projectMax int
		same       = map[string]int{}
	)
	q := newTestAsks(limit, func(_ context.Context, a resolver.Ask) (resolver.Promised, error) {
		key := fmt.Sprint(a.Project, a.Version)
		mu.Lock()
		now++
		ofProject[a.Project]++
		same[key]++
		most, projectMax = max(most, now), max(projectMax, ofProject[a.Project])
		if same[key] > 1 {
			t.Errorf("%s runs twice", key)
		}
		mu.Unlock()
		time.Sleep(time.Duration(rand.Int64N(int64(2 * time.Millisecond))))
		mu.Lock()
		defer mu.Unlock()
		now--
		ofProject[a.Project]--
		same[key]--
		return resolver.Promised{How: key}, nil
	})
	var all sync.WaitGroup
	for client := range 2 {
		for n := range 400 {
			all.Go(func() {
				ctx := t.Context()
				if n%10 == 0 {
					short, cancel := context.WithTimeout(ctx, time.Duration(n)*time.Millisecond/10)
					defer cancel()
					ctx = short
				}
				a := demoAsk(fmt.Sprintf("p%d", n%4), n)
				p, err := q.Ask(ctx, fmt.Sprint(client), a)
				if want := fmt.Sprint(a.Project, a.Version); err == nil && p.How != want || err != nil && (n%10 != 0 || !errors.Is(err, resolver.ErrPending)) {
					t.Errorf("%s: %+v, %v", want, p, err)
				}
			})
		}
	}
	all.Wait()
	if most != limit || projectMax > 2*PerProject || projectMax < PerProject {
		t.Errorf("%d at once, want %d; %d of one project by two clients", most, limit, projectMax)
	}
	for end := time.Now().Add(5 * time.Second); !q.empty(); time.Sleep(time.Millisecond) { // of those who left
		if time.Now().After(end) {
			t.Fatal("places are lost")
		}
	}
}

func TestAskKeepsItsPlaceUntilTheWorkEnds(t *testing.T) {
	gate := make(chan struct{})
	var ran sync.Map
	q := newTestAsks(1, func(ctx context.Context, a resolver.Ask) (resolver.Promised, error) {
		ran.Store(a.Version.String(), true)
		select {
		case <-gate:
			return resolver.Promised{How: "static"}, nil
		case <-ctx.Done():
			return resolver.Promised{}, ctx.Err()
		}
	})
	leave := func(n int) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, err := q.Ask(ctx, "c", demoAsk("demo", n)); !errors.Is(err, resolver.ErrPending) {
			t.Errorf("%d: %v", n, err)
		}
	}
	leave(1)
	leave(2)
	if _, two := ran.Load("2"); two || q.empty() {
		t.Error("the place was given away while its work went on")
	}
	close(gate)
	if _, err := q.Ask(t.Context(), "c", demoAsk("demo", 2)); err != nil {
		t.Error(err)
	}

	// Work that hangs keeps it for a bounded time.
	gate, q.time = make(chan struct{}), 50*time.Millisecond
	if _, err := q.Ask(t.Context(), "c", demoAsk("demo", 3)); !errors.Is(err, resolver.ErrPending) || !q.empty() {
		t.Errorf("what hangs: %v", err)
	}
	// Nobody who has left already starts anything.
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := q.Ask(gone, "c", demoAsk("demo", 4)); !errors.Is(err, resolver.ErrPending) || !q.empty() {
		t.Errorf("%v", err)
	}
	if _, four := ran.Load("4"); four {
		t.Error("work for nobody")
	}
}

func TestAskThatPanicsCostsItselfOnly(t *testing.T) {
	q := newTestAsks(1, func(context.Context, resolver.Ask) (resolver.Promised, error) { panic("a stranger's file") })
	if _, err := q.Ask(t.Context(), "c", demoAsk("demo", 1)); err == nil || !strings.Contains(err.Error(), "a stranger's file") || !q.empty() {
		t.Error(err)
	}
}

func TestClient(t *testing.T) {
	for from, want := range map[string]string{
		"10.0.0.7:1234": "10.0.0.7", "[::ffff:10.0.0.7]:99": "10.0.0.7", "[2001:db8:1:2:3:4:5:6]:1": "2001:db8:1:2::/64", "[fe80::1%eth0]:1": "fe80::/64", "@": "@",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = from
		r.Header.Set("X-Forwarded-For", "192.0.2.1")
		if got := Client(r); got != want {
			t.Errorf("%s: %s, want %s", from, got, want)
		}
	}
}
