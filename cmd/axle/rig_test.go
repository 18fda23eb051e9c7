package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/internal/testindex"
	"github.com/python-wheel-build/axle/internal/testtools"
)

// The tests here run the real program, as a person would, with real pip and real uv.

// The program under test, and the same with the race detector, for tests in which much happens at once: it takes three times as long
// to start.
var axle, axleRace string

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "axle-program-")
	if err == nil {
		axle, axleRace = filepath.Join(dir, "axle"), filepath.Join(dir, "axle-race")
		for _, args := range [][]string{{"build", "-o", axle, "."}, {"build", "-race", "-o", axleRace, "."}} {
			if out, failed := exec.Command("go", args...).CombinedOutput(); failed != nil {
				err = fmt.Errorf("%w: %s", failed, out)
			}
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// rig is a server on its own store and upstream, its configuration, and the clients that talk to it.
type rig struct {
	t         *testing.T
	program   string
	dir       string
	up        *testindex.Index
	store     string // --store
	args      []string
	env       []string // of the server, beside the test's own
	callerEnv []string // of other commands, likewise
	config    string   // text of axle.yaml, %UP% is the upstream's URL; "" starts without --config
	cmd       *exec.Cmd
	base      string // "http://127.0.0.1:port"
	out       *lines
	exited    chan struct{}
}

func newRig(t *testing.T) *rig {
	dir := t.TempDir()
	r := &rig{t: t, program: axle, dir: dir, up: testindex.New(t), store: filepath.Join(dir, "store"), out: &lines{}}
	r.config = "views:\n  default:\n    settings: overrides/\n    build: on-demand\n    upstream: {main: %UP%}\n"
	r.write("overrides/settings.yaml", "")
	r.args = []string{"--workers", "2"}
	t.Cleanup(func() {
		r.kill()
		if t.Failed() {
			t.Logf("the server said:\n%s", r.out.all())
		}
	})
	return r
}

// newRacingRig is one whose server has the race detector: a race that it sees ends the server, and with it the test.
func newRacingRig(t *testing.T) *rig {
	r := newRig(t)
	r.program = axleRace
	r.env = append(r.env, "GORACE=halt_on_error=1")
	return r
}

func (r *rig) ok(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// write puts a file into the rig's folder; an empty text removes patches and settings, but for settings.yaml.
func (r *rig) write(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	r.ok(os.MkdirAll(filepath.Dir(path), 0o755))
	r.ok(os.WriteFile(path, []byte(text), 0o644))
}

func (r *rig) remove(name string) {
	r.t.Helper()
	r.ok(os.RemoveAll(filepath.Join(r.dir, name)))
}

// start runs the server until it says that it listens.
func (r *rig) start() {
	r.t.Helper()
	args := append([]string{"serve", "--listen", "127.0.0.1:0", "--store", r.store, "--tools", testtools.Dir(r.t)}, r.args...)
	if r.config != "" {
		r.write("axle.yaml", strings.ReplaceAll(r.config, "%UP%", r.up.URL))
		args = append(args, "--config", filepath.Join(r.dir, "axle.yaml"))
	}
	r.cmd = exec.Command(r.program, args...)
	r.cmd.Env = append(clientEnv(r.dir+"/server-home"), "XDG_CACHE_HOME="+cacheHome(r.t))
	r.cmd.Env = append(r.cmd.Env, r.env...)
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	r.cmd.Stderr = r.out
	stdout, err := r.cmd.StdoutPipe()
	r.ok(err)
	r.ok(r.cmd.Start())
	exited := make(chan struct{})
	r.exited = exited
	line := make(chan string, 1)
	go func() {
		s := bufio.NewScanner(stdout)
		for s.Scan() {
			select {
			case line <- s.Text():
			default:
			}
		}
		_ = r.cmd.Wait() // how it ended is seen by what it did
		close(exited)
	}()
	select {
	case l := <-line:
		_, after, _ := strings.Cut(l, "--index-url ")
		r.base, _, _ = strings.Cut(after, "/simple/")
	case <-exited:
		r.t.Fatalf("the server ended at once:\n%s", r.out.all())
	case <-time.After(3 * time.Minute):
		r.t.Fatal("the server does not listen after three minutes")
	}
}

// kill ends the server as a power cut would.
func (r *rig) kill() {
	if r.cmd != nil && r.cmd.Process != nil {
		_ = r.cmd.Process.Kill() // it may have ended
		<-r.exited
		r.cmd = nil
	}
}

// stop ends it as an operator would.
func (r *rig) stop() {
	r.t.Helper()
	r.ok(r.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-r.exited:
		r.cmd = nil
	case <-time.After(30 * time.Second):
		r.t.Fatal("the server has not stopped thirty seconds after SIGTERM")
	}
}

// hup has the configuration read anew.
func (r *rig) hup() {
	r.t.Helper()
	const told = `msg="changes told" why=SIGHUP`
	before := strings.Count(r.out.all(), told)
	r.ok(r.cmd.Process.Signal(syscall.SIGHUP))
	r.eventually("the configuration is read anew", func() bool { return strings.Count(r.out.all(), told) > before })
}

func (r *rig) eventually(what string, done func() bool) {
	r.t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("not after a minute: %s", what)
		}
	}
}

// count reads a counter such as `axle_builds_total{outcome="built"}`.
func (r *rig) count(metric string) int {
	r.t.Helper()
	for _, line := range strings.Split(r.get("/metrics", nil).body, "\n") {
		if name, value, ok := strings.Cut(line, " "); ok && name == metric {
			n, err := strconv.Atoi(value)
			r.ok(err)
			return n
		}
	}
	r.t.Fatalf("no metric %s", metric)
	return 0
}

func (r *rig) built() int { r.t.Helper(); return r.count(`axle_builds_total{outcome="built"}`) }

type response struct {
	status int
	header http.Header
	body   string
}

func (r *rig) get(path string, header map[string]string) response {
	r.t.Helper()
	return r.fetch(http.DefaultClient, path, header)
}

func (r *rig) fetch(c *http.Client, path string, header map[string]string) response {
	r.t.Helper()
	if !strings.HasPrefix(path, "http") {
		path = r.base + path
	}
	req, err := http.NewRequest(http.MethodGet, path, nil)
	r.ok(err)
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := c.Do(req)
	r.ok(err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	r.ok(err)
	return response{resp.StatusCode, resp.Header, string(b)}
}

// client is one way to install.
type client struct {
	name string
	argv []string
}

// clients are those that must work with their own defaults.
func clients(t *testing.T) []client {
	tools := testtools.Dir(t)
	python := filepath.Join(tools, "pip-26.3", "bin", "python")
	return []client{
		{"pip 23.2", []string{filepath.Join(tools, "pip-23.2", "bin", "python"), "-m", "pip", "install"}},
		{"pip 26.3", []string{python, "-m", "pip", "install"}},
		{"uv", []string{filepath.Join(tools, "bin", "uv"), "pip", "install", "--python", python}},
	}
}

// clientEnv is the environment of a person who has set nothing.
func clientEnv(home string) []string {
	var env []string
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); !strings.HasPrefix(name, "PIP_") && !strings.HasPrefix(name, "UV_") && name != "HOME" && !strings.HasPrefix(name, "XDG_") {
			env = append(env, e)
		}
	}
	return append(env, "HOME="+home)
}

