// Package dist names what Python distributions are made of: projects, requirements and their markers, the filenames of wheels and
// sdists, compatibility tags and core metadata. Text from outside is parsed here once, into types that hold the normal form; what does
// not parse is an error that says why.
package dist

import (
	"fmt"
	"strings"
)

// Project is a project name in the normal form of PEP 503: lower case ASCII letters and digits, with single dashes between them. Only
// [ParseProject] makes one, so it is safe in a path or a key.
type Project string

// ParseProject reads a project name in any spelling of PEP 508 ("Foo.Bar_baz" is foo-bar-baz).
func ParseProject(s string) (Project, error) {
	if !isName(s) {
		return "", fmt.Errorf("%.100q is not a project name: PEP 508 admits ASCII letters, digits, '.', '-' and '_', with a letter or digit at both ends", s)
	}
	return Project(normalize(s)), nil
}

// Override is the name with underscores: what wheel filenames (PEP 427) and fromager's settings call the project.
func (p Project) Override() string { return strings.ReplaceAll(string(p), "-", "_") }

// UnmarshalText reads what [ParseProject] reads.
func (p *Project) UnmarshalText(b []byte) error {
	q, err := ParseProject(string(b))
	if err != nil {
		return err
	}
	*p = q
	return nil
}

// isName tells whether s is a name in the sense of PEP 508: of a project, and after PEP 685 of an extra.
func isName(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !alphanumeric(c) && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return s != "" && alphanumeric(s[0]) && alphanumeric(s[len(s)-1])
}

// normalize is PEP 503's normal form of any text, a name or not.
func normalize(s string) string {
	normal := true
	for i := 0; i < len(s) && normal; i++ {
		normal = 'a' <= s[i] && s[i] <= 'z' || '0' <= s[i] && s[i] <= '9' || s[i] == '-' && i > 0 && s[i-1] != '-'
	}
	if normal {
		return s
	}
	var b strings.Builder
	dash := false
	for _, r := range strings.ToLower(s) {
		if r == '-' || r == '_' || r == '.' {
			if !dash {
				b.WriteByte('-')
			}
			dash = true
			continue
		}
		b.WriteRune(r)
		dash = false
	}
	return b.String()
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}
