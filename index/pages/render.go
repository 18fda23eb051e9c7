package pages

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"

	"github.com/python-wheel-build/axle/index/simple"
)

// Rendered is one page in one type, ready to be sent. It is never changed.
type Rendered struct {
	plain, zipped encoded // zipped.body is nil where gzip gains nothing
}

// encoded is the page in one encoding. Its header is shared by all answers, whose values net/http only reads.
type encoded struct {
	body   []byte
	header http.Header
	etag   string
}

// Page is what can be rendered; Same is true of two pages with the same bytes.
type Page interface {
	JSON() []byte
	HTML() []byte
	Same(other any) bool
}

func render(contentType string, p Page) *Rendered {
	var body []byte
	full := contentType
	switch contentType {
	case simple.TypeJSON:
		body = p.JSON()
	case simple.TypeLegacy:
		full += "; charset=utf-8"
		body = p.HTML()
	default:
		body = p.HTML()
	}
	// The two HTML types have the same bytes but are not the same representation, and neither is the gzip form: a strong ETag is for
	// one of them (RFC 9110, section 8.8.3).
	sum := sha256.Sum256(append([]byte(contentType+"\n"), body...))
	tag := hex.EncodeToString(sum[:16])
	out := &Rendered{plain: encode(body, full, tag, "")}
	if zipped := simple.Gzip(body); zipped != nil {
		out.zipped = encode(zipped, full, tag+"-gzip", "gzip")
	}
	return out
}

func encode(body []byte, contentType, tag, encoding string) encoded {
	e := encoded{body: body, etag: `"` + tag + `"`, header: http.Header{
		"Content-Type":           {contentType},
		"Content-Length":         {strconv.Itoa(len(body))},
		"Vary":                   {"Accept, Accept-Encoding"},
		"Cache-Control":          {"max-age=0"}, // each answer is asked for anew: with a real age a fresh wheel would stay unseen
		"X-Content-Type-Options": {"nosniff"},
	}}
	e.header["Etag"] = []string{e.etag}
	if encoding != "" {
		e.header["Content-Encoding"] = []string{encoding}
	}
	return e
}

// Serve answers with the encoding that the client takes, or 304 where it has that already.
func (p *Rendered) Serve(w http.ResponseWriter, r *http.Request) {
	e := p.plain
	if p.zipped.body != nil && simple.AcceptsGzip(strings.Join(r.Header.Values("Accept-Encoding"), ",")) {
		e = p.zipped
	}
	h := w.Header()
	for k, v := range e.header {
		h[k] = v
	}
	if matches(r.Header.Values("If-None-Match"), e.etag) {
		// Nothing is said of a body: pip takes over what a 304 says, and a wrong type makes a page unreadable. (net/http leaves the type
		// and the length out by itself.)
		delete(h, "Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(e.body) // a client that is gone needs no answer
	}
}

// matches says whether an If-None-Match names the ETag; the comparison is the weak one (RFC 9110, section 13.1.2).
func matches(fields []string, etag string) bool {
	for _, field := range fields {
		for one := range strings.SplitSeq(field, ",") {
			one = strings.TrimSpace(one)
			if one == "*" || strings.TrimPrefix(one, "W/") == etag {
				return true
			}
		}
	}
	return false
}
