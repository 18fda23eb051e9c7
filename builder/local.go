package builder

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/python-wheel-build/axle/builder/crates"
	"github.com/python-wheel-build/axle/builder/joblog"
	"github.com/python-wheel-build/axle/builder/machine"
	"github.com/python-wheel-build/axle/builder/pep517"
	"github.com/python-wheel-build/axle/builder/sandbox"
	"github.com/python-wheel-build/axle/builder/slots"
	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/source"
	"github.com/python-wheel-build/axle/resolver/view"
)

// Local runs jobs in this process. Only steps in the sandbox hold a slot.
type Local struct {
	Catalog  *resolver.Catalog
	Machines *machine.Machines
	Tools    string
	Limits   sandbox.Limits
	// Registry is where the crates of projects in Rust come from.
	Registry crates.Registry
	// Who stands in the records.
	Who string

	slots     *slots.Slots
	comparing sync.Mutex // held while two wheels are compared
}

// NewLocal gives a queue with n slots.
func NewLocal(c *resolver.Catalog, m *machine.Machines, tools, who string, n int) *Local {
	return &Local{Catalog: c, Machines: m, Tools: tools, Who: who, slots: slots.New(n)}
}

// failed ends a job: the inputs' fault ("build") or the machine's ("infrastructure").
type failed struct {
	class, title string
	// resolved says that the environment of the failing step was known whole, so that the same would happen again.
	resolved bool
}

func (e *failed) Error() string { return e.title }

func inputsFault(resolved bool, format string, args ...any) error {
	return &failed{"build", fmt.Sprintf(format, args...), resolved}
}

func machinesFault(format string, args ...any) error {
	return &failed{class: "infrastructure", title: fmt.Sprintf(format, args...)}
}

// Do runs a job to its end. See Queue. One that was begun early and lost its slot to one that somebody waits for begins again, once.
func (l *Local) Do(ctx context.Context, job Job, need Need, tell func(resolver.Event)) (Outcome, error) {
	out, err := l.once(ctx, job, need, tell, false)
	if errors.Is(err, slots.ErrLost) {
		tell(event(job.Source.Project, job.Source, "step", "gave way to a build that somebody waits for, and begins again"))
		return l.once(ctx, job, need, tell, true)
	}
	return out, err
}

// once runs a job. With modest it does not lose its slot; else the error may be slots.ErrLost, and nothing of the job is left.
func (l *Local) once(ctx context.Context, job Job, need Need, tell func(resolver.Event), modest bool) (Outcome, error) {
	j := &run{Local: l, job: job, need: need, modest: modest}
	j.tell = j.timed(tell)
	if job.Against != nil {
		j.need = j.recorded
	}
	out, err := j.do(ctx)
	defer j.close()
	if ctx.Err() != nil {
		return Outcome{}, ctx.Err() // the process ends: this says nothing about the job
	}
	if err == nil {
		return out, nil
	}
	var requirement *resolver.RequirementError
	var ring *resolver.CycleError
	var known *resolver.FailedError
	var f *failed
	var no *unresolvable
	switch {
	case errors.As(err, &requirement), errors.As(err, &ring), errors.Is(err, slots.ErrLost):
		return Outcome{}, err // nothing of it is this job's own
	case errors.As(err, &known): // remembered from another view
		return Outcome{Failure: &known.Failure}, nil
	case errors.As(err, &no):
		f = &failed{class: "build", title: no.text}
	case !errors.As(err, &f):
		f = &failed{class: "infrastructure", title: err.Error()}
	}
	return j.fail(ctx, f)
}

// run is one job under way.
type run struct {
	*Local
	job    Job
	need   Need
	modest bool // see slots.Slots.Take
	tell   func(resolver.Event)
	log    *joblog.Log
	dir    string // all that the job has on disk
	work   string // below dir, what the sandbox sees as /build: after the first hook everything in it is the build's
	owner  int    // the slot that work belongs to, -1 at first
	m      *machine.Machine
	walls  *sandbox.Sandbox
	recipe resolver.Recipe
	digest resolver.RecipeDigest
	used   []resolver.Requirement // every wheel of every environment so far
	crates crates.Vendored
	locks  map[string]cas.Digest // what stands in no Cargo.lock of the source's: resolver.Record.Locks
	clock  clock
}

func (j *run) project() dist.Project    { return j.job.Source.Project }
func (j *run) version() version.Version { return j.job.Source.Version }

func (j *run) step(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	j.clock.step = text
	if j.log != nil {
		j.log.Line("axle: " + text) // which tells it
		return
	}
	j.tell(event(j.project(), j.job.Source, "step", text))
}

