package index

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/index/checks"
	"github.com/python-wheel-build/axle/internal/testindex"
	"github.com/python-wheel-build/axle/resolver"
)

// order asks for builds and gives the stream's lines.
func (w *world) order(body string) []BuildLine {
	w.Helper()
	a := w.do("POST", w.url+"api/v1/builds", body, "Content-Type", "application/json")
	if a.status != 200 || a.header.Get("Content-Type") != "application/x-ndjson" {
		w.Fatalf("%d %v %s", a.status, a.header, a.body)
	}
	var lines []BuildLine
	for text := range strings.Lines(a.body) {
		var line BuildLine
		check(w, json.Unmarshal([]byte(text), &line))
		if line.Time.IsZero() {
			w.Errorf("without a time: %s", text)
		}
		lines = append(lines, line)
	}
	if last := lines[len(lines)-1]; last.Kind != "summary" || last.BuildSummary == nil {
		w.Fatalf("the last line: %+v", last)
	}
	return lines
}

func results(lines []BuildLine) map[string]BuildLine {
	out := map[string]BuildLine{}
	for _, l := range lines {
		if l.Kind == "result" {
			out[l.Requirement] = l
		}
	}
	return out
}

func TestBuildsPick(t *testing.T) {
	w := newWorld(t, nil)
	for _, v := range []string{"1.0", "1.5", "2.0", "2.1rc1", "3.0", "4.0", "10.0"} {
		s := testindex.Spec{Name: "demo", Version: v}
		if v == "3.0" {
			s.RequiresPython = ">=99"
		}
		w.add(s)
	}
	w.up.Edit("demo-4.0.tar.gz", func(f *testindex.File) { f.IsYanked, f.Yanked = true, "it \x1bbites" })
	w.add(testindex.Spec{Name: "helper", Version: "1.0"})
	w.publish("default", true, "demo<10")
	lines := w.order(`{"view": "", "requirements": ["Demo", "demo[x]<2.0", "demo>=2.1rc1,<3", "demo==4.0", "demo>=3,<4", "demo==10", "helper; python_version < '3'", "nothere>1", "demo!=2.1rc2,<3"]}`)
	got := results(lines)
	for requirement, version := range map[string]string{"Demo": "2.0", "demo[x]<2.0": "1.5", "demo>=2.1rc1,<3": "2.1rc1", "demo!=2.1rc2,<3": "2.0"} {
		l := got[requirement]
		if l.Version != version || l.Project != "demo" || len(l.SHA256) != 64 || l.Problem != "" || !strings.HasPrefix(l.Filename, "demo-"+version+"-0_") {
			t.Errorf("%s: %+v", requirement, l)
		}
		if a := w.get(l.URL); a.status != 200 || a.header.Get("Etag") != `"sha256:`+l.SHA256+`"` {
			t.Errorf("%s: %s gives %d", requirement, l.URL, a.status)
		}
	}
	for requirement, want := range map[string]string{
		"demo==4.0": `the newest is 10.0: the requirement excludes it`, "demo>=3,<4": "no version of demo fits", "demo==10": "the view's constraints exclude it",
		"nothere>1": "no index of view default has nothere",
	} {
		if l := got[requirement]; l.Status != 404 || !strings.Contains(l.Problem, want) || l.SHA256 != "" {
			t.Errorf("%s: %+v", requirement, l)
		}
	}
	if l := got["helper; python_version < '3'"]; l.Skipped == "" || w.builder.did("wheel helper==1.0") != 0 {
		t.Errorf("a marker that is false: %+v", l)
	}
	if sum := *lines[len(lines)-1].BuildSummary; sum != (BuildSummary{OK: 4, Failed: 4, Idle: 1}) {
		t.Errorf("%+v", sum)
	}
}

func TestBuildsTell(t *testing.T) {
	w := newWorld(t, quick)
	w.add(testindex.Spec{Name: "demo", Version: "1.0"}, testindex.Spec{Name: "bad", Version: "1.0"})
	failed := w.failure("bad", "1.0", "axle: failed: no\n")
	w.builder.fail("bad==1.0", failed)
	w.builder.logs["demo==1.0"] = w.failure("demo", "1.0", "axle: built it\n").Failure.Log
	event := resolver.Event{Time: time.Now(), Project: "demo", Version: parsedVersion(t, "1.0"), Kind: "log", Text: "gcc -c\x1b demo.c\n"}
	w.builder.told = []resolver.Event{event, {Kind: "step", Text: "building", Project: "demo", Version: event.Version, Time: event.Time}}
	release := w.builder.hold(t)
	go func() {
		time.Sleep(3 * w.Server.Hold)
		release()
	}()
	lines := w.order(`{"requirements": ["demo", "bad"], "retry": true}`)
	got := results(lines)
	if l := got["demo"]; l.SHA256 == "" || !strings.HasSuffix(w.get(l.Log).body, "axle: built it\n") {
		t.Errorf("%+v", l)
	}
	if l := got["bad"]; l.Problem != "bad 1.0: gcc: no such file" || l.Status != 422 || !strings.HasPrefix(l.Log, w.url+"api/v1/logs/bad/1.0/") || l.Version != "1.0" {
		t.Errorf("%+v", l)
	}
	i := slices.IndexFunc(lines, func(l BuildLine) bool { return l.Kind == "log" })
	if i < 0 || lines[i].Text != event.Text || lines[i].Project != "demo" || lines[i].Version != "1.0" {
		t.Errorf("%+v", lines)
	}
	if !w.builder.asked[0].Retry {
		t.Error("retry was not passed on")
	}
}

