package upstream

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/internal/dist"
)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// client is a Client that does not sleep: its waits are noted and move its clock.
func client(t *testing.T) (*Client, *clock, *[]time.Duration) {
	t.Helper()
	at := &clock{t: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	var mu sync.Mutex
	waits := &[]time.Duration{}
	return &Client{
		Now:   at.now,
		Fresh: time.Minute,
		sleep: func(ctx context.Context, d time.Duration) error {
			mu.Lock()
			defer mu.Unlock()
			*waits = append(*waits, d)
			at.add(d)
			return ctx.Err()
		},
	}, at, waits
}

func serve(t *testing.T, h http.HandlerFunc) *url.URL {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func project(t *testing.T, s string) dist.Project {
	t.Helper()
	p, err := dist.ParseProject(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func names(files []File) string {
	var all []string
	for _, f := range files {
		all = append(all, f.Filename)
	}
	return strings.Join(all, " ")
}

const onePage = `<!DOCTYPE html><a href="foo-1.tar.gz">foo-1.tar.gz</a>`

func answerPage(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprint(w, onePage)
}

func TestFreshThenConditional(t *testing.T) {
	for _, header := range []struct{ set, sent string }{{"ETag", "If-None-Match"}, {"Last-Modified", "If-Modified-Since"}} {
		t.Run(header.set, func(t *testing.T) {
			const value = "Fri, 02 Jan 2026 03:04:05 GMT"
			var asked, unchanged atomic.Int32
			index := serve(t, func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				if r.URL.Path != "/simple/foo-bar/" || !strings.HasPrefix(r.Header.Get("Accept"), "application/vnd.pypi.simple.v1+json,") || r.UserAgent() != "axle" {
					t.Errorf("asked for %s with %v", r.URL, r.Header)
				}
				w.Header().Set(header.set, value)
				if r.Header.Get(header.sent) == value {
					unchanged.Add(1)
					w.WriteHeader(http.StatusNotModified)
					return
				}
				answerPage(w)
			})
			c, at, _ := client(t)
			for i, step := range []struct {
				wait             time.Duration
				asked, unchanged int32
			}{{0, 1, 0}, {59 * time.Second, 1, 0}, {time.Second, 2, 1}, {59 * time.Second, 2, 1}, {time.Hour, 3, 2}} {
				at.add(step.wait)
				files, err := c.Project(t.Context(), index.JoinPath("simple"), project(t, "foo-bar"))
				if err != nil || names(files) != "foo-1.tar.gz" {
					t.Fatalf("step %d: %v, %v", i, files, err)
				}
				if asked.Load() != step.asked || unchanged.Load() != step.unchanged {
					t.Fatalf("step %d: %d asked, %d unchanged; want %d, %d", i, asked.Load(), unchanged.Load(), step.asked, step.unchanged)
				}
			}
		})
	}
}

func TestUnknownProjectIsRemembered(t *testing.T) {
	for _, code := range []int{http.StatusNotFound, http.StatusGone} {
		var asked atomic.Int32
		index := serve(t, func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			w.WriteHeader(code)
		})
		c, at, waits := client(t)
		for _, want := range []int32{1, 1, 2} {
			if want == 2 {
				at.add(time.Minute)
			}
			files, err := c.Project(t.Context(), index, project(t, "nothing"))
			if !errors.Is(err, fs.ErrNotExist) || files != nil || asked.Load() != want {
				t.Fatalf("%d: %v, %v after %d requests, want %d", code, files, err, asked.Load(), want)
			}
		}
		if len(*waits) != 0 {
			t.Errorf("%d was tried again: %v", code, *waits)
		}
	}
}

func TestRetries(t *testing.T) {
	for _, test := range []struct {
		name  string
		codes []int
		after string
		least time.Duration // of the first wait
		most  time.Duration
		down  bool
		asked int32
	}{
		{"one 503", []int{503}, "", firstWait / 2, firstWait, false, 2},
		{"429 with seconds", []int{429}, "3", 3 * time.Second, 3 * time.Second, false, 2},
		{"503 with a date", []int{503}, "Fri, 02 Jan 2026 03:04:09 GMT", 4 * time.Second, 4 * time.Second, false, 2},
		{"503 asks for too much", []int{503}, "9999999999999", maxWait, maxWait, false, 2},
		{"503 says rubbish", []int{503}, "soon", firstWait / 2, firstWait, false, 2},
		{"503 says the past", []int{503}, "-3", firstWait / 2, firstWait, false, 2},
		{"408 and 500 and 502", []int{408, 500, 502}, "", firstWait / 2, firstWait, false, 4},
		{"always", []int{500, 500, 500, 500, 500, 500}, "", firstWait / 2, firstWait, true, 4},
	} {
		t.Run(test.name, func(t *testing.T) {
			var asked atomic.Int32
			index := serve(t, func(w http.ResponseWriter, r *http.Request) {
				n := int(asked.Add(1))
				if n <= len(test.codes) {
					w.Header().Set("Retry-After", test.after)
					w.WriteHeader(test.codes[n-1])
					return
				}
				answerPage(w)
			})
			c, _, waits := client(t)
			_, err := c.Project(t.Context(), index, project(t, "foo"))
			var down *DownError
			if errors.As(err, &down) != test.down || !test.down && err != nil || asked.Load() != test.asked {
				t.Fatalf("%v after %d requests", err, asked.Load())
			}
			if first := (*waits)[0]; first < test.least || first > test.most {
				t.Errorf("waited %s first, want %s to %s", first, test.least, test.most)
			}
			if test.down && (!strings.Contains(err.Error(), index.Host+"/foo/") || !strings.Contains(err.Error(), "500")) {
				t.Errorf("%v does not name the page and the status", err)
			}
		})
	}
}

func TestDownIsRememberedForAMoment(t *testing.T) {
	var up atomic.Bool
	var asked atomic.Int32
	index := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if !up.Load() {
			panic(http.ErrAbortHandler) // the line breaks without an answer
		}
		answerPage(w)
	})
	c, at, _ := client(t)
	var down *DownError
	if _, err := c.Project(t.Context(), index, project(t, "foo")); !errors.As(err, &down) {
		t.Fatalf("a broken line gives %v", err)
	}
	// The transport asks once more by itself where a kept connection breaks; these are all new ones or not, so only a bound holds.
	before := asked.Load()
	if before < attempts {
		t.Fatalf("asked %d times", before)
	}
	up.Store(true)
	for _, p := range []string{"foo", "bar"} { // another project of that host is not asked for either
		if _, err := c.Project(t.Context(), index, project(t, p)); !errors.As(err, &down) || asked.Load() != before {
			t.Fatalf("%s: %v after %d more requests", p, err, asked.Load()-before)
		}
	}
	if err := c.Fetch(t.Context(), File{URL: index.JoinPath("foo-1.tar.gz").String()}, temp(t)); !errors.As(err, &down) || asked.Load() != before {
		t.Fatalf("fetch: %v", err)
	}
	at.add(holdOff)
	for _, p := range []string{"foo", "bar"} {
		if _, err := c.Project(t.Context(), index, project(t, p)); err != nil {
			t.Errorf("%s after the moment: %v", p, err)
		}
	}
}

