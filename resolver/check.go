package resolver

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
)

// How a check ended.
const (
	CheckIdentical = "identical" // byte for byte the record's wheel
	CheckDifferent = "different" // another wheel
	CheckFailed    = "failed"    // no wheel at all, by the same inputs that had given one
	CheckSkipped   = "skipped"   // nothing was built: the wheel was taken as it is; never kept
)

// Check says what building a record's inputs once more gave. It is evidence about the record and no record itself: its wheel is kept as a
// blob and never served.
type Check struct {
	Project dist.Project    `json:"project"`
	Version version.Version `json:"version"`
	Recipe  RecipeDigest    `json:"recipe"`
	Input   InputDigest     `json:"input"`
	// Outcome is one of the constants above.
	Outcome string `json:"outcome"`
	// Wheel is the record's, Other what the second build gave: the same where identical, "" where it failed.
	Wheel cas.Digest `json:"wheel"`
	Other cas.Digest `json:"other,omitempty"`
	// Differences explains them file by file, in lines; of a failure it is why.
	Differences []string   `json:"differences,omitempty"`
	Log         cas.Digest `json:"log,omitempty"` // of the second build
	Who         string     `json:"who"`
	When        time.Time  `json:"when"`
}

// Reproducible says that the second build gave the same, or that there is nothing to build.
func (c Check) Reproducible() bool { return c.Outcome == CheckIdentical || c.Outcome == CheckSkipped }

// NoteCheck keeps a check whose blobs are stored already. Each is kept, also of a record that was checked before.
func (c *Catalog) NoteCheck(ctx context.Context, k Check) (Check, error) {
	k.When = k.When.UTC().Truncate(time.Second)
	key := fmt.Sprintf("checks/%s/%s/%s/%s/%s.json", k.Project, k.Version, k.Recipe.hex(), k.Input.hex(), strings.ToLower(rand.Text()))
	if err := c.Store.Create(ctx, key, k); err != nil {
		return k, fmt.Errorf("keeping the check of %s %s: %w", k.Project, k.Version, err)
	}
	return k, nil
}

// checksRead bounds what is read for one answer.
const checksRead = 1000

// Checks gives the checks of all records of a version, the newest first; of more than a thousand, some thousand. Damaged ones are left
// out: verifying the store names them.
func (c *Catalog) Checks(ctx context.Context, p dist.Project, v version.Version) ([]Check, error) {
	all := []Check{}
	for key, err := range c.Store.Keys(ctx, fmt.Sprintf("checks/%s/%s/", p, v)) {
		if err != nil {
			return nil, fmt.Errorf("listing checks of %s %s: %w", p, v, err)
		}
		var k Check
		err = c.Store.Read(ctx, key, &k)
		var damaged *cas.DamagedError
		if errors.As(err, &damaged) || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if all = append(all, k); len(all) == checksRead {
			break
		}
	}
	slices.SortStableFunc(all, func(a, b Check) int {
		return cmp.Or(b.When.Compare(a.When), cmp.Compare(a.Input, b.Input))
	})
	return all, nil
}
