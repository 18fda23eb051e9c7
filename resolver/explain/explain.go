// Package explain says why a version is a hit or a miss in a view: down to the line of a patch, the package of an environment, the
// requirement of a requirement.
//
//	e, err := explain.Of(ctx, catalog, view, project, version)  // all there is to say
//	cause, err := explain.Cause(ctx, catalog, view, answer)     // of a miss, one word
//	changes, err := explain.Diff(was, is)                       // two recipes, purely
//
// Whether a record is valid is nowhere judged here: resolver's answers say what speaks against each. What is found out here is the record
// that comes nearest to what the view gives today, and how their recipes differ. Everything here reads and nothing is written.
package explain

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/source"
	"github.com/python-wheel-build/axle/resolver/view"
)

// Explanation is the answer for one version in one view, with its reasons. Exactly one of Hit and Miss is set.
type Explanation struct {
	View   view.Digest
	Source source.Source
	// Recipe is nil, and Digest "", where the source's digest is unknown.
	Recipe *resolver.Recipe
	Digest resolver.RecipeDigest
	Hit    *Hit
	Miss   *Miss
}

// Hit is the record that answers.
type Hit struct {
	Record resolver.Record
	// Twins are records of other environments that gave the same bytes: components by which they differ may be declared irrelevant.
	Twins []Twin
}

// Twin is a record of the same version with the same wheel, whose recipe differs in the environment alone.
type Twin struct {
	Record     resolver.Record
	Components []string
}

// Miss says why there is no hit.
type Miss struct {
	Cause resolver.Cause
	// Why says it in words: one line.
	Why string
	// Nearest is the record of the version whose recipe differs in the fewest places from today's, of several the newest. nil where there
	// is none, or none whose recipe can be read.
	Nearest *resolver.Record
	// Changes lead from its recipe to today's.
	Changes []Change
	// Flaw is, without Changes, what speaks against it.
	Flaw *resolver.Flaw
	// Reason is, of what is revoked, what the revocation says.
	Reason string
	// Needs are, of CauseRequirement, the requirements whose recorded wheel the view has not got.
	Needs []Need
	// Versions are, of CauseNeverBuilt, those of the project that have records.
	Versions []version.Version
}

// Need is a requirement of a record whose wheel is not that of a valid record.
type Need struct {
	Requirement resolver.Requirement
	// Today is the wheel that the view holds instead, "" where that version is a miss.
	Today cas.Digest
	// Miss says why the recorded one is not it; nil where that was said before.
	Miss *Miss
}

// Of explains one version. The errors are those of Catalog.Lookup; source.ErrNone where the view has no source of it.
func Of(ctx context.Context, c *resolver.Catalog, v *view.View, p dist.Project, ver version.Version) (Explanation, error) {
	a, err := c.Lookup(ctx, v, p, ver)
	if err != nil {
		return Explanation{}, err
	}
	e := Explanation{View: v.Digest(), Source: a.Source, Recipe: a.Recipe}
	if a.Recipe != nil {
		if e.Digest, err = a.Recipe.Digest(); err != nil {
			return e, err
		}
	}
	x := explainer{c: c, v: v, told: map[string]bool{}}
	if a.Record == nil {
		e.Miss, err = x.miss(ctx, p, ver, a, "")
		return e, err
	}
	e.Hit = &Hit{Record: *a.Record}
	e.Hit.Twins, err = x.twins(ctx, *a.Record, e)
	return e, err
}

// Between is Diff with the lines that changed within, as far as the texts are in the store.
func Between(ctx context.Context, c *resolver.Catalog, was, is resolver.Recipe) ([]Change, error) {
	changes, err := Diff(was, is)
	if err != nil {
		return nil, err
	}
	x := explainer{c: c}
	return changes, x.fill(ctx, changes)
}

// Cause is the primary cause of an answer that is a miss.
func Cause(ctx context.Context, c *resolver.Catalog, v *view.View, a resolver.Answer) (resolver.Cause, error) {
	x := explainer{c: c, v: v}
	m, err := x.nearest(ctx, a.Source.Project, a.Source.Version, a, "")
	return m.Cause, err
}

type explainer struct {
	c    *resolver.Catalog
	v    *view.View
	told map[string]bool // requirements whose miss was told, by version and wheel
}

// nearest finds the record that a miss is explained by, and the cause: any record, or one with this wheel where wheel is not "".
func (x *explainer) nearest(ctx context.Context, p dist.Project, ver version.Version, a resolver.Answer, wheel cas.Digest) (*Miss, error) {
	for _, k := range slices.Backward(a.Candidates) {
		if wheel == "" || k.Record.Wheel == wheel {
			return &Miss{Cause: k.Flaw.Cause, Why: k.Flaw.Why, Nearest: &k.Record, Flaw: &k.Flaw}, nil
		}
	}
	records, err := x.c.Records(ctx, p, ver)
	if err != nil {
		return &Miss{}, err
	}
	var best *Miss
	for _, r := range slices.Backward(records) {
		if wheel != "" && r.Wheel != wheel {
			continue
		}
		if a.Recipe == nil { // refused, or never fetched under that index's name
			best = &Miss{Cause: resolver.CauseSource, Nearest: &r}
			break
		}
		was, err := x.c.RecipeOf(ctx, r)
		if err != nil {
			if ctx.Err() != nil {
				return &Miss{}, ctx.Err()
			}
			continue // what can't be read can't be compared; verify reports it
		}
		today := a.Recipe
		if was.Pure {
			if today = resolver.SharedRecipe(x.v, *a.Recipe); today == nil {
				continue // there is one of the full recipe, too
			}
		}
		changes, err := Diff(was, *today)
		if err != nil {
			return &Miss{}, err
		}
		if len(changes) > 0 && (best == nil || len(changes) < len(best.Changes)) {
			best = &Miss{Cause: Primary(changes), Nearest: &r, Changes: changes}
		}
	}
	switch {
	case best != nil:
		best.Why = inWords(best.Changes)
	case a.Source.Refused != "":
		best = &Miss{Cause: resolver.CauseSource}
	default:
		best = &Miss{Cause: resolver.CauseNeverBuilt, Why: fmt.Sprintf("there is no record of %s %s", p, ver)}
		if wheel != "" {
			best.Why += fmt.Sprintf(" with the wheel %s", wheel)
		}
	}
	if a.Recipe == nil {
		best.Why = a.Why
	}
	return best, nil
}