func (j *run) close() {
	if j.log != nil {
		j.log.Discard()
	}
	if j.dir != "" {
		_ = sandbox.Remove(j.dir) // what is left is scratch, emptied at the next start
	}
}

func (j *run) do(ctx context.Context) (Outcome, error) {
	blob, source, err := j.Catalog.File(ctx, j.job.View, j.job.Source)
	if err != nil {
		return Outcome{}, sourceFault(err)
	}
	defer blob.Close()
	j.job.Source = source
	j.recipe = resolver.NewRecipe(j.job.View, source)
	if j.digest, err = j.recipe.Digest(); err != nil {
		return Outcome{}, err
	}
	if err := j.against(); err != nil {
		return Outcome{}, err
	}
	if err := j.revoked(ctx, append([]cas.Digest{source.SHA256}, patches(j.recipe)...)...); err != nil {
		return Outcome{}, err
	}
	if source.PreBuilt() {
		return j.take(ctx, blob)
	}
	if j.m, err = j.Machines.For(j.job.View); err != nil {
		return Outcome{}, machinesFault("%v", err)
	}
	if j.walls, err = j.m.Ready(ctx); err != nil {
		return Outcome{}, machinesFault("%v", err)
	}
	// What the recipe does not name the build must not see.
	j.walls = j.walls.Without(j.job.View.Depends[j.project()].Without)
	if j.log, err = joblog.New(j.Catalog.Store, j.project(), j.version(), func(text string) {
		j.tell(event(j.project(), j.job.Source, "log", text))
	}); err != nil {
		return Outcome{}, err
	}
	system, err := j.unpack(ctx, blob)
	if err != nil {
		return Outcome{}, err
	}
	result, blocked, err := j.hooks(ctx, system)
	if err != nil || len(blocked) > 0 {
		return Outcome{Blocked: blocked}, err
	}
	// What was built in another environment than the recipe says must not be found under that recipe.
	if err := j.m.Still(ctx); err != nil {
		return Outcome{}, machinesFault("%v", err)
	}
	if j.job.Stage == stageMetadata {
		return j.prepared(ctx, result)
	}
	if j.job.Against != nil {
		return j.compare(ctx, result.Wheel)
	}
	return j.publish(ctx, result.Wheel)
}

// sourceFault tells what can't be had from what must not be had.
func sourceFault(err error) error {
	if errors.Is(err, source.ErrChanged) {
		return inputsFault(false, "%v", err)
	}
	return machinesFault("%v", err)
}

// hookRounds is how often the requirements hook may change the environment that it runs in itself.
const hookRounds = 3

// hooks makes environments and runs the backend in them until it has what the stage is for. Requirements that the backend asks for
// while it runs are resolved together with the static ones, holding on to the versions it ran with; where they can't be held the
// hook runs again with the new ones.
func (j *run) hooks(ctx context.Context, system pep517.System) (pep517.Result, []resolver.Pin, error) {
	settings := j.job.View.Settings(j.project(), j.version())
	step := pep517.Step{Do: "build", System: system, ConfigSettings: configFor(settings, system.Backend), BuildDir: settings.BuildDir}
	if j.job.Stage == stageMetadata {
		step.Do = "prepare"
	}
	static, blocked, err := j.need(ctx, system.Requires, nil)
	if err != nil || len(blocked) > 0 {
		return pep517.Result{}, blocked, err
	}
	for range hookRounds {
		step.HaveRequires = false
		result, err := j.hook(ctx, step, static)
		if err != nil || len(result.Requires) == 0 {
			return result, nil, err
		}
		reqs := system.Requires
		for _, text := range result.Requires {
			r, err := dist.ParseRequirement(text)
			if err != nil {
				return result, nil, inputsFault(true, "the backend asks for %q: %v", text, err)
			}
			reqs = append(reqs[:len(reqs):len(reqs)], r)
		}
		j.step("the backend also needs %s", strings.Join(result.Requires, ", "))
		all, blocked, err := j.need(ctx, reqs, static)
		if err != nil || len(blocked) > 0 {
			return result, blocked, err
		}
		if contains(all, static) {
			step.HaveRequires = true
			result, err = j.hook(ctx, step, all)
			return result, nil, err
		}
		static = all
	}
	return pep517.Result{}, nil, inputsFault(true, "the backend asks for other build requirements each time it runs (%d times)", hookRounds)
}

