package index

import (
	"container/list"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/python-wheel-build/axle/index/simple"
)

// maxRenderings bounds the memory of rendered pages: some ten thousand of the usual ones, 6 KB with their gzip form.
const maxRenderings = 64 << 20

// rendering is one page in one type, ready to be sent. It is never changed.
type rendering struct {
	plain, zipped encoded // zipped.body is nil where gzip gains nothing
}

// encoded is the page in one encoding. Its header is shared by all answers, whose values net/http only reads.
type encoded struct {
	body   []byte
	header http.Header
	etag   string
}

// page is what can be rendered.
type page interface {
	JSON() []byte
	HTML() []byte
}

func render(contentType string, p page) *rendering {
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
	out := &rendering{plain: encode(body, full, tag, "")}
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

// serve answers with the encoding that the client takes, or 304 where it has that already.
func (p *rendering) serve(w http.ResponseWriter, r *http.Request) {
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

// renderings remembers pages by the facts in them, those used last. The zero value is ready; it is safe for concurrent use.
type renderings struct {
	mu    sync.Mutex // guards what follows, for moments: nothing is rendered under it
	byKey map[string]*list.Element
	used  list.List // of *remembered, the one used last in front
	bytes int
}

type remembered struct {
	key  string
	page *rendering
}

func (p *rendering) size() int { return len(p.plain.body) + len(p.zipped.body) + 1024 }

// get gives the page of these facts. Two that ask at once may both render it, to the same bytes.
func (c *renderings) get(key, contentType string, p page) *rendering {
	c.mu.Lock()
	if e, ok := c.byKey[key]; ok {
		c.used.MoveToFront(e)
		c.mu.Unlock()
		return e.Value.(*remembered).page
	}
	c.mu.Unlock()
	out := render(contentType, p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byKey[key]; ok {
		return out
	}
	if c.byKey == nil {
		c.byKey = map[string]*list.Element{}
	}
	c.byKey[key] = c.used.PushFront(&remembered{key, out})
	c.bytes += out.size()
	for c.bytes > maxRenderings {
		oldest := c.used.Remove(c.used.Back()).(*remembered)
		delete(c.byKey, oldest.key)
		c.bytes -= oldest.page.size()
	}
	return out
}
