package builder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/python-wheel-build/axle/builder/compare"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/estimate"
)

// stageCheck is that of a flight which builds a record's inputs again. No failure of it is remembered under that name.
const stageCheck = "check"

// Check builds the inputs of a hit once more, with exactly its requirements, and says whether that gives the same wheel. What it finds is
// kept beside the record (resolver.Check); the record stays as it is and no other one is made. Of several at once for one record there
// is one build. a is the ask that the record is the hit of; ctx and Watch are as with Ensure.
//
// An error says that nothing was found out: a limit, an index that is down, a requirement whose bytes are gone. That the inputs don't
// build any more is no error but a finding.
func (b *Builder) Check(ctx context.Context, a resolver.Ask, r resolver.Record) (resolver.Check, error) {
	answer, err := b.lookup(ctx, a)
	if err != nil {
		return resolver.Check{}, err
	}
	if answer.Source.PreBuilt() {
		return resolver.Check{Project: r.Project, Version: r.Version, Recipe: r.Recipe, Input: r.Input(), Outcome: resolver.CheckSkipped, Wheel: r.Wheel,
			Differences: []string{"the wheel was taken pre-built from index " + answer.Source.How.Index + ", so there is nothing to build again"}}, nil
	}
	f, err := b.flights.join(ctx, string(r.Recipe)+"/"+string(r.Input())+"/"+stageCheck, label(a, stageCheck), a.View.Digest(), a.Watch,
		func(ctx context.Context, f *flight) error {
			f.Describe(a, stageCheck)
			job := Job{Stage: stageWheel, View: a.View, Source: answer.Source, Retry: true, Against: &r, Expected: f.Expect(estimate.Took(r)), Urgency: f.Urgency}
			out, err := b.Queue.Do(ctx, job, nil, b.notice(f.Tell))
			if err != nil {
				return err
			}
			if out.Failure != nil {
				return &resolver.FailedError{Failure: *out.Failure}
			}
			b.counters.Checks.WithLabelValues(out.Check.Outcome).Inc()
			f.check = *out.Check
			return nil
		})
	if err != nil || f == nil {
		return resolver.Check{}, err
	}
	return f.check, nil
}

// recorded is the Need of a check: the versions are those of the record's wheels, and no others can be had.
func (j *run) recorded(ctx context.Context, reqs []dist.Requirement, hold []resolver.Requirement) ([]resolver.Requirement, []resolver.Pin, error) {
	reqs, err := applicable(j.job.View, reqs)
	if err != nil || len(reqs) == 0 {
		return nil, nil, err
	}
	var dir string
	for i, w := range j.job.Against.Requirements { // sorted
		if i > 0 && w.Project == j.job.Against.Requirements[i-1].Project && w.Version.Compare(j.job.Against.Requirements[i-1].Version) == 0 {
			return nil, nil, machinesFault("the record was built with two wheels of %s %s, one after the other, and which ran when is not kept", w.Project, w.Version)
		}
		r, err := j.Catalog.Requirement(ctx, w)
		if err != nil {
			return nil, nil, fmt.Errorf("a build requirement of the record: %w", err)
		}
		if ok, err := j.Catalog.Store.Has(ctx, w.Wheel); err != nil || !ok {
			return nil, nil, machinesFault("the record was built with %s %s (%s), whose bytes the store has no longer; "+
				"`axle build %s==%s` may give them again (%v)", w.Project, w.Version, w.Wheel, w.Project, w.Version, err)
		}
		path, err := j.copyOut(ctx, "recorded", r.Filename, w.Wheel)
		if err != nil {
			return nil, nil, err
		}
		dir = filepath.Dir(path)
	}
	if dir == "" {
		return nil, nil, inputsFault(true, "built again it asks for %s, and the record has no build requirements", reqs)
	}
	// uv only takes the set apart where several environments ran.
	u := uv{tools: j.Tools, scratch: j.Catalog.Store.Scratch(), machine: j.m, from: []string{"--offline", "--no-index", "--find-links", dir}}
	pins, err := u.resolve(ctx, j.job.View, reqs, hold)
	var no *unresolvable
	if errors.As(err, &no) && len(hold) > 0 {
		pins, err = u.resolve(ctx, j.job.View, reqs, nil)
	}
	if errors.As(err, &no) {
		return nil, nil, inputsFault(true, "built again it asks for other build requirements than the record has: %s", no.text)
	}
	if err != nil {
		return nil, nil, err
	}
	var wheels []resolver.Requirement
	for _, p := range pins {
		i := slices.IndexFunc(j.job.Against.Requirements, func(r resolver.Requirement) bool {
			return r.Project == p.Project && r.Version.Compare(p.Version) == 0
		})
		if i < 0 {
			return nil, nil, fmt.Errorf("internal error: %s is not among the record's build requirements", p)
		}
		wheels = append(wheels, j.job.Against.Requirements[i])
	}
	return wheels, nil, nil
}

