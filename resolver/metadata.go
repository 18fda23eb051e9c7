package resolver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/archive"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/resolver/source"
	"github.com/python-wheel-build/axle/resolver/view"
)

// Promised gives the core metadata that a promise carries, without running anything: what is remembered of this recipe, else the
// sdist's PKG-INFO where that is known to be what a build gives (Metadata 2.2, PEP 643), else the upstream wheel's METADATA; the last
// two only where no patch can have changed them. It is fs.ErrNotExist where only a job can tell.
func (c *Catalog) Promised(ctx context.Context, v *view.View, a Answer) (Promised, error) {
	if a.Recipe != nil {
		p, err := c.remembered(ctx, *a.Recipe)
		if !errors.Is(err, fs.ErrNotExist) {
			return p, err
		}
	}
	if f := Refusal(a); f != nil {
		return Promised{}, &FailedError{*f}
	}
	blob, s, err := c.File(ctx, v, a.Source)
	if err != nil && ctx.Err() == nil && !source.Unusable(err) {
		// A file that can't be had, or is not what was listed: told as a build would tell it, and not remembered.
		err = &FailedError{Failure{Project: a.Source.Project, Version: a.Source.Version, Stage: "source", Class: "infrastructure", Title: err.Error()}}
	}
	if err != nil {
		return Promised{}, err
	}
	defer blob.Close()
	recipe := NewRecipe(v, s)
	if f := Refusal(Answer{Source: s, Recipe: &recipe}); f != nil {
		return Promised{}, &FailedError{*f}
	}
	var body []byte
	how := "static"
	switch {
	case s.PreBuilt():
		if body, err = wheelMetadata(blob, s.How.Filename); err != nil {
			return Promised{}, fs.ErrNotExist // as above
		}
	case recipe.Touched():
		return Promised{}, fs.ErrNotExist
	default:
		if body, err = archive.SdistFile(blob.File, s.How.Filename, "PKG-INFO", archive.DefaultLimits); err != nil && !errors.Is(err, fs.ErrNotExist) {
			var broken *archive.Error
			if errors.As(err, &broken) {
				return Promised{}, fs.ErrNotExist // the job says so, with a log
			}
			return Promised{}, fmt.Errorf("reading %s: %w", s.How.Filename, err)
		}
		if m, err := dist.ParseMetadata(body); err != nil || !m.Static() || m.Name != s.Project || m.Version.Compare(s.Version) != 0 {
			how = "upstream"
			if body, err = c.WheelMetadata(ctx, v, s); err != nil {
				return Promised{}, err
			}
		}
	}
	sum, err := c.Store.AddBytes(ctx, body)
	if err != nil {
		return Promised{}, err
	}
	return c.Remember(ctx, recipe, Promised{How: how, Blob: sum})
}

// Remember keeps what a recipe's metadata is; where something is remembered already, that stays and is given back.
func (c *Catalog) Remember(ctx context.Context, r Recipe, p Promised) (Promised, error) {
	key, err := metadataKey(r)
	if err != nil {
		return Promised{}, err
	}
	err = c.Store.Create(ctx, key, p)
	if errors.Is(err, fs.ErrExist) {
		return c.remembered(ctx, r)
	}
	if err != nil {
		return Promised{}, fmt.Errorf("remembering metadata of %s %s: %w", r.Project, r.Version, err)
	}
	return p, nil
}

// remembered forgets what is damaged, or whose bytes are gone.
func (c *Catalog) remembered(ctx context.Context, r Recipe) (Promised, error) {
	key, err := metadataKey(r)
	if err != nil {
		return Promised{}, err
	}
	var p Promised
	err = c.Store.Read(ctx, key, &p)
	var damaged *cas.DamagedError
	if errors.As(err, &damaged) {
		if err := c.Store.Quarantine(ctx, key); err != nil {
			return Promised{}, err
		}
		return Promised{}, fs.ErrNotExist
	}
	if err != nil {
		return Promised{}, err
	}
	ok, err := c.Store.Has(ctx, p.Blob)
	if err == nil && !ok {
		if err := c.Store.Quarantine(ctx, key); err != nil {
			return Promised{}, err
		}
		err = fs.ErrNotExist
	}
	return p, err
}

func metadataKey(r Recipe) (string, error) {
	d, err := r.Digest()
	return "metadata/" + d.hex() + ".json", err
}

func wheelMetadata(b *cas.Blob, filename string) ([]byte, error) {
	w, err := archive.OpenWheel(b.File, b.Size, filename, archive.DefaultLimits)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", filename, err)
	}
	return w.Metadata()
}

// Refusal is why nothing is run for a miss, told as a failure: the view doesn't take the source, or nobody here can build it. It fails
// fast and is not remembered. nil where nothing speaks against it.
func Refusal(a Answer) *Failure {
	title := a.Source.Refused
	if title == "" && a.Recipe != nil && a.Recipe.Overrides != nil {
		title = fmt.Sprintf("has the override plugin %s, which only fromager can run, and builds by fromager are not there yet: "+
			"uninstall the plugin from the Python that the view names under plugins, or name none there", a.Recipe.Overrides.EntryPoint)
	}
	if title == "" {
		return nil
	}
	return &Failure{Project: a.Source.Project, Version: a.Source.Version, Stage: "source", Class: "build", Title: title}
}
