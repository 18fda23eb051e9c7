package live

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver"
)

// fake is a builder with one flight, which tells what follow says.
type fake func(ctx context.Context, n uint64, watch func(uint64, resolver.Event)) error

func (f fake) Flights() []resolver.Flight { return nil }

func (f fake) Follow(ctx context.Context, id string, n uint64, watch func(uint64, resolver.Event)) error {
	if id != "f1" {
		return fs.ErrNotExist
	}
	return f(ctx, n, watch)
}

func text(e resolver.Event) any { return map[string]string{"text": e.Text} }

func how(err error) any {
	if err != nil {
		return map[string]string{"text": err.Error()}
	}
	return map[string]string{"text": "built"}
}

// followed gives what a reader with that Last-Event-ID gets.
func followed(t *testing.T, b Builder, id, last string) string {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	w := httptest.NewRecorder()
	Follow(w, r, b, id, text, how)
	if got := w.Header(); w.Code != 200 || got.Get("Content-Type") != "text/event-stream" || got.Get("Cache-Control") != "no-store" ||
		got.Get("X-Content-Type-Options") != "nosniff" || got.Get("X-Accel-Buffering") != "no" {
		t.Errorf("%d %v", w.Code, got)
	}
	return w.Body.String()
}

// tells is a flight whose first events are forgotten.
func tells(first, last uint64, err error) fake {
	return func(_ context.Context, n uint64, watch func(uint64, resolver.Event)) error {
		for i := max(first, n+1); i <= last; i++ {
			watch(i, resolver.Event{Kind: "log", Text: fmt.Sprintf("line %d\nand\x1b[2J <more>\r\n", i)})
		}
		return err
	}
}

func event(n int) string {
	return fmt.Sprintf("id: f1.%d\nevent: log\ndata: {\"text\":\"line %d\\nand\\u001b[2J <more>\\r\\n\"}\n\n", n, n)
}

func TestFrames(t *testing.T) {
	const retry, end = "retry: 3000\n\n", "event: end\ndata: {\"text\":\"built\"}\n\n"
	dropped := func(n int) string { return fmt.Sprintf("event: dropped\ndata: {\"dropped\":%d}\n\n", n) }
	for name, c := range map[string]struct {
		b        fake
		id, last string
		want     string
	}{
		"whole":                  {tells(1, 2, nil), "f1", "", event(1) + event(2) + end},
		"resumed":                {tells(1, 3, nil), "f1", "f1.2", event(3) + end},
		"resumed at its end":     {tells(1, 3, nil), "f1", "f1.3", end},
		"another flight's id":    {tells(1, 1, nil), "f1", "f0.7", event(1) + end},
		"no id":                  {tells(1, 1, nil), "f1", "f1.-7", event(1) + end},
		"joined late":            {tells(11, 12, nil), "f1", "", dropped(10) + event(11) + event(12) + end},
		"resumed late":           {tells(11, 12, nil), "f1", "f1.4", dropped(6) + event(11) + event(12) + end},
		"failed":                 {tells(1, 1, errors.New("no x.h")), "f1", "", event(1) + "event: end\ndata: {\"text\":\"no x.h\"}\n\n"},
		"ended before it began":  {tells(1, 1, nil), "f2", "", "event: end\ndata: {\"text\":\"file does not exist\"}\n\n"},
		"nothing happened at it": {tells(1, 0, nil), "f1", "", end},
	} {
		t.Run(name, func(t *testing.T) {
			if got := followed(t, c.b, c.id, c.last); got != retry+c.want {
				t.Errorf("got\n%s\nwant\n%s", got, retry+c.want)
			}
		})
	}
}

// A silent build is said to be alive; each event is sent when it happens; who leaves ends the following and nothing else.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan bool, 1)
		b := fake(func(ctx context.Context, _ uint64, watch func(uint64, resolver.Event)) error {
			time.Sleep(40 * time.Second)
			watch(1, resolver.Event{Kind: "wait", Text: "for a slot"})
			<-ctx.Done()
			left <- true
			return resolver.ErrPending
		})
		w := &spy{ResponseRecorder: httptest.NewRecorder()}
		done := make(chan bool)
		go func() {
			Follow(w, httptest.NewRequestWithContext(ctx, "GET", "/", nil), b, "f1", text, how)
			close(done)
		}()
		time.Sleep(65 * time.Second)
		synctest.Wait()
		leave()
		<-done
		<-left
		const beat = ": still under way\n\n"
		want := []string{"retry: 3000\n\n", beat, beat, "id: f1.1\nevent: wait\ndata: {\"text\":\"for a slot\"}\n\n", beat, beat}
		if !slices.Equal(w.flushed, want) {
			t.Errorf("flushed %q, want %q", w.flushed, want)
		}
	})
}

