// Package why says as JSON, and as text for a terminal, why a version is a hit or a miss.
package why

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/explain"
)

// Answer is the body of GET /api/v1/explain/<project>/<version>. Texts are as they are kept: some are strangers', control characters and
// all. Digests of recipes, inputs and views have their algorithm, those named sha256 are hex.
type Answer struct {
	Project string `json:"project"`
	Version string `json:"version"`
	View    string `json:"view"`
	// Verdict is "hit" or "miss".
	Verdict string `json:"verdict"`
	// Recipe is absent where the source's digest is unknown, and so is Inputs, its document.
	Recipe string          `json:"recipe,omitempty"`
	Inputs json.RawMessage `json:"inputs,omitempty"`
	Source Source          `json:"source"`
	Hit    *Record         `json:"hit,omitempty"`
	// Twins are, of a hit, records of other environments with the same wheel.
	Twins []Twin `json:"twins,omitempty"`
	*Miss
	Against *Against `json:"against,omitempty"`
}

// Source is where the source comes from; its digest stands in the recipe.
type Source struct {
	Kind     string `json:"kind"`
	Index    string `json:"index,omitempty"`
	Filename string `json:"filename,omitempty"`
}

// Record is a wheel and what it was made of.
type Record struct {
	Recipe       string        `json:"recipe"`
	Input        string        `json:"input"`
	Filename     string        `json:"filename"` // as built
	SHA256       string        `json:"sha256"`
	Size         int64         `json:"size"`
	URL          string        `json:"url,omitempty"` // of a hit, absolute
	Log          string        `json:"log,omitempty"` // URL; none of a wheel taken pre-built
	Seconds      string        `json:"seconds,omitempty"`
	Who          string        `json:"who"`
	When         time.Time     `json:"when"`
	Requirements []Requirement `json:"requirements"`
}

// Requirement is a wheel of a build environment.
type Requirement struct {
	Project string `json:"project"`
	Version string `json:"version"`
	SHA256  string `json:"sha256"`
}

// Twin is a record of another environment: declared irrelevant, these components would have the wheel shared.
type Twin struct {
	Recipe     string    `json:"recipe"`
	Components []string  `json:"components"`
	When       time.Time `json:"when"`
}

// Miss says why there is no hit.
type Miss struct {
	Cause string `json:"cause"`
	Why   string `json:"why"`
	// Nearest is the record that differs least from what the view gives today; Changes lead from its recipe to today's. With none it is
	// a record of today's recipe, and the cause what speaks against it.
	Nearest *Record  `json:"nearest,omitempty"`
	Changes []Change `json:"changes,omitempty"`
	// Excluded are the requirements that a constraint or a revocation is about.
	Excluded []Requirement `json:"excluded,omitempty"`
	Reason   string        `json:"reason,omitempty"` // of a revocation
	Needs    []Need        `json:"needs,omitempty"`
	Versions []string      `json:"versions,omitempty"` // of the project that have records, where this one has none
}

// Change is one difference between two recipes: How is "added", "removed", "edited", "renamed" or "reordered".
type Change struct {
	Path  string   `json:"path"`
	Cause string   `json:"cause"`
	How   string   `json:"how"`
	Was   string   `json:"was,omitempty"`
	Is    string   `json:"is,omitempty"`
	Lines []string `json:"lines,omitempty"`
}

// Need is a requirement of the nearest record whose wheel is not that of a valid record, and why; Cause is absent where it was said before.
type Need struct {
	Requirement
	Today string `json:"today,omitempty"` // hex: the wheel that the view holds instead
	*Miss
}

// Against is the same version in another view.
type Against struct {
	View    string  `json:"view"`
	Verdict string  `json:"verdict"`
	Recipe  string  `json:"recipe,omitempty"`
	Hit     *Record `json:"hit,omitempty"`
	*Miss
	// Differs leads from the other view's recipe to this one's.
	Differs []Change `json:"differs"`
}