// What is told of an error names each thing once, and has no empty end.
func TestBuildsTellOnce(t *testing.T) {
	w := newWorld(t, nil)
	w.add(testindex.Spec{Name: "demo", Version: "1.0"})
	w.builder.fail("demo==1.0", &resolver.FailedError{Failure: resolver.Failure{Project: "demo", Version: parsedVersion(t, "1.0"), Title: "over the memory limit"}})
	if l := results(w.order(`{"requirements": ["demo"]}`))["demo"]; l.Problem != "demo 1.0: over the memory limit" || l.Log != "" {
		t.Errorf("%+v", l)
	}
	p := w.do("POST", w.url+"api/v1/builds", `{"requirements": ["???"]}`, "Content-Type", "application/json").problem(t)
	if strings.Count(p.Detail, "requirement") != 1 {
		t.Errorf("detail: %s", p.Detail)
	}
	if got := (&Problem{Title: "a"}).Error(); got != "a" {
		t.Error(got)
	}
}

// A stream that nobody reads fast enough loses events, never results, and never holds the builder up.
func TestBuildsSlowReader(t *testing.T) {
	tell := &telling{lines: make(chan BuildLine, 10)}
	for i := range 100 {
		for range 2 { // by two requirements that wait for one build
			tell.watch(resolver.Event{ID: uint64(i + 1), Kind: "log", Version: parsedVersion(t, "1")})
		}
	}
	results := make(chan BuildLine, 1)
	results <- BuildLine{Kind: "result", SHA256: "x"}
	close(results)
	rec := httptest.NewRecorder()
	tell.write(rec, results, time.Now)
	tell.watch(resolver.Event{ID: 101, Kind: "log"}) // a build outlives its asker
	if got := rec.Body.String(); strings.Count(got, "\n") != 12 || !strings.Contains(got, `"kind":"summary"`) || !strings.Contains(got, `"ok":1,"failed":0,"idle":0,"dropped":90}`) {
		t.Error(got)
	}
}

