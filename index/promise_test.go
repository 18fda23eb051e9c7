package index

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/index/hops"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/testindex"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/upstream"
)

// quick holds requests for a moment only, in tests where a build outlasts that.
func quick(s *Server) { s.Hold = 200 * time.Millisecond }

func TestPromiseIsKept(t *testing.T) {
	w := newWorld(t, nil)
	spec := testindex.Spec{Name: "demo", Version: "1.0", Marker: "mine", Requires: []string{"other>1"}}
	w.add(spec)
	promise := w.listed("simple/demo/")[0]

	for _, url := range []string{promise.URL, promise.URL + ".metadata"} {
		a := w.do("HEAD", url, "")
		if _, there := a.header["Content-Length"]; a.status != 200 || there || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("HEAD: %d %v", a.status, a.header)
		}
	}
	if len(w.builder.asked) != 0 {
		t.Fatal("HEAD asked the builder")
	}
	meta := w.get(promise.URL + ".metadata")
	if meta.status != 200 || meta.body != string(testindex.WheelMetadata(spec)) || meta.header.Get("Cache-Control") != "no-store" {
		t.Errorf("metadata: %d %v %s", meta.status, meta.header, meta.body)
	}
	if w.builder.did("wheel demo==1.0") != 0 || w.counter(`axle_metadata_total{how="static"}`) != "1" {
		t.Error("static metadata were not static")
	}
	_, want := testindex.Wheel(spec)
	for i, header := range []string{"Accept", "Range", "If-None-Match"} {
		a := w.get(promise.URL, header, "bytes=0-1")
		if a.status != 200 || a.body != string(want) || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Type") != "application/octet-stream" ||
			a.header.Get("Content-Length") != fmt.Sprint(len(want)) || a.header.Get("Etag") != "" || a.header.Get("Accept-Ranges") != "" {
			t.Errorf("visit %d: %d %v", i, a.status, a.header)
		}
	}
	if n := w.builder.did("wheel demo==1.0"); n != 1 {
		t.Errorf("built %d times", n)
	}
	if a := w.get(promise.URL + ".metadata"); a.body != meta.body {
		t.Errorf("metadata of what is a hit now: %d %s", a.status, a.body)
	}
	// Of the URL, only view, project and version count.
	name, err := dist.ParseWheelName(promise.Filename)
	check(t, err)
	other := strings.Replace(promise.URL, url.PathEscape(promise.Filename), url.PathEscape(dist.FormatWheelName(name.Project, name.Version, "7_x", "py2-none-any")), 1)
	if a := w.get(other); a.status != 200 || a.body != string(want) {
		t.Errorf("%s: %d %s", other, a.status, a.body)
	}
	for series, want := range map[string]string{`axle_metadata_total{how="built"}`: "1", `axle_lookups_total{result="hit"}`: "4", `axle_lookups_total{result="miss"}`: "4"} {
		if got := w.counter(series); got != want {
			t.Errorf("%s %s, want %s", series, got, want)
		}
	}
}

