package s3

import (
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"testing"
)

// A request that the server has answered early may go on reading: it gets nothing any more, and the hash stays that of the whole.
func TestSource(t *testing.T) {
	const text = "0123456789"
	want := sha256.Sum256([]byte(text))
	for name, r := range map[string]io.Reader{"seeker": strings.NewReader(text), "plain": struct{ io.Reader }{strings.NewReader(text)}} {
		s := newSource(r, int64(len(text)))
		late, end := s.begin()
		if _, err := io.ReadFull(late, make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
		end()
		if n, err := late.Read(make([]byte, 4)); n != 0 || !errors.Is(err, errOver) {
			t.Errorf("%s: a late reader got %d bytes, %v", name, n, err)
		}
		if got, err := s.sum(); err != nil || [32]byte(got) != want {
			t.Errorf("%s: the hash is %x, %v; want %x", name, got, err, want)
		}
		if got := s.rewind(); got != (name == "seeker") {
			t.Errorf("%s: rewind is %v", name, got)
		}
		if s.err() != nil {
			t.Errorf("%s: %v", name, s.err())
		}
	}
}
