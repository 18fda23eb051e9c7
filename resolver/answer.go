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
	// Share is, of a hit, the recipe under which Catalog.Share would file it for other environments; nil where it is not to be, or is already.
	Share *Recipe
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
