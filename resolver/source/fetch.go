package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/resolver/view"
)

// ErrChanged says that an index now gives other bytes for a file that was pinned.
var ErrChanged = errors.New("upstream's file has changed")

// SourceFile gives the source's bytes, fetched and pinned where the store hasn't got them, and the source with its digest. Bytes
// that differ from the pinned ones are ErrChanged, naming both digests. The caller closes the blob. Safe to call at once: the first
// pin wins and the others compare.
func (c *Sources) File(ctx context.Context, v *view.View, s Source) (*cas.Blob, Source, error) {
	if s.Pinned {
		blob, err := c.Store.Blob(ctx, s.SHA256)
		if err == nil {
			return blob, s, nil
		}
		var damaged *cas.DamagedError
		if !errors.Is(err, fs.ErrNotExist) && !errors.As(err, &damaged) {
			return nil, s, err
		}
	}
	// However many ask, the file is fetched once; the first asker's end does not end the fetch.
	done := c.fetches.DoChan(pinKey(s.Project, s.Version, s.How), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchLimit)
		defer cancel()
		return c.fetch(ctx, v, s)
	})
	select {
	case <-ctx.Done():
		return nil, s, ctx.Err()
	case r := <-done:
		if r.Err != nil {
			return nil, s, r.Err
		}
		s = r.Val.(Source)
	}
	blob, err := c.Store.Blob(ctx, s.SHA256)
	return blob, s, err
}

// fetchLimit ends a fetch that hangs for good.
const fetchLimit = time.Hour

// fetch gets a source's bytes into the store and pins them.
func (c *Sources) fetch(ctx context.Context, v *view.View, s Source) (Source, error) {
	if !s.hasFile {
		found := map[string]Source{s.Version.String(): s}
		down, err := c.listed(ctx, v, s.Project, found)
		if err = cmp.Or(err, down); err != nil {
			return s, fmt.Errorf("fetching %s: %w", s.How.Filename, err)
		}
		if s = found[s.Version.String()]; !s.hasFile {
			return s, fmt.Errorf("index %s no longer lists %s, and its bytes are not in the store", s.How.Index, s.How.Filename)
		}
	}
	tmp, err := c.Store.TempFile()
	if err != nil {
		return s, err
	}
	defer discard(tmp)
	want := s.file
	if s.Pinned { // so that changed bytes are named against the pin, not against today's page
		want.SHA256 = ""
	}
	if err := c.Upstream.Fetch(ctx, want, tmp); err != nil {
		return s, fmt.Errorf("fetching %s from index %s: %w", s.How.Filename, s.How.Index, err)
	}
	sum, size, err := c.Store.Add(ctx, tmp)
	if err != nil {
		return s, fmt.Errorf("storing %s: %w", s.How.Filename, err)
	}
	return c.pinned(ctx, s, sum, size)
}

// pinned writes the pin, or compares with the one that is there.
func (c *Sources) pinned(ctx context.Context, s Source, sum cas.Digest, size int64) (Source, error) {
	key := pinKey(s.Project, s.Version, s.How)
	changed := func(old cas.Digest) error {
		return fmt.Errorf("%w: %s of index %s was %s when it was first fetched and is %s now; nothing was built with the new bytes",
			ErrChanged, s.How.Filename, s.How.Index, old, sum)
	}
	if s.Pinned && s.SHA256 != sum {
		return s, changed(s.SHA256)
	}
	if !s.Pinned {
		d := pin{Project: s.Project, Version: s.Version, How: s.How, SHA256: sum, Bytes: strconv.FormatInt(size, 10),
			Uploaded: s.Uploaded, RequiresPython: s.RequiresPython}
		err := c.Store.Create(ctx, key, d)
		if errors.Is(err, fs.ErrExist) {
			old, err := c.pin(ctx, key)
			if err != nil {
				return s, err
			}
			if old.SHA256 != sum {
				return s, changed(old.SHA256)
			}
		} else if err != nil {
			return s, fmt.Errorf("pinning %s: %w", s.How.Filename, err)
		}
	}
	s.SHA256, s.Size, s.Pinned = sum, size, true
	return s, nil
}

// discard closes and removes a temporary file.
func discard(f *os.File) {
	name := f.Name()
	_ = f.Close()
	_ = os.Remove(name) // already gone is fine
}
