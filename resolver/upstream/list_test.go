package upstream

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"golang.org/x/net/html"
)

const (
	jsonType = "application/vnd.pypi.simple.v1+json"
	hexA     = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	hexB     = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	shaA     = digest.Digest("sha256:" + hexA)
	shaB     = digest.Digest("sha256:" + hexB)
)

var pageURL = &url.URL{Scheme: "https", Host: "index.test", Path: "/simple/foo/"}

func TestParseHTML(t *testing.T) {
	// Each line is an anchor and what is read of it; an empty File is left out.
	day := time.Date(2010, 6, 29, 19, 56, 36, 719942000, time.UTC)
	for _, test := range []struct {
		anchor string
		want   File
	}{
		{`<a href="foo-1.tar.gz">`, File{URL: "https://index.test/simple/foo/foo-1.tar.gz", Filename: "foo-1.tar.gz"}},
		{`<A HREF='../../f/foo-1.tar.gz#sha256=` + hexA + `'>`, File{URL: "https://index.test/f/foo-1.tar.gz", Filename: "foo-1.tar.gz", SHA256: shaA}},
		{`<a href="//files.test/foo-1.tar.gz#egg=foo&amp;sha256=` + strings.ToUpper(hexA) + `">`, File{URL: "https://files.test/foo-1.tar.gz", Filename: "foo-1.tar.gz", SHA256: shaA}},
		{`<a href=" https://u:p@files.test:8443/a%2Bb/foo-1%2Blocal.tar.gz?t=1 ">`, File{URL: "https://files.test:8443/a%2Bb/foo-1%2Blocal.tar.gz?t=1", Filename: "foo-1+local.tar.gz"}},
		{`<a href="f.whl#md5=d41d8cd98f00b204e9800998ecf8427e" data-gpg-sig="true">`, File{URL: "https://index.test/simple/foo/f.whl", Filename: "f.whl"}},
		{`<a data-requires-python="&gt;=3.8,&lt;4" data-yanked="bad &amp; ugly" href="f.whl" data-upload-time="2010-06-29T19:56:36.719942Z">`,
			File{URL: "https://index.test/simple/foo/f.whl", Filename: "f.whl", RequiresPython: ">=3.8,<4", IsYanked: true, Yanked: "bad & ugly", Uploaded: day}},
		{`<a href="f.whl" data-yanked>`, File{URL: "https://index.test/simple/foo/f.whl", Filename: "f.whl", IsYanked: true}},
		{`<a href="f.whl" data-core-metadata="sha256=` + hexB + `" data-dist-info-metadata="true">`, File{URL: "https://index.test/simple/foo/f.whl", Filename: "f.whl", HasMetadata: true, MetadataSHA256: shaB}},
		{`<a href="f.whl" data-dist-info-metadata="true">`, File{URL: "https://index.test/simple/foo/f.whl", Filename: "f.whl", HasMetadata: true}},
		{`<a href="f.whl" data-core-metadata="false" data-upload-time="yesterday">`, File{URL: "https://index.test/simple/foo/f.whl", Filename: "f.whl"}},
		{`<a href="f.whl" href="g.whl">`, File{URL: "https://index.test/simple/foo/f.whl", Filename: "f.whl"}},
		// Left out.
		{`<a name="top">`, File{}},
		{`<a href="../">`, File{}},
		{`<a href="#top">`, File{}},
		{`<a href="?sort=name">`, File{}},
		{`<a href="f.whl#sha256=abc">`, File{}},
		{`<a href="mailto:bob@index.test">`, File{}},
		{`<a href="javascript:alert(1)">`, File{}},
		{`<a href="file:///etc/passwd">`, File{}},
		{`<a href="http://index.test/downgraded.whl#sha256=` + hexA + `">`, File{}},
		{`<a href="a%2Fb.whl">`, File{}},
		{`<a href="a%5Cb.whl">`, File{}},
		{`<a href="f.whl?a b">`, File{}},
		{`<a href="%00.whl">`, File{}},
		{`<a href="%FF.whl">`, File{}},
		{`<a href="x/%2E%2E">`, File{}},
		{`<a href="http://[::1/f.whl">`, File{}},
		{`<a href="` + strings.Repeat("x", 256) + `">`, File{}},
		{`<!-- <a href="f.whl"> -->`, File{}},
		{`<script>"<a href='f.whl'>"</script>`, File{}},
	} {
		got, err := parse("text/html", strings.NewReader("<html><body>"+test.anchor+"f.whl</a><br/>"), pageURL)
		want := []File{test.want}
		if test.want == (File{}) {
			want = []File{}
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", test.anchor, err, diff)
		}
	}
}

