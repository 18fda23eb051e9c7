package resolver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver/source"
	"github.com/python-wheel-build/axle/resolver/view"
)

// memo answers for one view during one request: it gathers the records that can be reached from what is asked and marks the valid
// ones until nothing changes. It dies with the request, so nothing in it can go stale.
type memo struct {
	c       *Catalog
	v       *view.View
	nodes   map[string]*node                     // by project==version
	keys    map[dist.Project]map[string][]string // of records, by version
	revoked map[string]bool                      // hex; nil until listed
	all     bool                                 // look at each candidate, also beside a hit
}

// node is one version of one project in the view.
type node struct {
	pin        Pin
	source     source.Source
	recipe     *Recipe
	digest     RecipeDigest // "" while no record is looked at
	shared     *Recipe      // see SharedRecipe; nil while no record is looked at, too
	why        string       // why there can be no record at all
	candidates []*candidate
}

// candidate is a record of one of the view's recipes, valid or not.
type candidate struct {
	Record
	key    string
	of     *node
	shared bool    // a record of the shared recipe
	filed  bool    // stands under both recipes
	needs  []*node // beside Requirements
	lacks  int     // how many of them have no valid record with that wheel, while marking
	dead   *Flaw   // why it can't become valid whatever else does
	valid  bool
}

func (c *Catalog) memo(v *view.View) *memo {
	return &memo{c: c, v: v, nodes: map[string]*node{}, keys: map[dist.Project]map[string][]string{}}
}

// answers gives the view's answer for each of these sources.
func (m *memo) answers(ctx context.Context, sources []source.Source) ([]Answer, error) {
	asked := make([]*node, len(sources))
	// All of them first: what is gathered for one may need another, and must find it with the source that was asked for.
	for i, s := range sources {
		asked[i] = m.place(Pin{s.Project, s.Version}, s)
	}
	for _, n := range asked {
		if err := m.gather(ctx, n); err != nil {
			return nil, err
		}
	}
	m.mark()
	out := make([]Answer, len(sources))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(looks)
	for i, n := range asked {
		if len(n.candidates) == 0 { // which needs no look at any blob
			out[i] = m.never(n)
			continue
		}
		g.Go(func() (err error) {
			out[i], err = m.answer(ctx, n)
			return err
		})
	}
	return out, g.Wait()
}

// looks is how many blobs are looked for at once: each look is a round trip where the store is a bucket.
const looks = 16

// add gathers a version that a record was built with. Its source was pinned before it was built, so upstream is asked only where
// that was done under another index name or another kind of source.
func (m *memo) add(ctx context.Context, p Pin) (*node, error) {
	if n, ok := m.nodes[p.String()]; ok {
		return n, nil
	}
	s, err := m.c.One(ctx, m.v, p.Project, p.Version)
	if errors.Is(err, source.ErrNone) || source.Unusable(err) {
		n := &node{pin: p, why: err.Error()}
		m.nodes[p.String()] = n
		return n, nil
	}
	if err != nil {
		return nil, err
	}
	n := m.place(p, s)
	return n, m.gather(ctx, n)
}

// place makes the node of a version with this source.
func (m *memo) place(p Pin, s source.Source) *node {
	n := &node{pin: p, source: s}
	m.nodes[p.String()] = n
	switch {
	case s.Refused != "":
		n.why = s.Refused
		return n
	case s.SHA256 == "":
		n.why = "its source was never fetched, and upstream lists no digest of it"
		return n
	}
	r := NewRecipe(m.v, s)
	n.recipe = &r
	return n
}

// gather finds the records of the node's recipes and, through their requirements, everything that their validity hangs on.
func (m *memo) gather(ctx context.Context, n *node) error {
	if n.recipe == nil {
		return nil
	}
	keys, err := m.records(ctx, n.pin)
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		return nil // most of a page's versions: a recipe's digest costs more than all else of such a version together
	}
	if n.digest, err = m.c.recipeDigest(m.v, n.source, *n.recipe); err != nil {
		return err
	}
	prefix := recordPrefix(n.pin.Project, n.pin.Version, n.digest)
	sharedPrefix, shared := prefix, n.digest
	if n.shared = SharedRecipe(m.v, *n.recipe); n.shared != nil {
		if shared, err = m.c.recipeDigest(m.v, n.source, *n.shared); err != nil {
			return err
		}
		sharedPrefix = recordPrefix(n.pin.Project, n.pin.Version, shared)
	}
	for _, key := range keys {
		own := strings.HasPrefix(key, prefix)
		if !own && !strings.HasPrefix(key, sharedPrefix) {
			continue
		}
		r, err := m.c.record(ctx, key)
		var damaged *cas.DamagedError
		if errors.As(err, &damaged) {
			// A record is an answer that can be had again: out of the way with it, and the wheel is built anew.
			if err := m.c.Store.Quarantine(ctx, key); err != nil {
				return fmt.Errorf("moving damaged record away: %w", err)
			}
			continue
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if own && r.Recipe != n.digest || !own && (r.Recipe != shared || !r.pure()) || r.Project != n.pin.Project || r.Version.Compare(n.pin.Version) != 0 {
			continue // filed under another's address: not an answer to this question
		}
		c := &candidate{Record: r, key: key, of: n, shared: !own, needs: make([]*node, 0, len(r.Requirements))}
		n.candidates = append(n.candidates, c)
		if c.dead, err = m.doomed(ctx, n, r); err != nil {
			return err
		}
		for _, q := range r.Requirements {
			need, err := m.add(ctx, q.pin())
			if err != nil {
				return err
			}
			c.needs = append(c.needs, need)
		}
	}
	n.settle()
	slices.SortStableFunc(n.candidates, func(a, b *candidate) int {
		return cmp.Or(a.When.Compare(b.When), cmp.Compare(a.key, b.key))
	})
	return nil
}