// moreJobs is one more than a build is told to run at once: the number of cores is never an input, so a wheel that hangs on it should
// show. It is 0, the usual, for a build that is no check.
func (j *run) moreJobs() int {
	if j.job.Against == nil {
		return 0
	}
	return max(1, runtime.GOMAXPROCS(0)/j.walls.Slots()) + 1
}

// against is an error where a check is of a record that is no record of the view.
func (j *run) against() error {
	if j.job.Against == nil || j.job.Against.Recipe == j.digest {
		return nil
	}
	if shared := resolver.SharedRecipe(j.job.View, j.recipe); shared != nil {
		if d, err := shared.Digest(); err != nil || d == j.job.Against.Recipe {
			return err
		}
	}
	return fmt.Errorf("internal error: the record is of recipe %s, and the view's is %s", j.job.Against.Recipe, j.digest)
}

// compare ends a check whose build gave a wheel.
func (j *run) compare(ctx context.Context, path string) (Outcome, error) {
	if input := (resolver.Record{Recipe: j.job.Against.Recipe, Requirements: j.used}).Input(); input != j.job.Against.Input() {
		return Outcome{}, inputsFault(true, "built again it asks for fewer build requirements than the record has")
	}
	f, _, err := j.open(ctx, path)
	if err != nil {
		return Outcome{}, err
	}
	defer f.Close()
	filename := filepath.Base(path)
	wheel, size, err := j.Catalog.Store.Add(ctx, f)
	if err != nil {
		return Outcome{}, fmt.Errorf("storing %s: %w", filename, err)
	}
	against := j.job.Against
	k := resolver.Check{Outcome: resolver.CheckIdentical, Other: wheel}
	if wheel != against.Wheel || filename != against.Filename {
		k.Outcome = resolver.CheckDifferent
		if k.Differences, err = j.differences(ctx, f, size, filename); err != nil {
			return Outcome{}, err
		}
	}
	j.step("built %s again (%d bytes, %s): %s", filename, size, wheel, k.Outcome)
	return j.note(ctx, k)
}

// differences explains how the record's wheel and that of the second build differ.
func (j *run) differences(ctx context.Context, second *os.File, size int64, filename string) ([]string, error) {
	first, err := j.Catalog.Store.Blob(ctx, j.job.Against.Wheel)
	if err != nil {
		return nil, machinesFault("the record's wheel %s: %v", j.job.Against.Wheel, err)
	}
	defer first.Close()
	j.comparing.Lock() // each may take 128 MiB
	defer j.comparing.Unlock()
	return compare.Wheels(ctx, compare.Side{R: first.File, Size: first.Size, Filename: j.job.Against.Filename},
		compare.Side{R: second, Size: size, Filename: filename})
}

// failedAgain ends a check whose build failed by its inputs.
func (j *run) failedAgain(ctx context.Context, title string) (Outcome, error) {
	return j.note(ctx, resolver.Check{Outcome: resolver.CheckFailed, Differences: []string{title}})
}

// note keeps what a check found: the log first.
func (j *run) note(ctx context.Context, k resolver.Check) (Outcome, error) {
	against := j.job.Against
	k.Project, k.Version, k.Recipe, k.Input, k.Wheel = j.project(), j.version(), against.Recipe, against.Input(), against.Wheel
	k.Who, k.When = j.Who, time.Now()
	var err error
	if j.log != nil {
		if k.Log, err = j.log.Store(ctx); err != nil {
			return Outcome{}, err
		}
	}
	k, err = j.Catalog.NoteCheck(ctx, k)
	return Outcome{Check: &k}, err
}
