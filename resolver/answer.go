package resolver

import (
	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/resolver/source"
)

// Answer is what a view holds for one version: a hit (Record set), or a miss and the reason.
type Answer struct {
	Source source.Source
	// Recipe is nil while the source's digest is unknown.
	Recipe *Recipe
	// Record is the hit.
	Record *Record
	// Why says in words why this is a miss.
	Why string
	// Wanting are the requirements, at their recorded versions, for want of which alone the oldest record is not valid: the view
	// has built nothing of them yet.
	Wanting []Pin
	// Candidates are, of a miss or of Examine, the records of the recipe that are no hit, oldest first, with what speaks against each.
	Candidates []Candidate
}

// Candidate is a record of the view's recipe that is no hit.
type Candidate struct {
	Record Record
	Flaw   Flaw
}

// Flaw says why a record of the view's own recipe is no hit.
type Flaw struct {
	// Cause is CauseConstraint, CauseRevoked, CauseRequirement or CauseBytes: the first of these that holds.
	Cause Cause
	// Why says it in words.
	Why string
	// Requirements are those of the record that are excluded, that are revoked, or whose wheel is not that of a valid record.
	Requirements []Requirement
	// Bytes are what is revoked, missing or damaged.
	Bytes cas.Digest

	wanting []Pin
}

// Cause is what kind of difference makes a version a miss: one vocabulary for answers, counters and logs. CauseEnvironment stands before
// the name of a component: "environment:system".
type Cause string

// The causes, in the order in which the first one that holds is the primary one. The first seven are differences between the
// recipe of today and that of the nearest record, the next four are what speaks against a record of today's recipe.
const (
	CauseSource      Cause = "source"
	CausePatches     Cause = "patches"
	CauseSettings    Cause = "settings"
	CauseOverrides   Cause = "overrides"
	CauseEnvironment Cause = "environment:"
	CauseTarget      Cause = "target"
	CauseBuilder     Cause = "builder"
	CauseConstraint  Cause = "constraint"  // excludes what the record was built with
	CauseRevoked     Cause = "revoked"     // something in the record
	CauseRequirement Cause = "requirement" // of the record is another wheel today, or a miss
	CauseBytes       Cause = "bytes"       // missing or damaged
	CauseNeverBuilt  Cause = "never-built" // no record of this version at all
)
