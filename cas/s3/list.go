package s3

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/python-wheel-build/axle/cas"
)

// batch is how many keys a listing holds in memory and sorts, before it rather goes folder by folder.
const batch = 10_000

// List implements cas.Backend.
//
// The order of the server is not relied upon, nor is start-after: servers that keep folders list a/b before a-b, and skip by that order. So
// what lies below a prefix is read whole and sorted if it is not much; else one level of it is, and the same is done for each folder.
// Memory is that of one folder for each level, or of batch keys.
func (b *Backend) List(ctx context.Context, prefix, after string) iter.Seq2[cas.Info, error] {
	return func(yield func(cas.Info, error) bool) {
		l := &listing{b, ctx, after, batch, yield}
		l.walk(prefix)
	}
}

type listing struct {
	b     *Backend
	ctx   context.Context
	after string
	batch int
	yield func(cas.Info, error) bool
}

// walk yields the keys that start with prefix; false ends the listing.
func (l *listing) walk(prefix string) bool {
	// Nothing that starts with prefix comes after `after`.
	if prefix < l.after && !strings.HasPrefix(l.after, prefix) {
		return true
	}
	found, complete, err := l.ask(prefix, true)
	if err == nil && !complete {
		found, _, err = l.ask(prefix, false)
	}
	if err != nil {
		l.yield(cas.Info{}, l.b.fault("listing", prefix, err))
		return false
	}
	for _, info := range found {
		switch {
		case strings.HasSuffix(info.Key, "/"):
			if !l.walk(info.Key) {
				return false
			}
		case info.Key > l.after && cas.CheckKey(info.Key) == nil:
			if !l.yield(info, nil) {
				return false
			}
		}
	}
	return true
}

// ask gives, in order, all keys that start with prefix, or only the first ones when there are too many; or, not deep, those keys and
// folders (which end in a slash) that have no further slash after prefix, however many.
func (l *listing) ask(prefix string, deep bool) (found []cas.Info, complete bool, err error) {
	for object := range l.b.core.ListObjectsIter(l.ctx, l.b.bucket, minio.ListObjectsOptions{Prefix: l.b.prefix + prefix, Recursive: deep}) {
		if object.Err != nil {
			return nil, false, object.Err
		}
		key := strings.TrimPrefix(object.Key, l.b.prefix)
		if deep && len(found) == l.batch {
			return nil, false, nil
		}
		// Some servers show folders as objects, or read the prefix a// as a/.
		if key == "" || !strings.HasPrefix(key, prefix) || strings.HasSuffix(key, "/") && (deep || key == prefix) {
			continue
		}
		found = append(found, cas.Info{Key: key, Size: object.Size, ModTime: object.LastModified})
	}
	// A context that ends, ends the iteration without a word.
	if err := l.ctx.Err(); err != nil {
		return nil, false, err
	}
	slices.SortFunc(found, func(a, b cas.Info) int { return strings.Compare(a.Key, b.Key) })
	return found, true, nil
}
