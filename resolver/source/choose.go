package source

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/resolver/view"
	"github.com/python-wheel-build/axle/resolver/view/config"
)

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
		r := ranked{Source: s, index: slices.IndexFunc(v.Indexes, func(i config.Index) bool { return i.Name == s.How.Index })}
		switch {
		case r.index < 0, v.PreBuilt(p) != (s.How.Kind == "wheel"):
			continue
		case s.How.Kind == "only-wheel" && !v.TakesOnlyWheels():
			continue
		case late(v, s.Uploaded):
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
	s := slices.MinFunc(all, func(a, b ranked) int {
		return cmp.Or(a.index-b.index, a.kind-b.kind, a.tag-b.tag, cmp.Compare(a.How.Filename, b.How.Filename))
	}).Source
	s.Refused = undated(v, s)
	return s, true
}

// late says that an index got something after the moment that the view shows.
func late(v *view.View, uploaded time.Time) bool { return !v.AsOf.IsZero() && uploaded.After(v.AsOf) }

// undated says why a view of a moment doesn't take a file of an index: nobody can tell whether it was there.
func undated(v *view.View, s Source) string {
	if v.AsOf.IsZero() || !s.Uploaded.IsZero() || s.How.Kind == "git" {
		return ""
	}
	return fmt.Sprintf("the view shows what was there as of %s, and the index doesn't say when %s was uploaded: name an upstream that does "+
		"(PEP 700), or leave out as_of", v.AsOf.Format(time.RFC3339), s.How.Filename)
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
	s := Source{Project: p, Version: f.version, How: How{Kind: kind, Index: index, Filename: f.Filename}, SHA256: f.SHA256, Size: f.Size,
		Uploaded: f.Uploaded, RequiresPython: f.RequiresPython, Yanked: f.IsYanked, YankedReason: f.Yanked, Refused: refused,
		file: f.File, hasFile: true}
	s.Refused = cmp.Or(s.Refused, undated(v, s))
	return s, true
}

func newer(a, b dist.BuildTag) bool {
	return cmp.Or(cmp.Compare(a.N, b.N), cmp.Compare(a.Suffix, b.Suffix)) > 0
}
