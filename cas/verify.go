package cas

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// Finding is one thing that Verify found wrong.
type Finding struct {
	Key     string
	Problem string // in words
}

// Verify reads the whole store: it hashes every blob, checks every document's checksum, and names keys that belong to no part of the
// layout. It changes nothing; quarantine/ is passed over. Each finding goes to report, and progress is called after each key with the
// number of keys done so far; both are called from this goroutine, and progress may be nil. What can't be read is a finding too; the error is for a listing that fails
// or a context that ends. Memory is bounded by one document.
func (s *Store) Verify(ctx context.Context, progress func(done int, key string), report func(Finding)) error {
	done := 0
	for info, err := range s.b.List(ctx, "", "") {
		if err != nil {
			return fmt.Errorf("listing the store: %w", err)
		}
		if problem := s.inspect(ctx, info.Key); problem != "" {
			if err := ctx.Err(); err != nil {
				return err
			}
			report(Finding{info.Key, problem})
		}
		done++
		if progress != nil {
			progress(done, info.Key)
		}
	}
	return ctx.Err()
}

// inspect says what is wrong at key, "" when nothing is.
func (s *Store) inspect(ctx context.Context, key string) string {
	if strings.HasPrefix(key, "quarantine/") {
		return ""
	}
	var err error
	if d, ok := blobDigest(key); ok {
		var got Digest
		if got, err = s.copy(ctx, key, io.Discard); err == nil && got != d {
			return "damaged blob: its bytes hash to " + got.String()
		}
	} else if key == formatKey || checkDocument(key) == nil {
		var text []byte
		if text, err = readAll(ctx, s.b, key, maxDocument); err == nil {
			if _, err := checkText(text); err != nil {
				return "damaged document: " + err.Error()
			}
		}
	} else {
		return "foreign: it belongs to no part of the layout"
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) { // removed since it was listed
		return ""
	}
	return "can't be read: " + err.Error()
}
