package s3

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/python-wheel-build/axle/cas"
)

// body reads one range of one object, over as many connections as that takes.
type body struct {
	ctx  context.Context
	b    *Backend
	key  string
	name string
	off  int64 // of the next byte
	n    int64 // bytes to come; < 0: to the end, until open knows

	r      io.ReadCloser // what is being read; nil after it broke
	info   cas.Info
	etag   string // of the object that was opened first: no other may be mixed in
	broken int    // how many times it has broken off
}

// open asks for the bytes that are to come.
func (r *body) open() error {
	var opts minio.GetObjectOptions
	switch {
	case r.n > 0:
		if err := opts.SetRange(r.off, r.off+r.n-1); err != nil {
			return err
		}
	case r.off > 0:
		if err := opts.SetRange(r.off, 0); err != nil {
			return err
		}
	}
	if r.etag != "" {
		if err := opts.SetMatchETag(r.etag); err != nil {
			return err
		}
	}
	answer, info, header, err := r.b.core.GetObject(r.ctx, r.b.bucket, r.name, opts)
	if minio.ToErrorResponse(err).StatusCode == http.StatusRequestedRangeNotSatisfiable {
		// Only an empty object opened with n > 0 comes here: later offsets have been looked at before.
		r.info, err = r.b.Stat(r.ctx, r.key)
		r.r, r.n = http.NoBody, 0
		return err
	}
	if err != nil {
		return r.b.fault("reading", r.key, err)
	}
	whole := info.Size
	if ranged := header.Get("Content-Range"); ranged != "" {
		_, total, _ := strings.Cut(ranged, "/")
		if whole, err = strconv.ParseInt(total, 10, 64); err != nil {
			answer.Close()
			return fmt.Errorf("reading %s: the server's Content-Range is %q", r.key, ranged)
		}
	} else if r.off > 0 {
		answer.Close()
		return fmt.Errorf("reading %s: the server does not honour Range", r.key)
	}
	if rest := whole - r.off; r.n < 0 || r.n > rest {
		r.n = rest
	}
	r.r, r.etag = answer, info.ETag
	r.info = cas.Info{Key: r.key, Size: whole, ModTime: info.LastModified}
	return nil
}

func (r *body) Read(p []byte) (int, error) {
	for r.n > 0 {
		if r.r == nil {
			if err := r.open(); err != nil {
				return 0, err
			}
		}
		n, err := r.r.Read(p[:min(int64(len(p)), r.n)])
		r.off += int64(n)
		r.n -= int64(n)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if r.n == 0 {
			return n, nil
		}
		if err != nil {
			r.Close()
			if r.broken++; r.broken == attempts || r.ctx.Err() != nil {
				return n, fmt.Errorf("reading %s: broken off %d bytes before the end: %w", r.key, r.n, err)
			}
		}
		if n > 0 || len(p) == 0 {
			return n, nil
		}
	}
	return 0, io.EOF
}

// Close may be called at any time.
func (r *body) Close() error {
	if r.r == nil {
		return nil
	}
	err := r.r.Close()
	r.r = nil
	return err
}
