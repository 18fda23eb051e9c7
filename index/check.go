package index

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver"
)

// Check is how a record's second build is told: in a result of POST /api/v1/builds, and in the list of GET /api/v1/checks/<project>/<version>.
type Check struct {
	// Outcome is "identical", "different", "failed" (the second build gave no wheel) or "skipped" (taken pre-built, nothing was built).
	Outcome string `json:"outcome"`
	// Reproducible is false for "different" and "failed".
	Reproducible bool   `json:"reproducible"`
	SHA256       string `json:"sha256"`          // hex, of the record's wheel
	Other        string `json:"other,omitempty"` // hex, of the second build's wheel; it is in the store and never served
	// Differences are printable lines: how the wheels differ, file by file, or why there is no second one.
	Differences []string  `json:"differences,omitempty"`
	Recipe      string    `json:"recipe"`        // with its algorithm, like the next one
	Input       string    `json:"input"`         // what was built: the recipe and its requirements' wheels
	Log         string    `json:"log,omitempty"` // absolute URL of the second build's log
	Who         string    `json:"who,omitempty"`
	When        time.Time `json:"when,omitzero"`
}

func told(r *http.Request, k resolver.Check) *Check {
	c := &Check{Outcome: k.Outcome, Reproducible: k.Reproducible(), SHA256: k.Wheel.Encoded(), Recipe: string(k.Recipe), Input: string(k.Input), Who: k.Who, When: k.When}
	if k.Other != "" {
		c.Other = k.Other.Encoded()
	}
	for _, d := range k.Differences {
		c.Differences = append(c.Differences, printable(d))
	}
	if k.Log != "" {
		c.Log = absolute(r) + "api/v1/" + logPath("logs", resolver.Failure{Project: k.Project, Version: k.Version, Log: k.Log})
	}
	return c
}

// checks lists what is known of a version's builds being repeated, the newest first. A version that nobody checked has an empty list.
func (s *site) checks(w http.ResponseWriter, r *http.Request, param func(string) string) error {
	p, err := dist.ParseProject(param("project"))
	if err != nil {
		return &Problem{Type: typeNoSuchThing, Status: http.StatusNotFound, Title: "no such project", Detail: printable(err.Error())}
	}
	v, err := version.Parse(param("version"))
	if err != nil {
		return &Problem{Type: typeNoSuchThing, Status: http.StatusNotFound, Title: "no such version", Detail: printable(err.Error())}
	}
	all, err := s.Catalog.Checks(r.Context(), p, v)
	if err != nil {
		return err
	}
	out := struct {
		Checks []*Check `json:"checks"`
	}{[]*Check{}}
	for _, k := range all {
		out.Checks = append(out.Checks, told(r, k))
	}
	body, err := json.Marshal(out)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(append(body, '\n')) // a client that is gone needs no answer
	return nil
}
