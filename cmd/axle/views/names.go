package views

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/python-wheel-build/axle/cmd/axle/command"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/names"
	"github.com/python-wheel-build/axle/resolver/view"
)

// point moves a name for a person, and says what it was before. Nothing is written where it points there already.
func point(ctx context.Context, o *command.Opened, last names.Entry, p names.Pointer, s *command.Streams) error {
	if len(p.Origins) == 0 && !p.Retired() { // a new name, or one whose pointer is damaged, admits what it is first pointed to
		v, err := view.Load(ctx, o.Store, p.View)
		if err != nil {
			return err
		}
		p.Origins = v.Origins
	}
	if last.View == p.View && last.OnDemand == p.OnDemand && last.Err == nil && slices.Equal(last.Origins, p.Origins) {
		fmt.Fprintf(s.Err, "axle: %s is that already\n", p.Name)
		return nil
	}
	_, err := o.Names.Point(ctx, last, p)
	if errors.Is(err, names.ErrMoved) {
		return fmt.Errorf("%w; look with `axle view history %s`, and run the command again if it is still right", err, p.Name)
	}
	if err != nil {
		return err
	}
	before := called(last.Pointer)
	switch {
	case last.Err != nil:
		before = "what can't be read"
	case last.Who == "":
		before = "nothing"
	}
	fmt.Fprintf(s.Err, "axle: %s was %s and is %s; servers on this store see it within a second\n", p.Name, before, called(p))
	return nil
}

// called is what a pointer points to, in a word.
func called(p names.Pointer) string {
	if p.Retired() {
		return "retired"
	}
	return "@" + string(p.View)
}

type promoteCmd struct {
	command.StoreFlags
	decision
	buildFlag
	View            string `arg:"" help:"The view: @digest, of which the first 8 digits will do, or another name."`
	As              string `required:"" placeholder:"NAME" help:"The name to point to it."`
	RequireComplete bool   `help:"Refuse unless each version that is a hit in the name's present view is one in the new view."`
	Requirement     string `short:"r" type:"existingfile" placeholder:"FILE" help:"Refuse unless each NAME==VERSION in this file is a hit in the new view."`
}

func (c promoteCmd) Run(ctx context.Context, s *command.Streams) error {
	o, err := c.Open(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	next, err := Find(ctx, o.Names, c.View)
	if err != nil {
		return err
	}
	last, err := o.Names.Newest(ctx, c.As)
	if err != nil {
		return err
	}
	var demanded []resolver.Pin
	if c.RequireComplete {
		present, err := Find(ctx, o.Names, c.As)
		if err != nil {
			return fmt.Errorf("--require-complete compares with what the name holds now: %w", err)
		}
		if demanded, err = Held(ctx, o.Catalog, present); err != nil {
			return err
		}
	}
	if c.Requirement != "" {
		pins, err := Pins(c.Requirement, next)
		if err != nil {
			return err
		}
		demanded = append(demanded, pins...)
	}
	missing, err := Incomplete(ctx, o.Catalog, next, demanded)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		err := c.Print(s.Out, missing, func(w io.Writer) error {
			for _, m := range missing {
				fmt.Fprintln(w, command.Tame(m.Pin+": "+m.Why))
			}
			return nil
		})
		return errors.Join(err, fmt.Errorf("%s stays as it is: %d of %d versions are no hits in @%s; `axle build --view @%[4]s` builds them", c.As, len(missing), len(demanded), next.Digest()))
	}
	p := names.Pointer{Name: c.As, View: next.Digest(), OnDemand: c.onDemand(last.OnDemand || last.View == ""), Origins: last.Origins, Who: c.who(), Why: c.Why}
	switch {
	case c.Build != "":
	case last.Err != nil:
		return fmt.Errorf("%w; then --build must say what becomes of misses, too", last.Err)
	case last.Who != "" && last.Retired():
		return fmt.Errorf("the name %s is retired: say with --build what becomes of misses, or take it back with `axle view rollback %[1]s`", c.As)
	}
	if err := point(ctx, o, last, p, s); err != nil {
		return err
	}
	return c.Print(s.Out, p, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "@%s\n", p.View)
		return err
	})
}

type rollbackCmd struct {
	command.StoreFlags
	decision
	Name string `arg:"" help:"The name."`
	To   string `placeholder:"@DIGEST" help:"Which of the views that it pointed to. Without it: the one before."`
}

