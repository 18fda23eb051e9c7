package explain

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/python-wheel-build/axle/resolver"
)

// Change is one place where two recipes, or two views, differ.
type Change struct {
	// Path leads to it: patches[fix.patch], overrides.sources[acme/foo.py], settings.env.CFLAGS, environment.path:rocm. A key that is no plain word stands in brackets.
	Path  string
	Cause resolver.Cause
	// How is Added, Removed, Edited, Renamed or Reordered.
	How string
	// Was and Is are the values: texts as they are, all else as JSON; "" where there is none. Of a patch it is its SHA-256, of one renamed
	// the names, of those reordered all names.
	Was, Is string
	// Lines say what changed within, where both texts are in the store: lines as of a unified diff, or of a component what became of
	// its packages and files.
	Lines []string
}

// How something changed.
const (
	Added     = "added"
	Removed   = "removed"
	Edited    = "edited"
	Renamed   = "renamed"
	Reordered = "reordered"
)

// Diff gives every difference between two recipes, by path; recipes with one digest have none, and others at least one. It is pure, so no
// Change has Lines.
func Diff(was, is resolver.Recipe) ([]Change, error) {
	a, err := tree(was)
	if err != nil {
		return nil, err
	}
	b, err := tree(is)
	if err != nil {
		return nil, err
	}
	var d differ
	d.walk(nil, a, b)
	return d.changes, nil
}

// order is that of the causes of changes; a field that has no cause of its own comes last, under its name.
var order = []resolver.Cause{resolver.CauseSource, resolver.CausePatches, resolver.CauseSettings, resolver.CauseOverrides,
	resolver.CauseEnvironment, resolver.CauseTarget, resolver.CauseBuilder}

// Primary is the cause that counts of several changes: the first in the order of the constants in resolver, components by their names; ""
// of none.
func Primary(changes []Change) resolver.Cause {
	rank := func(c Change) int {
		i := slices.IndexFunc(order, func(o resolver.Cause) bool {
			return o == c.Cause || o == resolver.CauseEnvironment && strings.HasPrefix(string(c.Cause), string(o))
		})
		if i < 0 {
			return len(order)
		}
		return i
	}
	if len(changes) == 0 {
		return ""
	}
	return slices.MinFunc(changes, func(a, b Change) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return strings.Compare(string(a.Cause), string(b.Cause))
	}).Cause
}

// tree is a recipe as JSON has it. Canonical documents hold no numbers.
func tree(r resolver.Recipe) (map[string]any, error) {
	b, err := r.Canonical()
	if err != nil {
		return nil, err
	}
	var m map[string]any
	err = json.Unmarshal(b, &m)
	return m, err
}

type differ struct{ changes []Change }

// add notes a change of what stands at path, or of one file of a list that does.
func (d *differ) add(path []string, file, how, was, is string) {
	cause := resolver.Cause(path[0])
	if path[0] == "environment" && len(path) > 1 {
		cause = resolver.CauseEnvironment + resolver.Cause(path[1])
	}
	d.changes = append(d.changes, Change{Path: spell(path) + file, Cause: cause, How: how, Was: was, Is: is})
}

// walk compares what stands at path; nil is nothing.
func (d *differ) walk(path []string, was, is any) {
	if reflect.DeepEqual(was, is) {
		return
	}
	before := len(d.changes)
	a, aMap := was.(map[string]any)
	b, bMap := is.(map[string]any)
	switch {
	case (aMap || was == nil) && (bMap || is == nil):
		keys := maps.Clone(a)
		if keys == nil {
			keys = map[string]any{}
		}
		maps.Copy(keys, b)
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			d.walk(append(path[:len(path):len(path)], key), a[key], b[key])
		}
	default:
		x, xOK := files(was)
		y, yOK := files(is)
		if xOK && yOK {
			d.files(path, x, y)
		}
	}
	if len(d.changes) > before {
		return
	}
	switch {
	case was == nil:
		d.add(path, "", Added, "", value(is))
	case is == nil:
		d.add(path, "", Removed, value(was), "")
	default:
		d.add(path, "", Edited, value(was), value(is))
	}
}

// file is a patch or the source of an override plugin: a name and what it holds.
type file struct{ name, sha256 string }

// files reads a list of those; nothing is an empty one.
func files(v any) ([]file, bool) {
	if v == nil {
		return nil, true
	}
	list, ok := v.([]any)
	if !ok {
		return nil, false
	}
	seen := map[string]int{}
	out := make([]file, len(list))
	for i, e := range list {
		m, ok := e.(map[string]any)
		if !ok || len(m) != 2 {
			return nil, false
		}
		name, named := m["name"].(string)
		if !named {
			name, named = m["path"].(string)
		}
		sha, ok := m["sha256"].(string)
		if !ok || !named {
			return nil, false
		}
		// Two patches of one project may have one name: that of all versions and that of this one.
		if seen[name]++; seen[name] > 1 {
			name = fmt.Sprintf("%s, %d", name, seen[name])
		}
		out[i] = file{name, sha}
	}
	return out, true
}

func (d *differ) files(path []string, was, is []file) {
	index := func(all []file, name string) int {
		return slices.IndexFunc(all, func(f file) bool { return f.name == name })
	}
	renamed := map[string]bool{}
	for _, f := range is {
		if index(was, f.name) >= 0 {
			continue
		}
		old := slices.IndexFunc(was, func(o file) bool { return o.sha256 == f.sha256 && index(is, o.name) < 0 && !renamed[o.name] })
		if old >= 0 {
			renamed[was[old].name] = true
			d.add(path, "["+f.name+"]", Renamed, was[old].name, f.name)
			continue
		}
		d.add(path, "["+f.name+"]", Added, "", f.sha256)
	}
	var before, after []string // of those that are on both sides
	for _, f := range was {
		i := index(is, f.name)
		switch {
		case i >= 0:
			before = append(before, f.name)
			if is[i].sha256 != f.sha256 {
				d.add(path, "["+f.name+"]", Edited, f.sha256, is[i].sha256)
			}
		case !renamed[f.name]:
			d.add(path, "["+f.name+"]", Removed, f.sha256, "")
		}
	}
	for _, f := range is {
		if index(was, f.name) >= 0 {
			after = append(after, f.name)
		}
	}
	if !slices.Equal(before, after) {
		d.add(path, "", Reordered, strings.Join(before, ", "), strings.Join(after, ", "))
	}
}

// spell writes a path: a word behind a dot, what is none in brackets. The first, and a file of a list, are written as they are.
func spell(path []string) string {
	var b strings.Builder
	b.WriteString(path[0])
	for _, p := range path[1:] {
		switch {
		case word(p):
			b.WriteString("." + p)
		case strings.HasPrefix(p, "["):
			b.WriteString(p)
		default:
			b.WriteString("[" + p + "]")
		}
	}
	return b.String()
}

func word(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return !(c == '_' || c == '-' || c == ':' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z')
	})
}

// value is a text as it is, and all else as JSON.
func value(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err.Error() // what came of JSON goes back into it
	}
	return strings.TrimSuffix(b.String(), "\n")
}
