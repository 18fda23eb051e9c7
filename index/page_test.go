package index

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"github.com/python-wheel-build/axle/index/simple"
	"github.com/python-wheel-build/axle/internal/testindex"
	"github.com/python-wheel-build/axle/resolver/view"
)

func TestPageListsHitsAndPromises(t *testing.T) {
	w := newWorld(t, nil)
	w.add(testindex.Spec{Name: "demo", Version: "1.0", RequiresPython: ">=3.7"}, testindex.Spec{Name: "demo", Version: "2!1.0+local.1"},
		testindex.Spec{Name: "demo", Version: "1.5"})
	w.up.Edit("demo-1.5.tar.gz", func(f *testindex.File) { f.IsYanked, f.Yanked = true, "broken" })
	rec := w.build("demo", "1.0")
	v := w.publish("default", true, "")

	files := w.listed("simple/demo/")
	if len(files) != 3 {
		t.Fatalf("listed: %+v", files)
	}
	hit, yanked, promise := files[0], files[1], files[2]
	wantName := fmt.Sprintf("demo-1.0-0_%s-py3-none-any.whl", rec.Wheel.Encoded()[:12])
	if hit.Filename != wantName || hit.URL != w.url+"files/"+rec.Wheel.Encoded()+"/"+wantName || hit.Hashes["sha256"] != rec.Wheel.Encoded() ||
		hit.Size != rec.Size() || hit.Python != ">=3.7" || hit.Uploaded != "2024-01-01T00:00:00Z" {
		t.Errorf("hit: %+v", hit)
	}
	if core, ok := hit.Core.(map[string]any); !ok || core["sha256"] != rec.Metadata.Encoded() {
		t.Errorf("hit's metadata: %v", hit.Core)
	}
	if yanked.Yanked != "broken" || len(yanked.Hashes) != 0 {
		t.Errorf("yanked: %+v", yanked)
	}
	if !strings.HasPrefix(promise.Filename, "demo-2!1.0+local.1-0_") || !strings.HasSuffix(promise.Filename, "-"+v.Target.PromiseTags()+".whl") ||
		!strings.HasPrefix(promise.URL, w.url+"view/@"+strings.TrimPrefix(string(v.Digest()), "sha256:")+"/promise/demo-2%211.0+local.1-0_") ||
		promise.Core != true || promise.Size != 0 || len(promise.Hashes) != 0 {
		t.Errorf("promise: %+v", promise)
	}
	if n := w.builder.did("wheel demo==1.5") + w.builder.did("metadata demo==1.5"); n != 0 {
		t.Errorf("a page had %d things done", n)
	}

	for path, want := range map[string]int{
		"view/default/simple/demo/": 3, "view/@" + string(v.Digest()) + "/simple/demo/": 3, "view/default/cached/simple/demo/": 1,
		"view/@" + strings.TrimPrefix(string(v.Digest()), "sha256:") + "/cached/simple/demo/": 1,
	} {
		got := w.listed(path)
		if len(got) != want || got[0].URL != hit.URL {
			t.Errorf("%s: %+v", path, got)
		}
	}
	w.publish("frozen", false, "")
	if got := w.listed("view/frozen/simple/demo/"); len(got) != 1 || got[0].Filename != wantName {
		t.Errorf("a name that never builds: %+v", got)
	}
	// Another view promises under other names: a client's cache must not take one for the other.
	w.publish("other", true, "something<3")
	for _, f := range w.listed("view/other/simple/demo/") {
		for _, g := range files {
			if f.Filename == g.Filename && len(f.Hashes) == 0 {
				t.Errorf("promise %s in two views", f.Filename)
			}
		}
	}
}

