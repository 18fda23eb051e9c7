package cas_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/python-wheel-build/axle/cas"
)

// What can go wrong in one call of a backend.
var faults = []string{
	"lost",     // nothing is done, and an error returned
	"reported", // it is done, but an error returned; of a read, an error at its end
	"torn",     // half is done, and an error returned; of a read, half the bytes and no error
	"slow",     // nothing is done, and the caller's context ends meanwhile
	"misread",  // of a read: a wrong byte, once
}

var errFault = errors.New("as the test wants it")

// faulty makes its at-th call go wrong.
type faulty struct {
	cas.Backend
	dir   string
	fault string

	mu     sync.Mutex // guards at and call
	at     int
	call   string // the call that went wrong
	giveUp func() // ends the context of the running step
}

// now counts a call and says which fault it has, "" for none.
func (f *faulty) now(ctx context.Context, call, key string) string {
	f.mu.Lock()
	f.at--
	hit := f.at == 0
	if hit {
		f.call = call + " " + key
	}
	f.mu.Unlock()
	if !hit {
		return ""
	}
	if f.fault == "slow" {
		f.giveUp()
	}
	return f.fault
}

func (f *faulty) Create(ctx context.Context, key string, size int64, r io.Reader) error {
	switch f.now(ctx, "Create", key) {
	case "", "misread":
		return f.Backend.Create(ctx, key, size, r)
	case "slow":
		return ctx.Err()
	case "reported":
		if err := f.Backend.Create(ctx, key, size, r); err != nil {
			return err
		}
	case "torn": // as a backend may leave it that does not keep its promise
		path := filepath.Join(f.dir, filepath.FromSlash(key))
		if _, err := os.Stat(path); err == nil {
			return fmt.Errorf("creating %s: %w", key, fs.ErrExist)
		}
		half, err := io.ReadAll(io.LimitReader(r, size/2))
		if err == nil {
			err = os.MkdirAll(filepath.Dir(path), 0o777)
		}
		if err == nil {
			err = os.WriteFile(path, half, 0o600)
		}
		if err != nil {
			return err
		}
	}
	return errFault
}

func (f *faulty) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, cas.Info, error) {
	fault := f.now(ctx, "Open", key)
	switch fault {
	case "lost":
		return nil, cas.Info{}, errFault
	case "slow":
		return nil, cas.Info{}, ctx.Err()
	}
	r, info, err := f.Backend.Open(ctx, key, off, n)
	if err != nil || fault == "" {
		return r, info, err
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, cas.Info{}, err
	}
	var changed io.Reader
	switch fault {
	case "torn":
		changed = bytes.NewReader(text[:len(text)/2])
	case "reported":
		changed = io.MultiReader(bytes.NewReader(text), errReader{})
	case "misread":
		text[len(text)/2]++
		changed = bytes.NewReader(text)
	}
	return io.NopCloser(changed), info, nil
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errFault }

func (f *faulty) Stat(ctx context.Context, key string) (cas.Info, error) {
	switch f.now(ctx, "Stat", key) {
	case "", "misread":
		return f.Backend.Stat(ctx, key)
	case "slow":
		return cas.Info{}, ctx.Err()
	}
	return cas.Info{}, errFault
}

func (f *faulty) Remove(ctx context.Context, key string) error {
	switch f.now(ctx, "Remove", key) {
	case "", "misread":
		return f.Backend.Remove(ctx, key)
	case "slow":
		return ctx.Err()
	case "reported":
		if err := f.Backend.Remove(ctx, key); err != nil {
			return err
		}
	}
	return errFault
}

func (f *faulty) List(ctx context.Context, prefix, after string) iter.Seq2[cas.Info, error] {
	if fault := f.now(ctx, "List", prefix); fault == "" || fault == "misread" {
		return f.Backend.List(ctx, prefix, after)
	}
	return func(yield func(cas.Info, error) bool) { yield(cas.Info{}, errFault) }
}

// faultyLocal offers its files as well.
type faultyLocal struct{ *faulty }

