package index

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/testindex"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/view"
)

// askedOf are the versions of a project that the builder was asked for, each as often as it was.
func (b *fakeBuilder) askedOf(p dist.Project) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for _, a := range b.asked {
		if a.Project == p {
			out = append(out, a.Version.String())
		}
	}
	return out
}

// jobs puts versions upstream whose metadata only a job can tell, and gives the URLs of that.
func (w *world) jobs(project string, n int) []string {
	w.Helper()
	for i := range n {
		w.add(testindex.Spec{Name: project, Version: fmt.Sprintf("%d.0", i+1), MetadataVersion: "2.1"})
	}
	var urls []string
	for _, f := range w.listed("simple/" + project + "/") {
		urls = append(urls, f.URL+".metadata")
	}
	return urls
}

// all asks for all of them at once and gives the statuses.
func (w *world) all(urls []string) []int {
	out := make([]int, len(urls))
	var all sync.WaitGroup
	for i, u := range urls {
		all.Go(func() { out[i] = w.get(u).status })
	}
	all.Wait()
	return out
}

// from asks from another address of this machine.
func (w *world) from(address, url string) int {
	w.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	req, err := http.NewRequestWithContext(w.Context(), "GET", url, nil)
	check(w, err)
	res, err := (&http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}).RoundTrip(req)
	check(w, err)
	_ = res.Body.Close()
	return res.StatusCode
}

func TestMetadataIsBoundedPerClientAndProject(t *testing.T) {
	w := newWorld(t, quick)
	urls := w.jobs("demo", 8)
	if a := w.get(urls[6]); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	rec := w.build("demo", "8.0")
	w.add(testindex.Spec{Name: "other", Version: "1.0", MetadataVersion: "2.1"})
	w.builder.asked = nil
	release := w.builder.hold(t)

	// Two run, and keep their places when those who asked have left; the others wait like them.
	for visit := range 3 {
		for i, status := range w.all(urls[:6]) {
			if status != 307 {
				t.Errorf("visit %d of %s: %d", visit, urls[i], status)
			}
		}
		if got := w.builder.askedOf("demo"); len(got) != asksPerProject {
			t.Fatalf("visit %d: the builder was asked for %s", visit, got)
		}
	}
	first := w.builder.askedOf("demo")

	// What is known waits for nobody.
	start := time.Now()
	for _, url := range []string{urls[6], urls[7], w.url + filePath(rec) + ".metadata"} {
		if a := w.get(url); a.status != 200 {
			t.Errorf("%s: %d", url, a.status)
		}
	}
	if took := time.Since(start); took > w.Server.Hold {
		t.Errorf("what is known took %s", took)
	}
	// Neither does another project, nor another client; who asks for what runs already takes no place for it.
	if w.get(w.listed("simple/other/")[0].URL + ".metadata"); len(w.builder.askedOf("other")) != 1 {
		t.Error("another project waits")
	}
	for i, url := range urls[:6] {
		if slices.Contains(first, fmt.Sprintf("%d.0", i+1)) {
			w.from("127.0.0.2", url)
		}
	}
	if got := w.builder.askedOf("demo"); len(got) != asksPerProject {
		t.Errorf("two clients with the same question: the builder was asked for %s", got)
	}
	for _, url := range urls[:6] {
		w.from("127.0.0.2", url)
	}
	if got := w.builder.askedOf("demo"); len(got) != 2*asksPerProject {
		t.Errorf("two clients: the builder was asked for %s", got)
	}
	// Nor does the builder itself, ever: it would hold a place and wait for one.
	var inside sync.WaitGroup
	for _, url := range urls[:6] {
		inside.Go(func() {
			if a := w.get(strings.Replace(url, w.url, w.private, 1)); a.status != 200 {
				t.Errorf("inside: %d %s", a.status, a.body)
			}
		})
	}
	for end := time.Now().Add(5 * time.Second); len(w.builder.askedOf("demo")) != 2*asksPerProject+6; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("inside: the builder was asked for %s only", w.builder.askedOf("demo"))
		}
	}
	release()
	inside.Wait()
	for i, status := range w.all(urls) {
		if status != 200 {
			t.Errorf("in the end, %s: %d", urls[i], status)
		}
	}
	for i := range 6 {
		if n := w.builder.did(fmt.Sprintf("metadata demo==%d.0", i+1)); n != 1 {
			t.Errorf("%d.0: worked %d times", i+1, n)
		}
	}
}

