package resolver

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/python-wheel-build/axle/cas"
)

// chain is a memo of records that were each built with the one before, none of them marked.
func chain(n int) *memo {
	m := &memo{nodes: map[string]*node{}}
	var last *candidate
	for i := range n {
		c := &candidate{of: &node{}, Record: Record{Wheel: digest.FromString(fmt.Sprint(i))}}
		if last != nil {
			c.needs, c.Requirements = []*node{last.of}, []Requirement{{Wheel: last.Wheel}}
		}
		c.of.candidates = []*candidate{c}
		m.nodes[fmt.Sprint(n-i)] = c.of
		last = c
	}
	return m
}

// cpu is the time for which this thread has run: how long others keep it waiting is not our matter.
func cpu(t *testing.T) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestMarkChain: ten times as many records take about ten times as long to mark, however they hang together.
func TestMarkChain(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	took := func(n int) (sum time.Duration) {
		for range 5 {
			m := chain(n)
			began := cpu(t)
			m.mark()
			sum += cpu(t) - began
			for _, n := range m.nodes {
				if !n.candidates[0].valid {
					t.Fatal("a record of the chain is not valid")
				}
			}
		}
		return sum
	}
	short, long := took(4000), took(40_000)
	t.Logf("4,000 in %s, 40,000 in %s", short/5, long/5)
	if long > 60*max(short, 10*time.Millisecond) {
		t.Error("more than in proportion")
	}
}

// TestMarkRing: who only vouch for each other stay invalid, and so does what hangs on them.
func TestMarkRing(t *testing.T) {
	m := chain(3)
	first, last := m.nodes["3"].candidates[0], m.nodes["1"].candidates[0]
	first.needs, first.Requirements = []*node{last.of}, []Requirement{{Wheel: last.Wheel}}
	m.mark()
	for name, n := range m.nodes {
		if n.candidates[0].valid {
			t.Errorf("%s is valid", name)
		}
	}
	// Another wheel of the same version vouches for nobody.
	m = chain(2)
	m.nodes["1"].candidates[0].Requirements[0].Wheel = cas.Digest("sha256:other")
	m.mark()
	if m.nodes["1"].candidates[0].valid {
		t.Error("built with another wheel, and valid")
	}
}
