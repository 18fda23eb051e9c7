package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver/upstream"
	"github.com/python-wheel-build/axle/resolver/view"
)

// All gives a view's source for every version of a project that a page shows: the pinned ones and what the first index that
// lists a version has. An index that is down leaves the pinned ones; only when nothing at all is known is that an error. A project that
// comes from git has the versions that the view lists.
func (c *Sources) All(ctx context.Context, v *view.View, p dist.Project) ([]Source, error) {
	pinned, err := c.pins(ctx, p, nil)
	if err != nil {
		return nil, err
	}
	found := map[string]Source{}
	var down error
	if from, ok := v.Sources[p]; ok {
		for _, ver := range from.Versions {
			d, err := declared(v, p, ver)
			if err != nil {
				return nil, err
			}
			found[ver.String()] = d.pinnedIn(pinned[ver.String()])
		}
	} else {
		for ver, ss := range pinned {
			if s, ok := choose(v, p, ss); ok {
				found[ver] = s
			}
		}
		if down, err = c.listed(ctx, v, p, found); err != nil {
			return nil, err
		}
		if err := download(v, p, found, pinned); err != nil {
			return nil, err
		}
	}
	if len(found) == 0 {
		if down != nil {
			return nil, down
		}
		return nil, fmt.Errorf("project %s: %w", p, fs.ErrNotExist)
	}
	all := make([]Source, 0, len(found))
	for _, s := range found {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b Source) int { return a.Version.Compare(b.Version) })
	return all, nil
}

// One gives a view's source for one version. Upstream is asked only where nothing is pinned.
func (c *Sources) One(ctx context.Context, v *view.View, p dist.Project, ver version.Version) (Source, error) {
	pinned, err := c.pins(ctx, p, &ver)
	if err != nil {
		return Source{}, err
	}
	d, err := declared(v, p, ver)
	if err != nil {
		return Source{}, err
	}
	if d = d.pinnedIn(pinned[ver.String()]); d.Pinned && !late(v, d.Uploaded) || d.How.Kind == "git" {
		d.Refused = undated(v, d)
		return d, nil
	}
	found := map[string]Source{}
	var down error
	if s, ok := choose(v, p, pinned[ver.String()]); ok {
		found[ver.String()] = s
	} else if down, err = c.listed(ctx, v, p, found); err != nil {
		return Source{}, err
	}
	if err := download(v, p, found, pinned); err != nil {
		return Source{}, err
	}
	if s, ok := found[ver.String()]; ok {
		return s, nil
	}
	if down != nil {
		return Source{}, down
	}
	return Source{}, fmt.Errorf("%w for %s %s in any index of this view", ErrNone, p, ver)
}

// listed adds to found what the view's indexes list: new versions, and for those already there the file to fetch and whether it is
// yanked. It gives the first index's trouble, nil when all answered usefully.
func (c *Sources) listed(ctx context.Context, v *view.View, p dist.Project, found map[string]Source) (down error, err error) {
	if v.IsPrivate(p) {
		return nil, nil
	}
	for _, index := range v.Indexes {
		files, err := c.Upstream.Project(ctx, index.URL, p)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case Unusable(err):
			// What a later index has must not stand in for what an earlier one may have: that is how names are squatted.
			return err, nil
		case err != nil:
			return nil, err
		}
		// What this index lists is taken before the next one is looked at.
		here := map[string]Source{}
		for ver, files := range byVersion(v, p, files) {
			s, ok := pick(v, p, index.Name, ver, files)
			if ok {
				here[ver] = s
			}
			if old, ok := found[ver]; ok && old.How.Index == index.Name {
				for _, f := range files {
					if f.Filename == old.How.Filename {
						old.file, old.hasFile = f.File, true
						old.Yanked, old.YankedReason = f.IsYanked, f.Yanked
						found[ver] = old
					}
				}
			}
		}
		for ver, s := range here {
			if _, ok := found[ver]; !ok {
				found[ver] = s
			}
		}
	}
	return nil, nil
}

// HasPlatformWheel says whether the source's index lists a wheel of the same version that the view's target takes and that is made for
// a platform. The error is the index's trouble.
func (c *Sources) HasPlatformWheel(ctx context.Context, v *view.View, s Source) (bool, error) {
	for _, index := range v.Indexes {
		if index.Name != s.How.Index || v.IsPrivate(s.Project) {
			continue
		}
		files, err := c.Upstream.Project(ctx, index.URL, s.Project)
		if err != nil {
			return false, fmt.Errorf("asking index %s for wheels of %s: %w", index.Name, s.Project, err)
		}
		for _, f := range byVersion(v, s.Project, files)[s.Version.String()] {
			if f.wheel == nil || strings.HasSuffix(f.Filename, "-any.whl") {
				continue
			}
			if _, ok := v.Target.Rank(f.wheel.Tags); ok {
				return true, nil
			}
		}
	}
	return false, nil
}

// Unusable says that an index gave nothing to go by.
func Unusable(err error) bool {
	var down *upstream.DownError
	var answer *upstream.AnswerError
	return errors.As(err, &down) || errors.As(err, &answer)
}

// file is one upstream file whose name was understood.
type file struct {
	upstream.File
	version version.Version
	wheel   *dist.WheelName // nil for an sdist
}

// byVersion groups an index's files by version; a name that does not parse is skipped, and what came later than the view shows.
func byVersion(v *view.View, p dist.Project, files []upstream.File) map[string][]file {
	out := map[string][]file{}
	for _, f := range files {
		if late(v, f.Uploaded) {
			continue
		}
		var one file
		if strings.HasSuffix(f.Filename, ".whl") {
			name, err := dist.ParseWheelName(f.Filename)
			if err != nil || name.Project != p {
				continue
			}
			one = file{f, name.Version, &name}
		} else {
			name, err := dist.ParseSdistName(f.Filename, p)
			if err != nil {
				continue
			}
			one = file{f, name.Version, nil}
		}
		out[one.version.String()] = append(out[one.version.String()], one)
	}
	return out
}

// WheelMetadata is that of the wheel of this version which fits the view's target best, as the index of the source gives it
// apart (PEP 658); fs.ErrNotExist where there is none or it can't be had.
func (c *Sources) WheelMetadata(ctx context.Context, v *view.View, s Source) ([]byte, error) {
	for _, index := range v.Indexes {
		if index.Name != s.How.Index || v.IsPrivate(s.Project) {
			continue
		}
		files, err := c.Upstream.Project(ctx, index.URL, s.Project)
		if err != nil {
			return nil, fs.ErrNotExist // the hook can tell as well
		}
		var best *upstream.File
		rank := 0
		for _, f := range byVersion(v, s.Project, files)[s.Version.String()] {
			if f.wheel == nil || !f.HasMetadata || f.MetadataSHA256 == "" {
				continue
			}
			if r, ok := v.Target.Rank(f.wheel.Tags); ok && (best == nil || r < rank) {
				best, rank = &f.File, r
			}
		}
		if best == nil {
			break
		}
		body, err := c.Upstream.Metadata(ctx, *best)
		if err != nil {
			break
		}
		if m, err := dist.ParseMetadata(body); err != nil || m.Name != s.Project || m.Version.Compare(s.Version) != 0 {
			break
		}
		return body, nil
	}
	return nil, fs.ErrNotExist
}
