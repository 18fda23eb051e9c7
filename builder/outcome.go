package builder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/python-wheel-build/axle/builder/pep517"
	"github.com/python-wheel-build/axle/builder/reason"
	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/archive"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/estimate"
)

// inspected is a wheel that is what it says, and is what was asked for.
type inspected struct {
	metadata []byte
	parsed   dist.Metadata
	compiled bool // see archive.Wheel.Compiled
}

// inspect looks a wheel over before anybody may have it.
func (j *run) inspect(ctx context.Context, f *os.File, size int64, filename string) (inspected, error) {
	name, err := dist.ParseWheelName(filename)
	if err != nil {
		return inspected{}, err
	}
	if name.Project != j.project() || name.Version.Compare(j.version()) != 0 {
		return inspected{}, &mismatch{reason.Mismatch(string(name.Project), name.Version.String(), j.built())}
	}
	if _, ok := j.job.View.Target.Rank(name.Tags); !ok {
		return inspected{}, fmt.Errorf("%s can't be installed on the view's target %s", filename, j.job.View.Target.PromiseTags())
	}
	w, err := archive.OpenWheel(f, size, filename, archive.DefaultLimits)
	if err != nil {
		return inspected{}, err
	}
	if err := w.Check(ctx); err != nil {
		return inspected{}, err
	}
	in := inspected{compiled: w.Compiled()}
	if in.metadata, err = w.Metadata(); err != nil {
		return inspected{}, err
	}
	if in.parsed, err = dist.ParseMetadata(in.metadata); err != nil {
		return inspected{}, fmt.Errorf("%s: %w", filename, err)
	}
	return in, nil
}

