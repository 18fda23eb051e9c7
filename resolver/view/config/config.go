// Package config reads axle.yaml: what a person wrote of each view, checked in form and not yet looked up.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/resolver/view/pyyaml"
)

// DefaultVariant is the variant of a view that names none, as fromager has it.
const DefaultVariant = "cpu"

// What a name does with a version that has no wheel yet.
const (
	OnDemand = "on-demand"
	Never    = "never"
)

// View is one entry under `views` of axle.yaml. Paths are absolute once read by Read.
type View struct {
	// Settings is the settings folder, "" for none.
	Settings string
	// SettingsFS is read in place of that folder where it is not nil; Settings is then its name in errors.
	SettingsFS fs.FS
	// Variant chooses settings and patches; "" is DefaultVariant.
	Variant string
	// Constraints are files in pip's format; all of them hold.
	Constraints []string
	// Python is a path, or a program's name to be looked for on PATH; "" is the caller's default.
	Python string
	// Plugins names, as Python does, the one in whose environment fromager's override plugins are installed; "" is none.
	Plugins string
	// Build is OnDemand or Never: a name's policy, not a part of the view.
	Build string
	// Environment is what builds find, beside the settings' own.
	Environment
	// Upstream in the order in which they are asked. Read leaves it nil where the file doesn't say: then what pip is set to
	// use is meant; `upstream: {}` gives an empty one.
	Upstream []Index
	// Private are globs over project names that no index is asked for.
	Private []string
	// Sources are those of projects that come from no index.
	Sources map[dist.Project]Source
	// AsOf hides what indexes got later; zero hides nothing.
	AsOf time.Time
	// WheelsOnly is Refuse or PreBuilt; "" is Refuse.
	WheelsOnly string
}

// Read reads axle.yaml: the views by name. Unknown and duplicate keys, and values that make no sense, are refused with file,
// line and key. Paths in the file are relative to its folder. Nothing that the file names is opened.
func Read(file string) (map[string]View, error) {
	abs, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	b, err := ReadFile(file)
	if err != nil {
		return nil, err
	}
	return Parse(file, filepath.Dir(abs), b)
}

// Parse reads a configuration whose relative paths are below dir.
func Parse(file, dir string, b []byte) (map[string]View, error) {
	r := configReader{pyyaml.File{Name: file}, dir}
	root, err := r.Parse(b)
	if err != nil {
		return nil, err
	}
	if root == nil {
		return nil, fmt.Errorf("%s: no views: write `views:` and one view under it", file)
	}
	views := map[string]View{}
	err = r.Fields(root, "the configuration", map[string]func(*yaml.Node) error{
		"views": func(n *yaml.Node) error {
			return r.Each(n, "views", func(key, value *yaml.Node) error {
				if err := CheckName(key.Value); err != nil {
					return r.Errorf(key, "views: %w", err)
				}
				c, err := r.view(value, "view "+key.Value)
				views[key.Value] = c
				return err
			})
		},
	})
	if err == nil && len(views) == 0 {
		err = r.Errorf(root, "no views: write at least one under `views`")
	}
	if err != nil {
		return nil, err
	}
	return views, nil
}

// Index is an upstream index: its URL ends with a slash and holds no user, query or fragment.
type Index struct {
	Name string
	URL  *url.URL
}

// What to do with a version that an index has only as wheels.
const (
	Refuse   = "refuse"    // there is no source to build: say so
	PreBuilt = "pre-built" // take the wheel as it is, marked so
)

type configReader struct {
	pyyaml.File
	dir string
}