func TestPromiseOfAnOldViewIsKept(t *testing.T) {
	w := newWorld(t, nil)
	w.add(testindex.Spec{Name: "demo", Version: "1.0"})
	promise := w.listed("simple/demo/")[0]
	w.publish("default", true, "nothing<1")
	if now := w.listed("simple/demo/")[0]; now.URL == promise.URL {
		t.Fatal("the views have one promise")
	}
	if a := w.get(promise.URL); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestPromisesThatAreNone(t *testing.T) {
	w := newWorld(t, nil)
	w.add(testindex.Spec{Name: "demo", Version: "1.0"}, testindex.Spec{Name: "demo", Version: "2.0"})
	w.build("demo", "1.0")
	promise := w.listed("simple/demo/")[1]
	dir := strings.TrimSuffix(promise.URL, url.PathEscape(promise.Filename))
	never := w.publish("frozen", false, "x<1")
	frozen := w.url + "view/@" + string(never.Digest()) + "/promise/"
	for url, want := range map[string]int{
		dir + "demo-3.0-0_1-py3-none-any.whl":                404,
		dir + "nothere-1.0-0_1-py3-none-any.whl":             404,
		dir + "demo-2.0.tar.gz":                              404,
		dir + "demo":                                         404,
		dir + ".metadata":                                    404,
		dir + "demo-2.0-py3-none-any.whl?hop=0&t=1":          400,
		dir + "demo-2.0-py3-none-any.whl?hop=3":              400,
		dir + "..%2fdemo-2.0-py3-none-any.whl":               404,
		dir + "demo-2.0-py3-none-any.whl%00":                 400,
		dir + "demo-2.0-py3-none-any.whl/":                   404,
		frozen + "demo-2.0-py3-none-any.whl":                 403,
		frozen + "demo-2.0-py3-none-any.whl.metadata":        403,
		frozen + "demo-1.0-py3-none-any.whl":                 200, // the constraint is no input of the recipe: a hit there too
		w.url + "view/@00/promise/demo-2.0-py3-none-any.whl": 404,
	} {
		a := w.get(url)
		if a.status != want {
			t.Errorf("%s: %d, want %d: %s", url, a.status, want, a.body)
		}
		if a.status != 200 {
			a.problem(t)
		}
	}
	if n := len(w.builder.asked); n != 1 {
		t.Errorf("the builder was asked %d times", n-1)
	}
}

// A chain is walked with the server's own answers, as a client does.
func TestPromiseWaits(t *testing.T) {
	for _, suffix := range []string{"", ".metadata"} {
		t.Run("wheel"+suffix, func(t *testing.T) {
			w := newWorld(t, quick)
			w.add(testindex.Spec{Name: "demo", Version: "1.0", MetadataVersion: "2.1"})
			release := w.builder.hold(t)
			at, err := url.Parse(w.listed("simple/demo/")[0].URL + suffix)
			check(t, err)
			for n := 1; n <= hops.Last; n++ {
				start := time.Now()
				a := w.get(at.String())
				if a.status == 503 && n > 1 {
					if p := a.problem(t); p.Type != typePending || a.header.Get("Retry-After") != "1" {
						t.Fatalf("hop %d: %+v %v", n-1, p, a.header)
					}
					n--
					continue
				}
				if a.status != 307 || a.header.Get("Cache-Control") != "no-store" || time.Since(start) < w.Server.Hold {
					t.Fatalf("hop %d: %d %v after %s", n-1, a.status, a.header, time.Since(start))
				}
				next, err := at.Parse(a.header.Get("Location"))
				check(t, err)
				if next.Path != at.Path || next.Query().Get("hop") != fmt.Sprint(n) {
					t.Fatalf("hop %d leads to %s", n-1, next)
				}
				at = next
			}
			a := w.get(at.String())
			if p := a.problem(t); p.Status != 503 || a.header.Get("Retry-After") != "60" {
				t.Fatalf("the last hop: %+v", p)
			}
			release()
			for range 100 {
				if a = w.get(at.String()); a.status != 503 {
					break
				}
			}
			if a.status != 200 || suffix != "" && !strings.Contains(a.body, "Name: demo") {
				t.Errorf("in the end: %d %s", a.status, a.body)
			}
			if n := w.builder.did("wheel demo==1.0") + w.builder.did("metadata demo==1.0"); n != 1 {
				t.Errorf("worked %d times", n)
			}
		})
	}
}

// Also what has to be asked before a build can be thought of may take longer than a client waits.
func TestPromiseWaitsForUpstream(t *testing.T) {
	w := newWorld(t, quick)
	w.add(testindex.Spec{Name: "demo", Version: "1.0"})
	promise := w.listed("simple/demo/")[0].URL
	w.up.Set(testindex.Faults{Delay: 3 * w.Server.Hold})
	if a := w.get(promise); a.status != 307 || !strings.Contains(a.header.Get("Location"), "?hop=1&t=") {
		t.Errorf("%d %v %s", a.status, a.header, a.body)
	}
	w.up.Set(testindex.Faults{})
	var a answer
	for range 50 { // the slow answer is on its way still
		if a = w.get(promise); a.status != 307 {
			break
		}
	}
	if a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// The builder's own resolver waits as long as it takes, and its flight is in the context.
func TestPrivateWaitsWithoutHops(t *testing.T) {
	w := newWorld(t, quick)
	w.add(testindex.Spec{Name: "demo", Version: "1.0", MetadataVersion: "2.1"})
	release := w.builder.hold(t)
	promise := strings.Replace(w.listed("simple/demo/")[0].URL, w.url, w.private, 1)
	go func() {
		time.Sleep(5 * w.Server.Hold)
		release()
	}()
	start := time.Now()
	if a := w.get(promise+".metadata", "Host", "anything:1"); a.status != 200 || time.Since(start) < 4*w.Server.Hold {
		t.Errorf("%d %s after %s", a.status, a.body, time.Since(start))
	}
	if err := w.asker.Noted(); err != nil {
		t.Errorf("noted %v", err)
	}
}

func TestErrorsAreNotedForTheAsker(t *testing.T) {
	w := newWorld(t, nil)
	w.add(testindex.Spec{Name: "demo", Version: "1.0", MetadataVersion: "2.1"})
	cycle := &resolver.CycleError{Path: []string{"a", "b", "a"}}
	w.builder.fail("demo==1.0", cycle)
	promise := strings.Replace(w.listed("simple/demo/")[0].URL, w.url, w.private, 1)
	if a := w.get(promise); a.status != 422 || w.asker.Noted() != nil {
		t.Errorf("a wheel: %d, noted %v", a.status, w.asker.Noted())
	}
	if a := w.get(promise + ".metadata"); a.status != 422 || !errors.Is(w.asker.Noted(), cycle) {
		t.Errorf("metadata: %d, noted %v", a.status, w.asker.Noted())
	}
	failed := w.failure("demo", "1.0", "log\n")
	w.asker = &resolver.Asker{}
	w.builder.fail("demo==1.0", failed)
	if a := w.get(promise + ".metadata"); a.status != 422 || !errors.Is(w.asker.Noted(), failed) {
		t.Errorf("a failure with a log: %d %v, noted %v", a.status, a.header, w.asker.Noted())
	}
}

// A page that can't be had is a reason, one that isn't there is none: resolvers look for what may not exist.
func TestErrorsOfPagesAreNotedForTheAsker(t *testing.T) {
	w := newWorld(t, nil)
	if a := w.get(w.private + "simple/nothere/"); a.status != 404 || w.asker.Noted() != nil {
		t.Errorf("a page that isn't there: %d, noted %v", a.status, w.asker.Noted())
	}
	w.up.Set(testindex.Faults{Delay: 300 * time.Millisecond})
	ctx, cancel := context.WithTimeout(resolver.WithAsker(t.Context(), w.asker), 50*time.Millisecond)
	defer cancel()
	w.Server.Private().ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "GET", "/simple/slow/", nil))
	if w.asker.Noted() != nil {
		t.Errorf("a page that nobody waited for: noted %v", w.asker.Noted())
	}
	w.up.Set(testindex.Faults{Status: 500})
	var down *upstream.DownError
	if a := w.get(w.private + "simple/demo/"); a.status != 503 || !errors.As(w.asker.Noted(), &down) {
		t.Errorf("upstream is down: %d %s, noted %v", a.status, a.body, w.asker.Noted())
	}
}

