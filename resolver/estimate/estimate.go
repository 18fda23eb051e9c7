// Package estimate remembers how long builds took, in their records, and guesses from that how long the next one will take.
package estimate

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/view"
)

// Seconds is d as a record holds it, "" for none.
func Seconds(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return strconv.FormatFloat(d.Seconds(), 'f', 2, 64)
}

// Took is how long the steps of a record's build ran in the sandbox; 0 where the record doesn't say.
func Took(r resolver.Record) time.Duration {
	s, err := strconv.ParseFloat(r.Seconds, 64)
	if err != nil || !(s > 0 && s < math.MaxInt64/float64(time.Second)) {
		return 0
	}
	return time.Duration(s * float64(time.Second))
}

// reads is how many records an estimate may cost, besides one listing of the project's.
const reads = 32

// Of guesses how long a build of this version will run: as long as the newest one of the same version on record, else of the newest other
// version; where there is a choice, one whose wheel fits the view's target. 0 where nothing is known: a guess is worth no error.
func Of(ctx context.Context, store *cas.Store, v *view.View, p dist.Project, ver version.Version) time.Duration {
	type filed struct {
		version version.Version
		key     string
	}
	var all []filed
	prefix := "records/" + string(p) + "/"
	for key, err := range store.Keys(ctx, prefix) {
		if err != nil {
			return 0
		}
		text, _, _ := strings.Cut(strings.TrimPrefix(key, prefix), "/")
		if other, err := version.Parse(text); err == nil {
			all = append(all, filed{other, key})
		}
	}
	other := func(f filed) int {
		if f.version.Compare(ver) == 0 {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(all, func(a, b filed) int { return cmp.Or(cmp.Compare(other(a), other(b)), b.version.Compare(a.version)) })
	var best resolver.Record
	fits := func(r resolver.Record) int {
		if name, err := dist.ParseWheelName(r.Filename); err == nil {
			if _, ok := v.Target.Rank(name.Tags); ok {
				return 1
			}
		}
		return 0
	}
	for _, f := range all[:min(len(all), reads)] {
		if Took(best) > 0 && best.Version.Compare(f.version) != 0 {
			break
		}
		var r resolver.Record
		if err := store.Read(ctx, f.key, &r); err != nil || Took(r) == 0 {
			continue
		}
		if Took(best) == 0 || cmp.Or(cmp.Compare(fits(r), fits(best)), r.When.Compare(best.When)) > 0 {
			best = r
		}
	}
	return Took(best)
}
