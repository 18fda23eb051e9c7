package index

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/internal/testindex"
)

// startsEarly is a server that begins builds early.
func startsEarly(s *Server) { s.Early = 4 }

// early are the versions that the builder was asked for before anybody needed them.
func (b *fakeBuilder) early() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for _, a := range b.asked {
		if a.Early {
			out = append(out, fmt.Sprintf("%s==%s@%s", a.Project, a.Version, a.View.Digest()))
		}
	}
	slices.Sort(out)
	return out
}

// begins demands that just these are begun early.
func (w *world) begins(want ...string) {
	w.Helper()
	slices.Sort(want)
	for end := time.Now().Add(10 * time.Second); len(w.builder.early()) < len(want) && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(time.Second) // for more than these
	if got := w.builder.early(); !slices.Equal(got, want) {
		w.Errorf("begun early: %s; want %s", got, want)
	}
}

func TestEarlyStart(t *testing.T) {
	w := newWorld(t, startsEarly)
	default1 := string(w.publish("default", true, "").Digest())
	other := string(w.publish("other", true, "unheard-of<3").Digest())
	urls := map[string]string{} // of promises, by view and pin
	for _, p := range []string{"one", "two", "three", "built"} {
		w.add(testindex.Spec{Name: p, Version: "1.0"}, testindex.Spec{Name: p, Version: "2.0"})
	}
	w.build("built", "1.0")
	for _, v := range []string{"default", "other"} {
		for _, p := range []string{"one", "two", "three", "built"} {
			for _, f := range w.listed("view/" + v + "/simple/" + p + "/") {
				urls[v+" "+p+"=="+strings.Split(f.Filename, "-")[1]] = f.URL
			}
		}
	}
	told := func(agent, view string, pins ...string) {
		t.Helper()
		for _, pin := range pins {
			url := urls[view+" "+pin] + ".metadata"
			for _, method := range []string{http.MethodHead, http.MethodGet} {
				if a := w.do(method, url, "", "User-Agent", agent); a.status != http.StatusOK {
					t.Fatalf("%s %s: %d %s", method, url, a.status, a.body)
				}
			}
		}
	}
	// Who resolves begins nothing, nor do HEAD, a page, and a fetch by somebody else: of another program, for another view, from another
	// address, or by the builder itself.
	told("pip", "default", "one==1.0", "two==2.0", "two==1.0", "three==2.0", "built==1.0")
	told("pip", "other", "three==1.0", "two==2.0")
	w.do(http.MethodHead, urls["default one==1.0"], "", "User-Agent", "pip")
	w.get(w.url+"simple/one/", "User-Agent", "pip")
	w.get(urls["default one==2.0"], "User-Agent", "pip 2")
	w.from("127.0.0.2", urls["default one==2.0"])
	told("private", "default", "three==1.0")
	w.get(strings.Replace(urls["default one==2.0"], w.url, w.private, 1), "User-Agent", "private")
	w.begins()

	// The first wheel begins the rest, as it was resolved last, for this view.
	if a := w.get(urls["default one==1.0"], "User-Agent", "pip"); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	w.begins("two==1.0@"+default1, "three==2.0@"+default1)
	// Once.
	w.get(urls["default two==1.0"], "User-Agent", "pip")
	w.begins("two==1.0@"+default1, "three==2.0@"+default1)
	// The other view's part is as it was.
	w.get(urls["other three==1.0"], "User-Agent", "pip")
	w.begins("two==1.0@"+default1, "three==2.0@"+default1, "two==2.0@"+other)
}

// TestEarlyStartThatFails: whoever asks for it later is told as if it had failed for him, and the server goes on.
func TestEarlyStartThatFails(t *testing.T) {
	w := newWorld(t, startsEarly)
	w.add(testindex.Spec{Name: "one", Version: "1.0"}, testindex.Spec{Name: "two", Version: "1.0"})
	w.builder.fail("two==1.0", w.failure("two", "1.0", "axle: failed: gcc: no such file\n"))
	one, two := w.listed("simple/one/")[0].URL, w.listed("simple/two/")[0].URL
	w.get(one + ".metadata")
	w.get(two + ".metadata")
	w.get(one)
	for end := time.Now().Add(10 * time.Second); w.builder.did("wheel two==1.0") == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it was not begun early")
		}
	}
	if a := w.get(two); a.status != http.StatusTemporaryRedirect || !strings.Contains(a.header.Get("Location"), "failed/two/1.0/") {
		t.Errorf("%d %v", a.status, a.header)
	}
}

func TestNoEarlyStart(t *testing.T) {
	w := newWorld(t, nil)
	w.add(testindex.Spec{Name: "one", Version: "1.0"}, testindex.Spec{Name: "two", Version: "1.0"})
	for _, p := range []string{"one", "two"} {
		w.get(w.listed("simple/" + p + "/")[0].URL + ".metadata")
	}
	w.get(w.listed("simple/one/")[0].URL)
	w.begins()
}
