package builder

import (
	"bytes"
	"context"
	"os"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver"
)

// jobLog takes a job's output: all of it compressed on disk, its end in memory, and every piece to whoever watches.
type jobLog struct {
	store_ *cas.Store
	file   *os.File
	tell   func(string)

	mu   sync.Mutex // guards what follows
	z    *zstd.Encoder
	last []byte
}

// tailKept is how much of a log a failure shows.
const tailKept = 4 << 10

func newLog(s *cas.Store, p dist.Project, v version.Version, tell func(string)) (*jobLog, error) {
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
	return &jobLog{store_: s, file: f, tell: tell, z: z}, nil
}

// Write implements io.Writer.
func (l *jobLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = append(l.last, b...)
	if len(l.last) > 2*tailKept {
		l.last = append([]byte(nil), l.last[len(l.last)-tailKept:]...)
	}
	l.tell(string(b))
	return l.z.Write(b)
}

// line writes a line of the builder's own, after whatever half line a build left.
func (l *jobLog) line(text string) {
	l.mu.Lock()
	half := len(l.last) > 0 && l.last[len(l.last)-1] != '\n'
	l.mu.Unlock()
	if half {
		text = "\n" + text
	}
	_, _ = l.Write([]byte(text + "\n")) // a log that can't be written is no reason to stop; storing it says so
}

// tail is the end of the log, whole lines.
func (l *jobLog) tail() string {
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

// store keeps the log as a blob. Nothing can be written to it after.
func (l *jobLog) store(ctx context.Context) (cas.Digest, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.z.Close(); err != nil {
		return "", err
	}
	d, _, err := l.store_.Add(ctx, l.file)
	return d, err
}

// discard lets go of the file.
func (l *jobLog) discard() {
	_ = l.z.Close() // closed already where it was stored
	_ = l.file.Close()
	_ = os.Remove(l.file.Name()) // scratch
}
