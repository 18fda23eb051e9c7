package builder

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/python-wheel-build/axle/builder/crates"
	"github.com/python-wheel-build/axle/builder/pep517"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/locks"
)

// vendor gets the crates of a source before the first hook whose environment has what runs cargo. Later hooks have them too.
func (j *run) vendor(ctx context.Context, wheels []resolver.Requirement) error {
	if j.crates.Binds != nil || !slices.ContainsFunc(wheels, func(r resolver.Requirement) bool { return crates.Needed(r.Project) }) {
		return nil
	}
	return j.getCrates(ctx)
}

// withCrates calls a hook; where it failed because cargo lacked crates, of which nothing in its build requirements told, it gets them
// and calls the hook once more.
func (j *run) withCrates(ctx context.Context, hook string, call func(*crates.Ear) error) error {
	var ear crates.Ear
	err := call(&ear)
	var f *failed
	if !errors.As(err, &f) || f.class != "build" || j.crates.Binds != nil || !ear.Lacked {
		return err
	}
	if err := j.getCrates(ctx); err != nil || j.crates.Binds == nil {
		return cmp.Or(err, error(f))
	}
	j.step("running the backend (%s) again, with crates", hook)
	return call(&ear)
}

// getCrates gets the crates of the manifests that are found, and none where there is no manifest.
func (j *run) getCrates(ctx context.Context) error {
	manifests, err := crates.FindIn(j.work, j.job.View.Settings(j.project(), j.version()).BuildDir, j.walls.Root())
	if err != nil || len(manifests) == 0 {
		return cratesFault(err)
	}
	kept, err := locks.Find(ctx, j.Catalog.Store, j.recipe, j.job.Against, j.job.Retry)
	if err != nil {
		return err
	}
	var paths []string
	for _, m := range manifests {
		paths = append(paths, m.Path)
	}
	j.step("getting the crates that %s names", strings.Join(paths, ", "))
	err = j.inSlot(ctx, func(ctx context.Context, e pep517.Env) (err error) {
		j.crates, err = crates.Step{Sandbox: e.Sandbox, Slot: e.Slot, Build: e.Work, Dir: filepath.Join(j.dir, "crates"), Manifests: manifests, Made: kept,
			Registry: j.Registry, Store: j.Catalog.Store, Variables: e.Variables, Limits: e.Limits, Log: e.Log}.Vendor(ctx)
		return cratesFault(err)
	})
	if err != nil || len(j.crates.Made) == 0 {
		return err
	}
	// Kept before anything is built with them.
	if j.locks, err = locks.Keep(ctx, j.Catalog.Store, j.recipe, j.crates.Made); err != nil {
		return err
	}
	j.step("not the source's own, but kept: %v", j.locks)
	j.owner = -1 // what is added is to be the slot's, too
	return crates.Carry(j.work, j.crates.Locks)
}

func cratesFault(err error) error {
	var bad *crates.Error
	if errors.As(err, &bad) {
		return inputsFault(true, "%v", bad)
	}
	return err
}
