package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver/git"
)

// Source is where a project's versions come from that is on no index: a git repository.
type Source struct {
	// Git is its address in the form that git.ParseURL gives; Ref names what to take for a version, see Fill.
	Git, Ref string
	// Submodules are those to take, as git.Repository has them; nil where the file doesn't say.
	Submodules []string
	// Versions that there are, sorted.
	Versions []version.Version
}

// sources reads `sources`.
func (r configReader) sources(n *yaml.Node) (map[dist.Project]Source, error) {
	all := map[dist.Project]Source{}
	return all, r.Each(n, "sources", func(key, value *yaml.Node) error {
		p, err := dist.ParseProject(key.Value)
		if err != nil {
			return r.Errorf(key, "sources: %w", err)
		}
		if _, twice := all[p]; twice {
			return r.Errorf(key, "sources: project %s stands here twice: keep one", p)
		}
		all[p], err = r.source(value, p)
		return err
	})
}

func (r configReader) source(n *yaml.Node, p dist.Project) (Source, error) {
	s := Source{Ref: "v${version}"}
	what := "sources: " + string(p)
	err := r.Fields(n, what, map[string]func(*yaml.Node) error{
		"git": func(n *yaml.Node) error {
			text, err := r.Text(n, what+": git")
			if err != nil {
				return err
			}
			u, err := git.ParseURL(text)
			if err != nil {
				return r.Errorf(n, "%s: git: %w", what, err)
			}
			s.Git = u.String()
			return nil
		},
		"ref": func(n *yaml.Node) (err error) {
			if s.Ref, err = r.Text(n, what+": ref"); err != nil {
				return err
			}
			ref, err := Fill(s.Ref, p, "1.0")
			if err == nil {
				err = git.CheckRef(ref)
			}
			if err != nil {
				return r.Errorf(n, "%s: ref: %w", what, err)
			}
			return nil
		},
		"submodules": func(n *yaml.Node) error {
			if n.Kind == yaml.ScalarNode {
				all, err := r.Flag(n, what+": submodules")
				if s.Submodules = []string{}; all {
					s.Submodules = git.All
				}
				return err
			}
			paths, err := r.Texts(n, what+": submodules")
			if err != nil {
				return err
			}
			if s.Submodules, err = SubmodulePaths(paths); err != nil {
				return r.Errorf(n, "%s: submodules: %w", what, err)
			}
			return nil
		},
		"versions": func(n *yaml.Node) error {
			texts, err := r.Texts(n, what+": versions")
			if err != nil {
				return err
			}
			for i, text := range texts {
				v, err := version.Parse(text)
				if err != nil {
					return r.Errorf(n.Content[i], "%s: versions: %w", what, err)
				}
				if slices.ContainsFunc(s.Versions, func(o version.Version) bool { return o.Compare(v) == 0 }) {
					return r.Errorf(n.Content[i], "%s: versions: %s stands here twice", what, v)
				}
				s.Versions = append(s.Versions, v)
			}
			slices.SortFunc(s.Versions, version.Version.Compare)
			return nil
		},
	})
	switch {
	case err != nil:
	case s.Git == "":
		err = r.Errorf(n, "%s: say where it is: git: https://…", what)
	case len(s.Versions) == 0:
		err = r.Errorf(n, `%s: say which versions there are: versions: ["1.0"]`, what)
	}
	return s, err
}

// SubmodulePaths brings the paths of submodules into one form, sorted.
func SubmodulePaths(paths []string) ([]string, error) {
	out := make([]string, 0, len(paths))
	for _, s := range paths {
		p := strings.TrimSuffix(strings.TrimPrefix(s, "./"), "/")
		if p == "" || strings.HasPrefix(p, "/") || slices.ContainsFunc(strings.Split(p, "/"), func(part string) bool { return part == "" || part == "." || part == ".." }) {
			return nil, fmt.Errorf("%q is no path of a submodule: write it relative to the repository's top; for all of them write true", s)
		}
		out = append(out, p)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// placeholder is one of Python's string.Template.
var placeholder = regexp.MustCompile(`\$(?:(\$)|([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\}|)`)

// Fill replaces ${version} and ${canonicalized_name} in a template of Python's string.Template, as fromager does: $name and ${name} for a
// value, $$ for a dollar. Anything else after a dollar is an error.
func Fill(template string, p dist.Project, ver string) (string, error) {
	var wrong error
	text := placeholder.ReplaceAllStringFunc(template, func(found string) string {
		switch name := strings.Trim(found, "${}"); {
		case found == "$$":
			return "$"
		case name == "version":
			return ver
		case name == "canonicalized_name":
			return string(p)
		case name == "":
			wrong = errors.New("a $ that begins no ${version}; for a dollar write $$")
		default:
			wrong = fmt.Errorf("${%s} is not known: there are ${version} and ${canonicalized_name}", name)
		}
		return found
	})
	return text, wrong
}

// asOf reads `as_of`: a time with its zone, or a day, which is meant to its end in UTC.
func (r configReader) asOf(n *yaml.Node) (time.Time, error) {
	if n.Kind == yaml.ScalarNode {
		if t, err := time.Parse(time.RFC3339, n.Value); err == nil {
			return t.UTC(), nil
		}
		if t, err := time.Parse(time.DateOnly, n.Value); err == nil {
			return t.AddDate(0, 0, 1).Add(-time.Nanosecond), nil
		}
	}
	return time.Time{}, r.Errorf(n, "as_of is neither a time as 2026-11-01T12:00:00Z nor a day as 2026-11-01")
}
