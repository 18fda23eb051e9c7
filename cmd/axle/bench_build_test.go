package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"github.com/python-wheel-build/axle/internal/testindex"
	"github.com/python-wheel-build/axle/internal/testtools"
)

var benchBuild = flag.Bool("bench-build", false, "compare the CPU time of builds with that of uv build and pip wheel (minutes)")

const (
	benchRounds = 5
	mostOfUV    = 1.3
	mostOfPip   = 1.0
)

// TestBenchBuild compares what a build costs: CPU seconds, user and system, of every process that takes part. Each round builds every
// project once with Axle, with `uv build` and with `pip wheel`, one after the other, so that all three meet the same machine.
//
// All three get the same sdists and the same wheels of the build requirements: those that Axle built while it warmed up. Axle has them
// as hits; the others take them from a folder. uv's cache is warm, as on a developer's machine. pip's is off: a warm one would hold the very wheel that is
// to be built. For Axle it is what people run: one server, one view, and one build after the other. Before each the project's record is
// taken out of the store, which makes it a miss. The server is asked over HTTP what a client asks: the project's page, then
// the promise. The client's own time isn't counted, nor is the server's start.
func TestBenchBuild(t *testing.T) {
	if !*benchBuild {
		t.Skip("minutes of builds: `make bench-build` runs it")
	}
	b := newBuildBench(t)
	for round := range benchRounds + 1 { // the first warms up
		for _, p := range b.projects {
			began := time.Now()
			if round == 0 {
				b.wheel("default", p.name, p.version) // and its build requirements
				b.take(p)
				b.axle(p)
				b.others(p) // warms uv's cache, and shows what doesn't work
				t.Logf("%s %s: ready after %s", p.name, p.version, time.Since(began).Round(time.Second))
				continue
			}
			axle := b.axle(p)
			uv, pip := b.others(p)
			p.axle, p.uv, p.pip = append(p.axle, axle), append(p.uv, uv), append(p.pip, pip)
		}
	}
	b.report()
}

// TestCPUMeter makes sure that no process escapes the measurement, through bubblewrap's process namespace above all.
func TestCPUMeter(t *testing.T) {
	const burn = 0.7
	r := newRig(t)
	r.up.Add(testindex.Spec{Name: "burns", Version: "1.0", OnBuild: fmt.Sprintf(`
import subprocess, time
if os.fork() == 0:
    while time.process_time() < %[1]v: pass
    os._exit(0)
subprocess.run([sys.executable, '-c', 'import time\nwhile time.process_time() < %[1]v: pass'], check=True)
os.wait()`, burn)})
	r.start()
	m := newCPUMeter(t, r)
	spent := m.server(func() { r.wheel("default", "burns", "1.0") })
	t.Logf("%.2f s measured, where a hook's two children alone take %.2f s", spent, 2*burn)
	if spent < 2*burn {
		t.Errorf("only %.2f s were seen", spent)
	}
}

// benched is a project and what its builds took, in CPU seconds by round.
type benched struct {
	name, version string
	sdist         string
	axle, uv, pip []float64
}

type buildBench struct {
	*rig
	meter    *cpuMeter
	projects []*benched
	wheels   string // folder with the wheels of all build requirements
	cache    string // uv's
	python   string // the one that all three build with
}

func newBuildBench(t *testing.T) *buildBench {
	b := &buildBench{rig: newRig(t)}
	b.wheels, b.cache = filepath.Join(b.dir, "wheels"), filepath.Join(b.dir, "uv-cache")
	b.ok(os.Mkdir(b.wheels, 0o755))
	text, err := os.ReadFile(filepath.Join("testdata", "bench-build.txt"))
	b.ok(err)
	for line := range strings.Lines(string(text)) {
		if name, version, ok := strings.Cut(strings.TrimSpace(line), "=="); ok {
			b.projects = append(b.projects, &benched{name: name, version: version})
		}
	}
	b.python, err = exec.LookPath("python3")
	b.ok(err)
	b.args = []string{"--workers", "1"}
	b.config = "views: {default: {build: on-demand, wheels_only: pre-built}}\n"
	b.start()
	b.meter = newCPUMeter(t, b.rig)
	return b
}

