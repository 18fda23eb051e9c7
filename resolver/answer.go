package resolver

import "github.com/python-wheel-build/axle/resolver/source"

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
}
