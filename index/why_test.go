package index

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/python-wheel-build/axle/index/why"
	"github.com/python-wheel-build/axle/internal/testindex"
)

func TestWhy(t *testing.T) {
	w := newWorld(t, nil)
	other := w.publish("other", false, "foo<2\nhelper>=2")
	w.add(testindex.Spec{Name: "foo", Version: "1.0"}, testindex.Spec{Name: "foo", Version: "1.1"}, testindex.Spec{Name: "foo", Version: "2.0"})
	rec := w.build("foo", "1.0")
	changes := w.Catalog.Store.Changes()
	before := len(w.builder.asked)
	for _, c := range []struct {
		path   string
		status int
		want   []string // of the body
	}{
		{"explain/foo/1.0", 200, []string{`"verdict":"hit"`, `"sha256":"` + rec.Wheel.Encoded() + `"`, `"url":"` + w.url + "files/" + rec.Wheel.Encoded(), `"input":"` + string(rec.Input())}},
		{"explain/Foo/v1.0", 200, []string{`"project":"foo","version":"1.0"`}},
		{"explain/foo", 200, []string{`"version":"2.0"`, `"verdict":"miss"`, `"cause":"never-built"`, `"versions":["1.0"]`}},
		{"explain/foo?view=other", 200, []string{`"version":"1.1"`}},
		{"explain/foo?specifier=%3C2", 200, []string{`"version":"1.1"`}},
		{"explain/foo/1.0?against=other", 200, []string{`"against":{"view":"` + string(other.Digest()), `"verdict":"hit"`, `"differs":[]`}},
		{"explain/foo/1.0?view=@" + string(other.Digest()), 200, []string{`"view":"` + string(other.Digest())}},
		{"explain/foo/3.0", 404, []string{"no such version"}},
		{"explain/foo?specifier=%3E3", 404, []string{"no version of foo fits", "the newest is 2.0"}},
		{"explain/gone", 404, []string{"no such project"}},
		{"explain/gone/1.0", 404, []string{"no such version"}},
		{"explain/-/1.0", 404, []string{"no such project"}},
		{"explain/foo/one", 400, []string{"bad version"}},
		{"explain/foo?specifier=nothing", 400, []string{"bad version", "nothing"}},
		{"explain/foo/1.0?view=gone", 404, []string{"no such view"}},
		{"explain/foo/1.0?against=gone", 404, []string{"no such view"}},
		{"key/foo/1.0", 200, []string{`"recipe":"` + string(rec.Recipe) + `","input":"` + string(rec.Input())}},
		{"key/foo/1.1", 200, []string{`"recipe":"sha256:`}},
		{"key/foo/9", 404, []string{"no such version"}},
		{"dependents/foo", 200, []string{`"of":"foo"`, `"dependents":[]`}},
		{"dependents/foo/1.0?direct=1", 200, []string{`"of":"foo==1.0"`}},
		{"dependents/never-heard-of", 200, []string{`"dependents":[]`}},
		{"dependents/foo?view=gone", 404, []string{"no such view"}},
	} {
		res := w.get(w.url + "api/v1/" + c.path)
		if res.status != c.status {
			t.Errorf("%s: %d %s, want %d", c.path, res.status, res.body, c.status)
		}
		for _, want := range c.want {
			if !strings.Contains(res.body, want) {
				t.Errorf("%s: no %q in %s", c.path, want, res.body)
			}
		}
		var read why.Answer
		if err := json.Unmarshal([]byte(res.body), &read); err != nil && strings.HasPrefix(c.path, "explain/") {
			t.Errorf("%s: %v", c.path, err)
		}
	}
	if got := w.Catalog.Store.Changes(); got != changes {
		t.Errorf("these questions wrote something: %d changes", got-changes)
	}
	if got := len(w.builder.asked); got != before {
		t.Errorf("these questions ran %d builds", got-before)
	}
}

// TestWhyPrivate: a private name is answered for out of the store, and no index hears of it.
func TestWhyPrivate(t *testing.T) {
	w := newWorld(t, nil)
	w.up.Add(testindex.Spec{Name: "secret", Version: "1.0"})
	w.publish("default", true, "", "secret")
	for _, path := range []string{"explain/secret/1.0", "explain/secret", "key/secret", "dependents/secret"} {
		if res := w.get(w.url + "api/v1/" + path); res.status >= 500 {
			t.Errorf("%s: %d %s", path, res.status, res.body)
		}
	}
	for _, r := range w.up.Requests() {
		t.Errorf("the index was asked: %+v", r)
	}
}