// spy notes what each flush sends.
type spy struct {
	*httptest.ResponseRecorder
	flushed []string
}

func (s *spy) FlushError() error {
	s.flushed = append(s.flushed, s.Body.String())
	s.Body.Reset()
	return nil
}

// A reader who takes nothing holds nobody up, loses what doesn't fit, and is told how much that was; of the rest nothing twice or out of order.
func TestSlowReader(t *testing.T) {
	const all = 5000
	told := make(chan bool)
	b := fake(func(_ context.Context, _ uint64, watch func(uint64, resolver.Event)) error {
		for n := range uint64(all) {
			watch(n+1, resolver.Event{Kind: "log"})
		}
		close(told) // though nothing of it was read
		return nil
	})
	w := &blocked{ResponseRecorder: httptest.NewRecorder(), until: told}
	Follow(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil), b, "f1", text, how)
	var seen, dropped, last int
	for frame := range strings.SplitSeq(w.Body.String(), "\n\n") {
		var n int
		if _, err := fmt.Sscanf(frame, "id: f1.%d\n", &n); err == nil {
			if n <= last {
				t.Fatalf("%d after %d", n, last)
			}
			seen, last = seen+1, n
		}
		if _, err := fmt.Sscanf(frame, "event: dropped\ndata: {\"dropped\":%d}", &n); err == nil {
			dropped += n
		}
	}
	if seen < buffered || dropped == 0 || seen+dropped != all || !strings.HasSuffix(w.Body.String(), "event: end\ndata: {\"text\":\"built\"}\n\n") {
		t.Errorf("%d seen and %d dropped of %d", seen, dropped, all)
	}
}

// blocked takes nothing until then.
type blocked struct {
	*httptest.ResponseRecorder
	until <-chan bool
}

func (b *blocked) Write(p []byte) (int, error) {
	<-b.until
	return b.ResponseRecorder.Write(p)
}

// Who is gone without a word is noticed by a write that fails, and the following ends.
func TestGone(t *testing.T) {
	b := fake(func(ctx context.Context, _ uint64, watch func(uint64, resolver.Event)) error {
		watch(1, resolver.Event{Kind: "log"})
		<-ctx.Done()
		return resolver.ErrPending
	})
	done := make(chan bool)
	go func() {
		Follow(broken{httptest.NewRecorder()}, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil), b, "f1", text, how)
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("it still tells somebody who is gone")
	}
}

type broken struct{ *httptest.ResponseRecorder }

func (broken) Write([]byte) (int, error) { return 0, http.ErrHandlerTimeout }

func TestList(t *testing.T) {
	v, err := version.Parse("1!2.0")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	flights := []resolver.Flight{
		{ID: "a", Project: "demo", Version: v, View: "sha256:00", Stage: "metadata", Since: now},
		{ID: "b", Project: "demo", Version: v, View: "sha256:01", Stage: "wheel", Since: now, Expected: 90 * time.Second, WaitsFor: []string{"base 1.0"},
			Doing: resolver.Event{Kind: "begin", Text: "running", Time: now.Add(-2 * time.Second), Ran: time.Second}},
		{ID: "c", Project: "demo", Version: v, View: "sha256:00", Stage: "wheel", Since: now, Doing: resolver.Event{Kind: "wait", Text: "waiting", Time: now}},
	}
	got := List(flights, now, "http://x/")
	if b := got[1]; b.RanSeconds != 3 || b.ExpectedSeconds != 90 || b.Doing != "running" || !slices.Equal(b.WaitsFor, []string{"base 1.0"}) ||
		b.Log != "http://x/api/v1/builds/demo/1%212.0/log?stage=wheel&view=%40sha256%3A01" {
		t.Errorf("%+v", b)
	}
	if b := got[0]; b.DoingSince != nil || b.ExpectedSeconds != 0 || b.WaitsFor == nil {
		t.Errorf("%+v", b)
	}
	if b := got[2]; b.RanSeconds != 0 || *b.DoingSince != now {
		t.Errorf("%+v", b)
	}
	for want, f := range map[string]func() (resolver.Flight, bool){
		"b": func() (resolver.Flight, bool) { return Find(flights, "demo", v, "", "") },
		"a": func() (resolver.Flight, bool) { return Find(flights, "demo", v, "", "metadata") },
		"c": func() (resolver.Flight, bool) { return Find(flights, "demo", v, "sha256:00", "") },
		"":  func() (resolver.Flight, bool) { return Find(flights, "other", v, "", "") },
	} {
		if got, ok := f(); got.ID != want || ok != (want != "") {
			t.Errorf("%s, want %s", got.ID, want)
		}
	}
	if got := List(nil, now, "/"); got == nil || len(got) != 0 {
		t.Error("no flights are an empty list")
	}
}
