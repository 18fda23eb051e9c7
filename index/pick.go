package index

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"

	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver/names"
	"github.com/python-wheel-build/axle/resolver/source"
)

// pick chooses what a requirement means today: the newest version that it, the view's constraints and the target's Python admit.
// Yanked versions are never taken, prereleases only where the requirement names one.
func (s *site) pick(ctx context.Context, name names.Name, want dist.Requirement) (version.Version, error) {
	answers, err := s.Catalog.Page(ctx, name.View, want.Project)
	if errors.Is(err, fs.ErrNotExist) {
		return version.Version{}, &Problem{Type: typeNoSuchThing, Status: http.StatusNotFound, Title: "no such project",
			Detail: fmt.Sprintf("no index of view %s has %s", printable(name.Name), want.Project)}
	}
	if err != nil {
		return version.Version{}, err
	}
	python, err := version.Parse(name.View.Target.PythonFullVersion)
	if err != nil {
		return version.Version{}, fmt.Errorf("target of view %s: Python %q: %w", name.Name, name.View.Target.PythonFullVersion, err)
	}
	prereleases := want.Set.NamesPrerelease()
	nearest := ""
	for i := len(answers) - 1; i >= 0; i-- {
		v := answers[i].Source.Version
		why := whyNot(name, want, answers[i].Source, python, prereleases)
		if why == "" {
			return v, nil
		}
		if nearest == "" {
			nearest = fmt.Sprintf("; the newest is %s: %s", v, why)
		}
	}
	return version.Version{}, &Problem{Type: typeNoSuchThing, Status: http.StatusNotFound, Title: "no such version",
		Detail: printable(fmt.Sprintf("no version of %s fits %q%s", want.Project, want.String(), nearest))}
}

// whyNot says why a version is not taken, "" if it may be.
func whyNot(name names.Name, want dist.Requirement, s source.Source, python version.Version, prereleases bool) string {
	v := s.Version
	switch {
	case !want.Set.Contains(v, version.Allow):
		return "the requirement excludes it"
	case v.IsPrerelease() && !prereleases:
		return "it is a prerelease, and the requirement names none"
	case s.Yanked:
		return strings.TrimSuffix("it was yanked upstream: "+s.YankedReason, ": ")
	case !name.View.Admits(s.Project, v):
		return "the view's constraints exclude it"
	case s.RequiresPython != "":
		// One that nobody can read forbids nothing, as with pip and uv.
		if set, err := version.ParseSet(s.RequiresPython); err == nil && !set.Contains(python, version.Allow) {
			return fmt.Sprintf("it needs Python %s, and the view has %s", s.RequiresPython, python)
		}
	}
	return ""
}