func TestHTMLPage(t *testing.T) {
	for _, test := range []struct{ head, want, err string }{
		{`<base href="/mirror/"><base href="https://evil.test/">`, "https://index.test/mirror/f.whl", ""},
		{`<base target="_blank"><base href="https://files.test/x/">`, "https://files.test/x/f.whl", ""},
		{`<base href="ftp://files.test/x/">`, "https://index.test/simple/foo/f.whl", ""},
		{`<meta name="pypi:repository-version" content="1.0">`, "https://index.test/simple/foo/f.whl", ""},
		{`<meta name="pypi:repository-version" content="1.99"><meta charset="utf-8">`, "https://index.test/simple/foo/f.whl", ""},
		{`<meta name="pypi:repository-version" content="2.0">`, "", `repository version "2.0"`},
		{`<meta name="pypi:repository-version" content="rubbish">`, "", `repository version "rubbish"`},
		{`<meta name="pypi:project-status" content="archived">`, "https://index.test/simple/foo/f.whl", ""},
		{`<meta name="pypi:project-status" content="quarantined">`, "", ""},
	} {
		got, err := parse("text/html", strings.NewReader("<html><head>"+test.head+`<a href="f.whl">`), pageURL)
		check(t, test.head, test.want, test.err, got, err)
	}
	if _, err := parse("text/html", strings.NewReader(`<a href="`+strings.Repeat("x", 2<<20)), pageURL); err == nil {
		t.Error("a tag of 2 MiB is taken")
	}
}

func check(t *testing.T, name, want, wantErr string, got []File, err error) {
	t.Helper()
	switch {
	case wantErr != "":
		if err == nil || !strings.Contains(err.Error(), wantErr) {
			t.Errorf("%s: %v, want %s", name, err, wantErr)
		}
	case err != nil:
		t.Errorf("%s: %v", name, err)
	case want == "" && (len(got) != 0 || got == nil), want != "" && (len(got) != 1 || got[0].URL != want):
		t.Errorf("%s: %v, want %q", name, got, want)
	}
}

func TestParseJSON(t *testing.T) {
	const where = "https://index.test/simple/foo/f.whl"
	day := time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, test := range []struct {
		entry string // beside filename and url
		want  File
	}{
		{`"hashes": {"sha256": "` + hexA + `", "md5": "x"}, "size": 12, "upload-time": "2024-01-02T03:04:05Z", "requires-python": " >=3.8 ", "yanked": false, "gpg-sig": true, "provenance": null`,
			File{SHA256: shaA, Size: 12, Uploaded: day, RequiresPython: ">=3.8"}},
		{`"upload-time": "2024-01-02T04:04:05+01:00"`, File{Uploaded: day}},
		{`"upload-time": "2024-01-02T03:04:05"`, File{Uploaded: day}},
		{`"upload-time": 7, "size": "large", "requires-python": null, "yanked": null, "core-metadata": null, "hashes": null`, File{}},
		{`"size": -3`, File{}},
		{`"yanked": true`, File{IsYanked: true}},
		{`"yanked": "broken"`, File{IsYanked: true, Yanked: "broken"}},
		{`"yanked": ""`, File{IsYanked: true}},
		{`"core-metadata": true, "dist-info-metadata": false`, File{HasMetadata: true}},
		{`"core-metadata": {"sha256": "` + hexB + `"}`, File{HasMetadata: true, MetadataSHA256: shaB}},
		{`"core-metadata": {"md5": "x"}`, File{HasMetadata: true}},
		{`"core-metadata": false, "dist-info-metadata": {"sha256": "` + hexB + `"}`, File{}},
		{`"dist-info-metadata": {"sha256": "` + hexB + `"}`, File{HasMetadata: true, MetadataSHA256: shaB}},
		{`"data-dist-info-metadata": {"sha256": "` + hexB + `"}`, File{HasMetadata: true, MetadataSHA256: shaB}},
		{`"core-metadata": 7`, File{}},
	} {
		page := `{"meta": {"api-version": "1.1"}, "name": "foo", "files": [{"filename": "f.whl", "url": "f.whl", ` + test.entry + `}]}`
		test.want.URL, test.want.Filename = where, "f.whl"
		got, err := parse(jsonType, strings.NewReader(page), pageURL)
		if diff := cmp.Diff([]File{test.want}, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", test.entry, err, diff)
		}
	}
	// What cannot be read, or not for sure, leaves out its entry and no other.
	for _, entry := range []string{
		`7`, `null`, `{}`, `"f.whl"`, `{"filename": "f.whl"}`, `{"url": ""}`,
		`{"filename": "f.whl", "url": "ftp://h/f.whl"}`,
		`{"filename": "f.whl", "url": "http://h/f.whl"}`,
		`{"filename": "../f.whl", "url": "f.whl"}`,
		`{"filename": "a\\b.whl", "url": "f.whl"}`,
		`{"filename": "f\u0000.whl", "url": "f.whl"}`,
		`{"filename": "f\n.whl", "url": "f.whl"}`,
		`{"filename": 7, "url": "f.whl"}`,
		`{"filename": "f.whl", "url": "f.whl", "hashes": {"sha256": "abc"}}`,
		`{"filename": "f.whl", "url": "f.whl", "hashes": {"sha256": "` + strings.Repeat("z", 64) + `"}}`,
		`{"filename": "f.whl", "url": "f.whl", "hashes": "` + hexA + `"}`,
		`{"filename": "f.whl", "url": "f.whl", "yanked": 1}`,
		`{"filename": "f.whl", "url": "f.whl", "requires-python": 3}`,
	} {
		got, err := parse(jsonType, strings.NewReader(`{"files": [`+entry+`, {"filename": "good.whl", "url": "good.whl"}]}`), pageURL)
		if err != nil || names(got) != "good.whl" {
			t.Errorf("%s: %v, %v", entry, got, err)
		}
	}
}

