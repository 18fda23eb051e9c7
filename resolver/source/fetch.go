package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/archive"
	"github.com/python-wheel-build/axle/resolver/view"
)

// ErrChanged says that upstream now gives other bytes for a source that was pinned.
var ErrChanged = errors.New("upstream's file has changed")

// File gives the source's bytes, fetched and pinned where the store hasn't got them, and the source with its digest. Bytes
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
	done := c.fetches.DoChan(pinFolder(s.Project, s.Version, s.How), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchLimit)
		defer cancel()
		now, err := c.get(ctx, v, s)
		if err != nil {
			return s, err
		}
		return c.pinned(ctx, s, now)
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

// get fetches a source's bytes into the store and gives it with what they are. It writes no pin. Those of a source that is not pinned must
// be what its index lists.
func (c *Sources) get(ctx context.Context, v *view.View, s Source) (Source, error) {
	if !s.hasFile && s.How.Kind != "git" {
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
	switch s.How.Kind {
	case "git":
		s.Tree, err = c.Git.Tar(ctx, s.repository, c.Store.Scratch(), tmp)
		if err == nil {
			_, err = tmp.Seek(0, io.SeekStart)
		}
	case "url":
		if err = c.Upstream.Fetch(ctx, want, tmp); err == nil {
			err = checkArchive(tmp, s.How.Filename)
		}
	default:
		err = c.Upstream.Fetch(ctx, want, tmp)
	}
	if err != nil {
		return s, fmt.Errorf("fetching %s from %s: %w", s.How.Filename, s.How.where(), err)
	}
	if s.SHA256, s.Size, err = c.Store.Add(ctx, tmp); err != nil {
		return s, fmt.Errorf("storing %s: %w", s.How.Filename, err)
	}
	return s, nil
}

// checkArchive refuses what can't be unpacked before it is pinned. No index has said what a URL gives, and it may be the page of a login.
func checkArchive(f *os.File, filename string) error {
	_, err := archive.SdistFile(f, filename, "PKG-INFO", archive.DefaultLimits)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	return err
}

// pinned writes the pin of a source as it is now, or compares with the pin that is there.
func (c *Sources) pinned(ctx context.Context, s, now Source) (Source, error) {
	if !s.Pinned {
		folder := pinFolder(s.Project, s.Version, s.How)
		for key, err := range c.Store.Keys(ctx, folder) { // somebody pinned it since it was looked at
			if err != nil {
				return s, fmt.Errorf("listing pinned sources: %w", err)
			}
			d, err := c.pin(ctx, key)
			if err != nil {
				return s, err
			}
			s = d.source()
		}
		if !s.Pinned {
			err := c.Store.Create(ctx, pinKey(folder, 0), now.pin())
			if errors.Is(err, fs.ErrExist) {
				var d pin
				d, err = c.pin(ctx, pinKey(folder, 0))
				s = d.source()
			}
			if err != nil {
				return s, fmt.Errorf("pinning %s: %w", s.How.Filename, err)
			}
		}
	}
	if s.Pinned && s.SHA256 != now.SHA256 {
		return s, fmt.Errorf("%w: %s of %s was %s when it was pinned and is %s now; nothing was built with the new bytes. If they are meant, "+
			"`axle source accept %s==%s` takes them", ErrChanged, s.How.Filename, s.How.where(), s.what(), now.what(), s.Project, s.Version)
	}
	now.Pinned = true
	return now, nil
}

// what names the bytes of a source.
func (s Source) what() string {
	if s.Tree.Commit != "" {
		return fmt.Sprintf("commit %s (%s)", s.Tree.Commit, s.SHA256)
	}
	return s.SHA256.String()
}

// discard closes and removes a temporary file.
func discard(f *os.File) {
	name := f.Name()
	_ = f.Close()
	_ = os.Remove(name) // already gone is fine
}
