package version

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Prereleases says what [Set.Contains] does with a pre-release that the clauses admit.
type Prereleases int

const (
	// Default is packaging's None. Asked of one version there is no final release to prefer, so a pre-release is admitted, as
	// packaging does since 26.0; choosing among several versions is the caller's, who alone sees them all.
	Default Prereleases = iota
	// Allow admits it.
	Allow
	// Deny refuses it.
	Deny
)

// Set is a specifier set such as ">=1.2,<2": an immutable value. The zero value has no clause and holds every version.
type Set struct {
	clauses []clause // sorted by text, without repeats
}

// ParseSet reads a comma-separated specifier set; empty parts and white space around the parts are ignored, "" is the zero Set.
func ParseSet(s string) (Set, error) {
	var set Set
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimFunc(part, isSpace)
		if part == "" {
			continue
		}
		c, n, err := scanClause(part)
		if err == nil && n != len(part) {
			err = fmt.Errorf("%.100q makes no sense after %.100q", part[n:], part[:n])
		}
		if err != nil {
			return Set{}, fmt.Errorf("specifier %.300q: %w; PEP 440 has clauses like >=1.2, ==1.* and ~=1.4.2", s, err)
		}
		set.clauses = append(set.clauses, c)
	}
	slices.SortStableFunc(set.clauses, func(a, b clause) int { return strings.Compare(a.String(), b.String()) })
	seen := make(map[string]bool, len(set.clauses))
	set.clauses = slices.DeleteFunc(set.clauses, func(c clause) bool {
		id := c.canonical()
		repeat := seen[id]
		seen[id] = true
		return repeat
	})
	return set, nil
}

// ScanClause gives the length of the one clause (operator, white space, version) that s starts with, 0 if it starts with none. It is
// for readers of text in which a set stands among other things (PEP 508).
func ScanClause(s string) int {
	_, n, err := scanClause(s)
	if err != nil {
		return 0
	}
	return n
}

// String is the set as packaging prints it: the clauses with their versions as written, sorted, without repeats.
func (s Set) String() string {
	texts := make([]string, len(s.clauses))
	for i, c := range s.clauses {
		texts[i] = c.String()
	}
	return strings.Join(texts, ",")
}

// IsEmpty is true where the set has no clause.
func (s Set) IsEmpty() bool { return len(s.clauses) == 0 }

// Canonical is the same text for all sets of the same clauses, however their versions are spelled (>=1.0 and >=1.0.0).
func (s Set) Canonical() string {
	texts := make([]string, len(s.clauses))
	for i, c := range s.clauses {
		texts[i] = c.canonical()
	}
	slices.Sort(texts)
	return strings.Join(texts, ",")
}

// Contains tells whether the set holds v. "===" compares with v's normal form.
func (s Set) Contains(v Version, pre Prereleases) bool {
	if v.IsZero() || pre == Deny && v.pre {
		return false
	}
	for i := range s.clauses {
		if c := &s.clauses[i]; c.op == "===" && c.folded != v.text || c.op != "===" && !c.holds(v) {
			return false
		}
	}
	return true
}

// ContainsText is Contains for a text that need not be a version: "===" compares the text itself, letter case aside, and every other
// operator refuses what does not parse.
func (s Set) ContainsText(text string, pre Prereleases) bool {
	v, err := Parse(text)
	if err == nil && pre == Deny && v.pre {
		return false
	}
	for i := range s.clauses {
		c := &s.clauses[i]
		if c.op == "===" && c.folded != strings.ToLower(text) || c.op != "===" && (err != nil || !c.holds(v)) {
			return false
		}
	}
	return true
}

// MarshalText gives [Set.String].
func (s Set) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what [ParseSet] reads.
func (s *Set) UnmarshalText(b []byte) error {
	t, err := ParseSet(string(b))
	if err != nil {
		return err
	}
	*s = t
	return nil
}

// clause is one operator with its version.
type clause struct {
	op      string
	text    string  // the version as written
	folded  string  // "===": text in lower case
	version Version // zero for "==="
	bound   Version // what a version is compared with: version, save for "<"
	// prefix is the key of the epoch and release that v must start with, for ".*" and "~="; zeros of them are left to match.
	prefix string
	zeros  int
	wild   bool // ".*"
	// family: ">" also refuses the post-releases of its version, which it does unless that is a post- or dev-release itself.
	family bool
}

var operators = []string{"===", "~=", "==", "!=", "<=", ">=", "<", ">"}

