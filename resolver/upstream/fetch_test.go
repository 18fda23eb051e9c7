package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return b
}

func content(t *testing.T, f *os.File) []byte {
	t.Helper()
	b, err := io.ReadAll(f) // from where Fetch left it
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// cutter serves want and breaks the line after so many bytes of each answer.
type cutter struct {
	want      []byte
	etag      string
	modified  time.Time
	after     int
	cuts      int32 // how often; then no more
	chunked   bool
	ignore    bool // answers Range with the whole
	asked     atomic.Int32
	sent      atomic.Int64
	ranges    atomic.Int32
	encodings atomic.Value
}

func (s *cutter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := s.asked.Add(1)
	s.encodings.Store(r.Header.Get("Accept-Encoding"))
	if s.etag != "" {
		w.Header().Set("ETag", s.etag)
	}
	if s.ignore {
		r.Header.Del("Range")
	}
	if r.Header.Get("Range") != "" {
		s.ranges.Add(1)
	}
	out := &cutWriter{ResponseWriter: w, left: -1, sent: &s.sent}
	if n <= s.cuts {
		out.left = s.after
	}
	if s.chunked {
		w.WriteHeader(200)
		_, _ = out.Write(s.want)
		return
	}
	http.ServeContent(out, r, "f.bin", s.modified, bytes.NewReader(s.want))
}

type cutWriter struct {
	http.ResponseWriter
	left int // -1: no cut
	sent *atomic.Int64
}

func (w *cutWriter) Write(p []byte) (int, error) {
	if w.left >= 0 && len(p) >= w.left {
		n, _ := w.ResponseWriter.Write(p[:w.left])
		w.sent.Add(int64(n))
		w.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	n, err := w.ResponseWriter.Write(p)
	if w.left >= 0 {
		w.left -= n
	}
	w.sent.Add(int64(n))
	return n, err
}

func TestFetchResumes(t *testing.T) {
	want := noise(6 << 20)
	sum := digest.FromBytes(want)
	stamp := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name   string
		s      *cutter
		file   File
		ranges int32
		once   bool // every byte is sent once
		down   bool
	}{
		{name: "whole", s: &cutter{etag: `"a"`}, file: File{SHA256: sum, Size: int64(len(want))}, once: true},
		{name: "unlisted", s: &cutter{etag: `"a"`}, once: true},
		{name: "cut with an ETag", s: &cutter{etag: `"a"`, after: 700_000, cuts: 2}, file: File{SHA256: sum}, ranges: 2, once: true},
		{name: "cut with a date", s: &cutter{modified: stamp, after: 700_000, cuts: 2}, ranges: 2, once: true},
		{name: "cut with a weak ETag", s: &cutter{etag: `W/"a"`, after: 700_000, cuts: 2}},
		{name: "cut without a validator", s: &cutter{after: 700_000, cuts: 2}},
		{name: "Range ignored", s: &cutter{etag: `"a"`, after: 700_000, cuts: 1, ignore: true}},
		{name: "chunked, size known", s: &cutter{after: 700_000, cuts: 1, chunked: true}, file: File{Size: int64(len(want))}},
		{name: "cut after the last byte", s: &cutter{after: len(want), cuts: 1, chunked: true}, file: File{Size: int64(len(want))}, once: true},
		{name: "many cuts that bring much", s: &cutter{etag: `"a"`, after: progress, cuts: attempts + 1}, ranges: attempts + 1, once: true},
		{name: "cut for ever", s: &cutter{etag: `"a"`, after: 1000, cuts: 99}, ranges: attempts - 1, down: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.s.want = want
			u := serve(t, test.s.ServeHTTP)
			test.file.URL = u.JoinPath("f.bin").String()
			c, _, _ := client(t)
			w := temp(t)
			if _, err := w.WriteString("what stood there before"); err != nil {
				t.Fatal(err)
			}
			err := c.Fetch(t.Context(), test.file, w)
			if test.down {
				var down *DownError
				if !errors.As(err, &down) || test.s.asked.Load() != attempts {
					t.Fatalf("%v after %d", err, test.s.asked.Load())
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(content(t, w), want) {
				t.Error("other bytes")
			}
			if n := test.s.ranges.Load(); n != test.ranges {
				t.Errorf("%d ranges, want %d", n, test.ranges)
			}
			if test.once && test.s.sent.Load() != int64(len(want)) {
				t.Errorf("%d bytes sent for %d", test.s.sent.Load(), len(want))
			}
			if e := test.s.encodings.Load(); e != "identity" {
				t.Errorf("Accept-Encoding is %q", e)
			}
		})
	}
}

// The file changes between the cut and the next attempt: no mixture comes out, and nothing of the longer one stays.
func TestFetchOfAChangedFile(t *testing.T) {
	old, new := noise(100_000), bytes.Repeat([]byte("new "), 5_000)
	first := &cutter{want: old, etag: `"old"`, after: 50_000, cuts: 1}
	second := &cutter{want: new, etag: `"new"`}
	var n atomic.Int32
	u := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 1 {
			first.ServeHTTP(w, r)
			return
		}
		second.ServeHTTP(w, r)
	})
	c, _, _ := client(t)
	w := temp(t)
	if err := c.Fetch(t.Context(), File{URL: u.String()}, w); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(content(t, w), new) {
		t.Error("a mixture")
	}
}

