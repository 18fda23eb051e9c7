package view

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/resolver/view/config"
	"github.com/python-wheel-build/axle/resolver/view/pyyaml"
)

// ConfigSettings are PEP 517 config settings: each value a string or a []string, never anything else.
type ConfigSettings map[string]any

// UnmarshalJSON gives lists back as []string and refuses what is neither a string nor a list of strings.
func (c *ConfigSettings) UnmarshalJSON(b []byte) error {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	*c = make(ConfigSettings, len(raw))
	for key, value := range raw {
		var s string
		var list []string
		if err := json.Unmarshal(value, &s); err == nil && value[0] == '"' {
			(*c)[key] = s
		} else if err := json.Unmarshal(value, &list); err == nil && list != nil {
			(*c)[key] = list
		} else {
			return fmt.Errorf("config setting %q is neither a string nor a list of strings", key)
		}
	}
	return nil
}

// ProjectSettings are one project's settings with the view's variant already applied.
type ProjectSettings struct {
	Env map[string]string `json:"env,omitempty"`
	// Templates are variables whose values are known only with the version or in the sandbox: see Fill.
	Templates      map[string]string `json:"env_templates,omitempty"`
	ConfigSettings ConfigSettings    `json:"config_settings,omitempty"`
	BuildDir       string            `json:"build_dir,omitempty"`
	PreBuilt       bool              `json:"pre_built,omitempty"`
	Extensions     string            `json:"extensions,omitempty"`
	Override       *Override         `json:"project_override,omitempty"`
	// Changes is how many lines the project's changelog has for a version, by version in normal form, in decimal.
	Changes map[string]string `json:"changes,omitempty"`
	// Download is where sdists lie in place of those that the index lists; nil none.
	Download *Download `json:"download_source,omitempty"`

	vars       []variable // of the file, until they are expanded
	submodules []string   // of the file, until the view's sources are made
}

// Optional as a project's Extensions says that its wheel may be without the compiled extensions that upstream's wheels have, where they
// could not be built; by default ("") the build fails then.
const Optional = "optional"

func (s ProjectSettings) isZero() bool {
	return len(s.Env) == 0 && len(s.Templates) == 0 && len(s.ConfigSettings) == 0 && s.BuildDir == "" && s.Extensions == "" && !s.PreBuilt && s.Override == nil && len(s.Changes) == 0 && s.Download == nil
}

// Patch is one patch to apply with -p1.
type Patch struct {
	Name   string     `json:"name"` // file name without folder
	SHA256 cas.Digest `json:"sha256"`
}

// Settings are what a view says about building one version of one project.
type Settings struct {
	// Env are variables for the build, declared in the settings.
	Env map[string]string
	// Templates are variables whose values refer to the sandbox's own, such as PATH: see Fill.
	Templates map[string]string
	// ConfigSettings go to every PEP 517 hook.
	ConfigSettings ConfigSettings
	// BuildDir is a sub-directory of the source tree, slash-separated, "" for its top.
	BuildDir string
	// Extensions is Optional or "".
	Extensions string
	// Backends holds, by module of the project's build-backend, config settings that are added to ConfigSettings. Keys that the
	// project sets itself are left out already.
	Backends map[string]ConfigSettings
	// Override changes the build requirements that the source declares; nil changes none.
	Override *Override
	// Patches in the order in which they apply.
	Patches []Patch
}

// Recipe is the part of a recipe's settings that is not empty, ready for canonical JSON: env, env_templates, config_settings, build_dir,
// extensions, backends, project_override. Patches are a field of their own in a recipe.
func (s Settings) Recipe() map[string]any {
	m := map[string]any{}
	if len(s.Env) > 0 {
		m["env"] = s.Env
	}
	if len(s.Templates) > 0 {
		m["env_templates"] = s.Templates
	}
	if len(s.ConfigSettings) > 0 {
		m["config_settings"] = s.ConfigSettings
	}
	if s.BuildDir != "" {
		m["build_dir"] = s.BuildDir
	}
	if s.Extensions != "" {
		m["extensions"] = s.Extensions
	}
	if len(s.Backends) > 0 {
		m["backends"] = s.Backends
	}
	if s.Override != nil {
		m["project_override"] = s.Override
	}
	return m
}

// settingsReader collects what the YAML files of one settings folder say for one variant.
type settingsReader struct {
	variant  string
	known    map[string]expansion // what the values of env may refer to
	changes  int                  // lines of the variant's own changelog
	projects map[dist.Project]ProjectSettings
	// submodules are those of git_options, where they say something.
	submodules map[dist.Project][]string
	backends   map[string]ConfigSettings
	where      map[dist.Project]string // which file speaks of a project
}

