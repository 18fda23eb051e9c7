// Package sitehook is what a site's own command is asked and answers when a view is published: bytes that stand for inputs which nothing
// else sees, as components of the build environment of all projects, of one, or of one version. Running it is the caller's.
//
//	answer, err := sitehook.Parse(printed)     // "hook:torch" and so on, with the bytes as their texts
package sitehook

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver/environ"
)

// Question is what the command reads, as JSON.
type Question struct {
	Variant string      `json:"variant"`
	Target  dist.Target `json:"target"`
	// Projects are those that have settings, patches or records, with the versions that do; none where settings are for all versions.
	Projects map[dist.Project][]version.Version `json:"projects"`
}

// Add adds a version, once however it is spelled.
func (q *Question) Add(p dist.Project, v version.Version) {
	if !slices.ContainsFunc(q.Projects[p], func(w version.Version) bool { return v.Compare(w) == 0 }) {
		q.Projects[p] = append(q.Projects[p], v)
	}
}

// Prefix begins the names of the components; a selector in normal form follows.
const Prefix = "hook:"

// Selector says for what some bytes count: "*" for all projects, "torch" for one, "torch==2.9.0" for one version.
type Selector struct {
	project dist.Project    // "" for all
	version version.Version // zero for all of the project's
}

// ParseSelector reads a selector with names and versions in any spelling.
func ParseSelector(s string) (Selector, error) {
	if s == "*" {
		return Selector{}, nil
	}
	name, ver, versioned := strings.Cut(s, "==")
	p, err := dist.ParseProject(name)
	if err == nil && versioned {
		var v version.Version
		v, err = version.Parse(ver)
		return Selector{p, v}, err
	}
	return Selector{project: p}, err
}

// String is the normal form.
func (s Selector) String() string {
	switch {
	case s.project == "":
		return "*"
	case s.version.IsZero():
		return string(s.project)
	}
	return string(s.project) + "==" + s.version.String()
}

// Fits says whether the bytes count for a version. Without a local part it means the version with any, as with patches.
func (s Selector) Fits(p dist.Project, v version.Version) bool {
	return s.project == "" || s.project == p && (s.version.IsZero() || s.version.Compare(v) == 0 || s.version.Compare(v.WithoutLocal()) == 0)
}

// compare puts "*" first; versions that are equal, such as 1.0 and 1.0.0, are one.
func (s Selector) compare(t Selector) int {
	return cmp.Or(cmp.Compare(s.project, t.project), s.version.Compare(t.version))
}

// MaxAnswer bounds what a command may print, MaxBytes the bytes of one selector.
const (
	MaxAnswer = 1 << 20
	MaxBytes  = 64 << 10
)

// Parse reads what the command printed: one JSON object of base64 (RFC 4648, with padding) by selector, and nothing behind it. Each becomes a
// component. An error says what is wrong with it, and of which selector.
func Parse(printed []byte) (environ.Set, error) {
	if len(printed) > MaxAnswer {
		return nil, fmt.Errorf("it printed more than %d bytes", MaxAnswer)
	}
	dec := json.NewDecoder(bytes.NewReader(printed))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New(`it did not print a JSON object {"SELECTOR": "BASE64"}`)
	}
	set := environ.Set{}
	type spelled struct {
		Selector
		as string
	}
	var all []spelled
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("what it printed is no JSON: %w", err)
		}
		key := t.(string) // Token gives nothing else for the key of an object
		s, err := ParseSelector(key)
		if err != nil {
			return nil, fmt.Errorf("the selector %q is neither *, nor PROJECT, nor PROJECT==VERSION: %w", key, err)
		}
		all = append(all, spelled{s, key})
		t, err = dec.Token()
		text, ok := t.(string)
		if err != nil || !ok {
			return nil, fmt.Errorf("the value of %q is not a string of base64", key)
		}
		b, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("the value of %q is not base64: %w", key, err)
		}
		if len(b) > MaxBytes {
			return nil, fmt.Errorf("the value of %q has %d bytes, and %d are the most: print a hash of it", key, len(b), MaxBytes)
		}
		set[Prefix+s.String()] = environ.Component{Value: digest.FromBytes(b).String(), Text: b}
	}
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("what it printed ends within the JSON object: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("it printed more than one JSON object")
	}
	slices.SortFunc(all, func(a, b spelled) int { return a.compare(b.Selector) })
	for i := 1; i < len(all); i++ {
		if all[i-1].compare(all[i].Selector) == 0 {
			return nil, fmt.Errorf("the selectors %q and %q are the same one, %s", all[i-1].as, all[i].as, all[i])
		}
	}
	return set, nil
}
