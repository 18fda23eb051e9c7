package views

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/view"
)

func notFound(err error, text, next string) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no view %s in this store: %s", text, next)
	}
	return err
}

// Missing is a version that is no hit, and why.
type Missing struct {
	Pin string `json:"pin"`
	Why string `json:"why"`
}

// Incomplete gives those of the pins that are no hits in the view, sorted.
func Incomplete(ctx context.Context, c *resolver.Catalog, v *view.View, pins []resolver.Pin) ([]Missing, error) {
	if len(pins) == 0 {
		return nil, nil
	}
	answers, err := c.Everything(ctx, v)
	if err != nil {
		return nil, err
	}
	var missing []Missing
	for _, p := range pins {
		a, known := answers[p.String()]
		if !known { // never built, or its version is spelled otherwise
			if a, err = c.Lookup(ctx, v, p.Project, p.Version); err != nil {
				a.Why = err.Error()
			}
		}
		if a.Record == nil {
			missing = append(missing, Missing{p.String(), a.Why})
		}
	}
	slices.SortFunc(missing, func(a, b Missing) int { return strings.Compare(a.Pin, b.Pin) })
	return slices.Compact(missing), nil
}

// Held are the versions that are hits in the view.
func Held(ctx context.Context, c *resolver.Catalog, v *view.View) ([]resolver.Pin, error) {
	hits, err := c.Holds(ctx, v)
	var pins []resolver.Pin
	for _, r := range hits {
		pins = append(pins, resolver.Pin{Project: r.Project, Version: r.Version})
	}
	return pins, err
}

// Pins reads a requirements file of pinned versions, such as `pip freeze` and `uv pip compile` write: name==version, with extras, markers,
// hashes and comments. What doesn't hold for the view's target is left out. Anything else is refused by line: a version that isn't
// named can't be demanded.
func Pins(file string, v *view.View) ([]resolver.Pin, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return parsePins(file, string(b), v.Target.Markers)
}

func parsePins(file, text string, markers map[string]string) (pins []resolver.Pin, err error) {
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		at, line := i+1, strings.TrimSuffix(lines[i], "\r")
		for strings.HasSuffix(line, `\`) && i+1 < len(lines) {
			i++
			line = strings.TrimSuffix(line, `\`) + " " + strings.TrimSuffix(lines[i], "\r")
		}
		line = strings.TrimSuffix(line, `\`)
		if before, _, ok := strings.Cut(" "+line, " #"); ok {
			line = before
		}
		if before, _, ok := strings.Cut(line, " --hash"); ok {
			line = before
		}
		line = strings.TrimSpace(line)
		if line == "" || indexOption(line) {
			continue
		}
		r, err := dist.ParseRequirement(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w; want NAME==VERSION on each line", file, at, err)
		}
		if r.Marker != nil {
			holds, err := r.Marker.Eval(markers)
			if err != nil {
				return nil, fmt.Errorf("%s:%d: %w", file, at, err)
			}
			if !holds {
				continue
			}
		}
		pinned, ok := strings.CutPrefix(r.Set.String(), "==")
		ver, err := version.Parse(pinned)
		if !ok || err != nil || r.URL != "" {
			return nil, fmt.Errorf("%s:%d: %s names no one version: want NAME==VERSION on each line", file, at, line)
		}
		pins = append(pins, resolver.Pin{Project: r.Project, Version: ver})
	}
	if len(pins) == 0 {
		return nil, fmt.Errorf("%s names no version: want NAME==VERSION on each line", file)
	}
	return pins, nil
}

// indexOption says that a line says where to look, which the view knows better.
func indexOption(line string) bool {
	return slices.ContainsFunc([]string{"-i ", "--index-url", "--extra-index-url"}, func(option string) bool { return strings.HasPrefix(line, option) })
}
