package resolver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver/view"
)

// The words that index and builder share, since neither may import the other.

// Ask is somebody's wish for one version of one project in one view.
type Ask struct {
	View    *view.View
	Project dist.Project
	Version version.Version
	// Retry tries again what is remembered as failed.
	Retry bool
	// Early says that nobody needs it yet: everything that somebody waits for goes before it. Whoever asks for the same without it is
	// somebody who waits, from then on and for good.
	Early bool
	// Watch is told of every step and log line while this asker waits; nil means nobody listens. It must not block.
	Watch func(Event)
}

// Event is one thing that happened on the way to a wheel.
type Event struct {
	// ID is the event's own, unique in the process.
	ID      uint64
	Time    time.Time
	Project dist.Project
	Version version.Version
	// Kind is "wait" (for a slot or another build), "step" (Text names it), "begin" (it runs in the sandbox from now on; Text names it),
	// "log" (Text is a piece of the build's output), "built", "hit" or "failed".
	Kind string
	Text string
	// Ran is, of "begin", "built" and "failed", how long this job's steps have run in the sandbox so far.
	Ran time.Duration
	// Expected is, of "begin", how long all of the job's steps together took the last time; 0 where nobody knows.
	Expected time.Duration
	// Cause is, of "begin" of a wheel's job, what made it a miss.
	Cause Cause
}

// ErrPending says that the asker's time ended before the work did. The work goes on.
var ErrPending = errors.New("still being built")

// FailedError is a build that failed, now or as remembered.
type FailedError struct{ Failure Failure }

func (e *FailedError) Error() string {
	return fmt.Sprintf("%s %s: %s", e.Failure.Project, e.Failure.Version, e.Failure.Title)
}

// RequirementError is a build that could not start because something it needs could not be had. Nothing is remembered of it.
type RequirementError struct {
	Project dist.Project
	Version version.Version
	Err     error
}

func (e *RequirementError) Error() string {
	return fmt.Sprintf("%s %s needs %v", e.Project, e.Version, e.Err)
}

func (e *RequirementError) Unwrap() error { return e.Err }

// CycleError is a ring of builds or metadata each waiting for the next; the first and the last of Path are the same.
type CycleError struct{ Path []string }

func (e *CycleError) Error() string {
	return "these need each other to build: " + strings.Join(e.Path, " -> ") +
		"; declare one of them pre_built in the settings, or constrain it to a version that doesn't need the others"
}

// Asker is a flight that asks the index for pages and metadata while it resolves its build requirements.
type Asker struct {
	// ID names the flight in the waits-for graph.
	ID string
	// Retry tries again what is remembered as failed, as the ask does that the flight is for.
	Retry bool

	mu  sync.Mutex // guards err
	err error
}

// Note keeps the first error that was answered to this asker, since the tool in between reduces it to text.
func (a *Asker) Note(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err == nil {
		a.err = err
	}
}

// Noted is that error, nil when all was well.
func (a *Asker) Noted() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

type askerKey struct{}

// WithAsker marks requests made on behalf of a flight, so that its waits are seen in the waits-for graph.
func WithAsker(ctx context.Context, a *Asker) context.Context {
	return context.WithValue(ctx, askerKey{}, a)
}

// AskerOf is the flight that ctx works for, nil for a client from outside.
func AskerOf(ctx context.Context) *Asker {
	a, _ := ctx.Value(askerKey{}).(*Asker)
	return a
}
