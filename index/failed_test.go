package index

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/python-wheel-build/axle/internal/testindex"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/source"
	"github.com/python-wheel-build/axle/resolver/upstream"
)

func TestFailureLeadsToItsLog(t *testing.T) {
	w := newWorld(t, nil)
	w.add(testindex.Spec{Name: "demo", Version: "1.0+cpu", MetadataVersion: "2.1"})
	var log strings.Builder
	for i := range 100 {
		fmt.Fprintf(&log, "line %d\n", i)
	}
	log.WriteString("axle: not the last word\n\x1b[31mred\x1b[0m \u202etxet\r\n" + strings.Repeat("x", 100_000) + "\naxle: failed: gcc: no such file\naxle: cc1plus, it means\n")
	failed := w.failure("demo", "1.0+cpu", log.String())
	w.builder.fail("demo==1.0+cpu", failed)
	promise := w.listed("simple/demo/")[0].URL
	for _, suffix := range []string{"", ".metadata", "?hop=9&t=1"} {
		a := w.get(promise + suffix)
		if a.status != 307 || a.header.Get("Location") != "../../../failed/demo/1.0+cpu/"+failed.Failure.Log.Encoded() || a.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%s: %d %v %s", suffix, a.status, a.header, a.body)
		}
	}
	at, err := url.Parse(promise)
	check(t, err)
	at, err = at.Parse("../../../failed/demo/1.0+cpu/" + failed.Failure.Log.Encoded())
	check(t, err)
	a := w.get(at.String(), "Host", "wheels.example:8080")
	p := a.problem(t)
	wantLog := "http://wheels.example:8080/api/v1/logs/demo/1.0+cpu/" + failed.Failure.Log.Encoded()
	if p.Status != 422 || p.Title != "demo 1.0+cpu: gcc: no such file" || p.Log != wantLog || !strings.Contains(p.Detail, wantLog) ||
		!strings.Contains(p.Detail, `\x1b[31mred\x1b[0m \u202etxet`) || strings.Contains(p.Detail, "line 5\n") || len(a.body) > 6000 || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d bytes: %s", len(a.body), a.body)
	}
	whole := w.get(strings.Replace(wantLog, "http://wheels.example:8080/", w.url, 1))
	if whole.status != 200 || whole.body != log.String() || whole.header.Get("Content-Type") != "text/plain; charset=utf-8" || whole.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("the log: %d %v, %d bytes", whole.status, whole.header, len(whole.body))
	}
	// At the last hop there is no redirect left.
	p = w.get(promise + "?hop=10&t=1").problem(t)
	if p.Status != 422 || !strings.Contains(p.Title, "gcc: no such file") || !strings.Contains(p.Detail, `line \x1b[31mtwo`) || !strings.HasPrefix(p.Log, w.url+"api/v1/logs/demo/") {
		t.Errorf("%+v", p)
	}

	// One that went well is no failure, whatever its build printed.
	built := "demo/1.0+cpu/" + w.failure("demo", "1.0+cpu", "axle: failed: says the build\naxle: built demo-1.0-py3-none-any.whl (1 bytes, sha256:0)\n").Failure.Log.Encoded()
	if a := w.get(w.url + "failed/" + built); a.status != 404 || !strings.Contains(a.problem(t).Detail, w.url+"api/v1/logs/"+built) {
		t.Errorf("a build that went well: %d %s", a.status, a.body)
	}

	rec := func() resolver.Record {
		w.add(testindex.Spec{Name: "other", Version: "1.0"})
		return w.build("other", "1.0")
	}()
	for path, want := range map[string]int{
		"failed/demo/1.0+cpu/" + failed.Failure.Log.Encoded():      422,
		"failed/demo/1.1/" + failed.Failure.Log.Encoded():          404,
		"failed/other/1.0/" + failed.Failure.Log.Encoded():         404,
		"failed/other/1.0/" + rec.Wheel.Encoded():                  404, // a blob, but no log
		"api/v1/logs/other/1.0/" + rec.Metadata.Encoded():          404,
		"api/v1/logs/demo/1.0+cpu/" + strings.Repeat("0", 64):      404,
		"api/v1/logs/demo/x.y/" + failed.Failure.Log.Encoded():     404,
		"api/v1/logs/-/1.0+cpu/" + failed.Failure.Log.Encoded():    404,
		"api/v1/logs/demo/1.0+cpu/short":                           404,
		"api/v1/logs/demo/1.0+cpu/" + failed.Failure.Log.Encoded(): 200,
	} {
		if a := w.get(w.url + path); a.status != want {
			t.Errorf("%s: %d, want %d: %s", path, a.status, want, a.body)
		}
	}
}

