package resolver

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver/upstream"
	"github.com/python-wheel-build/axle/resolver/view"
)

// pin is the document that says once and for all what the bytes of a source are.
type pin struct {
	Project        dist.Project    `json:"project"`
	Version        version.Version `json:"version"`
	How            How             `json:"how"`
	SHA256         cas.Digest      `json:"sha256"`
	Bytes          string          `json:"size"`
	Uploaded       time.Time       `json:"uploaded,omitzero"`
	RequiresPython string          `json:"requires_python,omitempty"`
}

func pinKey(p dist.Project, v version.Version, how How) string {
	h := sha256.Sum256([]byte(how.Kind + "\n" + how.Index + "\n" + how.Filename + "\n"))
	return fmt.Sprintf("sources/%s/%s/%s.json", p, v, hex.EncodeToString(h[:]))
}

func (p pin) source() Source {
	size, _ := strconv.ParseInt(p.Bytes, 10, 64)
	return Source{Project: p.Project, Version: p.Version, How: p.How, SHA256: p.SHA256, Size: size, Uploaded: p.Uploaded,
		RequiresPython: p.RequiresPython, Pinned: true}
}

// pins reads the pinned sources of a project, of one version where v is not nil, by version. A damaged pin is an error that names
// it: a guess could pin other bytes under the old name.
func (c *Catalog) pins(ctx context.Context, p dist.Project, v *version.Version) (map[string][]Source, error) {
	prefix := "sources/" + string(p) + "/"
	if v != nil {
		prefix += v.String() + "/"
	}
	found := map[string][]Source{}
	for key, err := range c.Store.Keys(ctx, prefix) {
		if err != nil {
			return nil, fmt.Errorf("listing pinned sources of %s: %w", p, err)
		}
		s, err := c.pin(ctx, key)
		if err != nil {
			return nil, err
		}
		found[s.Version.String()] = append(found[s.Version.String()], s)
	}
	return found, nil
}

func (c *Catalog) pin(ctx context.Context, key string) (Source, error) {
	if s, ok := c.docs.get(key); ok {
		return s.(Source), nil
	}
	var d pin
	if err := c.Store.Read(ctx, key, &d); err != nil {
		return Source{}, fmt.Errorf("pinned source: %w", err)
	}
	c.docs.put(key, d.source())
	return d.source(), nil
}

// choose gives a view's source for one version out of the pinned ones: of the earliest index in the view's order that has one, an
// sdist before a wheel. Pre-built projects look at wheels only, the best for the view's target.
func choose(v *view.View, p dist.Project, pinned []Source) (Source, bool) {
	type ranked struct {
		Source
		index, kind, tag int
	}
	var all []ranked
	if v.IsPrivate(p) {
		return Source{}, false // what an index once gave under that name is not ours
	}
	for _, s := range pinned {
		r := ranked{Source: s, index: slices.IndexFunc(v.Indexes, func(i view.Index) bool { return i.Name == s.How.Index })}
		switch {
		case r.index < 0, v.PreBuilt(p) != (s.How.Kind == "wheel"):
			continue
		case s.How.Kind == "only-wheel" && !v.TakesOnlyWheels():
			continue
		case s.PreBuilt():
			name, err := dist.ParseWheelName(s.How.Filename)
			if err != nil {
				continue
			}
			rank, ok := v.Target.Rank(name.Tags)
			if !ok {
				continue
			}
			r.kind, r.tag = 1, rank
		case !strings.HasSuffix(s.How.Filename, ".tar.gz"):
			r.tag = 1
		}
		all = append(all, r)
	}
	if len(all) == 0 {
		return Source{}, false
	}
	return slices.MinFunc(all, func(a, b ranked) int {
		return cmp.Or(a.index-b.index, a.kind-b.kind, a.tag-b.tag, cmp.Compare(a.How.Filename, b.How.Filename))
	}).Source, true
}

