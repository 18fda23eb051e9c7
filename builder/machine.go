package builder

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"

	"github.com/python-wheel-build/axle/builder/sandbox"
	"github.com/python-wheel-build/axle/resolver/environ"
	"github.com/python-wheel-build/axle/resolver/view"
)

// Machine is an environment that this process has computed itself and can build in.
type Machine struct {
	// Environment is what a view must say to be built here.
	Environment map[string]string
	// Set is the same with its texts, to say what differs.
	Set    environ.Set
	Python string // the interpreter, absolute
	// Stamp is a cheap sign of the state that the machine is in. Where it changes, Open is called.
	Stamp func() (string, error)
	// Open computes the environment anew and gives a sandbox that shows it; an error where it is not the Set any more, or where nothing
	// can be walled in.
	Open func(ctx context.Context) (*sandbox.Sandbox, error)

	mu    sync.Mutex // guards what follows, while the environment is read
	stamp string
	walls *sandbox.Sandbox
}

// Ready gives the sandbox, and the stamp of what it shows.
func (m *Machine) Ready(ctx context.Context) (*sandbox.Sandbox, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, err := m.Stamp() // before Open: what changes while that reads is found the next time
	if err != nil {
		return nil, "", err
	}
	if m.walls == nil || now != m.stamp {
		if m.walls, err = m.Open(ctx); err != nil {
			m.walls = nil
			return nil, "", fmt.Errorf("this worker refuses to build: %w", err)
		}
		m.stamp = now
	}
	return m.walls, m.stamp, nil
}

// still says whether the machine is what it was when that stamp was given.
func (m *Machine) still(stamp string) error {
	now, err := m.Stamp()
	if err == nil && now != stamp {
		err = errors.New("the machine changed while this was built (packages, alternatives, /usr/local, the interpreter or a declared tree); ask again")
	}
	return err
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

// For finds the machine whose environment is the view's. It is a NoMachineError, naming what differs, where there is none.
func (m *Machines) For(v *view.View) (*Machine, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var nearest []string
	for _, one := range m.all {
		if maps.Equal(one.Environment, v.Environment) {
			return one, nil
		}
		differs := differing(one.Environment, v.Environment)
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
		if here[name] != there[name] {
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
