// Package upstream reads other people's package indexes: what files a project has there, and the bytes of one file.
//
// Two calls matter. [Client.Project] lists a project (PEP 691 JSON, PEP 503 HTML), from memory while that is fresh. [Client.Fetch]
// brings one file, checked against what the index said of it. What they promise: a password given for one host reaches no other and
// stands in no error and no [File]; an index that cannot be reached is a [*DownError], so that a caller can go on with the sources
// it has pinned; nothing read is trusted beyond the limits below.
package upstream

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/singleflight"

	"github.com/python-wheel-build/axle/internal/dist"
)

// File is one file of a project, as its index describes it.
type File struct {
	URL            string        // absolute, http or https, without user, password and fragment
	Filename       string        // as the index spells it: a plain name, not yet parsed as a wheel's or sdist's
	SHA256         digest.Digest // "" where the index lists none
	Size           int64         // bytes (PEP 700); 0 unknown
	Uploaded       time.Time     // UTC (PEP 700); zero unknown
	RequiresPython string        // a specifier set, unparsed; "" none
	Yanked         string        // the reason given; may be "" although IsYanked (PEP 592)
	IsYanked       bool
	MetadataSHA256 digest.Digest // "" where the index lists none
	HasMetadata    bool          // the index offers the metadata as a file of its own (PEP 658, PEP 714)
}

// DownError says that an index could not be reached or gave no useful answer (a 5xx, 408 or 429) even after a few tries. Callers go
// on with what they have pinned.
type DownError struct {
	URL  string // what was asked; no credentials
	Err  error
	host string // the host that did not answer at all; "" where a host did answer
}

func (e *DownError) Error() string {
	return fmt.Sprintf("upstream is down: %s: %v (check the network and the upstream's address, then ask again)", e.URL, e.Err)
}

func (e *DownError) Unwrap() error { return e.Err }

// AnswerError says that an index did answer, with something that is no listing: it refuses us, or it is no index. Callers go on with
// what they have pinned, as when it is down.
type AnswerError struct{ Err error }

func (e *AnswerError) Error() string { return "upstream's answer can't be used: " + e.Err.Error() }
func (e *AnswerError) Unwrap() error { return e.Err }

// Client asks indexes. The zero value is ready; its fields are not changed after the first call. It is safe for use by many at once.
type Client struct {
	// HTTP does the requests; nil is a client of http.DefaultTransport, which uses the proxies that the environment names. Its
	// CheckRedirect and Jar are not used.
	HTTP *http.Client
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Fresh is how long a listing, or the news that there is none, is used without asking again. Zero asks every time; what has not
	// changed is then answered by a 304, where the index does that.
	Fresh time.Duration
	// Credentials is asked once for each request, with its URL, before it is sent; [Netrc.Credentials] fits. Nil is none. A user and
	// password in an index's own URL go first, and to that scheme, host and port only.
	Credentials func(u *url.URL) (user, password string, ok bool)
	// Agent is the User-Agent; "" is "axle".
	Agent string
	// MaxFile is the size of the largest file that Fetch takes; zero is 4 GiB.
	MaxFile int64

	// For tests: nil and zero are the real ones.
	sleep func(ctx context.Context, d time.Duration) error
	stall time.Duration

	flights singleflight.Group
	mu      sync.Mutex               // guards the maps below; never held while waiting
	pages   map[string]*page         // by pageKey
	down    map[string]time.Time     // host -> not asked before then
	users   map[string]*url.Userinfo // origin -> what an index's own URL carried
}

const (
	// maxPages bounds what is remembered: the largest real listings are some 5,000 files, about 2 MB here; the median is 30 files.
	maxPages = 1024
	// holdOff is how long trouble is remembered: an index that is down is not asked again for each project of a resolve.
	holdOff = 5 * time.Second
	// flightTime bounds one listing with its retries, whoever waits for it.
	flightTime = time.Minute
)

// errSlow is the end of a shared flight, which is the index's fault and not its callers'.
var errSlow = fmt.Errorf("no whole answer in %s", flightTime)

// page is what is known of one project at one index. Files and validators outlive err: they are for the next conditional request.
type page struct {
	files          []File
	etag, modified string
	known          bool  // files are a real listing
	err            error // what to answer until then
	until          time.Time
	used           time.Time
}

