// Package plugins is what a view knows of fromager's override plugins: which projects have one, and the sources that it is made of. They
// are inputs of a build like patches. [Parse] checks what a Python says of its environment.
package plugins

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/dist"
)

// Override is one project's override plugin.
type Override struct {
	// EntryPoint is the module, or `module:object`, by which fromager finds the hooks.
	EntryPoint string `json:"entry_point"`
	// Sources are those of the module, of the packages that it lies in, and of what they import from their own distribution, by path.
	Sources []Source `json:"sources"`
}

// Source is the source of one module. Its path is that below the folder which it is imported from, wherever that is.
type Source struct {
	Path   string     `json:"path"`
	SHA256 cas.Digest `json:"sha256"`
}

// Found are the override plugins of one Python's environment.
type Found struct {
	Overrides map[dist.Project]Override
	// Blobs are the sources' bytes.
	Blobs [][]byte
}

// MaxAnswer bounds what Parse is given.
const MaxAnswer = 64 << 20

// answer is what the Python says.
type answer struct {
	// Problems are why it can't say what the plugins are made of; nothing else counts where there are any.
	Problems []string `json:"problems"`
	Plugins  []struct {
		Name         string   `json:"name"`
		EntryPoint   string   `json:"entry_point"`
		Distribution string   `json:"distribution"`
		Paths        []string `json:"paths"`
	} `json:"plugins"`
	Files map[string][]byte `json:"files"`
}

var entryPoint = regexp.MustCompile(`^[\pL_][\pL\pN_]*(\.[\pL_][\pL\pN_]*)*(:[\pL_][\pL\pN_]*(\.[\pL_][\pL\pN_]*)*)?$`)

// Parse reads what a Python says of the plugins in its environment. What it says is not believed in form: it may come from whoever wrote
// the plugins. The Problems that it tells, which name the plugin and the next step, are the error.
func Parse(b []byte) (Found, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	var a answer
	if err := dec.Decode(&a); err != nil {
		return Found{}, fmt.Errorf("not an answer about plugins: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Found{}, errors.New("not an answer about plugins: more than one")
	}
	if len(a.Problems) > 0 {
		return Found{}, errors.New(printable(strings.Join(a.Problems, "; ")))
	}
	found := Found{Overrides: map[dist.Project]Override{}}
	used := map[string]bool{}
	for _, p := range a.Plugins {
		project, err := dist.ParseProject(p.Name)
		if err != nil {
			return Found{}, fmt.Errorf("override plugin %q: %w", p.Name, err)
		}
		if project.Override() != p.Name {
			return Found{}, fmt.Errorf("override plugin %q: not the name of a project as fromager writes it: write %s", p.Name, project.Override())
		}
		if _, twice := found.Overrides[project]; twice {
			return Found{}, fmt.Errorf("override plugin %q: named twice", p.Name)
		}
		if !entryPoint.MatchString(p.EntryPoint) || len(p.EntryPoint) > 1000 {
			return Found{}, fmt.Errorf("override plugin %q: %.100q is not the entry point of one", p.Name, p.EntryPoint)
		}
		o := Override{EntryPoint: p.EntryPoint}
		for _, name := range p.Paths {
			text, ok := a.Files[name]
			if !ok {
				return Found{}, fmt.Errorf("override plugin %q: the source %.200q is missing", p.Name, name)
			}
			if err := checkPath(name); err != nil {
				return Found{}, fmt.Errorf("override plugin %q: %w", p.Name, err)
			}
			o.Sources = append(o.Sources, Source{name, digest.FromBytes(text)})
			if !used[name] {
				found.Blobs = append(found.Blobs, text)
			}
			used[name] = true
		}
		slices.SortFunc(o.Sources, func(a, b Source) int { return strings.Compare(a.Path, b.Path) })
		if len(o.Sources) == 0 {
			return Found{}, fmt.Errorf("override plugin %q: no sources", p.Name)
		}
		if len(slices.CompactFunc(slices.Clone(o.Sources), func(a, b Source) bool { return a.Path == b.Path })) < len(o.Sources) {
			return Found{}, fmt.Errorf("override plugin %q: a source is named twice", p.Name)
		}
		found.Overrides[project] = o
	}
	if len(used) < len(a.Files) {
		return Found{}, errors.New("not an answer about plugins: it has sources of no plugin")
	}
	return found, nil
}

// checkPath holds for the path of a source: relative, in normal form, of characters that can be shown.
func checkPath(name string) error {
	if !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == '\\' || r == utf8.RuneError }) ||
		name == "" || len(name) > 1000 || path.IsAbs(name) || path.Clean(name) != name || strings.HasPrefix(name, "../") || name == ".." || name == "." {
		return fmt.Errorf("%.200q is not the path of a source", name)
	}
	return nil
}

// printable spells out what would steer a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}
