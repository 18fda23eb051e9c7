package names

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/resolver/view"
	"github.com/python-wheel-build/axle/resolver/view/config"
)

// FromConfig marks the pointers that a server's configuration made.
const FromConfig = "config"

// Pointer is one entry of a name's history: what it pointed to from then on, with all policy.
type Pointer struct {
	Name string `json:"name"`
	// View is "" from when the name was retired.
	View     view.Digest `json:"view,omitempty"`
	OnDemand bool        `json:"on_demand"`
	// Origins are who may vouch for the wheels of this name: a view that takes them from anybody else is refused.
	Origins []string  `json:"origins,omitempty"`
	Who     string    `json:"who"`
	When    time.Time `json:"when"`
	Why     string    `json:"why,omitempty"`
	// From is FromConfig, or "" where somebody said so.
	From string `json:"from,omitempty"`
}

// Retired says that the name is no longer served.
func (p Pointer) Retired() bool { return p.View == "" }

// same says that the two decide the same.
func (p Pointer) same(q Pointer) bool {
	return p.View == q.View && p.OnDemand == q.OnDemand && slices.Equal(p.Origins, q.Origins)
}

// Entry is a pointer as it was found.
type Entry struct {
	Pointer
	// Err says why the pointer can't be read, and then only its Name is known. It names the key.
	Err error

	number int64
}

// top is what numbers are taken from.
const top = 1_000_000_000_000

// ErrMoved says that somebody else has moved the name meanwhile.
var ErrMoved = errors.New("somebody else has moved it meanwhile")

// entry reads a pointer.
func (n *Names) entry(ctx context.Context, name, key string) Entry {
	e := Entry{Pointer: Pointer{Name: name}}
	var err error
	if e.number, err = number(key, "names/"+name+"/"); err == nil {
		err = n.Store.Read(ctx, key, &e.Pointer)
	}
	if err == nil && e.Name != name {
		err = &cas.DamagedError{Key: key, Problem: "it is a pointer of the name " + e.Name}
	}
	if err != nil {
		// Going on with the one before would be a silent rollback.
		e.Err = fmt.Errorf("name %s: %w; put it back, or say what the name is to point to with `axle view promote`", name, err)
		e.Pointer = Pointer{Name: name}
	}
	return e
}

// number is the one that a key has behind the prefix.
func number(key, prefix string) (int64, error) {
	text, ok := strings.CutSuffix(strings.TrimPrefix(key, prefix), ".json")
	n, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil || n <= 0 || n > top {
		return 0, &cas.DamagedError{Key: key, Problem: fmt.Sprintf("a key below %s ends in 12 digits and .json", prefix)}
	}
	return n, nil
}

// History gives all pointers of a name, the newest first; none where there is no such name. It asks the store, whatever was read before.
// The first error, of a store that can't be listed, ends it.
func (n *Names) History(ctx context.Context, name string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		if err := config.CheckName(name); err != nil {
			yield(Entry{}, err)
			return
		}
		for key, err := range n.Store.Keys(ctx, "names/"+name+"/") {
			if err != nil {
				yield(Entry{}, fmt.Errorf("listing the name %s: %w", name, err))
				return
			}
			if !yield(n.entry(ctx, name, key), nil) {
				return
			}
		}
	}
}

// Newest is the first entry of the name's history, whose Name alone is set for a new name.
func (n *Names) Newest(ctx context.Context, name string) (Entry, error) {
	for e, err := range n.History(ctx, name) {
		return e, err
	}
	return Entry{Pointer: Pointer{Name: name}}, nil
}

// Point moves the name to p.View, or retires it where that is "", and gives what was written. last is the newest entry of its history:
// ErrMoved where there is a newer one by now. The view must be in the store and its origins among p's.
// When is set here.
func (n *Names) Point(ctx context.Context, last Entry, p Pointer) (Entry, error) {
	if err := n.admit(ctx, p); err != nil {
		return Entry{}, fmt.Errorf("name %s: %w", p.Name, err)
	}
	p.When = n.now().UTC().Truncate(time.Second)
	e := Entry{Pointer: p, number: cmp.Or(last.number, top) - 1}
	err := n.Store.Create(ctx, fmt.Sprintf("names/%s/%012d.json", p.Name, e.number), p)
	n.moved()
	if errors.Is(err, fs.ErrExist) {
		err = ErrMoved
	}
	if err != nil {
		return Entry{}, fmt.Errorf("name %s: %w", p.Name, err)
	}
	return e, nil
}

// admit says why a name must not be pointed so.
func (n *Names) admit(ctx context.Context, p Pointer) error {
	if err := config.CheckName(p.Name); err != nil {
		return err
	}
	if p.Retired() {
		return nil
	}
	v, err := n.view(ctx, p.View)
	if err != nil {
		return err
	}
	for _, origin := range v.Origins {
		if !slices.Contains(p.Origins, origin) {
			return fmt.Errorf("the view takes wheels that %s vouches for, and the name admits those of %s only", origin, strings.Join(p.Origins, ", "))
		}
	}
	return nil
}

// Configure moves a name to what a server's configuration has for it, where the configuration says something else than it said last, of
// whichever server on this store: else what people decided since then stands, and moved is false. It gives the name's newest entry from
// before. From is set here.
func (n *Names) Configure(ctx context.Context, p Pointer) (before Entry, moved bool, err error) {
	p.From = FromConfig
	for {
		if before, err = n.Newest(ctx, p.Name); err != nil {
			return before, false, err
		}
		for e, err := range n.History(ctx, p.Name) {
			if err = cmp.Or(err, e.Err); err != nil {
				return before, false, err
			}
			if e.From == FromConfig {
				if e.same(p) {
					return before, false, nil
				}
				break
			}
		}
		if _, err = n.Point(ctx, before, p); !errors.Is(err, ErrMoved) {
			return before, err == nil, err
		}
	}
}

// moved has the next question ask the store.
func (n *Names) moved() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.moves++
}
