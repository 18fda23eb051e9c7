package resolver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver/source"
	"github.com/python-wheel-build/axle/resolver/view"
)

// Examine is Lookup that looks at every record of the recipe: those of Answer.Candidates are also those beside a hit.
func (c *Catalog) Examine(ctx context.Context, v *view.View, p dist.Project, ver version.Version) (Answer, error) {
	s, err := c.One(ctx, v, p, ver)
	if err != nil {
		return Answer{}, err
	}
	m := c.memo(v)
	m.all = true
	answers, err := m.answers(ctx, []source.Source{s})
	if err != nil {
		return Answer{}, err
	}
	return answers[0], nil
}

// Records gives every record of a version, of whatever recipe, oldest first. Damaged ones are left out.
func (c *Catalog) Records(ctx context.Context, p dist.Project, ver version.Version) ([]Record, error) {
	var all []Record
	for key, err := range c.Store.Keys(ctx, fmt.Sprintf("records/%s/%s/", p, ver)) {
		if err != nil {
			return nil, fmt.Errorf("listing records of %s %s: %w", p, ver, err)
		}
		r, err := c.record(ctx, key)
		var damaged *cas.DamagedError
		if errors.As(err, &damaged) || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	slices.SortStableFunc(all, func(a, b Record) int { return a.When.Compare(b.When) })
	return all, nil
}

// Built gives each version of which the store has a record, sorted by key, once.
func Built(ctx context.Context, store *cas.Store) ([]Pin, error) {
	var all []Pin
	last := ""
	for key, err := range store.Keys(ctx, "records/") {
		if err != nil {
			return nil, fmt.Errorf("listing records: %w", err)
		}
		parts := strings.SplitN(key, "/", 4)
		if len(parts) < 4 || last == parts[1]+"/"+parts[2] {
			continue
		}
		last = parts[1] + "/" + parts[2]
		p, err := dist.ParseProject(parts[1])
		if err != nil || string(p) != parts[1] {
			continue // nothing of ours: verify reports it
		}
		if v, err := version.Parse(parts[2]); err == nil {
			all = append(all, Pin{p, v})
		}
	}
	return all, nil
}

// maxRecipe bounds a recipe's document: the settings of a project, and a name for each component.
const maxRecipe = 16 << 20

// RecipeOf reads the recipe that a record was built by. It is fs.ErrNotExist or a *cas.DamagedError where the bytes are gone.
func (c *Catalog) RecipeOf(ctx context.Context, r Record) (Recipe, error) {
	if r.RecipeBlob == "" {
		return Recipe{}, fmt.Errorf("recipe %s: %w", r.Recipe, fs.ErrNotExist)
	}
	key := "recipe " + r.RecipeBlob.String()
	if known, ok := c.docs.Get(key); ok {
		return known.(Recipe), nil
	}
	b, err := c.Store.Bytes(ctx, r.RecipeBlob, maxRecipe)
	if err != nil {
		return Recipe{}, fmt.Errorf("recipe %s: %w", r.Recipe, err)
	}
	recipe, err := ParseRecipe(b)
	if err == nil {
		c.docs.Put(key, recipe)
	}
	return recipe, err
}

// Dependent is a valid record of a view that was built with what was asked for.
type Dependent struct {
	Record
	// With are those of its requirements by which it was: what was asked for, and other dependents.
	With []Requirement
	// Direct says that what was asked for itself is among them.
	Direct bool
}

// Dependents gives the valid records of the view that were built with a wheel of a version for which is holds, or with a wheel that was,
// and so on; sorted by project and version, a younger record behind an older one.
func (c *Catalog) Dependents(ctx context.Context, v *view.View, is func(Pin) bool) ([]Dependent, error) {
	m := c.memo(v)
	nodes, err := m.everything(ctx)
	if err != nil {
		return nil, err
	}
	type edge struct {
		user *candidate
		i    int // of its requirements
	}
	type wheel struct {
		of  *node
		sha cas.Digest
	}
	users := map[wheel][]edge{}
	found := map[*candidate]*Dependent{}
	queued := map[wheel]bool{}
	var next []wheel
	for _, n := range nodes {
		for _, u := range n.candidates {
			for i, need := range u.needs {
				w := wheel{need, u.Requirements[i].Wheel}
				if !u.valid {
					continue
				}
				users[w] = append(users[w], edge{u, i})
				if !queued[w] && is(need.pin) {
					queued[w] = true
					next = append(next, w)
				}
			}
		}
	}
	direct := len(next)
	for done := 0; done < len(next); done++ {
		for _, e := range users[next[done]] {
			d := found[e.user]
			if d == nil {
				d = &Dependent{Record: e.user.Record}
				found[e.user] = d
				if own := (wheel{e.user.of, e.user.Wheel}); !queued[own] {
					queued[own] = true
					next = append(next, own)
				}
			}
			d.With = append(d.With, e.user.Requirements[e.i])
			d.Direct = d.Direct || done < direct
		}
	}
	all := make([]Dependent, 0, len(found))
	for _, d := range found {
		all = append(all, *d)
	}
	slices.SortFunc(all, func(a, b Dependent) int {
		return cmp.Or(cmp.Compare(a.Project, b.Project), a.Version.Compare(b.Version), a.When.Compare(b.When), cmp.Compare(a.Input(), b.Input()))
	})
	return all, nil
}
