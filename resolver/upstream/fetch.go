package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
)

const (
	defaultMaxFile = 4 << 30
	maxMetadata    = 16 << 20
)

// Fetch brings a file whole into w, which it empties first; on success w stands at its start again. Bytes are hashed on the way and
// compared with f.SHA256 and f.Size where they are known; an answer that differs is an error that names both. A cut line is taken up
// where it was cut, as long as the server can say that it is still the same file. fs.ErrNotExist: the index lists a file that is not
// there. On an error w holds anything.
func (c *Client) Fetch(ctx context.Context, f File, w *os.File) error {
	u, err := c.fileURL(f)
	if err != nil {
		return err
	}
	limit := c.MaxFile
	if limit == 0 {
		limit = defaultMaxFile
	}
	if f.Size > limit {
		return fmt.Errorf("%s has %d bytes and at most %d are taken: raise the limit if the file is wanted", f.URL, f.Size, limit)
	}
	d := download{file: f, w: w, limit: limit}
	if err := c.ask(ctx, u, d.prepare, d.take); err != nil {
		return err
	}
	if got := digest.NewDigest(digest.SHA256, d.hash); f.SHA256 != "" && got != f.SHA256 {
		return fmt.Errorf("%s: expected %s, got %s: somebody changed the file; compare with another index before you trust either", f.URL, f.SHA256, got)
	}
	_, err = w.Seek(0, io.SeekStart)
	return err
}

// download is one file on its way, over several attempts.
type download struct {
	file      File
	w         *os.File
	limit     int64
	hash      hash.Hash // of what w holds
	got       int64     // bytes that w holds
	total     int64     // of the whole file; 0 unknown
	validator string    // proves that it is still the same file (RFC 9110, 13.1.5); "" start again
}

func (d *download) prepare(h http.Header) {
	// A .tar.gz is the file itself: packed once more for the way, or unpacked by a server that means well, it has another hash.
	h.Set("Accept-Encoding", "identity")
	if d.got > 0 && d.validator != "" {
		h.Set("Range", fmt.Sprintf("bytes=%d-", d.got))
		h.Set("If-Range", d.validator)
	}
}

func (d *download) take(resp *http.Response) error {
	switch {
	case resp.StatusCode == http.StatusPartialContent && d.got > 0 && strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", d.got)):
	case resp.StatusCode == http.StatusOK:
		if err := d.restart(resp); err != nil {
			return err
		}
	default:
		d.validator = "" // whatever it meant by that, the next attempt asks for the whole
		return &passing{err: fmt.Errorf("%s (Content-Range %q) is no answer to what was asked", resp.Status, resp.Header.Get("Content-Range"))}
	}
	in := &capped{in: resp.Body, left: d.limit - d.got, err: fmt.Errorf("%s is larger than the %d bytes that are taken at most: raise the limit if the file is wanted", d.file.URL, d.limit)}
	n, err := io.Copy(io.MultiWriter(d.w, d.hash), in)
	d.got += n
	if d.total > 0 && d.got > d.total {
		return d.wrongSize(d.got)
	}
	if d.total > 0 && d.got == d.total {
		return nil // even if the line broke after the last byte
	}
	if err == nil && d.total > 0 {
		err = &passing{err: fmt.Errorf("cut after %d of %d bytes", d.got, d.total)}
	}
	return err
}

// restart begins with the first byte.
func (d *download) restart(resp *http.Response) error {
	d.hash, d.got, d.total = digest.SHA256.Hash(), 0, d.file.Size
	if resp.ContentLength >= 0 {
		if d.total > 0 && resp.ContentLength != d.total {
			return d.wrongSize(resp.ContentLength)
		}
		d.total = resp.ContentLength
	}
	d.validator = resp.Header.Get("ETag")
	if strings.HasPrefix(d.validator, "W/") || d.validator == "" {
		d.validator = resp.Header.Get("Last-Modified")
	}
	if err := d.w.Truncate(0); err != nil {
		return err
	}
	_, err := d.w.Seek(0, io.SeekStart)
	return err
}

func (d *download) wrongSize(got int64) error {
	return fmt.Errorf("%s: expected %d bytes, got %d: ask again later, or compare with another index", d.file.URL, d.total, got)
}

// Metadata brings the core metadata that an index offers beside a file (PEP 658, PEP 714), and checks its hash where one is listed.
// It asks whether or not f.HasMetadata; fs.ErrNotExist where there is none.
func (c *Client) Metadata(ctx context.Context, f File) ([]byte, error) {
	u, err := c.fileURL(f)
	if err != nil {
		return nil, err
	}
	u.Path += ".metadata"
	if u.RawPath != "" {
		u.RawPath += ".metadata"
	}
	var text bytes.Buffer
	err = c.ask(ctx, u, func(http.Header) {}, func(resp *http.Response) error {
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("GET %s: %s is no answer to a plain request", redacted(u), resp.Status)
		}
		text.Reset()
		_, err := text.ReadFrom(&capped{in: resp.Body, left: maxMetadata, err: fmt.Errorf("%s is larger than %d MiB", redacted(u), maxMetadata>>20)})
		return err
	})
	if err != nil {
		return nil, err
	}
	if got := digest.FromBytes(text.Bytes()); f.MetadataSHA256 != "" && got != f.MetadataSHA256 {
		return nil, fmt.Errorf("%s: expected %s, got %s: somebody changed the file; build from source, or compare with another index", redacted(u), f.MetadataSHA256, got)
	}
	return text.Bytes(), nil
}

// fileURL checks what a caller hands in: a File can come from a document as well as from a page.
func (c *Client) fileURL(f File) (*url.URL, error) {
	u, err := url.Parse(f.URL)
	if err != nil || !web(u) {
		if e := (*url.Error)(nil); errors.As(err, &e) {
			err = e.Err // without the address, which may carry a password
		}
		return nil, fmt.Errorf("the address of %s is not an http or https URL (%v): correct it where it is listed", strconv.Quote(f.Filename), err)
	}
	return u, nil
}