func scanClause(s string) (c clause, n int, err error) {
	for _, op := range operators {
		if strings.HasPrefix(s, op) {
			c.op = op
			break
		}
	}
	if c.op == "" {
		return c, 0, errors.New("it starts with no operator")
	}
	rest := strings.TrimLeftFunc(s[len(c.op):], isSpace)
	n = len(s) - len(rest)
	if c.op == "===" {
		end := strings.IndexFunc(rest, func(r rune) bool { return r == ';' || r == ')' || isSpace(r) })
		if end < 0 {
			end = len(rest)
		}
		c.text, c.folded = rest[:end], strings.ToLower(rest[:end])
		return c, n + end, nil
	}

	p, length := scan(rest)
	switch {
	case length == 0:
		return c, 0, fmt.Errorf("no version follows %q", c.op)
	case length > MaxLength:
		return c, 0, fmt.Errorf("its version has %d bytes: more than %d are not read", length, MaxLength)
	case p.local != "" && c.op != "==" && c.op != "!=":
		return c, 0, fmt.Errorf("%q takes no local version", c.op)
	case c.op == "~=" && !strings.Contains(p.release, "."):
		return c, 0, errors.New(`"~=" needs a release of two numbers or more`)
	}
	c.version = p.version(rest[:length])
	c.bound = c.version
	if (c.op == "==" || c.op == "!=") && strings.HasPrefix(rest[length:], ".*") {
		if p.pre != preNone || p.post || p.dev || p.local != "" {
			return c, 0, errors.New(`".*" follows a release only`)
		}
		c.wild = true
		length += len(".*")
	}
	c.text = rest[:length]

	switch {
	case c.wild:
		c.setPrefix(p.epoch, p.release)
	case c.op == "~=":
		c.setPrefix(p.epoch, p.release[:strings.LastIndexByte(p.release, '.')])
	case c.op == ">":
		c.family = !p.post && !p.dev
	case c.op == "<" && !c.version.pre:
		// PEP 440: <V refuses the pre-releases of V, of which V.dev0 is the first.
		p.dev = true
		c.bound = p.version("")
	}
	return c, n + length, nil
}

func (c *clause) setPrefix(epoch, release string) {
	key, zeros := appendRelease(appendNumber(nil, epoch), release)
	c.prefix, c.zeros = string(key), zeros
}

// holds tells whether the clause, which is not "===", holds v. In all operators but "==" and "!=" with a local version of their own,
// v's local version does not count (PEP 440, "Local version identifiers").
func (c *clause) holds(v Version) bool {
	switch c.op {
	case "==":
		return c.equal(v)
	case "!=":
		return !c.equal(v)
	case "<=":
		return v.comparePublic(c.bound) <= 0
	case ">=":
		return v.comparePublic(c.bound) >= 0
	case "<":
		return v.comparePublic(c.bound) < 0
	case ">":
		return v.comparePublic(c.bound) > 0 && !(c.family && v.key[:v.family] == c.bound.key[:c.bound.family])
	default: // ~=
		return v.comparePublic(c.bound) >= 0 && c.prefixes(v)
	}
}

func (c *clause) equal(v Version) bool {
	switch {
	case c.wild:
		return c.prefixes(v)
	case c.bound.public < len(c.bound.key):
		return v.Compare(c.bound) == 0
	default:
		return v.comparePublic(c.bound) == 0
	}
}

// prefixes tells whether v's epoch and release start with the clause's; a release is as if zeros followed it for ever.
func (c *clause) prefixes(v Version) bool {
	rest, ok := strings.CutPrefix(v.key, c.prefix)
	for i := 0; ok && i < c.zeros; i++ {
		if rest[0] == 0 { // the end of v's release
			return true
		}
		ok = rest[0] == 1 // a zero
		rest = rest[1:]
	}
	return ok
}

func (c clause) String() string { return c.op + c.text }

// canonical is equal for clauses that packaging counts as equal.
func (c clause) canonical() string {
	switch {
	case c.op == "===" || c.wild:
		return c.op + c.text
	case c.op == "~=": // ~=1.0 and ~=1.0.0 mean different things
		return c.op + c.version.text
	default:
		return c.op + c.version.trimmed()
	}
}

// NamesPrerelease says whether the set asks for prereleases by naming one (PEP 440, "Handling of pre-releases"); excluding one is no
// asking.
func (s Set) NamesPrerelease() bool {
	for clause := range strings.SplitSeq(s.String(), ",") {
		text := strings.TrimLeft(clause, "=<>~! ")
		if strings.HasPrefix(clause, "!=") {
			continue
		}
		if v, err := Parse(strings.TrimSuffix(text, ".*")); err == nil && v.IsPrerelease() {
			return true
		}
	}
	return false
}
