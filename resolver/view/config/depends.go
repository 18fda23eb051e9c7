package config

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/python-wheel-build/axle/internal/dist"
)

// Depends says which components of the environment count for less than all of a view's projects.
type Depends struct {
	// Without are components that the project does not depend on.
	Without []string
	// SharePure are components that a pure wheel of the project does not depend on; nil is what the view says.
	SharePure []string
}

// The components that every environment has, one of system and image.
var always = []string{"image", "libc", "platform", "python", "system"}

// without refuses a name that is no component of this environment, or one that counts whatever is said.
func (c *Environment) without(name string) error {
	kind, of, named := strings.Cut(name, ":")
	declared := false
	switch {
	case name == "platform":
		return fmt.Errorf("the platform can't be left out: the target of each wheel says it, too")
	case !named:
		declared = slices.Contains(always, name)
	case kind == "env":
		// Variables that sign are declared by their name alone.
		declared = slices.Contains(c.Env, of) || EnvName.MatchString(of) && strings.HasSuffix(of, "_BUILD_ENV_SIGN")
	case kind == "hook": // what is meant for one project it only gets if it depends on it
		declared = name == "hook:*" && len(c.Hook.Command) > 0
	case kind == "path":
		_, declared = c.Paths[of]
	case kind == "file":
		_, declared = c.Files[of]
	}
	if !declared {
		return fmt.Errorf("%q is no component of this environment; there are %s", name, strings.Join(c.components(), ", "))
	}
	return nil
}

// sharePure refuses a name that is no component or that a pure wheel may well depend on.
func (c *Environment) sharePure(name string) error {
	kind, _, named := strings.Cut(name, ":")
	switch {
	case named && slices.Contains([]string{"env", "path", "file", "hook"}, kind):
		return fmt.Errorf("%s can't be left out for all pure wheels: it was declared since builds depend on it, and a build can put anything into a pure wheel; "+
			"projects that don't depend on it say so by themselves (projects: {NAME: {without: [%q]}})", name, name)
	}
	return c.without(name)
}

// components are the names that may be left out.
func (c *Environment) components() []string {
	all := []string{"image", "libc", "python", "system"}
	for _, s := range c.Env {
		all = append(all, "env:"+s)
	}
	for s := range c.Paths {
		all = append(all, "path:"+s)
	}
	for s := range c.Files {
		all = append(all, "file:"+s)
	}
	if len(c.Hook.Command) > 0 {
		all = append(all, "hook:*")
	}
	slices.Sort(all)
	return all
}

// list reads component names that are checked once the whole environment is read.
func (r configReader) list(n *yaml.Node, what string, later *[]func() error, check func(string) error) ([]string, error) {
	names, err := r.Texts(n, what)
	if err != nil {
		return nil, err
	}
	*later = append(*later, func() error {
		for i, name := range names {
			if err := check(name); err != nil {
				return r.Errorf(n.Content[i], "%s: %w", what, err)
			}
			if slices.Contains(names[:i], name) {
				return r.Errorf(n.Content[i], "%s: %s stands here twice", what, name)
			}
		}
		return nil
	})
	return names, nil
}

func (r configReader) projects(n *yaml.Node, c *Environment, later *[]func() error) error {
	c.Projects = map[dist.Project]Depends{}
	return r.Each(n, "environment: projects", func(key, value *yaml.Node) error {
		p, err := dist.ParseProject(key.Value)
		if err != nil {
			return r.Errorf(key, "environment: projects: %w", err)
		}
		if _, twice := c.Projects[p]; twice {
			return r.Errorf(key, "environment: projects: %s is %s, which stands here already: keep one", key.Value, p)
		}
		var d Depends
		what := "environment: projects: " + string(p)
		err = r.Fields(value, what, map[string]func(*yaml.Node) error{
			"without": func(n *yaml.Node) (err error) {
				d.Without, err = r.list(n, what+": without", later, c.without)
				return err
			},
			"share_pure": func(n *yaml.Node) (err error) {
				d.SharePure, err = r.list(n, what+": share_pure", later, c.sharePure)
				return err
			},
		})
		c.Projects[p] = d
		return err
	})
}