// A server whose ranges make no sense is asked for the whole.
func TestFetchWithWrongRanges(t *testing.T) {
	want := noise(100_000)
	for name, wrong := range map[string]func(http.ResponseWriter){
		"416": func(w http.ResponseWriter) { w.WriteHeader(416) },
		"another part": func(w http.ResponseWriter) {
			w.Header().Set("Content-Range", "bytes 0-9/100000")
			w.WriteHeader(206)
			_, _ = w.Write(want[:10])
		},
		"204": func(w http.ResponseWriter) { w.WriteHeader(204) },
	} {
		t.Run(name, func(t *testing.T) {
			good := &cutter{want: want, etag: `"a"`, after: 50_000, cuts: 1}
			u := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Range") != "" {
					wrong(w)
					return
				}
				good.ServeHTTP(w, r)
			})
			c, _, _ := client(t)
			w := temp(t)
			if err := c.Fetch(t.Context(), File{URL: u.String(), SHA256: digest.FromBytes(want)}, w); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(content(t, w), want) {
				t.Error("other bytes")
			}
		})
	}
}

func TestFetchRefuses(t *testing.T) {
	body := []byte("these are the bytes")
	sum, other := digest.FromBytes(body), digest.FromString("others")
	u := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/gone":
			w.WriteHeader(404)
		case "/chunked":
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
			_, _ = w.Write(body)
		default:
			_, _ = w.Write(body)
		}
	})
	at := func(path string) string { return u.JoinPath(path).String() }
	for _, test := range []struct {
		name string
		file File
		max  int64
		want []string
	}{
		{"other digest", File{URL: at("f"), SHA256: other}, 0, []string{at("f"), sum.String(), other.String()}},
		{"other size", File{URL: at("f"), Size: 18}, 0, []string{at("f"), "18", "19"}},
		{"larger than listed, chunked", File{URL: at("chunked"), Size: 18}, 0, []string{at("chunked"), "18", "19"}},
		{"listed too large", File{URL: at("f"), Size: 19}, 18, []string{at("f"), "18", "19"}},
		{"too large", File{URL: at("f")}, 18, []string{at("f"), "18"}},
		{"chunked too large", File{URL: at("chunked")}, 18, []string{at("chunked"), "18"}},
		{"no address", File{Filename: "foo-1.tar.gz"}, 0, []string{"foo-1.tar.gz"}},
		{"a local file", File{URL: "file:///etc/passwd", Filename: "foo-1.tar.gz"}, 0, []string{"foo-1.tar.gz"}},
		{"not an address", File{URL: "http://bob:hunter2@[/", Filename: "foo-1.tar.gz"}, 0, []string{"foo-1.tar.gz"}},
	} {
		c, _, waits := client(t)
		c.MaxFile = test.max
		err := c.Fetch(t.Context(), test.file, temp(t))
		if err == nil || len(*waits) > 0 {
			t.Errorf("%s: %v after %v", test.name, err, *waits)
			continue
		}
		for _, word := range test.want {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %v does not say %s", test.name, err, word)
			}
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	c, _, _ := client(t)
	if err := c.Fetch(t.Context(), File{URL: at("gone")}, temp(t)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("gone: %v", err)
	}
	if err := c.Fetch(t.Context(), File{URL: at("f"), SHA256: sum, Size: 19}, temp(t)); err != nil {
		t.Errorf("the right one: %v", err)
	}
}

func TestFetchEndsWithItsCaller(t *testing.T) {
	arrived := make(chan bool, 1)
	u := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(noise(10))
		w.(http.Flusher).Flush()
		arrived <- true
		<-r.Context().Done()
	})
	c, _, waits := client(t)
	ctx, leave := context.WithCancel(t.Context())
	go func() { <-arrived; leave() }()
	if err := c.Fetch(ctx, File{URL: u.String()}, temp(t)); !errors.Is(err, context.Canceled) || len(*waits) > 0 {
		t.Errorf("%v after %v", err, *waits)
	}
}

func TestMetadata(t *testing.T) {
	text := []byte("Metadata-Version: 2.4\nName: foo\n")
	u := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.EscapedPath() {
		case "/a%2Fb/foo-1-py3-none-any.whl.metadata":
			if r.URL.RawQuery != "q=1" {
				t.Errorf("query %q", r.URL.RawQuery)
			}
			_, _ = w.Write(text)
		case "/big.metadata":
			_, _ = io.CopyN(w, endless{}, maxMetadata+1)
		default:
			w.WriteHeader(404)
		}
	})
	base := "http://" + u.Host
	c, _, _ := client(t)
	once := &cutter{want: text, after: 10, cuts: 1}
	cut := serve(t, once.ServeHTTP)
	if got, err := c.Metadata(t.Context(), File{URL: cut.JoinPath("f").String()}); err != nil || !bytes.Equal(got, text) || once.asked.Load() != 2 {
		t.Errorf("after a cut: %q, %v", got, err)
	}
	f := File{URL: base + "/a%2Fb/foo-1-py3-none-any.whl?q=1"}
	for _, sum := range []digest.Digest{"", digest.FromBytes(text)} {
		f.MetadataSHA256 = sum
		if got, err := c.Metadata(t.Context(), f); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%q, %v", got, err)
		}
	}
	f.MetadataSHA256 = digest.FromString("others")
	if _, err := c.Metadata(t.Context(), f); err == nil || !strings.Contains(err.Error(), f.MetadataSHA256.String()) || !strings.Contains(err.Error(), digest.FromBytes(text).String()) {
		t.Errorf("%v", err)
	}
	if _, err := c.Metadata(t.Context(), File{URL: base + "/none"}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if _, err := c.Metadata(t.Context(), File{URL: base + "/big"}); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%d MiB", maxMetadata>>20)) {
		t.Errorf("%v", err)
	}
	if _, err := c.Metadata(t.Context(), File{}); err == nil {
		t.Error("no address is no error")
	}
}
