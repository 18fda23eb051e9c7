package cas

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// local is what a backend has besides whose objects are local files.
type local interface {
	File(key string) (*os.File, error) // fs.ErrNotExist
}

const (
	// proofLasts bounds how long rot that leaves no trace in a file's times can go unseen.
	proofLasts = 24 * time.Hour
	// unsettled is how old a change must be for the next one to be sure to get another time stamp: kernels stamp by a clock that
	// ticks every few milliseconds, some file systems by the second.
	unsettled = 2 * time.Second
	// maxProofs bounds the memory: about 100 bytes each.
	maxProofs = 100_000
)

// identity changes with every write to a file, and with every other file at its path.
type identity struct {
	digest       Digest // that it was asked for
	dev, ino     uint64
	size         int64
	mtime, ctime unix.Timespec
}

func identify(f *os.File, d Digest) (identity, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return identity{}, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return identity{d, uint64(st.Dev), st.Ino, st.Size, st.Mtim, st.Ctim}, nil
}

// proofs remembers when which file was last hashed and found right. The zero value is ready.
type proofs struct {
	mu   sync.Mutex // guards when, for a look or an entry
	when map[identity]time.Time
}

func (p *proofs) has(id identity, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	t, ok := p.when[id]
	if ok && now.Sub(t) >= proofLasts {
		delete(p.when, id)
		ok = false
	}
	return ok
}

func (p *proofs) add(id identity, now time.Time) {
	changed := time.Unix(id.ctime.Unix())
	if now.Sub(changed) < unsettled {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.when == nil || len(p.when) >= maxProofs {
		p.when = map[identity]time.Time{} // forgetting costs a hash each, no more
	}
	p.when[id] = now
}

var errWrongBytes = errors.New("wrong bytes")

// proven opens a blob that is a local file, and has it hashed unless its proof is remembered.
func (s *Store) proven(ctx context.Context, b local, d Digest, key string) (*Blob, error) {
	// A file that is replaced, or only linked or unlinked elsewhere, between opening and hashing is opened once more.
	for range 5 {
		f, err := b.File(key)
		if err != nil {
			return nil, err
		}
		id, err := identify(f, d)
		if err != nil {
			f.Close()
			return nil, err
		}
		if s.proofs.has(id, s.now()) {
			return &Blob{f, id.size}, nil
		}
		hashed, err := s.hashOnce(ctx, b, d, key)
		if err == nil && hashed == id {
			return &Blob{f, id.size}, nil
		}
		f.Close()
		if errors.Is(err, errWrongBytes) {
			return nil, s.damaged(ctx, d)
		} else if err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s changes all the time: does another program write to the store?", key)
}

// hashOnce hashes a blob for all who ask for it at the same time, and says which file it was. One who leaves does not end it for the
// others; a blob is hashed in seconds, so nobody counts who is left.
func (s *Store) hashOnce(ctx context.Context, b local, d Digest, key string) (identity, error) {
	done := s.proving.DoChan(key, func() (any, error) {
		f, err := b.File(key)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		before, err := identify(f, d)
		if err != nil {
			return nil, err
		}
		got, err := digest.SHA256.FromReader(f)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", key, err)
		}
		if got != d {
			return nil, errWrongBytes
		}
		if after, err := identify(f, d); err != nil || after != before {
			return after, err
		}
		s.proofs.add(before, s.now())
		return before, nil
	})
	select {
	case result := <-done:
		if result.Err != nil {
			return identity{}, result.Err
		}
		return result.Val.(identity), nil
	case <-ctx.Done():
		return identity{}, ctx.Err()
	}
}