func TestOneProjectsTroubleIsNotTheHosts(t *testing.T) {
	var bad atomic.Int32
	index := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bad/" {
			bad.Add(1)
			w.WriteHeader(500)
			return
		}
		answerPage(w)
	})
	c, at, _ := client(t)
	var down *DownError
	for _, want := range []int32{attempts, attempts, 2 * attempts} { // remembered for a moment too
		if want > attempts {
			at.add(holdOff)
		}
		if _, err := c.Project(t.Context(), index, project(t, "bad")); !errors.As(err, &down) || bad.Load() != want {
			t.Fatalf("%v after %d requests, want %d", err, bad.Load(), want)
		}
	}
	if _, err := c.Project(t.Context(), index, project(t, "good")); err != nil {
		t.Fatal(err)
	}
}

// An old listing must not pass for today's; once the index is back, what was known still saves the transfer.
func TestDownHidesTheOldListing(t *testing.T) {
	var code atomic.Int32
	index := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if n := code.Load(); n != 0 {
			w.WriteHeader(int(n))
			return
		}
		w.Header().Set("ETag", `"1"`)
		answerPage(w)
	})
	c, at, _ := client(t)
	foo := project(t, "foo")
	if _, err := c.Project(t.Context(), index, foo); err != nil {
		t.Fatal(err)
	}
	code.Store(503)
	if _, err := c.Project(t.Context(), index, foo); err != nil {
		t.Fatalf("still fresh: %v", err)
	}
	at.add(time.Minute)
	var down *DownError
	for range 2 { // asked, then remembered
		if files, err := c.Project(t.Context(), index, foo); !errors.As(err, &down) || files != nil {
			t.Fatalf("%v, %v", files, err)
		}
	}
	at.add(time.Minute)
	code.Store(304)
	if files, err := c.Project(t.Context(), index, foo); err != nil || names(files) != "foo-1.tar.gz" {
		t.Fatalf("%v, %v", files, err)
	}
}

