package index

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/index/asks"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/testindex"
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
		if got := w.builder.askedOf("demo"); len(got) != asks.PerProject {
			t.Fatalf("visit %d: the builder was asked for %s", visit, got)
		}
	}
	first := w.builder.askedOf("demo")

	// What is known waits for nobody.
	start := time.Now()
	for _, url := range []string{urls[6], urls[7], w.url + filePath(&view.View{}, rec) + ".metadata"} {
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
	if got := w.builder.askedOf("demo"); len(got) != asks.PerProject {
		t.Errorf("two clients with the same question: the builder was asked for %s", got)
	}
	for _, url := range urls[:6] {
		w.from("127.0.0.2", url)
	}
	if got := w.builder.askedOf("demo"); len(got) != 2*asks.PerProject {
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
	for end := time.Now().Add(5 * time.Second); len(w.builder.askedOf("demo")) != 2*asks.PerProject+6; time.Sleep(10 * time.Millisecond) {
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
	w.Server.asks.Limit = 3
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
