package view

import (
	"maps"
	"slices"

	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver/view/config"
)

// Depends says which components of the view's environment do not count for a project. Names are sorted, and those of components that there are.
type Depends struct {
	// Without are those that its recipe leaves out. Variables, paths and files among them are hidden from its builds.
	Without []string `json:"without,omitempty"`
	// SharePure are those that its pure wheels don't depend on; nil is what the view says.
	SharePure []string `json:"share_pure,omitzero"`
}

// dependsOf keeps what makes a difference in an environment of these components.
func dependsOf(c config.Environment, environment map[string]string) (sharePure []string, projects map[dist.Project]Depends) {
	there := func(names []string) []string {
		kept := []string{}
		for _, name := range names {
			if _, ok := environment[name]; ok {
				kept = append(kept, name)
			}
		}
		slices.Sort(kept)
		return slices.Compact(kept)
	}
	sharePure = there(c.SharePure)
	for p, said := range c.Projects {
		d := Depends{Without: there(said.Without)}
		if said.SharePure != nil {
			if own := there(said.SharePure); !slices.Equal(own, sharePure) {
				d.SharePure = own
			}
		}
		if len(d.Without) == 0 && d.SharePure == nil {
			continue
		}
		if projects == nil {
			projects = map[dist.Project]Depends{}
		}
		projects[p] = d
	}
	return sharePure, projects
}

// EnvironmentOf is the components that a version depends on: without what its project does not depend on, and of a hook's with those that
// are meant for it. The map may be the view's own: don't write to it.
func (v *View) EnvironmentOf(p dist.Project, ver version.Version) map[string]string {
	without := v.Depends[p].Without
	if len(without) == 0 && len(v.selectors) == 0 {
		return v.Environment
	}
	own := maps.Clone(v.Environment)
	for _, name := range without {
		delete(own, name)
	}
	for name, s := range v.selectors {
		if !s.Fits(p, ver) {
			delete(own, name)
		}
	}
	return own
}

// SharedWithout is the components that a pure wheel of the project doesn't depend on, as somebody declared; empty where nobody did.
func (v *View) SharedWithout(p dist.Project) []string {
	if own := v.Depends[p].SharePure; own != nil {
		return own
	}
	return v.SharePure
}
