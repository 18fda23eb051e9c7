// Package castest says in code what cas.Backend promises. Every backend passes it.
package castest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/python-wheel-build/axle/cas"
)

// Run tries the backend that open gives; each call must give an empty one.
func Run(t *testing.T, open func(t *testing.T) cas.Backend) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, cas.Backend)
	}{
		{"missing", missing},
		{"create and read", createAndRead},
		{"twice", twice},
		{"half", half},
		{"wrong size", wrongSize},
		{"ranges", ranges},
		{"large", large},
		{"at once, other bytes", atOnceOther},
		{"at once, the same bytes", atOnceSame},
		{"cancelled", cancelled},
		{"cancelled on the way", cancelledOnTheWay},
		{"keys", keys},
		{"bad keys", badKeys},
		{"remove", remove},
		{"list in order", listInOrder},
		{"list many", listMany},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

var ctx = context.Background()

// plain hides all but Read, so that the backend can't read it twice.
func plain(b []byte) io.Reader { return struct{ io.Reader }{bytes.NewReader(b)} }

func create(t *testing.T, b cas.Backend, key, text string) {
	t.Helper()
	if err := b.Create(ctx, key, int64(len(text)), strings.NewReader(text)); err != nil {
		t.Fatalf("Create %s: %v", key, err)
	}
}

// has checks that key holds exactly text, by every way to look.
func has(t *testing.T, b cas.Backend, key, text string) {
	t.Helper()
	r, info, err := b.Open(ctx, key, 0, -1)
	if err != nil {
		t.Fatalf("Open %s: %v", key, err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil || string(got) != text {
		t.Errorf("%s has %.40q, %v; want %.40q", key, got, err, text)
	}
	stat, err := b.Stat(ctx, key)
	if err != nil {
		t.Errorf("Stat %s: %v", key, err)
	}
	for _, info := range []cas.Info{info, stat} {
		if info.Key != key || info.Size != int64(len(text)) || time.Since(info.ModTime).Abs() > time.Hour {
			t.Errorf("info of %s: %+v; want %d bytes, now", key, info, len(text))
		}
	}
}

// absent checks that there is nothing at key, by every way to look.
func absent(t *testing.T, b cas.Backend, key string) {
	t.Helper()
	if _, err := b.Stat(ctx, key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Stat %s: %v; want fs.ErrNotExist", key, err)
	}
	for _, span := range [][2]int64{{0, -1}, {0, 5}, {5, 5}, {5, -1}, {0, 0}} {
		if r, _, err := b.Open(ctx, key, span[0], span[1]); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Open %s %v: %v; want fs.ErrNotExist", key, span, err)
			if err == nil {
				r.Close()
			}
		}
	}
	if got := list(t, b, key, ""); len(got) > 0 {
		t.Errorf("List %s: %v; want nothing", key, got)
	}
}

func list(t *testing.T, b cas.Backend, prefix, after string) []string {
	t.Helper()
	var got []string
	for info, err := range b.List(ctx, prefix, after) {
		if err != nil {
			t.Fatalf("List %q after %q: %v", prefix, after, err)
		}
		got = append(got, info.Key)
	}
	return got
}

func missing(t *testing.T, b cas.Backend) {
	absent(t, b, "a")
	absent(t, b, "a/b/c.json")
	create(t, b, "a", "x")
	absent(t, b, "a/b") // below an object
	create(t, b, "d/e", "x")
	// A folder is no object, though its name is the start of one's.
	if _, err := b.Stat(ctx, "d"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Stat of a folder: %v; want fs.ErrNotExist", err)
	}
	if _, _, err := b.Open(ctx, "d", 0, -1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open of a folder: %v; want fs.ErrNotExist", err)
	}
	if err := b.Remove(ctx, "d"); err != nil {
		t.Errorf("Remove of a folder: %v; want success without effect", err)
	}
	has(t, b, "d/e", "x")
}

func createAndRead(t *testing.T, b cas.Backend) {
	create(t, b, "a/b.json", "hello")
	has(t, b, "a/b.json", "hello")
	if err := b.Create(ctx, "a/c", 5, plain([]byte("hello"))); err != nil {
		t.Errorf("Create from a plain reader: %v", err)
	}
	has(t, b, "a/c", "hello")
	create(t, b, "empty", "")
	has(t, b, "empty", "")
	// A reader that stands elsewhere than at its start is read from there, also when it is read again.
	r := strings.NewReader("not this, this")
	if _, err := r.Seek(10, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if err := b.Create(ctx, "rest", 4, r); err != nil {
		t.Error(err)
	}
	has(t, b, "rest", "this")
}

func twice(t *testing.T, b cas.Backend) {
	for _, first := range []string{"hello", ""} {
		key := fmt.Sprintf("a/%d", len(first))
		create(t, b, key, first)
		create(t, b, key, first)
		if err := b.Create(ctx, key, int64(len(first)), plain([]byte(first))); err != nil {
			t.Errorf("%q again, from a plain reader: %v", first, err)
		}
		for _, other := range []string{"hellO", "hell", "hello2", ""} {
			if other == first {
				continue
			}
			for _, r := range []io.Reader{strings.NewReader(other), plain([]byte(other))} {
				if err := b.Create(ctx, key, int64(len(other)), r); !errors.Is(err, fs.ErrExist) {
					t.Errorf("%q over %q: %v; want fs.ErrExist", other, first, err)
				}
			}
		}
		has(t, b, key, first)
	}
}

func half(t *testing.T, b cas.Backend) {
	broken := errors.New("the reader broke")
	for i, size := range []int{0, 1, 100, 3 << 20} {
		key := fmt.Sprintf("half/%d", i)
		r := io.MultiReader(bytes.NewReader(make([]byte, size)), errReader{broken})
		if err := b.Create(ctx, key, int64(size)+100, r); !errors.Is(err, broken) {
			t.Errorf("after %d bytes: %v; want the reader's error", size, err)
		}
		absent(t, b, key)
		r = io.MultiReader(bytes.NewReader(make([]byte, size)), errReader{broken})
		if err := b.Create(ctx, key, int64(size), r); !errors.Is(err, broken) {
			t.Errorf("in place of the end, after %d bytes: %v; want the reader's error", size, err)
		}
		absent(t, b, key)
	}
	if got := list(t, b, "", ""); len(got) > 0 {
		t.Errorf("left behind: %v", got)
	}
	create(t, b, "half/1", "whole")
	has(t, b, "half/1", "whole")
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

func wrongSize(t *testing.T, b cas.Backend) {
	for _, c := range []struct{ size, given int }{{0, 1}, {1, 0}, {5, 4}, {5, 6}, {5, 500_000}, {3 << 20, 1}, {3 << 20, 3<<20 - 1}, {3 << 20, 3<<20 + 1}} {
		for _, r := range []io.Reader{bytes.NewReader(make([]byte, c.given)), plain(make([]byte, c.given))} {
			start := time.Now()
			if err := b.Create(ctx, "a", int64(c.size), r); err == nil || errors.Is(err, fs.ErrExist) {
				t.Errorf("%d bytes for %d: %v; want an error about the size", c.given, c.size, err)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("%d bytes for %d: took %v: was it tried again?", c.given, c.size, took)
			}
			absent(t, b, "a")
		}
	}
	if err := b.Create(ctx, "a", -1, strings.NewReader("")); err == nil {
		t.Error("size -1 was taken")
	}
}

func ranges(t *testing.T, b cas.Backend) {
	const text = "0123456789"
	create(t, b, "a", text)
	create(t, b, "empty", "")
	for _, c := range []struct {
		key    string
		off, n int64
		want   string
	}{
		{"a", 0, -1, text}, {"a", 0, 10, text}, {"a", 0, 11, text}, {"a", 0, 1, "0"}, {"a", 9, 1, "9"}, {"a", 9, 100, "9"},
		{"a", 3, 4, "3456"}, {"a", 3, -1, "3456789"}, {"a", 0, 0, ""}, {"a", 5, 0, ""}, {"a", 10, -1, ""}, {"a", 10, 1, ""}, {"a", 11, 5, ""},
		{"a", 1 << 40, -1, ""}, {"a", 5, 1<<63 - 1, "56789"}, {"empty", 0, -1, ""}, {"empty", 0, 1, ""}, {"empty", 1, -1, ""},
	} {
		r, info, err := b.Open(ctx, c.key, c.off, c.n)
		if err != nil {
			t.Errorf("%s from %d, %d bytes: %v", c.key, c.off, c.n, err)
			continue
		}
		got, err := io.ReadAll(r)
		if err != nil || string(got) != c.want {
			t.Errorf("%s from %d, %d bytes: %q, %v; want %q", c.key, c.off, c.n, got, err, c.want)
		}
		if whole := map[string]int64{"a": 10, "empty": 0}[c.key]; info.Size != whole {
			t.Errorf("%s from %d, %d bytes: size %d; want that of the whole, %d", c.key, c.off, c.n, info.Size, whole)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if r, _, err := b.Open(ctx, "a", -1, 5); err == nil {
		r.Close()
		t.Error("offset -1 was taken")
	}
}

func large(t *testing.T, b cas.Backend) {
	const size = 20 << 20
	content := make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(content)
	want := sha256.Sum256(content)
	for _, r := range []io.Reader{bytes.NewReader(content), plain(content)} {
		if err := b.Create(ctx, "large", size, r); err != nil {
			t.Fatal(err)
		}
	}
	other := slices.Clone(content)
	other[size-1]++
	if err := b.Create(ctx, "large", size, bytes.NewReader(other)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("another last byte: %v; want fs.ErrExist", err)
	}
	if err := b.Create(ctx, "large", size, plain(other)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("another last byte, from a plain reader: %v; want fs.ErrExist", err)
	}
	r, info, err := b.Open(ctx, "large", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	h := sha256.New()
	if n, err := io.Copy(h, r); n != size || err != nil || info.Size != size || [32]byte(h.Sum(nil)) != want {
		t.Errorf("read %d bytes of %d, %v, or other bytes", n, info.Size, err)
	}
}

// atOnceOther: of several creators with bytes of their own exactly one wins, and all later readers see his. Few rounds: there are
// servers that wait for seconds here.
func atOnceOther(t *testing.T, b cas.Backend) {
	const rounds, racers = 5, 4
	for round := range rounds {
		key := fmt.Sprintf("race/%d", round)
		errs := make([]error, racers)
		text := func(i int) string { return strings.Repeat(string(rune('a'+i)), 1000+i%2) }
		var g errgroup.Group
		for i := range racers {
			g.Go(func() error {
				errs[i] = b.Create(ctx, key, int64(len(text(i))), strings.NewReader(text(i)))
				return nil
			})
		}
		g.Wait()
		winner := -1
		for i, err := range errs {
			switch {
			case err == nil && winner >= 0:
				t.Errorf("round %d: %d and %d have won", round, winner, i)
			case err == nil:
				winner = i
			case !errors.Is(err, fs.ErrExist):
				t.Errorf("round %d: %v; want fs.ErrExist", round, err)
			}
		}
		if winner < 0 {
			t.Fatalf("round %d: nobody has won", round)
		}
		has(t, b, key, text(winner))
	}
}

func atOnceSame(t *testing.T, b cas.Backend) {
	const text = "the same"
	var g errgroup.Group
	for range 4 {
		g.Go(func() error { return b.Create(ctx, "new/folder/a", int64(len(text)), strings.NewReader(text)) })
	}
	if err := g.Wait(); err != nil {
		t.Errorf("%v; want success for all", err)
	}
	has(t, b, "new/folder/a", text)
}

func cancelled(t *testing.T, b cas.Backend) {
	create(t, b, "a", "x")
	over, cancel := context.WithCancel(ctx)
	cancel()
	err := map[string]error{}
	err["Create"] = b.Create(over, "b", 1, strings.NewReader("x"))
	_, _, err["Open"] = b.Open(over, "a", 0, -1)
	_, err["Stat"] = b.Stat(over, "a")
	err["Remove"] = b.Remove(over, "a")
	for _, e := range b.List(over, "", "") {
		err["List"] = e
	}
	for _, call := range []string{"Create", "Open", "Stat", "Remove", "List"} {
		if !errors.Is(err[call], context.Canceled) {
			t.Errorf("%s: %v; want context.Canceled", call, err[call])
		}
	}
	has(t, b, "a", "x")
	absent(t, b, "b")
}

// cancelledOnTheWay ends the context when half of the bytes have gone.
func cancelledOnTheWay(t *testing.T, b cas.Backend) {
	const size = 8 << 20
	half, cancel := context.WithCancel(ctx)
	defer cancel()
	r := io.MultiReader(bytes.NewReader(make([]byte, size/2)), readerFunc(func(p []byte) (int, error) {
		cancel()
		return len(p), nil
	}))
	if err := b.Create(half, "a", size, io.LimitReader(r, size)); !errors.Is(err, context.Canceled) {
		t.Errorf("Create: %v; want context.Canceled", err)
	}
	absent(t, b, "a")
	create(t, b, "a", "x")
	for i := range 3 {
		create(t, b, fmt.Sprint("b/", i), "x")
	}
	part, cancel := context.WithCancel(ctx)
	defer cancel()
	n := 0
	for _, err := range b.List(part, "", "") {
		if n++; err == nil && n == 1 {
			cancel()
		}
		if n > 10 {
			t.Fatal("the listing goes on after its error")
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