func (a Ask) answer(e explain.Explanation) (*Answer, error) {
	out := &Answer{Project: string(e.Source.Project), Version: e.Source.Version.String(), View: string(e.View), Recipe: string(e.Digest),
		Source: Source{e.Source.How.Kind, e.Source.How.Index, e.Source.How.Filename}}
	if e.Recipe != nil {
		var err error
		if out.Inputs, err = e.Recipe.Canonical(); err != nil {
			return nil, err
		}
	}
	out.Verdict, out.Hit, out.Miss = a.verdict(e)
	if e.Hit != nil {
		out.Hit.URL = a.File(e.Hit.Record)
		for _, t := range e.Hit.Twins {
			out.Twins = append(out.Twins, Twin{string(t.Record.Recipe), t.Components, t.Record.When})
		}
	}
	return out, nil
}

func (a Ask) verdict(e explain.Explanation) (string, *Record, *Miss) {
	if e.Hit == nil {
		return "miss", nil, a.miss(e.Miss)
	}
	return "hit", a.record(e.Hit.Record), nil
}

func (a Ask) miss(m *explain.Miss) *Miss {
	if m == nil {
		return nil
	}
	out := &Miss{Cause: string(m.Cause), Why: m.Why, Reason: m.Reason, Changes: changes(m.Changes)}
	if m.Nearest != nil {
		out.Nearest = a.record(*m.Nearest)
	}
	if m.Flaw != nil && m.Cause != resolver.CauseRequirement {
		for _, q := range m.Flaw.Requirements {
			out.Excluded = append(out.Excluded, requirement(q))
		}
	}
	for _, n := range m.Needs {
		need := Need{Requirement: requirement(n.Requirement), Miss: a.miss(n.Miss)}
		if n.Today != "" {
			need.Today = n.Today.Encoded()
		}
		out.Needs = append(out.Needs, need)
	}
	for _, v := range m.Versions {
		out.Versions = append(out.Versions, v.String())
	}
	return out
}

func changes(all []explain.Change) []Change {
	out := make([]Change, len(all))
	for i, c := range all {
		out[i] = Change{c.Path, string(c.Cause), c.How, c.Was, c.Is, c.Lines}
	}
	return out
}

func (a Ask) record(r resolver.Record) *Record {
	out := &Record{Recipe: string(r.Recipe), Input: string(r.Input()), Filename: r.Filename, SHA256: r.Wheel.Encoded(), Size: r.Size(),
		Seconds: r.Seconds, Who: r.Who, When: r.When, Requirements: []Requirement{}}
	if r.Log != "" {
		out.Log = a.Log(r)
	}
	for _, q := range r.Requirements {
		out.Requirements = append(out.Requirements, requirement(q))
	}
	return out
}

func requirement(q resolver.Requirement) Requirement {
	return Requirement{string(q.Project), q.Version.String(), q.Wheel.Encoded()}
}

// Key is the body of GET /api/v1/key/<project>/<version>.
type Key struct {
	Project string `json:"project"`
	Version string `json:"version"`
	View    string `json:"view"`
	Recipe  string `json:"recipe"`
	Input   string `json:"input,omitempty"` // of the hit
}

// Dependents is the body of GET /api/v1/dependents/<project>.
type Dependents struct {
	Of         string      `json:"of"` // the project, and which versions
	View       string      `json:"view"`
	Dependents []Dependent `json:"dependents"`
}

// Dependent is a valid record of the view that was built with what was asked for.
type Dependent struct {
	Project string `json:"project"`
	Version string `json:"version"`
	SHA256  string `json:"sha256"`
	Input   string `json:"input"`
	// Direct says that what was asked for was itself in a build environment.
	Direct bool `json:"direct"`
	// With are the requirements by which it depends.
	With []Requirement `json:"with"`
	When time.Time     `json:"when"`
}

// short is a digest for people.
func short(digest string) string {
	_, hex, ok := strings.Cut(digest, ":")
	if !ok {
		hex = digest
	}
	return hex[:min(len(hex), 12)]
}