// axle has the server build a project once more, and gives the CPU seconds that it took.
func (b *buildBench) axle(p *benched) float64 {
	b.t.Helper()
	b.ok(os.RemoveAll(filepath.Join(b.store, "records", p.name, p.version)))
	time.Sleep(1200 * time.Millisecond) // a page may be a second old
	before := b.built()
	spent := b.meter.server(func() { b.wheel("default", p.name, p.version) })
	if built := b.built() - before; built != 1 {
		b.t.Fatalf("%s: %d built, want 1", p.name, built)
	}
	return spent
}

// wheel fetches the promise of a version, as a client does.
func (r *rig) wheel(view, project, version string) {
	r.t.Helper()
	base, err := url.Parse(fmt.Sprintf("%s/view/%s/simple/%s/", r.base, view, project))
	r.ok(err)
	page := r.get(base.String(), map[string]string{"Accept": "application/vnd.pypi.simple.v1+json"})
	var simple struct {
		Files []struct{ Filename, URL string }
	}
	r.ok(json.Unmarshal([]byte(page.body), &simple))
	prefix := fmt.Sprintf("%s-%s-", strings.ReplaceAll(project, "-", "_"), version)
	for _, f := range simple.Files {
		if strings.HasPrefix(f.Filename, prefix) {
			file, err := base.Parse(f.URL)
			r.ok(err)
			for {
				switch got := r.get(file.String(), nil); got.status {
				case http.StatusOK:
					return
				case http.StatusServiceUnavailable: // it goes on; pip and uv ask again, too
				default:
					r.t.Fatalf("%s: %d\n%s", f.URL, got.status, got.body)
				}
			}
		}
	}
	r.t.Fatalf("%s has no file %s…", project, prefix)
}

// take copies a project's sdist and the wheels of its build requirements out of the store, for the others.
func (b *buildBench) take(p *benched) {
	b.t.Helper()
	type wheel struct{ Project, Version, Wheel string }
	read := func(key string, into any) {
		text, err := os.ReadFile(key)
		b.ok(err)
		b.ok(json.Unmarshal(bytes.SplitN(text, []byte("\n"), 2)[0], into))
	}
	blob := func(digest, to string) {
		_, hex, _ := strings.Cut(digest, ":")
		in, err := os.Open(filepath.Join(b.store, "blobs/sha256", hex[:2], hex))
		b.ok(err)
		defer in.Close()
		out, err := os.Create(to)
		b.ok(err)
		_, err = io.Copy(out, in)
		b.ok(err)
		b.ok(out.Close())
	}
	var source struct {
		How    struct{ Filename string }
		SHA256 string
	}
	read(glob(b.t, b.store, fmt.Sprintf("sources/%s/%s/*/*.json", p.name, p.version))[0], &source)
	p.sdist = filepath.Join(b.dir, source.How.Filename)
	blob(source.SHA256, p.sdist)
	var record struct{ Requirements []wheel }
	read(glob(b.t, b.store, fmt.Sprintf("records/%s/%s/*/*/*.json", p.name, p.version))[0], &record)
	for _, w := range record.Requirements {
		for _, key := range glob(b.t, b.store, fmt.Sprintf("records/%s/%s/*/*/*.json", w.Project, w.Version)) {
			var r struct{ Filename, Wheel string }
			if read(key, &r); r.Wheel == w.Wheel {
				blob(w.Wheel, filepath.Join(b.wheels, r.Filename))
			}
		}
	}
}

// others builds a project with uv and with pip.
func (b *buildBench) others(p *benched) (uv, pip float64) {
	b.t.Helper()
	tools := testtools.Dir(b.t)
	out, err := os.MkdirTemp(b.dir, "out-")
	b.ok(err)
	uv = b.command("UV_CACHE_DIR="+b.cache, filepath.Join(tools, "bin", "uv"), "build", "--wheel", "--python", b.python, "--no-config", "--no-index",
		"--find-links", b.wheels, "--out-dir", filepath.Join(out, "uv"), p.sdist)
	pip = b.command("PIP_CONFIG_FILE=/dev/null", filepath.Join(tools, "pip-26.3", "bin", "python"), "-m", "pip", "wheel", "--no-cache-dir", "--no-deps", "--no-index",
		"--find-links", b.wheels, "--wheel-dir", filepath.Join(out, "pip"), p.sdist)
	for _, by := range []string{"uv", "pip"} {
		glob(b.t, out, by+"/*.whl")
	}
	return uv, pip
}

