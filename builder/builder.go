// Package builder turns an ask into a record, once, however many ask.
//
//	record, err := b.Ensure(ctx, resolver.Ask{View: v, Project: p, Version: ver})
//
// Ensure is a loop around one question (is it a hit?) and one action (run a ready job). The asker holds the graph of who waits for
// whom; a job that lacks build requirements ends and says which, the asker ensures those and runs it again. So jobs hold nothing
// while they wait, and one slot is enough for any depth. Dependencies are resolved by uv, here, against the view's own pages.
package builder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/python-wheel-build/axle/builder/counters"
	"github.com/python-wheel-build/axle/builder/machine"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/estimate"
	"github.com/python-wheel-build/axle/resolver/explain"
	"github.com/python-wheel-build/axle/resolver/source"
)

// The stages of a flight.
const (
	stageMetadata = "metadata"
	stageWheel    = "wheel"
)

// Builder ensures wheels and metadata. Its methods may be called by any number at once.
type Builder struct {
	Catalog *resolver.Catalog
	// Index serves the views' pages to uv; it is mounted on loopback listeners of the builder's own.
	Index http.Handler
	// Queue runs ready jobs.
	Queue Queue
	// Tools is the folder with bin/uv.
	Tools string
	// Machines are the environments that this process can build in.
	Machines *machine.Machines
	// Watch is told, once each, that a job has begun to run and how it ended; nil means nobody listens. It must not block.
	Watch func(resolver.Event)

	once     sync.Once
	flights  *flights
	counters counters.Counters
}

// Start makes the builder ready. Everything it runs ends with ctx. Its counters are registered with reg.
func (b *Builder) Start(ctx context.Context, reg prometheus.Registerer) {
	b.once.Do(func() {
		b.flights = newFlights(ctx)
		b.counters = counters.New(reg)
	})
}

// Ensure gives the hit for the version asked for, building it where it is a miss. ctx ends the wait (resolver.ErrPending) and never
// the build. It fails with a FailedError, a RequirementError or a CycleError.
func (b *Builder) Ensure(ctx context.Context, a resolver.Ask) (resolver.Record, error) {
	if a.Early {
		ctx = early(ctx)
	}
	for {
		answer, err := b.lookup(ctx, a)
		if err != nil {
			return resolver.Record{}, err
		}
		if answer.Record != nil {
			return *answer.Record, b.Catalog.Share(ctx, answer)
		}
		digest, err := answer.Recipe.Digest()
		if err != nil {
			return resolver.Record{}, err
		}
		if err := b.remembered(ctx, a, digest, stageWheel); err != nil {
			return resolver.Record{}, err
		}
		f, err := b.flights.join(ctx, string(digest)+"/"+stageWheel, label(a, stageWheel), a.View.Digest(), a.Watch,
			func(ctx context.Context, f *flight) error { return b.wheel(ctx, a, f) })
		if errors.Is(err, resolver.ErrPending) || f == nil {
			return resolver.Record{}, err
		}
		if f.view != a.View.Digest() {
			continue // another view's outcome is not ours: ask again
		}
		if err != nil {
			return resolver.Record{}, err
		}
		answer, err = b.Catalog.Lookup(ctx, a.View, a.Project, a.Version)
		if err != nil {
			return resolver.Record{}, err
		}
		if answer.Record == nil {
			return resolver.Record{}, fmt.Errorf("internal error: %s %s was built and is still not a hit: %s", a.Project, a.Version, answer.Why)
		}
		return *answer.Record, b.Catalog.Share(ctx, answer)
	}
}