// The one table: what each error is for a client who fetches a wheel or its metadata.
func TestProblems(t *testing.T) {
	w := newWorld(t, nil)
	var logged strings.Builder
	w.Server.Log = slog.New(slog.NewTextHandler(&logged, nil))
	w.add(testindex.Spec{Name: "demo", Version: "1.0", MetadataVersion: "2.1"})
	promise := w.listed("simple/demo/")[0].URL
	failed := w.failure("helper", "2.0", "x\n")
	short := &resolver.FailedError{Failure: resolver.Failure{Project: "demo", Version: parsedVersion(t, "1.0"), Title: "over the memory limit", Class: "infrastructure"}}
	requirement := func(err error) error {
		return fmt.Errorf("building: %w", &resolver.RequirementError{Project: "demo", Version: parsedVersion(t, "1.0"), Err: err})
	}
	cycle := &resolver.CycleError{Path: []string{"demo==1.0", "b==1", "demo==1.0"}}
	for _, c := range []struct {
		err      error
		status   int
		contains []string
	}{
		{&resolver.FailedError{}, 422, nil},
		{fmt.Errorf("reading: %w", &resolver.FailedError{Failure: resolver.Failure{Project: "demo", Title: "archive demo-1.0.tar.gz: not a tar"}}), 422, []string{"not a tar"}},
		{requirement(&upstream.DownError{URL: "http://up/simple/x/", Err: errors.New("500")}), 503, []string{"upstream is down", "http://up/simple/x/"}},
		{short, 422, []string{"demo 1.0: over the memory limit"}},
		{cycle, 422, []string{"demo==1.0 -> b==1 -> demo==1.0", "pre_built"}},
		{requirement(cycle), 422, []string{"demo 1.0 needs", "demo==1.0 -> b==1"}},
		{requirement(errors.New("setuptools>99: no such version \x1b[2J")), 422, []string{`demo 1.0 needs setuptools>99: no such version \\x1b[2J`}},
		{requirement(short), 422, []string{"demo 1.0 needs", "over the memory limit"}},
		{fmt.Errorf("%w for demo 7", source.ErrNone), 404, []string{"demo 7"}},
		{requirement(fmt.Errorf("%w for x", source.ErrNone)), 422, []string{"needs no source"}},
		{fmt.Errorf("%w: was a, is b", source.ErrChanged), 422, []string{"was a, is b"}},
		{errors.New("open /secret/path: permission denied"), 500, []string{"internal error"}},
		{requirement(failed), 307, nil},
	} {
		w.builder.fail("demo==1.0", c.err)
		a := w.get(promise)
		if m := w.get(promise + ".metadata"); a.status != c.status || m.status != c.status || m.header.Get("Location") != a.header.Get("Location") {
			t.Errorf("%v: %d %s; metadata: %d %s", c.err, a.status, a.body, m.status, m.body)
			continue
		}
		if c.status == 307 {
			if want := "../../../failed/helper/2.0/" + failed.Failure.Log.Encoded(); a.header.Get("Location") != want {
				t.Errorf("%v leads to %s", c.err, a.header.Get("Location"))
			}
			p := w.get(promise + "?hop=10&t=1").problem(t)
			if !strings.Contains(p.Title, "demo 1.0 needs helper 2.0: gcc") || !strings.Contains(p.Log, "/api/v1/logs/helper/2.0/") {
				t.Errorf("%+v", p)
			}
			continue
		}
		a.problem(t)
		for _, text := range c.contains {
			if !strings.Contains(a.body, text) {
				t.Errorf("%v: no %q in %s", c.err, text, a.body)
			}
		}
		if strings.Contains(a.body, "secret") {
			t.Errorf("told: %s", a.body)
		}
	}
	if !strings.Contains(logged.String(), "permission denied") || !strings.Contains(logged.String(), "id=") {
		t.Errorf("logged: %s", logged.String())
	}
}

func TestSummary(t *testing.T) {
	for in, want := range map[string][2]string{
		"": {"the build failed", ""}, "a\nb": {"the build failed", "a\nb"},
		"axle: built by me\nhalf a liaxle: failed: 8 h are over\n":  {"8 h are over", "axle: built by me\nhalf a liaxle: failed: 8 h are over"},
		"axle: failed: one\r\naxle: \naxle: failed: two\naxle: x\n": {"two", "axle: failed: one\naxle: \naxle: failed: two\naxle: x"},
		"axle: failed: \n": {"the build failed", "axle: failed: "}, "axle: failed: x\naxle: built y\n": {"", "axle: failed: x\naxle: built y"},
		"axle: failed: " + strings.Repeat("z", 900) + "\n": {strings.Repeat("z", 900), "axle: failed: " + strings.Repeat("z", lineBytes-len(failedMark))},
		strings.Repeat("0123456789\n", 1000):               {"the build failed", strings.TrimSuffix(strings.Repeat("0123456789\n", tailLines), "\n")},
		strings.Repeat("y", 9000) + "\nz":                  {"the build failed", strings.Repeat("y", lineBytes) + "\nz"},
	} {
		title, tail, err := summary(strings.NewReader(in))
		if err != nil || title != want[0] || tail != want[1] {
			t.Errorf("%.40q…: %q, %q, %v", in, title, tail, err)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("a\x1b[0m\u202e\xff\r\n\ttab")
	f.Fuzz(func(t *testing.T, s string) {
		got := printable(s)
		if !utf8.ValidString(got) || strings.ContainsAny(got, "\x1b\r\x00\u009b\u202e\u200b") {
			t.Fatalf("%q became %q", s, got)
		}
		if again := printable(got); again != got {
			t.Fatalf("%q, then %q", got, again)
		}
	})
}