func (b *buildBench) command(env string, argv ...string) float64 {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(clientEnv(filepath.Join(b.dir, "home")), env)
	cmd.Env = slices.DeleteFunc(cmd.Env, func(e string) bool { return strings.HasPrefix(e, "PYTHON") }) // such as one that forbids bytecode
	cmd.Dir = b.dir
	text, err := cmd.CombinedOutput()
	if err != nil {
		b.t.Fatalf("%s: %v\n%s", argv, err, text)
	}
	return (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds() + b.meter.orphans()
}

// report prints what was measured and fails where Axle takes more than it may.
func (b *buildBench) report() {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "CPU s, median\taxle\tuv build\tpip wheel\tof uv\tof pip\t")
	var sum [3]float64
	var ofUV, ofPip []float64
	for _, p := range b.projects {
		medians := [3]float64{median(p.axle), median(p.uv), median(p.pip)}
		for i, m := range medians {
			sum[i] += m
		}
		uv, pip := ratio(p.axle, p.uv), ratio(p.axle, p.pip)
		ofUV, ofPip = append(ofUV, uv), append(ofPip, pip)
		fmt.Fprintf(w, "%s %s\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t\n", p.name, p.version, medians[0], medians[1], medians[2], uv, pip)
	}
	fmt.Fprintf(w, "all together\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t\n", sum[0], sum[1], sum[2], sum[0]/sum[1], sum[0]/sum[2])
	fmt.Fprintf(w, "geometric mean\t\t\t\t%.2f\t%.2f\t\n", geometric(ofUV), geometric(ofPip))
	b.ok(w.Flush())
	b.t.Logf("%d rounds; ratios are medians of paired ones\n%s", benchRounds, text.String())
	if got := max(sum[0]/sum[1], geometric(ofUV)); got > mostOfUV {
		b.t.Errorf("a build takes %.2f times the CPU time of `uv build`, at most %.2f are allowed", got, mostOfUV)
	}
	if got := max(sum[0]/sum[2], geometric(ofPip)); got > mostOfPip {
		b.t.Errorf("a build takes %.2f times the CPU time of `pip wheel`, at most %.2f are allowed", got, mostOfPip)
	}
}

// ratio is the median of the paired ratios.
func ratio(a, b []float64) float64 {
	var all []float64
	for i := range a {
		all = append(all, a[i]/b[i])
	}
	return median(all)
}

func geometric(all []float64) float64 {
	sum := 0.0
	for _, x := range all {
		sum += math.Log(x)
	}
	return math.Exp(sum / float64(len(all)))
}

// cpuMeter tells what a server and all that it starts take.
type cpuMeter struct {
	t   *testing.T
	pid int
}

// newCPUMeter makes this process the one that inherits the orphans of what it starts. The first process of a bubblewrap sandbox is one, as
// a rule: bubblewrap ends as soon as its command does, and waits for nobody. So what all of a sandbox took is in no number of the server.
func newCPUMeter(t *testing.T, r *rig) *cpuMeter {
	t.Helper()
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) })
	return &cpuMeter{t, r.cmd.Process.Pid}
}

// server gives the CPU seconds that the server, its children and theirs take while do runs, and for what it tidies up after.
func (m *cpuMeter) server(do func()) float64 {
	m.t.Helper()
	m.orphans()
	before := m.own()
	do()
	time.Sleep(200 * time.Millisecond)
	return m.own() - before + m.orphans()
}

// own is what the kernel has for the server and its children that it waited for, in seconds (proc(5): user and system of both).
func (m *cpuMeter) own() float64 {
	m.t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", m.pid))
	if err != nil {
		m.t.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // the name before may hold anything
	const utime, hertz = 14 - 3, 100                                          // USER_HZ, on every Linux that Go runs on
	sum := 0
	for _, f := range fields[utime : utime+4] {
		n, err := strconv.Atoi(f)
		if err != nil {
			m.t.Fatal(err)
		}
		sum += n
	}
	return float64(sum) / hertz
}

// orphans waits for every child of this process but the server: those that nobody else waits for. It gives what they and theirs took.
func (m *cpuMeter) orphans() (seconds float64) {
	m.t.Helper()
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		m.t.Fatal(err)
	}
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue // a thread that ended
		}
		for _, child := range strings.Fields(string(text)) {
			pid, err := strconv.Atoi(child)
			if err != nil || pid == m.pid {
				continue
			}
			var usage syscall.Rusage
			if _, err := syscall.Wait4(pid, nil, 0, &usage); err != nil {
				m.t.Fatalf("waiting for orphan %d: %v", pid, err)
			}
			seconds += time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
		}
	}
	return seconds
}
