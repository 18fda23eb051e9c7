package index

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/python-wheel-build/axle/internal/testindex"
	"github.com/python-wheel-build/axle/resolver/names"
)

func TestHost(t *testing.T) {
	w := newWorld(t, nil)
	for host, want := range map[string]int{
		"localhost": 200, "127.0.0.1:8080": 200, "[::1]:80": 200, "LocalHost:1": 200, "wheels.example": 200, "Wheels.Example:443": 200,
		"evil.example": 421, "wheels.example.evil.example": 421, "127.0.0.2": 421, "10.0.0.1:8080": 421, ":80": 400, "localhost:x": 400, "wheels.example.": 421,
	} {
		a := w.get(w.url+"robots.txt", "Host", host)
		if a.status != want {
			t.Errorf("Host %s: %d, want %d", host, a.status, want)
		}
		if want == 421 {
			if p := a.problem(t); !strings.Contains(p.Detail, "wheels.example") || !strings.Contains(p.Detail, "--host") {
				t.Errorf("%+v", p)
			}
		}
		if a := w.get(w.private+"robots.txt", "Host", host); a.status != 200 {
			t.Errorf("private, Host %s: %d", host, a.status)
		}
		if a := w.get(w.url+"healthz", "Host", host); a.status != 200 {
			t.Errorf("health by %s: %d", host, a.status)
		}
	}
}

// Paths that make some programs fall over are only not there. They are sent as they are, past every client's cleaning.
func TestOddPaths(t *testing.T) {
	w := newWorld(t, nil)
	odd := []string{"..", "../", "..%2f", "%2e%2e/", "%2e%2e%2f", ".", "./", "//", "///x", "%2f", "%00", "a%00b", "%0a", "%0d%0aX:%20y", "%ff", "%c0%ae", "%", "%5c", "\\", "~", "*", ":",
		"%25", "%2525", "?", ";", "é", "%e2%80%ae", strings.Repeat("a/", 400), strings.Repeat("x", 2000), strings.Repeat("%41", 700), "@", "@@", "@sha256:", "a b", "%20", "+", "a:b"}
	prefixes := []string{"/", "/simple/", "/simple/demo/", "/view/", "/view/default/", "/view/default/simple/", "/view/default/cached/simple/", "/view/default/promise/",
		"/files/", "/files/" + strings.Repeat("0", 64) + "/", "/failed/", "/failed/demo/", "/failed/demo/1.0/", "/api/v1/logs/demo/1.0/", "/api/", "/api/v1/"}
	for _, prefix := range prefixes {
		for _, tail := range odd {
			for _, path := range []string{prefix + tail, prefix + tail + "/", prefix + tail + "/x-1.0-py3-none-any.whl"} {
				r := httptest.NewRequest("GET", "http://localhost/", nil)
				var err error
				if r.URL, err = url.ParseRequestURI(path); err != nil {
					continue // net/http's server refuses it
				}
				rec := httptest.NewRecorder()
				w.Server.Handler().ServeHTTP(rec, r)
				if rec.Code != 200 && rec.Code != 301 && rec.Code != 400 && rec.Code != 404 {
					t.Errorf("%q: %d %s", path, rec.Code, rec.Body)
				}
				if location := rec.Header().Get("Location"); strings.Contains(location, "//") || strings.ContainsAny(location, "\r\n") {
					t.Errorf("%q leads to %q", path, location)
				}
			}
		}
	}
}

func TestMethods(t *testing.T) {
	w := newWorld(t, nil)
	w.add(testindex.Spec{Name: "demo", Version: "1.0"})
	promise := strings.TrimPrefix(w.listed("simple/demo/")[0].URL, w.url)
	for _, path := range []string{"", "simple/", "simple/demo/", promise, "api/v1/views", "healthz"} {
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "FOO"} {
			a := w.do(method, w.url+path, "")
			if p := a.problem(t); p.Status != 405 && p.Status != 404 {
				t.Errorf("%s %s: %d", method, path, p.Status)
			}
		}
	}
	if len(w.builder.asked) != 0 {
		t.Error("the builder was asked")
	}
	if a := w.get(w.url + "api/v1/builds"); a.status != 200 || a.body != "{\"builds\":[]}\n" {
		t.Errorf("GET builds: %d %s", a.status, a.body)
	}
}

func TestSmallPages(t *testing.T) {
	w := newWorld(t, nil)
	v := w.publish("frozen", false, "a<1")
	for path, want := range map[string]string{
		"healthz": "ok\n", "readyz": "ok\n", "robots.txt": "User-agent: *\nDisallow: /\n", "": "pip install --index-url http://wheels.example:81/simple/ NAME",
		"metrics":      "# HELP axle_lookups_total",
		"api/v1/views": fmt.Sprintf(`{"name":"frozen","view":%q,"on_demand":false}`, v.Digest()),
	} {
		a := w.get(w.url+path, "Host", "wheels.example:81")
		if a.status != 200 || !strings.Contains(a.body, want) {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
		if a := w.do("HEAD", w.url+path, ""); a.status != 200 || a.body != "" {
			t.Errorf("HEAD %s: %d %q", path, a.status, a.body)
		}
	}
	last, err := w.Names.Newest(t.Context(), "default")
	check(t, err)
	_, err = w.Names.Point(t.Context(), last, names.Pointer{Name: "default", Who: "test"})
	check(t, err)
	if p := w.get(w.url + "readyz").problem(t); p.Status != 503 {
		t.Errorf("without a view: %+v", p)
	}
	if p := w.get(w.url + "simple/demo/").problem(t); p.Status != 404 {
		t.Errorf("a page without a view: %+v", p)
	}
}
