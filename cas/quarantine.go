package cas

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// maxQuarantined bounds how many things of one key may wait in quarantine.
const maxQuarantined = 1000

// Quarantine moves what lies at key to quarantine/<key>.<n>, with the first n that is free, so that key is free again. It copies, then
// removes: after a crash in between, the same call ends the move. Nothing at key is fs.ErrNotExist.
func (s *Store) Quarantine(ctx context.Context, key string) error {
	s.moving.Lock()
	defer s.moving.Unlock()
	return s.move(ctx, key)
}

// move does that for one who holds moving.
func (s *Store) move(ctx context.Context, key string) error {
	before, err := s.b.Stat(ctx, key)
	if err != nil {
		return err
	}
	if err := s.copyAside(ctx, key); err != nil {
		return err
	}
	// Another process may have moved it as well, and put something sound in its place. What is left is the moment between this look and
	// the removal: no backend can remove on a condition.
	if after, err := s.b.Stat(ctx, key); err != nil {
		return err
	} else if after.Size != before.Size || !after.ModTime.Equal(before.ModTime) {
		return nil
	}
	defer s.changes.Add(1)
	return s.b.Remove(ctx, key)
}

func (s *Store) copyAside(ctx context.Context, key string) error {
	for n := range maxQuarantined {
		r, info, err := s.b.Open(ctx, key, 0, -1)
		if err != nil {
			return err
		}
		err = s.create(ctx, fmt.Sprintf("quarantine/%s.%d", key, n), info.Size, r)
		r.Close()
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return fmt.Errorf("%s: there are %d of it in quarantine/ already: find out what damages it, then clear them away", key, maxQuarantined)
}

// damaged is called by one who has read wrong bytes of d. It moves the blob to quarantine/, unless another has put it right in the
// meantime, and gives the *DamagedError to return.
func (s *Store) damaged(ctx context.Context, d Digest) error {
	key, err := blobKey(d)
	if err != nil {
		return err
	}
	s.moving.Lock()
	defer s.moving.Unlock()
	problem := &DamagedError{Key: key, Problem: "its bytes did not hash to its name; they were moved to quarantine/"}
	got, err := s.copy(ctx, key, io.Discard)
	switch {
	case errors.Is(err, fs.ErrNotExist): // moved by another
		return problem
	case err == nil && got == d: // put right by another, or misread: then the next reading is right
		return &DamagedError{Key: key, Problem: "its bytes did not hash to its name when they were first read, but do now: try again, and look at " +
			"the memory and the disk of this machine if it happens often"}
	case err == nil:
		problem.Problem = fmt.Sprintf("its bytes hash to %s; they were moved to quarantine/", got)
		err = s.move(ctx, key)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return problem
		}
	}
	problem.Problem = fmt.Sprintf("its bytes do not hash to its name, and it could not be moved to quarantine/: %v", err)
	return problem
}
