// Package pick chooses what a requirement means today.
package pick

import (
	"errors"
	"fmt"
	"strings"

	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/source"
	"github.com/python-wheel-build/axle/resolver/view"
)

// ErrNone says that no version fits; the error says what speaks against the newest.
var ErrNone = errors.New("no version")

// Version is the newest of a page's versions (oldest first) that the requirement, the view's constraints and the target's Python admit.
// Yanked versions are never taken, prereleases only where the requirement names one.
func Version(v *view.View, want dist.Requirement, page []resolver.Answer) (version.Version, error) {
	python, err := version.Parse(v.Target.PythonFullVersion)
	if err != nil {
		return version.Version{}, fmt.Errorf("target of view %s: Python %q: %w", v.Digest(), v.Target.PythonFullVersion, err)
	}
	prereleases := want.Set.NamesPrerelease()
	nearest := ""
	for i := len(page) - 1; i >= 0; i-- {
		why := whyNot(v, want, page[i].Source, python, prereleases)
		if why == "" {
			return page[i].Source.Version, nil
		}
		if nearest == "" {
			nearest = fmt.Sprintf("; the newest is %s: %s", page[i].Source.Version, why)
		}
	}
	return version.Version{}, fmt.Errorf("%w of %s fits %q%s", ErrNone, want.Project, want.String(), nearest)
}

// whyNot says why a version is not taken, "" if it may be.
func whyNot(in *view.View, want dist.Requirement, s source.Source, python version.Version, prereleases bool) string {
	v := s.Version
	switch {
	case !want.Set.Contains(v, version.Allow):
		return "the requirement excludes it"
	case v.IsPrerelease() && !prereleases:
		return "it is a prerelease, and the requirement names none"
	case s.Yanked:
		return strings.TrimSuffix("it was yanked upstream: "+s.YankedReason, ": ")
	case !in.Admits(s.Project, v):
		return "the view's constraints exclude it"
	case s.RequiresPython != "":
		// One that nobody can read forbids nothing, as with pip and uv.
		if set, err := version.ParseSet(s.RequiresPython); err == nil && !set.Contains(python, version.Allow) {
			return fmt.Sprintf("it needs Python %s, and the view has %s", s.RequiresPython, python)
		}
	}
	return ""
}
