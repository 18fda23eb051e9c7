package resolver

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"io/fs"

	"github.com/klauspost/compress/zstd"
	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
)

// LogHeader is the first line of every log. It says whose log it is, so that no other blob can be asked for as one.
func LogHeader(p dist.Project, v version.Version) string {
	return fmt.Sprintf("axle log 1: %s %s\n", p, v)
}

// Log gives the text of a log of that version, without its header; fs.ErrNotExist for a blob that is none. The caller closes it.
func (c *Catalog) Log(ctx context.Context, p dist.Project, v version.Version, d cas.Digest) (io.ReadCloser, error) {
	blob, err := c.Store.Blob(ctx, d)
	if err != nil {
		return nil, err
	}
	z, err := zstd.NewReader(blob, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		_ = blob.Close()
		return nil, err
	}
	l := &logReader{bufio.NewReader(z), z, blob}
	want := LogHeader(p, v)
	got, err := l.Peek(len(want))
	if err != nil || string(got) != want {
		_ = l.Close()
		return nil, fmt.Errorf("log %s of %s %s: %w", d, p, v, fs.ErrNotExist)
	}
	_, _ = l.Discard(len(want)) // peeked at
	return l, nil
}

type logReader struct {
	*bufio.Reader
	z    *zstd.Decoder
	blob *cas.Blob
}

func (l *logReader) Close() error {
	l.z.Close()
	return l.blob.Close()
}
