package resolver

import (
	"time"

	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver/view"
)

// Flight is one piece of work under way in this process, as an onlooker sees it.
type Flight struct {
	// ID is its own: no other flight of this or another process has or had it.
	ID      string
	Project dist.Project
	Version version.Version
	// View is the one that the flight was begun for; askers of other views whose recipe is the same wait for it too.
	View view.Digest
	// Stage is "metadata", "wheel" or "check".
	Stage string
	Since time.Time
	// Doing is the newest event of its own job that is no log; the zero Event at first.
	Doing Event
	// Expected is how long its steps in the sandbox took the last time; 0 where nobody knows.
	Expected time.Duration
	// WaitsFor names the flights that it waits for.
	WaitsFor []string
}
