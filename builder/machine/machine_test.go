package machine

import (
	"errors"
	"maps"
	"testing"

	"github.com/python-wheel-build/axle/resolver/view"
)

// A view is built where the machine is what it says, and nobody asks the machine what a hook says.
func TestFor(t *testing.T) {
	here := &Machine{Environment: map[string]string{"image": "a", "libc": "b"}}
	var m Machines
	m.Set([]*Machine{{Environment: map[string]string{"image": "x", "libc": "y"}}, here})
	for name, want := range map[string]struct {
		more map[string]string
		ok   bool
	}{
		"the same":                {nil, true},
		"a hook said more":        {map[string]string{"hook:*": "1", "hook:foo==1.0": "2"}, true},
		"another image":           {map[string]string{"image": "c"}, false},
		"a component of its own":  {map[string]string{"env:CC": "gcc"}, false},
		"a hook, and a component": {map[string]string{"hook:*": "1", "env:CC": "gcc"}, false},
	} {
		v := &view.View{Environment: maps.Clone(here.Environment)}
		maps.Copy(v.Environment, want.more)
		got, err := m.For(v)
		var no *NoMachineError
		if want.ok && (err != nil || got != here) || !want.ok && (!errors.As(err, &no) || len(no.Differs) != 1) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}
