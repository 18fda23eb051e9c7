package disk

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/python-wheel-build/axle/cas"
)

// List implements cas.Backend. Its memory is that of one folder for each level. Files whose names are no keys are passed over.
func (b *Backend) List(ctx context.Context, prefix, after string) iter.Seq2[cas.Info, error] {
	return func(yield func(cas.Info, error) bool) {
		l := &listing{b, ctx, prefix, after, yield}
		// What doesn't lie in the prefix's own folder is not asked for: the folders above may have thousands of others in them.
		folder := prefix[:strings.LastIndexByte(prefix, '/')+1]
		if top := strings.TrimSuffix(folder, "/"); folder != "" && (cas.CheckKey(top) != nil || top == tmp || strings.HasPrefix(top, tmp+"/")) {
			return // no key starts so
		}
		l.walk(folder)
	}
}

type listing struct {
	b             *Backend
	ctx           context.Context
	prefix, after string
	yield         func(cas.Info, error) bool
}

// walk yields what lies below the folder key, which is "" or ends in a slash; false ends the listing.
func (l *listing) walk(folder string) bool {
	if err := l.ctx.Err(); err != nil {
		return l.fail(err)
	}
	// ReadDir orders by file name: 'a' before 'a-b'. But the keys in folder a go as 'a/…', and 'a-b' comes before those.
	entries, err := os.ReadDir(filepath.Join(l.b.dir, filepath.FromSlash(folder)))
	if err != nil {
		return errors.Is(absent(err), fs.ErrNotExist) || l.fail(err)
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		name := e.Name()
		if l.isFolder(folder, e) {
			name += "/"
		}
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		key := folder + name
		if sub, ok := strings.CutSuffix(key, "/"); ok {
			if !l.wants(key) || cas.CheckKey(sub) != nil || sub == tmp {
				continue
			}
			if !l.walk(key) {
				return false
			}
			continue
		}
		if !strings.HasPrefix(key, l.prefix) || key <= l.after || cas.CheckKey(key) != nil {
			continue
		}
		info, err := l.b.Stat(l.ctx, key)
		if errors.Is(err, fs.ErrNotExist) { // removed meanwhile, or no regular file
			continue
		} else if err != nil {
			return l.fail(err)
		}
		if !l.yield(info, nil) {
			return false
		}
	}
	return true
}

// wants says whether the folder can hold keys that are asked for.
func (l *listing) wants(folder string) bool {
	if !strings.HasPrefix(folder, l.prefix) && !strings.HasPrefix(l.prefix, folder) {
		return false
	}
	return folder > l.after || strings.HasPrefix(l.after, folder)
}

// isFolder follows links: an operator may have put a part of the store elsewhere in the same file system.
func (l *listing) isFolder(folder string, e os.DirEntry) bool {
	if e.Type()&fs.ModeSymlink == 0 {
		return e.IsDir()
	}
	info, err := os.Stat(filepath.Join(l.b.dir, filepath.FromSlash(folder+e.Name())))
	return err == nil && info.IsDir()
}

func (l *listing) fail(err error) bool {
	l.yield(cas.Info{}, err)
	return false
}