// All clients and projects together have a bound too; the builder's own questions pass it.
func TestMetadataIsBoundedForAllTogether(t *testing.T) {
	w := newWorld(t, quick)
	if got, want := w.Server.asks.limit, asksPerCPU*runtime.GOMAXPROCS(0); got != want {
		t.Errorf("the bound is %d, want %d", got, want)
	}
	w.Server.asks.limit = 3
	var urls []string
	for i := range 6 {
		urls = append(urls, w.jobs(fmt.Sprintf("demo%d", i), 1)...)
	}
	asked := func() int {
		w.builder.mu.Lock()
		defer w.builder.mu.Unlock()
		return len(w.builder.asked)
	}
	release := w.builder.hold(t)
	if w.all(urls); asked() != 3 {
		t.Errorf("the builder was asked %d times", asked())
	}
	var inside sync.WaitGroup
	inside.Go(func() { w.get(strings.Replace(urls[0], w.url, w.private, 1)) })
	for end := time.Now().Add(5 * time.Second); asked() != 4; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the builder's own question waits")
		}
	}
	release()
	inside.Wait()
	for i, status := range w.all(urls) {
		if status != 200 {
			t.Errorf("in the end, %s: %d", urls[i], status)
		}
	}
}

// A place that gets free is taken at once by one who waits; one who left while waiting has none and starts nothing.
func TestMetadataThatWaitsForAPlace(t *testing.T) {
	w := newWorld(t, nil) // nobody is sent on: waits are ended by answers
	urls := w.jobs("demo", 4)
	release := w.builder.hold(t)
	var all sync.WaitGroup
	ask := func(url string) {
		all.Go(func() {
			if a := w.get(url); a.status != 200 {
				t.Errorf("%s: %d %s", url, a.status, a.body)
			}
		})
	}
	ask(urls[0])
	ask(urls[1])
	for len(w.builder.askedOf("demo")) != 2 {
		time.Sleep(time.Millisecond)
	}
	ask(urls[2])
	client := http.Client{Timeout: 100 * time.Millisecond}
	if res, err := client.Get(urls[3]); err == nil {
		t.Errorf("an answer: %d", res.StatusCode)
	}
	start := time.Now()
	release()
	all.Wait()
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("a free place was taken after %s", took)
	}
	if got := slices.Sorted(slices.Values(w.builder.askedOf("demo"))); !slices.Equal(got, []string{"1.0", "2.0", "3.0"}) {
		t.Errorf("the builder was asked for %s", got)
	}
}

// What asks itself keeps to, with a builder of the test's own.
func newTestAsks(limit int, metadata func(context.Context, resolver.Ask) (resolver.Promised, error)) *asks {
	return &asks{metadata: metadata, limit: limit, time: time.Minute, running: map[string]*asking{}, places: map[place]int{}, changed: make(chan struct{})}
}

func (q *asks) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.running) == 0 && len(q.places) == 0
}

func demoAsk(t *testing.T, project string, n int) resolver.Ask {
	return resolver.Ask{View: &view.View{}, Project: parsedProject(t, project), Version: parsedVersion(t, fmt.Sprint(n))}
}

