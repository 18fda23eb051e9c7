// Package machine knows the environments that this process can build in, and whether they are still what was read of them.
package machine

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/python-wheel-build/axle/builder/pep517"
	"github.com/python-wheel-build/axle/builder/sandbox"
	"github.com/python-wheel-build/axle/resolver/environ"
	"github.com/python-wheel-build/axle/resolver/view"
	"github.com/python-wheel-build/axle/resolver/view/sitehook"
)

// Machine is an environment that this process has computed itself and can build in.
type Machine struct {
	// Environment is what a view must say to be built here.
	Environment map[string]string
	// Set is the same with its texts, to say what differs.
	Set    environ.Set
	Python string // the interpreter, absolute
	// Open computes the environment anew and gives a sandbox that shows it, and a watch with its stamp from before. It is an error where the
	// environment is not the Set any more, or where nothing can be walled in.
	Open func(ctx context.Context) (*sandbox.Sandbox, Watch, string, error)

	// Probed is what uv, outside the sandbox, found out about Python.
	Probed pep517.Probed

	mu      sync.Mutex // guards what follows, also while the environment is read
	walls   *sandbox.Sandbox
	watch   Watch
	stamp   string
	stamped time.Time
}

// Watch gives a sign of the state that a machine is in, cheap beside a build.
type Watch interface{ Stamp() string }

// stampFresh is how old a look at the machine may be for a job that begins. When it ends another look is taken.
const stampFresh = 10 * time.Second

// Ready gives the sandbox.
func (m *Machine) Ready(ctx context.Context) (*sandbox.Sandbox, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.walls == nil || time.Since(m.stamped) > stampFresh {
		if err := m.look(ctx); err != nil {
			return nil, err
		}
	}
	return m.walls, nil
}

// Still is an error where the machine is not what it was since the job began that now ends.
func (m *Machine) Still(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.look(ctx)
}

// look compares stamps, and reads the environment anew where they differ: much that changes a stamp changes no component, such as
// installing a Python package on the machine, but the sandbox must hide what is new. The lock is held.
func (m *Machine) look(ctx context.Context) error {
	if m.walls != nil && m.watch.Stamp() == m.stamp {
		m.stamped = time.Now()
		return nil
	}
	walls, watch, stamp, err := m.Open(ctx)
	if err != nil {
		m.walls = nil
		return fmt.Errorf("this worker refuses to build: %w", err)
	}
	m.walls, m.watch, m.stamp, m.stamped = walls, watch, stamp, time.Now()
	return nil
}

// Machines are the environments at hand. It is safe for concurrent use.
type Machines struct {
	mu  sync.RWMutex // guards all
	all []*Machine
}

// Set replaces them; jobs that run keep theirs.
func (m *Machines) Set(all []*Machine) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = all
}

// NoMachineError says that nothing here can build a view, since its environment is another one than any that was computed here.
type NoMachineError struct{ Differs []string }

func (e *NoMachineError) Error() string {
	if len(e.Differs) == 0 {
		return "no worker is alive; start axle serve with --workers of at least 1"
	}
	return "no worker has this view's build environment; the nearest differs in " + strings.Join(e.Differs, "; ")
}

// For finds the machine whose environment is the view's, but for what a hook says of it: that is no part of the machine. It is a NoMachineError, naming what differs, where there is none.
func (m *Machines) For(v *view.View) (*Machine, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var nearest []string
	for _, one := range m.all {
		differs := differing(one.Environment, v.Environment)
		if len(differs) == 0 {
			return one, nil
		}
		if nearest == nil || len(differs) < len(nearest) {
			nearest = differs
		}
	}
	return nil, &NoMachineError{nearest}
}

func differing(here, there map[string]string) []string {
	names := map[string]bool{}
	for name := range here {
		names[name] = true
	}
	for name := range there {
		names[name] = true
	}
	var out []string
	for name := range names {
		if here[name] != there[name] && !strings.HasPrefix(name, sitehook.Prefix) {
			out = append(out, fmt.Sprintf("%s (here %s, in the view %s)", name, orNone(here[name]), orNone(there[name])))
		}
	}
	return out
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
