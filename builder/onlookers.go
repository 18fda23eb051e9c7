package builder

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/source"
)

// Flights are the pieces of work under way in this process, the oldest first.
func (b *Builder) Flights() []resolver.Flight {
	b.flights.mu.Lock()
	defer b.flights.mu.Unlock()
	var all []resolver.Flight
	for key, f := range b.flights.m {
		about := f.About()
		if about.Stage == "" {
			continue // it starts at this very moment
		}
		for awaited := range b.flights.waits.Of(key) {
			if other := b.flights.m[awaited]; other != nil {
				about.WaitsFor = append(about.WaitsFor, other.label)
			}
		}
		slices.Sort(about.WaitsFor)
		all = append(all, about)
	}
	slices.SortFunc(all, func(a, b resolver.Flight) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID)) })
	return all
}

// Follow tells watch of each event of the flight with that ID which came after the n-th, with its number, until the flight or ctx ends; the
// numbers count from 1. Of a long flight the early events are forgotten, which shows in the numbers. watch must not block. The error is
// how the flight ended, resolver.ErrPending where ctx ended first, and fs.ErrNotExist where no such flight is under way. Following has
// no part in the work: it neither begins nor keeps it.
func (b *Builder) Follow(ctx context.Context, id string, n uint64, watch func(n uint64, e resolver.Event)) error {
	f := b.flights.find(id)
	if f == nil {
		return fmt.Errorf("flight %q: %w", id, fs.ErrNotExist)
	}
	defer f.Watch(n, watch)()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", f.label, resolver.ErrPending)
	}
}

func (fs *flights) find(id string) *flight {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, f := range fs.m {
		if f.About().ID == id {
			return f
		}
	}
	return nil
}

// step tells what the flight itself does.
func (f *flight) step(a resolver.Ask, text string) {
	f.Tell(event(a.Project, source.Source{Version: a.Version}, "step", text))
}

// notice tells the builder's own watcher that a job begins, and how it ends.
func (b *Builder) notice(tell func(resolver.Event)) func(resolver.Event) {
	if b.Watch == nil {
		return tell
	}
	return func(e resolver.Event) {
		if e.Kind == "begin" && e.Ran == 0 || e.Kind == "built" || e.Kind == "failed" {
			b.Watch(e)
		}
		tell(e)
	}
}

// clock measures a job. It belongs to the job's goroutine, where all but its log is told.
type clock struct {
	ran  time.Duration // in the sandbox, by the steps that ended
	step string        // the last one told
}

// timed adds to what is told how long the job has run.
func (j *run) timed(tell func(resolver.Event)) func(resolver.Event) {
	return func(e resolver.Event) {
		switch e.Kind {
		case "begin":
			e.Ran, e.Expected, e.Cause = j.clock.ran, j.job.Expected, j.job.Cause
		case "built", "failed":
			e.Ran = j.clock.ran
		}
		tell(e)
	}
}

// begin tells that the last step told runs in the sandbox from now on.
func (j *run) begin() time.Time {
	j.tell(event(j.project(), j.job.Source, "begin", j.clock.step))
	return time.Now()
}

// end counts a step that began then, and gives how long it took, to 10 ms.
func (j *run) end(began time.Time) time.Duration {
	took := time.Since(began)
	j.clock.ran += took
	return took.Round(10 * time.Millisecond)
}
