package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/python-wheel-build/axle/internal/testindex"
)

// outcome has a version built in a view, as `axle build` does: the URL of its wheel, or the problem.
func (r *rig) outcome(view, req string) (url, problem string) {
	body := fmt.Sprintf(`{"view": %q, "requirements": [%q]}`, view, req)
	resp, err := http.Post(r.base+"/api/v1/builds", "application/json", strings.NewReader(body))
	if err != nil {
		return "", err.Error()
	}
	defer resp.Body.Close()
	in := bufio.NewScanner(resp.Body)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var l line
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			return "", err.Error()
		}
		if l.Kind == "result" {
			return l.URL, l.Problem
		}
	}
	return "", fmt.Sprintf("the stream ended: %v", in.Err())
}

// TestOneRecipeTwoConstraints: two views whose recipes are the same, and whose constraints choose another build requirement, ask at once.
// Neither takes the other's failure, what it is blocked by, or its wheel.
func TestOneRecipeTwoConstraints(t *testing.T) {
	t.Parallel()
	r := newRacingRig(t)
	r.config = ""
	for _, v := range []string{"old", "new"} {
		r.config += "  " + v + ":\n    settings: overrides/\n    constraints: [" + v + ".txt]\n    build: on-demand\n    upstream: {main: %UP%}\n"
	}
	r.config = "views:\n  default:\n    settings: overrides/\n    upstream: {main: %UP%}\n" + r.config
	r.write("old.txt", "helper==1.0\nbroken==1.0\n")
	r.write("new.txt", "helper==2.0\nbroken==2.0\n")
	r.up.Add(testindex.Spec{Name: "helper", Version: "1.0", Marker: "old"}, testindex.Spec{Name: "helper", Version: "2.0", Marker: "new"},
		testindex.Spec{Name: "broken", Version: "1.0", FailBuild: "broken by itself"}, testindex.Spec{Name: "broken", Version: "2.0", Marker: "new"})
	type kind struct {
		name string
		spec testindex.Spec
		old  string // the problem that the old view has; "" for none
	}
	kinds := []kind{
		{"fails", testindex.Spec{BuildRequires: []string{"helper"}, OnBuild: "import helper, time\ntime.sleep(0.3)\nif helper.MARKER == 'old': raise SystemExit('too old a helper')"}, "too old a helper"},
		{"lacks", testindex.Spec{BuildRequires: []string{"broken"}, See: []string{"broken"}}, "broken by itself"},
		{"asks", testindex.Spec{DynamicRequires: []string{"broken"}, See: []string{"broken"}}, "broken by itself"},
		{"works", testindex.Spec{BuildRequires: []string{"helper"}, See: []string{"helper"}, OnBuild: "import time\ntime.sleep(0.3)"}, ""},
	}
	const rounds = 2 // each view is the first to ask in one of them
	for _, k := range kinds {
		for round := range rounds {
			s := k.spec
			s.Name, s.Version = fmt.Sprintf("%s%d", k.name, round), "1.0"
			r.up.Add(s)
		}
	}
	r.start()
	for round := range rounds {
		for _, k := range kinds {
			req := fmt.Sprintf("%s%d==1.0", k.name, round)
			order := []string{"old", "new"}
			if round%2 == 1 {
				order = []string{"new", "old"}
			}
			type answer struct{ view, url, problem string }
			answers := make([]answer, 12)
			var all sync.WaitGroup
			for i := range answers {
				view := order[i%2]
				all.Go(func() {
					url, problem := r.outcome(view, req)
					answers[i] = answer{view, url, problem}
				})
			}
			all.Wait()
			wheels := map[string]string{}
			for _, a := range answers {
				want := ""
				if a.view == "old" {
					want = k.old
				}
				if (a.problem == "") != (want == "") || !strings.Contains(a.problem, want) {
					t.Errorf("%s in view %s: problem %q, want %q", req, a.view, a.problem, want)
				}
				if was, ok := wheels[a.view]; ok && was != a.url {
					t.Errorf("%s in view %s: one asker was told %q, another %q", req, a.view, was, a.url)
				}
				wheels[a.view] = a.url
			}
			if k.old == "" && wheels["old"] == wheels["new"] {
				t.Errorf("%s: both views have the wheel %s", req, wheels["old"])
			}
			for view, url := range wheels {
				project, _, _ := strings.Cut(req, "==")
				cached := r.get("/view/"+view+"/cached/simple/"+project+"/", nil)
				if (url == "") == (cached.status == http.StatusOK && strings.Contains(cached.body, ".whl")) {
					t.Errorf("%s in view %s: wheel %q, and the page of hits is %d %s", req, view, url, cached.status, cached.body)
				}
				if got, _ := r.explained(req, "--view", view); (got == "hit") != (url != "") {
					t.Errorf("%s in view %s: explained as %q, wheel %q", req, view, got, url)
				}
			}
		}
	}
	// helper twice, broken 2.0, and of each kind and round one wheel, or two where both work; the failures are one for each, and broken 1.0.
	if got, want := r.built(), 3+rounds*(len(kinds)+1); got != want {
		t.Errorf("%d builds, want %d", got, want)
	}
	if got, want := r.count(`axle_builds_total{outcome="failed"}`), rounds+1; got != want {
		t.Errorf("%d failures, want %d", got, want)
	}
}
