package explain

import (
	"context"
	"strings"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/lines"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/view"
)

// mostViewLines is how many lines are told of one change of a view: whole patches, of the usual size.
const mostViewLines = 1000

// Views gives every difference between two views, by path: `settings.foo.env.CC`, `patches.foo[fix.patch]`, `constraints`,
// `environment.system`. Lists are told by their lines. There is none where the two are the same view.
func Views(ctx context.Context, store *cas.Store, was, is *view.View) ([]Change, error) {
	var trees [2]map[string]any
	for i, v := range []*view.View{was, is} {
		var err error
		if trees[i], err = v.Fields(ctx, store); err != nil {
			return nil, err
		}
		spread(trees[i])
	}
	var d differ
	d.walk(nil, trees[0], trees[1])
	for i, c := range d.changes {
		var err error
		if c.Cause == resolver.CausePatches && (c.How == Added || c.How == Removed) {
			// What a patch says is what was added.
			var text []byte
			text, err = store.Bytes(ctx, cas.Digest(c.Was+c.Is), maxText)
			before, after := "", string(text)
			if c.How == Removed {
				before, after = after, before
			}
			d.changes[i].Lines = lines.Diff(before, after, mostViewLines)
		} else {
			d.changes[i].Lines, err = linesOf(ctx, store, c, mostViewLines)
		}
		if err != nil {
			return nil, err
		}
	}
	return d.changes, nil
}

// spread makes a view's fields comparable place by place: patches by what they are for, and lists of texts as text.
func spread(fields map[string]any) {
	if list, ok := fields["patches"].([]any); ok {
		patches := map[string]any{}
		for _, e := range list {
			m := e.(map[string]any) // the document was read as a view's before
			of := m["project"].(string)
			if v, ok := m["version"].(string); ok {
				of += "==" + v
			}
			those, _ := patches[of].([]any)
			patches[of] = append(those, map[string]any{"name": m["name"], "sha256": m["sha256"]})
		}
		fields["patches"] = patches
	}
	if list, ok := fields["indexes"].([]any); ok { // their order counts
		for i, e := range list {
			m := e.(map[string]any)
			list[i] = m["name"].(string) + " " + m["url"].(string)
		}
	}
	for key, value := range fields {
		fields[key] = joined(value)
	}
}

// joined gives a list of texts as one text with a line each, at whatever depth.
func joined(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key, value := range v {
			v[key] = joined(value)
		}
	case []any:
		var b strings.Builder
		for _, e := range v {
			text, ok := e.(string)
			if !ok {
				return value
			}
			b.WriteString(text + "\n")
		}
		return b.String()
	}
	return value
}
