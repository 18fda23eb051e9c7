package environ

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A build that does not depend on a component gets nothing of it, and all of the others.
func TestRootWithout(t *testing.T) {
	c := fakeRoot(t)
	write(t, c.root, map[string]string{"/site/one": "x", "/opt/rust-2/bin/cargo": "+cargo", "/opt/rust-2/__pycache__/x": "x"})
	c.Env = map[string]string{"CC": "gcc", "LD": "lld"}
	c.Paths = map[string]string{"rust": "/opt/rust", "rust2": "/opt/rust-2"}
	c.Files = map[string]string{"site": "/site/one", "rus": "/site/one"}
	all, err := c.Root(t.Context(), fakeInterp("/opt/py"))
	ok(t, err)
	got := all.Without([]string{"env:CC", "path:rust2", "file:rus", "system", "python", "file:rust", "env:NONE"})
	shown := func(r Root, target string) bool {
		return slices.ContainsFunc(r.Mounts, func(m Mount) bool { return within(m.Target, target) })
	}
	for target, want := range map[string]bool{"/opt/axle/rust": false, "/opt/axle/rust2": false, "/opt/axle/rus": false, "/opt/axle/site": true, "/usr": true, "/opt/py": true} {
		if !shown(all, target) || shown(got, target) != want {
			t.Errorf("%s: shown %t with all, %t without, want %t", target, shown(all, target), shown(got, target), want)
		}
	}
	if d := cmp.Diff([]string{"/usr/local/bin", "/usr/bin", "/bin"}, got.Path); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[string]string{"LD": "lld"}, got.Env); d != "" || len(all.Env) != 2 || len(all.Path) != 5 {
		t.Error(d, all.Env, all.Path)
	}
	if d := cmp.Diff(all, all.Without(nil)); d != "" {
		t.Error(d)
	}
}
