package index

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/index/rights"
	"github.com/python-wheel-build/axle/index/safe"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/source"
	"github.com/python-wheel-build/axle/resolver/upstream"
)

// Problem is how an error is told to clients (RFC 9457). uv prints title and detail of it; pip prints nothing but the URL.
type Problem struct {
	// Type is "" (about:blank, the status says all) or a URN that stays the same for one kind of trouble.
	Type   string `json:"type,omitempty"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	// Detail holds no control character but line feeds: it ends up on terminals.
	Detail string `json:"detail,omitempty"`
	// Log is the absolute URL of the whole build log.
	Log string `json:"log,omitempty"`

	retryAfter int // seconds; 0 none
}

func (p *Problem) Error() string {
	if p.Detail == "" {
		return p.Title
	}
	return p.Title + ": " + p.Detail
}

// The types of problems that are about a build and not about the request.
const (
	typeFailed       = "urn:axle:problem:build-failed"
	typeCycle        = "urn:axle:problem:build-cycle"
	typeRequirement  = "urn:axle:problem:build-requirement"
	typeBroken       = "urn:axle:problem:metadata-differs"
	typePending      = "urn:axle:problem:still-building"
	typeDown         = "urn:axle:problem:upstream-down"
	typeChanged      = "urn:axle:problem:upstream-changed"
	typeDamaged      = "urn:axle:problem:damaged"
	typeRevoked      = "urn:axle:problem:revoked"
	typeNotOnDemand  = "urn:axle:problem:not-on-demand"
	typeNoSuchThing  = "urn:axle:problem:not-found"
	typeUnacceptable = "urn:axle:problem:not-acceptable"
)

// problem is the one table from errors to what clients see of them. An error that it doesn't know is told by a number only, under
// which the server's log has the text.
func (s *Server) problem(r *http.Request, err error) *Problem {
	var (
		told        *Problem
		routed      *echo.HTTPError
		large       *http.MaxBytesError
		damaged     *cas.DamagedError
		down        *upstream.DownError
		answer      *upstream.AnswerError
		failed      *resolver.FailedError
		cycle       *resolver.CycleError
		requirement *resolver.RequirementError
		denied      *rights.Denied
	)
	switch {
	case errors.As(err, &told):
		return told
	case errors.As(err, &denied):
		return &Problem{Status: denied.Status, Title: strings.ToLower(http.StatusText(denied.Status)), Detail: printable(denied.Detail)}
	case errors.As(err, &routed):
		return &Problem{Status: routed.Code, Title: strings.ToLower(http.StatusText(routed.Code)), Detail: "the root page of this server says what there is"}
	case errors.As(err, &large):
		return &Problem{Status: http.StatusRequestEntityTooLarge, Title: "too large", Detail: fmt.Sprintf("the request's body has more than %d bytes", large.Limit)}
	case errors.Is(err, resolver.ErrRevoked):
		return &Problem{Type: typeRevoked, Status: http.StatusGone, Title: "revoked", Detail: "these bytes were withdrawn; the project's page offers what may be used now"}
	case errors.As(err, &down):
		return &Problem{Type: typeDown, Status: http.StatusServiceUnavailable, Title: "an upstream index is down", Detail: printable(down.Error()), retryAfter: 5}
	case errors.As(err, &answer):
		return &Problem{Type: typeDown, Status: http.StatusBadGateway, Title: "an upstream index gives no usable answer", Detail: printable(answer.Error())}
	case errors.As(err, &failed): // also as the reason of a requirement's
		return s.failure(r, err, failed.Failure)
	case errors.As(err, &cycle):
		return &Problem{Type: typeCycle, Status: http.StatusUnprocessableEntity, Title: "build requirements form a ring", Detail: printable(err.Error())}
	case errors.As(err, &requirement):
		return &Problem{Type: typeRequirement, Status: http.StatusUnprocessableEntity, Title: "a build requirement can't be had", Detail: printable(err.Error())}
	case errors.Is(err, source.ErrNone):
		return &Problem{Type: typeNoSuchThing, Status: http.StatusNotFound, Title: "no such version", Detail: printable(err.Error())}
	case errors.Is(err, source.ErrChanged):
		return &Problem{Type: typeChanged, Status: http.StatusUnprocessableEntity, Title: "upstream's file has changed", Detail: printable(err.Error())}
	case errors.As(err, &damaged) && strings.HasPrefix(damaged.Key, "blobs/"):
		return &Problem{Type: typeDamaged, Status: http.StatusServiceUnavailable, Title: "the stored bytes were damaged", Detail: printable(damaged.Key) +
			" was moved to quarantine and nothing of it was sent; the project's next page offers the wheel anew"}
	case errors.As(err, &damaged) && (strings.HasPrefix(damaged.Key, "names/") || strings.HasPrefix(damaged.Key, "leases/")):
		return &Problem{Type: typeDamaged, Status: http.StatusInternalServerError, Title: "what a name points to can't be read", Detail: printable(err.Error())}
	case errors.Is(err, resolver.ErrPending), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &Problem{Type: typePending, Status: http.StatusServiceUnavailable, Title: "still being built", Detail: "ask again", retryAfter: 1}
	}
	id := strings.ToLower(rand.Text())[:12]
	s.Log.ErrorContext(r.Context(), "internal error", "id", id, "method", r.Method, "path", r.URL.Path, "error", err)
	return &Problem{Status: http.StatusInternalServerError, Title: "internal error", Detail: "the server's log has the reason under id " + id}
}

// failure tells of a build that failed. Where it was another project's, err says how that one came into it.
func (s *Server) failure(r *http.Request, err error, f resolver.Failure) *Problem {
	_, tail, _ := summary(strings.NewReader(f.Tail)) // reading memory doesn't fail
	p := &Problem{Type: typeFailed, Status: http.StatusUnprocessableEntity, Title: printable(err.Error())}
	if tail != "" {
		p.Detail = "the end of its log:\n" + printable(tail)
	}
	if f.Log != "" {
		p.Log = absolute(r) + "api/v1/" + logPath("logs", f)
		p.Detail = strings.TrimSpace(p.Detail + "\nthe whole log: " + p.Log)
	}
	return p
}

// failureOf gives the failure behind err that has a log to show, if there is one.
func failureOf(err error) (resolver.Failure, bool) {
	var failed *resolver.FailedError
	if !errors.As(err, &failed) || failed.Failure.Log == "" {
		return resolver.Failure{}, false
	}
	return failed.Failure, true
}

// logPath is where a failure's log is found below kind, relative.
func logPath(kind string, f resolver.Failure) string {
	return fmt.Sprintf("%s/%s/%s/%s", kind, f.Project, url.PathEscape(f.Version.String()), f.Log.Encoded())
}

// answerError writes err as a problem. Nothing may have been written before.
func (s *Server) answerError(w http.ResponseWriter, r *http.Request, err error) {
	p := s.problem(r, err)
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false) // people read "a -> b" of it
	if err := enc.Encode(p); err != nil {
		panic(err) // strings and a number
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	h.Set("Cache-Control", "no-store")
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", rights.Challenge)
	}
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body.Bytes()) // a client that is gone needs no answer
	}
}

// printable is what of strangers' text goes into an error.
var printable = safe.Text
