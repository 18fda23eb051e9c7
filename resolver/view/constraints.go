package view

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/python-wheel-build/axle/internal/dist"
)

// constraint is one line of a constraints file and where it stands.
type constraint struct {
	where string // file:line
	dist.Requirement
}

// As pip has it: a comment begins at the line's start or after a space.
var comment = regexp.MustCompile(`(^|\s+)#.*$`)

// parseConstraints reads a pip constraints file: one requirement per line with an optional marker, comments, blank lines, lines
// joined by a backslash. Several lines for one project all hold. Options, includes, URLs, paths, extras and substitution are
// refused with file and line.
func parseConstraints(name string, b []byte) ([]constraint, error) {
	if !utf8.Valid(b) {
		return nil, fmt.Errorf("%s: not UTF-8: save it as UTF-8", name)
	}
	text := strings.TrimPrefix(string(b), "\ufeff")
	var list []constraint
	var joined string
	start := 0
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		line = strings.TrimSuffix(line, "\r")
		if joined == "" {
			start = i + 1
		}
		// A comment line ends a joined line even when it ends with a backslash itself.
		isComment := strings.HasPrefix(strings.TrimSpace(line), "#")
		if rest, more := strings.CutSuffix(line, `\`); more && !isComment && i+1 < len(lines) {
			joined += rest + " "
			continue
		}
		line = strings.TrimSpace(comment.ReplaceAllString(joined+line, ""))
		joined = ""
		if line == "" {
			continue
		}
		where := fmt.Sprintf("%s:%d", name, start)
		r, err := parseConstraint(line)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", where, err)
		}
		list = append(list, constraint{where, r})
	}
	return list, nil
}

func parseConstraint(line string) (dist.Requirement, error) {
	option, _, _ := strings.Cut(line, " ")
	option, _, _ = strings.Cut(option, "=")
	switch {
	case option == "-r" || option == "--requirement" || option == "-c" || option == "--constraint":
		return dist.Requirement{}, fmt.Errorf("%s: a file that names another is not supported: list both under `constraints`", option)
	case strings.HasPrefix(line, "-"):
		return dist.Requirement{}, fmt.Errorf("%s: options are not supported in a constraints file", option)
	case strings.Contains(line, " --"):
		return dist.Requirement{}, fmt.Errorf("%s: options such as --hash are not supported in a constraints file", line)
	case strings.Contains(line, "${"):
		return dist.Requirement{}, fmt.Errorf("%s: substitution is not supported: write the value out", line)
	}
	r, err := dist.ParseRequirement(line)
	switch {
	case err != nil:
		return r, fmt.Errorf("not a constraint such as `name>=1,<2`: %w", err)
	case r.URL != "":
		return r, fmt.Errorf("%s: a URL is not supported as a constraint: name versions, and where they come from under `upstream`", r.Project)
	case len(r.Extras) > 0:
		return r, fmt.Errorf("%s: a constraint can't have extras: leave out [%s]", r.Project, strings.Join(r.Extras, ","))
	}
	return r, nil
}

// effective gives the constraints that hold where the marker environment does, in normal form, sorted: neither order nor comments
// nor markers that come out the same change it.
func effective(list []constraint, markers map[string]string) ([]string, error) {
	env := maps.Clone(markers)
	if env == nil {
		env = map[string]string{}
	}
	env["extra"] = ""
	var lines []string
	for _, c := range list {
		if c.Marker != nil {
			holds, err := c.Marker.Eval(env)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.where, err)
			}
			if !holds {
				continue
			}
		}
		if c.Set.IsEmpty() {
			continue // says nothing
		}
		lines = append(lines, dist.Requirement{Project: c.Project, Set: c.Set}.String())
	}
	slices.Sort(lines)
	return slices.Compact(lines), nil
}
