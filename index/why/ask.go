package why

import (
	"context"
	"errors"
	"fmt"

	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/explain"
	"github.com/python-wheel-build/axle/resolver/view"
)

// Ask is a question about a project in a view.
type Ask struct {
	Catalog *resolver.Catalog
	View    *view.View
	// Against is the view that Explain compares with, nil for none.
	Against *view.View
	// Which are the project and the versions that are meant. Version is the one that is, zero where all of Which are.
	Which   dist.Requirement
	Version version.Version
	// Direct leaves out of Dependents what depends only through others.
	Direct bool
	// Log and File give the absolute URLs of a record's log and, in View, its wheel.
	Log, File func(resolver.Record) string
}

// ErrNoRecipe says that a recipe can't be told before the source was fetched.
var ErrNoRecipe = errors.New("its recipe is not known")

// Which reads the version of a path, or where that is "" the specifier of a query, which may be "" too.
func Which(p dist.Project, ver, specifier string) (which dist.Requirement, exact version.Version, err error) {
	which.Project = p
	if ver != "" {
		exact, err = version.Parse(ver)
		return which, exact, err
	}
	if which.Set, err = version.ParseSet(specifier); err != nil {
		err = fmt.Errorf("specifier %q: %w; want one like ==1.0 or >=1,<2", specifier, err)
	}
	return which, exact, err
}

// Explain says why Version is a hit or a miss, and what differs from the other view; an *Answer.
func Explain(ctx context.Context, a Ask) (any, error) {
	e, err := explain.Of(ctx, a.Catalog, a.View, a.Which.Project, a.Version)
	if err != nil {
		return nil, err
	}
	out, err := a.answer(e)
	if err != nil || a.Against == nil {
		return out, err
	}
	other, err := explain.Of(ctx, a.Catalog, a.Against, a.Which.Project, a.Version)
	if err != nil {
		return nil, fmt.Errorf("view @%s: %w", a.Against.Digest(), err)
	}
	out.Against = &Against{View: string(other.View), Recipe: string(other.Digest), Differs: []Change{}}
	out.Against.Verdict, out.Against.Hit, out.Against.Miss = a.verdict(other)
	if e.Recipe != nil && other.Recipe != nil {
		differs, err := explain.Between(ctx, a.Catalog, *other.Recipe, *e.Recipe)
		if err != nil {
			return nil, err
		}
		out.Against.Differs = changes(differs)
	}
	return out, nil
}

// ListDependents gives the valid records that were built with what is meant, with what was, and so on, as Dependents.
func ListDependents(ctx context.Context, a Ask) (any, error) {
	out := Dependents{Of: a.Which.String(), View: string(a.View.Digest()), Dependents: []Dependent{}}
	if !a.Version.IsZero() {
		out.Of = resolver.Pin{Project: a.Which.Project, Version: a.Version}.String()
	}
	all, err := a.Catalog.Dependents(ctx, a.View, func(p resolver.Pin) bool {
		if a.Version.IsZero() {
			return p.Project == a.Which.Project && a.Which.Set.Contains(p.Version, version.Allow)
		}
		return p.Project == a.Which.Project && p.Version.Compare(a.Version) == 0
	})
	if err != nil {
		return nil, err
	}
	for _, d := range all {
		if a.Direct && !d.Direct {
			continue
		}
		one := Dependent{Project: string(d.Project), Version: d.Version.String(), SHA256: d.Wheel.Encoded(), Input: string(d.Input()), Direct: d.Direct, When: d.When}
		for _, q := range d.With {
			one.With = append(one.With, requirement(q))
		}
		out.Dependents = append(out.Dependents, one)
	}
	return out, nil
}

// KeyOf gives the digests by which Version's wheel is found, a Key; ErrNoRecipe where there are none yet.
func KeyOf(ctx context.Context, a Ask) (any, error) {
	answer, err := a.Catalog.Lookup(ctx, a.View, a.Which.Project, a.Version)
	if err != nil {
		return nil, err
	}
	if answer.Recipe == nil {
		return nil, fmt.Errorf("%s %s: %w: %s", a.Which.Project, a.Version, ErrNoRecipe, answer.Why)
	}
	digest, err := answer.Recipe.Digest()
	if err != nil {
		return nil, err
	}
	k := Key{Project: string(a.Which.Project), Version: answer.Source.Version.String(), View: string(a.View.Digest()), Recipe: string(digest)}
	if answer.Record != nil {
		k.Input = string(answer.Record.Input())
	}
	return k, nil
}
