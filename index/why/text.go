package why

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/python-wheel-build/axle/index/safe"
)

// Text is the answer for people: the verdict in the first line, "hit" or "miss: CAUSE", then the recipe as a tree, then why. Control
// characters are spelled out. It ends with a line end.
func (a *Answer) Text() string {
	t := &text{}
	t.line("%s", a.Verdict+a.cause())
	t.line("")
	t.line("%s %s in view @%s", a.Project, a.Version, short(a.View))
	if a.Recipe == "" {
		t.line("  its recipe is not known yet")
	} else {
		t.line("  recipe %s", a.Recipe)
		if file := a.Source.Filename; file != "" {
			t.line("  of %s %s, index %s", a.Source.Kind, file, a.Source.Index)
		}
		var inputs map[string]any
		if err := json.Unmarshal(a.Inputs, &inputs); err == nil {
			delete(inputs, "project") // said above
			delete(inputs, "version")
			t.indented("  ", func() { t.tree(inputs) })
		}
	}
	t.line("")
	if a.Hit != nil {
		t.line("the record")
		t.indented("  ", func() {
			if a.Hit.Recipe != a.Recipe {
				t.line("shared: filed under recipe %s, without the components that pure wheels don't depend on here", a.Hit.Recipe)
			}
			t.record(a.Hit)
		})
	} else {
		t.miss(a.Miss)
	}
	for _, twin := range a.Twins {
		t.line("built with other %s it came out byte-equal on %s (recipe %s): a candidate for share_pure", strings.Join(twin.Components, ", "),
			twin.When.Format(time.DateOnly), short(twin.Recipe))
	}
	if o := a.Against; o != nil {
		t.line("")
		t.line("in view @%s it is a %s%s", short(o.View), o.Verdict, o.Miss.cause())
		switch {
		case o.Recipe == "" || a.Recipe == "":
			t.line("  the recipes can't be compared: one is not known yet")
		case len(o.Differs) == 0:
			t.line("  its recipe there is the same")
		default:
			t.line("  from its recipe there to the one here:")
			t.indented("  ", func() { t.changes(o.Differs) })
		}
		switch {
		case o.Hit != nil && a.Hit != nil && o.Hit.SHA256 != a.Hit.SHA256:
			t.line("  its wheel there is another: sha256:%s", o.Hit.SHA256)
		case o.Hit != nil && a.Hit != nil:
			t.line("  its wheel there is the same")
		case o.Hit == nil:
			t.line("  why it is a miss there:")
			t.indented("    ", func() { t.miss(o.Miss) })
		}
	}
	return t.b.String()
}

func (m *Miss) cause() string {
	if m == nil || m.Cause == "" {
		return ""
	}
	return ": " + safe.Text(m.Cause)
}

// text collects lines.
type text struct {
	b      strings.Builder
	indent string
}

func (t *text) line(format string, args ...any) {
	for _, l := range strings.Split(safe.Text(fmt.Sprintf(format, args...)), "\n") {
		t.b.WriteString(strings.TrimRight(t.indent+l, " ") + "\n")
	}
}

func (t *text) indented(by string, do func()) {
	t.indent += by
	do()
	t.indent = t.indent[:len(t.indent)-len(by)]
}

// tree is a JSON object in lines: its leaves behind their names, what it holds below them.
func (t *text) tree(m map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		switch v := m[key].(type) {
		case map[string]any:
			t.line("%s", key)
			t.indented("  ", func() { t.tree(v) })
		case []any:
			t.line("%s", key)
			t.indented("  ", func() { t.list(v) })
		default:
			t.line("%s: %s", key, value(v))
		}
	}
}

// list is one of files, name and digest in a line each, or of anything.
func (t *text) list(all []any) {
	for _, e := range all {
		m, ok := e.(map[string]any)
		sha, isFile := m["sha256"].(string)
		switch {
		case ok && isFile && len(m) == 2:
			for key, name := range m {
				if key != "sha256" {
					t.line("%s %s", value(name), sha)
				}
			}
		default:
			t.line("%s", value(e))
		}
	}
}

