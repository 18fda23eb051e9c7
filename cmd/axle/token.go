package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/python-wheel-build/axle/cmd/axle/command"
	"github.com/python-wheel-build/axle/cmd/axle/host"
	"github.com/python-wheel-build/axle/resolver/tokens"
	"github.com/python-wheel-build/axle/resolver/view/config"
)

type tokenCmd struct {
	Create tokenCreateCmd `cmd:"" help:"Make a token, and print its secret, which is told this once."`
	List   tokenListCmd   `cmd:"" help:"List the tokens of a store."`
	Revoke tokenRevokeCmd `cmd:"" help:"Take a token back."`
}

type tokenCreateCmd struct {
	Store string        `required:"" env:"AXLE_STORE" help:"As axle serve has it."`
	Scope []string      `required:"" help:"What it is good for: read, build, or both with a comma."`
	Name  []string      `help:"Names of views that it is good for. Without: all, and views without a name."`
	For   time.Duration `help:"How long it is good, e.g. 720h. Without: until it is revoked."`
	Note  string        `help:"What it is for, for the list."`
}

func (c tokenCreateCmd) Run(ctx context.Context, s *command.Streams) error {
	return withTokens(ctx, c.Store, func(ts *tokens.Tokens) error {
		for _, name := range c.Name {
			if err := config.CheckName(name); err != nil {
				return fmt.Errorf("--name: %w", err)
			}
		}
		t := tokens.Token{Scopes: c.Scope, Names: c.Name, Note: c.Note, Who: host.Who()}
		if c.For < 0 {
			return fmt.Errorf("--for %s: a token can't end before it begins", c.For)
		}
		if c.For > 0 {
			t.Until = time.Now().Add(c.For).UTC().Truncate(time.Second)
		}
		secret, made, err := ts.Create(ctx, t)
		if err != nil {
			return err
		}
		fmt.Fprintf(s.Err, "token %s, good for %s; keep what follows, it is told this once\n", made.ID, strings.Join(made.Scopes, ", "))
		_, err = fmt.Fprintln(s.Out, secret)
		return err
	})
}

type tokenListCmd struct{ command.StoreFlags }

func (c tokenListCmd) Run(ctx context.Context, s *command.Streams) error {
	return withTokens(ctx, c.Store, func(ts *tokens.Tokens) error {
		all, err := ts.List(ctx)
		if err != nil {
			return err
		}
		return c.Print(s.Out, append([]tokens.Listed{}, all...), func(w io.Writer) error {
			table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "ID\tSCOPES\tVIEWS\tSTATE\tMADE\tNOTE")
			for _, t := range all {
				state := "good"
				switch {
				case t.Revoked != nil:
					state = "revoked " + t.Revoked.When.Format(time.DateOnly)
				case !t.Until.IsZero() && time.Now().After(t.Until):
					state = "ended " + t.Until.Format(time.DateOnly)
				case !t.Until.IsZero():
					state = "until " + t.Until.Format(time.DateOnly)
				}
				views := "all"
				if len(t.Names) > 0 {
					views = strings.Join(t.Names, ",")
				}
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s by %s\t%s\n", t.ID, strings.Join(t.Scopes, ","), command.Tame(views), state, t.When.Format(time.DateOnly), command.Tame(t.Who), command.Tame(t.Note))
			}
			return table.Flush()
		})
	})
}

type tokenRevokeCmd struct {
	ID    string `arg:"" help:"As axle token list has it."`
	Store string `required:"" env:"AXLE_STORE" help:"As axle serve has it."`
	Why   string `help:"The reason, for the list."`
}

func (c tokenRevokeCmd) Run(ctx context.Context, s *command.Streams) error {
	return withTokens(ctx, c.Store, func(ts *tokens.Tokens) error {
		return ts.Revoke(ctx, c.ID, tokens.Revocation{Who: host.Who(), Why: c.Why})
	})
}

func withTokens(ctx context.Context, spec string, do func(*tokens.Tokens) error) error {
	store, err := command.OpenStore(ctx, spec, true)
	if err != nil {
		return err
	}
	defer store.Close()
	return do(&tokens.Tokens{Store: store})
}
