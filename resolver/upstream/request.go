package upstream

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	attempts     = 4
	firstWait    = 300 * time.Millisecond // doubled each time, so about 2 s in all
	maxWait      = 10 * time.Second       // of a Retry-After too: whoever waits here is a client with its own time-out
	stallTime    = 15 * time.Second       // without a single byte; pip's own default
	maxRedirects = 10
	// progress is what an attempt must bring to be free: a 4 GiB file on a bad line gets there, a server that cuts at once does not
	// keep us for ever.
	progress = 1 << 20
)

// passing is a trouble that another attempt may not meet.
type passing struct {
	err  error
	host string        // the host that gave no answer at all
	wait time.Duration // what the server asked for
}

func (p *passing) Error() string { return p.err.Error() }
func (p *passing) Unwrap() error { return p.err }

// refused is a redirect that is not followed.
type refused struct{ why string }

func (r *refused) Error() string { return r.why }

// ask sends GET requests for u until use has taken an answer. A passing trouble (no connection, a cut, 408, 429, 5xx) is tried again,
// at last a *DownError. use is given 2xx, 3xx and 416 answers; its reads of the body fail with a passing trouble where the line is cut.
func (c *Client) ask(ctx context.Context, u *url.URL, prepare func(http.Header), use func(*http.Response) error) error {
	for n := 1; ; n++ {
		if err := c.isDown(u); err != nil {
			return err
		}
		got, err := c.once(ctx, u, prepare, use)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return c.ended(ctx, u)
		}
		var p *passing
		if !errors.As(err, &p) {
			return err
		}
		if got >= progress {
			n = 1
		}
		if n >= attempts {
			return c.markDown(&DownError{URL: redacted(u), Err: p.err, host: p.host})
		}
		// Half of the wait is random, so that many who failed together don't come back together.
		wait := firstWait << (n - 1)
		wait = wait/2 + rand.N(wait/2+1)
		if err := c.pause(ctx, min(max(wait, p.wait), maxWait)); err != nil {
			return c.ended(ctx, u)
		}
	}
}

// ended tells a caller's own end from the bound of a shared flight.
func (c *Client) ended(ctx context.Context, u *url.URL) error {
	if errors.Is(context.Cause(ctx), errSlow) {
		return &DownError{URL: redacted(u), Err: errSlow}
	}
	return context.Cause(ctx)
}

