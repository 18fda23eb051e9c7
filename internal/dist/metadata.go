package dist

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/python-wheel-build/axle/internal/version"
)

// Metadata is what Axle needs of core metadata: of a wheel's METADATA or an sdist's PKG-INFO.
type Metadata struct {
	MetadataVersion string // "2.4"
	Name            Project
	Version         version.Version
	RequiresPython  string // as written; old projects have some that PEP 440 does not admit, which installers ignore
	RequiresDist    []Requirement
	ProvidesExtra   []string // normal form (PEP 685), in order; what is no name is left out
	Dynamic         []string // as written
}

// ParseMetadata reads core metadata: header lines, a blank line, a description. The fields of [Metadata] are read strictly, and an error
// names the line; whatever stands in others (bytes that are no UTF-8, lines that are no header) is passed over, so that an odd licence
// text hides no requirement below it. Where a field other than the name says UNKNOWN, as old setuptools wrote, it counts as absent.
func ParseMetadata(b []byte) (Metadata, error) {
	var m Metadata
	err := eachField(b, m.set)
	switch {
	case err != nil:
	case m.MetadataVersion == "":
		err = errors.New("it has no Metadata-Version")
	case m.Name == "":
		err = errors.New("it has no Name")
	case m.Version.IsZero():
		err = errors.New("it has no Version")
	}
	if err != nil {
		return Metadata{}, fmt.Errorf("core metadata: %w", err)
	}
	return m, nil
}

// set takes one field, whose name is in lower case.
func (m *Metadata) set(field, value string) error {
	if value == "UNKNOWN" && field != "name" || value == "" {
		return nil
	}
	twice := errors.New("the field stands there twice")
	switch field {
	case "metadata-version":
		if m.MetadataVersion != "" {
			return twice
		}
		v, err := version.Parse(value)
		if err == nil && v.Compare(nextMetadata) >= 0 {
			err = fmt.Errorf("core metadata %s is newer than what is known here (2.x): update Axle", v)
		}
		m.MetadataVersion = value
		return err
	case "name":
		if m.Name != "" {
			return twice
		}
		if value == "UNKNOWN" {
			return errors.New("the build backend found no name: its configuration was not read")
		}
		var err error
		m.Name, err = ParseProject(value)
		return err
	case "version":
		if !m.Version.IsZero() {
			return twice
		}
		var err error
		m.Version, err = version.Parse(value)
		return err
	case "requires-python":
		if m.RequiresPython != "" {
			return twice
		}
		m.RequiresPython = value
	case "requires-dist":
		r, err := ParseRequirement(value)
		m.RequiresDist = append(m.RequiresDist, r)
		return err
	case "provides-extra":
		if isName(value) { // old tools wrote others too: nobody can ask for those, and installers pass over them
			m.ProvidesExtra = append(m.ProvidesExtra, normalize(value))
		}
	case "dynamic":
		m.Dynamic = append(m.Dynamic, value)
	}
	return nil
}

var (
	staticMetadata = must("2.2")
	nextMetadata   = must("3.dev0")
)

func must(s string) version.Version {
	v, err := version.Parse(s)
	if err != nil {
		panic(err)
	}
	return v
}

var wanted = []string{"metadata-version", "name", "version", "requires-python", "requires-dist", "provides-extra", "dynamic"}

// eachField calls use for every wanted header field, its name in lower case, its lines joined, and says on which line an error was.
func eachField(b []byte, use func(field, value string) error) error {
	b = bytes.TrimPrefix(b, []byte("\ufeff"))
	field, value, at := "", []byte(nil), 0 // the field being read, "" where it is not wanted
	flush := func() error {
		if field == "" {
			return nil
		}
		err := errors.New("it is not UTF-8")
		if utf8.Valid(value) {
			err = use(strings.ToLower(field), strings.TrimSpace(string(value)))
		}
		if err != nil {
			err = fmt.Errorf("line %d, %s: %w", at, field, err)
		}
		field = ""
		return err
	}
	for n := 1; len(b) > 0; n++ {
		var line []byte
		line, b, _ = bytes.Cut(b, []byte("\n"))
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) == 0 {
			break
		}
		if line[0] == ' ' || line[0] == '\t' { // continues the line before
			if field != "" {
				value = append(append(value, ' '), bytes.TrimSpace(line)...)
			}
			continue
		}
		if err := flush(); err != nil {
			return err
		}
		name, v, ok := bytes.Cut(line, []byte(":"))
		if ok && slices.Contains(wanted, strings.ToLower(string(name))) {
			field, value, at = string(name), slices.Clone(v), n
		}
	}
	return flush()
}

// Static tells whether an sdist's metadata binds what is built from it (PEP 643): version 2.2 or later, and neither name, version,
// requirements nor extras are dynamic. Below 2.2 a PKG-INFO promises nothing.
func (m Metadata) Static() bool {
	v, err := version.Parse(m.MetadataVersion)
	if err != nil || v.Compare(staticMetadata) < 0 {
		return false
	}
	return !slices.ContainsFunc(m.Dynamic, func(field string) bool {
		return slices.Contains([]string{"name", "version", "requires-dist", "provides-extra", "dynamic"}, strings.ToLower(field))
	})
}

// SameRequirements tells whether m and o ask for the same: Requires-Dist, Provides-Extra and Requires-Python by meaning, whatever their
// order, repeats, quotes, spaces and spelling. If not, it says the first difference.
func (m Metadata) SameRequirements(o Metadata) (bool, string) {
	for _, d := range []struct {
		field string
		a, b  map[string]string // meaning to text
	}{
		{"Requires-Dist", requirements(m.RequiresDist), requirements(o.RequiresDist)},
		{"Provides-Extra", itself(m.ProvidesExtra...), itself(o.ProvidesExtra...)},
		{"Requires-Python", pythons(m.RequiresPython), pythons(o.RequiresPython)},
	} {
		if text, ok := lacking(d.a, d.b); ok {
			return false, fmt.Sprintf("only the first has %s: %s", d.field, text)
		}
		if text, ok := lacking(d.b, d.a); ok {
			return false, fmt.Sprintf("only the second has %s: %s", d.field, text)
		}
	}
	return true, ""
}

func requirements(list []Requirement) map[string]string {
	m := make(map[string]string, len(list))
	for _, r := range list {
		m[r.Canonical()] = r.String()
	}
	return m
}

func itself(list ...string) map[string]string {
	m := make(map[string]string, len(list))
	for _, s := range list {
		m[s] = s
	}
	return m
}

// pythons takes a Requires-Python that PEP 440 does not admit by its text.
func pythons(text string) map[string]string {
	if set, err := version.ParseSet(text); err == nil {
		if set.IsEmpty() {
			return nil
		}
		return map[string]string{set.Canonical(): text}
	}
	return itself(text)
}

// lacking is the first text, in order of meaning, of a that b does not mean.
func lacking(a, b map[string]string) (string, bool) {
	for _, meaning := range slices.Sorted(maps.Keys(a)) {
		if _, ok := b[meaning]; !ok {
			return a[meaning], true
		}
	}
	return "", false
}
