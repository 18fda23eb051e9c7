package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"time"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver/view"
)

// Accept pins what upstream has today of a version's source in a view, whatever was pinned before, and gives both: before is the zero
// Source where nothing was. The pin before stays in the store and counts no more. Where the bytes are the same nothing is written.
//
// With want only these bytes are taken; any other are an error, and nothing is written. Those of an earlier pin of the same source are
// taken from the store, without asking upstream. Revoked bytes are refused. Of two who accept at once one may be told to try again.
func (c *Sources) Accept(ctx context.Context, v *view.View, p dist.Project, ver version.Version, want cas.Digest) (before, after Source, err error) {
	s, err := c.One(ctx, v, p, ver)
	if err != nil {
		return before, after, err
	}
	if s.Refused != "" {
		return before, after, errors.New(s.Refused)
	}
	folder := pinFolder(p, ver, s.How)
	var earlier []pin
	for key, err := range c.Store.Keys(ctx, folder) {
		if err != nil {
			return before, after, fmt.Errorf("listing pinned sources: %w", err)
		}
		d, err := c.pin(ctx, key)
		if err != nil {
			return before, after, err
		}
		earlier = append(earlier, d)
	}
	if len(earlier) > 0 {
		before = earlier[len(earlier)-1].source()
	}
	next, err := c.kept(ctx, earlier, want)
	if errors.Is(err, fs.ErrNotExist) {
		next, err = c.wanted(ctx, v, s, want)
	}
	if err != nil {
		return before, after, err
	}
	revoked, err := c.Store.Exists(ctx, "revocations/"+next.SHA256.Encoded()+".json")
	if err == nil && revoked {
		err = fmt.Errorf("%s of %s %s is revoked: nothing was changed", next.SHA256, p, ver)
	}
	if err != nil {
		return before, after, err
	}
	after = next.source()
	if before.SHA256 == after.SHA256 && before.Tree.Commit == after.Tree.Commit {
		return before, after, nil
	}
	next.When = time.Now().UTC().Truncate(time.Second)
	if err := c.Store.Create(ctx, pinKey(folder, len(earlier)), next); err != nil {
		if errors.Is(err, fs.ErrExist) {
			err = errors.New("somebody else accepted another one in this moment: look at `axle source list`, and try again")
		}
		return before, after, fmt.Errorf("pinning %s: %w", s.How.Filename, err)
	}
	return before, after, nil
}

// kept is the newest of the pins with these bytes, fs.ErrNotExist where there is none or its bytes are gone.
func (c *Sources) kept(ctx context.Context, pins []pin, want cas.Digest) (pin, error) {
	for _, d := range slices.Backward(pins) {
		if d.SHA256 != want {
			continue
		}
		blob, err := c.Store.Blob(ctx, want)
		if err != nil {
			var damaged *cas.DamagedError
			if errors.As(err, &damaged) {
				err = fs.ErrNotExist
			}
			return pin{}, err
		}
		return d, blob.Close()
	}
	return pin{}, fs.ErrNotExist
}

// wanted fetches what upstream has now.
func (c *Sources) wanted(ctx context.Context, v *view.View, s Source, want cas.Digest) (pin, error) {
	s.Pinned = false
	now, err := c.get(ctx, v, s)
	if err != nil {
		return pin{}, err
	}
	if want != "" && now.SHA256 != want {
		return pin{}, fmt.Errorf("upstream gives %s of %s, and not %s: nothing was changed", now.SHA256, s.How.Filename, want)
	}
	return now.pin(), nil
}

// pin is the document for a source that was fetched just now.
func (s Source) pin() pin {
	return pin{Project: s.Project, Version: s.Version, How: s.How, SHA256: s.SHA256, Bytes: strconv.FormatInt(s.Size, 10), Uploaded: s.Uploaded,
		RequiresPython: s.RequiresPython, Commit: s.Tree.Commit, Submodules: s.Tree.Submodules, When: time.Now().UTC().Truncate(time.Second)}
}