func TestPageTable(t *testing.T) {
	w := newWorld(t, nil)
	w.add(testindex.Spec{Name: "foo-bar", Version: "1.0"}, testindex.Spec{Name: "other", Version: "1.0"})
	w.build("other", "1.0")
	const json, html, pipAccept = simple.TypeJSON, "text/html; charset=utf-8", "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"
	for _, c := range []struct {
		path, accept string
		status       int
		contentType  string
		location     string
		contains     string
	}{
		{"simple/foo-bar/", "", 200, html, "", "foo_bar-1.0-0_"},
		{"simple/foo-bar/", pipAccept, 200, json, "", `"name":"foo-bar"`},
		{"simple/foo-bar/", simple.TypeHTML, 200, simple.TypeHTML, "", "foo_bar-1.0-0_"},
		{"simple/foo-bar/", "application/vnd.pypi.simple.latest+json", 200, json, "", "foo_bar"},
		{"simple/foo-bar/", "image/png", 406, "", "", "not acceptable"},
		{"simple/Foo.Bar/", pipAccept, 301, "", "../foo-bar/", ""},
		{"simple/Foo__Bar", pipAccept, 301, "", "foo-bar/", ""},
		{"simple/foo-bar", pipAccept, 301, "", "foo-bar/", ""},
		{"simple", pipAccept, 301, "", "simple/", ""},
		{"view/default/simple/Foo.Bar/", pipAccept, 301, "", "../foo-bar/", ""},
		{"view/default/cached/simple", pipAccept, 301, "", "simple/", ""},
		{"view/default/cached/simple/foo-bar/", pipAccept, 404, "", "", "has nothing of foo-bar"},
		{"simple/", pipAccept, 200, json, "", `{"name":"other"}`},
		{"simple/", "text/html", 200, html, "", `<a href="other/">other</a>`},
		{"simple/", "image/png", 406, "", "", ""},
		{"view/default/simple/", pipAccept, 200, json, "", "other"},
		{"view/nothere/simple/", pipAccept, 404, "", "", "no view nothere"},
		{"view/nothere/simple/foo-bar/", pipAccept, 404, "", "", "no view nothere"},
		{"view/@sha256:12/simple/foo-bar/", pipAccept, 404, "", "", "no view"},
		{"view/@" + strings.Repeat("0", 64) + "/simple/foo-bar/", pipAccept, 404, "", "", "no view"},
		{"simple/nothere/", pipAccept, 404, "", "", "has nothing of nothere"},
		{"simple/pip/", pipAccept, 404, "", "", ""},
		{"simple/-bad-/", pipAccept, 404, "", "", "no such project"},
		{"simple/%C3%A9/", pipAccept, 404, "", "", "no such project"},
		{"simple%2Ffoo-bar/", pipAccept, 404, "", "", "slash"},
		{"simple/foo-bar%2f", pipAccept, 404, "", "", "slash"},
		{"view//simple/foo-bar/", pipAccept, 404, "", "", "empty segment"},
		{"/simple/foo-bar/", pipAccept, 404, "", "", "empty segment"},
		{"nothing", pipAccept, 404, "", "", "not found"},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			a := w.do(method, w.url+c.path, "", "Accept", c.accept)
			if c.accept == "" {
				a = w.do(method, w.url+c.path, "")
			}
			if a.status != c.status || a.header.Get("Location") != c.location || (c.contentType != "" && a.header.Get("Content-Type") != c.contentType) ||
				(method == "GET" && !strings.Contains(a.body, c.contains)) || (method == "HEAD" && a.body != "") {
				t.Errorf("%s %s %s: %d %v\n%s", method, c.path, c.accept, a.status, a.header, a.body)
			}
			if a.status >= 400 && method == "GET" {
				a.problem(t)
			}
			if a.status == 200 && (a.header.Get("Cache-Control") != "max-age=0" || a.header.Get("Vary") != "Accept, Accept-Encoding" || a.header.Get("Etag") == "" ||
				a.header.Get("Content-Length") == "") {
				t.Errorf("%s %s: %v", method, c.path, a.header)
			}
		}
	}
	if n := len(w.builder.asked); n != 1 {
		t.Errorf("pages asked the builder %d times", n-1)
	}
}

// Where nothing is built, a project is listed if it can be installed.
func TestRootOfHits(t *testing.T) {
	w := newWorld(t, nil)
	w.add(testindex.Spec{Name: "done", Version: "1.0"}, testindex.Spec{Name: "done", Version: "2.0"}, testindex.Spec{Name: "begun", Version: "1.0"},
		testindex.Spec{Name: "also-done", Version: "1.0"})
	w.build("done", "2.0")
	w.build("done", "1.0")
	w.build("also-done", "1.0")
	name, err := w.Names.Get(t.Context(), "default")
	check(t, err)
	a, err := w.Catalog.Lookup(t.Context(), name.View, "begun", parsedVersion(t, "1.0"))
	check(t, err)
	blob, _, err := w.Catalog.File(t.Context(), name.View, a.Source) // a source is stored of it, and no wheel
	check(t, err)
	check(t, blob.Close())
	w.publish("frozen", false, "")
	w.publish("cached", true, "") // a name like a path's word
	for path, want := range map[string]string{
		"view/default/cached/simple/": "[also-done done]", "view/@" + string(name.View.Digest()) + "/cached/simple/": "[also-done done]",
		"view/frozen/simple/": "[also-done done]", "view/cached/cached/simple/": "[also-done done]",
		"simple/": "[also-done begun done]", "view/default/simple/": "[also-done begun done]", "view/cached/simple/": "[also-done begun done]",
	} {
		var root struct{ Projects []struct{ Name string } }
		check(t, json.Unmarshal([]byte(w.get(w.url+path, "Accept", simple.TypeJSON).body), &root))
		got := make([]string, 0, len(root.Projects))
		for _, p := range root.Projects {
			got = append(got, p.Name)
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%s lists %s, want %s", path, got, want)
		}
	}
}

