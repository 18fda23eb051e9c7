package main

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/python-wheel-build/axle/internal/testindex"
	"github.com/python-wheel-build/axle/internal/testtools"
)

// s3Rig is a rig whose store lies below a prefix of a real S3 server, and a client of that server.
func s3Rig(t *testing.T) (*rig, *minio.Client) {
	address, key, secret := testtools.S3(t)
	t.Setenv("AWS_ACCESS_KEY_ID", key)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	t.Setenv("TMPDIR", t.TempDir()) // the scratch folder is the machine's
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := url.Parse(u.Query().Get("endpoint"))
	if err != nil {
		t.Fatal(err)
	}
	client, err := minio.New(endpoint.Host, &minio.Options{Creds: credentials.NewStaticV4(key, secret, ""), Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/wheels/main"
	r := newRacingRig(t)
	r.store = u.String()
	return r, client
}

// beside is a second server on the same store, configuration and upstream.
func (r *rig) beside() *rig {
	other := newRig(r.t)
	other.store, other.up, other.config, other.args = r.store, r.up, r.config, r.args
	return other
}

// TestS3: the same program on an S3 server: installs, restarts, finds damage, and shares the store with another server.
func TestS3(t *testing.T) {
	r, client := s3Rig(t)
	r.up.Add(spec("base", "1.0", "b"), testindex.Spec{Name: "demo", Version: "1.0", Marker: "d", BuildRequires: []string{"base"}, See: []string{"base"}, Requires: []string{"base"}},
		testindex.Spec{Name: "late", Version: "1.0", Marker: "l", BuildSleep: time.Second}, testindex.Spec{Name: "both", Version: "1.0", Marker: "2", BuildSleep: 2 * time.Second})
	r.start()
	r.installs(clients(t)[1], r.home(), "demo")
	if got := r.built(); got != 2 {
		t.Errorf("%d builds, want 2", got)
	}
	r.installs(clients(t)[2], r.home(), "demo")
	good := r.get(r.only("demo").URL, nil)
	r.kill()
	r.start()
	other := r.beside()
	other.start()
	if r.base == other.base {
		t.Fatal("one server, not two")
	}
	for _, server := range []*rig{r, other} {
		for _, c := range clients(t)[1:] {
			folder := server.installs(c, server.home(), "demo")
			if got := server.marker(folder, "demo") + server.marker(folder, "base"); got != "db" {
				t.Errorf("%s installed %q", c.name, got)
			}
		}
		if got := server.built(); got != 0 {
			t.Errorf("%d builds of what is stored", got)
		}
	}

	// What one server builds is the other's hit at once; what both build at once is one wheel.
	r.installs(clients(t)[2], r.home(), "late")
	if f := other.only("late"); !f.hit() || other.get(f.URL, nil).status != http.StatusOK {
		t.Errorf("the other server has no %+v", f)
	}
	var wg sync.WaitGroup
	for _, server := range []*rig{r, other} {
		wg.Go(func() {
			if _, stderr, err := server.run("build", "both"); err != nil {
				t.Errorf("both servers at once: %v\n%s", err, stderr)
			}
		})
	}
	wg.Wait()
	if a, b := r.only("both"), other.only("both"); !a.hit() || a.Hashes["sha256"] != b.Hashes["sha256"] {
		t.Errorf("two servers at once: %+v and %+v", a, b)
	}
	if out, stderr, err := r.run("verify", "--store", r.store); err != nil || out != "" {
		t.Errorf("verify: %v\n%s%s", err, out, stderr)
	}

	if out, stderr, err := r.run("verify", "--store", strings.Replace(r.store, "/main", "/misspelt", 1)); err == nil || !strings.Contains(stderr, "there is none") {
		t.Errorf("verify of no store: %v\n%s%s", err, out, stderr)
	}

	// Somebody writes other bytes over a wheel: they are reported and never served, and the wheel is built again.
	listed := r.only("demo")
	sha := listed.Hashes["sha256"]
	object := "wheels/main/blobs/sha256/" + sha[:2] + "/" + sha
	other.overwrite(client, object, strings.Replace(good.body, "PK", "pk", 1))
	if out, _, err := r.run("verify", "--store", r.store); err == nil || !strings.Contains(out, sha) || strings.Count(out, "\n") != 1 {
		t.Errorf("verify: %v\n%s", err, out)
	}
	for _, server := range []*rig{r, other} {
		at := strings.Replace(listed.URL, r.base, server.base, 1)
		for _, header := range []map[string]string{nil, {"Range": "bytes=100-109"}} {
			if resp := server.get(at, header); resp.status == http.StatusOK || resp.status == http.StatusPartialContent {
				t.Errorf("other bytes were served: %d %v", resp.status, resp.header)
			}
		}
		if server.only("demo").hit() {
			t.Error("the damaged wheel is still listed as a hit")
		}
	}
	other.installs(clients(t)[1], other.home(), "demo")
	if resp := r.get(listed.URL, nil); resp.status != http.StatusOK || resp.body != good.body {
		t.Errorf("built anew: %d, %d bytes, want the first %d", resp.status, len(resp.body), len(good.body))
	}
	if out, _, err := r.run("verify", "--store", r.store); err != nil {
		t.Errorf("verify after the rebuild: %v\n%s", err, out)
	}
}

// overwrite puts other bytes where an object is.
func (r *rig) overwrite(client *minio.Client, object, text string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	if _, err := client.StatObject(ctx, "axle", object, minio.StatObjectOptions{}); err != nil {
		r.t.Fatalf("%s: %v", object, err)
	}
	_, err := client.PutObject(ctx, "axle", object, strings.NewReader(text), int64(len(text)), minio.PutObjectOptions{})
	r.ok(err)
}

// refused runs a command that must end by itself with an error that says all of want.
func (r *rig) refused(argv []string, want ...string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(clientEnv(r.dir), "XDG_CACHE_HOME="+cacheHome(r.t))
	cmd.Dir = r.dir
	out, err := cmd.CombinedOutput()
	if err == nil || ctx.Err() != nil || strings.Contains(string(out), "goroutine ") {
		r.t.Errorf("%q: %v\n%s", argv, err, out)
	}
	for _, w := range want {
		if !strings.Contains(string(out), w) {
			r.t.Errorf("%q does not say %q:\n%s", argv, w, out)
		}
	}
}

// serve is the command line of a server with other flags.
func (r *rig) serve(flags ...string) []string {
	return append([]string{axle, "serve", "--tools", testtools.Dir(r.t)}, flags...)
}

// TestStoreRefused: a store that can't be used is told by name, and nothing is made of it.
func TestStoreRefused(t *testing.T) {
	r := newRig(t)
	r.write("file", "not a folder")
	r.write("newer/axle-store.json", "{\"format\":\"2\"}\nchecked in another way\n")
	r.write("torn/axle-store.json", "{\"form")
	r.refused(r.serve("--store", "file"), "store file: ", "not a directory", "name a folder")
	// A store is made by who fills it. Of a mistyped one verify must not say that all is well.
	r.refused([]string{axle, "verify", "--store", "misspelt"}, "store misspelt: there is none", "axle serve --store")
	if _, err := os.Stat(filepath.Join(r.dir, "misspelt")); err == nil {
		t.Error("verify made a store")
	}
	for _, store := range []string{"newer", "torn"} {
		text, err := os.ReadFile(filepath.Join(r.dir, store, "axle-store.json"))
		r.ok(err)
		want := map[string]string{"newer": `format "2"`, "torn": "axle-store.json is damaged"}[store]
		r.refused(r.serve("--store", store), "store "+store+": ", want)
		r.refused([]string{axle, "verify", "--store", store}, "store "+store+": ", want)
		after, err := os.ReadFile(filepath.Join(r.dir, store, "axle-store.json"))
		if err != nil || string(after) != string(text) {
			t.Errorf("the store %s was changed: %v %q", store, err, after)
		}
	}
	r.refused(r.serve("--store", "gs://bucket/prefix"), "gs://", "s3://bucket/prefix?endpoint=")
	r.refused(r.serve("--store", "s3://user:hunter2@bucket/prefix?region=x"), "secrets don't belong into the URL", "AWS_ACCESS_KEY_ID")
	r.refused(r.serve("--store", "s3://bucket/prefix?endpoint=http://127.0.0.1:9&region=x"), "s3://bucket/prefix", "no access key")
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	r.refused(r.serve("--store", "s3://bucket/prefix?endpoint=http://127.0.0.1:9&region=x"), "s3://bucket/prefix", "127.0.0.1:9", "connection refused")

	// bubblewrap takes from root too the power to write where the modes or the mount say no.
	r.ok(os.Mkdir(filepath.Join(r.dir, "closed"), 0o555))
	r.refused(append([]string{"bwrap", "--dev-bind", "/", "/", "--cap-drop", "ALL"}, r.serve("--store", "closed")...), "store closed: ", "permission denied")
	closed := filepath.Join(r.dir, "closed")
	r.refused(append([]string{"bwrap", "--dev-bind", "/", "/", "--ro-bind", closed, closed}, r.serve("--store", "closed")...), "store closed: ", "read-only file system")
}

// TestCommandLine: what a person may get wrong is answered with the thing, the reason and the next step.
func TestCommandLine(t *testing.T) {
	r := newRig(t)
	if out, _, err := r.run("version"); err != nil || !strings.HasPrefix(out, "axle ") || len(strings.Fields(out)) != 2 {
		t.Errorf("version: %v %q", err, out)
	}
	for _, c := range []struct {
		argv []string
		want []string
	}{
		{[]string{axle}, []string{"expected one of", "serve", "build"}},
		{[]string{axle, "frobnicate"}, []string{"unexpected argument frobnicate"}},
		{[]string{axle, "serve"}, []string{"--store"}},
		{[]string{axle, "serve", "--store", "s", "--bogus"}, []string{"unknown flag --bogus"}},
		{[]string{axle, "serve", "--store", "s", "--workers", "many"}, []string{"--workers", "many"}},
		{r.serve("--store", "s", "--listen", "0.0.0.0:0"), []string{"--listen 0.0.0.0:0", "other machines", "--insecure-listen"}},
		{r.serve("--store", "s", "--listen", "[::]:8080"), []string{"--listen [::]:8080", "--insecure-listen"}},
		{r.serve("--store", "s", "--listen", "nonsense"), []string{"--listen nonsense", "missing port", "127.0.0.1:8080"}},
		{[]string{axle, "serve", "--store", "s", "--tools", "nowhere"}, []string{`"nowhere"`, "make tools", "--tools"}},
		{r.serve("--store", "s", "--config", "nothing.yaml"), []string{"--config", "nothing.yaml: no such file"}},
		{[]string{axle, "build"}, []string{"<req>"}},
		{[]string{axle, "build", "--server", "http://127.0.0.1:9", "demo"}, []string{"http://127.0.0.1:9/", "connection refused", "is it running?", "axle serve", "--server"}},
		{[]string{axle, "defaults"}, []string{"<dir>"}},
	} {
		r.refused(c.argv, c.want...)
	}
	if _, err := os.Stat(filepath.Join(r.dir, "s")); err == nil {
		t.Error("a command line that was refused made a store")
	}
	for text, want := range map[string][]string{
		"views:\n  default:\n    # a comment\n    setings: overrides\n":     {"axle.yaml:4: ", `unknown key "setings" in view default`, "settings, sources, upstream"},
		"views:\n  default: {build: sometimes}\n":                           {"axle.yaml:2: ", `"sometimes" is not one of: on-demand, never`},
		"views:\n\tdefault: {}\n":                                           {"axle.yaml:2: not YAML"},
		"views: {}\n":                                                       {"axle.yaml:1: ", "no views"},
		"views:\n  a: {}\n  a: {}\n":                                        {"axle.yaml:3: ", `key "a" stands here twice, first in line 2`},
		"views:\n  default: {python: python9.9, settings: overrides}\n":     {"view default: python python9.9: ", "not found", "`python:`"},
		"views:\n  default:\n    upstream: {main: 'https://me:pw@host/'}\n": {"axle.yaml:3: ", "upstream: main", "netrc"},
		"views:\n  default:\n    environment: {env: [PATH], settings: x}\n": {"axle.yaml:3: ", `unknown key "settings" in environment`},
	} {
		r.write("axle.yaml", text)
		r.refused(r.serve("--store", "s", "--listen", "127.0.0.1:0", "--config", "axle.yaml"), want...)
	}

	out := filepath.Join(r.dir, "own")
	if _, stderr, err := r.run("defaults", out); err != nil || !strings.Contains(stderr, "settings:") {
		t.Errorf("defaults: %v\n%s", err, stderr)
	}
	r.refused([]string{axle, "defaults", "own"}, "own is not empty", "name a new folder")
	// What was written is what a view without settings has: it can be named in its place, and the digest is the same.
	r.config = "views:\n  default: {upstream: {main: %UP%}}\n  written: {upstream: {main: %UP%}, settings: own}\n"
	hungUp := make(chan error, 1)
	go func() { // while the server starts: it must not die of that, and read its configuration again
		for end := time.Now().Add(time.Minute); !strings.Contains(r.out.all(), "no settings folder") && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond)
		}
		hungUp <- r.cmd.Process.Signal(syscall.SIGHUP)
	}()
	r.start()
	r.ok(<-hungUp)
	r.eventually("the configuration is read again", func() bool { return strings.Contains(r.out.all(), "why=SIGHUP") })
	r.refused(r.serve("--store", "other", "--config", "axle.yaml", "--listen", strings.TrimPrefix(r.base, "http://")), "--listen "+strings.TrimPrefix(r.base, "http://"), "address already in use", "name another address")
	views := r.get("/api/v1/views", nil).body
	if all := shaInURL.FindAllString(views, -1); len(all) != 2 || all[0] != all[1] {
		t.Errorf("views: %s", views)
	}

	// A running server stays as it was.
	r.write("bad/settings/demo.yaml", "# a comment\nchangelogg: {}\n")
	r.write("cons.txt", "demo<2\ndemo ==== 1\n")
	for text, want := range map[string][]string{
		"{environment: {paths: {tool: nowhere}}}": {"path tool: ", "nowhere: no such file"},
		"{settings: nowhere, upstream: {}}":       {"nowhere: no such file"},
		"{settings: bad, upstream: {}}":           {"bad/settings/demo.yaml:2: ", "changelogg"},
		"{constraints: [cons.txt], upstream: {}}": {"cons.txt:2: "},
	} {
		r.write("axle.yaml", "views:\n  default: "+text+"\n")
		said := len(r.out.all())
		r.ok(r.cmd.Process.Signal(syscall.SIGHUP))
		r.eventually("the configuration is refused", func() bool { return strings.Contains(r.out.all()[said:], "views stay as they were") })
		for _, w := range append(want, "view default: ") {
			if !strings.Contains(r.out.all()[said:], w) {
				t.Errorf("%s: the server does not say %q:\n%s", text, w, r.out.all()[said:])
			}
		}
	}
	if now := r.get("/api/v1/views", nil).body; now != views {
		t.Errorf("views were %s and are %s", views, now)
	}
}