// install runs a client; its cache lies in home. It gives the folder that was installed into and what the client printed.
func (r *rig) install(c client, home string, reqs ...string) (folder, output string, err error) {
	r.t.Helper()
	folder, err = os.MkdirTemp(r.dir, "installed-")
	r.ok(err)
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	args := append(c.argv[1:len(c.argv):len(c.argv)], "--target", folder, "--index-url", r.base+"/simple/")
	cmd := exec.CommandContext(ctx, c.argv[0], append(args, reqs...)...)
	cmd.Env = clientEnv(home)
	cmd.Dir = r.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	return folder, string(out), err
}

// installs demands that it works.
func (r *rig) installs(c client, home string, reqs ...string) (folder string) {
	r.t.Helper()
	folder, out, err := r.install(c, home, reqs...)
	if err != nil {
		r.t.Fatalf("%s install %s: %v\n%s", c.name, reqs, err, out)
	}
	return folder
}

func (r *rig) home() string {
	r.t.Helper()
	home, err := os.MkdirTemp(r.dir, "home-")
	r.ok(err)
	return home
}

var markerLine = regexp.MustCompile(`(?m)^MARKER = "(.*)"$`)

// marker is what an installed generated project says of itself.
func (r *rig) marker(folder, module string) string {
	r.t.Helper()
	b, err := os.ReadFile(filepath.Join(folder, module+".py"))
	r.ok(err)
	m := markerLine.FindSubmatch(b)
	if m == nil {
		r.t.Fatalf("no MARKER in %s", b)
	}
	return string(m[1])
}

// run runs another command of the program under test.
func (r *rig) run(args ...string) (stdout, stderr string, err error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, axle, args...)
	cmd.Env = append(append(clientEnv(r.dir), "AXLE_SERVER="+r.base, "AXLE_STORE="+r.store), r.callerEnv...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// lines collects what the server says.
type lines struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// cacheHome is where servers remember the hashes of the machine's files: one place for all tests, which would only repeat the work.
func cacheHome(t *testing.T) string {
	dir := filepath.Join(testtools.Dir(t), "cache")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// patchMarker is a patch that gives a generated project another MARKER.
func patchMarker(module, before, after string) string {
	return fmt.Sprintf("--- a/%[1]s.py\n+++ b/%[1]s.py\n@@ -1 +1 @@\n-MARKER = %[2]q\n+MARKER = %[3]q\n", module, before, after)
}
