package index

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/index/live"
	"github.com/python-wheel-build/axle/internal/testindex"
	"github.com/python-wheel-build/axle/resolver"
)

// fly shows a flight of demo 1.0 that tells one line and ends with what land gives.
func (w *world) fly(stage string) (f resolver.Flight, land chan error) {
	w.Helper()
	name, err := w.Names.Get(w.Context(), "default")
	check(w, err)
	land = make(chan error)
	f = resolver.Flight{ID: "f1", Project: "demo", Version: parsedVersion(w, "1.0"), View: name.View.Digest(), Stage: stage, Since: time.Now(), Expected: time.Minute}
	w.builder.mu.Lock()
	defer w.builder.mu.Unlock()
	w.builder.underWay = []resolver.Flight{f}
	w.builder.follow = func(ctx context.Context, id string, n uint64, watch func(uint64, resolver.Event)) error {
		watch(n+1, resolver.Event{Kind: "log", Project: f.Project, Version: f.Version, Text: "gcc\x1b -c\n"})
		select {
		case err := <-land:
			return err
		case <-ctx.Done():
			return resolver.ErrPending
		}
	}
	return f, land
}

// sse reads a stream's data to its end.
func sse(t *testing.T, res *http.Response) (lines []BuildLine) {
	t.Helper()
	defer res.Body.Close()
	for in := bufio.NewScanner(res.Body); in.Scan(); {
		if data, ok := strings.CutPrefix(in.Text(), "data: "); ok {
			var line BuildLine
			check(t, json.Unmarshal([]byte(data), &line))
			lines = append(lines, line)
		}
	}
	return lines
}

func TestFollow(t *testing.T) {
	w := newWorld(t, nil)
	w.add(testindex.Spec{Name: "demo", Version: "1.0"})
	w.builder.logs["demo==1.0"] = w.failure("demo", "1.0", "axle: built it\n").Failure.Log
	_, land := w.fly("wheel")
	var list struct{ Builds []live.Build }
	check(t, json.Unmarshal([]byte(w.get(w.url+"api/v1/builds").body), &list))
	if len(list.Builds) != 1 || list.Builds[0].Project != "demo" || list.Builds[0].ExpectedSeconds != 60 || !strings.HasPrefix(list.Builds[0].Log, w.url) {
		t.Fatalf("%+v", list)
	}
	if a := w.do("HEAD", list.Builds[0].Log, ""); a.status != 200 || a.body != "" || a.header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("HEAD: %d %v %q", a.status, a.header, a.body)
	}
	for _, url := range []string{list.Builds[0].Log, w.url + "api/v1/builds/Demo/1.0/log"} {
		res, err := http.Get(url)
		check(t, err)
		w.build("demo", "1.0") // the fake builder's way: the flight only shows
		land <- nil
		lines := sse(t, res)
		if len(lines) != 2 || lines[0].Kind != "log" || lines[0].Text != "gcc\x1b -c\n" || lines[0].Project != "demo" {
			t.Fatalf("%s: %+v", url, lines)
		}
		end := lines[1]
		if end.Kind != "end" || end.Text != "built" || end.SHA256 == "" || w.get(end.URL).status != 200 || w.get(end.Log).body != "axle: built it\n" {
			t.Errorf("%+v", end)
		}
		if res.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Error("other origins may read it")
		}
	}

	res, err := http.Get(list.Builds[0].Log)
	check(t, err)
	land <- w.failure("demo", "1.0", "axle: failed: no\n")
	lines := sse(t, res)
	if end := lines[len(lines)-1]; end.Kind != "end" || end.Text != "failed" || end.Status != 422 || !strings.Contains(end.Problem, "gcc") || w.get(end.Log).body != "axle: failed: no\n" {
		t.Errorf("%+v", end)
	}
	// The server's own end says nothing of the build: the stream has no end, and a reader comes again.
	res, err = http.Get(list.Builds[0].Log)
	check(t, err)
	land <- context.Canceled
	if lines := sse(t, res); lines[len(lines)-1].Kind == "end" {
		t.Errorf("%+v", lines)
	}
	if got := w.Server.followers.Load(); got != 0 {
		t.Errorf("%d followers left over", got)
	}
}

