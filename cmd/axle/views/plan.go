package views

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/python-wheel-build/axle/cmd/axle/command"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/estimate"
	"github.com/python-wheel-build/axle/resolver/explain"
	"github.com/python-wheel-build/axle/resolver/view"
)

// Plan is what becomes of a view's hits in another view.
type Plan struct {
	View    view.Digest `json:"view"`
	Against view.Digest `json:"against"`
	// Hits is how many there are, Keeps how many stay with the same wheel.
	Hits  int `json:"hits"`
	Keeps int `json:"keeps"`
	// Rebuild are those that are misses, each behind what it was built with.
	Rebuild []Rebuild `json:"rebuild"`
	// Again are versions that are hits in the new view with a wheel that they had before, if in another view, and none that is served now;
	// sorted.
	Again []string `json:"again"`
	// Seconds is how long the builds of Rebuild ran in the sandbox, one after the other, when they were last made.
	Seconds float64 `json:"seconds"`
}

// Rebuild is a hit that becomes a miss.
type Rebuild struct {
	Pin   string         `json:"pin"`
	Cause resolver.Cause `json:"cause"`
	Why   string         `json:"why"`
	// Seconds is how long its build ran; 0 where that isn't known, or nothing is built.
	Seconds float64 `json:"seconds,omitempty"`
}

// Compare says what publishing v in place of `against` makes of the versions that the store has. It is what would have to be built at
// most: what comes out byte-equal keeps those hits that were built with it.
func Compare(ctx context.Context, c *resolver.Catalog, against, v *view.View) (Plan, error) {
	p := Plan{View: v.Digest(), Against: against.Digest(), Rebuild: []Rebuild{}, Again: []string{}}
	was, err := c.Holds(ctx, against)
	if err != nil {
		return p, err
	}
	is, err := c.Everything(ctx, v)
	if err != nil {
		return p, err
	}
	p.Hits = len(was)
	lost := map[string]resolver.Record{}
	for pin, rec := range was {
		if is[pin].Record == nil {
			lost[pin] = rec
		}
	}
	for pin, a := range is {
		switch {
		case a.Record == nil:
		case a.Record.Wheel == was[pin].Wheel:
			p.Keeps++
		default:
			p.Again = append(p.Again, pin)
		}
	}
	slices.Sort(p.Again)
	for _, pin := range inOrder(lost) {
		r := Rebuild{Pin: pin, Seconds: estimate.Took(lost[pin]).Round(10 * time.Millisecond).Seconds()}
		if r.Cause, r.Why, err = cause(ctx, c, v, lost[pin], is[pin]); err != nil {
			return p, err
		}
		p.Rebuild = append(p.Rebuild, r)
		p.Seconds += r.Seconds
	}
	return p, nil
}

// cause says why the record that was a hit is none, of which a is the answer now.
func cause(ctx context.Context, c *resolver.Catalog, v *view.View, was resolver.Record, a resolver.Answer) (resolver.Cause, string, error) {
	if a.Recipe == nil {
		return resolver.CauseSource, a.Why, nil
	}
	for _, k := range a.Candidates { // its recipe is the same
		if k.Record.Input() == was.Input() {
			return k.Flaw.Cause, k.Flaw.Why, nil
		}
	}
	recipe, err := c.RecipeOf(ctx, was)
	if ctx.Err() == nil && err != nil { // its recipe is gone: any other record may tell
		cause, err := explain.Cause(ctx, c, v, a)
		return cause, a.Why, err
	}
	if err != nil {
		return "", "", err
	}
	today := *a.Recipe
	if shared := resolver.SharedRecipe(v, today); recipe.Pure && shared != nil {
		today = *shared
	}
	changes, err := explain.Diff(recipe, today)
	if err != nil {
		return "", "", err
	}
	var places []string
	for _, d := range changes {
		places = append(places, d.Path+" "+d.How)
	}
	return explain.Primary(changes), strings.Join(places, ", "), nil
}

// inOrder gives the versions so that each stands behind those that it was built with.
func inOrder(records map[string]resolver.Record) (order []string) {
	done := map[string]bool{}
	var visit func(pin string)
	visit = func(pin string) {
		if done[pin] {
			return
		}
		done[pin] = true
		for _, q := range records[pin].Requirements {
			if need := (resolver.Pin{Project: q.Project, Version: q.Version}).String(); records[need].Wheel != "" {
				visit(need)
			}
		}
		order = append(order, pin)
	}
	for _, pin := range slices.SortedFunc(maps.Keys(records), strings.Compare) {
		visit(pin)
	}
	return order
}

// PlanCmd is `axle plan`.
type PlanCmd struct {
	command.StoreFlags
	configFlags
	Against string `placeholder:"VIEW" help:"The view to compare with, a name or @digest. Without it: the name that the view has in the configuration."`
}

// Run stores the view, as publishing does, and points nothing to it.
func (c PlanCmd) Run(ctx context.Context, s *command.Streams) error {
	o, err := c.Open(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	made, err := c.publish(ctx, o, s)
	if err != nil {
		return err
	}
	if c.Against == "" {
		c.Against = made.Name
	}
	against, err := Find(ctx, o.Names, c.Against)
	if err != nil {
		return fmt.Errorf("--against: %w", err)
	}
	p, err := Compare(ctx, o.Catalog, against, made.View)
	if err != nil {
		return err
	}
	return c.Print(s.Out, p, func(w io.Writer) error {
		for _, r := range p.Rebuild {
			fmt.Fprintln(w, command.Tame(fmt.Sprintf("rebuild %s (%s): %s%s", r.Pin, r.Cause, r.Why, took(r.Seconds))))
		}
		for _, pin := range p.Again {
			fmt.Fprintf(w, "a hit again: %s\n", pin)
		}
		_, err := fmt.Fprintf(w, "@%s: %d of %d hits of %s stay, %d to be rebuilt%s, %d hits again by a wheel from before\n", p.View, p.Keeps, p.Hits, c.Against, len(p.Rebuild), took(p.Seconds), len(p.Again))
		return err
	})
}

// took says how long something ran, if that is known.
func took(seconds float64) string {
	if seconds == 0 {
		return ""
	}
	return fmt.Sprintf("; %s of building", time.Duration(seconds*float64(time.Second)).Round(time.Second/10))
}
