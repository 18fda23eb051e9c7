// Package view holds everything that a person decided about how wheels are built, as content: settings, patches, constraints,
// environment, target and the order of the indexes, in one canonical document that its SHA-256 names for ever.
//
// [config.Read] reads axle.yaml, [Publish] turns one of its views and the files it names into a [View], and [Load] gives that back
// from a store. What a person wrote differently but means the same (comments, key order, another variant's settings) gives the same
// digest.
package view

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"time"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver/view/config"
	"github.com/python-wheel-build/axle/resolver/view/plugins"
	"github.com/python-wheel-build/axle/resolver/view/sitehook"
)

// Digest names a view: "sha256:<64 hex digits>" of its document's bytes, which are a blob.
type Digest string

var digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// ParseDigest refuses what is not the digest of a view, as text from a URL may be.
func ParseDigest(s string) (Digest, error) {
	if !digestForm.MatchString(s) {
		return "", fmt.Errorf("%q is not a view's digest: want sha256: and 64 hexadecimal digits in lower case", s)
	}
	return Digest(s), nil
}

// ProjectPatch is a patch and what it is for.
type ProjectPatch struct {
	Project dist.Project `json:"project"`
	// Version is the zero value for a patch of all versions. A version's local part is ignored when matching, and 1.0 is 1.0.0.
	Version version.Version `json:"version,omitzero"`
	Patch
}

// View is one published view. It is never changed after Publish or Load; all methods may be called at the same time.
type View struct {
	// Variant is the name by which settings and patches were chosen; it has no other effect.
	Variant  string
	Projects map[dist.Project]ProjectSettings
	// Backends are config settings by module of the build-backend.
	Backends map[string]ConfigSettings
	// Patches of all projects; those of one project stand in the order in which they apply.
	Patches []ProjectPatch
	// Overrides are the override plugins of projects that have one.
	Overrides map[dist.Project]plugins.Override
	// Environment is the value of each component, as recipes have it.
	Environment map[string]string
	// SharePure are the components that pure wheels don't depend on, Depends the projects that say so for themselves, or depend on less.
	SharePure []string
	Depends   map[dist.Project]Depends
	Target    dist.Target
	// Indexes in the order in which they are asked.
	Indexes []config.Index
	// Private are globs of projects that no index is asked for.
	Private []string
	// WheelsOnly is config.Refuse or config.PreBuilt.
	WheelsOnly string
	// Sources are those of projects that come from no index, which is not asked for them.
	Sources map[dist.Project]GitSource
	// AsOf hides what indexes got later; zero hides nothing.
	AsOf time.Time
	// Origins are who may vouch for a wheel.
	Origins []string

	digest      Digest
	changes     int
	constraints []string
	admitted    map[dist.Project][]excluder
	patches     map[dist.Project][]ProjectPatch
	selectors   map[string]sitehook.Selector // of a hook's components, by their names
}

// Digest is the view's name.
func (v *View) Digest() Digest { return v.digest }

// Settings are those of one version, with everything merged. The maps are the view's own: don't write to them.
func (v *View) Settings(p dist.Project, ver version.Version) Settings {
	own := v.Projects[p]
	s := Settings{Env: own.Env, ConfigSettings: own.ConfigSettings, BuildDir: own.BuildDir, Override: own.Override, Extensions: own.Extensions}
	if len(own.Templates) > 0 {
		s.Env, s.Templates = maps.Clone(own.Env), map[string]string{}
		if s.Env == nil {
			s.Env = map[string]string{}
		}
		for name, template := range own.Templates {
			if e := fill(template, map[string]string{versionVariable: ver.String()}); e.template {
				s.Templates[name] = e.text
			} else {
				s.Env[name] = e.text
			}
		}
	}
	if len(own.ConfigSettings) == 0 {
		s.Backends = v.Backends
	} else {
		s.Backends = unset(v.Backends, own.ConfigSettings)
	}
	public := ver.WithoutLocal()
	for _, patch := range v.patches[p] {
		if patch.Version.IsZero() || patch.Version.Compare(public) == 0 {
			s.Patches = append(s.Patches, patch.Patch)
		}
	}
	return s
}

// unset gives the backends' config settings without the keys that a project sets itself.
func unset(backends map[string]ConfigSettings, own ConfigSettings) map[string]ConfigSettings {
	left := map[string]ConfigSettings{}
	for name, config := range backends {
		rest := maps.Clone(config)
		maps.DeleteFunc(rest, func(key string, _ any) bool { _, set := own[key]; return set })
		if len(rest) > 0 {
			left[name] = rest
		}
	}
	return left
}

// PreBuilt says that the project's wheels are taken from an index as they are.
func (v *View) PreBuilt(p dist.Project) bool { return v.Projects[p].PreBuilt }

// TakesOnlyWheels says that a version that an index has only as wheels is taken as it is.
func (v *View) TakesOnlyWheels() bool { return v.WheelsOnly == config.PreBuilt }

// Constraints are the ones that hold for the target, in normal form without markers, sorted: `project specifiers`, one per line of
// a pip constraints file.
func (v *View) Constraints() []string { return slices.Clone(v.constraints) }

// excluder is one of the constraints, and its line.
type excluder struct {
	line string
	set  version.Set
}

// Admits says whether every constraint on the project contains the version. A prerelease is judged by its number alone: that it is
// one is for whoever chooses versions to weigh, not for a constraint to forbid.
func (v *View) Admits(p dist.Project, ver version.Version) bool { return v.Excluding(p, ver) == "" }

// Excluding is the first of the Constraints that does not contain the version, "" where Admits.
func (v *View) Excluding(p dist.Project, ver version.Version) string {
	for _, c := range v.admitted[p] {
		if !c.set.Contains(ver, version.Allow) {
			return c.line
		}
	}
	return ""
}

// IsPrivate says that no index may be asked for the project.
func (v *View) IsPrivate(p dist.Project) bool {
	return slices.ContainsFunc(v.Private, func(glob string) bool {
		ok, _ := path.Match(glob, string(p)) // checked when published: no glob holds anything but names and *
		return ok
	})
}

// blob is the view's document as the store names it.
func (d Digest) blob() cas.Digest { return cas.Digest(d) }