// Many clients ask for many versions of many projects, some leave: no bound is passed, nobody is forgotten, and no place is lost.
func TestAsksKeepToTheirBounds(t *testing.T) {
	const limit = 5
	var (
		mu         sync.Mutex
		now, most  int
		ofProject  = map[dist.Project]int{}
		projectMax int
		same       = map[string]int{}
	)
	q := newTestAsks(limit, func(_ context.Context, a resolver.Ask) (resolver.Promised, error) {
		key := fmt.Sprint(a.Project, a.Version)
		mu.Lock()
		now++
		ofProject[a.Project]++
		same[key]++
		most, projectMax = max(most, now), max(projectMax, ofProject[a.Project])
		if same[key] > 1 {
			t.Errorf("%s runs twice", key)
		}
		mu.Unlock()
		time.Sleep(time.Duration(rand.Int64N(int64(2 * time.Millisecond))))
		mu.Lock()
		defer mu.Unlock()
		now--
		ofProject[a.Project]--
		same[key]--
		return resolver.Promised{How: key}, nil
	})
	var all sync.WaitGroup
	for client := range 2 {
		for n := range 400 {
			all.Go(func() {
				ctx := t.Context()
				if n%10 == 0 {
					short, cancel := context.WithTimeout(ctx, time.Duration(n)*time.Millisecond/10)
					defer cancel()
					ctx = short
				}
				a := demoAsk(t, fmt.Sprintf("p%d", n%4), n)
				p, err := q.ask(ctx, fmt.Sprint(client), a)
				if want := fmt.Sprint(a.Project, a.Version); err == nil && p.How != want || err != nil && (n%10 != 0 || !errors.Is(err, resolver.ErrPending)) {
					t.Errorf("%s: %+v, %v", want, p, err)
				}
			})
		}
	}
	all.Wait()
	if most != limit || projectMax > 2*asksPerProject || projectMax < asksPerProject {
		t.Errorf("%d at once, want %d; %d of one project by two clients", most, limit, projectMax)
	}
	for end := time.Now().Add(5 * time.Second); !q.empty(); time.Sleep(time.Millisecond) { // of those who left
		if time.Now().After(end) {
			t.Fatal("places are lost")
		}
	}
}

func TestAskKeepsItsPlaceUntilTheWorkEnds(t *testing.T) {
	gate := make(chan struct{})
	var ran sync.Map
	q := newTestAsks(1, func(ctx context.Context, a resolver.Ask) (resolver.Promised, error) {
		ran.Store(a.Version.String(), true)
		select {
		case <-gate:
			return resolver.Promised{How: "static"}, nil
		case <-ctx.Done():
			return resolver.Promised{}, ctx.Err()
		}
	})
	leave := func(n int) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, err := q.ask(ctx, "c", demoAsk(t, "demo", n)); !errors.Is(err, resolver.ErrPending) {
			t.Errorf("%d: %v", n, err)
		}
	}
	leave(1)
	leave(2)
	if _, two := ran.Load("2"); two || q.empty() {
		t.Error("the place was given away while its work went on")
	}
	close(gate)
	if _, err := q.ask(t.Context(), "c", demoAsk(t, "demo", 2)); err != nil {
		t.Error(err)
	}

	// Work that hangs keeps it for a bounded time.
	gate, q.time = make(chan struct{}), 50*time.Millisecond
	if _, err := q.ask(t.Context(), "c", demoAsk(t, "demo", 3)); !errors.Is(err, resolver.ErrPending) || !q.empty() {
		t.Errorf("what hangs: %v", err)
	}
	// Nobody who has left already starts anything.
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := q.ask(gone, "c", demoAsk(t, "demo", 4)); !errors.Is(err, resolver.ErrPending) || !q.empty() {
		t.Errorf("%v", err)
	}
	if _, four := ran.Load("4"); four {
		t.Error("work for nobody")
	}
}

func TestAskThatPanicsCostsItselfOnly(t *testing.T) {
	q := newTestAsks(1, func(context.Context, resolver.Ask) (resolver.Promised, error) { panic("a stranger's file") })
	if _, err := q.ask(t.Context(), "c", demoAsk(t, "demo", 1)); err == nil || !strings.Contains(err.Error(), "a stranger's file") || !q.empty() {
		t.Error(err)
	}
}

func TestClientOf(t *testing.T) {
	for from, want := range map[string]string{
		"10.0.0.7:1234": "10.0.0.7", "[::ffff:10.0.0.7]:99": "10.0.0.7", "[2001:db8:1:2:3:4:5:6]:1": "2001:db8:1:2::/64", "[fe80::1%eth0]:1": "fe80::/64", "@": "@",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = from
		r.Header.Set("X-Forwarded-For", "192.0.2.1")
		if got := clientOf(r); got != want {
			t.Errorf("%s: %s, want %s", from, got, want)
		}
	}
}
