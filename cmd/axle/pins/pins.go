// Package pins prints and moves the pins of sources for the command line.
package pins

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver/source"
	"github.com/python-wheel-build/axle/resolver/view"
)

// pinned is a pin as JSON shows it.
type pinned struct {
	Project    string            `json:"project"`
	Version    string            `json:"version"`
	Kind       string            `json:"kind"`
	Index      string            `json:"index,omitempty"`
	Filename   string            `json:"filename"`
	Ref        string            `json:"ref,omitempty"`
	Commit     string            `json:"commit,omitempty"`
	Submodules map[string]string `json:"submodules,omitempty"`
	SHA256     cas.Digest        `json:"sha256"`
	Size       int64             `json:"size"`
	Uploaded   time.Time         `json:"uploaded,omitzero"`
	Pinned     time.Time         `json:"pinned,omitzero"`
	Superseded bool              `json:"superseded,omitempty"`
}

func shown(s source.Source) pinned {
	return pinned{Project: string(s.Project), Version: s.Version.String(), Kind: s.How.Kind, Index: s.How.Index, Filename: s.How.Filename,
		Ref: s.How.Ref, Commit: s.Tree.Commit, Submodules: s.Tree.Submodules, SHA256: s.SHA256, Size: s.Size, Uploaded: s.Uploaded}
}

// what names the bytes for people.
func (p pinned) what() string {
	if p.Commit != "" {
		return string(p.SHA256) + " (commit " + p.Commit + ")"
	}
	return string(p.SHA256)
}

// List prints the pins of what, which is "", PROJECT or PROJECT==VERSION: of each source the oldest first.
func List(ctx context.Context, sources *source.Sources, what string, asJSON bool, w io.Writer) error {
	var p dist.Project
	var ver *version.Version
	if what != "" {
		var err error
		if p, ver, err = parse(what); err != nil {
			return err
		}
	}
	all, err := sources.Pins(ctx, p, ver)
	if err != nil {
		return err
	}
	list := make([]pinned, len(all))
	for i, pin := range all {
		list[i] = shown(pin.Source)
		list[i].Pinned, list[i].Superseded = pin.When, pin.Superseded
	}
	if asJSON {
		return printJSON(w, list)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, p := range list {
		state := ""
		if p.Superseded {
			state = "  superseded"
		}
		fmt.Fprintf(table, "%s==%s\t%s\t%s\t%s\t%s\t%s%s\n", p.Project, p.Version, p.Kind, p.Index+p.Ref, p.Filename, p.what(), p.Pinned.Format(time.RFC3339), state)
	}
	return table.Flush()
}

// Accept pins anew, see source.Sources.Accept, and prints what was pinned and what is now. sha256 is "", or the digest that is demanded.
func Accept(ctx context.Context, sources *source.Sources, v *view.View, what, sha256 string, asJSON bool, w io.Writer) error {
	p, ver, err := parse(what)
	if err != nil {
		return err
	}
	if ver == nil {
		return fmt.Errorf("%s: name the version, too: %s==VERSION", what, p)
	}
	var want cas.Digest
	if sha256 != "" {
		want = digest.NewDigestFromEncoded(digest.SHA256, strings.TrimPrefix(sha256, "sha256:"))
		if want.Validate() != nil {
			return fmt.Errorf("--sha256 %s: want 64 hexadecimal digits in lower case", sha256)
		}
	}
	before, after, err := sources.Accept(ctx, v, p, *ver, want)
	if err != nil {
		return fmt.Errorf("%s==%s: %w", p, ver, err)
	}
	was, is := shown(before), shown(after)
	same := before.SHA256 == after.SHA256 && before.Tree.Commit == after.Tree.Commit
	switch {
	case asJSON:
		answer := map[string]any{"now": is, "changed": !same}
		if before.Pinned {
			answer["before"] = was
		}
		return printJSON(w, answer)
	case same:
		_, err = fmt.Fprintf(w, "%s==%s: %s is still %s: nothing was changed\n", p, ver, is.Filename, is.what())
	case before.Pinned:
		_, err = fmt.Fprintf(w, "%s==%s: %s was %s, now it is %s\n", p, ver, is.Filename, was.what(), is.what())
	default:
		_, err = fmt.Fprintf(w, "%s==%s: %s was not pinned yet, now it is %s\n", p, ver, is.Filename, is.what())
	}
	return err
}

// parse reads PROJECT or PROJECT==VERSION.
func parse(s string) (dist.Project, *version.Version, error) {
	name, text, both := strings.Cut(s, "==")
	p, err := dist.ParseProject(strings.TrimSpace(name))
	if err != nil || !both {
		return p, nil, err
	}
	ver, err := version.Parse(strings.TrimSpace(text))
	return p, &ver, err
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
