package resolver

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver/view"
)

// InputDigest names everything that went into one wheel: its recipe and every wheel of every environment that ran for it.
type InputDigest string

func (d InputDigest) hex() string { return strings.TrimPrefix(string(d), "sha256:") }

// Pin is one version of one project.
type Pin struct {
	Project dist.Project    `json:"project"`
	Version version.Version `json:"version"`
}

func (p Pin) String() string { return string(p.Project) + "==" + p.Version.String() }

// Requirement is one wheel that a build's environment held.
type Requirement struct {
	Project dist.Project    `json:"project"`
	Version version.Version `json:"version"`
	Wheel   cas.Digest      `json:"wheel"`
}

func (r Requirement) pin() Pin { return Pin{r.Project, r.Version} }

// Record says that a recipe together with these requirements gave this wheel. It is created once and never changed.
type Record struct {
	Project dist.Project    `json:"project"`
	Version version.Version `json:"version"`
	Recipe  RecipeDigest    `json:"recipe"`
	// RecipeBlob is where Recipe's document is kept: a recipe's digest is not that of its bytes.
	RecipeBlob   cas.Digest    `json:"recipe_blob,omitempty"`
	Requirements []Requirement `json:"requirements"`
	Wheel        cas.Digest    `json:"wheel"`
	// Bytes is the wheel's size, in decimal: documents hold no numbers.
	Bytes string `json:"size"`
	// Filename is the name that the wheel was built or pushed under.
	Filename       string     `json:"filename"`
	Metadata       cas.Digest `json:"metadata"`
	RequiresPython string     `json:"requires_python,omitempty"`
	// Log is the build's log, zstd; absent for a pre-built wheel.
	Log cas.Digest `json:"log,omitempty"`
	// Locks are the Cargo.lock files that had to be made for the build, by path below the source, none where the source has its own; and, as
	// PATH.features, crates that were used beside the lock at PATH.
	Locks map[string]cas.Digest `json:"locks,omitempty"`
	// Seconds is how long the job's steps ran in the sandbox, in decimal; absent for a pre-built wheel.
	Seconds string    `json:"seconds,omitempty"`
	Who     string    `json:"who"`
	When    time.Time `json:"when"`
}

// Size is the wheel's length in bytes.
func (r Record) Size() int64 {
	n, _ := strconv.ParseInt(r.Bytes, 10, 64)
	return n
}

// Input is the digest the record is filed under: the recipe and the sorted requirements.
func (r Record) Input() InputDigest { return inputDigest(r.Recipe, r.Requirements) }

// Listed is the name a page gives the wheel: its build tag carries the wheel's digest, so that one name is one content for ever, behind
// the number of changes that the view's changelog has (view.Changes). Its version is spelled as the source's, by which the record is
// found, where the wheel's is another spelling of it (1.0.0 for 1.0).
func (r Record) Listed(changes int) string {
	name, err := dist.ParseWheelName(r.Filename)
	if err != nil {
		return r.Filename // Publish parsed it
	}
	build := fmt.Sprintf("%d_%s", changes, r.Wheel.Encoded()[:12])
	if name.Version.String() != r.Version.String() {
		return dist.FormatWheelName(r.Project, r.Version, build, name.TagSet())
	}
	return name.With(build)
}

func inputDigest(recipe RecipeDigest, requirements []Requirement) InputDigest {
	h := sha256.New()
	fmt.Fprintf(h, "axle/input/v1\n%s\n", recipe)
	for _, r := range sortRequirements(requirements) {
		fmt.Fprintf(h, "%s %s %s\n", r.Project, r.Version, r.Wheel)
	}
	return InputDigest("sha256:" + hex.EncodeToString(h.Sum(nil)))
}

// sortRequirements gives the one order that digests and documents use, each requirement once.
func sortRequirements(rs []Requirement) []Requirement {
	rs = append([]Requirement{}, rs...) // never nil: documents tell an empty list from none
	slices.SortFunc(rs, func(a, b Requirement) int {
		return cmp.Or(cmp.Compare(a.Project, b.Project), a.Version.Compare(b.Version), cmp.Compare(a.Version.String(), b.Version.String()), cmp.Compare(a.Wheel, b.Wheel))
	})
	return slices.CompactFunc(rs, func(a, b Requirement) bool {
		return a.Project == b.Project && a.Version.String() == b.Version.String() && a.Wheel == b.Wheel
	})
}

// Failure is a build that was tried and gave no wheel.
type Failure struct {
	Project dist.Project    `json:"project"`
	Version version.Version `json:"version"`
	Recipe  RecipeDigest    `json:"recipe"`
	View    view.Digest     `json:"view"`
	// Stage is "metadata" or "wheel".
	Stage string `json:"stage"`
	// Resolved says that Requirements are the whole environment of the failing step, so that trying again would do the same.
	Resolved     bool          `json:"resolved"`
	Requirements []Requirement `json:"requirements,omitempty"`
	// Class is "build" (the inputs' fault, remembered) or "infrastructure" (a limit, the machine; never remembered).
	Class string `json:"class"`
	Title string `json:"title"`
	// Tail is the last lines of the log.
	Tail string     `json:"tail,omitempty"`
	Log  cas.Digest `json:"log,omitempty"`
	Who  string     `json:"who"`
	When time.Time  `json:"when"`
}

// Input is the digest of what failed, comparable with a record's where Resolved.
func (f Failure) Input() InputDigest { return inputDigest(f.Recipe, f.Requirements) }

// Promised is the core metadata that a promise was given with.
type Promised struct {
	// How is "static" (the sdist's PKG-INFO), "upstream" (the upstream wheel's), "prepared" (the hook) or "built".
	How string `json:"how"`
	// Blob is the METADATA file.
	Blob cas.Digest `json:"blob"`
}
