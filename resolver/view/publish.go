package view

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver/environ"
	"github.com/python-wheel-build/axle/resolver/view/config"
	"github.com/python-wheel-build/axle/resolver/view/plugins"
	"github.com/python-wheel-build/axle/resolver/view/sitehook"
)

// Machine is what a view takes from where it is published.
type Machine struct {
	Environment environ.Set
	Target      dist.Target
	Plugins     plugins.Found
	// Ask has the site's hook answer with components of its own; nil where there is none. What it answers is in the view, what it was asked isn't.
	Ask Ask
}

// Ask asks a site's hook.
type Ask func(context.Context, sitehook.Question) (environ.Set, error)

// inputs are the bytes of all files that a view is made of.
type inputs struct {
	settings    tree
	constraints [][]byte // as config.View has them
}

// Publish makes a view of what the configuration, the files it names, this machine and its override plugins say now, and stores it:
// patches, plugins' sources and texts first, then the view's own document. The files are read twice and must agree, so that a view is never half of one edit and half of
// the next. Publishing the same again is harmless and gives the same digest.
//
// Errors name the file, the line where there is one, and what to do. Nothing but unreferenced blobs is stored when it fails.
func Publish(ctx context.Context, store *cas.Store, c config.View, m Machine) (*View, error) {
	first, err := read(c)
	if err != nil {
		return nil, err
	}
	second, err := read(c)
	if err != nil {
		return nil, err
	}
	if changed := first.differ(second, c); changed != "" {
		return nil, fmt.Errorf("%s changed while being read: publish again when nobody writes to it", changed)
	}
	d, blobs, err := documentOf(ctx, c, first, m)
	if err != nil {
		return nil, err
	}
	for _, b := range append(blobs, m.Plugins.Blobs...) {
		if _, err := store.AddBytes(ctx, b); err != nil {
			return nil, fmt.Errorf("store a patch, a plugin's source or an environment's text: %w", err)
		}
	}
	b, err := cas.Canonical(d)
	if err != nil {
		return nil, fmt.Errorf("view: %w", err)
	}
	v, err := decode(b)
	if err != nil {
		return nil, fmt.Errorf("view: %w", err)
	}
	if _, err := store.AddBytes(ctx, b); err != nil {
		return nil, fmt.Errorf("store the view: %w", err)
	}
	return v, nil
}

// read reads every file once.
func read(c config.View) (in inputs, err error) {
	fsys := c.SettingsFS
	if fsys == nil && c.Settings != "" {
		root, err := os.OpenRoot(c.Settings)
		if err != nil {
			return in, config.Unreadable(c.Settings, err)
		}
		defer root.Close()
		fsys = root.FS()
	}
	if fsys != nil {
		if in.settings, err = readTree(fsys, c.Settings); err != nil {
			return in, err
		}
	}
	for _, name := range c.Constraints {
		b, err := config.ReadFile(name)
		if err != nil {
			return in, err
		}
		in.constraints = append(in.constraints, b)
	}
	return in, nil
}

// differ names the first file that is not the same in both, "" when all are.
func (in inputs) differ(other inputs, c config.View) string {
	names := slices.Concat(slices.Collect(maps.Keys(in.settings)), slices.Collect(maps.Keys(other.settings)))
	slices.Sort(names)
	for _, p := range names {
		a, ok := in.settings[p]
		b, also := other.settings[p]
		if ok != also || !bytes.Equal(a, b) {
			return filepath.Join(c.Settings, p)
		}
	}
	for i, b := range in.constraints {
		if !bytes.Equal(b, other.constraints[i]) {
			return c.Constraints[i]
		}
	}
	return ""
}

// documentOf makes the document of the inputs; blobs are the bytes that it names by digest.
func documentOf(ctx context.Context, c config.View, in inputs, m Machine) (*document, [][]byte, error) {
	if c.Variant == "" {
		c.Variant = config.DefaultVariant
	}
	if err := config.CheckVariant(c.Variant); err != nil {
		return nil, nil, err
	}
	environment := map[string]string{}
	var blobs [][]byte
	add := func(set environ.Set) error {
		for name, component := range set {
			environment[name] = component.Value
			if component.Text != nil {
				if got := digest.FromBytes(component.Text).String(); got != component.Value {
					return fmt.Errorf("environment %s: its value %s is not its text's digest %s", name, component.Value, got)
				}
				blobs = append(blobs, component.Text)
			}
		}
		return nil
	}
	if err := add(m.Environment); err != nil {
		return nil, nil, err
	}
	said, err := in.settings.interpret(c.Settings, c.Variant, environment)
	if err != nil {
		return nil, nil, err
	}
	if m.Ask != nil {
		question := sitehook.Question{Variant: c.Variant, Target: m.Target, Projects: map[dist.Project][]version.Version{}}
		said.named(&question)
		answer, err := m.Ask(ctx, question)
		if err != nil {
			return nil, nil, err
		}
		if err := add(answer); err != nil {
			return nil, nil, err
		}
	}
	d := &document{
		Format: format, Variant: c.Variant, Settings: said.projects, Backends: said.backends, Patches: said.patches,
		Environment: environment, Overrides: m.Plugins.Overrides, Target: m.Target, Origins: []string{"axle"},
	}
	d.SharePure, d.Depends = dependsOf(c.Environment, environment)
	if said.changes > 0 {
		d.Changes = strconv.Itoa(said.changes)
	}
	blobs = append(blobs, said.blobs...)

	var constraints []constraint
	for i, b := range in.constraints {
		list, err := parseConstraints(c.Constraints[i], b)
		if err != nil {
			return nil, nil, err
		}
		constraints = append(constraints, list...)
	}
	if d.Constraints, err = effective(constraints, m.Target.Markers); err != nil {
		return nil, nil, err
	}

	for _, i := range c.Upstream {
		if err := config.CheckName(i.Name); err != nil {
			return nil, nil, fmt.Errorf("upstream: %w", err)
		}
		if slices.ContainsFunc(d.Indexes, func(other indexDocument) bool { return other.Name == i.Name }) {
			return nil, nil, fmt.Errorf("upstream: two indexes are named %s", i.Name)
		}
		u, err := config.IndexURL(i.URL.String())
		if err != nil {
			return nil, nil, fmt.Errorf("upstream %s: %w", i.Name, err)
		}
		d.Indexes = append(d.Indexes, indexDocument{i.Name, u.String()})
	}
	for _, s := range c.Private {
		glob, err := config.PrivateGlob(s)
		if err != nil {
			return nil, nil, fmt.Errorf("private: %w", err)
		}
		d.Private = append(d.Private, glob)
	}
	slices.Sort(d.Private)
	d.Private = slices.Compact(d.Private)
	if d.Sources, err = gitSources(c, said); err != nil {
		return nil, nil, err
	}
	if !c.AsOf.IsZero() {
		d.AsOf = c.AsOf.UTC().Format(time.RFC3339Nano)
	}
	switch c.WheelsOnly {
	case "", config.Refuse:
	case config.PreBuilt:
		d.WheelsOnly = config.PreBuilt
	default:
		return nil, nil, fmt.Errorf("wheels_only: %q is neither %s nor %s", c.WheelsOnly, config.Refuse, config.PreBuilt)
	}
	return d, blobs, nil
}