// doomed says why a record can't be valid in this view, whatever else is; nil where it may be.
func (m *memo) doomed(ctx context.Context, n *node, r Record) (*Flaw, error) {
	if m.revoked == nil {
		m.revoked = map[string]bool{}
		for key, err := range m.c.Store.Keys(ctx, "revocations/") {
			if err != nil {
				return nil, fmt.Errorf("listing revocations: %w", err)
			}
			m.revoked[strings.TrimSuffix(strings.TrimPrefix(key, "revocations/"), ".json")] = true
		}
	}
	for _, q := range r.Requirements {
		if line := m.v.Excluding(q.Project, q.Version); line != "" {
			return &Flaw{Cause: CauseConstraint, Requirements: []Requirement{q},
				Why: fmt.Sprintf("it was built with %s, which the view's constraints exclude (%s)", q.pin(), line)}, nil
		}
	}
	if len(m.revoked) == 0 {
		return nil, nil
	}
	inputs := []cas.Digest{n.source.SHA256, r.Wheel}
	for _, p := range n.recipe.Patches {
		inputs = append(inputs, p.SHA256)
	}
	if o := n.recipe.Overrides; o != nil {
		for _, s := range o.Sources {
			inputs = append(inputs, s.SHA256)
		}
	}
	for _, d := range inputs {
		if m.revoked[d.Encoded()] {
			return &Flaw{Cause: CauseRevoked, Bytes: d, Why: fmt.Sprintf("%s is revoked", d)}, nil
		}
	}
	for _, q := range r.Requirements {
		if m.revoked[q.Wheel.Encoded()] {
			return &Flaw{Cause: CauseRevoked, Bytes: q.Wheel, Requirements: []Requirement{q},
				Why: fmt.Sprintf("it was built with a wheel of %s that is revoked (%s)", q.pin(), q.Wheel)}, nil
		}
	}
	return nil, nil
}

// mark finds the least fixed point: a record is valid when each of its requirements' wheels is the wheel of a valid record. Records
// that only vouch for each other stay invalid. Each requirement of each record is looked at once, in whatever order they were built.
func (m *memo) mark() {
	type wheel struct {
		of  *node
		sha cas.Digest
	}
	waiting := map[wheel][]*candidate{}
	var ready []*candidate
	for _, n := range m.nodes {
		for _, c := range n.candidates {
			switch {
			case c.dead != nil:
			case len(c.needs) == 0:
				ready = append(ready, c)
			default:
				c.lacks = len(c.needs)
				for i, need := range c.needs {
					w := wheel{need, c.Requirements[i].Wheel}
					waiting[w] = append(waiting[w], c)
				}
			}
		}
	}
	for len(ready) > 0 {
		c := ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		c.valid = true
		w := wheel{c.of, c.Wheel}
		for _, waits := range waiting[w] {
			if waits.lacks--; waits.lacks == 0 {
				ready = append(ready, waits)
			}
		}
		delete(waiting, w)
	}
}

// has says that some valid record of this version gave exactly that wheel.
func (n *node) has(wheel cas.Digest) bool {
	return slices.ContainsFunc(n.candidates, func(c *candidate) bool { return c.valid && c.Wheel == wheel })
}

func (n *node) hasAny() bool {
	return slices.ContainsFunc(n.candidates, func(c *candidate) bool { return c.valid })
}

// never is the answer where there is no record of the recipe.
func (m *memo) never(n *node) Answer {
	return Answer{Source: n.source, Recipe: n.recipe, Why: cmp.Or(n.why, "never built with these inputs")}
}