func TestJSONPage(t *testing.T) {
	const f = `"files": [{"filename": "f.whl", "url": "/f.whl"}]`
	for _, test := range []struct{ page, want, err string }{
		{`{"meta": {"api-version": "1.4"}, ` + f + `}`, "https://index.test/f.whl", ""},
		{`{"meta": {}, ` + f + `}`, "https://index.test/f.whl", ""},
		{`{` + f + `}`, "https://index.test/f.whl", ""},
		{`{"meta": {"api-version": "2.0"}, ` + f + `}`, "", `repository version "2.0"`},
		{`{"meta": {"api-version": 2.0}, ` + f + `}`, "", `repository version "2.0"`},
		{`{"meta": {"api-version": "10"}, ` + f + `}`, "", `repository version "10"`},
		{`{"project-status": {"status": "deprecated"}, ` + f + `}`, "https://index.test/f.whl", ""},
		{`{"project-status": {"status": "quarantined", "reason": "malware"}, ` + f + `}`, "", ""},
		{`{"project-status": 7, ` + f + `}`, "https://index.test/f.whl", ""},
		{`{"files": []}`, "", ""},
		{`{"meta": {"api-version": "1.0"}}`, "", `no "files"`},
		{`[]`, "", "not a JSON project page"},
		{`{"files": [`, "", "not a JSON project page"},
		{`<html>`, "", "not a JSON project page"},
	} {
		got, err := parse(jsonType, strings.NewReader(test.page), pageURL)
		check(t, test.page, test.want, test.err, got, err)
	}
}

func TestContentType(t *testing.T) {
	const j, h = `{"files": [{"filename": "j.whl", "url": "j.whl"}]}`, `<a href="h.whl">`
	for _, test := range []struct{ kind, body, want, err string }{
		{"application/vnd.pypi.simple.v1+json", j, "j.whl", ""},
		{"Application/vnd.PyPI.simple.V1+JSON; charset=utf-8", j, "j.whl", ""},
		{"application/vnd.pypi.simple.latest+json", j, "j.whl", ""},
		{"application/json", j, "j.whl", ""},
		{"application/vnd.pypi.simple.v1+html", h, "h.whl", ""},
		{"text/html", h, "h.whl", ""},
		{"text/html; charset=UTF-8; broken", h, "h.whl", ""},
		{"application/vnd.pypi.simple.v2+json", j, "", `repository version "2"`},
		{"application/octet-stream", h, "", `"application/octet-stream", neither`},
		{"text/plain", h, "", `"text/plain", neither`},
		{"", h, "", "no readable Content-Type"},
	} {
		got, err := parse(test.kind, strings.NewReader(test.body), pageURL)
		if test.err != "" {
			check(t, test.kind, "", test.err, got, err)
		} else if err != nil || names(got) != test.want {
			t.Errorf("%s: %v, %v", test.kind, got, err)
		}
	}
}

