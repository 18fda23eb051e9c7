package views

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/python-wheel-build/axle/cmd/axle/command"
	"github.com/python-wheel-build/axle/resolver/explain"
)

type diffCmd struct {
	command.StoreFlags
	Was string `arg:"" help:"A name or @digest."`
	Is  string `arg:"" help:"Another."`
}

// difference is a change as JSON has it.
type difference struct {
	Path  string   `json:"path"`
	How   string   `json:"how"`
	Was   string   `json:"was,omitempty"`
	Is    string   `json:"is,omitempty"`
	Lines []string `json:"lines,omitempty"`
}

// Run ends as diff(1) does.
func (c diffCmd) Run(ctx context.Context, s *command.Streams) error {
	differ, err := c.diff(ctx, s)
	switch {
	case err != nil:
		return command.Exit{Code: 2, Err: err}
	case differ:
		return command.Exit{Code: 1}
	}
	return nil
}

func (c diffCmd) diff(ctx context.Context, s *command.Streams) (differ bool, err error) {
	o, err := c.Open(ctx)
	if err != nil {
		return false, err
	}
	defer o.Close()
	was, err := Find(ctx, o.Names, c.Was)
	if err != nil {
		return false, err
	}
	is, err := Find(ctx, o.Names, c.Is)
	if err != nil {
		return false, err
	}
	changes, err := explain.Views(ctx, o.Store, was, is)
	if err != nil {
		return false, err
	}
	all := make([]difference, len(changes))
	for i, d := range changes {
		all[i] = difference{d.Path, d.How, d.Was, d.Is, d.Lines}
	}
	return len(all) > 0, c.Print(s.Out, all, func(w io.Writer) error {
		if len(all) > 0 {
			fmt.Fprintf(w, "--- @%s\n+++ @%s\n", was.Digest(), is.Digest())
		}
		for _, d := range all {
			fmt.Fprintln(w, command.Tame(d.text()))
		}
		return nil
	})
}

// text is the change as a person reads it: the lines that say what changed within, or else the values.
func (d difference) text() string {
	lines := d.Lines
	if lines == nil {
		for _, side := range []struct{ sign, value string }{{"-", d.Was}, {"+", d.Is}} {
			for line := range strings.Lines(side.value) {
				lines = append(lines, side.sign+strings.TrimSuffix(line, "\n"))
			}
		}
	}
	return strings.Join(append([]string{d.Path + " " + d.How}, lines...), "\n  ")
}
