package builder

import (
	"context"
	"strings"

	"github.com/python-wheel-build/axle/builder/pep517"
	"github.com/python-wheel-build/axle/builder/reason"
	"github.com/python-wheel-build/axle/resolver/view"
)

// built is what the job builds and with what, for the words of a reason.
func (j *run) built() reason.Build {
	b := reason.Build{Project: string(j.project()), Version: j.version().String()}
	for _, r := range j.used {
		b.Requires = append(b.Requires, string(r.Project))
	}
	return b
}

// why is the title of a job whose hook failed: what it lacked and the next step, where that is known, else its last word.
func (j *run) why(e *pep517.BackendError) string {
	if e.Output == "" { // it printed nothing, or what it left is wrong
		return e.Error()
	}
	why := j.log.Failed(j.built())
	if why.Next == "" {
		return e.Hook + " failed: " + why.What
	}
	return why.String()
}

// unpatchable keeps the rejected hunk in the log; a title is one line.
func (j *run) unpatchable(e *pep517.PatchError) error {
	j.log.Line(e.Error())
	said, _, _ := strings.Cut(e.Text, "\n--- ")
	return inputsFault(true, "patch %s does not apply (%s): make it anew for this version of the source, or remove it", e.Name, reason.Line(said, 300))
}

// mismatch is a wheel of another project or version than was wanted.
type mismatch struct{ reason.Reason }

func (e *mismatch) Error() string { return e.String() }

// whole is an error where the build went on without an extension that it could not make, and gave a wheel without any, though upstream's
// wheels of this version have one: nobody would notice but by its speed. Where upstream can't be asked the wheel is taken.
func (j *run) whole(ctx context.Context, in inspected) error {
	if in.compiled || j.job.View.Settings(j.project(), j.version()).Extensions == view.Optional {
		return nil
	}
	left := j.log.LeftOut(j.built())
	if left.What == "" {
		return nil
	}
	platform, err := j.Catalog.HasPlatformWheel(ctx, j.job.View, j.job.Source)
	if err != nil || !platform {
		return nil
	}
	return inputsFault(true, "%v", left)
}
