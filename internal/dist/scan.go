package dist

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// scanner walks over the text of a requirement or a marker. Its words end where Python's regular expressions see a word end, as in
// packaging: "'3.6'in python_version" is good, "'3.6' inpython_version" is not.
type scanner struct {
	text string
	pos  int
}

func (s *scanner) rest() string { return s.text[s.pos:] }

func (s *scanner) done() bool { return s.pos == len(s.text) }

// space skips blanks and tabs, the only white space between tokens.
func (s *scanner) space() bool {
	start := s.pos
	for !s.done() && (s.text[s.pos] == ' ' || s.text[s.pos] == '\t') {
		s.pos++
	}
	return s.pos > start
}

// symbol takes t if it comes next.
func (s *scanner) symbol(t string) bool {
	if !strings.HasPrefix(s.rest(), t) {
		return false
	}
	s.pos += len(t)
	return true
}

// word takes t if it comes next and the word ends there; it starts there, since what stands before is never a letter or digit.
func (s *scanner) word(t string) bool {
	if !strings.HasPrefix(s.rest(), t) || !s.boundary(s.pos+len(t)) {
		return false
	}
	s.pos += len(t)
	return true
}

// name takes the longest name (of a project or an extra) that ends with a word.
func (s *scanner) name() (string, bool) {
	end := s.pos
	for end < len(s.text) && (alphanumeric(s.text[end]) || end > s.pos && strings.IndexByte(".-_", s.text[end]) >= 0) {
		end++
	}
	for ; end > s.pos; end-- {
		if s.boundary(end) {
			name := s.text[s.pos:end]
			s.pos = end
			return name, true
		}
	}
	return "", false
}

// boundary tells whether a word starts or ends at byte i.
func (s *scanner) boundary(i int) bool {
	before, _ := utf8.DecodeLastRuneInString(s.text[:i])
	after, _ := utf8.DecodeRuneInString(s.text[i:])
	return (i > 0 && wordRune(before)) != (i < len(s.text) && wordRune(after))
}

func wordRune(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r) }

// expected is the error that names what should have come next.
func (s *scanner) expected(what string) error {
	if s.done() {
		return fmt.Errorf("%s is missing at the end", what)
	}
	return fmt.Errorf("expected %s at %.40q (byte %d)", what, s.rest(), s.pos)
}