func TestFollowMetadata(t *testing.T) {
	w := newWorld(t, nil)
	w.add(testindex.Spec{Name: "demo", Version: "1.0"})
	_, land := w.fly("metadata")
	res, err := http.Get(w.url + "api/v1/builds/demo/1.0/log?stage=metadata&view=default")
	check(t, err)
	land <- nil
	lines := sse(t, res)
	if end := lines[len(lines)-1]; end.Kind != "end" || end.Text != "done" || end.URL != "" {
		t.Errorf("%+v", end)
	}
}

// What is not under way is not begun: the answer says where the log of the last time is.
func TestFollowNothing(t *testing.T) {
	w := newWorld(t, nil)
	w.add(testindex.Spec{Name: "demo", Version: "1.0"}, testindex.Spec{Name: "bad", Version: "1.0"}, testindex.Spec{Name: "never", Version: "1.0"})
	w.builder.logs["demo==1.0"] = w.failure("demo", "1.0", "axle: built it\n").Failure.Log
	w.build("demo", "1.0")
	failure := w.failure("bad", "1.0", "axle: failed: no\n").Failure
	name, err := w.Names.Get(t.Context(), "default")
	check(t, err)
	a, err := w.Catalog.Lookup(t.Context(), name.View, "bad", failure.Version)
	check(t, err)
	failure.View, failure.Stage, failure.Resolved, failure.When = name.View.Digest(), "wheel", true, time.Now()
	failure.Recipe, err = a.Recipe.Digest()
	check(t, err)
	check(t, w.Catalog.Fail(t.Context(), failure))
	asked := len(w.builder.asked)
	for path, want := range map[string]struct{ says, log string }{
		"demo/1.0/log":                {"demo 1.0 is not being built now; the log of the last one is kept at " + w.url + "api/v1/logs/demo/1.0/", "axle: built it\n"},
		"bad/1.0/log":                 {"the log of the last one", "axle: failed: no\n"},
		"bad/1.0/log?stage=metadata":  {"nothing is known of an earlier one in view default", ""},
		"never/1.0/log":               {"nothing is known", ""},
		"demo/9/log":                  {"demo", ""},
		"demo/1.0/log?view=nowhere":   {"there is no view nowhere", ""},
		"demo/1.0/log?stage=sideways": {"nothing is known", ""},
		"de%20mo/1.0/log":             {"de mo", ""},
		"demo/one/log":                {"one", ""},
	} {
		got := w.get(w.url + "api/v1/builds/" + path)
		p := got.problem(t)
		if p.Status != 404 || !strings.Contains(p.Detail, want.says) {
			t.Errorf("%s: %+v", path, p)
		}
		if want.log != "" && (p.Log == "" || w.get(p.Log).body != want.log) {
			t.Errorf("%s: log %q", path, p.Log)
		}
	}
	if len(w.builder.asked) != asked {
		t.Error("looking on began something")
	}
}

func TestFollowersAreBounded(t *testing.T) {
	w := newWorld(t, nil)
	_, land := w.fly("wheel")
	var all []*http.Response
	for range maxFollowers {
		res, err := http.Get(w.url + "api/v1/builds/demo/1.0/log")
		check(t, err)
		all = append(all, res)
	}
	a := w.get(w.url + "api/v1/builds/demo/1.0/log")
	if p := a.problem(t); p.Status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("one too many: %+v", p)
	}
	for _, res := range all {
		check(t, res.Body.Close())
	}
	for end := time.Now().Add(20 * time.Second); w.Server.followers.Load() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d followers who left hold their places", w.Server.followers.Load())
		}
	}
	res, err := http.Get(w.url + "api/v1/builds/demo/1.0/log")
	check(t, err)
	land <- context.Canceled
	if lines := sse(t, res); len(lines) != 1 {
		t.Errorf("%+v", lines)
	}
}