// Project lists the files of p at an index, in the index's order; index is the URL that ends in /simple/ or its like, with or without
// the last slash. Entries that cannot be read are left out; a project that the index has put under quarantine (PEP 792) has no files.
// An unknown project is fs.ErrNotExist, any other answer that is none an [*AnswerError], and an index that cannot be reached a [*DownError]: also where an older listing is remembered,
// since an old listing must not pass for today's.
//
// Callers that ask the same at once share one request, which lives on (a minute at most) when its first caller goes. The slice is
// shared as well: it is not to be changed.
func (c *Client) Project(ctx context.Context, index *url.URL, p dist.Project) ([]File, error) {
	if err := c.Login(index); err != nil {
		return nil, err
	}
	user := index.User
	u := *index
	u.User, u.Fragment, u.RawFragment = nil, "", ""
	key := fmt.Sprintf("%s\n%s\n%s", p, &u, user) // one user's listing is not shown to another
	if known, ok := c.remembered(key); ok {
		return known.files, known.err
	}
	flight := c.flights.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), flightTime, errSlow)
		defer cancel()
		return c.refresh(ctx, key, u.JoinPath(string(p), "/"))
	})
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case r := <-flight:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.([]File), nil
	}
}

// remembered is the answer of the last time, if it may still be given.
func (c *Client) remembered(key string) (page, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	pg := c.pages[key]
	if pg == nil {
		return page{}, false
	}
	now := c.now()
	pg.used = now
	if !now.Before(pg.until) {
		return page{}, false
	}
	if pg.err != nil {
		return page{err: pg.err}, true
	}
	return *pg, true
}

// refresh asks the index and remembers the answer.
func (c *Client) refresh(ctx context.Context, key string, u *url.URL) ([]File, error) {
	if known, ok := c.remembered(key); ok { // a flight ended between the caller's look and this one
		return known.files, known.err
	}
	c.mu.Lock()
	var old page
	if pg := c.pages[key]; pg != nil {
		old = *pg
	}
	c.mu.Unlock()

	fresh, err := c.list(ctx, u, old)
	until := c.now().Add(c.Fresh)
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist):
		fresh = page{err: err}
	default:
		var down *DownError
		if !errors.As(err, &down) && ctx.Err() == nil {
			err = &AnswerError{err}
		}
		fresh, until = old, c.now().Add(holdOff)
		fresh.err = err
	}
	fresh.until, fresh.used = until, c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pages == nil {
		c.pages = map[string]*page{}
	}
	c.pages[key] = &fresh
	c.evict()
	return fresh.files, fresh.err
}

// evict drops the page used longest ago, those without a listing first: asking for names that don't exist pushes nothing out.
func (c *Client) evict() {
	if len(c.pages) <= maxPages {
		return
	}
	var worst string
	for key, pg := range c.pages {
		w := c.pages[worst]
		if w == nil || w.known && !pg.known || w.known == pg.known && pg.used.Before(w.used) {
			worst = key
		}
	}
	delete(c.pages, worst)
}

// Login keeps the user and password that an index's URL carries, for everything that is asked of its scheme, host and port from now
// on. It is for those who keep addresses and passwords apart; [Client.Project] does the same for the URL it is given. A URL without
// them changes nothing.
func (c *Client) Login(index *url.URL) error {
	if index == nil || !web(index) {
		return fmt.Errorf("index %q is not an http or https URL: correct the upstream's address in the configuration", redacted(index))
	}
	if index.User == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.users == nil {
		c.users = map[string]*url.Userinfo{}
	}
	c.users[origin(index)] = index.User
	return nil
}

func (c *Client) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

// web says whether u can be asked for: http or https, and a host.
func web(u *url.URL) bool {
	return (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.Opaque == ""
}

// origin is scheme, host and port, written one way (RFC 6454).
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + lower(u.Hostname()) + ":" + port
}

// redacted is a URL for people: without user, password and fragment.
func redacted(u *url.URL) string {
	if u == nil {
		return ""
	}
	v := *u
	v.User, v.Fragment, v.RawFragment = nil, "", ""
	return v.String()
}