// Run takes a name back to an earlier entry of its history, with the policy that it had then.
func (c rollbackCmd) Run(ctx context.Context, s *command.Streams) error {
	o, err := c.Open(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	var to view.Digest
	if c.To != "" {
		v, err := Find(ctx, o.Names, c.To)
		if err != nil {
			return fmt.Errorf("--to: %w", err)
		}
		to = v.Digest()
	}
	last, found := names.Entry{}, false
	for e, err := range o.Names.History(ctx, c.Name) {
		if err == nil {
			err = e.Err
		}
		if err != nil {
			return err
		}
		if last.Name == "" {
			last = e
		}
		if found = !e.Retired() && (to == "" && e.View != last.View || e.View == to); found {
			p := e.Pointer
			p.Who, p.Why, p.From = c.who(), c.Why, ""
			if err := point(ctx, o, last, p, s); err != nil {
				return err
			}
			return c.Print(s.Out, p, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "@%s\n", p.View)
				return err
			})
		}
	}
	switch {
	case last.Name == "":
		return fmt.Errorf("there is no name %s in this store: `axle view list` has the names", c.Name)
	case to != "":
		return fmt.Errorf("%s never pointed to @%s: `axle view promote @%s --as %[1]s` points it there", c.Name, to, to)
	}
	return fmt.Errorf("%s has pointed to nothing else: there is nothing to go back to", c.Name)
}

type retireCmd struct {
	command.StoreFlags
	decision
	Name string `arg:"" help:"The name."`
}

func (c retireCmd) Run(ctx context.Context, s *command.Streams) error {
	o, err := c.Open(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	last, err := o.Names.Newest(ctx, c.Name)
	switch {
	case err != nil:
		return err
	case last.Err == nil && last.Retired():
		return fmt.Errorf("there is no name %s in this store: `axle view list` has the names", c.Name)
	}
	p := names.Pointer{Name: c.Name, Origins: last.Origins, Who: c.who(), Why: c.Why}
	return point(ctx, o, last, p, s)
}

// entry is a line of a list. View is a pointer's or a lease's.
type entry struct {
	Name     string      `json:"name,omitempty"`
	View     view.Digest `json:"view,omitempty"`
	OnDemand bool        `json:"on_demand"`
	Since    *time.Time  `json:"since,omitempty"`
	Until    *time.Time  `json:"until,omitempty"` // of a lease
	Who      string      `json:"who,omitempty"`
	Why      string      `json:"why,omitempty"`
	From     string      `json:"from,omitempty"`
	Problem  string      `json:"problem,omitempty"`
}

func entryOf(e names.Entry) entry {
	if e.Err != nil {
		return entry{Name: e.Name, Problem: e.Err.Error()}
	}
	return entry{Name: e.Name, View: e.View, OnDemand: e.OnDemand, Since: &e.When, Who: e.Who, Why: e.Why, From: e.From}
}

// cells are the line as a table shows it.
func (e entry) cells() string {
	if e.Problem != "" {
		return command.Tame(e.Name + "\t" + e.Problem)
	}
	at, builds, name := "retired", "never", e.Name
	if e.View != "" {
		at = "@" + strings.TrimPrefix(string(e.View), "sha256:")[:12]
	}
	if e.OnDemand {
		builds = "on-demand"
	}
	if name == "" {
		name = "-"
	}
	until := ""
	if e.Until != nil {
		until = e.Until.Format(time.RFC3339)
	}
	why := e.Why
	if e.From != "" {
		why = strings.TrimSpace(why + " (" + e.From + ")")
	}
	oneLine := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	return command.Tame(strings.Join([]string{name, at, builds, e.Since.Format(time.RFC3339), until, oneLine(e.Who), oneLine(why)}, "\t"))
}

func table(f command.StoreFlags, w io.Writer, entries []entry) error {
	return f.Print(w, entries, func(w io.Writer) error {
		t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
		fmt.Fprintln(t, "NAME\tVIEW\tMISSES\tSINCE\tUNTIL\tWHO\tWHY")
		for _, e := range entries {
			fmt.Fprintln(t, e.cells())
		}
		return t.Flush()
	})
}

type listCmd struct{ command.StoreFlags }

// Run lists all that can be read, and fails where something can't.
func (c listCmd) Run(ctx context.Context, s *command.Streams) error {
	o, err := c.Open(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	all, err := o.Names.All(ctx)
	if err != nil {
		return err
	}
	entries := []entry{}
	var unreadable []error
	for _, e := range all {
		entries = append(entries, entryOf(e))
		unreadable = append(unreadable, e.Err)
	}
	leases, err := o.Names.Leases(ctx)
	unreadable = append(unreadable, err)
	for _, l := range leases {
		entries = append(entries, entry{View: l.View, OnDemand: l.OnDemand, Since: &l.When, Until: &l.Until, Who: l.Who, Why: l.Why})
	}
	return errors.Join(append([]error{table(c.StoreFlags, s.Out, entries)}, unreadable...)...)
}

type historyCmd struct {
	command.StoreFlags
	Name string `arg:"" help:"The name."`
}

func (c historyCmd) Run(ctx context.Context, s *command.Streams) error {
	o, err := c.Open(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	var entries []entry
	var unreadable []error
	for e, err := range o.Names.History(ctx, c.Name) {
		if err != nil {
			return err
		}
		entries = append(entries, entryOf(e))
		unreadable = append(unreadable, e.Err)
	}
	if len(entries) == 0 {
		return fmt.Errorf("there is no name %s in this store: `axle view list` has the names", c.Name)
	}
	return errors.Join(append([]error{table(c.StoreFlags, s.Out, entries)}, unreadable...)...)
}
