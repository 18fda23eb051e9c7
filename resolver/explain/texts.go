package explain

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/lines"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/environ"
)

const (
	// mostLines is how many lines are told of one change, where it is one reason among others.
	mostLines = 16
	// maxText bounds the patches and components that are compared: a manifest of a large tree has tens of megabytes.
	maxText = 256 << 20
)

// fill adds the lines.
func (x *explainer) fill(ctx context.Context, changes []Change) (err error) {
	for i := range changes {
		if changes[i].Lines, err = linesOf(ctx, x.c.Store, changes[i], mostLines); err != nil {
			return err
		}
	}
	return nil
}

// linesOf says what changed within, in at most so many lines, where it is text or names texts that are in the store.
func linesOf(ctx context.Context, store *cas.Store, c Change, most int) ([]string, error) {
	if c.How != Edited {
		return nil, nil
	}
	component, isComponent := strings.CutPrefix(string(c.Cause), string(resolver.CauseEnvironment))
	was, is := c.Was, c.Is
	if c.Cause != resolver.CauseSource && isDigest(was) && isDigest(is) {
		var texts [2]string
		for i, d := range []string{was, is} {
			b, err := store.Bytes(ctx, cas.Digest(d), maxText)
			var damaged *cas.DamagedError
			if errors.Is(err, fs.ErrNotExist) || errors.As(err, &damaged) {
				return nil, nil // an image's digest, say, is that of no text; and without the text the digests have to do
			}
			if err != nil {
				return nil, err
			}
			texts[i] = string(b)
		}
		was, is = texts[0], texts[1]
	} else if isComponent {
		return nil, nil
	}
	if !isComponent {
		if !strings.Contains(was+is, "\n") {
			return nil, nil
		}
		return lines.Diff(was, is, most), nil
	}
	var all []string
	for _, l := range environ.Diff(environ.Set{component: {Value: c.Was, Text: []byte(was)}}, environ.Set{component: {Value: c.Is, Text: []byte(is)}}) {
		all = append(all, strings.TrimPrefix(l, component+": "))
	}
	return all, nil
}

func isDigest(s string) bool {
	_, err := digest.Parse(s)
	return err == nil && strings.HasPrefix(s, "sha256:")
}
