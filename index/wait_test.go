package index

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestNext(t *testing.T) {
	const hold = defaultHold
	at := func(s float64) time.Time { return time.Unix(1000, 0).Add(time.Duration(s * float64(time.Second))) }
	for name, c := range map[string]struct {
		visit      hop
		start, now float64
		want       step
	}{
		"the bare URL is held":                  {hop{}, 0, 0, step{hold: 14 * time.Second}},
		"for the rest of its time":              {hop{}, 0, 13.5, step{hold: 500 * time.Millisecond}},
		"and redirected":                        {hop{}, 0, 14, step{next: hop{1, 1014}}},
		"a first visit is held":                 {hop{1, 1000}, 0.1, 1, step{hold: 13100 * time.Millisecond}},
		"and answered 503":                      {hop{1, 1000}, 0.1, 14.2, step{retryAfter: 1}},
		"so is a third":                         {hop{1, 1000}, 30, 44, step{retryAfter: 1}},
		"the last moment to be early":           {hop{9, 1000}, 37.9, 52, step{retryAfter: 1}},
		"a late visit is held":                  {hop{9, 1000}, 38, 51, step{hold: time.Second}},
		"and goes to the next hop":              {hop{9, 1000}, 38, 52, step{next: hop{10, 1052}}},
		"whatever happened":                     {hop{2, 1000}, 9000, 9014, step{next: hop{3, 10014}}},
		"the last hop is held":                  {hop{10, 1000}, 100, 113, step{hold: time.Second}},
		"and never redirects":                   {hop{10, 1000}, 100, 114, step{retryAfter: 60}},
		"not even early":                        {hop{10, 1000}, 1, 15, step{retryAfter: 60}},
		"a hop of the future counts as early":   {hop{3, 5000}, 0, 14, step{retryAfter: 1}},
		"a request that took too long is ended": {hop{}, 0, 20, step{next: hop{1, 1020}}},
	} {
		if got := c.visit.next(at(c.start), at(c.now), hold); got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

// server answers visits as the handler does, in simulated time. Each visit is answered by a frontend whose clock is off by skew().
type server struct {
	ready time.Duration // when the build is done
	skew  func() time.Duration
	t     *testing.T
}

// visit comes at a time and gives the time of the answer: the wheel, a pause to make, or the hop to go to.
func (s server) visit(h hop, at time.Duration) (end time.Duration, done bool, retryAfter int, next hop) {
	epoch := time.Unix(1_700_000_000, 0).Add(s.skew())
	start, now := epoch.Add(at), epoch.Add(at)
	for rounds := 0; ; rounds++ {
		if now.Sub(epoch) >= s.ready {
			return max(at, s.ready), true, 0, hop{}
		}
		step := h.next(start, now, defaultHold)
		if step.hold == 0 {
			if (step.retryAfter > 0) == (step.next != hop{}) {
				s.t.Fatalf("neither or both: %+v", step)
			}
			return now.Sub(epoch), false, step.retryAfter, step.next
		}
		if rounds > 0 {
			s.t.Fatalf("held for all of its time and told to hold again: %+v", step)
		}
		now = now.Add(min(step.hold, max(0, s.ready-now.Sub(epoch))))
	}
}

// pip: 15 s until it gives up on a silent server, 5 retries per URL which honour Retry-After, 30 redirects.
func pip(s server) (time.Duration, error) {
	now, h := time.Duration(0), hop{}
	for redirects := 0; redirects <= 30; redirects++ {
		for tries := 0; ; tries++ {
			if tries > 5 {
				return now, fmt.Errorf("out of retries at %+v", h)
			}
			end, done, retryAfter, next := s.visit(h, now)
			if end-now > 15*time.Second {
				return now, errors.New("read timed out")
			}
			now = end
			if done {
				return now, nil
			}
			if retryAfter == 0 {
				h = next
				break
			}
			now += time.Duration(retryAfter) * time.Second
		}
	}
	return now, errors.New("too many redirects")
}

// uv: 30 s, 3 retries per URL with pauses of its own, 10 redirects in all, and the eleventh is taken for the wheel.
func uv(s server, random *rand.Rand) (time.Duration, error) {
	now, h := time.Duration(0), hop{}
	for redirects := 0; ; {
		for tries := 0; ; tries++ {
			if tries > 3 {
				return now, fmt.Errorf("out of retries at %+v", h)
			}
			end, done, retryAfter, next := s.visit(h, now)
			if end-now > 30*time.Second {
				return now, errors.New("read timed out")
			}
			now = end
			if done {
				return now, nil
			}
			if retryAfter == 0 {
				if redirects++; redirects > 10 {
					return now, fmt.Errorf("a redirect read as the wheel at %+v", h)
				}
				h = next
				break
			}
			// Seen: 1-1.5 s, 2-3.4 s, 4-7 s.
			base := time.Second << tries
			now += base + time.Duration(random.Int64N(int64(base)*3/4))
		}
	}
}

// Builds of every length up to 660 s reach clients with default settings, also where each request meets another frontend whose clock
// is off.
func TestClientsOutlive660Seconds(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	skewed := func() time.Duration { return time.Duration(random.Int64N(int64(4*time.Second))) - 2*time.Second }
	for name, skew := range map[string]func() time.Duration{"one clock": func() time.Duration { return 0 }, "clocks 4 s apart": skewed} {
		t.Run(name, func(t *testing.T) {
			for ready := time.Duration(0); ready <= 660*time.Second; ready += 500 * time.Millisecond {
				s := server{ready, skew, t}
				if at, err := pip(s); err != nil || at > ready+61*time.Second {
					t.Fatalf("pip, build of %s: %v after %s", ready, err, at)
				}
				for range 10 {
					if at, err := uv(s, random); err != nil || at > ready+10*time.Second {
						t.Fatalf("uv, build of %s: %v after %s", ready, err, at)
					}
				}
			}
		})
	}
	// The wait ends for both: nobody hangs for ever.
	forever := server{1 << 60, func() time.Duration { return 0 }, t}
	if at, err := pip(forever); err == nil || at > time.Hour {
		t.Errorf("pip, a build that never ends: %v after %s", err, at)
	}
	if at, err := uv(forever, random); err == nil || at > time.Hour || strings.Contains(err.Error(), "as the wheel") {
		t.Errorf("uv, a build that never ends: %v after %s", err, at)
	}
}

func TestParseHop(t *testing.T) {
	for query, want := range map[string]hop{
		"": {}, "x=1": {}, "hop=1&t=0": {1, 0}, "t=1700000000&hop=10&y": {10, 1700000000},
	} {
		q, _ := url.ParseQuery(query)
		if got, err := parseHop(q); err != nil || got != want {
			t.Errorf("%q: %+v, %v", query, got, err)
		}
	}
	for _, query := range []string{"hop=1", "t=1", "hop=0&t=1", "hop=11&t=1", "hop=-1&t=1", "hop=1&t=-1", "hop=1&t=", "hop=&t=1", "hop=1&t=99999999999999", "hop=1.0&t=1", "hop=+1&t=1", "hop=0x1&t=1"} {
		q, _ := url.ParseQuery(query)
		var p *Problem
		if got, err := parseHop(q); !errors.As(err, &p) || p.Status != 400 {
			t.Errorf("%q: %+v, %v", query, got, err)
		}
	}
}

func FuzzHop(f *testing.F) {
	f.Add("hop=3&t=1700000000", int64(1700000000), int64(14))
	f.Add("hop=10&t=0", int64(0), int64(20))
	f.Fuzz(func(t *testing.T, query string, start, later int64) {
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		h, err := parseHop(q)
		if err != nil {
			return
		}
		if h != (hop{}) {
			q, _ := url.ParseQuery(h.query())
			if again, err := parseHop(q); err != nil || again != h {
				t.Fatalf("%+v became %+v, %v", h, again, err)
			}
		}
		if start < 0 || start > 1<<40-1000 || later < 0 || later > 900 {
			return
		}
		from := time.Unix(start, 0)
		got := h.next(from, from.Add(time.Duration(later)*time.Second), defaultHold)
		if (got.hold > 0) != (later < 14) || got.hold > defaultHold || got.next.n > lastHop || (got.next.n != 0 && got.next.n != h.n+1) {
			t.Fatalf("%+v after %d s: %+v", h, later, got)
		}
		if got.next.n != 0 {
			q, _ := url.ParseQuery(got.next.query())
			if again, err := parseHop(q); err != nil || again != got.next {
				t.Fatalf("handed out %+v, read %+v, %v", got.next, again, err)
			}
		}
	})
}
