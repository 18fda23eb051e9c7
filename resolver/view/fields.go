package view

import (
	"cmp"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver/view/pyyaml"
)

// Override changes the build requirements that a source declares (fromager's project_override).
type Override struct {
	// Update are requirements that take the place of those of the same projects.
	Update []string `json:"update_build_requires,omitempty"`
	// Remove are projects that are not required.
	Remove []dist.Project `json:"remove_build_requires,omitempty"`
}

// Apply gives the requirements that hold in place of reqs, sorted: setuptools is always one of them, as fromager has it, unless it is removed.
// A nil Override changes nothing.
func (o *Override) Apply(reqs []dist.Requirement) ([]dist.Requirement, error) {
	if o == nil {
		return reqs, nil
	}
	setuptools, err := dist.ParseRequirement("setuptools")
	if err != nil {
		return nil, err
	}
	out := append([]dist.Requirement{setuptools}, reqs...)
	var updates []dist.Requirement
	for _, text := range o.Update {
		r, err := dist.ParseRequirement(text)
		if err != nil {
			return nil, err
		}
		updates = append(updates, r)
	}
	out = slices.DeleteFunc(out, func(r dist.Requirement) bool {
		return slices.Contains(o.Remove, r.Project) || slices.ContainsFunc(updates, func(u dist.Requirement) bool { return u.Project == r.Project })
	})
	out = append(out, updates...)
	slices.SortFunc(out, func(a, b dist.Requirement) int { return cmp.Compare(a.String(), b.String()) })
	return slices.CompactFunc(out, func(a, b dist.Requirement) bool { return a.String() == b.String() }), nil
}

// without reads what fromager does something with that no wheel of Axle's builder can show: it must be a mapping, or nothing.
func without(f pyyaml.File, what string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if n.Kind != yaml.MappingNode && pyyaml.KindOf(n) != pyyaml.Null {
			return f.Errorf(n, "%s must be a mapping (key: value)", what)
		}
		return nil
	}
}

// readers are the keys a project has outside of its variants.
//
// Some say how fromager chooses versions, spreads work or documents a wheel. They have no effect on the bytes that a build gives, are checked
// in shape, and are no inputs: annotations, build_options, changelog (but for the number in the wheel's listed name), purl, resolver_dist; git_options and download_source
// choose a source, whose digest is the input. What would change where a source comes from and can't be honoured is refused rather than ignored.
func (s *ProjectSettings) readers(f pyyaml.File) map[string]func(*yaml.Node) error {
	return map[string]func(*yaml.Node) error{
		"env": func(n *yaml.Node) (err error) {
			s.vars, err = environment(f, n)
			return err
		},
		"config_settings": func(n *yaml.Node) (err error) {
			s.ConfigSettings, err = configSettings(f, n)
			return err
		},
		"build_dir": func(n *yaml.Node) (err error) {
			s.BuildDir, err = buildDir(f, n)
			return err
		},
		"extensions": func(n *yaml.Node) (err error) {
			if s.Extensions, err = f.Text(n, "extensions"); err == nil && s.Extensions != Optional {
				err = f.Errorf(n, "extensions: %q is not known; the one value is %q, and without the key they are required", s.Extensions, Optional)
			}
			return err
		},
		"project_override": func(n *yaml.Node) (err error) {
			s.Override, err = override(f, n)
			return err
		},
		"changelog": func(n *yaml.Node) (err error) {
			s.Changes, err = changes(f, n)
			return err
		},
		"annotations":   annotations(f),
		"build_options": shape(f, "build_options", "build_ext_parallel", "cpu_cores_per_job", "memory_per_job_gb", "exclusive_build"),
		"git_options": func(n *yaml.Node) (err error) {
			s.submodules, err = gitOptions(f, n)
			return err
		},
		"purl": without(f, "purl"),
		"resolver_dist": func(n *yaml.Node) error {
			return refusing(f, n, "resolver_dist", []string{"include_sdists", "include_wheels", "ignore_platform", "use_pypi_org_metadata", "min_release_age"},
				"sdist_server_url", "list that index under `upstream` of the view")
		},
		"download_source": func(n *yaml.Node) (err error) {
			s.Download, err = download(f, n)
			return err
		},
	}
}