func (f faultyLocal) File(key string) (*os.File, error) {
	if fault := f.now(ctx, "File", key); fault == "lost" || fault == "reported" || fault == "torn" {
		return nil, errFault
	}
	return f.Backend.(interface {
		File(string) (*os.File, error)
	}).File(key)
}

// The scenario: what callers do, each step fit to be done again.
const (
	newText, rottenText = "a new blob, of some bytes", "a blob that lies there rotten"
	newKey, tornKey     = "records/foo/1.0/new.json", "records/foo/1.0/torn.json"
)

type step struct {
	name string
	do   func(context.Context, *cas.Store) error
	// holds says what must be true once do has returned nil.
	holds func(*cas.Store) error
}

func bytesAre(text string) func(*cas.Store) error {
	return func(s *cas.Store) error {
		d := digest.FromString(text)
		blob, err := s.Blob(ctx, d)
		if err != nil {
			return err
		}
		defer blob.Close()
		got, err := io.ReadAll(blob)
		if err == nil && string(got) != text {
			err = fmt.Errorf("blob has %q, want %q", got, text)
		}
		return err
	}
}

func documentIs(key string) func(*cas.Store) error {
	return func(s *cas.Store) error {
		var got doc
		err := s.Read(ctx, key, &got)
		if err == nil && got.Name != key {
			err = fmt.Errorf("document has %q, want %q", got.Name, key)
		}
		return err
	}
}

// publish is what callers do with records: a damaged one makes room.
func publish(key string) func(context.Context, *cas.Store) error {
	return func(ctx context.Context, s *cas.Store) error {
		err := s.Create(ctx, key, doc{Name: key})
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		var damaged *cas.DamagedError
		if err := s.Read(ctx, key, &doc{}); !errors.As(err, &damaged) {
			return errors.Join(errors.New("exists, and is not damaged"), err)
		}
		if err := s.Quarantine(ctx, key); err != nil {
			return err
		}
		return s.Create(ctx, key, doc{Name: key})
	}
}

func put(text string) func(context.Context, *cas.Store) error {
	return func(ctx context.Context, s *cas.Store) error {
		_, err := s.AddBytes(ctx, []byte(text))
		return err
	}
}

var scenario = []step{
	{"a new blob", put(newText), bytesAre(newText)},
	{"the same again", put(newText), bytesAre(newText)},
	{"a rotten blob", put(rottenText), bytesAre(rottenText)},
	{"a new document", publish(newKey), documentIs(newKey)},
	{"a torn document", publish(tornKey), documentIs(tornKey)},
	{"bytes", func(ctx context.Context, s *cas.Store) error {
		got, err := s.Bytes(ctx, digest.FromString(newText), 1000)
		if err == nil && string(got) != newText {
			return fmt.Errorf("WRONG BYTES %q", got)
		}
		return err
	}, bytesAre(newText)},
	{"blob", func(ctx context.Context, s *cas.Store) error {
		blob, err := s.Blob(ctx, digest.FromString(rottenText))
		if err != nil {
			return err
		}
		defer blob.Close()
		if got, err := io.ReadAll(blob); err != nil || string(got) != rottenText {
			return fmt.Errorf("WRONG BYTES %q, %v", got, err)
		}
		return nil
	}, bytesAre(rottenText)},
	{"keys", func(ctx context.Context, s *cas.Store) error {
		for _, err := range s.Keys(ctx, "records/") {
			if err != nil {
				return err
			}
		}
		return nil
	}, func(*cas.Store) error { return nil }},
}

func TestFaults(t *testing.T) {
	for _, local := range []bool{false, true} {
		for _, fault := range faults {
			t.Run(fmt.Sprintf("%s, local files %v", fault, local), func(t *testing.T) {
				t.Parallel()
				hit := map[string]bool{}
				for at := 1; ; at++ {
					call := oneFault(t, fault, at, local)
					if call == "" {
						if at < 15 {
							t.Errorf("the scenario makes only %d calls", at-1)
						}
						break
					}
					kind, _, _ := strings.Cut(call, " ")
					hit[kind] = true
				}
				for _, kind := range []string{"Create", "Open", "Stat", "Remove", "List"} {
					if !hit[kind] {
						t.Errorf("no %s has gone wrong", kind)
					}
				}
			})
		}
	}
}

