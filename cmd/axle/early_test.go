package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/internal/testindex"
)

// TestEarlyStart: pip fetches one wheel after another, and still two are built at once; without early start they are not. Builds that
// sleep tell the two apart on a machine of any speed, and both run at the same time, so that what else it does is the same for both.
func TestEarlyStart(t *testing.T) {
	t.Parallel() // most of it is sleep
	const long = 6 * time.Second
	install := func(n int, args ...string) func() time.Duration {
		r := newRig(t)
		r.args = append(r.args, args...)
		var projects []string
		for i := range n {
			projects = append(projects, fmt.Sprintf("sleeper%d", i))
			r.up.Add(testindex.Spec{Name: projects[i], Version: "1.0", Marker: projects[i], BuildSleep: long})
		}
		r.start()
		var took time.Duration
		var folder, output string
		var err error
		done := make(chan struct{})
		go func() {
			defer close(done)
			began := time.Now()
			folder, output, err = r.install(clients(t)[1], r.dir, projects...)
			took = time.Since(began)
		}()
		return func() time.Duration {
			<-done
			if err != nil {
				t.Fatalf("%v\n%s", err, output)
			}
			for _, p := range projects {
				if r.marker(folder, p) != p {
					t.Errorf("another %s", p)
				}
			}
			if got := r.built(); got != n {
				t.Errorf("%d builds, want %d", got, n)
			}
			return took
		}
	}
	without := install(3, "--no-early-start")
	with := install(6)
	one, two := without(), with()
	t.Logf("builds of %s on 2 workers: 3 took %s one after another, 6 took %s with early start", long, one.Round(100*time.Millisecond), two.Round(100*time.Millisecond))
	if one < 3*long {
		t.Errorf("3 builds without early start took %s: not one after another", one)
	}
	if two > one*3/2 {
		t.Errorf("6 builds took %s, hardly less than twice the %s of 3: they did not overlap", two, one)
	}
}

// TestEarlyStartForWhoLeaves: what was begun for a client that is gone after its first wheel is built all the same, and one that fails is
// told to the next who asks without another try.
func TestEarlyStartForWhoLeaves(t *testing.T) {
	t.Parallel()
	r := newRacingRig(t)
	r.up.Add(spec("first", "1.0", "1"), testindex.Spec{Name: "second", Version: "1.0", BuildRequires: []string{"tool"}, BuildSleep: 2 * time.Second},
		spec("tool", "1.0", "t"), testindex.Spec{Name: "third", Version: "1.0", FailBuild: "no such header: frobnicate.h"}, spec("fourth", "1.0", "4"))
	r.start()
	agent := map[string]string{"User-Agent": "one client"}
	for _, p := range []string{"first", "second", "third"} {
		r.get(r.only(p).URL+".metadata", agent)
	}
	r.get(r.only("fourth").URL+".metadata", map[string]string{"User-Agent": "another"})
	r.get(r.only("first").URL, agent)
	r.eventually("what was begun early has ended", func() bool {
		return r.only("second").hit() && r.count(`axle_builds_total{outcome="failed"}`) == 1
	})
	began := time.Now()
	_, out, err := r.install(clients(t)[2], r.home(), "third")
	if err == nil || !strings.Contains(out, "frobnicate.h") {
		t.Errorf("installing what does not build: %v\n%s", err, out)
	}
	t.Logf("told after %s", time.Since(began).Round(100*time.Millisecond))
	if got := r.count(`axle_builds_total{outcome="failed"}`); got != 1 {
		t.Errorf("tried %d times, want once", got)
	}
	if got := r.built(); got != 3 || r.only("fourth").hit() {
		t.Errorf("%d builds, want first, second and tool", got)
	}
}

// TestEarlyGivesWay: builds that nobody waits for may have every worker, and still who comes and waits is served long before they end.
// None of them is lost.
func TestEarlyGivesWay(t *testing.T) {
	t.Parallel() // most of it is sleep
	r := newRacingRig(t)
	r.up.Add(spec("first", "1.0", "1"), spec("urgent", "1.0", "u"))
	for _, p := range []string{"guess0", "guess1"} {
		r.up.Add(testindex.Spec{Name: p, Version: "1.0", BuildSleep: 15 * time.Second})
	}
	r.start()
	agent := map[string]string{"User-Agent": "one client"}
	for _, p := range []string{"first", "guess0", "guess1"} {
		r.get(r.only(p).URL+".metadata", agent)
	}
	r.get(r.only("first").URL, agent)
	r.eventually("both guesses run", func() bool { return strings.Count(r.get("/api/v1/builds", nil).body, "running the backend") == 2 })
	began := time.Now()
	if got := r.get(r.only("urgent").URL, map[string]string{"User-Agent": "another"}); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	took := time.Since(began)
	if got := r.built(); got != 2 || took > 12*time.Second {
		t.Errorf("%s was waited while two guesses ran, %d builds had ended", took, got)
	}
	r.eventually("the guesses are built", func() bool { return r.built() == 4 })
	t.Logf("waited %s", took)
}
