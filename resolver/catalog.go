// Package resolver decides which source, which recipe and which record answer for a version of a project in a view. No dependencies
// are resolved here: that is uv's work, in package builder.
//
// Everything hangs on one question, asked by pages, promises, builds and counters alike:
//
//	answers, err := catalog.Page(ctx, view, project)            // every version: a hit, or why not
//	answer, err := catalog.Lookup(ctx, view, project, version)  // one version
//
// A hit is the oldest valid record of the view's recipe whose bytes are there. A record is valid in a view when nothing in it is
// revoked, the view's constraints admit each of its requirements, and each requirement's wheel is that of a valid record of the view.
package resolver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver/kept"
	"github.com/python-wheel-build/axle/resolver/source"
	"github.com/python-wheel-build/axle/resolver/view"
)

// Catalog answers for views out of a store and their upstream indexes. It is safe for concurrent use; any number of processes may
// share a store.
type Catalog struct {
	source.Sources
	// Now is the clock; nil is time.Now.
	Now func() time.Time

	docs kept.Documents
}

// ErrRevoked says that somebody withdrew these bytes: they are not served, accepted or built with again.
var ErrRevoked = errors.New("revoked")

// failedForgotten is how long a failure counts whose environment was never resolved: the reason may have gone by itself.
const failedForgotten = 10 * time.Minute

func (c *Catalog) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

// Page gives the view's answer for every version of a project, oldest version first. It fetches no file and writes nothing but the
// quarantine of a damaged record. A project that nobody knows is fs.ErrNotExist.
func (c *Catalog) Page(ctx context.Context, v *view.View, p dist.Project) ([]Answer, error) {
	sources, err := c.All(ctx, v, p)
	if err != nil {
		return nil, err
	}
	return c.memo(v).answers(ctx, sources)
}

// Lookup gives the view's answer for one version; source.ErrNone where the view has no source of it.
func (c *Catalog) Lookup(ctx context.Context, v *view.View, p dist.Project, ver version.Version) (Answer, error) {
	s, err := c.One(ctx, v, p, ver)
	if err != nil {
		return Answer{}, err
	}
	answers, err := c.memo(v).answers(ctx, []source.Source{s})
	if err != nil {
		return Answer{}, err
	}
	return answers[0], nil
}

// Everything gives the view's answer for every version of which the store has a record, by project==version.
func (c *Catalog) Everything(ctx context.Context, v *view.View) (map[string]Answer, error) {
	m := c.memo(v)
	nodes, err := m.everything(ctx)
	if err != nil {
		return nil, err
	}
	answers := make(map[string]Answer, len(nodes))
	for _, n := range nodes {
		if answers[n.pin.String()], err = m.answer(ctx, n); err != nil {
			return nil, err
		}
	}
	return answers, nil
}

// Holds gives those of them that are hits.
func (c *Catalog) Holds(ctx context.Context, v *view.View) (map[string]Record, error) {
	answers, err := c.Everything(ctx, v)
	if err != nil {
		return nil, err
	}
	hits := map[string]Record{}
	for pin, a := range answers {
		if a.Record != nil {
			hits[pin] = *a.Record
		}
	}
	return hits, nil
}

// record reads one record; they never change, so one that was read is not read again.
func (c *Catalog) record(ctx context.Context, key string) (Record, error) {
	if r, ok := c.docs.Get(key); ok {
		return r.(Record), nil
	}
	var r Record
	if err := c.Store.Read(ctx, key, &r); err != nil {
		return Record{}, err
	}
	c.docs.Put(key, r)
	return r, nil
}

// Publish keeps a record whose blobs are stored already, and gives the one that counts: where the same inputs gave a wheel before,
// the older record wins, unless its wheel or its metadata is missing or revoked. Safe to repeat and to call at once.
func (c *Catalog) Publish(ctx context.Context, recipe Recipe, r Record) (Record, error) {
	name, err := dist.ParseWheelName(r.Filename)
	if err != nil {
		return Record{}, fmt.Errorf("record: %w", err)
	}
	if name.Project != r.Project || name.Version.Compare(r.Version) != 0 {
		return Record{}, fmt.Errorf("record of %s %s: wheel %s is of another project or version", r.Project, r.Version, r.Filename)
	}
	doc, err := recipe.Canonical()
	if err != nil {
		return Record{}, err
	}
	if r.RecipeBlob, err = c.Store.AddBytes(ctx, doc); err != nil {
		return Record{}, fmt.Errorf("storing recipe: %w", err)
	}
	r.Requirements = sortRequirements(r.Requirements)
	r.When = r.When.UTC().Truncate(time.Second)
	for n := 0; n < 10_000; n++ {
		key := fmt.Sprintf("%s%s/%04d.json", recordPrefix(r.Project, r.Version, r.Recipe), r.Input().hex(), n)
		err := c.Store.Create(ctx, key, r)
		if err == nil {
			return r, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return Record{}, fmt.Errorf("publishing %s %s: %w", r.Project, r.Version, err)
		}
		old, err := c.record(ctx, key)
		var damaged *cas.DamagedError
		if errors.As(err, &damaged) {
			if err := c.Store.Quarantine(ctx, key); err != nil {
				return Record{}, err
			}
			n--
			continue
		}
		if err != nil {
			return Record{}, err
		}
		usable, err := c.usable(ctx, old)
		if err != nil {
			return Record{}, err
		}
		if usable {
			return old, nil
		}
	}
	return Record{}, fmt.Errorf("publishing %s %s: ten thousand records of one input, and none of their wheels is left", r.Project, r.Version)
}