// The flight that a question is asked for says whether what is remembered as failed is tried again.
func TestAskersRetry(t *testing.T) {
	for _, retry := range []bool{false, true} {
		w := newWorld(t, nil)
		w.asker.Retry = retry
		urls := w.jobs("demo", 2)
		if a := w.get(strings.Replace(urls[0], w.url, w.private, 1)); a.status != 200 || w.builder.asked[0].Retry != retry {
			t.Errorf("retry %v: %d, asked %+v", retry, a.status, w.builder.asked[0])
		}
		if a := w.get(urls[1] + "?retry=true"); a.status != 200 || w.builder.asked[1].Retry {
			t.Errorf("from outside: %d, asked %+v", a.status, w.builder.asked[1])
		}
	}
}

// Fifty ask at once: one build, fifty equal wheels. Those that hang up cancel nothing.
func TestManyAskAtOnce(t *testing.T) {
	w := newWorld(t, nil)
	w.add(testindex.Spec{Name: "demo", Version: "1.0"})
	release := w.builder.hold(t)
	promise := w.listed("simple/demo/")[0].URL
	_, want := testindex.Wheel(testindex.Spec{Name: "demo", Version: "1.0"})
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			if i%5 == 0 {
				client := http.Client{Timeout: 50 * time.Millisecond}
				if res, err := client.Get(promise); err == nil {
					_ = res.Body.Close()
					t.Errorf("an answer before there was one: %d", res.StatusCode)
				}
				return
			}
			if a := w.get(promise); a.status != 200 || a.body != string(want) {
				t.Errorf("%d, %d bytes", a.status, len(a.body))
			}
		})
	}
	time.Sleep(200 * time.Millisecond)
	release()
	all.Wait()
	if n := w.builder.did("wheel demo==1.0"); n != 1 {
		t.Errorf("built %d times", n)
	}
}

