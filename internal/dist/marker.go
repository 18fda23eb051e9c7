package dist

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/python-wheel-build/axle/internal/version"
)

// Marker is an environment marker (PEP 508): a condition on the machine that installs. A nil Marker has no text and always holds.
type Marker struct {
	any [][]term // true if all terms of one group are: "and" binds closer than "or"
}

// term is a comparison, or a marker in parentheses.
type term struct {
	nested      *Marker
	left, right operand
	op          string
}

type operand struct {
	text     string
	variable bool
}

// maxDepth bounds parentheses within parentheses: hostile text must not exhaust the stack.
const maxDepth = 200

// variables are the names that may stand in a marker. Names with a dot are old spellings of PEP 345; extras and dependency_groups are
// PEP 751's, for lock files, and no metadata environment has them.
var variables = []string{
	"python_version", "python_full_version", "os_name", "os.name", "sys_platform", "sys.platform", "platform_release",
	"platform_system", "platform_version", "platform.version", "platform_machine", "platform.machine",
	"platform_python_implementation", "platform.python_implementation", "python_implementation", "implementation_name",
	"implementation_version", "extra", "extras", "dependency_groups",
}

// ParseMarker reads a marker as packaging does.
func ParseMarker(s string) (*Marker, error) {
	if !utf8.ValidString(s) {
		return nil, fmt.Errorf("marker %.300q is not UTF-8", s)
	}
	m, err := marker(&scanner{text: s})
	if err != nil {
		return nil, fmt.Errorf("marker %.300q: %w", s, err)
	}
	return m, nil
}

// marker reads the rest of the text.
func marker(s *scanner) (*Marker, error) {
	m, err := disjunction(s, 0)
	if err == nil && !s.done() {
		err = s.expected("'and', 'or' or the end of the marker")
	}
	if err != nil {
		return nil, err
	}
	if t := m.any[0][0]; len(m.any) == 1 && len(m.any[0]) == 1 && t.nested != nil {
		return t.nested, nil // parentheses around all of it
	}
	return m, nil
}

func disjunction(s *scanner, depth int) (*Marker, error) {
	m := &Marker{any: [][]term{nil}}
	for {
		t, err := atom(s, depth)
		if err != nil {
			return nil, err
		}
		last := len(m.any) - 1
		m.any[last] = append(m.any[last], t)
		switch {
		case s.word("or"):
			m.any = append(m.any, nil)
		case !s.word("and"):
			return m, nil
		}
	}
}

func atom(s *scanner, depth int) (t term, err error) {
	defer s.space()
	s.space()
	if !s.symbol("(") {
		return comparison(s)
	}
	if depth == maxDepth {
		return t, fmt.Errorf("more than %d parentheses within each other", maxDepth)
	}
	m, err := disjunction(s, depth+1)
	if err != nil {
		return t, err
	}
	if !s.symbol(")") {
		return t, s.expected("'and', 'or' or ')'")
	}
	if len(m.any) == 1 && len(m.any[0]) == 1 {
		return m.any[0][0], nil // needless parentheses
	}
	return term{nested: m}, nil
}

func comparison(s *scanner) (t term, err error) {
	if t.left, err = value(s); err != nil {
		return t, err
	}
	s.space()
	if t.op, err = operator(s); err != nil {
		return t, err
	}
	s.space()
	if t.right, err = value(s); err != nil {
		return t, err
	}
	// PEP 685: names of extras are compared in normal form; so are those of groups.
	switch l, r := &t.left, &t.right; {
	case l.variable && l.text == "extra" && !r.variable:
		r.text = normalize(r.text)
	case r.variable && !l.variable && (r.text == "extra" || r.text == "extras" || r.text == "dependency_groups"):
		l.text = normalize(l.text)
	}
	return t, nil
}

func operator(s *scanner) (string, error) {
	if s.word("in") {
		return "in", nil
	}
	if s.word("not") {
		if !s.space() || !s.word("in") {
			return "", s.expected("'in' after 'not'")
		}
		return "not in", nil
	}
	for _, op := range []string{"===", "==", "~=", "!=", "<=", ">=", "<", ">"} {
		if s.symbol(op) {
			return op, nil
		}
	}
	return "", s.expected("an operator (<= < != == >= > ~= === in, not in)")
}

