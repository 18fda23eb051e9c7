package index

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"

	"github.com/python-wheel-build/axle/index/live"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/names"
	"github.com/python-wheel-build/axle/resolver/view"
)

// maxFollowers bounds who follows logs at once: each holds a connection and what he has not read yet.
const maxFollowers = 64

// underWay lists what this process works on.
func (s *site) underWay(w http.ResponseWriter, r *http.Request, _ func(string) string) error {
	return answerJSON(w, map[string]any{"builds": live.List(s.Builder.Flights(), s.now(), absolute(r))})
}

// follow tells what happens in a build while it happens. ?view= and ?stage= choose among several of one version.
func (s *site) follow(w http.ResponseWriter, r *http.Request, param func(string) string) error {
	p, err := dist.ParseProject(param("project"))
	v, bad := version.Parse(param("version"))
	if err := cmp.Or(err, bad); err != nil {
		return &Problem{Status: http.StatusNotFound, Type: typeNoSuchThing, Title: "no such build", Detail: printable(err.Error())}
	}
	query := r.URL.Query()
	name, err := s.view(r.Context(), func(string) string { return cmp.Or(query.Get("view"), "default") })
	if err != nil {
		return err
	}
	var in view.Digest
	if query.Get("view") != "" {
		in = name.View.Digest()
	}
	f, ok := live.Find(s.Builder.Flights(), p, v, in, query.Get("stage"))
	if !ok {
		return s.notUnderWay(r, name, p, v, cmp.Or(query.Get("stage"), "wheel"))
	}
	defer s.followers.Add(-1)
	if s.followers.Add(1) > maxFollowers {
		return &Problem{Status: http.StatusServiceUnavailable, Title: "too many follow logs", Detail: fmt.Sprintf("%d do; come again when one has left", maxFollowers), retryAfter: 10}
	}
	live.Follow(w, r, s.Builder, f.ID, func(e resolver.Event) any { return eventLine(e) }, func(err error) any {
		if errors.Is(err, context.Canceled) {
			return nil // the server stops, and that says nothing about the build
		}
		line := s.outcome(r, f.View, p, v, f.Stage, err)
		line.Kind, line.Time, line.Project, line.Version = "end", s.now().UTC(), string(p), v.String()
		return line
	})
	return nil
}

// outcome is how a flight ended. Its Text is "built", "failed" or, where a stage other than the wheel's went well, "done".
func (s *site) outcome(r *http.Request, in view.Digest, p dist.Project, v version.Version, stage string, err error) BuildLine {
	var line BuildLine
	if err == nil || errors.Is(err, fs.ErrNotExist) { // ended before anybody could follow it
		name, got := s.Names.Get(r.Context(), "@"+string(in))
		if got == nil {
			line, got = s.known(r, name, p, v, stage)
		}
		err = got
	}
	if err != nil {
		line = s.problemLine(r, err)
	}
	line.Text = "done"
	if line.Problem != "" {
		line.Text = "failed"
	} else if line.SHA256 != "" {
		line.Text = "built"
	}
	return line
}

// known is what the store knows of a version's build: its wheel, or its failure, or nothing.
func (s *site) known(r *http.Request, name names.Name, p dist.Project, v version.Version, stage string) (BuildLine, error) {
	a, err := s.Catalog.Lookup(r.Context(), name.View, p, v)
	switch {
	case err != nil || a.Recipe == nil:
		return BuildLine{}, err
	case a.Record != nil && stage == "wheel":
		return s.recordLine(r, name.View, *a.Record), nil
	}
	recipe, err := a.Recipe.Digest()
	if err != nil {
		return BuildLine{}, err
	}
	failure, err := s.Catalog.FailedIn(r.Context(), name.View.Digest(), recipe, stage)
	if err != nil || failure == nil {
		return BuildLine{}, err
	}
	return s.problemLine(r, &resolver.FailedError{Failure: *failure}), nil
}

// notUnderWay says where what is left of a build lies.
func (s *site) notUnderWay(r *http.Request, name names.Name, p dist.Project, v version.Version, stage string) error {
	line, err := s.known(r, name, p, v, stage)
	if err != nil {
		return err
	}
	what := "nothing is known of an earlier one in view " + printable(name.Name)
	switch {
	case line.Log != "":
		what = "the log of the last one is kept at " + line.Log
	case line.URL != "":
		what = "its wheel is there, and was taken as it is: " + line.URL
	case line.Problem != "":
		what = line.Problem
	}
	return &Problem{Type: typeNoSuchThing, Status: http.StatusNotFound, Title: "no such build is under way",
		Detail: fmt.Sprintf("%s %s is not being built now; %s", p, v, what), Log: line.Log}
}
