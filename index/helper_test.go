package index

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/cas/disk"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/testindex"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/environ"
	"github.com/python-wheel-build/axle/resolver/names"
	"github.com/python-wheel-build/axle/resolver/source"
	"github.com/python-wheel-build/axle/resolver/upstream"
	"github.com/python-wheel-build/axle/resolver/view"
	"github.com/python-wheel-build/axle/resolver/view/config"
)

// world is a server with a real catalogue on a disk store, a fake upstream, and a builder that makes wheels without building.
type world struct {
	*testing.T
	Catalog *resolver.Catalog
	Names   *names.Names
	Server  *Server
	up      *testindex.Index
	dir     string
	builder *fakeBuilder
	url     string // of the public side, ends in a slash
	private string
	asker   *resolver.Asker // of the private side's requests
}

func newWorld(t *testing.T, change func(*Server)) *world {
	t.Helper()
	ctx := t.Context()
	dir := t.TempDir()
	backend, err := disk.Open(dir)
	check(t, err)
	store, err := cas.Open(ctx, backend, t.TempDir())
	check(t, err)
	t.Cleanup(func() { _ = store.Close() })
	w := &world{T: t, up: testindex.New(t), dir: dir, asker: &resolver.Asker{ID: "flight"}}
	catalog := &resolver.Catalog{Sources: source.Sources{Store: store, Upstream: &upstream.Client{}}}
	w.builder = &fakeBuilder{catalog: catalog, specs: map[string]testindex.Spec{}, errs: map[string]error{}, logs: map[string]cas.Digest{}, flights: map[string]*flight{}, count: map[string]int{}}
	t.Cleanup(w.builder.running.Wait) // work outlives its askers, but not the store
	w.Server = &Server{Catalog: catalog, Names: &names.Names{Store: store}, Builder: w.builder, Registry: prometheus.NewRegistry(), Hosts: []string{"Wheels.example", "localhost"}}
	w.Catalog, w.Names = catalog, w.Server.Names
	if change != nil {
		change(w.Server)
	}
	w.publish("default", true, "")
	public := httptest.NewServer(w.Server.Handler())
	t.Cleanup(public.Close)
	private := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.Server.Private().ServeHTTP(rw, r.WithContext(resolver.WithAsker(r.Context(), w.asker)))
	}))
	t.Cleanup(private.Close)
	w.url, w.private = public.URL+"/", private.URL+"/"
	return w
}

// publish points a name to a view with these constraints and private names.
func (w *world) publish(name string, onDemand bool, constraints string, private ...string) *view.View {
	w.Helper()
	c := config.View{Upstream: []config.Index{{Name: "main", URL: w.up.Base()}}, Private: private}
	if constraints != "" {
		c.Constraints = []string{w.TempDir() + "/constraints.txt"}
		check(w, os.WriteFile(c.Constraints[0], []byte(constraints+"\n"), 0o666))
	}
	v, err := view.Publish(w.Context(), w.Catalog.Store, c, view.Machine{Environment: environ.Set{"python": {Value: "3"}}, Target: target(w.T)})
	check(w, err)
	last, err := w.Names.Newest(w.Context(), name)
	check(w, err)
	_, err = w.Names.Point(w.Context(), last, names.Pointer{Name: name, View: v.Digest(), OnDemand: onDemand, Origins: v.Origins, Who: "test"})
	check(w, err)
	return v
}

// add puts versions upstream and lets the builder have their wheels.
func (w *world) add(specs ...testindex.Spec) {
	w.up.Add(specs...)
	for _, s := range specs {
		w.builder.specs[s.Name+"=="+s.Version] = s
	}
}

// build makes a version a hit.
func (w *world) build(p, v string) resolver.Record {
	w.Helper()
	name, err := w.Names.Get(w.Context(), "default")
	check(w, err)
	rec, err := w.builder.Ensure(w.Context(), resolver.Ask{View: name.View, Project: parsedProject(w, p), Version: parsedVersion(w, v)})
	check(w, err)
	return rec
}

// listed are the files of a page.
func (w *world) listed(path string) []listed {
	w.Helper()
	res := w.get(w.url+path, "Accept", "application/vnd.pypi.simple.v1+json")
	if res.status != 200 {
		w.Fatalf("%s: %d %s", path, res.status, res.body)
	}
	var page struct{ Files []listed }
	check(w, json.Unmarshal([]byte(res.body), &page))
	for i := range page.Files {
		u, err := res.request.URL.Parse(page.Files[i].URL)
		check(w, err)
		page.Files[i].URL = u.String()
	}
	return page.Files
}

type listed struct {
	Filename string
	URL      string // absolute
	Hashes   map[string]string
	Size     int64
	Yanked   any
	Core     any    `json:"core-metadata"`
	Python   string `json:"requires-python"`
	Uploaded string `json:"upload-time"`
}

type answer struct {
	status  int
	header  http.Header
	body    string
	request *http.Request
}

func (w *world) get(url string, header ...string) answer {
	w.Helper()
	return w.do("GET", url, "", header...)
}

