// Package checks says as JSON what building a wheel's inputs once more gave.
package checks

import (
	"encoding/json"
	"time"

	"github.com/python-wheel-build/axle/resolver"
)

// Check stands in a result of POST /api/v1/builds and in the list of GET /api/v1/checks/<project>/<version>.
type Check struct {
	// Outcome is "identical", "different", "failed" (the second build gave no wheel) or "skipped" (taken pre-built, nothing was built).
	Outcome string `json:"outcome"`
	// Reproducible is false for "different" and "failed".
	Reproducible bool   `json:"reproducible"`
	SHA256       string `json:"sha256"`          // hex, of the record's wheel
	Other        string `json:"other,omitempty"` // hex, of the second build's wheel; it is in the store and never served
	// Differences are lines: how the wheels differ, file by file, printable; or why there is no second one, which may be what a build
	// printed, control characters and all.
	Differences []string  `json:"differences,omitempty"`
	Recipe      string    `json:"recipe"`        // with its algorithm, like the next one
	Input       string    `json:"input"`         // what was built: the recipe and its requirements' wheels
	Log         string    `json:"log,omitempty"` // URL of the second build's log
	Who         string    `json:"who,omitempty"`
	When        time.Time `json:"when,omitzero"`
}

// Of tells of one; log gives the URL of its log.
func Of(k resolver.Check, log func(resolver.Check) string) *Check {
	c := &Check{Outcome: k.Outcome, Reproducible: k.Reproducible(), SHA256: k.Wheel.Encoded(), Differences: k.Differences,
		Recipe: string(k.Recipe), Input: string(k.Input), Who: k.Who, When: k.When}
	if k.Other != "" {
		c.Other = k.Other.Encoded()
	}
	if k.Log != "" {
		c.Log = log(k)
	}
	return c
}

// List is the body of the list, {"checks": […]}, in the order given.
func List(all []resolver.Check, log func(resolver.Check) string) ([]byte, error) {
	out := struct {
		Checks []*Check `json:"checks"`
	}{[]*Check{}}
	for _, k := range all {
		out.Checks = append(out.Checks, Of(k, log))
	}
	return json.Marshal(out)
}