func TestPageETagsAndEncodings(t *testing.T) {
	w := newWorld(t, nil)
	for i := range 20 {
		w.add(testindex.Spec{Name: "demo", Version: fmt.Sprintf("1.%d", i)})
	}
	page := w.url + "simple/demo/"
	seen := map[string]string{}
	for _, accept := range []string{simple.TypeJSON, simple.TypeHTML, simple.TypeLegacy} {
		var plain string
		for _, encoding := range []string{"identity", "gzip, deflate"} {
			a := w.get(page, "Accept", accept, "Accept-Encoding", encoding)
			etag := a.header.Get("Etag")
			if other, ok := seen[etag]; ok || !strings.HasPrefix(etag, `"`) {
				t.Errorf("%s %s has the ETag %s of %s", accept, encoding, etag, other)
			}
			seen[etag] = accept + " " + encoding
			if a.header.Get("Content-Length") != fmt.Sprint(len(a.body)) {
				t.Errorf("length %s of %d bytes", a.header.Get("Content-Length"), len(a.body))
			}
			if encoding == "identity" {
				plain = a.body
				if a.header.Get("Content-Encoding") != "" {
					t.Error("encoded unasked")
				}
			} else {
				z, err := gzip.NewReader(strings.NewReader(a.body))
				check(t, err)
				unpacked, err := io.ReadAll(z)
				check(t, err)
				if a.header.Get("Content-Encoding") != "gzip" || !bytes.Equal(unpacked, []byte(plain)) {
					t.Errorf("%s: not the same page packed: %v", accept, a.header)
				}
			}
			for _, match := range []string{etag, "W/" + etag, `"x", ` + etag, "*"} {
				again := w.get(page, "Accept", accept, "Accept-Encoding", encoding, "If-None-Match", match)
				if again.status != 304 || again.body != "" || again.header.Get("Etag") != etag || again.header.Get("Vary") == "" ||
					again.header.Get("Content-Type") != "" || again.header.Get("Content-Encoding") != "" {
					t.Errorf("If-None-Match %s: %d %v %q", match, again.status, again.header, again.body)
				}
			}
			if again := w.get(page, "Accept", accept, "Accept-Encoding", encoding, "If-None-Match", `"old"`); again.status != 200 {
				t.Errorf("another ETag: %d", again.status)
			}
		}
	}
	before := w.get(page, "Accept", simple.TypeJSON)
	if again := w.get(page, "Accept", simple.TypeJSON); again.header.Get("Etag") != before.header.Get("Etag") || again.body != before.body {
		t.Error("the same page twice differs")
	}
	w.build("demo", "1.7")
	if after := w.get(page, "Accept", simple.TypeJSON, "If-None-Match", before.header.Get("Etag")); after.status != 200 || after.body == before.body {
		t.Errorf("a new hit doesn't show: %d", after.status)
	}
}