// once is one attempt. got is how many bytes of body came.
func (c *Client) once(ctx context.Context, u *url.URL, prepare func(http.Header), use func(*http.Response) error) (got int64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stall := c.stall
	if stall == 0 {
		stall = stallTime
	}
	watch := time.AfterFunc(stall, func() { cancel(fmt.Errorf("no answer for %s", stall)) })
	defer watch.Stop()

	req, err := http.NewRequestWithContext(ctx, http.MethodGet, redacted(u), nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("User-Agent", c.agent())
	prepare(req.Header)
	c.authorize(req)
	client := http.Client{CheckRedirect: c.follow}
	if c.HTTP != nil {
		client.Transport, client.Timeout = c.HTTP.Transport, c.HTTP.Timeout
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, c.unanswered(ctx, u, err)
	}
	body := &body{in: resp.Body, ctx: ctx, watch: watch, stall: stall}
	resp.Body = body
	defer body.Close()
	if err := judge(resp, u, c.now()); err != nil {
		_, _ = io.CopyN(io.Discard, body, 32<<10) // so that the connection can be used again
		return 0, err
	}
	err = use(resp)
	return body.got, err
}

// unanswered sorts the errors of http.Client.Do.
func (c *Client) unanswered(ctx context.Context, u *url.URL, err error) error {
	host := u.Host
	if e := (*url.Error)(nil); errors.As(err, &e) {
		err = e.Err // its URL may be a redirect's, with a secret in the query
		if failed, bad := url.Parse(e.URL); bad == nil {
			host = failed.Host
		}
	}
	if r := (*refused)(nil); errors.As(err, &r) {
		return fmt.Errorf("GET %s: %w", redacted(u), r)
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return &passing{err: err, host: host}
}

// judge turns a status that is no answer into an error.
func judge(resp *http.Response, u *url.URL, now time.Time) error {
	code := resp.StatusCode
	err := fmt.Errorf("GET %s: %d %s", redacted(u), code, http.StatusText(code))
	switch {
	case code < 400, code == http.StatusRequestedRangeNotSatisfiable: // a download goes on from there
		return nil
	case code == http.StatusNotFound, code == http.StatusGone:
		return fmt.Errorf("%w: %w", err, fs.ErrNotExist)
	case code == http.StatusRequestTimeout, code >= 500:
		return &passing{err: err, wait: retryAfter(resp.Header.Get("Retry-After"), now)}
	case code == http.StatusTooManyRequests: // meant for us, whatever we ask for
		return &passing{err: err, wait: retryAfter(resp.Header.Get("Retry-After"), now), host: resp.Request.URL.Host}
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return fmt.Errorf("%w: put credentials for %s in netrc", err, resp.Request.URL.Hostname())
	}
	return fmt.Errorf("%w: check the upstream's address in the configuration", err)
}

// retryAfter reads seconds or a date (RFC 9110, 10.2.3); zero where there is neither.
func retryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.Atoi(s); err == nil {
		return time.Duration(min(max(n, 0), 3600)) * time.Second
	}
	if t, err := http.ParseTime(s); err == nil {
		return max(t.Sub(now), 0)
	}
	return 0
}

// follow decides on one redirect: never to another scheme than http and https, never from https to http, and with the credentials
// of the new host or none.
func (c *Client) follow(req *http.Request, via []*http.Request) error {
	last := via[len(via)-1]
	switch {
	case len(via) > maxRedirects:
		return &refused{fmt.Sprintf("more than %d redirects", maxRedirects)}
	case !web(req.URL):
		return &refused{fmt.Sprintf("redirect to %q is not followed: only http and https are", req.URL.Scheme+":")}
	case last.URL.Scheme == "https" && req.URL.Scheme == "http":
		return &refused{fmt.Sprintf("redirect from https to http (%s) is not followed", req.URL.Host)}
	}
	req.URL.User = nil
	req.Header.Del("Referer")
	c.authorize(req)
	return nil
}

// authorize sets the credentials of a request's own origin, and takes away any other.
func (c *Client) authorize(req *http.Request) {
	req.Header.Del("Authorization")
	c.mu.Lock()
	info := c.users[origin(req.URL)]
	c.mu.Unlock()
	if info != nil {
		password, _ := info.Password()
		setBasic(req, info.Username(), password)
	} else if c.Credentials != nil {
		if user, password, ok := c.Credentials(req.URL); ok {
			setBasic(req, user, password)
		}
	}
}

func setBasic(req *http.Request, user, password string) {
	req.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
}

// isDown remembers for a moment that a host did not answer.
func (c *Client) isDown(u *url.URL) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	until, ok := c.down[lower(u.Host)]
	if !ok {
		return nil
	}
	left := until.Sub(c.now())
	if left <= 0 {
		delete(c.down, lower(u.Host))
		return nil
	}
	return &DownError{URL: redacted(u), Err: fmt.Errorf("%s did not answer a moment ago; it is asked again in %s", u.Host, left.Round(time.Second))}
}

func (c *Client) markDown(e *DownError) error {
	if e.host != "" {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.down == nil || len(c.down) > maxPages {
			c.down = map[string]time.Time{}
		}
		c.down[lower(e.host)] = c.now().Add(holdOff)
	}
	return e
}

func (c *Client) pause(ctx context.Context, d time.Duration) error {
	if c.sleep != nil {
		return c.sleep(ctx, d)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func (c *Client) agent() string {
	if c.Agent != "" {
		return c.Agent
	}
	return "axle"
}

func lower(s string) string { return strings.ToLower(s) }

// body counts what comes, gives up on a line that is silent for too long, and says of a cut that it is passing.
type body struct {
	in    io.ReadCloser
	ctx   context.Context // of this one attempt; a Read has no other way to know it
	watch *time.Timer
	stall time.Duration
	got   int64
}

func (b *body) Read(p []byte) (int, error) {
	b.watch.Reset(b.stall)
	n, err := b.in.Read(p)
	b.watch.Stop() // a slow reader is not a silent line
	b.got += int64(n)
	if err != nil && err != io.EOF {
		if b.ctx.Err() != nil {
			err = context.Cause(b.ctx)
		}
		err = &passing{err: fmt.Errorf("cut after %d bytes: %w", b.got, err)}
	}
	return n, err
}

func (b *body) Close() error { return b.in.Close() }

// capped reads at most max bytes and fails on the next: an answer without end must not fill the memory.
type capped struct {
	in   io.Reader
	left int64
	err  error // what to say
}

func (l *capped) Read(p []byte) (int, error) {
	n, err := l.in.Read(p[:min(int64(len(p)), l.left+1)])
	if int64(n) > l.left {
		return int(l.left), l.err
	}
	l.left -= int64(n)
	return n, err
}
