package early

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/view"
)

// begun collects what was begun; each takes a minute.
type begun struct {
	mu        sync.Mutex // guards what follows
	all       []string
	now, most int
}

func (b *begun) ensure(_ context.Context, a resolver.Ask) (resolver.Record, error) {
	b.mu.Lock()
	b.all = append(b.all, fmt.Sprintf("%s==%s", a.Project, a.Version))
	if !a.Early {
		b.all = append(b.all, "as if somebody waited")
	}
	b.now++
	b.most = max(b.most, b.now)
	b.mu.Unlock()
	time.Sleep(time.Minute)
	b.mu.Lock()
	b.now--
	b.mu.Unlock()
	if a.Project == "panics" {
		panic("a stranger's file")
	}
	return resolver.Record{}, errors.New("which nobody hears")
}

func (b *begun) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.all, " ")
}

func parsed(t *testing.T, v string) version.Version {
	t.Helper()
	out, err := version.Parse(v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var (
	v   = &view.View{}
	pip = NewClient("127.0.0.1", "pip", "a")
)

// tell has a client told pins, a second apart.
func tell(t *testing.T, s *Starts, c Client, pins ...string) {
	t.Helper()
	for _, pin := range pins {
		p, ver, _ := strings.Cut(pin, "==")
		s.Told(c, dist.Project(p), parsed(t, ver))
		time.Sleep(time.Second)
	}
}

func TestStarts(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(*testing.T, *Starts)
		want string
	}{
		{"what was told last, in that order, without what is fetched", func(t *testing.T, s *Starts) {
			tell(t, s, pip, "a==1", "b==9", "c==1", "b==2")
			s.Fetch(pip, v, "a")()
		}, "c==1 b==2"},
		{"nothing for who only resolves", func(t *testing.T, s *Starts) { tell(t, s, pip, "a==1", "b==2") }, ""},
		{"nothing for who was told nothing", func(_ *testing.T, s *Starts) { s.Fetch(pip, v, "a")() }, ""},
		{"once", func(t *testing.T, s *Starts) {
			tell(t, s, pip, "a==1", "b==1", "c==1")
			for _, p := range []dist.Project{"a", "b", "c"} {
				s.Fetch(pip, v, p)()
				time.Sleep(time.Hour)
			}
		}, "b==1 c==1"},
		{"again for who resolves again", func(t *testing.T, s *Starts) {
			tell(t, s, pip, "a==1", "b==1")
			s.Fetch(pip, v, "a")()
			time.Sleep(time.Minute)
			tell(t, s, pip, "a==1", "c==1")
			s.Fetch(pip, v, "a")()
		}, "b==1 c==1"},
		{"nothing for who fetches in parallel", func(t *testing.T, s *Starts) {
			tell(t, s, pip, "a==1", "b==1", "tried==1")
			first, second := s.Fetch(pip, v, "a"), s.Fetch(pip, v, "b")
			time.Sleep(time.Minute)
			first()
			second()
			s.Fetch(pip, v, "a")()
		}, ""},
		{"nor is one that got its first at once taken for such", func(t *testing.T, s *Starts) {
			tell(t, s, pip, "a==1", "b==1", "c==1")
			s.Fetch(pip, v, "a")()
			s.Fetch(pip, v, "b")
		}, "c==1"},
		{"others' are others'", func(t *testing.T, s *Starts) {
			tell(t, s, pip, "a==1", "b==1")
			for _, other := range []Client{NewClient("127.0.0.2", "pip", "a"), NewClient("127.0.0.1", "pip 2", "a"), NewClient("127.0.0.1", "pip", "b")} {
				tell(t, s, other, "z==1")
				s.Fetch(other, v, "z")()
			}
		}, ""},
		{"the next after one that panics", func(t *testing.T, s *Starts) {
			tell(t, s, pip, "a==1", "panics==1", "c==1")
			s.Fetch(pip, v, "a")()
		}, "panics==1 c==1"},
		{"nothing old", func(t *testing.T, s *Starts) {
			tell(t, s, pip, "a==1", "b==1")
			time.Sleep(fresh)
			tell(t, s, pip, "c==1")
			s.Fetch(pip, v, "a")()
		}, "c==1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &begun{}
				s := New(1, b.ensure)
				test.do(t, s)
				time.Sleep(time.Hour)
				if b.String() != test.want {
					t.Errorf("begun: %s; want %s", b, test.want)
				}
				s.mu.Lock()
				defer s.mu.Unlock()
				if s.running != 0 || len(s.queue) != 0 {
					t.Errorf("left over: %d running, %d queued", s.running, len(s.queue))
				}
			})
		})
	}
}

func TestStartsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &begun{}
		s := New(4, b.ensure)
		one := parsed(t, "1")
		told := func(clients, projects int) {
			for c := range clients {
				for p := range projects {
					s.Told(NewClient(fmt.Sprint(c), "", ""), dist.Project(fmt.Sprint(p)), one)
				}
			}
		}
		told(1, 2*maxProjects)
		told(2*maxClients, 1)
		if n := len(s.clients); n != maxClients {
			t.Errorf("%d clients", n)
		}
		if n := len(s.clients[NewClient("0", "", "")].told); n != maxProjects {
			t.Errorf("%d projects", n)
		}
		// What is old makes room.
		time.Sleep(fresh + time.Second)
		s.Told(NewClient("new", "", ""), "a", one)
		if n := len(s.clients); n != 1 {
			t.Errorf("%d clients after a while", n)
		}
		told(20, maxProjects)
		for c := range 20 {
			s.Fetch(NewClient(fmt.Sprint(c), "", ""), v, "0")()
		}
		time.Sleep(time.Second)
		s.mu.Lock()
		queued, running := len(s.queue), s.running
		s.mu.Unlock()
		if queued > maxQueue || queued < maxQueue/2 || running != 4 {
			t.Errorf("%d queued, %d run", queued, running)
		}
		time.Sleep(24 * time.Hour)
		s.mu.Lock()
		defer s.mu.Unlock()
		if b.most != 4 || s.running != 0 || len(s.queue) != 0 {
			t.Errorf("%d at once; left over: %d running, %d queued", b.most, s.running, len(s.queue))
		}
		if n := len(b.all); n > 4*20 { // of a minute each, within the time in which what they go by says something
			t.Errorf("%d were begun, most of them long after they were asked for", n)
		}
	})
}

// TestStartsAtOnce is for the race detector.
func TestStartsAtOnce(t *testing.T) {
	var mu sync.Mutex // guards begun
	var begun []string
	s := New(3, func(_ context.Context, a resolver.Ask) (resolver.Record, error) {
		mu.Lock()
		defer mu.Unlock()
		begun = append(begun, string(a.Project))
		return resolver.Record{}, nil
	})
	one := parsed(t, "1")
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			c := NewClient(fmt.Sprint(i), "", "")
			for p := range 10 {
				s.Told(c, dist.Project(fmt.Sprintf("%d-%d", i, p)), one)
			}
			s.Fetch(c, v, dist.Project(fmt.Sprintf("%d-0", i)))()
		})
	}
	all.Wait()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		mu.Lock()
		n := len(begun)
		mu.Unlock()
		if n == 20*9 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d begun", n)
		}
	}
	slices.Sort(begun)
	if len(slices.Compact(begun)) != 20*9 {
		t.Error("begun twice")
	}
}

func TestNoStarts(t *testing.T) {
	s := New(0, func(context.Context, resolver.Ask) (resolver.Record, error) { panic("begun") })
	s.Told(pip, "a", parsed(t, "1"))
	s.Told(pip, "b", parsed(t, "1"))
	s.Fetch(pip, v, "a")()
	if s != nil {
		t.Error("there is one")
	}
}