// All links are relative, so a proxy may serve everything below a prefix without touching a byte.
func TestBelowAPrefix(t *testing.T) {
	w := newWorld(t, nil)
	w.add(testindex.Spec{Name: "demo", Version: "1.0"}, testindex.Spec{Name: "demo", Version: "2.0"})
	w.build("demo", "1.0")
	mux := http.NewServeMux()
	mux.Handle("/some/prefix/", http.StripPrefix("/some/prefix", w.Server.Handler()))
	proxy := newServer(t, mux)
	for _, path := range []string{"simple/Demo", "view/default/simple/demo/", "view/default/cached/simple/DEMO/"} {
		res, err := http.Get(proxy + "some/prefix/" + path)
		check(t, err)
		body, err := io.ReadAll(res.Body)
		check(t, err)
		check(t, res.Body.Close())
		if res.StatusCode != 200 {
			t.Fatalf("%s: %d %s", path, res.StatusCode, body)
		}
		for part := range strings.SplitSeq(string(body), `<a href="`) {
			link, _, ok := strings.Cut(part, `"`)
			if !ok || !strings.HasPrefix(link, "..") {
				continue
			}
			u, err := res.Request.URL.Parse(link)
			check(t, err)
			file, err := http.Get(u.String())
			check(t, err)
			check(t, file.Body.Close())
			if file.StatusCode != 200 || !strings.HasPrefix(u.Path, "/some/prefix/") {
				t.Errorf("%s links to %s: %d", path, u, file.StatusCode)
			}
		}
	}
}

func TestUpstreamDown(t *testing.T) {
	w := newWorld(t, nil)
	w.add(testindex.Spec{Name: "demo", Version: "1.0"}, testindex.Spec{Name: "demo", Version: "2.0"})
	w.build("demo", "1.0")
	w.up.Down()
	if files := w.listed("simple/demo/"); len(files) != 1 || files[0].Size == 0 {
		t.Errorf("hits are still there: %+v", files)
	}
	a := w.get(w.url + "simple/unknown/")
	if p := a.problem(t); p.Status != 503 || a.header.Get("Retry-After") != "5" || p.Type != typeDown {
		t.Errorf("%+v %v", p, a.header)
	}
}

// Bytes come by digest and only under the name of a project and version that has them.
func TestFiles(t *testing.T) {
	w := newWorld(t, nil)
	w.add(testindex.Spec{Name: "demo", Version: "1.0", Marker: "one"}, testindex.Spec{Name: "other", Version: "1.0"})
	rec, other := w.build("demo", "1.0"), w.build("other", "1.0")
	name, url := rec.Listed(0), w.url+filePath(&view.View{}, rec)
	a := w.get(url)
	if a.status != 200 || len(a.body) != int(rec.Size()) || a.header.Get("Content-Type") != "application/octet-stream" ||
		a.header.Get("Cache-Control") != "max-age=31536000, immutable" || a.header.Get("Etag") != `"`+rec.Wheel.String()+`"` || a.header.Get("Accept-Ranges") != "bytes" {
		t.Fatalf("%d %v", a.status, a.header)
	}
	if head := w.do("HEAD", url, ""); head.status != 200 || head.header.Get("Content-Length") != fmt.Sprint(rec.Size()) || head.body != "" {
		t.Errorf("HEAD: %d %v", head.status, head.header)
	}
	if part := w.get(url, "Range", "bytes=10-19"); part.status != 206 || part.body != a.body[10:20] {
		t.Errorf("Range: %d %q", part.status, part.body)
	}
	if part := w.get(url, "Range", "bytes=-5", "If-Range", a.header.Get("Etag")); part.status != 206 || part.body != a.body[len(a.body)-5:] {
		t.Errorf("If-Range: %d %q", part.status, part.body)
	}
	if part := w.get(url, "Range", "bytes=99999999-"); part.status != 416 {
		t.Errorf("outside: %d", part.status)
	}
	if same := w.get(url, "If-None-Match", a.header.Get("Etag")); same.status != 304 || same.body != "" {
		t.Errorf("304: %d %v", same.status, same.header)
	}
	meta := w.get(url + ".metadata")
	if meta.status != 200 || !strings.Contains(meta.body, "Name: demo") || meta.header.Get("Etag") != `"`+rec.Metadata.String()+`"` ||
		meta.header.Get("Cache-Control") != "max-age=31536000, immutable" {
		t.Errorf("metadata: %d %v %s", meta.status, meta.header, meta.body)
	}
	// The name's build tag and tags are for people; project and version must be the record's.
	for path, want := range map[string]int{
		rec.Wheel.Encoded() + "/demo-1.0-py3-none-any.whl": 200,
		other.Wheel.Encoded() + "/" + name:                 404,
		rec.Wheel.Encoded() + "/demo-1.1-py3-none-any.whl": 404,
		rec.Metadata.Encoded() + "/" + name:                404,
		strings.Repeat("0", 64) + "/" + name:               404,
		strings.ToUpper(rec.Wheel.Encoded()) + "/" + name:  404,
		"12/" + name:                             404,
		rec.Wheel.Encoded() + "/demo-1.0.tar.gz": 404,
		rec.Wheel.Encoded() + "/" + name + ".metadata.metadata":   404,
		rec.Wheel.Encoded() + "/..%2F..%2F..%2Faxle-store.json":   404,
		rec.Wheel.Encoded() + "/":                                 404,
		rec.Wheel.Encoded() + "/%00":                              400,
		rec.Wheel.Encoded() + "/" + strings.Repeat("a", 2000):     404,
		rec.Wheel.Encoded() + "/demo-1.0-py3-none-any.whl/../../": 404,
	} {
		if a := w.get(w.url + "files/" + path); a.status != want {
			t.Errorf("%s: %d, want %d: %s", path, a.status, want, a.body)
		} else if want != 200 {
			a.problem(t)
			if a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: an error to be kept: %v", path, a.header)
			}
		}
	}
	if hit, unknown := w.counter(`axle_lookups_total{result="hit"}`), w.counter(`axle_lookups_total{result="unknown"}`); hit != "8" || unknown != "4" {
		t.Errorf("counted %s hits and %s unknown", hit, unknown)
	}
}

