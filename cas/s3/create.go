package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
)

// maxPut is what one PUT may hold.
const maxPut = 5 << 30

// Create implements cas.Backend.
//
// A PUT that fails tells little: the object may be there all the same, from this request (its answer was lost), from its repetition or from
// another writer. So after every failure that leaves a doubt the object is read back and compared.
func (b *Backend) Create(ctx context.Context, key string, size int64, r io.Reader) error {
	name, err := b.name(key)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if size < 0 || size > maxPut {
		return fmt.Errorf("creating %s: its size is %d bytes, and one S3 PUT holds at most 5 GiB (%d)", key, size, int64(maxPut))
	}
	src := newSource(r, size)
	for attempt := 1; ; attempt++ {
		err := b.put(ctx, name, src, size)
		if err == nil {
			return nil
		}
		if src.err() != nil { // the reader's own
			return fmt.Errorf("creating %s: %w", key, src.err())
		}
		if ctx.Err() != nil {
			return fmt.Errorf("creating %s: %w", key, ctx.Err())
		}
		code := minio.ToErrorResponse(err).StatusCode
		if 400 <= code && code < 500 && code != http.StatusConflict && code != http.StatusPreconditionFailed {
			return b.fault("creating", key, err)
		}
		same, back := b.compare(ctx, key, src, size)
		switch {
		case back == nil && same:
			return nil
		case back == nil:
			return fmt.Errorf("creating %s: %w", key, fs.ErrExist)
		case src.err() != nil:
			return fmt.Errorf("creating %s: %w", key, src.err())
		case !errors.Is(back, fs.ErrNotExist):
			return fmt.Errorf("creating %s: %w; and whether it is there could not be found out: %w", key, err, back)
		}
		// It is not there. Of 409 S3 says that another write of the same key was under way, and to try again; 412 is the same, when
		// what was there has been removed. The rest has been repeated enough by minio-go.
		if code != http.StatusConflict && code != http.StatusPreconditionFailed || attempt == attempts || !src.rewind() {
			return b.fault("creating", key, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("creating %s: %w", key, ctx.Err())
		case <-time.After(time.Duration(attempt) * 100 * time.Millisecond):
		}
	}
}

// put makes one conditional PUT.
func (b *Backend) put(ctx context.Context, name string, src *source, size int64) error {
	opts := minio.PutObjectOptions{DisableMultipart: true, ContentType: "application/octet-stream"}
	opts.SetMatchETagExcept("*")
	r, end := src.begin()
	defer end()
	if size == 0 {
		// Without a body nobody would read r, which may yet fail or have bytes.
		if _, err := r.Read(make([]byte, 1)); err != io.EOF {
			return err
		}
		r = bytes.NewReader(nil)
	}
	_, err := b.core.Client.PutObject(ctx, b.bucket, name, r, size, opts)
	return err
}

// compare says whether the object at key has the bytes of src.
func (b *Backend) compare(ctx context.Context, key string, src *source, size int64) (bool, error) {
	info, err := b.Stat(ctx, key)
	if err != nil || info.Size != size {
		return false, err
	}
	want, err := src.sum()
	if err != nil {
		return false, err
	}
	r, info, err := b.Open(ctx, key, 0, -1)
	if err != nil {
		return false, err
	}
	defer r.Close()
	got := sha256.New()
	if _, err := io.Copy(got, r); err != nil {
		return false, err
	}
	return info.Size == size && string(got.Sum(nil)) == string(want), nil
}

// probe sees whether a name is given just once. A server that takes If-None-Match and overwrites would lose records.
func (b *Backend) probe(ctx context.Context) (err error) {
	key := "probe-" + strings.ToLower(rand.Text())
	// It is removed also when ctx ends in between.
	defer func() {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		if left := b.Remove(clean, key); err == nil {
			err = left
		}
	}()
	if err := b.Create(ctx, key, 3, strings.NewReader("one")); err != nil {
		return err
	}
	err = b.Create(ctx, key, 3, strings.NewReader("two"))
	if err == nil {
		return errors.New("the server overwrites an object although the request says If-None-Match: *, so that records could be lost: " +
			"use a server, or a version of it, that honours conditional writes")
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