// sources gives a view's source for every version of a project that a page shows: the pinned ones and what the first index that
// lists a version has. An index that is down leaves the pinned ones; only when nothing at all is known is that an error.
func (c *Catalog) sources(ctx context.Context, v *view.View, p dist.Project) ([]Source, error) {
	pinned, err := c.pins(ctx, p, nil)
	if err != nil {
		return nil, err
	}
	found := map[string]Source{}
	for ver, ss := range pinned {
		if s, ok := choose(v, p, ss); ok {
			found[ver] = s
		}
	}
	down, err := c.listed(ctx, v, p, found)
	if err != nil {
		return nil, err
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

// source gives a view's source for one version. Upstream is asked only where nothing is pinned.
func (c *Catalog) source(ctx context.Context, v *view.View, p dist.Project, ver version.Version) (Source, error) {
	pinned, err := c.pins(ctx, p, &ver)
	if err != nil {
		return Source{}, err
	}
	if s, ok := choose(v, p, pinned[ver.String()]); ok {
		return s, nil
	}
	found := map[string]Source{}
	down, err := c.listed(ctx, v, p, found)
	if err != nil {
		return Source{}, err
	}
	if s, ok := found[ver.String()]; ok {
		return s, nil
	}
	if down != nil {
		return Source{}, down
	}
	return Source{}, fmt.Errorf("%w for %s %s in any index of this view", ErrNoSuchVersion, p, ver)
}

// listed adds to found what the view's indexes list: new versions, and for those already there the file to fetch and whether it is
// yanked. It gives the first index's trouble, nil when all answered usefully.
func (c *Catalog) listed(ctx context.Context, v *view.View, p dist.Project, found map[string]Source) (down error, err error) {
	if v.IsPrivate(p) {
		return nil, nil
	}
	for _, index := range v.Indexes {
		files, err := c.Upstream.Project(ctx, index.URL, p)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case unusable(err):
			// What a later index has must not stand in for what an earlier one may have: that is how names are squatted.
			return err, nil
		case err != nil:
			return nil, err
		}
		// What this index lists is taken before the next one is looked at.
		here := map[string]Source{}
		for ver, files := range byVersion(p, files) {
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
func (c *Catalog) HasPlatformWheel(ctx context.Context, v *view.View, s Source) (bool, error) {
	for _, index := range v.Indexes {
		if index.Name != s.How.Index || v.IsPrivate(s.Project) {
			continue
		}
		files, err := c.Upstream.Project(ctx, index.URL, s.Project)
		if err != nil {
			return false, fmt.Errorf("asking index %s for wheels of %s: %w", index.Name, s.Project, err)
		}
		for _, f := range byVersion(s.Project, files)[s.Version.String()] {
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

// unusable says that an index gave nothing to go by.
func unusable(err error) bool {
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

// byVersion groups an index's files by version; a name that does not parse is skipped.
func byVersion(p dist.Project, files []upstream.File) map[string][]file {
	out := map[string][]file{}
	for _, f := range files {
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

// pick chooses among the files that one index lists for one version: the sdist (.tar.gz before others), or the wheel that fits the
// view's target best. A version that can't be had so is still a source, with the reason it is refused: left out, clients would step
// back to some older version without a word.
func pick(v *view.View, p dist.Project, index, ver string, files []file) (Source, bool) {
	preBuilt := v.PreBuilt(p)
	best, rank := -1, 0
	kind, refused := "sdist", ""
	if !preBuilt {
		for i, f := range files {
			if f.wheel != nil {
				continue
			}
			r := 1
			if strings.HasSuffix(f.Filename, ".tar.gz") {
				r = 0
			}
			if best < 0 || r < rank {
				best, rank = i, r
			}
		}
	}
	if best < 0 { // wheels
		kind = "only-wheel"
		if preBuilt {
			kind = "wheel"
		}
		any := -1
		for i, f := range files {
			if f.wheel == nil {
				continue
			}
			any = i
			if r, ok := v.Target.Rank(f.wheel.Tags); ok && (best < 0 || r < rank || r == rank && newer(f.wheel.Build, files[best].wheel.Build)) {
				best, rank = i, r
			}
		}
		switch {
		case any < 0:
			return Source{}, false // pre_built declared, and only an sdist there
		case best < 0:
			best, refused = any, fmt.Sprintf("upstream has only wheels of %s %s, and none of them for %s", p, ver, v.Target.PromiseTags())
		case kind == "only-wheel" && !v.TakesOnlyWheels():
			refused = fmt.Sprintf("upstream has no sdist of %s %s, only wheels, and this view builds everything from source; "+
				"declare the project pre_built in the settings, or set wheels_only: pre-built for the view", p, ver)
		}
	}
	f := files[best]
	return Source{Project: p, Version: f.version, How: How{Kind: kind, Index: index, Filename: f.Filename}, SHA256: f.SHA256, Size: f.Size,
		Uploaded: f.Uploaded, RequiresPython: f.RequiresPython, Yanked: f.IsYanked, YankedReason: f.Yanked, Refused: refused,
		file: f.File, hasFile: true}, true
}

func newer(a, b dist.BuildTag) bool {
	return cmp.Or(cmp.Compare(a.N, b.N), cmp.Compare(a.Suffix, b.Suffix)) > 0
}

// ErrChanged says that an index now gives other bytes for a file that was pinned.
var ErrChanged = errors.New("upstream's file has changed")

// SourceFile gives the source's bytes, fetched and pinned where the store hasn't got them, and the source with its digest. Bytes
// that differ from the pinned ones are ErrChanged, naming both digests. The caller closes the blob. Safe to call at once: the first
// pin wins and the others compare.
func (c *Catalog) SourceFile(ctx context.Context, v *view.View, s Source) (*cas.Blob, Source, error) {
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
func (c *Catalog) fetch(ctx context.Context, v *view.View, s Source) (Source, error) {
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
func (c *Catalog) pinned(ctx context.Context, s Source, sum cas.Digest, size int64) (Source, error) {
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
