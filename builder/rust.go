package builder

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/python-wheel-build/axle/builder/crates"
	"github.com/python-wheel-build/axle/builder/pep517"
	"github.com/python-wheel-build/axle/resolver"
)

// vendor gets the crates of a source before the first hook whose environment has what runs cargo. Later hooks have them too.
func (j *run) vendor(ctx context.Context, wheels []resolver.Requirement) error {
	if j.crates.Binds != nil || !slices.ContainsFunc(wheels, func(r resolver.Requirement) bool { return crates.Needed(r.Project) }) {
		return nil
	}
	manifests, err := j.manifests()
	if err != nil {
		return inputsFault(true, "looking for its crates: %v", err)
	}
	if len(manifests) == 0 {
		return nil
	}
	if !j.hasCargo() {
		return inputsFault(true, "needs a Rust toolchain: declare `environment: paths: {rust: DIR}` in the config, where DIR/bin has cargo and rustc "+
			"(`rustc --print sysroot` prints such a folder)")
	}
	work := filepath.Join(j.dir, "crates")
	if err := os.Mkdir(work, 0o755); err != nil {
		return err
	}
	j.step("getting the crates that %s names", strings.Join(manifests, ", "))
	err = j.inSlot(ctx, func(e pep517.Env) error {
		if err := e.Sandbox.Prepare(e.Slot, work); err != nil {
			return err
		}
		var err error
		j.crates, err = crates.Step{Sandbox: e.Sandbox, Slot: e.Slot, Build: e.Work, Work: work, Manifests: manifests,
			Variables: e.Variables, Limits: e.Limits, Log: e.Log}.Vendor(ctx)
		var bad *crates.Error
		if errors.As(err, &bad) {
			return inputsFault(true, "%v", bad)
		}
		return err
	})
	for _, lock := range j.crates.Locks { // with what the record names, so that it can be had again
		j.step("the Cargo.lock that was made:\n%s", lock)
	}
	return err
}

// manifests is crates.Find in the source as it is now: where a hook ran before, it may be anything.
func (j *run) manifests() ([]string, error) {
	work, err := os.OpenRoot(j.work)
	if err != nil {
		return nil, err
	}
	defer work.Close()
	src, err := work.OpenRoot("src")
	if err != nil {
		return nil, err
	}
	defer src.Close()
	return crates.Find(src, j.job.View.Settings(j.project(), j.version()).BuildDir)
}

// hasCargo tells whether a folder of a build's PATH has cargo: a declared toolchain's, or the system's.
func (j *run) hasCargo() bool {
	root := j.walls.Root()
	for _, dir := range root.Path {
		for _, m := range root.Mounts {
			rest, ok := strings.CutPrefix(dir+"/cargo", m.Target+"/")
			if !ok || m.Kind != "bind" {
				continue
			}
			if _, err := os.Stat(filepath.Join(m.Source, rest)); err == nil {
				return true
			}
		}
	}
	return false
}
