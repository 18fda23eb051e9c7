// Package views is what the commands about views and names do in a store: find, compare for completeness, list.
package views

import (
	"context"
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"github.com/python-wheel-build/axle/resolver/names"
	"github.com/python-wheel-build/axle/resolver/view"
)

var prefixForm = regexp.MustCompile(`^[0-9a-f]{8,64}$`)

// Find finds the view that a person means: a name, @sha256:<hex>, @<hex>, or @ and at least the first 8 digits where they are those of
// one view only.
func Find(ctx context.Context, n *names.Names, text string) (*view.View, error) {
	hex, byDigest := strings.CutPrefix(text, "@")
	if !byDigest {
		found, err := n.Get(ctx, text)
		if err == nil {
			return found.View, nil
		}
		return nil, notFound(err, text, "`axle view list` has the names; a digest begins with @")
	}
	hex = strings.TrimPrefix(hex, "sha256:")
	if !prefixForm.MatchString(hex) {
		return nil, fmt.Errorf("%q is no view: want a name, or @ and at least the first 8 hexadecimal digits of a view's digest", text)
	}
	var found []*view.View
	for key, err := range n.Store.Keys(ctx, "blobs/sha256/"+hex[:2]+"/"+hex) {
		if err != nil {
			return nil, fmt.Errorf("looking for view %s: %w", text, err)
		}
		v, err := view.Load(ctx, n.Store, view.Digest("sha256:"+key[strings.LastIndexByte(key, '/')+1:]))
		if err != nil {
			if len(hex) == 64 {
				return nil, err
			}
			continue // some other blob
		}
		found = append(found, v)
	}
	switch len(found) {
	case 0:
		return nil, notFound(fs.ErrNotExist, text, "publish it first, or look with `axle view list` and `axle view history NAME`")
	case 1:
		return found[0], nil
	}
	return nil, fmt.Errorf("%s is the beginning of several views' digests, %s and %s among them: give more digits", text, found[0].Digest(), found[1].Digest())
}
