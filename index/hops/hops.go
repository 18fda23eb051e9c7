// Package hops lets clients wait. A build takes longer than any client waits for one answer, so a promise is a chain of URLs, each held
// for a while. Everything about the wait stands in the URL: ?hop=k&t=<second in which that URL was handed out>.
//
//   - The bare URL is held and then redirected (307) to hop 1.
//   - A visit of hop k that starts soon after t is held and then answered 503 with Retry-After: 1; a later one is held and then
//     redirected to hop k+1. "Soon" lets three visits through: uv tries a URL four times, and its count starts anew at the next one.
//   - Hop 10, as many redirects as uv follows, is held and then answered 503 with Retry-After: 60 for as long as somebody asks, which
//     pip does six times. It never redirects: uv would take the redirect's body for the wheel.
//
// With 14 s a visit, under the 15 s that pip waits for a byte, this outlives 660 s with the default settings of pip 23.2, pip 26.3
// and uv (all seen). Nobody's User-Agent is looked at. Frontends whose clocks differ by up to 4 s may answer for each other.
package hops

import (
	"fmt"
	"net/url"
	"strconv"
	"time"
)

const (
	// DefaultHold is how long a visit is held.
	DefaultHold = 14 * time.Second
	// Last is the hop that is never redirected.
	Last      = 10
	longPause = 60 // seconds
)

// soon is the time after a hop's issue in which a visit is one of the first three: 38 s where each is held 14 s.
func soon(hold time.Duration) time.Duration { return hold * 38 / 14 }

// Hop is one URL of the chain; the zero Hop is the bare URL.
type Hop struct {
	N      int
	Issued int64 // Unix seconds
}

// Parse reads a hop from a query. Other parameters are ignored.
func Parse(q url.Values) (Hop, error) {
	if !q.Has("hop") && !q.Has("t") {
		return Hop{}, nil
	}
	bad := func(name, want string) (Hop, error) {
		return Hop{}, fmt.Errorf("%s=%q: want %s; start again from the project's page", name, q.Get(name), want)
	}
	n, err := strconv.ParseUint(q.Get("hop"), 10, 8)
	if err != nil || n < 1 || n > Last {
		return bad("hop", "a number from 1 to 10")
	}
	t, err := strconv.ParseUint(q.Get("t"), 10, 40)
	if err != nil {
		return bad("t", "a time in Unix seconds")
	}
	return Hop{int(n), int64(t)}, nil
}

// Query is the hop as Parse reads it.
func (h Hop) Query() string { return fmt.Sprintf("hop=%d&t=%d", h.N, h.Issued) }

// Step is how to go on with a visit that has no result yet. Exactly one field is set.
type Step struct {
	Hold       time.Duration // keep the request open for that long
	RetryAfter int           // seconds: answer 503
	Next       Hop           // answer 307 to it
}

// Next says how to go on at now with a visit of h that came at start.
func (h Hop) Next(start, now time.Time, hold time.Duration) Step {
	if rest := start.Add(hold).Sub(now); rest > 0 {
		return Step{Hold: rest}
	}
	switch {
	case h.N == Last:
		return Step{RetryAfter: longPause}
	case h.N > 0 && start.Before(time.Unix(h.Issued, 0).Add(soon(hold))):
		return Step{RetryAfter: 1}
	}
	return Step{Next: Hop{h.N + 1, now.Unix()}}
}
