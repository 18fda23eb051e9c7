package builder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/python-wheel-build/axle/builder/pep517"
	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/archive"
)

// unpack lays the source tree out in the work folder, patches it and reads how it wants to be built.
func (j *run) unpack(ctx context.Context, blob *cas.Blob) (pep517.System, error) {
	var err error
	if j.dir, err = os.MkdirTemp(j.Catalog.Store.Scratch(), "job-"); err != nil {
		return pep517.System{}, err
	}
	j.work = filepath.Join(j.dir, "build")
	if err := os.Mkdir(j.work, 0o755); err != nil {
		return pep517.System{}, err
	}
	j.owner = -1
	name := j.job.Source.How.Filename
	j.step("unpacking %s", name)
	unpacked := filepath.Join(j.dir, "unpack")
	if err := os.Mkdir(unpacked, 0o755); err != nil {
		return pep517.System{}, err
	}
	top, err := archive.Unpack(ctx, blob.File, name, unpacked, archive.DefaultLimits)
	var bad *archive.Error
	if errors.As(err, &bad) {
		return pep517.System{}, inputsFault(true, "unpacking: %v", err)
	}
	if err != nil {
		return pep517.System{}, machinesFault("unpacking %s: %v", name, err)
	}
	if err := os.Rename(filepath.Join(unpacked, top), filepath.Join(j.work, "src")); err != nil {
		return pep517.System{}, err
	}
	if j.recipe.Source.Kind == "git" {
		dir := j.job.View.Settings(j.project(), j.version()).BuildDir
		if err := pep517.WritePKGInfo(filepath.Join(j.work, "src"), dir, j.project(), j.version()); err != nil {
			return pep517.System{}, machinesFault("writing PKG-INFO: %v", err)
		}
	}
	if len(j.recipe.Patches) > 0 {
		if err := j.patch(ctx); err != nil {
			return pep517.System{}, err
		}
	}
	settings := j.job.View.Settings(j.project(), j.version())
	system, err := pep517.ReadSystem(filepath.Join(j.work, "src"), settings.BuildDir)
	if errors.Is(err, fs.ErrNotExist) && top == "." {
		err = fmt.Errorf("%w (%s has not one top folder that holds all, so it is taken as the source itself)", err, name)
	}
	if err != nil {
		return pep517.System{}, inputsFault(true, "%v", err)
	}
	if system.Requires, err = settings.Override.Apply(system.Requires); err != nil {
		return pep517.System{}, inputsFault(true, "project_override: %v", err)
	}
	return system, nil
}

func (j *run) patch(ctx context.Context) error {
	var patches []pep517.Patch
	for i, p := range j.recipe.Patches {
		// Two patches of one project may have one name: that of all versions and that of this one.
		path, err := j.copyOut(ctx, "patches", fmt.Sprintf("%03d-%s", i, p.Name), p.SHA256)
		if err != nil {
			return err
		}
		patches = append(patches, pep517.Patch{Name: p.Name, Path: path})
		j.step("patching with %s", p.Name)
	}
	return j.inSlot(ctx, func(ctx context.Context, e pep517.Env) error { return e.Patch(ctx, patches) })
}