func (r configReader) view(n *yaml.Node, what string) (View, error) {
	c := View{Variant: DefaultVariant, Build: OnDemand, WheelsOnly: Refuse}
	return c, r.Fields(n, what, map[string]func(*yaml.Node) error{
		"settings": func(n *yaml.Node) (err error) {
			c.Settings, err = r.path(n, "settings")
			return err
		},
		"variant": func(n *yaml.Node) (err error) {
			if c.Variant, err = r.Text(n, "variant"); err != nil {
				return err
			}
			if err := CheckVariant(c.Variant); err != nil {
				return r.Errorf(n, "variant: %w", err)
			}
			return nil
		},
		"constraints": func(n *yaml.Node) (err error) {
			c.Constraints, err = r.paths(n, "constraints")
			return err
		},
		"python": func(n *yaml.Node) (err error) {
			c.Python, err = r.program(n, "python")
			return err
		},
		"plugins": func(n *yaml.Node) (err error) {
			c.Plugins, err = r.program(n, "plugins")
			return err
		},
		"build": func(n *yaml.Node) (err error) {
			c.Build, err = r.oneOf(n, "build", OnDemand, Never)
			return err
		},
		"wheels_only": func(n *yaml.Node) (err error) {
			c.WheelsOnly, err = r.oneOf(n, "wheels_only", Refuse, PreBuilt)
			return err
		},
		"environment": func(n *yaml.Node) error { return r.environment(n, &c.Environment) },
		"sources": func(n *yaml.Node) (err error) {
			c.Sources, err = r.sources(n)
			return err
		},
		"as_of": func(n *yaml.Node) (err error) {
			c.AsOf, err = r.asOf(n)
			return err
		},
		"upstream": func(n *yaml.Node) error {
			c.Upstream = []Index{}
			return r.Each(n, "upstream", func(key, value *yaml.Node) error {
				if err := r.name(key, "upstream", key.Value); err != nil {
					return err
				}
				s, err := r.Text(value, "upstream: "+key.Value)
				if err != nil {
					return err
				}
				u, err := IndexURL(s)
				if err != nil {
					return r.Errorf(value, "upstream: %s: %w", key.Value, err)
				}
				c.Upstream = append(c.Upstream, Index{key.Value, u})
				return nil
			})
		},
		"private": func(n *yaml.Node) error {
			globs, err := r.Texts(n, "private")
			for i, s := range globs {
				if globs[i], err = PrivateGlob(s); err != nil {
					return r.Errorf(n.Content[i], "private: %w", err)
				}
			}
			c.Private = globs
			return err
		},
	})
}

func (r configReader) name(n *yaml.Node, what, s string) error {
	if err := CheckName(s); err != nil {
		return r.Errorf(n, "%s: %w", what, err)
	}
	return nil
}

func (r configReader) oneOf(n *yaml.Node, what string, words ...string) (string, error) {
	s, err := r.Text(n, what)
	if err == nil && !slices.Contains(words, s) {
		err = r.Errorf(n, "%s: %q is not one of: %s", what, s, strings.Join(words, ", "))
	}
	return s, err
}

// program is a path, or a name to be looked for on PATH.
func (r configReader) program(n *yaml.Node, what string) (string, error) {
	s, err := r.Text(n, what)
	if err == nil && s == "" {
		err = r.Errorf(n, "%s is empty: name a program or leave the key out", what)
	}
	if err == nil && strings.Contains(s, "/") {
		s = r.abs(s)
	}
	return s, err
}

func (r configReader) path(n *yaml.Node, what string) (string, error) {
	s, err := r.Text(n, what)
	if err == nil && s == "" {
		err = r.Errorf(n, "%s: an empty path", what)
	}
	return r.abs(s), err
}

func (r configReader) paths(n *yaml.Node, what string) ([]string, error) {
	list, err := r.Texts(n, what)
	for i, s := range list {
		if s == "" {
			return nil, r.Errorf(n.Content[i], "%s: an empty path", what)
		}
		list[i] = r.abs(s)
	}
	return list, err
}

func (r configReader) abs(s string) string {
	if filepath.IsAbs(s) {
		return filepath.Clean(s)
	}
	return filepath.Join(r.dir, s)
}

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)

// CheckVariant is wider than CheckName: variants are names that fromager's users chose, and name folders of patches.
func CheckVariant(s string) error {
	if CheckName(strings.ToLower(s)) != nil {
		return fmt.Errorf("%q is not a variant: use at most 64 letters, digits, and after the first . _ -", s)
	}
	return nil
}

// CheckName holds for names of views, indexes and paths, which stand in URLs and components.
func CheckName(s string) error {
	if !nameForm.MatchString(s) || len(s) > 64 {
		return fmt.Errorf("%q is not a name: use at most 64 of a-z, 0-9, and after the first . _ -", s)
	}
	return nil
}

// IndexURL is an index's URL in one form: with the slash at its end that its pages are relative to. Errors don't repeat the URL,
// which may hold a password.
func IndexURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "":
		return nil, errors.New("not an http or https URL")
	case u.User != nil:
		return nil, errors.New("the URL holds a user or password: put it in netrc")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("the URL of an index has no ? and no #")
	}
	u.Host = strings.ToLower(u.Host)
	if !strings.HasSuffix(u.Path, "/") {
		u = u.JoinPath("/")
	}
	return u, nil
}

var (
	globForm   = regexp.MustCompile(`^[a-z0-9*-]+$`)
	separators = regexp.MustCompile(`[-_.]+`)
)

// PrivateGlob brings a glob over project names into the names' normal form.
func PrivateGlob(s string) (string, error) {
	glob := separators.ReplaceAllString(strings.ToLower(s), "-")
	if !globForm.MatchString(glob) {
		return "", fmt.Errorf("%q is not a glob over project names: use letters, digits, - and *", s)
	}
	return glob, nil
}
