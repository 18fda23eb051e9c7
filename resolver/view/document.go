package view

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/resolver/environ"
	"github.com/python-wheel-build/axle/resolver/view/config"
	"github.com/python-wheel-build/axle/resolver/view/plugins"
	"github.com/python-wheel-build/axle/resolver/view/sitehook"
)

// maxDocument bounds a view's document, maxText the text of one component of the environment.
const (
	maxDocument = 64 << 20
	maxText     = 256 << 20
)

const format = "axle/view/v1"

// document is a view's canonical form. A field at its default is left out, so that a new optional field changes no old digest.
type document struct {
	Format   string                           `json:"format"`
	Variant  string                           `json:"variant"`
	Settings map[dist.Project]ProjectSettings `json:"settings,omitempty"`
	Backends map[string]ConfigSettings        `json:"backends,omitempty"`
	// Changes is how many lines the variant's own changelog has, in decimal.
	Changes     string                            `json:"changes,omitempty"`
	Patches     []ProjectPatch                    `json:"patches,omitempty"`
	Overrides   map[dist.Project]plugins.Override `json:"overrides,omitempty"`
	Constraints []string                          `json:"constraints,omitempty"`
	Environment map[string]string                 `json:"environment,omitempty"`
	SharePure   []string                          `json:"share_pure,omitempty"`
	Depends     map[dist.Project]Depends          `json:"depends,omitempty"`
	Target      dist.Target                       `json:"target"`
	Indexes     []indexDocument                   `json:"indexes,omitempty"`
	Private     []string                          `json:"private,omitempty"`
	WheelsOnly  string                            `json:"wheels_only,omitempty"`
	// Sources are those of projects that come from no index; AsOf is in RFC 3339.
	Sources map[dist.Project]GitSource `json:"sources,omitempty"`
	AsOf    string                     `json:"as_of,omitempty"`
	Origins []string                   `json:"origins"`
}

type indexDocument struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

// decode makes a view of a document's bytes, which must be in canonical form. Publish and Load both make their view this way, so what
// it means never depends on how it was come by.
func decode(b []byte) (*View, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	var d document
	if err := dec.Decode(&d); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one document")
	}
	if d.Format != format {
		return nil, fmt.Errorf("its format is %q, not %q: it was written by another version of Axle", d.Format, format)
	}
	if again, err := cas.Canonical(d); err != nil {
		return nil, err
	} else if !bytes.Equal(again, b) {
		return nil, errors.New("not in canonical form")
	}
	v := &View{
		Variant: d.Variant, Projects: d.Settings, Backends: d.Backends, Patches: d.Patches, Overrides: d.Overrides, Environment: d.Environment, SharePure: d.SharePure, Depends: d.Depends,
		Target: d.Target, Private: d.Private, WheelsOnly: d.WheelsOnly, Origins: d.Origins, Sources: d.Sources,
		digest: Digest(digest.FromBytes(b)), constraints: d.Constraints,
		admitted: map[dist.Project][]excluder{}, patches: map[dist.Project][]ProjectPatch{},
	}
	if d.Changes != "" {
		var err error
		if v.changes, err = strconv.Atoi(d.Changes); err != nil {
			return nil, fmt.Errorf("changes: %w", err)
		}
	}
	if d.AsOf != "" {
		var err error
		if v.AsOf, err = time.Parse(time.RFC3339Nano, d.AsOf); err != nil {
			return nil, fmt.Errorf("as_of: %w", err)
		}
	}
	for name := range d.Environment {
		if selector, ok := strings.CutPrefix(name, sitehook.Prefix); ok {
			s, err := sitehook.ParseSelector(selector)
			if err != nil {
				return nil, fmt.Errorf("environment %s: %w", name, err)
			}
			if v.selectors == nil {
				v.selectors = map[string]sitehook.Selector{}
			}
			v.selectors[name] = s
		}
	}
	if v.WheelsOnly == "" {
		v.WheelsOnly = config.Refuse
	}
	for _, line := range d.Constraints {
		r, err := dist.ParseRequirement(line)
		if err != nil {
			return nil, fmt.Errorf("constraint: %w", err)
		}
		v.admitted[r.Project] = append(v.admitted[r.Project], excluder{line, r.Set})
	}
	for _, p := range d.Patches {
		v.patches[p.Project] = append(v.patches[p.Project], p)
	}
	for _, i := range d.Indexes {
		u, err := config.IndexURL(i.URL)
		if err != nil {
			return nil, fmt.Errorf("index %s: %w", i.Name, err)
		}
		v.Indexes = append(v.Indexes, config.Index{Name: i.Name, URL: u})
	}
	return v, nil
}

// Load reads a published view. fs.ErrNotExist where the store has no such view.
func Load(ctx context.Context, store *cas.Store, d Digest) (*View, error) {
	if _, err := ParseDigest(string(d)); err != nil {
		return nil, err
	}
	b, err := store.Bytes(ctx, d.blob(), maxDocument)
	if err != nil {
		return nil, fmt.Errorf("view %s: %w", d, err)
	}
	v, err := decode(b)
	if err != nil {
		return nil, fmt.Errorf("%s is not a view that this version of Axle reads: %w", d, err)
	}
	return v, nil
}

// Fields are the view's document as it is in the store, by field.
func (v *View) Fields(ctx context.Context, store *cas.Store) (map[string]any, error) {
	b, err := store.Bytes(ctx, v.digest.blob(), maxDocument)
	if err != nil {
		return nil, fmt.Errorf("view %s: %w", v.digest, err)
	}
	var fields map[string]any
	err = json.Unmarshal(b, &fields)
	return fields, err
}

// Components are the view's environment with the texts behind the digests, as [environ.Diff] compares them.
func (v *View) Components(ctx context.Context, store *cas.Store) (environ.Set, error) {
	set := environ.Set{}
	for name, value := range v.Environment {
		c := environ.Component{Value: value}
		if strings.HasPrefix(value, "sha256:") && digestForm.MatchString(value) {
			// A short value may look like a digest, an image's say: then there is no such blob.
			text, err := store.Bytes(ctx, cas.Digest(value), maxText)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("environment %s: %w", name, err)
			}
			c.Text = text
		}
		set[name] = c
	}
	return set, nil
}