// inWords names the places, and how many more there are.
func inWords(changes []Change) string {
	const most = 3
	var all []string
	for _, c := range changes[:min(len(changes), most)] {
		all = append(all, c.Path+" "+c.How)
	}
	s := strings.Join(all, ", ")
	if more := len(changes) - most; more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}

// miss is nearest with all that there is to say.
func (x *explainer) miss(ctx context.Context, p dist.Project, ver version.Version, a resolver.Answer, wheel cas.Digest) (*Miss, error) {
	m, err := x.nearest(ctx, p, ver, a, wheel)
	if err != nil {
		return nil, err
	}
	if err := x.fill(ctx, m.Changes); err != nil {
		return nil, err
	}
	switch {
	case m.Cause == resolver.CauseNeverBuilt:
		m.Versions, err = x.versions(ctx, p)
	case m.Cause == resolver.CauseRevoked && m.Flaw != nil:
		m.Reason, err = x.reason(ctx, m.Flaw.Bytes)
	case m.Cause == resolver.CauseRequirement && m.Flaw != nil:
		m.Needs, err = x.needs(ctx, m.Flaw.Requirements)
	}
	return m, err
}

// needs explains requirements, and theirs, each once.
func (x *explainer) needs(ctx context.Context, requirements []resolver.Requirement) ([]Need, error) {
	var all []Need
	for _, q := range requirements {
		n := Need{Requirement: q}
		key := fmt.Sprintf("%s==%s %s", q.Project, q.Version, q.Wheel)
		a, err := x.c.Examine(ctx, x.v, q.Project, q.Version)
		switch {
		case errors.Is(err, source.ErrNone) || source.Unusable(err):
			n.Miss = &Miss{Cause: resolver.CauseSource, Why: err.Error()}
		case err != nil:
			return nil, err
		default:
			if a.Record != nil {
				n.Today = a.Record.Wheel
			}
			if !x.told[key] {
				x.told[key] = true
				if n.Miss, err = x.miss(ctx, q.Project, q.Version, a, q.Wheel); err != nil {
					return nil, err
				}
			}
		}
		all = append(all, n)
	}
	return all, nil
}

// versions are those of the project of which there is any record, oldest version first.
func (x *explainer) versions(ctx context.Context, p dist.Project) ([]version.Version, error) {
	prefix := "records/" + string(p) + "/"
	var all []version.Version
	last := ""
	for key, err := range x.c.Store.Keys(ctx, prefix) {
		if err != nil {
			return nil, fmt.Errorf("listing records of %s: %w", p, err)
		}
		text, _, _ := strings.Cut(strings.TrimPrefix(key, prefix), "/")
		if text == last {
			continue
		}
		last = text
		if v, err := version.Parse(text); err == nil {
			all = append(all, v)
		}
	}
	slices.SortFunc(all, version.Version.Compare)
	return all, nil
}

// reason is what a revocation says of itself; the key alone revokes, so it may say nothing.
func (x *explainer) reason(ctx context.Context, d cas.Digest) (string, error) {
	var said map[string]any
	err := x.c.Store.Read(ctx, "revocations/"+d.Encoded()+".json", &said)
	var damaged *cas.DamagedError
	if err != nil && !errors.As(err, &damaged) && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	reason, _ := said["reason"].(string)
	return reason, nil
}

// twins are the records of other environments that gave the hit's bytes.
func (x *explainer) twins(ctx context.Context, hit resolver.Record, e Explanation) ([]Twin, error) {
	records, err := x.c.Records(ctx, hit.Project, hit.Version)
	if err != nil {
		return nil, err
	}
	shared := resolver.SharedRecipe(x.v, *e.Recipe)
	var all []Twin
	seen := map[resolver.RecipeDigest]bool{hit.Recipe: true, e.Digest: true}
	for _, r := range records {
		if r.Wheel != hit.Wheel || seen[r.Recipe] {
			continue
		}
		seen[r.Recipe] = true
		was, err := x.c.RecipeOf(ctx, r)
		if err != nil {
			continue
		}
		changes, err := Diff(was, *e.Recipe)
		if err != nil {
			return nil, err
		}
		t := Twin{Record: r}
		for _, c := range changes {
			component, ok := strings.CutPrefix(string(c.Cause), string(resolver.CauseEnvironment))
			if !ok {
				t.Components = nil
				break
			}
			if _, here := e.Recipe.Environment[component]; shared != nil && here && shared.Environment[component] == "" {
				continue // declared already
			}
			t.Components = append(t.Components, component)
		}
		if len(t.Components) > 0 {
			all = append(all, t)
		}
	}
	return all, nil
}
