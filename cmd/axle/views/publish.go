package views

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/python-wheel-build/axle/cmd/axle/command"
	"github.com/python-wheel-build/axle/cmd/axle/host"
	"github.com/python-wheel-build/axle/cmd/axle/publish"
	"github.com/python-wheel-build/axle/resolver/names"
	"github.com/python-wheel-build/axle/resolver/view"
	"github.com/python-wheel-build/axle/resolver/view/config"
)

// Cmd is `axle view`.
type Cmd struct {
	Publish  publishCmd  `cmd:"" help:"Make a view of a configuration, to be installed from by its digest, or by a name."`
	Show     showCmd     `cmd:"" help:"Print what a view says."`
	List     listCmd     `cmd:"" help:"List the names and what they point to, and the views that are lent without one."`
	History  historyCmd  `cmd:"" help:"List what a name has pointed to, the newest first."`
	Diff     diffCmd     `cmd:"" help:"Say how two views differ. Exits with 0 where they don't, with 1 where they do, with 2 where that can't be told."`
	Promote  promoteCmd  `cmd:"" help:"Point a name to a view."`
	Rollback rollbackCmd `cmd:"" help:"Point a name to what it pointed to before."`
	Retire   retireCmd   `cmd:"" help:"Stop serving a name. Its history and its views stay."`
}

// span is a length of time that may be given in days: 14d.
type span time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *span) UnmarshalText(b []byte) error {
	text := string(b)
	d, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16) // 179 years
		d = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || d <= 0 {
		return fmt.Errorf("%q is no length of time: want 14d or 12h", text)
	}
	*s = span(d)
	return nil
}

// configFlags choose a view of a configuration.
type configFlags struct {
	Config string `type:"existingfile" help:"axle.yaml with the view. Without it: that of this machine's python3, as axle serve has it."`
	View   string `help:"Which view of the configuration. Without it: the only one, or 'default'."`
	On     string `placeholder:"VIEW" help:"Take environment, Python and target from this view (a name or @digest) instead of this machine."`
}

// publish makes the view in the store. build is the policy of the configuration.
func (f configFlags) publish(ctx context.Context, o *command.Opened, s *command.Streams) (made publish.Published, err error) {
	p := publish.Publisher{Store: o.Store, Upstream: o.Catalog.Upstream, File: f.Config, Progress: s.Err,
		Say: func(message string) { fmt.Fprintln(s.Err, "axle:", message) }}
	configs, err := p.Configs(ctx)
	if err != nil {
		return made, err
	}
	name := f.View
	if known := slices.Sorted(maps.Keys(configs)); name == "" && len(known) == 1 {
		name = known[0]
	} else if name == "" {
		name = "default"
	}
	c, ok := configs[name]
	if !ok {
		return made, fmt.Errorf("%s has no view %s; choose one with --view: %s", f.Config, name, strings.Join(slices.Sorted(maps.Keys(configs)), ", "))
	}
	var on *view.View
	if f.On != "" {
		if on, err = Find(ctx, o.Names, f.On); err != nil {
			return made, err
		}
	}
	return p.Publish(ctx, name, c, on)
}

// decision is who decides something about a name, and why.
type decision struct {
	Who string `help:"Who decides this, for the history. Without it: user@host."`
	Why string `help:"Why, for the history."`
}

func (d decision) who() string {
	if d.Who == "" {
		return host.Who()
	}
	return d.Who
}

// buildFlag is a policy that is said anew, or stays.
type buildFlag struct {
	Build string `enum:",never,on-demand" default:"" placeholder:"never|on-demand" help:"What becomes of misses. Without it: what the configuration says, or as it is."`
}

func (f buildFlag) onDemand(otherwise bool) bool {
	if f.Build == "" {
		return otherwise
	}
	return f.Build != config.Never
}

type publishCmd struct {
	command.StoreFlags
	configFlags
	decision
	buildFlag
	Name string `help:"Point this name to the view. Without it the view is lent: it can be built for a while."`
	For  span   `placeholder:"14d" help:"How long a view without a name may be built on demand; hits are served for good."`
	URL  string `name:"url" env:"AXLE_SERVER" default:"http://127.0.0.1:8080" help:"The server of which URLs are printed."`
}

// published is what the command prints.
type published struct {
	View     view.Digest `json:"view"`
	Name     string      `json:"name,omitempty"`
	OnDemand bool        `json:"on_demand"`
	Until    *time.Time  `json:"until,omitempty"` // of a view without a name
	Simple   string      `json:"simple"`
	Cached   string      `json:"cached"`
}

func (c publishCmd) Run(ctx context.Context, s *command.Streams) error {
	if c.Name != "" {
		if err := config.CheckName(c.Name); err != nil {
			return fmt.Errorf("--name: %w", err)
		}
		if c.For != 0 {
			return errors.New("--for is for a view without a name: one with a name is built for as long as the name points to it")
		}
	}
	o, err := c.Open(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	made, err := c.publish(ctx, o, s)
	if err != nil {
		return err
	}
	digest := made.View.Digest()
	out := published{View: digest, Name: c.Name, OnDemand: c.onDemand(made.OnDemand)}
	at := "@" + string(digest)
	if c.Name != "" {
		at = c.Name
		last, err := o.Names.Newest(ctx, c.Name)
		if err != nil {
			return err
		}
		p := names.Pointer{Name: c.Name, View: digest, OnDemand: out.OnDemand, Origins: last.Origins, Who: c.who(), Why: c.Why}
		if err := point(ctx, o, last, p, s); err != nil {
			return err
		}
	} else {
		lent := time.Duration(c.For)
		if lent == 0 {
			lent = 14 * 24 * time.Hour
		}
		until := time.Now().Add(lent).UTC().Truncate(time.Second)
		out.Until = &until
		if err := o.Names.Lend(ctx, names.Lease{View: digest, OnDemand: out.OnDemand, Until: until, Who: c.who(), Why: c.Why}); err != nil {
			return err
		}
		if out.OnDemand {
			fmt.Fprintf(s.Err, "axle: misses are built until %s, hits are served for good\n", until.Format(time.RFC3339))
		}
	}
	root := strings.TrimSuffix(c.URL, "/") + "/view/" + at
	out.Simple, out.Cached = root+"/simple/", root+"/cached/simple/"
	return c.Print(s.Out, out, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "@%s\n%s\n%s\n", digest, out.Simple, out.Cached)
		return err
	})
}

type showCmd struct {
	command.StoreFlags
	View string `arg:"" help:"A name or @digest; the first 8 digits will do."`
}

// Run prints the view's own document: what was decided, and nothing else.
func (c showCmd) Run(ctx context.Context, s *command.Streams) error {
	o, err := c.Open(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	v, err := Find(ctx, o.Names, c.View)
	if err != nil {
		return err
	}
	document, err := v.Fields(ctx, o.Store)
	if err != nil {
		return err
	}
	return c.Print(s.Out, document, func(w io.Writer) error {
		text, err := yaml.Marshal(document)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "# @%s\n%s", v.Digest(), command.Tame(string(text)))
		return err
	})
}
