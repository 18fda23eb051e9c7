package names

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/resolver/view"
)

// Lease lets a view be built without a name, for a while: what a merge request installs from. Afterwards it is served as any view of the
// store is, hits only.
type Lease struct {
	View     view.Digest `json:"view"`
	OnDemand bool        `json:"on_demand"`
	Until    time.Time   `json:"until"`
	Who      string      `json:"who"`
	When     time.Time   `json:"when"`
	Why      string      `json:"why,omitempty"`
}

// Lend keeps a lease. Several of one view hold beside each other. When is set here.
func (n *Names) Lend(ctx context.Context, l Lease) error {
	if _, err := n.view(ctx, l.View); err != nil {
		return err
	}
	l.When = n.now().UTC().Truncate(time.Second)
	l.Until = l.Until.UTC().Truncate(time.Second)
	prefix := leasePrefix(l.View)
	next := int64(top)
	for key, err := range n.Store.Keys(ctx, prefix) {
		if err != nil {
			return fmt.Errorf("listing leases: %w", err)
		}
		if next, err = number(key, prefix); err != nil {
			return err
		}
		break
	}
	defer n.moved()
	for {
		next--
		err := n.Store.Create(ctx, fmt.Sprintf("%s%012d.json", prefix, next), l)
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
}

func leasePrefix(d view.Digest) string {
	return "leases/" + strings.TrimPrefix(string(d), "sha256:") + "/"
}

// findLease says whether the view builds on demand by a lease.
func (n *Names) findLease(ctx context.Context, d view.Digest) (bool, error) {
	leases, err := n.leases(ctx, leasePrefix(d))
	if err != nil {
		return false, fmt.Errorf("view @%s: %w", d, err)
	}
	for _, l := range leases {
		if l.OnDemand {
			return true, nil
		}
	}
	return false, nil
}

// Leases are all that have not run out, by view, of each view the newest first. The error names what can't be read; the others are given
// all the same.
func (n *Names) Leases(ctx context.Context) ([]Lease, error) { return n.leases(ctx, "leases/") }

func (n *Names) leases(ctx context.Context, prefix string) ([]Lease, error) {
	var all []Lease
	var damaged []error
	for key, err := range n.Store.Keys(ctx, prefix) {
		if err != nil {
			return nil, fmt.Errorf("listing leases: %w", err)
		}
		var l Lease
		err := n.Store.Read(ctx, key, &l)
		if err == nil && !strings.HasPrefix(key, leasePrefix(l.View)) {
			err = &cas.DamagedError{Key: key, Problem: "it is a lease of the view " + string(l.View)}
		}
		if err != nil {
			damaged = append(damaged, fmt.Errorf("%w; move it away, and publish the view again where it is still needed", err))
			continue
		}
		if n.now().Before(l.Until) {
			all = append(all, l)
		}
	}
	return all, errors.Join(damaged...)
}
