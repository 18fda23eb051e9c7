package cas_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/python-wheel-build/axle/cas"
)

func TestPutChecksWhileBytesFlow(t *testing.T) {
	s := open(t, backend(t, t.TempDir()))
	const text = "some bytes"
	d := digest.FromString(text)
	for _, c := range []struct {
		size int64
		text string
	}{{10, "some byteS"}, {10, "some byte"}, {10, "some bytes!"}, {9, text}, {11, text}, {0, ""}, {0, text}, {-1, text}} {
		for _, r := range []io.Reader{strings.NewReader(c.text), struct{ io.Reader }{strings.NewReader(c.text)}} {
			if err := s.Put(ctx, d, c.size, r); err == nil {
				t.Errorf("%q as %d bytes was taken", c.text, c.size)
			}
			if has, err := s.Has(ctx, d); has || err != nil {
				t.Fatalf("after %q as %d bytes: Has is %v, %v", c.text, c.size, has, err)
			}
		}
	}
	if got := keys(t, s, "blobs/"); len(got) > 0 {
		t.Errorf("left behind: %q", got)
	}
	for range 2 {
		if err := s.Put(ctx, d, 10, struct{ io.Reader }{strings.NewReader(text)}); err != nil {
			t.Error(err)
		}
	}
	if err := s.Put(ctx, d, 10, panicReader{}); err != nil {
		t.Errorf("what is there is not read again: %v", err)
	}
	if got, err := s.Bytes(ctx, d, 10); err != nil || string(got) != text {
		t.Errorf("Bytes: %q, %v", got, err)
	}
	if _, err := s.Bytes(ctx, d, 9); err == nil || !strings.Contains(err.Error(), "10 bytes") {
		t.Errorf("Bytes of more than is wanted: %v", err)
	}
}

type panicReader struct{}

func (panicReader) Read([]byte) (int, error) { panic("read") }

func TestDigests(t *testing.T) {
	s := open(t, backend(t, t.TempDir()))
	for _, d := range []cas.Digest{"", "sha256:", "sha256:../../etc", "x", "md5:d41d8cd98f00b204e9800998ecf8427e", cas.Digest("sha512:" + strings.Repeat("0", 128)),
		"sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"} {
		if err := s.Put(ctx, d, 0, strings.NewReader("")); err == nil {
			t.Errorf("Put took %q", d)
		}
		if _, err := s.Blob(ctx, d); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Blob %q: %v; want an error about the digest", d, err)
		}
		if _, err := s.Has(ctx, d); err == nil {
			t.Errorf("Has took %q", d)
		}
		if _, err := s.Bytes(ctx, d, 1); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Bytes %q: %v", d, err)
		}
	}
	absent := digest.FromString("absent")
	if _, err := s.Blob(ctx, absent); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Blob: %v; want fs.ErrNotExist", err)
	}
	if _, err := s.Bytes(ctx, absent, 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Bytes: %v; want fs.ErrNotExist", err)
	}
}

func TestAdd(t *testing.T) {
	s := open(t, backend(t, t.TempDir()))
	for _, text := range []string{"", "hello", strings.Repeat("x", 1<<20)} {
		f, err := s.TempFile()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(text); err != nil { // and leave the file at its end
			t.Fatal(err)
		}
		d, size, err := s.Add(ctx, f)
		if err != nil || d != digest.FromString(text) || size != int64(len(text)) {
			t.Errorf("Add: %s, %d, %v", d, size, err)
		}
		blob, err := s.Blob(ctx, d)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(blob)
		if err != nil || string(got) != text || blob.Size != size {
			t.Errorf("Blob: %d bytes, size %d, %v", len(got), blob.Size, err)
		}
		blob.Close()
	}
	folder, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	if _, _, err := s.Add(ctx, folder); err == nil {
		t.Error("a folder was added")
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	f, err := s.TempFile()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("never"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Add(over, f); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// Damage of every kind is found, moved away, and healed by the next Put.
func TestDamagedBlob(t *testing.T) {
	const text = "some bytes"
	d := digest.FromString(text)
	ways := map[string]func(*cas.Store) error{
		"Blob":  func(s *cas.Store) error { _, err := s.Blob(ctx, d); return err },
		"Bytes": func(s *cas.Store) error { _, err := s.Bytes(ctx, d, 100); return err },
	}
	for _, bad := range []string{"some byteS", "some byt", "some bytes!", ""} {
		for way, read := range ways {
			dir := t.TempDir()
			s := open(t, backend(t, dir))
			add(t, s, text)
			overwrite(t, blobPath(dir, d), bad)
			var damaged *cas.DamagedError
			if err := read(s); !errors.As(err, &damaged) || damaged.Key != blobKey(d) || !strings.Contains(err.Error(), "quarantine/") {
				t.Errorf("%s of %q: %v; want a DamagedError that names the key and quarantine/", way, bad, err)
			}
			if err := read(s); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s of %q, then: %v; want fs.ErrNotExist", way, bad, err)
			}
			if got, err := os.ReadFile(filepath.Join(dir, "quarantine", blobKey(d)+".0")); err != nil || string(got) != bad {
				t.Errorf("quarantine has %q, %v; want %q", got, err, bad)
			}
			add(t, s, text)
			if err := read(s); err != nil {
				t.Errorf("%s after healing: %v", way, err)
			}
		}
		// Without anybody having read it.
		dir := t.TempDir()
		s := open(t, backend(t, dir))
		overwrite(t, blobPath(dir, d), bad)
		add(t, s, text)
		if got, err := s.Bytes(ctx, d, 100); err != nil || string(got) != text {
			t.Errorf("Put over %q: %q, %v", bad, got, err)
		}
	}
}

// Many find the same damage at once, and put it right at once: what is right is not moved away by the slow.
func TestDamagedAtOnce(t *testing.T) {
	dir := t.TempDir()
	s := open(t, backend(t, dir))
	content := bytes.Repeat([]byte("x"), 1<<20)
	d := digest.FromBytes(content)
	for range 5 {
		overwrite(t, blobPath(dir, d), "rot")
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if err := s.Put(ctx, d, int64(len(content)), bytes.NewReader(content)); err != nil {
					t.Errorf("Put: %v", err)
				}
				if blob, err := s.Blob(ctx, d); err != nil {
					t.Errorf("Blob after an acknowledged Put: %v", err)
				} else {
					blob.Close()
				}
			})
		}
		wg.Wait()
	}
}

