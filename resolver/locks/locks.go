// Package locks keeps the Cargo.lock files that had to be made since a source lacks them, and what has their form: the crates that are used
// beside a lock. They are made of the crates of the day, so no recipe can name them; they are kept instead, and used again, so that one recipe
// stands for the same crates each time.
package locks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/resolver"
)

// Texts are locks by slash-separated path below the source.
type Texts map[string][]byte

// maxLock is the size of the largest lock, in bytes.
const maxLock = 16 << 20

// Find gives what was made for this recipe before: for the record that is to be built again, where there is one; else for its oldest
// record; else what was made last. Where fresh is set, only a record
// counts: a lock that nothing was built with yet may be what the build fails of. Empty where there is none, or where its bytes are gone.
func Find(ctx context.Context, s *cas.Store, r resolver.Recipe, again *resolver.Record, fresh bool) (Texts, error) {
	if again != nil {
		if texts, err := read(ctx, s, again.Locks); err != nil || texts != nil {
			return texts, err
		}
	}
	recipe, err := digest(r)
	if err != nil {
		return nil, err
	}
	var records []resolver.Record
	for key, err := range s.Keys(ctx, fmt.Sprintf("records/%s/%s/%s/", r.Project, r.Version, recipe)) {
		if err != nil {
			return nil, fmt.Errorf("listing records: %w", err)
		}
		var one resolver.Record
		if s.Read(ctx, key, &one) == nil && len(one.Locks) > 0 { // a damaged one is no hit either, and moved away there
			records = append(records, one)
		}
	}
	slices.SortStableFunc(records, func(a, b resolver.Record) int {
		return cmp.Or(a.When.Compare(b.When), cmp.Compare(a.Input(), b.Input()))
	})
	for _, one := range records {
		if texts, err := read(ctx, s, one.Locks); err != nil || texts != nil {
			return texts, err
		}
	}
	if fresh {
		return nil, nil
	}
	_, texts, _, err := last(ctx, s, recipe)
	return texts, err
}

// Keep stores locks that were made for a recipe, and remembers them after those that were made for it before. What it gives is for the
// record.
func Keep(ctx context.Context, s *cas.Store, r resolver.Recipe, made Texts) (map[string]cas.Digest, error) {
	blobs := map[string]cas.Digest{}
	for path, text := range made {
		blob, err := s.AddBytes(ctx, text)
		if err != nil {
			return nil, err
		}
		blobs[path] = blob
	}
	recipe, err := digest(r)
	if err != nil {
		return nil, err
	}
	known, _, n, err := last(ctx, s, recipe)
	if err != nil || maps.Equal(known, blobs) {
		return blobs, err
	}
	for {
		err := s.Create(ctx, fmt.Sprintf("locks/%s/%04d.json", recipe, n), blobs)
		if n++; err == nil || !errors.Is(err, fs.ErrExist) || n > 9999 {
			return blobs, err
		}
	}
}

// read gives the locks that a record names; nil where it names none, or where the bytes of one are gone.
func read(ctx context.Context, s *cas.Store, blobs map[string]cas.Digest) (Texts, error) {
	var texts Texts
	for path, blob := range blobs {
		text, err := s.Bytes(ctx, blob, maxLock)
		var damaged *cas.DamagedError
		if errors.Is(err, fs.ErrNotExist) || errors.As(err, &damaged) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if texts == nil {
			texts = Texts{}
		}
		texts[path] = text
	}
	return texts, nil
}

// last are the locks that were made last for a recipe, and the number that the next ones get.
func last(ctx context.Context, s *cas.Store, recipe string) (map[string]cas.Digest, Texts, int, error) {
	var all []map[string]cas.Digest
	n := 0
	for key, err := range s.Keys(ctx, "locks/"+recipe+"/") {
		if err != nil {
			return nil, nil, 0, fmt.Errorf("listing locks: %w", err)
		}
		n++
		var one map[string]cas.Digest
		err := s.Read(ctx, key, &one)
		var damaged *cas.DamagedError
		if errors.As(err, &damaged) { // it is made anew
			err = s.Quarantine(ctx, key)
		} else if err == nil {
			all = append(all, one)
		}
		if err != nil {
			return nil, nil, 0, err
		}
	}
	for _, one := range slices.Backward(all) {
		if texts, err := read(ctx, s, one); err != nil || texts != nil {
			return one, texts, n, err
		}
	}
	return nil, nil, n, nil
}

func digest(r resolver.Recipe) (string, error) {
	d, err := r.Digest()
	return strings.TrimPrefix(string(d), "sha256:"), err
}
