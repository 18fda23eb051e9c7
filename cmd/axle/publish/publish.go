// Package publish makes views of a configuration and of the machine that it runs on, alike for every command that does so:
//
//	configs, err := p.Configs(ctx)                 // what axle.yaml says, or the one view without
//	made, err := p.Publish(ctx, "default", configs["default"], nil)
//
// What is published is content in a store. No name points to it yet.
package publish

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/cmd/axle/host"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/resolver/upstream"
	"github.com/python-wheel-build/axle/resolver/view"
	"github.com/python-wheel-build/axle/resolver/view/config"
	"github.com/python-wheel-build/axle/resolver/view/plugins"
)

// Publisher publishes views of one configuration. No field is changed after the first call of a method. Its methods are called one after the
// other.
type Publisher struct {
	Store *cas.Store
	// Upstream is told the logins that pip's own index URLs have.
	Upstream *upstream.Client
	// File is axle.yaml; "" is one view, "default", on this machine's python3.
	File string
	// Say tells a person what was chosen without being asked for.
	Say func(message string)
	// Progress shows how far the reading of the machine is, where that takes long.
	Progress io.Writer

	worktrees worktrees // from before the configuration was read
}

// Published is a view, and what it was made of.
type Published struct {
	Name        string // in the configuration
	View        *view.View
	OnDemand    bool
	Environment Environment
}

// Configs reads the configuration: the views by name. From then on until Publish has returned no git may be at work in the work trees that
// the configuration and its files lie in.
func (p *Publisher) Configs(ctx context.Context) (map[string]config.View, error) {
	const builtIn = "built-in settings"
	if p.File == "" {
		p.Say("no --config: one view 'default' on this machine's python3, built on demand; settings are the built-in ones, 'axle defaults DIR' writes them out")
		c := config.View{SettingsFS: Defaults(), Settings: builtIn, Build: config.OnDemand, WheelsOnly: config.PreBuilt}
		rust, err := host.RustToolchain(ctx)
		switch {
		case err != nil:
			p.Say(fmt.Sprintf("the Rust toolchain on PATH can't be used, projects in Rust won't build: %v", err))
		case rust != "":
			p.Say("a Rust toolchain was found, builds see it: " + rust)
			c.Paths = map[string]string{"rust": rust}
		}
		return map[string]config.View{"default": c}, nil
	}
	p.worktrees = worktrees{}
	if err := p.worktrees.add(p.File); err != nil {
		return nil, err
	}
	configs, err := config.Read(p.File)
	if err != nil {
		return nil, err
	}
	for _, c := range configs {
		for _, path := range append([]string{c.Settings}, c.Constraints...) {
			if path == "" {
				continue
			}
			if err := p.worktrees.add(path); err != nil {
				return nil, err
			}
		}
	}
	for name, c := range configs {
		if c.Settings == "" {
			c.SettingsFS, c.Settings = Defaults(), builtIn
			configs[name] = c
			p.Say(fmt.Sprintf("view %s: no settings folder: the built-in settings are used, 'axle defaults DIR' writes them out", name))
		}
	}
	return configs, nil
}

// Publish makes the view that this entry of the configuration and this machine say now. Where on is not nil, environment and target are
// those of that view, and so are the indexes if the configuration names none: this machine is not looked at then. Publishing the same
// again is harmless and gives the same view. Errors name the view; where there is one, nothing but blobs that nobody refers to was stored.
func (p *Publisher) Publish(ctx context.Context, name string, c config.View, on *view.View) (Published, error) {
	made, err := p.publish(ctx, c, on)
	if err != nil {
		return Published{}, fmt.Errorf("view %s: %w", name, err)
	}
	made.Name, made.OnDemand = name, c.Build != config.Never
	return made, nil
}

func (p *Publisher) publish(ctx context.Context, c config.View, on *view.View) (made Published, err error) {
	var target dist.Target
	if on != nil {
		if err = p.fits(c, on); err != nil {
			return made, err
		}
		target = on.Target
		if c.Upstream == nil {
			c.Upstream = append([]config.Index{}, on.Indexes...) // not nil: pip is not asked
		}
		made.Environment.Set, err = on.Components(ctx, p.Store)
	} else {
		made.Environment, err = readEnvironment(ctx, c, p.Progress)
		target = made.Environment.Interpreter.Target
	}
	if err != nil {
		return made, err
	}
	if c.Upstream == nil {
		if c.Upstream, err = p.upstream(ctx, made.Environment.Interpreter.Executable); err != nil {
			return made, err
		}
	}
	var found plugins.Found
	if c.Plugins != "" {
		if found, err = host.Plugins(ctx, c.Plugins); err != nil {
			return made, err
		}
	}
	what := view.Machine{Environment: made.Environment.Set, Target: target, Plugins: found}
	if on == nil { // else its hook's answers are parts of its environment
		what.Ask = p.hookOf(c, made.Environment)
	}
	if made.View, err = view.Publish(ctx, p.Store, c, what); err == nil {
		err = p.worktrees.same()
	}
	return made, err
}

// fits says why the configuration can't be published for the environment of another view: it declares another one. What lies in a
// declared tree or file is that view's all the same.
func (p *Publisher) fits(c config.View, on *view.View) error {
	declared := map[string]bool{}
	for _, name := range c.Env {
		declared["env:"+name] = true
		if _, ok := on.Environment["env:"+name]; !ok {
			p.Say(fmt.Sprintf("view %s has no variable %s: it was not set, or not declared, where its environment was read", on.Digest(), name))
		}
	}
	for kind, named := range map[string]map[string]string{"path:": c.Paths, "file:": c.Files} {
		for name := range named {
			declared[kind+name] = true
			if _, ok := on.Environment[kind+name]; !ok {
				return fmt.Errorf("its environment is to be that of view %s, which has no %s%s: publish on a machine that has it", on.Digest(), kind, name)
			}
		}
	}
	if image := on.Environment["image"]; image != c.Image {
		return fmt.Errorf("its environment is to be that of view %s, whose image is %q, and the configuration says %q: publish on a machine that runs that one",
			on.Digest(), image, c.Image)
	}
	for component := range on.Environment {
		kind, name, _ := strings.Cut(component, ":")
		if (kind == "env" && !strings.HasSuffix(name, signSuffix) || kind == "path" || kind == "file") && !declared[component] {
			return fmt.Errorf("its environment is to be that of view %s, which has %s, and the configuration does not declare that: publish on a machine "+
				"that is to build without", on.Digest(), component)
		}
	}
	return nil
}

// upstream is what pip of this Python is set to use.
func (p *Publisher) upstream(ctx context.Context, python string) ([]config.Index, error) {
	named, err := host.PipIndexes(ctx, python)
	if err != nil {
		return nil, err
	}
	var all []config.Index
	for _, n := range named {
		if err := p.Upstream.Login(n.Login()); err != nil {
			return nil, err
		}
		all = append(all, config.Index{Name: n.Name, URL: n.URL})
	}
	return all, nil
}