var module = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*$`)

// global reads settings.yaml. `backends` is Axle's own addition to fromager's format.
func (r *settingsReader) global(name string, b []byte) error {
	f := pyyaml.File{Name: name}
	root, err := f.Parse(b)
	if err != nil || root == nil {
		return err
	}
	return f.Fields(root, "settings.yaml", map[string]func(*yaml.Node) error{
		"changelog": func(n *yaml.Node) error {
			if pyyaml.KindOf(n) == pyyaml.Null {
				return nil
			}
			return f.Each(n, "changelog", func(key, value *yaml.Node) error {
				lines, err := f.Texts(value, "changelog: "+key.Value)
				if key.Value == r.variant {
					r.changes = len(lines)
				}
				return err
			})
		},
		"sbom":              without(f, "sbom"),
		"external_commands": without(f, "external_commands"),
		"wheels":            without(f, "wheels"),
		"packages": func(n *yaml.Node) error {
			return f.Each(n, "packages", func(key, value *yaml.Node) error {
				p, err := dist.ParseProject(key.Value)
				if err != nil {
					return f.Errorf(key, "packages: %w", err)
				}
				return r.project(f, p, value)
			})
		},
		"backends": func(n *yaml.Node) error {
			return f.Each(n, "backends", func(key, value *yaml.Node) error {
				if !module.MatchString(key.Value) {
					return f.Errorf(key, "backends: %q is not a Python module; write what stands before the colon of build-backend", key.Value)
				}
				what := "backends: " + key.Value
				return f.Fields(value, what, map[string]func(*yaml.Node) error{
					"config_settings": func(n *yaml.Node) error {
						cs, err := configSettings(f, n)
						if len(cs) > 0 {
							r.backends[key.Value] = cs
						}
						return err
					},
				})
			})
		},
	})
}

// file reads settings/<project>.yaml; the project is the file's stem.
func (r *settingsReader) file(name string, b []byte) error {
	stem := strings.TrimSuffix(path.Base(name), ".yaml")
	p, err := dist.ParseProject(stem)
	if err != nil {
		return fmt.Errorf("%s: the file's name is not a project's: %w", name, err)
	}
	f := pyyaml.File{Name: name}
	root, err := f.Parse(b)
	if err != nil {
		return err
	}
	if root == nil {
		root = &yaml.Node{Kind: yaml.MappingNode, Line: 1}
	}
	return r.project(f, p, root)
}

func (r *settingsReader) project(f pyyaml.File, p dist.Project, n *yaml.Node) error {
	here := fmt.Sprintf("%s:%d", f.Name, n.Line)
	if first := r.where[p]; first != "" {
		return f.Errorf(n, "settings of project %s stand also in %s: keep one", p, first)
	}
	r.where[p] = here

	var s, own ProjectSettings // own: of the variant
	fields := s.readers(f)
	fields["variants"] = func(n *yaml.Node) error {
		if pyyaml.KindOf(n) == pyyaml.Null {
			return nil
		}
		return f.Each(n, "variants", func(key, value *yaml.Node) error {
			var v ProjectSettings
			if err := f.Fields(value, "variant "+key.Value, v.variantReaders(f, key.Value == r.variant)); err != nil {
				return err
			}
			if key.Value == r.variant {
				own = v
			}
			return nil
		})
	}
	if err := f.Fields(n, "the settings of project "+string(p), fields); err != nil {
		return err
	}
	s.PreBuilt = own.PreBuilt
	var err error
	if s.Env, s.Templates, err = chain(append(s.vars, own.vars...), r.known); err != nil {
		return err
	}
	if s.submodules != nil {
		r.submodules[p] = s.submodules
	}
	s.vars, s.submodules = nil, nil
	if !s.isZero() {
		r.projects[p] = s
	}
	return nil
}

func environment(f pyyaml.File, n *yaml.Node) (vars []variable, err error) {
	return vars, f.Each(n, "env", func(key, value *yaml.Node) error {
		if !config.EnvName.MatchString(key.Value) {
			return f.Errorf(key, "env: %q is not the name of an environment variable", key.Value)
		}
		s, err := f.Stringified(value, "env: "+key.Value)
		vars = append(vars, variable{key.Value, s, func(err error) error { return f.Errorf(value, "env: %s: %w", key.Value, err) }})
		return err
	})
}

func configSettings(f pyyaml.File, n *yaml.Node) (ConfigSettings, error) {
	cs := ConfigSettings{}
	return cs, f.Each(n, "config_settings", func(key, value *yaml.Node) error {
		what := "config_settings: " + key.Value
		var err error
		if value.Kind == yaml.SequenceNode {
			cs[key.Value], err = f.Texts(value, what)
		} else {
			cs[key.Value], err = f.Text(value, what)
		}
		return err
	})
}

func buildDir(f pyyaml.File, n *yaml.Node) (string, error) {
	s, err := f.Text(n, "build_dir")
	if err != nil {
		return "", err
	}
	dir, err := safeDir(s)
	if err != nil {
		return "", f.Errorf(n, "build_dir: %w", err)
	}
	return dir, nil
}

// safeDir is a relative directory in normal form, "" for the top.
func safeDir(s string) (string, error) {
	if path.IsAbs(s) || slices.Contains(strings.Split(s, "/"), "..") {
		return "", fmt.Errorf("%q must stay below the source tree: no leading /, no .. in it", s)
	}
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", fmt.Errorf("%q is not a directory's name", s)
	}
	if s = path.Clean(s); s == "." {
		return "", nil
	}
	return s, nil
}
