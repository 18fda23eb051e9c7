package builder

import (
	"context"
	"time"

	"github.com/python-wheel-build/axle/builder/slots"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/source"
	"github.com/python-wheel-build/axle/resolver/view"
)

// Job is one ready piece of work. What it gives is the same whoever runs it and whenever.
type Job struct {
	Stage  string // stageMetadata or stageWheel
	View   *view.View
	Source source.Source
	Retry  bool
	// Against makes it a check: the record's requirements are used and no others, the wheel is compared with the record's and not
	// published, and a failure by the inputs is a finding. Stage is stageWheel then, and Retry is set.
	Against *resolver.Record
	// Urgency is that of the flight, and may grow while the job runs.
	Urgency slots.Urgency
	// Cause is why a wheel is built, "" of other jobs. Like Expected it changes nothing but what is told.
	Cause resolver.Cause
	// Expected is how long its steps took the last time; 0 where nobody knows.
	Expected time.Duration
}

// Outcome is how a job ended; exactly one field is set, but Promised of a backend without the metadata hook is empty too.
type Outcome struct {
	Record   *resolver.Record
	Promised resolver.Promised
	Failure  *resolver.Failure
	Check    *resolver.Check
	// Blocked are build requirements that are not hits. Nothing of the job is left; it can be run again when they are.
	Blocked []resolver.Pin
}

// Need resolves build requirements to wheels of the view. hold are wheels of an environment that ran already and that the answer
// should contain where it can. Versions that are no hits yet come back as blocked. An error is a *unresolvable where the
// requirements are at fault.
type Need func(ctx context.Context, reqs []dist.Requirement, hold []resolver.Requirement) (wheels []resolver.Requirement, blocked []resolver.Pin, err error)

// Queue runs ready jobs somewhere and waits for the outcome. need is called back while the job runs; tell is told of its steps and
// its log. A check needs no need. An error is an internal one: everything that the inputs or the machine did is an Outcome.
type Queue interface {
	Do(ctx context.Context, job Job, need Need, tell func(resolver.Event)) (Outcome, error)
}
