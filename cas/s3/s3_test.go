package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/cas/castest"
	"github.com/python-wheel-build/axle/internal/testtools"
)

var ctx = context.Background()

// TestServer is all that runs against a real server, so that it is started once.
func TestServer(t *testing.T) {
	raw, key, secret := testtools.S3(t)
	s := &server{raw: raw, key: key, secret: secret}
	t.Run("conformance", func(t *testing.T) {
		castest.Run(t, func(t *testing.T) cas.Backend { return s.fresh(t, nil) })
	})
	t.Run("large folders", s.largeFolders)
	t.Run("answers lost", s.answersLost)
	t.Run("conflict", s.conflict)
	t.Run("broken body", s.brokenBody)
	t.Run("unavailable", s.unavailable)
	t.Run("overwriting server", s.overwriting)
	t.Run("open", s.open)
	t.Run("store", s.store)
}

type server struct {
	raw, key, secret string
	n                atomic.Int32
}

// fresh is an empty backend, whose requests go through transport where that is not nil.
func (s *server) fresh(t *testing.T, transport http.RoundTripper) *Backend {
	t.Helper()
	b, err := configure(s.url(t, fmt.Sprintf("/store/%d", s.n.Add(1))), s.key, s.secret, "", transport)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (s *server) url(t *testing.T, path string) *url.URL {
	t.Helper()
	u, err := url.Parse(s.raw)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = path
	return u
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// largeFolders lists with so small a batch that each folder is listed on its own.
func (s *server) largeFolders(t *testing.T) {
	b := s.fresh(t, nil)
	want := []string{"a!b", "a+b/c", "a-b", "a-b.c/d", "a.b", "a/b", "a/b-c", "a/b.c/d", "a/c/d/e", "a/c0", "a0", "ab/c", "b"}
	for _, key := range want {
		if err := b.Create(ctx, key, 1, strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
	}
	for _, after := range append([]string{"", "a", "a/", "a/b.c", "zz"}, want...) {
		for _, prefix := range []string{"", "a", "a/", "a-b", "a/b"} {
			var got, expect []string
			l := &listing{b, ctx, after, 1, func(info cas.Info, err error) bool {
				if err != nil {
					t.Error(err)
				}
				got = append(got, info.Key)
				return true
			}}
			l.walk(prefix)
			for _, key := range want {
				if strings.HasPrefix(key, prefix) && key > after {
					expect = append(expect, key)
				}
			}
			if !slices.Equal(got, expect) {
				t.Errorf("%q after %q: %q\nwant %q", prefix, after, got, expect)
			}
		}
	}
}

// answersLost: the server does what it is told, and nobody hears of it.
func (s *server) answersLost(t *testing.T) {
	var puts, lose atomic.Int32
	b := s.fresh(t, transport(func(r *http.Request) (*http.Response, error) {
		answer, err := http.DefaultTransport.RoundTrip(r)
		if r.Method == http.MethodPut {
			puts.Add(1)
			if lose.Add(-1) >= 0 && err == nil {
				answer.Body.Close()
				return nil, errors.New("connection reset")
			}
		}
		return answer, err
	}))
	for i, r := range []io.Reader{strings.NewReader("hello"), struct{ io.Reader }{strings.NewReader("hello")}} {
		puts.Store(0)
		lose.Store(1)
		key := fmt.Sprint("a/", i)
		if err := b.Create(ctx, key, 5, r); err != nil {
			t.Errorf("%T: %v; want success, for the object is there", r, err)
		}
		lose.Store(1)
		if err := b.Create(ctx, key, 5, strings.NewReader("hellO")); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%T: other bytes: %v; want fs.ErrExist", r, err)
		}
		read, _, err := b.Open(ctx, key, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(read); string(got) != "hello" {
			t.Errorf("%T: %q, %v", r, got, err)
		}
		read.Close()
		t.Logf("%T: %d PUTs", r, puts.Load())
	}
}

// answer is what a server says that has looked at no body.
func answer(r *http.Request, status int, code string) *http.Response {
	if r.Body != nil {
		io.Copy(io.Discard, r.Body)
		r.Body.Close()
	}
	text := "<Error><Code>" + code + "</Code><Message>as the test wants it</Message></Error>"
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Request: r, ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/xml"}}, ContentLength: int64(len(text)), Body: io.NopCloser(strings.NewReader(text))}
}

// conflict: 409 says that another writer is at it, and may yet fail.
func (s *server) conflict(t *testing.T) {
	var conflicts atomic.Int32
	b := s.fresh(t, transport(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPut && conflicts.Add(-1) >= 0 {
			return answer(r, http.StatusConflict, "ConditionalRequestConflict"), nil
		}
		return http.DefaultTransport.RoundTrip(r)
	}))
	conflicts.Store(2)
	if err := b.Create(ctx, "a", 5, strings.NewReader("hello")); err != nil {
		t.Errorf("two conflicts, then none: %v", err)
	}
	conflicts.Store(2)
	if err := b.Create(ctx, "a", 5, strings.NewReader("hello")); err != nil {
		t.Errorf("a conflict with equal bytes: %v", err)
	}
	conflicts.Store(2)
	if err := b.Create(ctx, "a", 5, strings.NewReader("hellO")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a conflict with other bytes: %v; want fs.ErrExist", err)
	}
	conflicts.Store(1)
	if err := b.Create(ctx, "plain", 5, struct{ io.Reader }{strings.NewReader("hello")}); err == nil || !strings.Contains(err.Error(), "as the test wants") {
		t.Errorf("a conflict, and a reader that can't be read again: %v; want the server's error", err)
	}
	conflicts.Store(1000)
	if err := b.Create(ctx, "b", 5, strings.NewReader("hello")); err == nil || errors.Is(err, fs.ErrExist) {
		t.Errorf("conflicts without end: %v; want the server's error", err)
	}
	if made := 1000 - conflicts.Load(); made > attempts {
		t.Errorf("conflicts without end: %d attempts, want %d", made, attempts)
	}
}

// brokenBody: the connection ends within an object, several times.
func (s *server) brokenBody(t *testing.T) {
	var breaks atomic.Int32
	var ranges []string
	b := s.fresh(t, transport(func(r *http.Request) (*http.Response, error) {
		answer, err := http.DefaultTransport.RoundTrip(r)
		if r.Method == http.MethodGet && err == nil && breaks.Add(-1) >= 0 {
			ranges = append(ranges, r.Header.Get("Range"))
			answer.Body = broken{io.LimitReader(answer.Body, 10), answer.Body}
		}
		return answer, err
	}))
	text := strings.Repeat("0123456789abcdef", 4)
	if err := b.Create(ctx, "a", int64(len(text)), strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		off, n int64
		want   string
	}{{0, -1, text}, {3, 50, text[3:53]}, {5, -1, text[5:]}} {
		breaks.Store(3)
		r, _, err := b.Open(ctx, "a", c.off, c.n)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || string(got) != c.want {
			t.Errorf("from %d, %d bytes: %q, %v; want %q (asked for %q)", c.off, c.n, got, err, c.want, ranges)
		}
		r.Close()
	}
	breaks.Store(1000)
	big := strings.Repeat("x", 1000)
	if err := b.Create(ctx, "big", int64(len(big)), strings.NewReader(big)); err != nil {
		t.Fatal(err)
	}
	r, _, err := b.Open(ctx, "big", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err == nil || len(got) != 10*attempts {
		t.Errorf("a body that always breaks: %d bytes, %v; want an error after %d attempts", len(got), err, attempts)
	}
}

type broken struct {
	io.Reader
	io.Closer
}

func (b broken) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// unavailable: passing faults are waited out, lasting ones are bounded.
func (s *server) unavailable(t *testing.T) {
	var down atomic.Int32
	b := s.fresh(t, transport(func(r *http.Request) (*http.Response, error) {
		if down.Add(-1) >= 0 {
			return answer(r, http.StatusServiceUnavailable, "SlowDown"), nil
		}
		return http.DefaultTransport.RoundTrip(r)
	}))
	down.Store(2)
	if err := b.Create(ctx, "a", 1, strings.NewReader("x")); err != nil {
		t.Errorf("Create: %v", err)
	}
	down.Store(2)
	if _, err := b.Stat(ctx, "a"); err != nil {
		t.Errorf("Stat: %v", err)
	}
	down.Store(1000)
	bounded, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if _, err := b.Stat(bounded, "a"); err == nil || errors.Is(err, fs.ErrNotExist) || bounded.Err() != nil {
		t.Errorf("Stat of a server that stays away: %v", err)
	}
	if made := 1000 - down.Load(); made != attempts {
		t.Errorf("%d attempts, want %d", made, attempts)
	}
}

// overwriting: a server that takes the condition and says 200 all the same.
func (s *server) overwriting(t *testing.T) {
	b := s.fresh(t, transport(func(r *http.Request) (*http.Response, error) {
		answer, err := http.DefaultTransport.RoundTrip(r)
		if r.Header.Get("If-None-Match") == "*" && err == nil && answer.StatusCode == http.StatusPreconditionFailed {
			answer.StatusCode = http.StatusOK
		}
		return answer, err
	}))
	err := b.probe(ctx)
	if err == nil || !strings.Contains(err.Error(), "overwrites") {
		t.Errorf("%v; want an error that says that the server overwrites", err)
	}
	for info, err := range b.List(ctx, "", "") {
		t.Errorf("left behind by the probe: %v, %v", info.Key, err)
	}
}

func (s *server) open(t *testing.T) {
	b, err := Open(ctx, s.url(t, "/opened"), s.key, s.secret, "")
	if err != nil {
		t.Fatal(err)
	}
	for info, err := range b.List(ctx, "", "") {
		t.Errorf("left behind by Open: %v, %v", info.Key, err)
	}
	none := s.fresh(t, transport(func(r *http.Request) (*http.Response, error) {
		return answer(r, http.StatusNotFound, "NoSuchBucket"), nil // SeaweedFS would make it
	}))
	if err := none.probe(ctx); err == nil || !strings.Contains(err.Error(), "make the bucket") || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no bucket: %v", err)
	}
	for _, c := range [][2]string{{s.key, "wrong"}, {"wrong", s.secret}} {
		_, err := Open(ctx, s.url(t, "/opened"), c[0], c[1], "")
		if err == nil || strings.Contains(err.Error(), s.secret) {
			t.Errorf("wrong credentials: %v", err)
		}
	}
}

func TestURL(t *testing.T) {
	for raw, want := range map[string]string{
		"s3://b":                   "neither endpoint nor region",
		"http://b?region=x":        "no s3://",
		"s3:///p?region=x":         "no bucket",
		"s3://k:hidden@b?region=x": "credentials",
		"s3://b/../x?region=x":     "prefix",
		"s3://b/P?region=x":        "prefix",
		"s3://b?region=x&r=%zz":    "query", "s3://b?region=x&regoin=y": "regoin is unknown",
		"s3://b?region=x&region=y":                         "given twice",
		"s3://b?endpoint=localhost:1":                      "endpoint must be",
		"s3://b?endpoint=http://h/path":                    "endpoint must be",
		"s3://b?endpoint=http://u:hidden@h:1":              "endpoint must be",
		"s3://b?endpoint=ftp://h":                          "endpoint must be",
		"s3://b?region=x#y":                                "no bucket",
		"s3://b/" + strings.Repeat("x", 101) + "?region=x": "prefix",
	} {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := configure(u, "key", "secret", "", nil); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v; want an error with %q and without the password", raw, err, want)
		}
	}
	for raw, want := range map[string]string{
		"s3://b/p?region=eu-west-1":          "https://s3.eu-west-1.amazonaws.com",
		"s3://b?endpoint=http://127.0.0.1:9": "http://127.0.0.1:9",
		"s3://b?endpoint=https://h/":         "https://h",
	} {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		b, err := configure(u, "key", "secret", "", nil)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
		} else if got := b.core.EndpointURL().String(); strings.TrimSuffix(got, "/") != want {
			t.Errorf("%s: endpoint %s, want %s", raw, got, want)
		}
	}
	u, _ := url.Parse("s3://b?region=x")
	if _, err := configure(u, "", "", "", nil); err == nil {
		t.Error("no credentials were taken")
	}
}