// usable says whether a record can still be a hit as far as its own bytes go.
func (c *Catalog) usable(ctx context.Context, r Record) (bool, error) {
	err := c.Revoked(ctx, r.Wheel)
	if errors.Is(err, ErrRevoked) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, d := range []cas.Digest{r.Wheel, r.Metadata} {
		if ok, err := c.Store.Has(ctx, d); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

// Revoked is ErrRevoked, naming the bytes, where somebody withdrew them.
func (c *Catalog) Revoked(ctx context.Context, d cas.Digest) error {
	key := "revocations/" + d.Encoded() + ".json"
	revoked, err := c.Store.Exists(ctx, key)
	if err != nil {
		return fmt.Errorf("looking for a revocation: %w", err)
	}
	if revoked {
		return fmt.Errorf("%s is %w (%s)", d, ErrRevoked, key)
	}
	return nil
}

// Wheel gives a record of that project and version whose wheel these bytes are: the only way from a file's URL to its bytes. It is
// fs.ErrNotExist where there is none and ErrRevoked where the bytes are revoked.
func (c *Catalog) Wheel(ctx context.Context, sha cas.Digest, name dist.WheelName) (Record, error) {
	if err := c.Revoked(ctx, sha); err != nil {
		return Record{}, err
	}
	for key, err := range c.Store.Keys(ctx, fmt.Sprintf("records/%s/%s/", name.Project, name.Version)) {
		if err != nil {
			return Record{}, fmt.Errorf("listing records: %w", err)
		}
		if r, err := c.record(ctx, key); err == nil && r.Wheel == sha {
			return r, nil
		}
	}
	return Record{}, fmt.Errorf("wheel %s of %s %s: %w", sha, name.Project, name.Version, fs.ErrNotExist)
}

// Requirement gives the record of a wheel that a build's environment is to hold.
func (c *Catalog) Requirement(ctx context.Context, r Requirement) (Record, error) {
	return c.Wheel(ctx, r.Wheel, dist.WheelName{Project: r.Project, Version: r.Version})
}

// Projects gives every project of which the store holds a source or a record, sorted.
func (c *Catalog) Projects(ctx context.Context) ([]dist.Project, error) {
	seen := map[dist.Project]bool{}
	for _, prefix := range []string{"records/", "sources/"} {
		for key, err := range c.Store.Keys(ctx, prefix) {
			if err != nil {
				return nil, fmt.Errorf("listing projects: %w", err)
			}
			p, _, _ := strings.Cut(strings.TrimPrefix(key, prefix), "/")
			seen[dist.Project(p)] = true
		}
	}
	var all []dist.Project
	for p := range seen {
		all = append(all, p)
	}
	slices.Sort(all)
	return all, nil
}

// Fail remembers a failure of the inputs. One of the infrastructure is not kept: it says nothing about the next try.
func (c *Catalog) Fail(ctx context.Context, f Failure) error {
	if f.Class != "build" {
		return nil
	}
	f.Requirements = sortRequirements(f.Requirements)
	key := fmt.Sprintf("failures/%s/%s.json", f.Recipe.hex(), strings.ToLower(rand.Text()))
	if err := c.Store.Create(ctx, key, f); err != nil {
		return fmt.Errorf("remembering the failure of %s %s: %w", f.Project, f.Version, err)
	}
	return nil
}

// Failed gives the newest remembered failure for which same holds, nil where there is none.
func (c *Catalog) Failed(ctx context.Context, recipe RecipeDigest, same func(Failure) bool) (*Failure, error) {
	var newest *Failure
	for key, err := range c.Store.Keys(ctx, "failures/"+recipe.hex()+"/") {
		if err != nil {
			return nil, fmt.Errorf("listing failures: %w", err)
		}
		var f Failure
		err = c.Store.Read(ctx, key, &f)
		var damaged *cas.DamagedError
		if errors.As(err, &damaged) {
			if err := c.Store.Quarantine(ctx, key); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		if f.Recipe == recipe && same(f) && (newest == nil || f.When.After(newest.When)) {
			newest = &f
		}
	}
	return newest, nil
}

// FailedIn gives the failure that speaks against trying this recipe again in this view: one whose environment was resolved counts for
// good, another one for ten minutes.
func (c *Catalog) FailedIn(ctx context.Context, v view.Digest, recipe RecipeDigest, stage string) (*Failure, error) {
	return c.Failed(ctx, recipe, func(f Failure) bool {
		return f.View == v && f.Stage == stage && (f.Resolved || c.now().Sub(f.When) < failedForgotten)
	})
}
