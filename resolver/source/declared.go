package source

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver/upstream"
	"github.com/python-wheel-build/axle/resolver/view"
)

// declared gives the source that the view itself names for a version, in place of what indexes have: a repository or a URL, not yet
// fetched. It is the zero Source where the view leaves it to the indexes, and ErrNone for a version that a repository is not said to have.
func declared(v *view.View, p dist.Project, ver version.Version) (Source, error) {
	s := Source{Project: p, Version: ver}
	if from, ok := v.Sources[p]; ok {
		if !slices.ContainsFunc(from.Versions, func(o version.Version) bool { return o.Compare(ver) == 0 }) {
			return Source{}, fmt.Errorf("%w for %s %s: the view takes the project from git, and lists other versions of it", ErrNone, p, ver)
		}
		var err error
		if s.repository, err = from.At(p, ver); err != nil {
			return Source{}, fmt.Errorf("%s %s: ref: %w", p, ver, err)
		}
		s.How = How{Kind: "git", Filename: fmt.Sprintf("%s-%s.tar", p.Override(), ver), Ref: s.repository.Ref,
			From: address(append([]string{from.URL}, from.Submodules...)...)}
		return s, nil
	}
	from := v.Projects[p].Download
	if from == nil || v.PreBuilt(p) {
		return Source{}, nil
	}
	u, filename, err := from.At(p, ver)
	if err != nil {
		return Source{}, fmt.Errorf("%s %s: download_source: %w", p, ver, err)
	}
	s.How = How{Kind: "url", Filename: filename, From: address(u)}
	s.file, s.hasFile = upstream.File{URL: u, Filename: filename}, true
	return s, nil
}

func address(parts ...string) string {
	h := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	return hex.EncodeToString(h[:])
}

// pinnedIn is the source as it was pinned, where it was.
func (s Source) pinnedIn(pinned []Source) Source {
	i := slices.IndexFunc(pinned, func(p Source) bool { return p.How == s.How })
	if i < 0 {
		return s
	}
	p := pinned[i]
	p.file, p.hasFile, p.repository = s.file, s.hasFile, s.repository
	return p
}

// download puts the URLs of the settings' download_source in place of what indexes have of each version, and adds versions that were pinned
// so. What an index says of a version holds on: when it was uploaded, for which Python it is, whether it is yanked.
func download(v *view.View, p dist.Project, found map[string]Source, pinned map[string][]Source) error {
	if v.Projects[p].Download == nil || v.PreBuilt(p) {
		return nil
	}
	for ver, ss := range pinned {
		d, err := declared(v, p, ss[0].Version)
		if err != nil {
			return err
		}
		if _, ok := found[ver]; ok {
			continue
		}
		if s := d.pinnedIn(ss); s.Pinned && !late(v, s.Uploaded) {
			found[ver] = s
		}
	}
	for ver, listed := range found {
		d, err := declared(v, p, listed.Version)
		if err != nil {
			return err
		}
		s := d.pinnedIn(pinned[ver])
		s.Yanked, s.YankedReason = listed.Yanked, listed.YankedReason
		if !s.Pinned {
			s.Uploaded, s.RequiresPython = listed.Uploaded, listed.RequiresPython
		}
		s.Refused = undated(v, s)
		found[ver] = s
	}
	return nil
}