// value is a text of one line as it is, and all else as JSON, so that no text looks like more lines of the tree.
func value(v any) string {
	if s, ok := v.(string); ok && !strings.Contains(s, "\n") {
		return s
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // what came of JSON goes back into it
	return strings.TrimSuffix(b.String(), "\n")
}

func (t *text) record(r *Record) {
	t.line("input %s", r.Input)
	t.line("wheel %s, %d bytes, sha256:%s", r.Filename, r.Size, r.SHA256)
	took := ""
	if r.Seconds != "" {
		took = ", in " + r.Seconds + " s"
	}
	t.line("made %s by %s%s", r.When.Format(time.RFC3339), r.Who, took)
	if r.URL != "" {
		t.line("url %s", r.URL)
	}
	if r.Log != "" {
		t.line("log %s", r.Log)
	}
	if len(r.Requirements) == 0 {
		t.line("with nothing in its build environment")
		return
	}
	t.line("with")
	for _, q := range r.Requirements {
		t.line("  %s %s sha256:%s", q.Project, q.Version, q.SHA256)
	}
}

// miss says why, and what of: the requirements of a requirement below it.
func (t *text) miss(m *Miss) {
	if m == nil {
		return
	}
	if m.Nearest != nil && len(m.Changes) > 0 {
		t.line("from the nearest record (recipe %s, made %s by %s) to today:", short(m.Nearest.Recipe), m.Nearest.When.Format(time.RFC3339), m.Nearest.Who)
		t.changes(m.Changes)
		return
	}
	if m.Nearest != nil {
		t.line("the nearest record (input %s, made %s by %s) has today's recipe: %s", short(m.Nearest.Input), m.Nearest.When.Format(time.RFC3339), m.Nearest.Who, m.Why)
	} else {
		t.line("%s", m.Why)
	}
	if m.Reason != "" {
		t.line("  revoked because: %s", m.Reason)
	}
	if len(m.Versions) > 0 {
		t.line("  versions that have records: %s", strings.Join(m.Versions, ", "))
	}
	for _, n := range m.Needs {
		today := "is a miss today"
		if n.Today != "" {
			today = "is sha256:" + short(n.Today) + " today"
		}
		t.line("  %s %s was sha256:%s and %s", n.Project, n.Version, short(n.SHA256), today)
		t.indented("    ", func() {
			if n.Miss == nil {
				t.line("which was told above")
			}
			t.miss(n.Miss)
		})
	}
}

func (t *text) changes(all []Change) {
	for _, c := range all {
		switch {
		case strings.Contains(c.Was+c.Is, "\n"):
			t.line("  %s %s", c.Path, c.How)
		case c.How == "added":
			t.line("  %s added: %s", c.Path, c.Is)
		case c.How == "removed":
			t.line("  %s removed: %s", c.Path, c.Was)
		default:
			t.line("  %s %s: %s -> %s", c.Path, c.How, c.Was, c.Is)
		}
		for _, l := range c.Lines {
			t.line("      %s", l)
		}
	}
}

// Text lists the dependents, a line each; what depends only through others says by which.
func (d *Dependents) Text() string {
	t := &text{}
	for _, one := range d.Dependents {
		how := ""
		if !one.Direct {
			var with []string
			for _, q := range one.With {
				with = append(with, q.Project+" "+q.Version)
			}
			how = " by " + strings.Join(with, ", ")
		}
		t.line("%s==%s sha256:%s%s", one.Project, one.Version, one.SHA256, how)
	}
	return t.b.String()
}

// Text is the recipe's digest and the input digest of the hit, or "-" where there is none, in one line.
func (k *Key) Text() string {
	input := k.Input
	if input == "" {
		input = "-"
	}
	return safe.Text(k.Recipe+" "+input) + "\n"
}
