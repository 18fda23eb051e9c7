package main

import (
	"context"
	"log/slog"
	"maps"
	"slices"

	"github.com/python-wheel-build/axle/builder/machine"
	"github.com/python-wheel-build/axle/builder/sandbox"
	"github.com/python-wheel-build/axle/cmd/axle/host"
	"github.com/python-wheel-build/axle/cmd/axle/publish"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/environ"
	"github.com/python-wheel-build/axle/resolver/names"
	"github.com/python-wheel-build/axle/resolver/view"
)

// loader turns the configuration into published views and machines to build them on, at start and on SIGHUP.
type loader struct {
	publish.Publisher
	workers  int
	log      *slog.Logger
	catalog  *resolver.Catalog
	names    *names.Names
	machines *machine.Machines

	known []*machine.Machine // from the load before
}

// load reads the configuration anew. Nothing changes unless all of it can be read.
func (l *loader) load(ctx context.Context, why string) error {
	if l.workers == 0 && l.File == "" {
		l.log.Info("no --config and no workers: the names in the store are served as they are")
		return nil
	}
	configs, err := l.Configs(ctx)
	if err != nil {
		return err
	}
	var machines []*machine.Machine
	var made []publish.Published
	for _, name := range slices.Sorted(maps.Keys(configs)) {
		one, err := l.Publish(ctx, name, configs[name], nil)
		if err != nil {
			return err
		}
		if m := l.machine(ctx, one, machines); !slices.Contains(machines, m) {
			machines = append(machines, m)
		}
		made = append(made, one)
	}
	// Views of before may still be asked for until all names have moved on.
	l.set(append(slices.Clone(l.known), machines...))
	changes, err := l.point(ctx, made, why)
	if err != nil {
		return err
	}
	l.known = machines
	l.set(machines)
	l.log.Info("configuration read", "why", why, "views", len(made))
	// Counting hits reads every record: nobody has to wait for it, and nothing hangs on it.
	go func() {
		for _, c := range changes {
			if err := l.report(ctx, c); err != nil && ctx.Err() == nil {
				l.log.Error("what changed can't be said", "view", c.configured.Name, "err", err)
			}
		}
		l.log.Info("changes told", "why", why)
	}()
	return nil
}

// point moves the names of the configuration. A name that can't be moved keeps no other from it; it is an error where none can.
func (l *loader) point(ctx context.Context, made []publish.Published, why string) (changes []change, err error) {
	for _, one := range made {
		c := change{configured: one}
		var failed error
		c.before, c.moved, failed = l.names.Configure(ctx, names.Pointer{Name: one.Name, View: one.View.Digest(), OnDemand: one.OnDemand, Origins: one.View.Origins, Who: host.Who(), Why: why})
		if failed != nil {
			l.log.Error("what the configuration says of a name does not count", "view", one.Name, "err", failed)
			err = failed
			continue
		}
		changes = append(changes, c)
	}
	if len(changes) > 0 {
		return changes, nil
	}
	return nil, err
}

func (l *loader) set(machines []*machine.Machine) {
	if l.workers > 0 {
		l.machines.Set(machines)
	}
}

// change is what became of a name that the configuration has a view for: not moved where the configuration says nothing new.
type change struct {
	configured publish.Published
	before     names.Entry
	moved      bool
}

// report says what a change made of the hits, and why.
func (l *loader) report(ctx context.Context, c change) error {
	v, was := c.configured.View, c.before
	log := l.log.With("view", c.configured.Name, "digest", string(v.Digest()))
	decided := log.With("points_to", string(was.View), "who", was.Who, "when", was.When, "reason", was.Why)
	switch {
	case !c.moved && was.Retired():
		decided.Info("name stays retired: the configuration has not changed since")
		return nil
	case !c.moved && was.View != v.Digest():
		decided.Info("name stays where it was pointed since the configuration changed last")
		return nil
	case was.From != names.FromConfig && was.Who != "":
		decided.Info("the configuration has changed and replaces what was decided meanwhile")
	}
	switch was.View {
	case "":
		log.Info("view published")
		return nil
	case v.Digest():
		log.Info("view unchanged")
		return nil
	}
	before, err := view.Load(ctx, l.Store, was.View)
	if err != nil {
		return err
	}
	old, err := l.catalog.Holds(ctx, before)
	if err != nil {
		return err
	}
	now, err := l.catalog.Holds(ctx, v)
	if err != nil {
		return err
	}
	lost := 0
	for pin := range old {
		if _, ok := now[pin]; !ok {
			lost++
		}
	}
	log.Info("view changed", "before", string(was.View), "hits_before", len(old), "hits_now", len(now), "became_misses", lost)
	components, err := before.Components(ctx, l.Store)
	if err != nil {
		return err
	}
	is, err := v.Components(ctx, l.Store)
	if err != nil {
		return err
	}
	for _, line := range environ.Diff(components, is) {
		log.Info("environment changed", "what", line)
	}
	return nil
}

// machine is where the view is built: one that is in use already where that is the same environment.
func (l *loader) machine(ctx context.Context, made publish.Published, others []*machine.Machine) *machine.Machine {
	for _, m := range append(slices.Clone(l.known), others...) {
		if made.Environment.Same(m.Python, m.Set) {
			return m
		}
	}
	m := &machine.Machine{Environment: made.View.Environment, Set: made.Environment.Set, Python: made.Environment.Interpreter.Executable,
		Open: func(ctx context.Context) (*sandbox.Sandbox, machine.Watch, string, error) {
			return made.Environment.Open(ctx, l.Store.Scratch(), max(l.workers, 1))
		}}
	if l.workers > 0 && made.OnDemand {
		if _, err := m.Ready(ctx); err != nil && ctx.Err() == nil {
			l.log.Error("nothing can be built in this view: hits are served, promises fail", "view", made.Name, "err", err)
		}
	}
	return m
}