// lookup asks for the hit; on a miss the answer has a recipe, for which the source is fetched where upstream names no digest.
func (b *Builder) lookup(ctx context.Context, a resolver.Ask) (resolver.Answer, error) {
	for {
		answer, err := b.Catalog.Lookup(ctx, a.View, a.Project, a.Version)
		if err != nil || answer.Record != nil {
			return answer, err
		}
		if f := resolver.Refusal(answer); f != nil {
			return answer, &resolver.FailedError{Failure: *f}
		}
		if answer.Recipe != nil {
			return answer, nil
		}
		blob, _, err := b.Catalog.File(ctx, a.View, answer.Source)
		if err != nil {
			return answer, err
		}
		_ = blob.Close()
	}
}

func (b *Builder) remembered(ctx context.Context, a resolver.Ask, recipe resolver.RecipeDigest, stage string) error {
	if a.Retry {
		return nil
	}
	failure, err := b.Catalog.FailedIn(ctx, a.View.Digest(), recipe, stage)
	if err != nil {
		return err
	}
	if failure != nil {
		return &resolver.FailedError{Failure: *failure}
	}
	return nil
}

// wheel is the flight that builds one recipe for one view.
func (b *Builder) wheel(ctx context.Context, a resolver.Ask, f *flight) error {
	ctx = resolver.WithAsker(ctx, &resolver.Asker{ID: f.key})
	f.Describe(a, stageWheel)
	// Another flight may have landed between the asker's look and this one's start.
	answer, err := b.lookup(ctx, a)
	if err != nil || answer.Record != nil {
		return err
	}
	digest, err := answer.Recipe.Digest()
	if err != nil {
		return err
	}
	if err := b.remembered(ctx, a, digest, stageWheel); err != nil {
		return err
	}
	// What an old record lacks is cheaper to have than a new record: rebuilt to equal bytes it makes the old one a hit again.
	if len(answer.Wanting) > 0 && b.all(optional(ctx), a, f, answer.Wanting) == nil {
		if answer, err = b.Catalog.Lookup(ctx, a.View, a.Project, a.Version); err != nil || answer.Record != nil {
			return err
		}
	}
	cause, err := explain.Cause(ctx, b.Catalog, a.View, answer)
	if err != nil {
		return err
	}
	b.counters.Misses.WithLabelValues(cause.Label()).Inc()
	expected := f.Expect(estimate.Of(ctx, b.Catalog.Store, a.View, a.Project, a.Version))
	out, err := b.run(ctx, Job{Stage: stageWheel, View: a.View, Source: answer.Source, Retry: a.Retry, Cause: cause, Expected: expected,
		Urgency: f.Urgency}, a, f)
	switch {
	case err != nil:
		return err
	case out.Failure != nil && out.Failure.Class != "build":
		b.counters.Builds.WithLabelValues(counters.Infrastructure).Inc()
	case out.Failure != nil:
		b.counters.Builds.WithLabelValues(counters.Failed).Inc()
	case answer.Source.PreBuilt():
		b.counters.Builds.WithLabelValues(counters.PreBuilt).Inc()
	default:
		b.counters.Builds.WithLabelValues(counters.Built).Inc()
	}
	if out.Failure != nil {
		return &resolver.FailedError{Failure: *out.Failure}
	}
	return nil
}

// run runs a job until it is no longer blocked.
func (b *Builder) run(ctx context.Context, job Job, a resolver.Ask, f *flight) (Outcome, error) {
	var before []resolver.Pin
	for {
		out, err := b.Queue.Do(ctx, job, b.need(a, f), b.notice(f.Tell))
		if err != nil || len(out.Blocked) == 0 {
			return out, err
		}
		if slices.EqualFunc(before, out.Blocked, func(p, q resolver.Pin) bool { return p.String() == q.String() }) {
			return out, fmt.Errorf("internal error: %s was ensured for %s %s and is still not a hit", out.Blocked, a.Project, a.Version)
		}
		before = out.Blocked
		if err := b.all(ctx, a, f, out.Blocked); err != nil {
			return out, err
		}
	}
}

