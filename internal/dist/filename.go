package dist

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/python-wheel-build/axle/internal/version"
)

// BuildTag is the optional build tag of a wheel's filename (PEP 427): a number, and text after it. The zero value is no build tag.
type BuildTag struct {
	N       int
	Suffix  string
	Present bool // tells "0" from none
}

// String is "" when there is none.
func (b BuildTag) String() string {
	if !b.Present {
		return ""
	}
	return strconv.Itoa(b.N) + b.Suffix
}

// Compare orders as installers do: no build tag first, then by number, then by text.
func (b BuildTag) Compare(c BuildTag) int {
	if b.Present != c.Present {
		if c.Present {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(b.N, c.N), strings.Compare(b.Suffix, c.Suffix))
}

// WheelName is a parsed wheel filename (PEP 427).
type WheelName struct {
	Project Project
	Version version.Version
	Build   BuildTag
	Tags    []Tag // expanded, in the order written

	stem, tags string // "Foo-1.00" and "py2.py3-none-any", as written
}

// ParseWheelName reads a wheel's filename as packaging does. Beyond that it refuses a name that is none (PEP 508) and any character but
// ASCII letters, digits and "._+!-", since filenames become paths and URLs.
func ParseWheelName(filename string) (WheelName, error) {
	w, err := parseWheelName(filename)
	if err != nil {
		return WheelName{}, fmt.Errorf("wheel filename %.300q: %w", filename, err)
	}
	return w, nil
}

func parseWheelName(filename string) (w WheelName, err error) {
	if err := plain(filename); err != nil {
		return w, err
	}
	stem, ok := strings.CutSuffix(filename, ".whl")
	if !ok {
		return w, errors.New("it does not end with .whl")
	}
	part := strings.Split(stem, "-")
	if len(part) != 5 && len(part) != 6 {
		return w, fmt.Errorf("PEP 427 asks for 5 or 6 parts between dashes (name, version, build tag or none, three tags), not %d", len(part))
	}
	if strings.Contains(part[0], "__") {
		return w, errors.New("the name has two underscores in a row, which PEP 427's escaping never gives")
	}
	if w.Project, err = ParseProject(part[0]); err != nil {
		return w, err
	}
	if w.Version, err = version.Parse(part[1]); err != nil {
		return w, err
	}
	if len(part) == 6 {
		if w.Build, err = parseBuildTag(part[2]); err != nil {
			return w, err
		}
	}
	w.stem, w.tags = part[0]+"-"+part[1], strings.Join(part[len(part)-3:], "-")
	w.Tags, err = ParseTags(w.tags)
	return w, err
}

func parseBuildTag(s string) (BuildTag, error) {
	digits := 0
	for digits < len(s) && '0' <= s[digits] && s[digits] <= '9' {
		digits++
	}
	n, err := strconv.Atoi(s[:digits])
	if err != nil {
		return BuildTag{}, fmt.Errorf("the build tag %q does not start with a number that fits 64 bits", s)
	}
	return BuildTag{N: n, Suffix: s[digits:], Present: true}, nil
}

// With is the filename with another build tag, or with none where build is ""; all else stays as written.
func (w WheelName) With(build string) string {
	if build != "" {
		build = "-" + build
	}
	return w.stem + build + "-" + w.tags + ".whl"
}

// TagSet is the compressed tag set, as written: "py2.py3-none-any".
func (w WheelName) TagSet() string { return w.tags }

// FormatWheelName is the filename of a wheel (PEP 427): "foo_bar-1.0-0_abc-py3-none-any.whl". build "" leaves the build tag out; tags is
// a compressed tag set.
func FormatWheelName(p Project, v version.Version, build, tags string) string {
	return WheelName{stem: p.Override() + "-" + v.String(), tags: tags}.With(build)
}

// SdistName is a parsed sdist filename.
type SdistName struct {
	Project Project
	Version version.Version
	Ext     string // ".tar.gz", ".zip"; from ParseSdistName also ".tgz", ".tar.bz2", ".tar"
}

// ParseSdistFilename reads an sdist's filename as packaging does, which is nearly what PEP 625 says: the last dash ends the name. Like
// [ParseWheelName] it refuses names that are none and odd characters.
func ParseSdistFilename(filename string) (SdistName, error) {
	stem, ext, err := sdistStem(filename, ".tar.gz", ".zip")
	if err != nil {
		return SdistName{}, err
	}
	dash := strings.LastIndexByte(stem, '-')
	if dash < 0 {
		return SdistName{}, fmt.Errorf("sdist filename %q has no dash between name and version", filename)
	}
	p, err := ParseProject(stem[:dash])
	if err != nil {
		return SdistName{}, fmt.Errorf("sdist filename %q: %w", filename, err)
	}
	v, err := version.Parse(stem[dash+1:])
	if err != nil {
		return SdistName{}, fmt.Errorf("sdist filename %q: %w", filename, err)
	}
	return SdistName{Project: p, Version: v, Ext: ext}, nil
}

// ParseSdistName reads the filename of an sdist that an index lists for the project want, in any form that was ever uploaded: dashes in
// name and version, no normal form, .tar.gz, .tgz, .tar.bz2, .tar or .zip. Only the part that is a spelling of want counts as the name, so
// "foo-2-1.0.tar.gz" is 1.0 of foo-2 or nothing of foo.
func ParseSdistName(filename string, want Project) (SdistName, error) {
	stem, ext, err := sdistStem(filename, ".tar.gz", ".zip", ".tar.bz2", ".tgz", ".tar")
	if err != nil {
		return SdistName{}, err
	}
	for i := range len(stem) {
		if stem[i] != '-' || Project(normalize(stem[:i])) != want {
			continue
		}
		v, err := version.Parse(stem[i+1:])
		if err != nil {
			return SdistName{}, fmt.Errorf("sdist filename %q: %w", filename, err)
		}
		return SdistName{Project: want, Version: v, Ext: ext}, nil
	}
	return SdistName{}, fmt.Errorf("sdist filename %q does not start with %q and a dash", filename, want)
}

func sdistStem(filename string, exts ...string) (stem, ext string, err error) {
	if err := plain(filename); err != nil {
		return "", "", fmt.Errorf("sdist filename %.300q: %w", filename, err)
	}
	for _, ext := range exts {
		if stem, ok := strings.CutSuffix(filename, ext); ok {
			return stem, ext, nil
		}
	}
	return "", "", fmt.Errorf("sdist filename %q ends with none of %s", filename, strings.Join(exts, ", "))
}

// plain refuses what no good filename of a distribution holds.
func plain(filename string) error {
	if len(filename) > 255 {
		return fmt.Errorf("it has %d bytes: no file system takes more than 255", len(filename))
	}
	for _, r := range filename {
		if r > 0x7f || !alphanumeric(byte(r)) && !strings.ContainsRune("._+!-", r) {
			return fmt.Errorf("it holds %q: only ASCII letters, digits and . _ + ! - are taken", r)
		}
	}
	return nil
}
