package index

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/resolver"
)

// maxMetadata is far more than any METADATA file needs; those with a whole README in them have some 100 KB.
const maxMetadata = 8 << 20

// forever is what answers say that are named by a digest.
const forever = "max-age=31536000, immutable"

const (
	wheelType    = "application/octet-stream"
	metadataType = "text/plain; charset=utf-8"
)

// wheelName parses the last part of a file's or promise's URL.
func wheelName(param func(string) string) (name dist.WheelName, metadata bool, err error) {
	filename, metadata := strings.CutSuffix(param("file"), ".metadata")
	if name, err = dist.ParseWheelName(filename); err != nil {
		err = &Problem{Type: typeNoSuchThing, Status: http.StatusNotFound, Title: "no such file", Detail: printable(err.Error())}
	}
	return name, metadata, err
}

// sha256Of parses a part of the path that is a digest's hex.
func sha256Of(hex string) (cas.Digest, error) {
	d := digest.NewDigestFromEncoded(digest.SHA256, hex)
	if d.Validate() != nil {
		return "", &Problem{Type: typeNoSuchThing, Status: http.StatusNotFound, Title: "no such file", Detail: "the path has no SHA-256 of 64 hexadecimal digits in lower case"}
	}
	return d, nil
}

// file serves a wheel by its digest, or its metadata: only where a record of the project and version in the name has it.
func (s *site) file(w http.ResponseWriter, r *http.Request, param func(string) string) error {
	sha, err := sha256Of(param("sha256"))
	if err != nil {
		return err
	}
	name, metadata, err := wheelName(param)
	if err != nil {
		return err
	}
	rec, err := s.Catalog.Wheel(r.Context(), sha, name)
	if errors.Is(err, fs.ErrNotExist) {
		s.lookups.WithLabelValues("unknown").Inc()
		return &Problem{Type: typeNoSuchThing, Status: http.StatusNotFound, Title: "no such file",
			Detail: fmt.Sprintf("no record of %s %s has these bytes; start from the project's page", name.Project, name.Version)}
	}
	if err != nil {
		return err
	}
	s.lookups.WithLabelValues("hit").Inc()
	h := w.Header()
	h.Set("Cache-Control", forever)
	if metadata {
		body, err := s.metadataBytes(r, rec)
		if err != nil {
			return err
		}
		s.told.WithLabelValues("built").Inc()
		h.Set("Content-Type", metadataType)
		h.Set("Etag", `"`+rec.Metadata.String()+`"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
		return nil
	}
	blob, err := s.wheelBlob(r, rec)
	if err != nil {
		return err
	}
	defer blob.Close()
	h.Set("Content-Type", wheelType)
	h.Set("Etag", `"`+rec.Wheel.String()+`"`)
	http.ServeContent(w, r, "", time.Time{}, blob.File) // the file itself: sendfile
	return nil
}

// wheelBlob is the record's wheel, proven.
func (s *site) wheelBlob(r *http.Request, rec resolver.Record) (*cas.Blob, error) {
	blob, err := s.Catalog.Store.Blob(r.Context(), rec.Wheel)
	return blob, gone(err)
}

func (s *site) metadataBytes(r *http.Request, rec resolver.Record) ([]byte, error) {
	body, err := s.Catalog.Store.Bytes(r.Context(), rec.Metadata, maxMetadata)
	return body, gone(err)
}

// gone tells of a blob that a record has and the store hasn't.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &Problem{Type: typeNoSuchThing, Status: http.StatusNotFound, Title: "the bytes are gone",
			Detail: "they were damaged or taken out of the store; the project's page offers the version anew"}
	}
	return err
}

// sendWheel answers a promise with the wheel itself, whole, whatever range was asked for, and never to be kept by a cache: the same
// promise may stand for other bytes tomorrow.
func (s *site) sendWheel(w http.ResponseWriter, r *http.Request, rec resolver.Record) error {
	blob, err := s.wheelBlob(r, rec)
	if err != nil {
		return err
	}
	defer blob.Close()
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", wheelType)
	h.Set("Content-Length", strconv.FormatInt(blob.Size, 10))
	w.WriteHeader(http.StatusOK)
	_, _ = io.CopyN(w, blob.File, blob.Size) // a client that is gone needs no answer
	return nil
}
