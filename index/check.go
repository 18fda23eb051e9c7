package index

import (
	"errors"
	"net/http"

	"github.com/python-wheel-build/axle/index/checks"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver"
)

// checkLog gives the URL of a check's log, as this client sees it.
func checkLog(r *http.Request) func(resolver.Check) string {
	return func(k resolver.Check) string {
		return absolute(r) + "api/v1/" + logPath("logs", resolver.Failure{Project: k.Project, Version: k.Version, Log: k.Log})
	}
}

// checks lists what is known of a version's builds being repeated, the newest first. A version that nobody checked has an empty list.
func (s *site) checks(w http.ResponseWriter, r *http.Request, param func(string) string) error {
	p, err := dist.ParseProject(param("project"))
	v, bad := version.Parse(param("version"))
	if err := errors.Join(err, bad); err != nil {
		return &Problem{Type: typeNoSuchThing, Status: http.StatusNotFound, Title: "no such version", Detail: printable(err.Error())}
	}
	all, err := s.Catalog.Checks(r.Context(), p, v)
	if err != nil {
		return err
	}
	body, err := checks.List(all, checkLog(r))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(append(body, '\n')) // a client that is gone needs no answer
	return nil
}
