// Package live tells onlookers of builds under way: which there are, and what happens in one, as it happens.
//
//	builds := live.List(b.Flights(), root)          // for GET /api/v1/builds
//	live.Follow(w, r, b, flight.ID, line, end)      // for GET …/log: server-sent events
//
// Looking on has no part in the work: it begins nothing, holds nothing up and keeps nothing alive.
package live

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/view"
)

// Builder is whose work is looked at.
type Builder interface {
	// Flights are the pieces of work under way, the oldest first.
	Flights() []resolver.Flight
	// Follow tells watch, which must not block, of each event of a flight after the n-th, until the flight or ctx ends. It gives how the
	// flight ended; resolver.ErrPending where ctx ended first, fs.ErrNotExist where no such flight is under way.
	Follow(ctx context.Context, id string, n uint64, watch func(n uint64, e resolver.Event)) error
}

// Build is one piece of work under way, as GET /api/v1/builds tells it.
type Build struct {
	Project string `json:"project"`
	Version string `json:"version"`
	// View is the digest of the view it was begun for.
	View string `json:"view"`
	// Stage is "metadata", "wheel" or "check".
	Stage string    `json:"stage"`
	Since time.Time `json:"since"`
	// Doing is what its own job does, and DoingSince since when; neither at first.
	Doing      string     `json:"doing,omitempty"`
	DoingSince *time.Time `json:"doing_since,omitempty"`
	// RanSeconds is how long steps of the job ran in the sandbox, and ExpectedSeconds how long all of them took the last time; absent
	// where nothing ran, or nobody knows.
	RanSeconds      float64 `json:"ran_seconds,omitempty"`
	ExpectedSeconds float64 `json:"expected_seconds,omitempty"`
	// WaitsFor names the other pieces of work that it waits for.
	WaitsFor []string `json:"waits_for"`
	// Log is the absolute URL at which it can be followed.
	Log string `json:"log"`
}

// List tells of flights at the time now. root is the server's absolute URL and ends in a slash.
func List(flights []resolver.Flight, now time.Time, root string) []Build {
	all := []Build{}
	for _, f := range flights {
		b := Build{Project: string(f.Project), Version: f.Version.String(), View: string(f.View), Stage: f.Stage, Since: f.Since.UTC(), Doing: f.Doing.Text,
			ExpectedSeconds: Seconds(f.Expected), WaitsFor: append([]string{}, f.WaitsFor...)}
		b.Log = fmt.Sprintf("%sapi/v1/builds/%s/%s/log?%s", root, f.Project, url.PathEscape(b.Version),
			url.Values{"view": {"@" + b.View}, "stage": {f.Stage}}.Encode())
		if !f.Doing.Time.IsZero() {
			since := f.Doing.Time.UTC()
			b.DoingSince = &since
			ran := f.Doing.Ran
			if f.Doing.Kind == "begin" {
				ran += max(0, now.Sub(since))
			}
			b.RanSeconds = Seconds(ran)
		}
		all = append(all, b)
	}
	return all
}

// Seconds is d in seconds, to the millisecond.
func Seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }

// Find gives the oldest flight of a version, that for its wheel before that for its metadata. An empty view or stage means any.
func Find(flights []resolver.Flight, p dist.Project, v version.Version, in view.Digest, stage string) (resolver.Flight, bool) {
	var found resolver.Flight
	for _, f := range flights {
		if f.Project == p && f.Version.String() == v.String() && (in == "" || f.View == in) && (stage == "" || f.Stage == stage) &&
			(found.ID == "" || found.Stage != "wheel" && f.Stage == "wheel") {
			found = f
		}
	}
	return found, found.ID != ""
}

const (
	// buffered is how many events wait for a slow reader: more than anybody who joins late is told at once. Others are dropped.
	buffered = 512
	// beat is how often a silent build is said to be alive: proxies close what is silent for a minute, or less.
	beat = 15 * time.Second
	// stalled is how long a reader may take for one write.
	stalled = time.Minute
	// again is when a reader who lost the connection comes back.
	again = 3 * time.Second
)

