package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/python-wheel-build/axle/builder/machine"
	"github.com/python-wheel-build/axle/builder/sandbox"
	"github.com/python-wheel-build/axle/cmd/axle/host"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/environ"
	"github.com/python-wheel-build/axle/resolver/names"
	"github.com/python-wheel-build/axle/resolver/view"
	"github.com/python-wheel-build/axle/resolver/view/config"
)

// loader turns the configuration into published views and machines to build them on, at start and on SIGHUP.
type loader struct {
	cmd      serveCmd
	log      *slog.Logger
	catalog  *resolver.Catalog
	names    *names.Names
	machines *machine.Machines
	progress io.Writer

	known []*machine.Machine // from the load before
}

// load reads the configuration anew. Nothing changes unless all of it can be read.
func (l *loader) load(ctx context.Context, why string) error {
	configs, err := l.configs(ctx)
	if err != nil {
		return err
	}
	var machines []*machine.Machine
	var next []names.Name
	for _, name := range slices.Sorted(maps.Keys(configs)) {
		c := configs[name]
		m, interp, err := l.machine(ctx, name, c, machines)
		if err != nil {
			return fmt.Errorf("view %s: %w", name, err)
		}
		if c.Upstream == nil {
			if c.Upstream, err = l.upstream(ctx, interp.Executable); err != nil {
				return fmt.Errorf("view %s: %w", name, err)
			}
		}
		v, err := view.Publish(ctx, l.catalog.Store, c, m.Set, interp.Target)
		if err != nil {
			return fmt.Errorf("view %s: %w", name, err)
		}
		if m.Environment == nil { // a machine that is known is in use
			m.Environment = v.Environment
		}
		if !slices.Contains(machines, m) {
			machines = append(machines, m)
		}
		next = append(next, names.Name{Name: name, View: v, OnDemand: c.Build != config.Never})
	}
	// Views of before may still be asked for until all names have moved on.
	l.set(append(slices.Clone(l.known), machines...))
	changes := make([]change, 0, len(next))
	for _, n := range next {
		before, err := l.names.Set(ctx, n, "axle "+version(), why)
		if err != nil {
			return err
		}
		changes = append(changes, change{n.Name, before, n.View})
	}
	l.names.Keep(slices.Sorted(maps.Keys(configs)))
	l.known = machines
	l.set(machines)
	l.log.Info("configuration read", "why", why, "views", len(next))
	// Counting hits reads every record: nobody has to wait for it, and nothing hangs on it.
	go func() {
		for _, c := range changes {
			if err := l.report(ctx, c); err != nil && ctx.Err() == nil {
				l.log.Error("what changed can't be said", "view", c.name, "err", err)
			}
		}
		l.log.Info("changes told", "why", why)
	}()
	return nil
}

func (l *loader) set(machines []*machine.Machine) {
	if l.cmd.Workers > 0 {
		l.machines.Set(machines)
	}
}

// change is a name that was pointed to a view; before is nil for a new name.
type change struct {
	name          string
	before, after *view.View
}

// report says what a change made of the hits, and why.
func (l *loader) report(ctx context.Context, c change) error {
	log := l.log.With("view", c.name, "digest", string(c.after.Digest()))
	if c.before == nil {
		log.Info("view published")
		return nil
	}
	if c.before.Digest() == c.after.Digest() {
		log.Info("view unchanged")
		return nil
	}
	old, err := l.catalog.Holds(ctx, c.before)
	if err != nil {
		return err
	}
	now, err := l.catalog.Holds(ctx, c.after)
	if err != nil {
		return err
	}
	lost := 0
	for pin := range old {
		if _, ok := now[pin]; !ok {
			lost++
		}
	}
	log.Info("view changed", "before", string(c.before.Digest()), "hits_before", len(old), "hits_now", len(now), "became_misses", lost)
	was, err := c.before.Components(ctx, l.catalog.Store)
	if err != nil {
		return err
	}
	is, err := c.after.Components(ctx, l.catalog.Store)
	if err != nil {
		return err
	}
	for _, line := range environ.Diff(was, is) {
		log.Info("environment changed", "what", line)
	}
	return nil
}

// upstream is what pip of this Python is set to use.
func (l *loader) upstream(ctx context.Context, python string) ([]config.Index, error) {
	named, err := host.PipIndexes(ctx, python)
	if err != nil {
		return nil, err
	}
	var all []config.Index
	for _, n := range named {
		if err := l.catalog.Upstream.Login(n.Login()); err != nil {
			return nil, err
		}
		all = append(all, config.Index{Name: n.Name, URL: n.URL})
	}
	return all, nil
}