// spying is a ResponseWriter like net/http's: it can take a file as a whole.
type spying struct {
	http.ResponseWriter
	files int
}

func (s *spying) ReadFrom(r io.Reader) (int64, error) {
	if l, ok := r.(*io.LimitedReader); ok {
		if _, ok := l.R.(*os.File); ok {
			s.files++
		}
	}
	return io.Copy(struct{ io.Writer }{s.ResponseWriter}, r)
}

// net/http sends a file by sendfile only if it gets the *os.File itself, by way of ReadFrom; echo's own Response hides that method.
func TestFilesGoOutBySendfile(t *testing.T) {
	w := newWorld(t, nil)
	w.add(testindex.Spec{Name: "demo", Version: "1.0"})
	promise := w.listed("simple/demo/")[0].URL
	rec := w.build("demo", "1.0")
	for _, url := range []string{w.url + filePath(&view.View{}, rec), promise} {
		r := httptest.NewRequest("GET", url, nil)
		out := httptest.NewRecorder()
		spy := &spying{ResponseWriter: out}
		w.Server.Handler().ServeHTTP(spy, r)
		if out.Code != 200 || out.Body.Len() != int(rec.Size()) || spy.files != 1 {
			t.Errorf("%s: %d, %d bytes, %d files", url, out.Code, out.Body.Len(), spy.files)
		}
	}
}

func TestDamagedFileIsNeverServed(t *testing.T) {
	w := newWorld(t, nil)
	w.add(testindex.Spec{Name: "demo", Version: "1.0"})
	rec := w.build("demo", "1.0")
	url := w.url + filePath(&view.View{}, rec)
	if a := w.get(url); a.status != 200 {
		t.Fatal(a.status)
	}
	hex := rec.Wheel.Encoded()
	blob := w.dir + "/blobs/sha256/" + hex[:2] + "/" + hex
	b, err := os.ReadFile(blob)
	check(t, err)
	b[len(b)/2] ^= 1
	check(t, os.Chmod(blob, 0o666))
	check(t, os.WriteFile(blob, b, 0o666))
	a := w.get(url)
	if p := a.problem(t); p.Status != 503 || p.Type != typeDamaged || !strings.Contains(p.Detail, "quarantine") || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%+v %v", p, a.header)
	}
	if p := w.get(url).problem(t); p.Status != 404 {
		t.Errorf("afterwards: %+v", p)
	}
	files := w.listed("simple/demo/")
	if len(files) != 1 || len(files[0].Hashes) != 0 {
		t.Fatalf("the next page: %+v", files)
	}
	if a := w.get(files[0].URL); a.status != 200 || w.builder.did("wheel demo==1.0") != 2 {
		t.Errorf("anew: %d %s", a.status, a.body)
	}
}

func TestRevokedFileIsGone(t *testing.T) {
	w := newWorld(t, nil)
	w.add(testindex.Spec{Name: "demo", Version: "1.0"})
	rec := w.build("demo", "1.0")
	check(t, w.Catalog.Store.Create(t.Context(), "revocations/"+rec.Wheel.Encoded()+".json", map[string]string{"why": "test"}))
	if p := w.get(w.url + filePath(&view.View{}, rec)).problem(t); p.Status != 410 {
		t.Errorf("%+v", p)
	}
}