// What was promised is compared with what was built by whoever fetches the wheel, also if that is not the one who had it built.
func TestBrokenPromise(t *testing.T) {
	w := newWorld(t, nil)
	w.add(testindex.Spec{Name: "demo", Version: "1.0", Requires: []string{"a"}, WheelRequires: []string{"b>=2"}})
	promise := w.listed("simple/demo/")[0].URL
	if a := w.get(promise + ".metadata"); !strings.Contains(a.body, "Requires-Dist: a\n") {
		t.Fatalf("%d %s", a.status, a.body)
	}
	for range 2 {
		p := w.get(promise).problem(t)
		if p.Status != 422 || p.Type != typeBroken || !strings.Contains(p.Detail, "demo 1.0") || !strings.Contains(p.Detail, "b>=2") && !strings.Contains(p.Detail, "a") ||
			!strings.Contains(p.Detail, "run the command again") {
			t.Errorf("%+v", p)
		}
	}
	hit := w.listed("simple/demo/")[0]
	if a := w.get(hit.URL + ".metadata"); hit.Size == 0 || !strings.Contains(a.body, "Requires-Dist: b>=2\n") {
		t.Errorf("the next page: %+v %s", hit, a.body)
	}
	if a := w.get(hit.URL); a.status != 200 {
		t.Errorf("the hit: %d", a.status)
	}
}

func FuzzPromisePath(f *testing.F) {
	for _, s := range []string{"demo-1.0-0_0123456789abcdef-cp311-cp311-manylinux_2_36_x86_64.whl", "a-1!2.0rc1+x.y-0_1-py3-none-any.whl.metadata", "a-1-py3-none-any.whl",
		".metadata", "a-1.tar.gz", "x-1-1_-py2.py3-none-any.whl"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, file string) {
		name, metadata, err := wheelName(func(string) string { return file })
		if err != nil {
			var p *Problem
			if !errors.As(err, &p) || p.Status != 404 || p.Detail != printable(p.Detail) {
				t.Fatalf("%q: %v", file, err)
			}
			return
		}
		if metadata != strings.HasSuffix(file, ".metadata") {
			t.Fatalf("%q: metadata %v", file, metadata)
		}
		// What a page would promise of it says the same project and version again, also after a trip through a URL.
		v, err := version.Parse(name.Version.String())
		if err != nil {
			t.Fatal(err)
		}
		again := dist.FormatWheelName(name.Project, v, "0_0123456789abcdef", "cp311-cp311-linux_x86_64")
		u, err := url.Parse("http://h/view/@0/promise/" + url.PathEscape(again))
		if err != nil {
			t.Fatal(err)
		}
		back, _, err := wheelName(func(string) string { return u.Path[len("/view/@0/promise/"):] })
		if err != nil || back.Project != name.Project || back.Version.Compare(name.Version) != 0 {
			t.Fatalf("%q became %q: %+v, %v", file, again, back, err)
		}
	})
}
