// Package pins has the commands `axle source list` and `axle source accept`.
package pins

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/cmd/axle/command"
	"github.com/python-wheel-build/axle/cmd/axle/views"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver/source"
)

// Cmd is `axle source`.
type Cmd struct {
	List   ListCmd   `cmd:"" help:"List what was pinned: the bytes that versions are made from."`
	Accept AcceptCmd `cmd:"" help:"Pin what upstream has today of a version, or go back to an earlier pin. Servers see it within a second."`
}

// ListCmd is `axle source list`.
type ListCmd struct {
	command.StoreFlags
	What string `arg:"" optional:"" name:"project[==version]" help:"Of this project or version only."`
}

// AcceptCmd is `axle source accept`.
type AcceptCmd struct {
	command.StoreFlags
	What   string `arg:"" name:"project==version" help:"The version whose source has changed."`
	View   string `default:"default" help:"A name or @digest: the indexes and repositories of this view are asked."`
	SHA256 string `name:"sha256" placeholder:"HEX" help:"Take these bytes and no others. Those of an earlier pin are taken without asking upstream."`
}

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

// Run prints pins, of each source the oldest first; those that count no more are marked.
func (c ListCmd) Run(ctx context.Context, s *command.Streams) error {
	var p dist.Project
	var ver *version.Version
	if c.What != "" {
		var err error
		if p, ver, err = parse(c.What); err != nil {
			return err
		}
	}
	o, err := c.Open(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	all, err := o.Catalog.Pins(ctx, p, ver)
	if err != nil {
		return err
	}
	list := make([]pinned, len(all))
	for i, pin := range all {
		list[i] = shown(pin.Source)
		list[i].Pinned, list[i].Superseded = pin.When, pin.Superseded
	}
	return c.Print(s.Out, list, func(w io.Writer) error {
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, p := range list {
			state := ""
			if p.Superseded {
				state = "  superseded"
			}
			fmt.Fprintf(table, "%s==%s\t%s\t%s\t%s\t%s\t%s%s\n", p.Project, p.Version, p.Kind, p.Index+p.Ref, command.Tame(p.Filename), p.what(),
				p.Pinned.Format(time.RFC3339), state)
		}
		return table.Flush()
	})
}

// Run accepts, see source.Sources.Accept, and prints what was pinned before and what is now.
func (c AcceptCmd) Run(ctx context.Context, s *command.Streams) error {
	p, ver, err := parse(c.What)
	if err != nil {
		return err
	}
	if ver == nil {
		return fmt.Errorf("%s: name the version, too: %s==VERSION", c.What, p)
	}
	var want cas.Digest
	if c.SHA256 != "" {
		want = digest.NewDigestFromEncoded(digest.SHA256, strings.TrimPrefix(c.SHA256, "sha256:"))
		if want.Validate() != nil {
			return fmt.Errorf("--sha256 %s: want 64 hexadecimal digits in lower case", c.SHA256)
		}
	}
	o, err := c.Open(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	v, err := views.Find(ctx, o.Names, c.View)
	if err != nil {
		return fmt.Errorf("--view: %w", err)
	}
	before, after, err := o.Catalog.Accept(ctx, v, p, *ver, want)
	if err != nil {
		return fmt.Errorf("%s==%s: %w", p, ver, err)
	}
	said := acceptance{Now: shown(after), Changed: before.SHA256 != after.SHA256 || before.Tree.Commit != after.Tree.Commit}
	if before.Pinned {
		was := shown(before)
		said.Before = &was
	}
	return c.Print(s.Out, said, func(w io.Writer) (err error) {
		_, err = fmt.Fprintf(w, "%s==%s: %s %s\n", p, ver, command.Tame(said.Now.Filename), said.text())
		return err
	})
}

// acceptance is what accepting did, as JSON shows it.
type acceptance struct {
	Before  *pinned `json:"before,omitempty"`
	Now     pinned  `json:"now"`
	Changed bool    `json:"changed"`
}

func (a acceptance) text() string {
	switch {
	case !a.Changed:
		return "is still " + a.Now.what() + ": nothing was changed"
	case a.Before == nil:
		return "was not pinned yet, now it is " + a.Now.what()
	}
	return "was " + a.Before.what() + ", now it is " + a.Now.what()
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