// do asks without following redirects or unpacking.
func (w *world) do(method, url, body string, header ...string) answer {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), method, url, strings.NewReader(body))
	check(w, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
	}
	res, err := (&http.Transport{DisableCompression: true, DisableKeepAlives: true}).RoundTrip(req)
	check(w, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	check(w, err)
	return answer{res.StatusCode, res.Header, string(b), req}
}

func (a answer) problem(t testing.TB) Problem {
	t.Helper()
	var p Problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil || a.header.Get("Content-Type") != "application/problem+json" || p.Status != a.status {
		t.Fatalf("%d %v %s: no problem (%v)", a.status, a.header, a.body, err)
	}
	return p
}

// counter reads a metric from /metrics.
func (w *world) counter(series string) string {
	w.Helper()
	for line := range strings.SplitSeq(w.get(w.url+"metrics").body, "\n") {
		if rest, ok := strings.CutPrefix(line, series+" "); ok {
			return rest
		}
	}
	return ""
}

// fakeBuilder keeps the rules of a builder: one flight per version and stage, a wait that ends with its context and a build that
// doesn't, records and metadata where the catalogue looks for them. Only the wheel comes from testindex.
type fakeBuilder struct {
	catalog *resolver.Catalog

	mu      sync.Mutex // guards what follows
	specs   map[string]testindex.Spec
	errs    map[string]error // instead of a wheel
	logs    map[string]cas.Digest
	gate    chan struct{}    // nil, or work is done once it is closed
	told    []resolver.Event // to every asker that watches
	flights map[string]*flight
	count   map[string]int // works done, by stage and version
	asked   []resolver.Ask
	running sync.WaitGroup

	underWay []resolver.Flight
	follow   func(context.Context, string, uint64, func(uint64, resolver.Event)) error
}

type flight struct {
	done     chan struct{}
	record   resolver.Record
	promised resolver.Promised
	err      error
}

func (b *fakeBuilder) Ensure(ctx context.Context, a resolver.Ask) (resolver.Record, error) {
	f, err := b.wait(ctx, "wheel", a, b.wheel)
	if err != nil {
		return resolver.Record{}, err
	}
	return f.record, f.err
}

func (b *fakeBuilder) Metadata(ctx context.Context, a resolver.Ask) (resolver.Promised, error) {
	f, err := b.wait(ctx, "metadata", a, b.metadata)
	if err != nil {
		return resolver.Promised{}, err
	}
	return f.promised, f.err
}

// Check notes that a second build gave other bytes.
func (b *fakeBuilder) Check(ctx context.Context, a resolver.Ask, r resolver.Record) (resolver.Check, error) {
	other, err := b.catalog.Store.AddBytes(ctx, []byte("another wheel"))
	if err != nil {
		return resolver.Check{}, err
	}
	return b.catalog.NoteCheck(ctx, resolver.Check{Project: r.Project, Version: r.Version, Recipe: r.Recipe, Input: r.Input(), Outcome: resolver.CheckDifferent,
		Wheel: r.Wheel, Other: other, Differences: []string{"demo.py: …"}, Log: r.Log, Who: "fake", When: time.Now()})
}

func (b *fakeBuilder) wait(ctx context.Context, stage string, a resolver.Ask, work func(context.Context, resolver.Ask, *flight) error) (*flight, error) {
	key := stage + " " + string(a.Project) + "==" + a.Version.String()
	b.mu.Lock()
	b.asked = append(b.asked, a)
	for _, e := range b.told {
		if a.Watch != nil {
			a.Watch(e)
		}
	}
	f, ok := b.flights[key]
	if !ok {
		f = &flight{done: make(chan struct{})}
		b.flights[key] = f
		gate := b.gate
		b.running.Go(func() {
			if gate != nil {
				<-gate
			}
			f.err = work(context.WithoutCancel(ctx), a, f)
			b.mu.Lock()
			defer b.mu.Unlock()
			delete(b.flights, key)
			close(f.done)
		})
	}
	b.mu.Unlock()
	select {
	case <-f.done:
		return f, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: %w", key, resolver.ErrPending)
	}
}

func (b *fakeBuilder) plan(stage string, a resolver.Ask) (testindex.Spec, error) {
	pin := string(a.Project) + "==" + a.Version.String()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count[stage+" "+pin]++
	if err := b.errs[pin]; err != nil {
		return testindex.Spec{}, err
	}
	s, ok := b.specs[pin]
	if !ok {
		return s, fmt.Errorf("the fake builder knows no %s", pin)
	}
	return s, nil
}