// variantReaders are the keys of one variant.
func (s *ProjectSettings) variantReaders(f pyyaml.File, own bool) map[string]func(*yaml.Node) error {
	return map[string]func(*yaml.Node) error{
		"env": func(n *yaml.Node) (err error) {
			s.vars, err = environment(f, n)
			return err
		},
		"pre_built": func(n *yaml.Node) (err error) {
			s.PreBuilt, err = f.Flag(n, "pre_built")
			return err
		},
		"annotations": annotations(f),
		"wheel_server_url": func(n *yaml.Node) error {
			if !own || pyyaml.KindOf(n) == pyyaml.Null {
				return nil
			}
			return f.Errorf(n, "wheel_server_url is not supported: list that index under `upstream` of the view")
		},
	}
}

// shape reads a mapping whose keys are known and whose values have no effect.
func shape(f pyyaml.File, what string, keys ...string) func(*yaml.Node) error {
	known := map[string]func(*yaml.Node) error{}
	for _, key := range keys {
		known[key] = func(*yaml.Node) error { return nil }
	}
	return func(n *yaml.Node) error {
		if pyyaml.KindOf(n) == pyyaml.Null {
			return nil
		}
		return f.Fields(n, what, known)
	}
}

// refusing is shape with one key that must not say anything.
func refusing(f pyyaml.File, n *yaml.Node, what string, keys []string, refused, instead string) error {
	if n.Kind == yaml.MappingNode {
		for i := 0; i < len(n.Content); i += 2 {
			if n.Content[i].Value == refused && pyyaml.KindOf(n.Content[i+1]) != pyyaml.Null {
				return f.Errorf(n.Content[i], "%s: %s is not supported: %s", what, refused, instead)
			}
		}
	}
	return shape(f, what, append(keys, refused)...)(n)
}

func annotations(f pyyaml.File) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if pyyaml.KindOf(n) == pyyaml.Null {
			return nil
		}
		return f.Each(n, "annotations", func(key, value *yaml.Node) error {
			_, err := f.Text(value, "annotations: "+key.Value)
			return err
		})
	}
}

func override(f pyyaml.File, n *yaml.Node) (*Override, error) {
	var o Override
	err := f.Fields(n, "project_override", map[string]func(*yaml.Node) error{
		"update_build_requires": func(n *yaml.Node) error {
			list, err := f.Texts(n, "update_build_requires")
			for _, text := range list {
				r, err := dist.ParseRequirement(text)
				if err != nil {
					return f.Errorf(n, "update_build_requires: %w", err)
				}
				if r.URL != "" {
					return f.Errorf(n, "update_build_requires: %q is a direct URL: builds take wheels of the view only", text)
				}
				o.Update = append(o.Update, r.String())
			}
			return err
		},
		"remove_build_requires": func(n *yaml.Node) error {
			list, err := f.Texts(n, "remove_build_requires")
			for _, text := range list {
				p, err := dist.ParseProject(text)
				if err != nil {
					return f.Errorf(n, "remove_build_requires: %w", err)
				}
				o.Remove = append(o.Remove, p)
			}
			return err
		},
		"requires_external": func(n *yaml.Node) error {
			_, err := f.Texts(n, "requires_external")
			return err
		},
	})
	if err != nil || len(o.Update) == 0 && len(o.Remove) == 0 {
		return nil, err
	}
	slices.Sort(o.Update)
	o.Update = slices.Compact(o.Update)
	slices.Sort(o.Remove)
	o.Remove = slices.Compact(o.Remove)
	return &o, nil
}

// changes counts a changelog's lines by version.
func changes(f pyyaml.File, n *yaml.Node) (map[string]string, error) {
	all := map[string]string{}
	return all, f.Each(n, "changelog", func(key, value *yaml.Node) error {
		ver, err := version.Parse(key.Value)
		if err != nil {
			return f.Errorf(key, "changelog: %w", err)
		}
		lines, err := f.Texts(value, "changelog: "+key.Value)
		if _, twice := all[ver.String()]; twice && err == nil {
			err = f.Errorf(key, "changelog: version %s stands here twice: keep one", ver)
		}
		if len(lines) > 0 {
			all[ver.String()] = strconv.Itoa(len(lines))
		}
		return err
	})
}

// Changes is how many lines the changelogs have for a version, the variant's own and the project's: fromager's number in a build tag. The
// local part of a version counts as if it were not there.
func (v *View) Changes(p dist.Project, ver version.Version) int {
	if v.PreBuilt(p) {
		return 0
	}
	own, _ := strconv.Atoi(v.Projects[p].Changes[ver.WithoutLocal().String()]) // where it says nothing, 0
	return v.changes + own
}
