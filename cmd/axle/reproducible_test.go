package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/python-wheel-build/axle/cmd/axle/host"
	"github.com/python-wheel-build/axle/index"
)

var twice = flag.Bool("reproducible", false, "build the projects of testdata/reproducible.txt twice and compare the wheels (an hour)")

// TestReproducible builds real sdists of all kinds twice, everything from source, by what `axle build --check` asks of the server, and
// prints what came out. At least 24 of 25 wheels must be the same byte for byte; which one is not, and why, stands in the table.
func TestReproducible(t *testing.T) {
	if !*twice {
		t.Skip("not asked for: `make reproducible` builds some thirty real projects twice")
	}
	text, err := os.ReadFile("testdata/reproducible.txt")
	if err != nil {
		t.Fatal(err)
	}
	var projects [][]string
	order := struct {
		Requirements []string `json:"requirements"`
		Check        bool     `json:"check"`
	}{Check: true}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 {
			projects = append(projects, f)
			order.Requirements = append(order.Requirements, f[0])
		}
	}
	r := newRig(t)
	r.config = "views:\n  default:\n    build: on-demand\n    wheels_only: pre-built\n" // the rest as without a configuration
	toolchain, err := host.RustToolchain(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if toolchain == "" {
		t.Log("no Rust toolchain on PATH but maybe the system's: install one with rustup where projects in Rust are not built")
	} else {
		r.config += "    environment:\n      paths: {rust: " + toolchain + "}\n"
	}
	r.start()
	body, err := json.Marshal(order)
	r.ok(err)
	resp, err := http.Post(r.base+"/api/v1/builds", "application/json", bytes.NewReader(body))
	r.ok(err)
	defer resp.Body.Close()
	results := map[string]index.BuildLine{}
	in := bufio.NewScanner(resp.Body)
	in.Buffer(nil, 8<<20)
	for in.Scan() {
		var l index.BuildLine
		r.ok(json.Unmarshal(in.Bytes(), &l))
		if l.Kind == "result" {
			results[l.Requirement] = l
			t.Logf("%d of %d: %s", len(results), len(projects), l.Requirement)
		}
	}
	r.ok(in.Err())
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	checked, identical := 0, 0
	for _, p := range projects {
		l := results[p[0]]
		outcome := "not built: " + l.Problem
		if l.Check != nil {
			outcome = l.Check.Outcome
			checked++
			if l.Check.Outcome == "identical" {
				identical++
			}
			for _, d := range l.Check.Differences {
				outcome += "; " + d
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", p[0], p[1], p[2], strings.ReplaceAll(outcome, "\n", " "))
	}
	r.ok(w.Flush())
	t.Logf("%d of %d are byte for byte the same:\n%s", identical, checked, table.String())
	if checked < 25 || identical*25 < checked*24 {
		t.Errorf("%d of %d built were identical; want 24 of every 25, and at least 25 built", identical, checked)
	}
}