// all ensures several versions in parallel, on behalf of the flight. One that fails ends the wait for the others, not their builds.
func (b *Builder) all(ctx context.Context, a resolver.Ask, f *flight, pins []resolver.Pin) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, p := range pins {
		g.Go(func() error {
			_, err := b.Ensure(ctx, resolver.Ask{View: a.View, Project: p.Project, Version: p.Version, Retry: a.Retry, Watch: f.Tell})
			return needs(a, err)
		})
	}
	return g.Wait()
}

// needs says for whom a requirement could not be had. A ring names everybody itself.
func needs(a resolver.Ask, err error) error {
	var ring *resolver.CycleError
	if err == nil || errors.As(err, &ring) {
		return err
	}
	return &resolver.RequirementError{Project: a.Project, Version: a.Version, Err: err}
}

// Metadata gives the core metadata of a version without building its wheel where that can be known: of a hit, from the sdist, from
// upstream, from the hook, else by the build. Errors and ctx are as with Ensure.
func (b *Builder) Metadata(ctx context.Context, a resolver.Ask) (resolver.Promised, error) {
	for {
		answer, err := b.Catalog.Lookup(ctx, a.View, a.Project, a.Version)
		if err != nil {
			return resolver.Promised{}, err
		}
		if answer.Record != nil {
			return resolver.Promised{How: "built", Blob: answer.Record.Metadata}, nil
		}
		p, err := b.Catalog.Promised(ctx, a.View, answer)
		if !errors.Is(err, fs.ErrNotExist) {
			return p, err
		}
		if answer, err = b.lookup(ctx, a); err != nil || answer.Record != nil {
			if err != nil {
				return resolver.Promised{}, err
			}
			continue
		}
		digest, err := answer.Recipe.Digest()
		if err != nil {
			return resolver.Promised{}, err
		}
		if err := b.remembered(ctx, a, digest, stageMetadata); err != nil {
			return resolver.Promised{}, err
		}
		f, err := b.flights.join(ctx, string(digest)+"/"+stageMetadata, label(a, stageMetadata), a.View.Digest(), a.Watch,
			func(ctx context.Context, f *flight) error { return b.metadata(ctx, a, f) })
		if errors.Is(err, resolver.ErrPending) || f == nil {
			return resolver.Promised{}, err
		}
		if err != nil && f.view == a.View.Digest() {
			return resolver.Promised{}, err
		}
	}
}

// metadata is the flight that finds out one recipe's metadata by running something.
func (b *Builder) metadata(ctx context.Context, a resolver.Ask, f *flight) error {
	ctx = resolver.WithAsker(ctx, &resolver.Asker{ID: f.key})
	f.Describe(a, stageMetadata)
	answer, err := b.lookup(ctx, a)
	if err != nil || answer.Record != nil {
		return err
	}
	if _, err := b.Catalog.Promised(ctx, a.View, answer); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	out, err := b.run(ctx, Job{Stage: stageMetadata, View: a.View, Source: answer.Source, Retry: a.Retry, Urgency: f.Urgency}, a, f)
	if err != nil {
		return err
	}
	if out.Failure != nil {
		return &resolver.FailedError{Failure: *out.Failure}
	}
	promised := out.Promised
	if promised.Blob == "" { // the backend has no hook for it: the build tells
		a.Watch = f.Tell
		r, err := b.Ensure(ctx, a)
		if err != nil {
			return err
		}
		promised = resolver.Promised{How: "built", Blob: r.Metadata}
	}
	_, err = b.Catalog.Remember(ctx, *answer.Recipe, promised)
	return err
}

func label(a resolver.Ask, stage string) string {
	s := fmt.Sprintf("%s %s", a.Project, a.Version)
	if stage == stageMetadata {
		s += " (metadata)"
	}
	return s
}

// events counts them.
var events atomic.Uint64

func event(p dist.Project, s source.Source, kind, text string) resolver.Event {
	return resolver.Event{ID: events.Add(1), Time: time.Now(), Project: p, Version: s.Version, Kind: kind, Text: text}
}