// asHTML and asJSON write what was read, so that it can be read again.
func asHTML(files []File) string {
	var b strings.Builder
	for _, f := range files {
		attr := func(name, value string) { fmt.Fprintf(&b, ` %s="%s"`, name, html.EscapeString(value)) }
		fragment := ""
		if f.SHA256 != "" {
			fragment = "#sha256=" + f.SHA256.Encoded()
		}
		b.WriteString("<a")
		attr("href", f.URL+fragment)
		attr("data-requires-python", f.RequiresPython)
		if f.IsYanked {
			attr("data-yanked", f.Yanked)
		}
		if !f.Uploaded.IsZero() {
			attr("data-upload-time", f.Uploaded.Format(time.RFC3339Nano))
		}
		if f.HasMetadata && f.MetadataSHA256 != "" {
			attr("data-core-metadata", "sha256="+f.MetadataSHA256.Encoded())
		} else if f.HasMetadata {
			attr("data-core-metadata", "true")
		}
		b.WriteString(">x</a>\n")
	}
	return b.String()
}

func asJSON(t *testing.T, files []File) []byte {
	t.Helper()
	entries := []map[string]any{}
	for _, f := range files {
		e := map[string]any{"url": f.URL, "filename": f.Filename, "requires-python": f.RequiresPython, "size": f.Size, "yanked": f.IsYanked, "core-metadata": f.HasMetadata}
		if f.SHA256 != "" {
			e["hashes"] = map[string]string{"sha256": f.SHA256.Encoded()}
		}
		if f.Yanked != "" {
			e["yanked"] = f.Yanked
		}
		if !f.Uploaded.IsZero() {
			e["upload-time"] = f.Uploaded.Format(time.RFC3339Nano)
		}
		if f.MetadataSHA256 != "" {
			e["core-metadata"] = map[string]string{"sha256": f.MetadataSHA256.Encoded()}
		}
		entries = append(entries, e)
	}
	b, err := json.Marshal(map[string]any{"meta": map[string]string{"api-version": "1.1"}, "files": entries})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sane holds of every file that is read, whatever the page says.
func sane(t *testing.T, files []File) {
	t.Helper()
	for _, f := range files {
		u, err := url.Parse(f.URL)
		if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" {
			t.Errorf("address %q: %v", f.URL, err)
		}
		if f.Filename == "" || strings.ContainsAny(f.Filename, "/\\\x00\n") || f.Filename == ".." {
			t.Errorf("name %q", f.Filename)
		}
		for _, d := range []digest.Digest{f.SHA256, f.MetadataSHA256} {
			if d != "" && d.Validate() != nil {
				t.Errorf("digest %q", d)
			}
		}
		if f.Size < 0 || f.Yanked != "" && !f.IsYanked || f.MetadataSHA256 != "" && !f.HasMetadata {
			t.Errorf("%+v contradicts itself", f)
		}
	}
}

func FuzzHTML(f *testing.F) {
	f.Add([]byte(`<base href="/x/"><a href="foo-1.tar.gz#sha256=` + hexA + `" data-requires-python="&gt;=3" data-yanked="a&#10;b" data-upload-time="2024-01-02T03:04:05Z">`))
	f.Add([]byte(`<meta name="pypi:repository-version" content="1.0"><a href="a%20b?x#y" data-core-metadata="sha256=` + hexB + `"><a href='//u:p@h/%41'>`))
	f.Fuzz(func(t *testing.T, page []byte) {
		files, err := parse("text/html", bytes.NewReader(page), pageURL)
		if err != nil {
			return
		}
		sane(t, files)
		again, err := parse("text/html", strings.NewReader(asHTML(files)), pageURL)
		if diff := cmp.Diff(files, again); err != nil || diff != "" {
			t.Fatalf("as HTML: %v\n%s", err, diff)
		}
		again, err = parse(jsonType, bytes.NewReader(asJSON(t, files)), pageURL)
		if diff := cmp.Diff(files, again); err != nil || diff != "" {
			t.Fatalf("as JSON: %v\n%s", err, diff)
		}
	})
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"meta": {"api-version": "1.1"}, "files": [{"filename": "f.whl", "url": "../f.whl#x", "hashes": {"sha256": "` + hexA + `"}, "size": 7, "yanked": "x", "core-metadata": {"sha256": "` + hexB + `"}, "upload-time": "2024-01-02T03:04:05.5Z"}]}`))
	f.Add([]byte(`{"project-status": {"status": "quarantined"}, "files": [{"filename": "f.whl", "url": "//u:p@h/f"}, 7]}`))
	f.Fuzz(func(t *testing.T, page []byte) {
		files, err := parse(jsonType, bytes.NewReader(page), pageURL)
		if err != nil {
			return
		}
		sane(t, files)
		again, err := parse(jsonType, bytes.NewReader(asJSON(t, files)), pageURL)
		if diff := cmp.Diff(files, again); err != nil || diff != "" {
			t.Fatalf("%v\n%s", err, diff)
		}
	})
}
