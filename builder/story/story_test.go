package story

import (
	"testing"

	"github.com/python-wheel-build/axle/resolver"
)

// TestOnce: what reaches one on several ways is told once.
func TestOnce(t *testing.T) {
	top, bottom := &Story{}, &Story{}
	heard := 0
	top.Watch(0, func(uint64, resolver.Event) { heard++ })
	layer := []*Story{top}
	for range 12 {
		var next []*Story
		for range 2 {
			f := &Story{}
			for _, above := range layer {
				f.Watch(0, func(_ uint64, e resolver.Event) { above.Tell(e) })
			}
			next = append(next, f)
		}
		layer = next
	}
	for _, f := range layer {
		bottom.Watch(0, func(_ uint64, e resolver.Event) { f.Tell(e) })
	}
	bottom.Tell(resolver.Event{ID: 7})
	if heard != 1 {
		t.Errorf("told %d times", heard)
	}
}
