package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/python-wheel-build/axle/cmd/axle/command"
)

// tells runs `axle build` against a server that answers so.
func tells(t *testing.T, status int, answer string, reqs ...string) (stdout, stderr string, err error) {
	t.Helper()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	defer web.Close()
	var out, errs bytes.Buffer
	err = buildCmd{Requirements: reqs, server: server{Server: web.URL}, View: "default"}.Run(t.Context(), &command.Streams{Out: &out, Err: &errs})
	return out.String(), errs.String(), err
}

// stream is the lines of an answer.
func stream(t *testing.T, lines ...map[string]any) string {
	t.Helper()
	var b strings.Builder
	for _, l := range lines {
		text, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(text, '\n'))
	}
	return b.String()
}

func told(kind, project, text string) map[string]any {
	return map[string]any{"kind": kind, "project": project, "version": "1.0", "text": text}
}

func result(req string, more map[string]any) map[string]any {
	project, _, _ := strings.Cut(req, ";")
	l := map[string]any{"kind": "result", "requirement": req, "project": project}
	for k, v := range more {
		l[k] = v
	}
	return l
}

func summary(failed, dropped int) map[string]any {
	return map[string]any{"kind": "summary", "failed": failed, "dropped": dropped}
}

// TestBuildTells: what a person reads of a server's answer, to the byte.
func TestBuildTells(t *testing.T) {
	built := result("foo", map[string]any{"version": "1.0", "url": "http://x/foo.whl", "log": "http://x/log/foo"})
	for name, c := range map[string]struct {
		lines    []map[string]any
		out, err string
		fails    string
	}{
		"skipped": {
			[]map[string]any{result(`foo; python_version<"3"`, map[string]any{"skipped": "its marker is false for cp311"}), summary(0, 0)},
			"", "axle: foo; python_version<\"3\": nothing to do: its marker is false for cp311\n", ""},
		"built is told once": {
			[]map[string]any{told("log", "foo", "axle: built foo.whl (1 bytes, sha256:0)\n"), told("built", "foo", "foo.whl"), built, summary(0, 0)},
			"http://x/foo.whl\n", "axle: foo 1.0:\naxle: built foo.whl (1 bytes, sha256:0)\n", ""},
		"taken is told once": {
			[]map[string]any{told("step", "foo", "took foo.whl pre-built from index main"), told("built", "foo", "foo.whl"), built, summary(0, 0)},
			"http://x/foo.whl\n", "axle: foo 1.0: step: took foo.whl pre-built from index main\n", ""},
		"two builds": {
			[]map[string]any{
				told("log", "foo", "one\ntw"), told("log", "bar", "eins\nzw"), told("log", "foo", "o\n"), told("log", "foo", "three\n"), told("log", "bar", "ei\ndr"),
				told("wait", "foo", "waiting for a free slot"), told("log", "foo", "four\nfi"), told("log", "bar", "ei"), built, summary(0, 0)},
			"http://x/foo.whl\n", "axle: foo 1.0:\none\naxle: bar 1.0:\neins\naxle: foo 1.0:\ntwo\nthree\naxle: bar 1.0:\nzwei\naxle: foo 1.0: wait: waiting for a free slot\n" +
				"axle: foo 1.0:\nfour\nfi\naxle: bar 1.0:\ndrei\n", ""},
		"no end of a line": {
			[]map[string]any{told("log", "foo", strings.Repeat("x", partKept+1)), told("log", "foo", "y\x1b[2J"), summary(0, 0)},
			"", "axle: foo 1.0:\n" + strings.Repeat("x", partKept+1) + "\ny\\x1b[2J\n", ""},
		"failed": {
			[]map[string]any{told("log", "foo", "gcc\nmid"), told("log", "foo", "axle: failed: no x.h:\nin a.c\n"), told("failed", "foo", "no x.h:\nin a.c"),
				result("foo", map[string]any{"version": "1.0", "problem": "foo 1.0: no x.h:\nin a.c", "log": "http://x/log/foo"}), summary(1, 0)},
			"", "axle: foo 1.0:\ngcc\nmid\naxle: foo 1.0: no x.h:\nin a.c\naxle: log: http://x/log/foo\n", "1 of 1 failed"},
		"failed without a log": {
			[]map[string]any{told("step", "foo", "failed: index is down"), told("failed", "foo", "index is down"),
				result("foo", map[string]any{"version": "1.0", "problem": "foo 1.0: index is down"}), summary(1, 0)},
			"", "axle: foo 1.0: index is down\n", "1 of 1 failed"},
		"a requirement failed": {
			[]map[string]any{told("log", "bar", "axle: failed: no x.h\n"), told("failed", "bar", "no x.h"),
				result("foo", map[string]any{"version": "1.0", "problem": "foo 1.0 needs bar 1.0: no x.h", "log": "http://x/log/bar"}), summary(1, 0)},
			"", "axle: foo 1.0 needs bar 1.0: no x.h\naxle: log: http://x/log/bar\n", "1 of 1 failed"},
		"failed, and nobody minded": {
			[]map[string]any{told("log", "bar", "axle: failed: no x.h\n"), told("failed", "bar", "no x.h"), built, summary(0, 0)},
			"http://x/foo.whl\n", "axle: bar 1.0: no x.h\n", ""},
		"a build that says so itself": {
			[]map[string]any{told("log", "foo", "axle: failed: not really\n"), told("log", "foo", "go on\n"), built, summary(0, 0)},
			"http://x/foo.whl\n", "axle: foo 1.0:\naxle: failed: not really\ngo on\n", ""},
		"unknown": {
			[]map[string]any{result("foo>9", map[string]any{"problem": "no such version: no version of foo fits"}), summary(1, 0)},
			"", "axle: foo>9: no such version: no version of foo fits\n", "1 of 1 failed"},
		"dropped": {
			[]map[string]any{told("log", "foo", "a\n"), built, summary(0, 90)},
			"http://x/foo.whl\n", "axle: foo 1.0:\na\naxle: 90 pieces of log were left out, for this terminal was too slow to take them\naxle: the whole log of foo: http://x/log/foo\n", ""},
		"checked": {
			[]map[string]any{
				result("foo", map[string]any{"version": "1.0", "url": "http://x/foo.whl", "check": map[string]any{"outcome": "identical", "sha256": "aa", "other": "aa"}}),
				result("bar", map[string]any{"version": "1.0", "url": "http://x/bar.whl", "check": map[string]any{"outcome": "different", "sha256": "bb", "other": "cc",
					"differences": []string{"bar.py: line 1 was \"\x1b\""}, "log": "http://x/log/again"}}),
				{"kind": "summary", "failed": 0, "differ": 1, "dropped": 0}},
			"http://x/foo.whl\nhttp://x/bar.whl\n", "axle: foo: check: identical: built again it is the same sha256:aa\n" +
				"axle: bar: check: NOT reproducible: sha256:bb, built again sha256:cc\naxle:   bar.py: line 1 was \"\\x1b\"\naxle:   log of the second build: http://x/log/again\n",
			"1 of 1 not reproducible"},
		"cut": {
			[]map[string]any{told("log", "foo", "a")},
			"", "axle: foo 1.0:\na\n", "the server ended the answer early; run the same command again"},
	} {
		t.Run(name, func(t *testing.T) {
			out, errs, err := tells(t, http.StatusOK, stream(t, c.lines...), "foo")
			if out != c.out || errs != c.err {
				t.Errorf("stdout %q, want %q; stderr\n%s\nwant\n%s", out, c.out, errs, c.err)
			}
			if c.fails == "" && err != nil || c.fails != "" && (err == nil || err.Error() != c.fails) {
				t.Errorf("%v, want %q", err, c.fails)
			}
		})
	}
}

func TestBuildRefused(t *testing.T) {
	for answer, want := range map[string]string{
		`{"title": "bad build request", "detail": "requirement \"???\": no name"}`: `/api/v1/builds: 400 Bad Request: bad build request: requirement "???": no name`,
		`{"title": "bad build request"}`:                                           "/api/v1/builds: 400 Bad Request: bad build request",
		"<html>":                                                                   "/api/v1/builds: 400 Bad Request",
	} {
		out, errs, err := tells(t, http.StatusBadRequest, answer, "???")
		if out+errs != "" || err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v, want …%s; printed %q", answer, err, want, out+errs)
		}
	}
	if _, _, err := tells(t, http.StatusOK, "no JSON\n", "foo"); err == nil || !strings.Contains(err.Error(), `the server said "no JSON"`) {
		t.Errorf("%v", err)
	}
}