// answer gives the oldest valid record whose own blobs are there, so that going back to an old view gives back the same wheel;
// else the reason why not.
func (m *memo) answer(ctx context.Context, n *node) (Answer, error) {
	a := m.never(n)
	for i, c := range n.candidates {
		flaw, err := m.flaw(ctx, c)
		switch {
		case err != nil:
			return a, err
		case flaw == nil && a.Record == nil:
			a.Record, a.Share, a.Why, a.Wanting = &c.Record, n.sharing(c), "", nil
			if !m.all {
				return Answer{Source: n.source, Recipe: n.recipe, Record: a.Record, Share: a.Share}, nil
			}
		case flaw != nil:
			if i == 0 {
				a.Why, a.Wanting = flaw.Why, flaw.wanting
			}
			a.Candidates = append(a.Candidates, Candidate{c.Record, *flaw})
		}
	}
	return a, nil
}

// flaw says why a record is not a hit once all are marked, nil for one that could be.
func (m *memo) flaw(ctx context.Context, c *candidate) (*Flaw, error) {
	if c.dead != nil {
		return c.dead, nil
	}
	if c.valid {
		for _, d := range []cas.Digest{c.Wheel, c.Metadata} {
			ok, err := m.c.Store.Has(ctx, d)
			if err != nil {
				return nil, err
			}
			if !ok {
				return &Flaw{Cause: CauseBytes, Bytes: d, Why: fmt.Sprintf("its bytes %s are missing from the store or were damaged", d)}, nil
			}
		}
		return nil, nil
	}
	f := &Flaw{Cause: CauseRequirement}
	onlyWanting := true
	for i, q := range c.Requirements {
		need := c.needs[i]
		if need.has(q.Wheel) {
			continue
		}
		f.Requirements = append(f.Requirements, q)
		if need.hasAny() {
			onlyWanting = false
			f.Why = fmt.Sprintf("it was built with another wheel of %s than the view holds today", q.pin())
			continue
		}
		f.wanting = append(f.wanting, need.pin)
		if f.Why == "" {
			f.Why = fmt.Sprintf("it was built with a wheel of %s that the view has not got as it is today", q.pin())
		}
	}
	if !onlyWanting {
		f.wanting = nil
	}
	return f, nil
}

// records are the keys of all records of that version, of whatever recipe.
func (m *memo) records(ctx context.Context, p Pin) ([]string, error) {
	byVersion, ok := m.keys[p.Project]
	if !ok {
		byVersion = map[string][]string{}
		prefix := "records/" + string(p.Project) + "/"
		for key, err := range m.c.Store.Keys(ctx, prefix) {
			if err != nil {
				return nil, fmt.Errorf("listing records of %s: %w", p.Project, err)
			}
			ver, _, _ := strings.Cut(key[len(prefix):], "/")
			byVersion[ver] = append(byVersion[ver], key)
		}
		m.keys[p.Project] = byVersion
	}
	return byVersion[p.Version.String()], nil
}

// everything gathers and marks all versions of which the store has a record, sorted by their keys.
func (m *memo) everything(ctx context.Context) ([]*node, error) {
	var pins []Pin
	for key, err := range m.c.Store.Keys(ctx, "records/") {
		if err != nil {
			return nil, fmt.Errorf("listing records: %w", err)
		}
		parts := strings.Split(key, "/")
		p, err := dist.ParseProject(parts[1])
		if err != nil || string(p) != parts[1] || len(parts) < 3 {
			continue // nothing of ours: verify reports it
		}
		if m.keys[p] == nil {
			m.keys[p] = map[string][]string{}
		}
		if m.keys[p][parts[2]] == nil {
			ver, err := version.Parse(parts[2])
			if err != nil {
				continue
			}
			pins = append(pins, Pin{p, ver})
		}
		m.keys[p][parts[2]] = append(m.keys[p][parts[2]], key)
	}
	nodes := make([]*node, len(pins))
	for i, p := range pins {
		n, err := m.add(ctx, p)
		if err != nil {
			return nil, err
		}
		nodes[i] = n
	}
	m.mark()
	return nodes, nil
}

// recipeDigest is r.Digest() of a recipe that v gives to s, the full or the shared one: a pure function of those, so what was computed once is true for ever.
func (c *Catalog) recipeDigest(v *view.View, s source.Source, r Recipe) (RecipeDigest, error) {
	key := fmt.Sprintf("recipe of %s==%s %s %s %t in %s", s.Project, s.Version, r.Source.Kind, r.Source.SHA256, r.Pure, v.Digest())
	if d, ok := c.docs.Get(key); ok {
		return d.(RecipeDigest), nil
	}
	d, err := r.Digest()
	if err == nil {
		c.docs.Put(key, d)
	}
	return d, err
}

func recordPrefix(p dist.Project, v version.Version, r RecipeDigest) string {
	return fmt.Sprintf("records/%s/%s/%s/", p, v, r.hex())
}