func TestSingleFlightOutlivesItsFirstCaller(t *testing.T) {
	var asked atomic.Int32
	arrived, let := make(chan bool, 1), make(chan bool)
	index := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		arrived <- true
		<-let
		answerPage(w)
	})
	c, _, _ := client(t)
	foo := project(t, "foo")
	first, leave := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, err := c.Project(first, index, foo)
		gone <- err
	}()
	<-arrived
	leave()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Fatalf("the first caller left and got %v", err)
	}
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			if files, err := c.Project(t.Context(), index, foo); err != nil || len(files) != 1 {
				t.Errorf("%v, %v", files, err)
			}
		})
	}
	close(let)
	wait.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestOtherStatuses(t *testing.T) {
	for code, want := range map[int]string{
		401: "put credentials for 127.0.0.1 in netrc",
		403: "put credentials for 127.0.0.1 in netrc",
		406: "check the upstream's address",
		204: "check the upstream's address",
		304: "check the upstream's address",
	} {
		index := serve(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(code) })
		index.User = url.UserPassword("bob", "hunter2")
		c, _, waits := client(t)
		_, err := c.Project(t.Context(), index, project(t, "foo"))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), fmt.Sprint(code)) || !strings.Contains(err.Error(), "/foo/") {
			t.Errorf("%d: %v", code, err)
		}
		var down *DownError
		if errors.As(err, &down) || errors.Is(err, fs.ErrNotExist) || len(*waits) > 0 {
			t.Errorf("%d: %#v after %v", code, err, *waits)
		}
		if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "bob") {
			t.Errorf("%d: %v shows the credentials", code, err)
		}
	}
}

func TestSilentServer(t *testing.T) {
	for name, before := range map[string]func(http.ResponseWriter){
		"no header": func(http.ResponseWriter) {},
		"no body":   func(w http.ResponseWriter) { answerPage(w); w.(http.Flusher).Flush() },
	} {
		t.Run(name, func(t *testing.T) {
			index := serve(t, func(w http.ResponseWriter, r *http.Request) {
				before(w)
				<-r.Context().Done()
			})
			c, _, _ := client(t)
			c.stall = 20 * time.Millisecond
			_, err := c.Project(t.Context(), index, project(t, "foo"))
			var down *DownError
			if !errors.As(err, &down) || !strings.Contains(err.Error(), "no answer for 20ms") {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestEndlessPage(t *testing.T) {
	in := &capped{in: endless{}, left: 1 << 16, err: errors.New("too large")}
	if _, err := parse("text/html", in, &url.URL{Scheme: "http", Host: "h"}); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("%v", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = "<br>"[i%4]
	}
	return len(p), nil
}

func TestMemoryIsBounded(t *testing.T) {
	index := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/no") {
			w.WriteHeader(404)
			return
		}
		answerPage(w)
	})
	c, at, _ := client(t)
	c.Fresh = time.Hour
	ask := func(p string) {
		at.add(time.Millisecond)
		_, _ = c.Project(t.Context(), index, project(t, p))
	}
	ask("kept")
	for i := range maxPages + 100 {
		ask(fmt.Sprintf("no-%d", i))
	}
	known := 0
	for _, pg := range c.pages {
		if pg.known {
			known++
		}
	}
	if len(c.pages) != maxPages || known != 1 {
		t.Errorf("%d pages, %d of them with files", len(c.pages), known)
	}
}

func TestIndexAddress(t *testing.T) {
	c, _, _ := client(t)
	for _, s := range []string{"ftp://h/simple", "file:///simple", "/simple", "https:///simple", "mailto:bob"} {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Project(t.Context(), u, project(t, "foo")); err == nil || !strings.Contains(err.Error(), "not an http") {
			t.Errorf("%s: %v", s, err)
		}
	}
	if _, err := c.Project(t.Context(), nil, project(t, "foo")); err == nil {
		t.Error("no index is no error")
	}
}

// The bound of a shared flight is the index's fault; a caller's own end is the caller's.
func TestSlowIndexIsDown(t *testing.T) {
	index := serve(t, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for _, test := range []struct {
		cause error
		down  bool
	}{{errSlow, true}, {context.DeadlineExceeded, false}} {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, test.cause)
		defer cancel()
		c, _, _ := client(t)
		_, err := c.list(ctx, index, page{})
		var down *DownError
		if errors.As(err, &down) != test.down || !errors.Is(err, test.cause) {
			t.Errorf("%v", err)
		}
	}
}
