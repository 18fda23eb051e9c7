package resolver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/archive"
	"github.com/python-wheel-build/axle/resolver/view"
)

// SharedRecipe is the recipe by which pure wheels are found in every view whose environment differs in nothing but the components that the
// view says they don't depend on; nil where it says so of none, or where there is no environment. full is the view's own recipe.
func SharedRecipe(v *view.View, full Recipe) *Recipe {
	without := v.SharedWithout(full.Project)
	if len(without) == 0 || full.PreBuilt() {
		return nil
	}
	shared := full
	shared.Pure = true
	shared.Environment = maps.Clone(full.Environment)
	for _, name := range without {
		delete(shared.Environment, name)
	}
	return &shared
}

// pure says that a wheel claims to fit every platform. Whether it does is looked at before it is shared.
func (r Record) pure() bool { return strings.HasSuffix(r.Filename, "-none-any.whl") }

// settle takes out of the node's records those that say under the shared recipe what another one says under the full recipe, and notes
// with that one that they are there.
func (n *node) settle() {
	if n.shared == nil {
		return
	}
	for _, k := range n.candidates {
		if !k.shared {
			continue
		}
		i := slices.IndexFunc(n.candidates, func(c *candidate) bool {
			return !c.shared && c.Wheel == k.Wheel && slices.EqualFunc(c.Requirements, k.Requirements, func(a, b Requirement) bool {
				return a.Project == b.Project && a.Wheel == b.Wheel && a.Version.Compare(b.Version) == 0
			})
		})
		if i >= 0 {
			k.filed, n.candidates[i].filed = true, true
		}
	}
	n.candidates = slices.DeleteFunc(n.candidates, func(k *candidate) bool { return k.shared && k.filed })
}

// sharing is the recipe under which a hit is to be filed, too: its wheel and those of its requirements are pure or taken pre-built, and it
// is not there yet.
func (n *node) sharing(c *candidate) *Recipe {
	if n.shared == nil || c.shared || c.filed || !c.pure() {
		return nil
	}
	for i, need := range c.needs {
		if need.source.PreBuilt() {
			continue
		}
		if !slices.ContainsFunc(need.candidates, func(k *candidate) bool { return k.Wheel == c.Requirements[i].Wheel && k.pure() }) {
			return nil
		}
	}
	return n.shared
}

// Share files a hit under the recipe that its view shares with others (Answer.Share), if it says so and the wheel holds no compiled code,
// whatever its tags say. The time of that record is now: it is no older there than what was found until now, so that nobody's hit becomes
// another wheel. Safe to repeat and to call at once.
func (c *Catalog) Share(ctx context.Context, a Answer) error {
	if a.Record == nil || a.Share == nil {
		return nil
	}
	r := *a.Record
	blob, err := c.Store.Blob(ctx, r.Wheel)
	var damaged *cas.DamagedError
	if errors.Is(err, fs.ErrNotExist) || errors.As(err, &damaged) {
		return nil // whoever wants the wheel finds the same
	}
	if err != nil {
		return fmt.Errorf("sharing %s %s: %w", r.Project, r.Version, err)
	}
	defer blob.Close()
	w, err := archive.OpenWheel(blob.File, blob.Size, r.Filename, archive.DefaultLimits)
	if err != nil {
		return fmt.Errorf("sharing %s %s: %w", r.Project, r.Version, err)
	}
	if w.Compiled() {
		return nil
	}
	if r.Recipe, err = a.Share.Digest(); err != nil {
		return err
	}
	r.When = c.now()
	_, err = c.Publish(ctx, *a.Share, r)
	return err
}