func TestBuildsRefused(t *testing.T) {
	w := newWorld(t, nil)
	w.add(testindex.Spec{Name: "demo", Version: "1.0"})
	w.publish("frozen", false, "a<1")
	const good = `{"requirements": ["demo"]}`
	for name, c := range map[string]struct {
		body   string
		header []string
		want   int
		says   string
	}{
		"no type":           {good, nil, 415, "application/json"},
		"a form":            {good, []string{"Content-Type", "text/plain"}, 415, "application/json"},
		"foreign page":      {good, []string{"Content-Type", "application/json", "Origin", "http://evil.example"}, 403, "another origin"},
		"opaque page":       {good, []string{"Content-Type", "application/json", "Origin", "null"}, 403, "another origin"},
		"through a proxy":   {good, []string{"Content-Type", "application/json", "X-Forwarded-For", "10.1.1.1"}, 403, "proxy"},
		"no JSON":           {`demo`, nil, 400, "invalid character"},
		"unknown key":       {`{"requirements": ["demo"], "force": true}`, nil, 400, "force"},
		"two values":        {good + good, nil, 400, "more than one"},
		"nothing":           {`{}`, nil, 400, "no requirements"},
		"bad requirement":   {`{"requirements": ["demo", "de mo \u001b"]}`, nil, 400, `de mo`},
		"a URL":             {`{"requirements": ["demo @ https://evil.example/x.tar.gz"]}`, nil, 400, "names a URL"},
		"too many":          {`{"requirements": ["demo"` + strings.Repeat(`,"demo"`, 2000) + `]}`, nil, 400, "at most 2000"},
		"too large":         {`{"requirements": ["` + strings.Repeat("x", 2<<20) + `"]}`, nil, 413, "1048576"},
		"no such view":      {`{"requirements": ["demo"], "view": "x"}`, nil, 404, "no view x"},
		"not on demand":     {`{"requirements": ["demo"], "view": "frozen"}`, nil, 403, "build: never"},
		"control character": {`{"requirements": ["demo"], "view": "x\u0000y"}`, nil, 404, `no view x\\x00y`},
	} {
		if c.header == nil && name != "no type" {
			c.header = []string{"Content-Type", "application/json; charset=utf-8"}
		}
		a := w.do("POST", w.url+"api/v1/builds", c.body, c.header...)
		if p := a.problem(t); p.Status != c.want || !strings.Contains(a.body, c.says) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	r := httptest.NewRequest("POST", "http://localhost/api/v1/builds", strings.NewReader(good))
	r.Header.Set("Content-Type", "application/json")
	for addr, want := range map[string]int{"10.0.0.1:1234": 403, "garbage": 403, "[::ffff:10.0.0.1]:1": 403, "[::ffff:127.0.0.1]:1": 200, "[::1]:2": 200} {
		r := r.Clone(t.Context())
		r.Body = http.NoBody
		if want == 200 {
			r.Body = newBody(good)
		}
		r.RemoteAddr = addr
		rec := httptest.NewRecorder()
		w.Server.Handler().ServeHTTP(rec, r)
		if rec.Code != want {
			t.Errorf("from %s: %d %s", addr, rec.Code, rec.Body)
		}
	}
	if a := w.do("POST", w.url+"api/v1/builds", good, "Content-Type", "application/json", "Origin", strings.TrimSuffix(w.url, "/")); a.status != 200 {
		t.Errorf("a page of our own: %d %s", a.status, a.body)
	}
}

type stringBody struct{ *strings.Reader }

func (stringBody) Close() error   { return nil }
func newBody(s string) stringBody { return stringBody{strings.NewReader(s)} }

func FuzzBuildBody(f *testing.F) {
	f.Add(`{"view": "default", "requirements": ["demo>=1; python_version > '3'"], "retry": true}`)
	f.Add(`{"requirements": ["a", "b[x,y]==1.*"]}`)
	f.Add(`{"requirements": null}{}`)
	f.Fuzz(func(t *testing.T, body string) {
		req, parsed, err := parseBuild(strings.NewReader(body))
		if err != nil {
			var p *Problem
			if !errors.As(err, &p) || p.Status != 400 || p.Detail != printable(p.Detail) {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		if len(parsed) != len(req.Requirements) || len(parsed) == 0 || req.View == "" {
			t.Fatalf("%q: %+v %v", body, req, parsed)
		}
		again, err := json.Marshal(req)
		if err != nil {
			t.Fatal(err)
		}
		req2, parsed2, err := parseBuild(strings.NewReader(string(again)))
		if err != nil || !reflect.DeepEqual(req2, req) || fmt.Sprint(parsed2) != fmt.Sprint(parsed) {
			t.Fatalf("%q became %+v, %v", body, req2, err)
		}
	})
}

// TestBuildsChecked: a second build is told in the result and listed, and its wheel is not to be had.
func TestBuildsChecked(t *testing.T) {
	w := newWorld(t, nil)
	w.add(testindex.Spec{Name: "demo", Version: "1.0"})
	if empty := w.get(w.url + "api/v1/checks/demo/1.0"); empty.status != 200 || empty.body != "{\"checks\":[]}\n" {
		t.Errorf("before: %d %s", empty.status, empty.body)
	}
	lines := w.order(`{"requirements": ["demo", "unknown"], "check": true}`)
	sum := lines[len(lines)-1].BuildSummary
	if sum.OK != 1 || sum.Failed != 1 || sum.Differ != 1 {
		t.Errorf("%+v", sum)
	}
	var told *BuildLine
	for _, l := range lines {
		if l.Kind == "result" && l.Requirement == "demo" {
			told = &l
		} else if l.Check != nil {
			t.Errorf("%+v", l)
		}
	}
	if told == nil || told.Check == nil || told.Check.Reproducible || told.Check.Outcome != "different" || told.Check.SHA256 != told.SHA256 || told.Check.Other == told.SHA256 {
		t.Fatalf("%+v", told)
	}
	var kept struct{ Checks []checks.Check }
	got := w.get(w.url + "api/v1/checks/Demo/1.0")
	check(t, json.Unmarshal([]byte(got.body), &kept))
	if got.header.Get("Content-Type") != "application/json" || len(kept.Checks) != 1 || !reflect.DeepEqual(kept.Checks[0], *told.Check) || kept.Checks[0].Differences[0] != "demo.py: …" {
		t.Errorf("%s, want %+v", got.body, told.Check)
	}
	if got := w.get(w.url + "files/" + kept.Checks[0].Other + "/" + told.Filename); got.status != 404 {
		t.Errorf("the second wheel is served: %d", got.status)
	}
	for _, path := range []string{"-/1.0", "demo/x"} {
		if p := w.get(w.url + "api/v1/checks/" + path).problem(t); p.Status != 404 {
			t.Errorf("%s: %+v", path, p)
		}
	}
	if lines := w.order(`{"requirements": ["demo"]}`); lines[len(lines)-2].Check != nil {
		t.Errorf("not asked for: %+v", lines)
	}
}
