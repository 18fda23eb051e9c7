package main

import (
	"context"
	"log/slog"
	"maps"
	"slices"

	"github.com/python-wheel-build/axle/builder/machine"
	"github.com/python-wheel-build/axle/builder/sandbox"
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
	configs, err := l.Configs(ctx)
	if err != nil {
		return err
	}
	var machines []*machine.Machine
	var next []names.Name
	for _, name := range slices.Sorted(maps.Keys(configs)) {
		made, err := l.Publish(ctx, name, configs[name])
		if err != nil {
			return err
		}
		m := l.machine(ctx, made, machines)
		if !slices.Contains(machines, m) {
			machines = append(machines, m)
		}
		next = append(next, names.Name{Name: name, View: made.View, OnDemand: made.OnDemand})
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
	if l.workers > 0 {
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
