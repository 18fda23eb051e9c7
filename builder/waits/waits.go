// Package waits is the graph of who waits for whom: a ring of waits is found when it would close, and who waits for one thing is found
// from the other end.
package waits

import (
	"context"
	"iter"
	"slices"
)

// Graph has an edge for each pair of which one waits for the other, however often. It is not safe for concurrent use: what it says holds
// as long as its owner's lock.
type Graph map[[2]string]*edge // by waiter and awaited

type edge struct {
	must int                        // how many waits
	may  map[int]context.CancelFunc // optional ones, and how they are ended
	next int
}

// Add notes a wait until the returned function is called, once. Where give is not nil the wait is optional: give ends it.
func (g Graph) Add(from, to string, give context.CancelFunc) (end func()) {
	key := [2]string{from, to}
	e := g[key]
	if e == nil {
		e = &edge{may: map[int]context.CancelFunc{}}
		g[key] = e
	}
	id := e.next
	e.next++
	if give != nil {
		e.may[id] = give
	} else {
		e.must++
	}
	return func() {
		delete(e.may, id)
		if give == nil {
			e.must--
		}
		if e.must == 0 && len(e.may) == 0 && g[key] == e {
			delete(g, key)
		}
	}
}

// Of gives whom one waits for.
func (g Graph) Of(from string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for key := range g {
			if key[0] == from && !yield(key[1]) {
				return
			}
		}
	}
}

// Ring gives the ring that a wait of from for to would close, its first one again at its end; nil where it closes none. Optional waits
// count only where asked for.
func (g Graph) Ring(from, to string, optional bool) []string {
	came := map[string]string{to: ""}
	for queue := []string{to}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if at == from {
			var path []string
			for ; at != ""; at = came[at] {
				path = append(path, at)
			}
			// came leads from the asker back to what it asks for; a ring reads the other way and names its start twice.
			slices.Reverse(path)
			return append([]string{from}, path...)
		}
		for key, e := range g {
			if _, seen := came[key[1]]; key[0] == at && !seen && (e.must > 0 || optional && len(e.may) > 0) {
				came[key[1]] = at
				queue = append(queue, key[1])
			}
		}
	}
	return nil
}

// Open ends the optional waits along a ring that Ring gave, but for those that others between the same two must have.
func (g Graph) Open(ring []string) {
	for i := range len(ring) - 1 {
		if e := g[[2]string{ring[i], ring[i+1]}]; e != nil && e.must == 0 {
			for _, give := range e.may {
				give()
			}
			e.may = nil
		}
	}
}
