package hops

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
	const hold = DefaultHold
	at := func(s float64) time.Time { return time.Unix(1000, 0).Add(time.Duration(s * float64(time.Second))) }
	for name, c := range map[string]struct {
		visit      Hop
		start, now float64
		want       Step
	}{
		"the bare URL is held":                  {Hop{}, 0, 0, Step{Hold: 14 * time.Second}},
		"for the rest of its time":              {Hop{}, 0, 13.5, Step{Hold: 500 * time.Millisecond}},
		"and redirected":                        {Hop{}, 0, 14, Step{Next: Hop{1, 1014}}},
		"a first visit is held":                 {Hop{1, 1000}, 0.1, 1, Step{Hold: 13100 * time.Millisecond}},
		"and answered 503":                      {Hop{1, 1000}, 0.1, 14.2, Step{RetryAfter: 1}},
		"so is a third":                         {Hop{1, 1000}, 30, 44, Step{RetryAfter: 1}},
		"the last moment to be early":           {Hop{9, 1000}, 37.9, 52, Step{RetryAfter: 1}},
		"a late visit is held":                  {Hop{9, 1000}, 38, 51, Step{Hold: time.Second}},
		"and goes to the next hop":              {Hop{9, 1000}, 38, 52, Step{Next: Hop{10, 1052}}},
		"whatever happened":                     {Hop{2, 1000}, 9000, 9014, Step{Next: Hop{3, 10014}}},
		"the last hop is held":                  {Hop{10, 1000}, 100, 113, Step{Hold: time.Second}},
		"and never redirects":                   {Hop{10, 1000}, 100, 114, Step{RetryAfter: 60}},
		"not even early":                        {Hop{10, 1000}, 1, 15, Step{RetryAfter: 60}},
		"a hop of the future counts as early":   {Hop{3, 5000}, 0, 14, Step{RetryAfter: 1}},
		"a request that took too long is ended": {Hop{}, 0, 20, Step{Next: Hop{1, 1020}}},
	} {
		if got := c.visit.Next(at(c.start), at(c.now), hold); got != c.want {
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
func (s server) visit(h Hop, at time.Duration) (end time.Duration, done bool, retryAfter int, next Hop) {
	epoch := time.Unix(1_700_000_000, 0).Add(s.skew())
	start, now := epoch.Add(at), epoch.Add(at)
	for rounds := 0; ; rounds++ {
		if now.Sub(epoch) >= s.ready {
			return max(at, s.ready), true, 0, Hop{}
		}
		step := h.Next(start, now, DefaultHold)
		if step.Hold == 0 {
			if (step.RetryAfter > 0) == (step.Next != Hop{}) {
				s.t.Fatalf("neither or both: %+v", step)
			}
			return now.Sub(epoch), false, step.RetryAfter, step.Next
		}
		if rounds > 0 {
			s.t.Fatalf("held for all of its time and told to hold again: %+v", step)
		}
		now = now.Add(min(step.Hold, max(0, s.ready-now.Sub(epoch))))
	}
}

// pip: 15 s until it gives up on a silent server, 5 retries per URL which honour Retry-After, 30 redirects.
func pip(s server) (time.Duration, error) {
	now, h := time.Duration(0), Hop{}
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
	now, h := time.Duration(0), Hop{}
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
	for query, want := range map[string]Hop{
		"": {}, "x=1": {}, "hop=1&t=0": {1, 0}, "t=1700000000&hop=10&y": {10, 1700000000},
	} {
		q, _ := url.ParseQuery(query)
		if got, err := Parse(q); err != nil || got != want {
			t.Errorf("%q: %+v, %v", query, got, err)
		}
	}
	for _, query := range []string{"hop=1", "t=1", "hop=0&t=1", "hop=11&t=1", "hop=-1&t=1", "hop=1&t=-1", "hop=1&t=", "hop=&t=1", "hop=1&t=99999999999999", "hop=1.0&t=1", "hop=+1&t=1", "hop=0x1&t=1"} {
		q, _ := url.ParseQuery(query)
		if got, err := Parse(q); err == nil {
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
		h, err := Parse(q)
		if err != nil {
			return
		}
		if h != (Hop{}) {
			q, _ := url.ParseQuery(h.Query())
			if again, err := Parse(q); err != nil || again != h {
				t.Fatalf("%+v became %+v, %v", h, again, err)
			}
		}
		if start < 0 || start > 1<<40-1000 || later < 0 || later > 900 {
			return
		}
		from := time.Unix(start, 0)
		got := h.Next(from, from.Add(time.Duration(later)*time.Second), DefaultHold)
		if (got.Hold > 0) != (later < 14) || got.Hold > DefaultHold || got.Next.N > Last || (got.Next.N != 0 && got.Next.N != h.N+1) {
			t.Fatalf("%+v after %d s: %+v", h, later, got)
		}
		if got.Next.N != 0 {
			q, _ := url.ParseQuery(got.Next.Query())
			if again, err := Parse(q); err != nil || again != got.Next {
				t.Fatalf("handed out %+v, read %+v, %v", got.Next, again, err)
			}
		}
	})
}