// oneFault runs the scenario with its at-th call going wrong, then looks at what is left, and runs it again without. It says which call
// went wrong, "" when there were fewer.
func oneFault(t *testing.T, fault string, at int, local bool) string {
	dir := t.TempDir()
	sound := backend(t, dir)
	overwrite(t, blobPath(dir, digest.FromString(rottenText)), strings.ToUpper(rottenText))
	overwrite(t, filepath.Join(dir, tornKey), "{\"nam")
	f := &faulty{Backend: sound, dir: dir, fault: fault, at: at}
	var b cas.Backend = f
	if local {
		b = faultyLocal{f}
	}
	say := func(format string, args ...any) {
		t.Helper()
		t.Errorf("call %d, %s: %s", at, f.call, fmt.Sprintf(format, args...))
	}

	acknowledged := map[string]bool{}
	withEnd := func(do func(context.Context) error) error {
		step, cancel := context.WithCancel(ctx)
		defer cancel()
		f.giveUp = cancel
		return do(step)
	}
	var s *cas.Store
	err := withEnd(func(ctx context.Context) (err error) {
		s, err = cas.Open(ctx, b, t.TempDir())
		return err
	})
	if err == nil {
		for _, step := range scenario {
			err := withEnd(func(ctx context.Context) error { return step.do(ctx, s) })
			if err != nil && strings.Contains(err.Error(), "WRONG BYTES") {
				say("%s: %v", step.name, err)
			}
			acknowledged[step.name] = err == nil
		}
		s.Close()
	}

	var damaged *cas.DamagedError
	if s, err = cas.Open(ctx, sound, t.TempDir()); errors.As(err, &damaged) && fault == "torn" {
		if err := sound.Remove(ctx, damaged.Key); err != nil { // as the error says
			t.Fatal(err)
		}
		s, err = cas.Open(ctx, sound, t.TempDir())
	}
	if err != nil {
		say("opening again: %v", err)
		return f.call
	}
	defer s.Close()
	for _, step := range scenario {
		err := step.holds(s)
		if err != nil && (acknowledged[step.name] || !errors.Is(err, fs.ErrNotExist) && !errors.As(err, &damaged)) {
			say("%s, acknowledged %v: afterwards %v", step.name, acknowledged[step.name], err)
		}
	}
	for _, step := range scenario {
		if err := errors.Join(step.do(ctx, s), step.holds(s)); err != nil {
			say("%s, once more without a fault: %v", step.name, err)
		}
	}
	if err := s.Verify(ctx, nil, func(f cas.Finding) { say("Verify: %+v", f) }); err != nil {
		say("Verify: %v", err)
	}
	return f.call
}

// A read that ends early is no damage: nobody may throw away what is sound because of it.
func TestShortRead(t *testing.T) {
	dir := t.TempDir()
	sound := open(t, backend(t, dir))
	d := add(t, sound, newText)
	if err := sound.Create(ctx, newKey, doc{Name: newKey}); err != nil {
		t.Fatal(err)
	}
	f := &faulty{Backend: backend(t, dir), fault: "torn"}
	s := open(t, f)
	for name, read := range map[string]func() error{
		"Read":  func() error { return s.Read(ctx, newKey, &doc{}) },
		"Bytes": func() error { _, err := s.Bytes(ctx, d, 100); return err },
		"Blob":  func() error { _, err := s.Blob(ctx, d); return err },
		"Put":   func() error { return put(newText)(ctx, s) },
		"Quarantine": func() error {
			f.at = 2 // after Stat
			return s.Quarantine(ctx, newKey)
		},
	} {
		f.at = 1
		err := read()
		var damaged *cas.DamagedError
		if !errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &damaged) {
			t.Errorf("%s, after %s: %v; want io.ErrUnexpectedEOF and no damage", name, f.call, err)
		}
	}
	if got := keys(t, sound, "quarantine/"); len(got) > 0 {
		t.Errorf("in quarantine: %q", got)
	}
}
