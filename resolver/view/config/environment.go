package config

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/python-wheel-build/axle/internal/dist"
)

// Environment is what a person declared of the environment of builds, under `environment` in a view.
type Environment struct {
	// Env names the environment variables that a build sees.
	Env []string
	// Paths are trees that it sees, Files single files, by name. No name is in both.
	Paths, Files map[string]string
	// Image is the digest ("sha256:<64 hex digits>") of the container image that stands for the packages of the system; "" has the
	// system itself looked at.
	Image string
	// Hook is asked for more components when the view is published.
	Hook Hook
	// SharePure are components that pure wheels don't depend on, Projects the projects that depend on less.
	SharePure []string
	Projects  map[dist.Project]Depends
}

// HookFolder is where the hook's own file is shown to it.
const HookFolder = "/axle/hook"

// Hook is a command that runs in the build environment.
type Hook struct {
	// Command is what runs there, and its arguments; empty is no hook. The first is an absolute path there, or looked for on PATH.
	Command []string
	// File is the program on this machine that is shown as the first one, "" where builds see it themselves.
	File string
}

func (r configReader) hook(n *yaml.Node) (h Hook, err error) {
	if h.Command, err = r.Texts(n, "environment: hook"); err != nil || len(h.Command) == 0 {
		return Hook{}, err
	}
	program := h.Command[0]
	switch {
	case program == "":
		err = r.Errorf(n, "environment: hook: an empty path")
	case strings.Contains(program, "/") && !filepath.IsAbs(program):
		h.File = r.abs(program)
		h.Command[0] = HookFolder + "/" + filepath.Base(h.File)
	}
	return h, err
}

func (r configReader) environment(n *yaml.Node, c *Environment) error {
	var checks []func() error // of names, which may be declared below where they are used
	err := r.Fields(n, "environment", map[string]func(*yaml.Node) error{
		"env": func(n *yaml.Node) (err error) {
			if c.Env, err = r.Texts(n, "environment: env"); err != nil {
				return err
			}
			for i, s := range c.Env {
				if !EnvName.MatchString(s) {
					return r.Errorf(n.Content[i], "environment: env: %q is not the name of an environment variable", s)
				}
				if slices.Contains(c.Env[:i], s) {
					return r.Errorf(n.Content[i], "environment: env: %s stands here twice", s)
				}
			}
			return nil
		},
		"paths": func(n *yaml.Node) (err error) {
			c.Paths, err = r.named(n, "environment: paths")
			return err
		},
		"files": func(n *yaml.Node) (err error) {
			c.Files, err = r.named(n, "environment: files")
			return err
		},
		"image": func(n *yaml.Node) error {
			s, err := r.Text(n, "environment: image")
			if err != nil {
				return err
			}
			if c.Image, err = ImageDigest(s); err != nil {
				return r.Errorf(n, "environment: %w", err)
			}
			return nil
		},
		"hook": func(n *yaml.Node) (err error) {
			c.Hook, err = r.hook(n)
			return err
		},
		"share_pure": func(n *yaml.Node) (err error) {
			c.SharePure, err = r.list(n, "environment: share_pure", &checks, c.sharePure)
			return err
		},
		"projects": func(n *yaml.Node) error { return r.projects(n, c, &checks) },
	})
	for name := range c.Files {
		if _, both := c.Paths[name]; both && err == nil {
			err = r.Errorf(n, "environment: files: %s is also the name of one of the paths, and both are shown at /opt/axle/%s: choose another name", name, name)
		}
	}
	for _, check := range checks {
		if err == nil {
			err = check()
		}
	}
	return err
}

// named reads paths by name.
func (r configReader) named(n *yaml.Node, what string) (map[string]string, error) {
	all := map[string]string{}
	return all, r.Each(n, what, func(key, value *yaml.Node) (err error) {
		if err := r.name(key, what, key.Value); err != nil {
			return err
		}
		all[key.Value], err = r.path(value, what+": "+key.Value)
		return err
	})
}

// EnvName is the form of an environment variable's name.
var EnvName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

var imageForm = regexp.MustCompile(`^(?:[^\s@]+@)?(sha256:[0-9a-f]{64})$`)

// ImageDigest is the digest of an image, given alone or behind a name and '@'. The name says where the image lies, not what it is, so it is
// left out. A name without a digest is refused: another image may have it tomorrow.
func ImageDigest(s string) (string, error) {
	m := imageForm.FindStringSubmatch(s)
	if m == nil {
		return "", fmt.Errorf("image: %q names no image for good: give its digest, name@sha256:<64 hex digits> "+
			"(`skopeo inspect --format '{{.Digest}}' docker://NAME` prints it)", s)
	}
	return m[1], nil
}
