// Package pages renders pages and remembers them for as long as they are true: a [Cache] gives the [Rendered] page for a [Key], which
// answers a request by itself.
package pages

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/resolver/view"
)

const (
	// maxAge is how long a page is given again although somebody may have changed what it says without this process knowing: another
	// server on the same store, or an upstream index whose listing came due meanwhile.
	maxAge = time.Second
	// findLimit ends the work for a page that hangs for good. Each index has a limit of its own, of a minute.
	findLimit = 10 * time.Minute
	// maxBytes bounds the memory of pages in bytes: some five thousand of the usual ones, 12 KB with their gzip form.
	maxBytes = 64 << 20
)

// Key is the question that a page answers: all that it hangs on beside the store and the indexes. Names are none of it: one that moves to
// another view
// asks another question from then on.
type Key struct {
	View        view.Digest
	Promises    bool         // whether misses are listed
	Project     dist.Project // "" is the list of projects
	Root        string       // leads from the page to the server's root
	ContentType string
}

// Cache gives rendered pages again for as long as they are true. The zero value is ready; it is safe for concurrent use.
//
// What a page says hangs on far more than its own project: on the records of all that its wheels were built with. So a page is good while
// nothing at all was changed in the store by this process, and for a second at most.
type Cache struct {
	flights singleflight.Group

	mu    sync.Mutex // guards what follows, for moments: nothing is asked or rendered under it
	known map[Key]*list.Element
	used  list.List // of *kept, the one used last in front
	bytes int
}

// kept is a page as it was at one moment. It is never changed.
type kept struct {
	key     Key
	changes uint64    // of the store, before anything was read for it
	asOf    time.Time // before anything was read for it
	says    Page
	page    *Rendered
}

// size is in bytes; the facts of a page are about as large as its text.
func (a *kept) size() int { return 2*len(a.page.plain.body) + len(a.page.zipped.body) + 2048 }

// Get gives the page that answers q: what is remembered, or what find gives. changes counts the store's (cas.Store.Changes). All who ask
// at once wait for one find, which none of them ends by leaving; who comes after a change waits for none that began before it. Errors
// are not remembered.
func (c *Cache) Get(ctx context.Context, q Key, changes func() uint64, find func(context.Context) (Page, error)) (*Rendered, error) {
	now := changes() // first of all: a change that comes while the answer is found makes it an old one
	if a := c.look(q); a.good(now) {
		return a.page, nil
	}
	flight := c.flights.DoChan(fmt.Sprintf("%d %+v", now, q), func() (any, error) {
		old := c.look(q)
		if old.good(now) { // a flight ended between the asker's look and this one
			return old.page, nil
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), findLimit)
		defer cancel()
		a := &kept{key: q, changes: now, asOf: time.Now()}
		var err error
		if a.says, err = find(ctx); err != nil {
			return nil, err
		}
		if old != nil && a.says.Same(old.says) {
			a.page = old.page // most changes are none to this page
		} else {
			a.page = render(q.ContentType, a.says)
		}
		c.keep(a)
		return a.page, nil
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r := <-flight:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*Rendered), nil
	}
}

// good says whether the answer may be given after so many changes.
func (a *kept) good(changes uint64) bool {
	return a != nil && a.changes == changes && time.Since(a.asOf) < maxAge
}

// look gives the last answer to q, however old; nil where none is remembered.
func (c *Cache) look(q Key) *kept {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.known[q]
	if e == nil {
		return nil
	}
	c.used.MoveToFront(e)
	return e.Value.(*kept)
}

func (c *Cache) keep(a *kept) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil {
		c.known = map[Key]*list.Element{}
	}
	if e := c.known[a.key]; e != nil {
		c.drop(e)
	}
	c.known[a.key] = c.used.PushFront(a)
	for c.bytes += a.size(); c.bytes > maxBytes; {
		c.drop(c.used.Back())
	}
}

// drop is called by one who holds mu.
func (c *Cache) drop(e *list.Element) {
	a := c.used.Remove(e).(*kept)
	delete(c.known, a.key)
	c.bytes -= a.size()
}