// configs reads the configuration file, or gives the one view that is served without.
func (l *loader) configs(ctx context.Context) (map[string]config.View, error) {
	if l.cmd.Config == "" {
		l.log.Info("no --config: one view 'default' on this machine's python3, built on demand; settings are the built-in ones, 'axle defaults DIR' writes them out")
		c := config.View{SettingsFS: defaultSettings(), Settings: "built-in settings", Build: config.OnDemand, WheelsOnly: config.PreBuilt}
		rust, err := host.RustToolchain(ctx)
		switch {
		case err != nil:
			l.log.Warn("the Rust toolchain on PATH can't be used: projects in Rust won't build", "err", err)
		case rust != "":
			l.log.Info("a Rust toolchain was found: builds see it", "folder", rust)
			c.Paths = map[string]string{"rust": rust}
		}
		return map[string]config.View{"default": c}, nil
	}
	configs, err := config.Read(l.cmd.Config)
	if err != nil {
		return nil, err
	}
	for name, c := range configs {
		if c.Settings == "" {
			c.SettingsFS, c.Settings = defaultSettings(), "built-in settings"
			configs[name] = c
			l.log.Info("no settings folder: the built-in settings are used, 'axle defaults DIR' writes them out", "view", name)
		}
	}
	return configs, nil
}

// machine computes a view's build environment and makes sure that a build can be walled in there.
func (l *loader) machine(ctx context.Context, name string, c config.View, others []*machine.Machine) (*machine.Machine, environ.Interpreter, error) {
	python := c.Python
	if python == "" {
		python = "python3"
	}
	path, err := exec.LookPath(python)
	if err != nil {
		return nil, environ.Interpreter{}, fmt.Errorf("python %s: %w; install it or name another one with `python:` in the config", python, err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, environ.Interpreter{}, err
	}
	p := newProgress(l.progress, "reading the build environment, bytes")
	collector := environ.Collector{Python: path, Env: map[string]string{}, Sign: map[string]string{}, Paths: c.Paths, Cache: manifestCache(),
		Progress: func(folder string, done, total int64) { p.set(done, total) }}
	for _, variable := range c.Env {
		if value, ok := os.LookupEnv(variable); ok {
			collector.Env[variable] = value
		}
	}
	for _, variable := range os.Environ() {
		if variable, value, _ := strings.Cut(variable, "="); strings.HasSuffix(variable, "_BUILD_ENV_SIGN") {
			collector.Sign[variable] = value
		}
	}
	interp, err := collector.Probe(ctx)
	if err != nil {
		return nil, interp, err
	}
	set, _, err := collector.Collect(ctx)
	p.done()
	if err != nil {
		return nil, interp, err
	}
	for _, m := range append(slices.Clone(l.known), others...) {
		if m.Python == interp.Executable && sameSet(m.Set, set) {
			return m, interp, nil
		}
	}
	collector.Progress = nil
	m := &machine.Machine{Set: set, Python: interp.Executable,
		Open: func(ctx context.Context) (*sandbox.Sandbox, machine.Watch, string, error) {
			return l.open(ctx, collector, interp, set)
		}}
	if l.cmd.Workers == 0 || c.Build == config.Never {
		return m, interp, nil
	}
	if _, err := m.Ready(ctx); err != nil && ctx.Err() == nil {
		l.log.Error("nothing can be built in this view: hits are served, promises fail", "view", name, "err", err)
	}
	return m, interp, nil
}

// open walls in an environment that still is what it was said to be.
func (l *loader) open(ctx context.Context, c environ.Collector, in environ.Interpreter, want environ.Set) (*sandbox.Sandbox, machine.Watch, string, error) {
	watch, err := c.Watch(ctx, in)
	if err != nil {
		return nil, nil, "", err
	}
	stamp := watch.Stamp()
	set, in, err := c.Collect(ctx)
	if err != nil {
		return nil, nil, "", err
	}
	if !sameSet(set, want) {
		return nil, nil, "", fmt.Errorf("the machine is not what it was when its environment was read (%s); send SIGHUP to the server to read it anew",
			strings.Join(environ.Diff(want, set), "; "))
	}
	root, err := c.Root(ctx, in)
	if err != nil {
		return nil, nil, "", err
	}
	if watch.Stamp() != stamp {
		return nil, nil, "", errors.New("the machine changes while its environment is read: wait until nothing is being installed, then ask again")
	}
	box, err := sandbox.New(root, l.catalog.Store.Scratch(), max(l.cmd.Workers, 1))
	if err != nil {
		return nil, nil, "", err
	}
	if err := box.SelfTest(ctx, in.Executable); err != nil {
		return nil, nil, "", err
	}
	return box, watch, stamp, box.Precompile(ctx, in.Executable)
}

func sameSet(a, b environ.Set) bool {
	return maps.EqualFunc(a, b, func(x, y environ.Component) bool { return x.Value == y.Value && string(x.Text) == string(y.Text) })
}

// manifestCache is a file that only saves time, so it may be absent.
func manifestCache() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "axle", "manifest")
}
