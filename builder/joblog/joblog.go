// Package joblog keeps what a build prints: all of it compressed, for the store; its end and what may be the reason of a failure, at hand.
package joblog

import (
	"bytes"
	"context"
	"os"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/python-wheel-build/axle/builder/reason"
	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver"
)

// Log takes a job's output: all of it compressed on disk, its end in memory, and every piece to whoever watches.
type Log struct {
	store *cas.Store
	file  *os.File
	tell  func(string)

	mu   sync.Mutex // guards what follows
	z    *zstd.Encoder
	last []byte
	scan reason.Scanner
}

// tailKept is how much of a log a failure shows.
const tailKept = 4 << 10

// New begins a log with its first line. Every piece that is written is told, in order; tell must not block.
func New(s *cas.Store, p dist.Project, v version.Version, tell func(string)) (*Log, error) {
	f, err := s.TempFile()
	if err != nil {
		return nil, err
	}
	z, err := zstd.NewWriter(f, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	if _, err := z.Write([]byte(resolver.LogHeader(p, v))); err != nil {
		return nil, err
	}
	return &Log{store: s, file: f, tell: tell, z: z}, nil
}

// Write implements io.Writer.
func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = append(l.last, b...)
	if len(l.last) > 2*tailKept {
		l.last = append([]byte(nil), l.last[len(l.last)-tailKept:]...)
	}
	_, _ = l.scan.Write(b) // which can't fail
	l.tell(string(b))
	return l.z.Write(b)
}

// Line writes a line of the builder's own, after whatever half line a build left.
func (l *Log) Line(text string) {
	l.mu.Lock()
	half := len(l.last) > 0 && l.last[len(l.last)-1] != '\n'
	l.mu.Unlock()
	if half {
		text = "\n" + text
	}
	_, _ = l.Write([]byte(text + "\n")) // a log that can't be written is no reason to stop; storing it says so
}

// Failed says why the build failed whose log this is.
func (l *Log) Failed(b reason.Build) reason.Reason {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.scan.Failed(b)
}

// LeftOut says which extension the build left out because it could not be made.
func (l *Log) LeftOut(b reason.Build) reason.Reason {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.scan.LeftOut(b)
}

// Tail is the end of the log, whole lines.
func (l *Log) Tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.last
	if len(t) > tailKept {
		t = t[len(t)-tailKept:]
		if i := bytes.IndexByte(t, '\n'); i >= 0 {
			t = t[i+1:]
		}
	}
	return string(bytes.ToValidUTF8(t, []byte("\uFFFD")))
}

// Store keeps the log as a blob. Nothing can be written to it after.
func (l *Log) Store(ctx context.Context) (cas.Digest, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.z.Close(); err != nil {
		return "", err
	}
	d, _, err := l.store.Add(ctx, l.file)
	return d, err
}

// Discard lets go of the file.
func (l *Log) Discard() {
	_ = l.z.Close() // closed already where it was stored
	_ = l.file.Close()
	_ = os.Remove(l.file.Name()) // scratch
}