// TestViews: two views of one server differ in what they decided, and only in that; one that builds nothing shows only what is there; and
// nobody but a person on this machine orders builds.
func TestViews(t *testing.T) {
	r := newRig(t)
	r.write("overrides/settings/demo.yaml", "variants:\n  cpu: {env: {FLAVOUR: plain}}\n  rocm: {env: {FLAVOUR: spicy}}\n")
	r.config = "views:\n  default: {settings: overrides, upstream: {main: %UP%}}\n  rocm: {settings: overrides, upstream: {main: %UP%}, variant: rocm}\n" +
		"  frozen: {settings: overrides, upstream: {main: %UP%}, build: never}\n"
	r.args = append(r.args, "--host", "wheels.example")
	r.up.Add(testindex.Spec{Name: "demo", Version: "1.0", Marker: "d", OnBuild: "seen['flavour'] = os.environ.get('FLAVOUR')"}, spec("same", "1.0", "s"), spec("other", "1.0", "o"))
	r.start()
	at := func(view string) *rig {
		v := *r
		v.base += "/view/" + view
		return &v
	}
	for view, flavour := range map[string]string{"default": "plain", "rocm": "spicy"} {
		folder := at(view).installs(clients(t)[2], r.home(), "demo", "same")
		b, err := os.ReadFile(filepath.Join(folder, "demo.py"))
		if err != nil || !strings.Contains(string(b), `"flavour": "`+flavour+`"`) {
			t.Errorf("view %s: %v %s", view, err, b)
		}
	}
	if got := r.built(); got != 3 {
		t.Errorf("%d builds, want demo for each of the views and same for both", got)
	}

	// The frozen view has what the default one had built, and nothing else.
	frozen := at("frozen")
	frozen.installs(clients(t)[1], r.home(), "demo")
	if resp := frozen.get("/simple/other/", nil); resp.status != http.StatusNotFound || strings.Contains(resp.body, "promise") {
		t.Errorf("frozen page: %d %s", resp.status, resp.body)
	}
	if _, out, err := frozen.install(clients(t)[2], r.home(), "other"); err == nil {
		t.Errorf("uv installed what nobody built: %s", out)
	}
	if _, stderr, err := r.run("build", "--view", "frozen", "other"); err == nil || !strings.Contains(stderr, "frozen") || !strings.Contains(stderr, "build: never") {
		t.Errorf("axle build in the frozen view: %v\n%s", err, stderr)
	}
	if got := r.built(); got != 3 {
		t.Errorf("%d builds, want none for the frozen view", got)
	}

	for req, want := range map[string][]string{
		"unheard-of":    {"unheard-of", "no index of view default has"},
		"demo>=2":       {"demo>=2", "the newest is 1.0"},
		"demo == = 1":   {"demo == = 1"},
		"demo @ file:x": {"demo @ file:x"},
	} {
		out, stderr, err := r.run("build", "same", req)
		if err == nil || strings.Contains(out, "demo") {
			t.Errorf("build %q: %v\n%s%s", req, err, out, stderr)
		}
		for _, w := range want {
			if !strings.Contains(stderr, w) {
				t.Errorf("build %q does not say %q:\n%s", req, w, stderr)
			}
		}
	}
	if _, stderr, err := r.run("build", "--view", "nothing", "demo"); err == nil || !strings.Contains(stderr, "there is no view nothing") {
		t.Errorf("build in a view that isn't there: %v\n%s", err, stderr)
	}

	for host, status := range map[string]int{"evil.example": http.StatusMisdirectedRequest, "wheels.example": http.StatusOK, "localhost:1": http.StatusOK} {
		resp := r.ask(http.MethodGet, "/simple/demo/", "", "Host", host)
		if resp.status != status || status != http.StatusOK && (!strings.Contains(resp.body, host) || !strings.Contains(resp.body, "--host")) {
			t.Errorf("Host: %s: %d %s", host, resp.status, resp.body)
		}
	}
	body := `{"view": "default", "requirements": ["other"]}`
	for _, header := range [][]string{
		{"Content-Type", "application/json", "Origin", "http://evil.example"}, {"Content-Type", "application/json", "Origin", "null"},
		{"Content-Type", "text/plain"}, {"Content-Type", "application/json", "X-Forwarded-For", "192.0.2.1"},
	} {
		if resp := r.ask(http.MethodPost, "/api/v1/builds", body, header...); resp.status < 400 {
			t.Errorf("a build was ordered with %q: %d %s", header, resp.status, resp.body)
		}
	}
	if got := r.built(); got != 3 {
		t.Errorf("%d builds: one was ordered from elsewhere", got)
	}
	if resp := r.ask(http.MethodPost, "/api/v1/builds", body, "Content-Type", "application/json", "Origin", r.base); resp.status != http.StatusOK || !strings.Contains(resp.body, `"ok":1`) {
		t.Errorf("from a page of the server's own: %d %s", resp.status, resp.body)
	}
}

// ask is any request with any headers.
func (r *rig) ask(method, path, body string, header ...string) response {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, r.base+path, strings.NewReader(body))
	r.ok(err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	req.Host = req.Header.Get("Host")
	resp, err := http.DefaultClient.Do(req)
	r.ok(err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	r.ok(err)
	return response{resp.StatusCode, resp.Header, string(b)}
}