// configFor gives the config settings for a backend: the project's own, and those that the view has for every project of it.
func configFor(s view.Settings, backend string) map[string]any {
	module, _, _ := strings.Cut(backend, ":")
	all := map[string]any{}
	maps.Copy(all, s.Backends[module])
	maps.Copy(all, s.ConfigSettings)
	return all
}

// hook runs one step of the backend in an environment of exactly these wheels.
func (j *run) hook(ctx context.Context, step pep517.Step, wheels []resolver.Requirement) (pep517.Result, error) {
	j.used = append(j.used, wheels...)
	if !j.job.Retry {
		input := resolver.Failure{Recipe: j.digest, Requirements: j.used}.Input()
		old, err := j.Catalog.Failed(ctx, j.digest, func(f resolver.Failure) bool {
			return f.Resolved && f.Stage == j.job.Stage && f.Input() == input
		})
		if err != nil {
			return pep517.Result{}, err
		}
		if old != nil {
			return pep517.Result{}, &resolver.FailedError{Failure: *old}
		}
	}
	if err := j.vendor(ctx, wheels); err != nil {
		return pep517.Result{}, err
	}
	var names []string
	for _, w := range wheels {
		r, err := j.Catalog.Requirement(ctx, w)
		if err != nil {
			return pep517.Result{}, err
		}
		path, err := j.copyOut(ctx, "wheels", r.Filename, w.Wheel)
		if err != nil {
			return pep517.Result{}, err
		}
		step.Wheels = append(step.Wheels, pep517.Wheel{Path: path, Digest: string(w.Wheel)})
		names = append(names, string(w.Project)+" "+w.Version.String())
	}
	with := "nothing"
	if len(names) > 0 {
		with = strings.Join(names, ", ")
	}
	j.step("running the backend (%s) with %s", step.Do, with)
	var result pep517.Result
	err := j.withCrates(ctx, step.Do, func(ear *crates.Ear) error {
		return j.inSlot(ctx, func(ctx context.Context, e pep517.Env) (err error) {
			ear.To, e.Log = e.Log, ear
			result, err = e.Run(ctx, step)
			return err
		})
	})
	return result, err
}

// copyOut puts a blob, whole and proven, under the name that a tool wants to see into a folder that no build can write to.
func (j *run) copyOut(ctx context.Context, kind, name string, d cas.Digest) (string, error) {
	if filepath.Base(name) != name {
		return "", machinesFault("%q is not a file name", name)
	}
	dir := filepath.Join(j.dir, kind)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	blob, err := j.Catalog.Store.Blob(ctx, d)
	if err != nil {
		return "", machinesFault("%s (%s): %v", name, d, err)
	}
	defer blob.Close()
	out, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return "", err
	}
	_, err = out.ReadFrom(blob)
	return path, errors.Join(err, out.Close())
}

// inSlot waits for a slot, gives the work folder to its user, and runs a step there. What the step says of itself becomes how the job
// failed.
func (j *run) inSlot(ctx context.Context, do func(context.Context, pep517.Env) error) error {
	slot, held, give, err := j.slots.Take(ctx, j.job.Urgency, j.modest, func() {
		j.tell(event(j.project(), j.job.Source, "wait", "waiting for a free slot"))
	})
	if err != nil {
		return err
	}
	defer give()
	if j.owner != slot {
		if err := j.walls.Prepare(slot, j.work); err != nil {
			return err
		}
		j.owner = slot
	}
	variables := map[string]string{}
	settings := j.job.View.Settings(j.project(), j.version())
	maps.Copy(variables, settings.Env)
	maps.Copy(variables, j.crates.Env)
	began := j.begin()
	err = do(held, pep517.Env{Sandbox: j.walls, Slot: slot, Work: j.work, Tools: j.Tools, Python: j.m.Python, Variables: variables,
		Templates: settings.Templates, Binds: j.crates.Binds, Jobs: j.moreJobs(), Limits: j.Limits, Log: j.log})
	took := j.end(began)
	if err != nil && held.Err() != nil {
		return context.Cause(held)
	}
	var limit *sandbox.LimitError
	var backend *pep517.BackendError
	var patch *pep517.PatchError
	var known *failed
	switch {
	case err == nil:
		j.step("took %s", took)
		return nil
	case errors.As(err, &known):
		return err
	case errors.As(err, &limit):
		return machinesFault("%v", limit)
	case errors.As(err, &backend):
		return inputsFault(true, "%s", j.why(backend))
	case errors.As(err, &patch):
		return j.unpatchable(patch)
	default:
		return machinesFault("%v", err)
	}
}