// revoked fails a job that would use or give bytes that somebody withdrew.
func (j *run) revoked(ctx context.Context, all ...cas.Digest) error {
	for _, d := range all {
		err := j.Catalog.Revoked(ctx, d)
		if errors.Is(err, resolver.ErrRevoked) {
			return inputsFault(false, "%v", err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func patches(r resolver.Recipe) (all []cas.Digest) {
	for _, p := range r.Patches {
		all = append(all, p.SHA256)
	}
	return all
}

// open gives the wheel that a build gave, inspected. The caller closes it.
func (j *run) open(ctx context.Context, path string) (*os.File, inspected, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, inspected{}, err
	}
	var in inspected
	info, err := f.Stat()
	if err == nil {
		var other *mismatch
		if in, err = j.inspect(ctx, f, info.Size(), filepath.Base(path)); errors.As(err, &other) {
			err = inputsFault(true, "the wheel that was built %v", other)
		} else if err != nil {
			err = inputsFault(true, "the build gave a wheel that can't be published: %v", err)
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, in, err
	}
	return f, in, nil
}

// publish inspects the built wheel, stores its blobs and then its record.
func (j *run) publish(ctx context.Context, path string) (Outcome, error) {
	f, in, err := j.open(ctx, path)
	if err != nil {
		return Outcome{}, err
	}
	defer f.Close()
	filename := filepath.Base(path)
	if err := j.whole(ctx, in); err != nil {
		return Outcome{}, err
	}
	wheel, size, err := j.Catalog.Store.Add(ctx, f)
	if err != nil {
		return Outcome{}, fmt.Errorf("storing %s: %w", filename, err)
	}
	// Before the log says that all is well.
	if err := j.revoked(ctx, wheel); err != nil {
		return Outcome{}, err
	}
	j.step("built %s (%d bytes, %s)", filename, size, wheel)
	log, err := j.log.Store(ctx)
	if err != nil {
		return Outcome{}, err
	}
	return j.record(ctx, in, wheel, size, filename, log)
}

// take publishes a pre-built wheel as it is.
func (j *run) take(ctx context.Context, blob *cas.Blob) (Outcome, error) {
	s := j.job.Source
	in, err := j.inspect(ctx, blob.File, blob.Size, s.How.Filename)
	if err != nil {
		return Outcome{}, inputsFault(true, "the pre-built wheel %s of index %s can't be used: %v", s.How.Filename, s.How.Index, err)
	}
	j.step("took %s pre-built from index %s", s.How.Filename, s.How.Index)
	return j.record(ctx, in, s.SHA256, blob.Size, s.How.Filename, "")
}

func (j *run) record(ctx context.Context, in inspected, wheel cas.Digest, size int64, filename string, log cas.Digest) (Outcome, error) {
	metadata, err := j.Catalog.Store.AddBytes(ctx, in.metadata)
	if err != nil {
		return Outcome{}, err
	}
	r, err := j.Catalog.Publish(ctx, j.recipe, resolver.Record{
		Project: j.project(), Version: j.version(), Recipe: j.digest, Requirements: j.used, Wheel: wheel, Bytes: strconv.FormatInt(size, 10),
		Filename: filename, Metadata: metadata, RequiresPython: printable(in.parsed.RequiresPython, 1<<10), Log: log, Locks: j.locks,
		Seconds: estimate.Seconds(j.clock.ran), Who: j.Who, When: time.Now(),
	})
	if err != nil {
		return Outcome{}, err
	}
	j.tell(event(j.project(), j.job.Source, "built", r.Filename))
	return Outcome{Record: &r}, nil
}

// prepared stores what the metadata hook gave.
func (j *run) prepared(ctx context.Context, result pep517.Result) (Outcome, error) {
	if result.NoPrepare {
		return Outcome{}, nil
	}
	m, err := dist.ParseMetadata(result.Metadata)
	if err != nil {
		return Outcome{}, inputsFault(true, "the backend's metadata: %v", err)
	}
	if m.Name != j.project() || m.Version.Compare(j.version()) != 0 {
		return Outcome{}, inputsFault(true, "the backend's metadata %v", reason.Mismatch(string(m.Name), m.Version.String(), j.built()))
	}
	blob, err := j.Catalog.Store.AddBytes(ctx, result.Metadata)
	if err != nil {
		return Outcome{}, err
	}
	return Outcome{Promised: resolver.Promised{How: "prepared", Blob: blob}}, nil
}

// fail ends the job as failed: with its log, and remembered where the inputs are at fault. Of a check that is a finding.
func (j *run) fail(ctx context.Context, f *failed) (Outcome, error) {
	if j.log != nil && strings.Contains(strings.TrimSpace(f.title), "\n") {
		j.log.Line(f.title) // a title is one line, the log has it as it was said
	}
	f.title = reason.Line(f.title, titleKept)
	if j.job.Against != nil && f.class == "build" {
		j.step("failed: %s", f.title)
		return j.failedAgain(ctx, f.title)
	}
	failure := resolver.Failure{Project: j.project(), Version: j.version(), Recipe: j.digest, View: j.job.View.Digest(), Stage: j.job.Stage,
		Resolved: f.resolved, Requirements: j.used, Class: f.class, Title: f.title, Who: j.Who, When: time.Now().UTC().Truncate(time.Second)}
	j.step("failed: %s", f.title)
	if j.log != nil {
		failure.Tail = j.log.Tail()
		log, err := j.log.Store(ctx)
		if err != nil {
			return Outcome{}, err
		}
		failure.Log = log
	}
	j.tell(event(j.project(), j.job.Source, "failed", f.title))
	if j.digest == "" {
		return Outcome{Failure: &failure}, nil
	}
	if err := j.Catalog.Fail(ctx, failure); err != nil {
		return Outcome{}, err
	}
	return Outcome{Failure: &failure}, nil
}

// titleKept is how much of a failure's reason is kept, in bytes; the log has all of it.
const titleKept = 2 << 10

// printable makes text of what a build printed, its beginning and its end where it is long.
func printable(s string, most int) string {
	if len(s) > most {
		s = s[:most/2] + " … " + s[len(s)-most/2:]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

func parsePin(name, ver string) (resolver.Pin, error) {
	p, err := dist.ParseProject(name)
	if err != nil {
		return resolver.Pin{}, err
	}
	v, err := version.Parse(ver)
	return resolver.Pin{Project: p, Version: v}, err
}