// counting counts how often a local file is opened: once for a remembered proof, twice where it is hashed.
type counting struct {
	cas.Backend
	files atomic.Int32
}

func (c *counting) File(key string) (*os.File, error) {
	c.files.Add(1)
	return c.Backend.(interface {
		File(string) (*os.File, error)
	}).File(key)
}

func TestProof(t *testing.T) {
	dir := t.TempDir()
	b := &counting{Backend: backend(t, dir)}
	s := open(t, b)
	start := time.Now()
	now := start
	s.SetClock(func() time.Time { return now })
	d := add(t, s, "some bytes")
	hashed := func() bool {
		t.Helper()
		b.files.Store(0)
		blob, err := s.Blob(ctx, d)
		if err != nil {
			t.Fatal(err)
		}
		blob.Close()
		return b.files.Load() > 1
	}
	for _, step := range []struct {
		after time.Duration
		want  bool
		why   string
	}{
		{0, true, "never hashed"},
		{time.Second, true, "so young that another write could bear the same time stamp"},
		{10 * time.Second, true, "first time that counts"},
		{11 * time.Second, false, "remembered"},
		{23 * time.Hour, false, "remembered"},
		{24*time.Hour + 11*time.Second, true, "a day old"},
		{25 * time.Hour, false, "remembered anew"},
	} {
		now = start.Add(step.after)
		if got := hashed(); got != step.want {
			t.Errorf("%v after: hashed is %v, want %v: %s", step.after, got, step.want, step.why)
		}
	}
	path := blobPath(dir, d)
	if err := os.Link(path, filepath.Join(dir, "tmp", "backup")); err != nil { // moves ctime alone
		t.Fatal(err)
	}
	if !hashed() {
		t.Error("another ctime, and it was not hashed")
	}
	// Overwritten in place, size and mtime as they were: only ctime tells.
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("some byteS"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	var damaged *cas.DamagedError
	if _, err := s.Blob(ctx, d); !errors.As(err, &damaged) {
		t.Errorf("overwritten: %v; want a DamagedError at once", err)
	}
}

// Who leaves does not end the hashing for the others; who stays shares it.
func TestProofAtOnce(t *testing.T) {
	dir := t.TempDir()
	b := &counting{Backend: backend(t, dir)}
	s := open(t, b)
	s.SetClock(func() time.Time { return time.Now().Add(time.Hour) })
	content := bytes.Repeat([]byte("x"), 32<<20)
	d := digest.FromBytes(content)
	if err := b.Create(ctx, blobKey(d), int64(len(content)), bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	const readers = 16
	var wg sync.WaitGroup
	for i := range readers {
		wg.Go(func() {
			mine, cancel := context.WithCancel(ctx)
			defer cancel()
			if i%2 == 0 {
				time.AfterFunc(time.Millisecond, cancel)
			}
			blob, err := s.Blob(mine, d)
			if err == nil {
				defer blob.Close()
				if n, err := io.Copy(io.Discard, blob); n != int64(len(content)) || err != nil {
					t.Errorf("read %d bytes, %v", n, err)
				}
			} else if i%2 == 1 || !errors.Is(err, context.Canceled) {
				t.Errorf("reader %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if n := b.files.Load(); n >= 2*readers {
		t.Errorf("files were opened %d times by %d readers: each has hashed for himself", n, readers)
	}
}
