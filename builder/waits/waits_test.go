package waits

import (
	"fmt"
	"slices"
	"testing"
)

func TestGraph(t *testing.T) {
	g := Graph{}
	given := 0
	ends := []func(){g.Add("a", "b", nil), g.Add("a", "b", nil), g.Add("a", "c", func() { given++ }), g.Add("c", "d", nil)}
	of := func(from, want string) {
		t.Helper()
		if got := fmt.Sprint(slices.Sorted(g.Of(from))); got != want {
			t.Errorf("%s waits for %s, want %s", from, got, want)
		}
	}
	ring := func(from, to string, optional bool, want string) []string {
		t.Helper()
		got := g.Ring(from, to, optional)
		if fmt.Sprint(got) != want {
			t.Errorf("%s for %s: ring %s, want %s", from, to, got, want)
		}
		return got
	}
	of("a", "[b c]")
	of("b", "[]")
	ring("b", "a", false, "[b a b]")
	ring("a", "a", false, "[a a]")
	ring("d", "b", true, "[]")
	ring("d", "a", false, "[]") // through an optional wait only
	g.Open(ring("d", "a", true, "[d a c d]"))
	if given != 1 {
		t.Errorf("given up %d times", given)
	}
	ring("d", "a", true, "[]")
	g.Open([]string{"a", "b", "a"}) // which must be
	ends[0]()
	of("a", "[b c]")
	for _, end := range ends[1:] {
		end()
	}
	if len(g) != 0 {
		t.Errorf("left over: %v", g)
	}
}