func (b *fakeBuilder) wheel(ctx context.Context, a resolver.Ask, f *flight) error {
	answer, err := b.catalog.Lookup(ctx, a.View, a.Project, a.Version)
	if err != nil {
		return err
	}
	if answer.Record != nil {
		f.record = *answer.Record
		return nil
	}
	spec, err := b.plan("wheel", a)
	if err != nil {
		return err
	}
	blob, source, err := b.catalog.File(ctx, a.View, answer.Source)
	if err != nil {
		return err
	}
	_ = blob.Close()
	filename, wheel := testindex.Wheel(spec)
	sum, err := b.catalog.Store.AddBytes(ctx, wheel)
	if err != nil {
		return err
	}
	meta, err := b.catalog.Store.AddBytes(ctx, testindex.WheelMetadata(spec))
	if err != nil {
		return err
	}
	recipe := resolver.NewRecipe(a.View, source)
	digest, err := recipe.Digest()
	if err != nil {
		return err
	}
	f.record, err = b.catalog.Publish(ctx, recipe, resolver.Record{Project: a.Project, Version: a.Version, Recipe: digest, Requirements: []resolver.Requirement{}, Wheel: sum,
		Bytes: strconv.Itoa(len(wheel)), Filename: filename, Metadata: meta, RequiresPython: spec.RequiresPython,
		Log: b.logs[string(a.Project)+"=="+a.Version.String()], Who: "fake", When: time.Now()})
	return err
}

func (b *fakeBuilder) metadata(ctx context.Context, a resolver.Ask, f *flight) error {
	answer, err := b.catalog.Lookup(ctx, a.View, a.Project, a.Version)
	if err != nil {
		return err
	}
	if f.promised, err = b.catalog.Promised(ctx, a.View, answer); err == nil {
		return nil
	}
	spec, err := b.plan("metadata", a)
	if err != nil {
		return err
	}
	spec.WheelRequires = nil // the hook says what the sdist would
	blob, source, err := b.catalog.File(ctx, a.View, answer.Source)
	if err != nil {
		return err
	}
	_ = blob.Close()
	sum, err := b.catalog.Store.AddBytes(ctx, testindex.WheelMetadata(spec))
	if err != nil {
		return err
	}
	f.promised, err = b.catalog.Remember(ctx, resolver.NewRecipe(a.View, source), resolver.Promised{How: "prepared", Blob: sum})
	return err
}

func (b *fakeBuilder) fail(pin string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.errs[pin] = err
}

func (b *fakeBuilder) did(work string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count[work]
}

// hold makes work wait until release is called.
func (b *fakeBuilder) hold(t *testing.T) (release func()) {
	gate := make(chan struct{})
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gate = gate
	once := sync.OnceFunc(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.gate = nil
		close(gate)
	})
	t.Cleanup(once)
	return once
}

// failure stores a log and gives the failure that has it.
func (w *world) failure(p, v, log string) *resolver.FailedError {
	w.Helper()
	f := resolver.Failure{Project: parsedProject(w, p), Version: parsedVersion(w, v), Class: "build", Title: "gcc: no such file", Tail: "line one\nline \x1b[31mtwo"}
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b)
	check(w, err)
	_, err = io.WriteString(z, resolver.LogHeader(f.Project, f.Version)+log)
	check(w, err)
	check(w, z.Close())
	f.Log, err = w.Catalog.Store.AddBytes(w.Context(), b.Bytes())
	check(w, err)
	return &resolver.FailedError{Failure: f}
}

func parsedProject(t testing.TB, s string) dist.Project {
	t.Helper()
	p, err := dist.ParseProject(s)
	check(t, err)
	return p
}

func parsedVersion(t testing.TB, s string) version.Version {
	t.Helper()
	v, err := version.Parse(s)
	check(t, err)
	return v
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// target is that of the python3 on PATH, which real clients here run on.
var target = func() func(t *testing.T) dist.Target {
	once := sync.OnceValues(func() (dist.Target, error) {
		out, err := exec.Command("python3", "-c", `import platform, sys
v = sys.version_info
print(f"{v[0]}{v[1]} {v[0]}.{v[1]} {platform.python_version()} {platform.machine()} {platform.libc_ver()[1] or '2.17'}")`).Output()
		f := strings.Fields(string(out))
		if err != nil || len(f) != 5 {
			return dist.Target{}, fmt.Errorf("asking python3 for its version: %v, %q", err, out)
		}
		return dist.Target{Python: "cp" + f[0], ABI: "cp" + f[0], Platform: "linux_" + f[3], Glibc: f[4], PythonVersion: f[1], PythonFullVersion: f[2],
			Implementation: "cpython", Machine: f[3], Markers: map[string]string{"python_version": f[1], "python_full_version": f[2], "sys_platform": "linux",
				"os_name": "posix", "platform_system": "Linux", "platform_machine": f[3], "implementation_name": "cpython",
				"platform_python_implementation": "CPython", "implementation_version": f[2], "platform_release": "", "platform_version": ""}}, nil
	})
	return func(t *testing.T) dist.Target {
		t.Helper()
		got, err := once()
		check(t, err)
		return got
	}
}()

// newServer serves h on loopback until the test ends; the URL ends in a slash.
func newServer(t *testing.T, h http.Handler) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL + "/"
}

// Flights and Follow are a builder's that has no flight to show; a test may give it some.
func (b *fakeBuilder) Flights() []resolver.Flight {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.underWay
}

func (b *fakeBuilder) Follow(ctx context.Context, id string, n uint64, watch func(uint64, resolver.Event)) error {
	return b.follow(ctx, id, n, watch)
}
