package dist

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/python-wheel-build/axle/internal/version"
)

// Requirement is a dependency specifier (PEP 508): one line of Requires-Dist or of a build system's requires.
type Requirement struct {
	Project Project
	Extras  []string    // normal form (PEP 685), sorted, no repeats
	Set     version.Set // empty where URL is set
	URL     string      // "" unless "name @ URL"
	Marker  *Marker     // nil: always
}

// ParseRequirement reads a requirement as packaging does; names of the project and the extras come out in normal form. A name that
// does not end with a letter or digit is refused, as PEP 508 says, though packaging admits it.
func ParseRequirement(s string) (Requirement, error) {
	r, err := parseRequirement(s)
	if err != nil {
		return Requirement{}, fmt.Errorf("requirement %.300q: %w", s, err)
	}
	return r, nil
}

func parseRequirement(text string) (r Requirement, err error) {
	if !utf8.ValidString(text) {
		return r, errors.New("it is not UTF-8")
	}
	s := &scanner{text: text}
	s.space()
	name, ok := s.name()
	if !ok {
		return r, s.expected("a project name")
	}
	if r.Project, err = ParseProject(name); err != nil {
		return r, err
	}
	s.space()
	if r.Extras, err = extras(s); err != nil {
		return r, err
	}
	s.space()

	what := "a version specifier, ';' or the end"
	if s.symbol("@") {
		s.space()
		n := strings.IndexAny(s.rest(), " \t")
		if n < 0 {
			n = len(s.rest())
		}
		if n == 0 {
			return r, s.expected("a URL after '@'")
		}
		r.URL = s.rest()[:n]
		s.pos += n
		what = "';' or the end after the URL"
	} else if r.Set, err = specifiers(s); err != nil {
		return r, err
	}
	s.space()
	if s.done() {
		return r, nil
	}
	if !s.symbol(";") {
		return r, s.expected(what)
	}
	r.Marker, err = marker(s)
	return r, err
}

// extras reads "[a, b]", if it is there.
func extras(s *scanner) (list []string, err error) {
	if !s.symbol("[") {
		return nil, nil
	}
	s.space()
	for more := !strings.HasPrefix(s.rest(), "]"); more; more = s.symbol(",") {
		s.space()
		name, ok := s.name()
		if !ok {
			return nil, s.expected("the name of an extra")
		}
		if !isName(name) {
			return nil, fmt.Errorf("%.100q is not the name of an extra: it must end with a letter or digit (PEP 508)", name)
		}
		list = append(list, normalize(name))
		s.space()
	}
	if !s.symbol("]") {
		return nil, s.expected("',' or ']'")
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// specifiers reads a specifier set, with or without parentheses.
func specifiers(s *scanner) (version.Set, error) {
	paren := s.symbol("(")
	s.space()
	start := s.pos
	for n := version.ScanClause(s.rest()); n > 0; n = version.ScanClause(s.rest()) {
		s.pos += n
		s.space()
		if !s.symbol(",") {
			break
		}
		s.space()
	}
	set, err := version.ParseSet(s.text[start:s.pos])
	if err != nil {
		return set, err
	}
	if s.space(); paren && !s.symbol(")") {
		return set, s.expected("a version specifier or ')'")
	}
	return set, nil
}

// String is the requirement as packaging prints it, with names in normal form. It parses to an equal requirement.
func (r Requirement) String() string { return r.print(r.Set.String()) }

// Canonical is the same text for all requirements that mean the same: the spelling of versions does not count either. Markers that
// differ in more than spaces, quotes and needless parentheses count as different.
func (r Requirement) Canonical() string { return r.print(r.Set.Canonical()) }

func (r Requirement) print(set string) string {
	var b strings.Builder
	b.WriteString(string(r.Project))
	if len(r.Extras) > 0 {
		b.WriteString("[" + strings.Join(r.Extras, ",") + "]")
	}
	b.WriteString(set)
	if r.URL != "" {
		b.WriteString(" @ " + r.URL)
		if r.Marker != nil {
			b.WriteByte(' ')
		}
	}
	if r.Marker != nil {
		b.WriteString("; " + r.Marker.String())
	}
	return b.String()
}

// MarshalText gives [Requirement.String].
func (r Requirement) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what [ParseRequirement] reads.
func (r *Requirement) UnmarshalText(b []byte) error {
	q, err := ParseRequirement(string(b))
	if err != nil {
		return err
	}
	*r = q
	return nil
}