func value(s *scanner) (operand, error) {
	for _, name := range variables {
		if s.word(name) {
			name = strings.ReplaceAll(name, ".", "_")
			if name == "python_implementation" {
				name = "platform_python_implementation"
			}
			return operand{text: name, variable: true}, nil
		}
	}
	for _, quote := range []string{`"`, `'`} {
		if rest := s.rest(); strings.HasPrefix(rest, quote) {
			body, _, closed := strings.Cut(rest[1:], quote)
			if !closed {
				return operand{}, s.expected("a closing " + quote)
			}
			text, err := unescape(body)
			if err != nil {
				return operand{}, fmt.Errorf("string %s%.100s%s: %w", quote, body, quote, err)
			}
			s.pos += len(body) + 2
			return operand{text: text}, nil
		}
	}
	return operand{}, s.expected("a marker variable or a quoted string")
}

// String is the marker as packaging prints it: variables by their present names, double quotes, single spaces, no needless
// parentheses. A string that packaging could not read back (a backslash, a line end, both quotes) is escaped. nil gives "".
func (m *Marker) String() string {
	if m == nil {
		return ""
	}
	var b strings.Builder
	m.print(&b)
	return b.String()
}

func (m *Marker) print(b *strings.Builder) {
	for i, all := range m.any {
		if i > 0 {
			b.WriteString(" or ")
		}
		for j, t := range all {
			if j > 0 {
				b.WriteString(" and ")
			}
			if t.nested != nil {
				b.WriteByte('(')
				t.nested.print(b)
				b.WriteByte(')')
			} else {
				b.WriteString(t.left.String() + " " + t.op + " " + t.right.String())
			}
		}
	}
}

func (o operand) String() string {
	if o.variable {
		return o.text
	}
	return quote(o.text)
}

// Eval tells whether the marker holds in env, whose keys are PEP 508's variables; "extra" counts as "" when absent. Every comparison
// is evaluated, so that a variable that env lacks, or a comparison without a meaning ("~=" of no version), is always an error.
func (m *Marker) Eval(env map[string]string) (bool, error) {
	if m == nil {
		return true, nil
	}
	holds, err := m.eval(env)
	if err != nil {
		return false, fmt.Errorf("marker %.300q: %w", m.String(), err)
	}
	return holds, nil
}

func (m *Marker) eval(env map[string]string) (bool, error) {
	holds := false
	for _, all := range m.any {
		group := true
		for i := range all {
			ok, err := all[i].eval(env)
			if err != nil {
				return false, err
			}
			group = group && ok
		}
		holds = holds || group
	}
	return holds, nil
}

// versioned are the variables that compare as versions where the other side is one.
var versioned = []string{"implementation_version", "platform_release", "python_full_version", "python_version"}

func (t *term) eval(env map[string]string) (bool, error) {
	if t.nested != nil {
		return t.nested.eval(env)
	}
	// A variable on the left is looked up and the right side taken as it stands, be it a variable's name: so does packaging.
	key, left, right := t.left.text, "", t.right.text
	var err error
	if t.left.variable {
		left, err = lookup(env, key)
	} else {
		key, left = t.right.text, t.left.text
		right, err = lookup(env, key)
	}
	if err != nil {
		return false, err
	}
	if slices.Contains(versioned, key) && t.op != "in" && t.op != "not in" {
		if set, err := parseClause(t.op, right); err == nil {
			return set.ContainsText(left, version.Allow), nil
		}
	}
	switch t.op {
	case "==", "<=", ">=":
		return left == right, nil
	case "!=":
		return left != right, nil
	case "<", ">":
		return false, nil
	case "in":
		return strings.Contains(right, left), nil
	case "not in":
		return !strings.Contains(right, left), nil
	}
	return false, fmt.Errorf("%q %s %q compares what are no versions", left, t.op, right)
}

func lookup(env map[string]string, key string) (string, error) {
	v, ok := env[key]
	switch {
	case key == "extra":
		return normalize(v), nil
	case !ok:
		return "", errors.New("the environment has no " + key)
	case key == "python_full_version" && strings.HasSuffix(v, "+"):
		return v + "local", nil // what a CPython built between releases says of itself
	}
	return v, nil
}