// item is the n-th event of a flight.
type item struct {
	n uint64
	e resolver.Event
}

// Follow answers with the events of a flight until it ends, as text/event-stream (WHATWG HTML, "Server-sent events"):
//
//   - each with "event:" its Kind, "data:" what line makes of it, as one line of JSON, and "id:", which sent back as Last-Event-ID goes on
//     after it, where that is still known;
//   - "dropped", with {"dropped": N}, where N events were left out: forgotten when the reader came, or too many for him to take;
//   - "end", the last one, with what end makes of how the flight ended. A stream without it was cut: come again.
//
// A comment is sent every 15 s. Whoever takes nothing for a minute is left.
func Follow(w http.ResponseWriter, r *http.Request, b Builder, id string, line func(resolver.Event) any, end func(error) any) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	s := &stream{w: w, flush: http.NewResponseController(w), id: id, last: after(r.Header.Get("Last-Event-ID"), id)}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	defer func() { _ = s.flush.SetWriteDeadline(time.Time{}) }() // the connection may serve others

	items := make(chan item, buffered)
	outcome := make(chan error, 1)
	var newest uint64 // readable once outcome is
	go func() {
		outcome <- b.Follow(ctx, id, s.last, func(n uint64, e resolver.Event) {
			newest = n
			select {
			case items <- item{n, e}:
			default:
			}
		})
	}()
	beats := time.NewTicker(beat)
	defer beats.Stop()
	err := s.write("retry: %d\n\n", again.Milliseconds())
	for err == nil {
		select {
		case i := <-items:
			err = s.event(i, line, len(items) == 0)
		case <-beats.C:
			err = s.write(": still under way\n\n")
		case how := <-outcome:
			if ctx.Err() != nil {
				return
			}
			for len(items) > 0 && err == nil {
				err = s.event(<-items, line, false)
			}
			if last := end(how); last != nil && err == nil {
				_ = s.skip(newest + 1) // the next one says whether anybody is there
				_ = s.write("event: end\ndata: %s\n\n", encode(last))
			}
			return
		case <-ctx.Done():
			return
		}
	}
}

// stream writes to one reader.
type stream struct {
	w     http.ResponseWriter
	flush *http.ResponseController
	id    string
	last  uint64 // the number of the last event written
}

func (s *stream) event(i item, line func(resolver.Event) any, flush bool) error {
	if err := s.skip(i.n); err != nil {
		return err
	}
	s.last = i.n
	_ = s.flush.SetWriteDeadline(time.Now().Add(stalled)) // a writer that has none needs none
	if _, err := fmt.Fprintf(s.w, "id: %s.%d\nevent: %s\ndata: %s\n\n", s.id, i.n, i.e.Kind, encode(line(i.e))); err != nil || !flush {
		return err
	}
	return s.flush.Flush()
}

// skip says how many events before the next one are not told.
func (s *stream) skip(next uint64) error {
	if next <= s.last+1 {
		return nil
	}
	return s.write("event: dropped\ndata: {\"dropped\":%d}\n\n", next-s.last-1)
}

func (s *stream) write(format string, args ...any) error {
	_ = s.flush.SetWriteDeadline(time.Now().Add(stalled))
	if _, err := fmt.Fprintf(s.w, format, args...); err != nil {
		return err
	}
	return s.flush.Flush()
}

// encode gives one line of JSON.
func encode(v any) []byte {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // strings, numbers and times
	}
	return []byte(strings.TrimSuffix(b.String(), "\n"))
}

// after is the number in an id that was given for this flight, 0 for any other.
func after(last, id string) uint64 {
	rest, ok := strings.CutPrefix(last, id+".")
	if !ok {
		return 0
	}
	n, err := strconv.ParseUint(rest, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
