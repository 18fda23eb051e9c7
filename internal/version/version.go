// Package version reads, orders and matches Python versions as PEP 440 says, and as pypa/packaging 26 does it.
//
// [Parse] reads a version, [Version.Compare] orders two, [ParseSet] reads a specifier set such as ">=1.2,<2" and [Set.Contains] asks
// whether a version is in it. Compare and Contains allocate nothing: they run over thousands of versions per request.
package version

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// MaxLength is the longest version or clause text that is read, in bytes. packaging reads numbers of at most 4300 digits.
const MaxLength = 4300

// Version is one PEP 440 version: an immutable value, made by [Parse]. The zero value is no version; only IsZero may be asked of it.
// Two versions are compared with [Version.Compare] only, since 1.0 and 1.00 are the same version with different texts.
type Version struct {
	_    [0]func() // not comparable by ==
	text string    // normal form
	// key sorts as bytes the way PEP 440 sorts versions (see key.go). key[:family] holds epoch, release and pre-release,
	// key[:public] adds post- and dev-release, the rest is the local version.
	key            string
	family, public int
	pre            bool
}

// Parse reads a version in any spelling that PEP 440 admits ("v1.0-ALPHA_1" is 1.0a1), white space around it included.
func Parse(s string) (Version, error) {
	t := strings.TrimFunc(s, isSpace)
	if len(t) > MaxLength {
		return Version{}, fmt.Errorf("version %.40q… has %d bytes: more than %d are not read", t, len(t), MaxLength)
	}
	p, n := scan(t)
	if n == 0 || n != len(t) {
		return Version{}, fmt.Errorf("%.100q is not a version: PEP 440 asks for one like 1.2, 1.2rc1, 1.2.post1 or 1.2+local", s)
	}
	return p.version(t), nil
}

// String is the normal form, "" for the zero Version.
func (v Version) String() string { return v.text }

// Compare is -1, 0 or +1 as v sorts before, with or after w in PEP 440's total order; trailing zeros of the release don't count.
func (v Version) Compare(w Version) int { return strings.Compare(v.key, w.key) }

// comparePublic is Compare without the local versions.
func (v Version) comparePublic(w Version) int {
	return strings.Compare(v.key[:v.public], w.key[:w.public])
}

// IsPrerelease is true for alpha, beta, candidate and dev releases.
func (v Version) IsPrerelease() bool { return v.pre }

// IsZero is true for the zero Version, which is no version.
func (v Version) IsZero() bool { return v.text == "" }

// Local is the local version in normal form, without its plus sign; "" when there is none.
func (v Version) Local() string {
	_, local, _ := strings.Cut(v.text, "+")
	return local
}

// WithoutLocal is the public version.
func (v Version) WithoutLocal() Version {
	v.text, _, _ = strings.Cut(v.text, "+")
	v.key = v.key[:v.public]
	return v
}

// trimmed is the normal form without the trailing zeros of the release.
func (v Version) trimmed() string {
	p, _ := scan(v.text)
	start := 0
	if p.epoch != "" {
		start = len(p.epoch) + len("!")
	}
	release := p.release
	for strings.HasSuffix(release, ".0") {
		release = strings.TrimSuffix(release, ".0")
	}
	return v.text[:start] + release + v.text[start+len(p.release):]
}

// MarshalText gives the normal form; the zero Version is an error, so that no document says "".
func (v Version) MarshalText() ([]byte, error) {
	if v.IsZero() {
		return nil, errors.New("a zero version has no text: leave the field out (omitzero)")
	}
	return []byte(v.text), nil
}

// UnmarshalText reads what [Parse] reads.
func (v *Version) UnmarshalText(b []byte) error {
	w, err := Parse(string(b))
	if err != nil {
		return err
	}
	*v = w
	return nil
}

// isSpace is Python's idea of white space, which adds the four separators 0x1c-0x1f to Unicode's.
func isSpace(r rune) bool { return unicode.IsSpace(r) || 0x1c <= r && r <= 0x1f }
