// Command axle serves a content-addressed store of built Python wheels as a package index, and builds what is missing.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/python-wheel-build/axle/cmd/axle/command"
	"github.com/python-wheel-build/axle/cmd/axle/pins"
	"github.com/python-wheel-build/axle/cmd/axle/views"
)

type cli struct {
	Serve      serveCmd      `cmd:"" help:"Serve the index and build what clients fetch and nobody has built yet."`
	Build      buildCmd      `cmd:"" help:"Have a server build wheels, and follow the log."`
	Explain    explainCmd    `cmd:"" help:"Say why a version is a hit or a miss: its recipe, and what differs from the nearest wheel there is."`
	Dependents dependentsCmd `cmd:"" help:"List what was built with a project."`
	Key        keyCmd        `cmd:"" help:"Print the digests by which a version's wheel is found: its recipe's, and the hit's inputs'."`
	Token      tokenCmd      `cmd:"" help:"Who may have things built, and read: tokens of a store."`
	Source     pins.Cmd      `cmd:"" help:"List pinned sources, or accept what has changed upstream."`
	Plan       views.PlanCmd `cmd:"" help:"Say what publishing a configuration would rebuild, why, and how long that took the last time. Changes nothing that is served."`
	View       views.Cmd     `cmd:"" help:"Publish views, point names to them, and compare them."`
	Verify     verifyCmd     `cmd:"" help:"Read a whole store and report what is damaged. Changes nothing."`
	Defaults   defaultsCmd   `cmd:"" help:"Write the built-in settings folder to a directory, to read or to start your own from."`
	Version    versionCmd    `cmd:"" help:"Print the version."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c cli
	k := kong.Parse(&c, kong.Name("axle"), kong.Vars{"workers": workersDefault()},
		kong.Description("A content-addressed store of built Python wheels with a package index in front."))
	k.BindTo(ctx, (*context.Context)(nil))
	err := k.Run(&command.Streams{Out: os.Stdout, Err: os.Stderr})
	if err == nil {
		return
	}
	ended := command.Exit{Code: 1, Err: err}
	errors.As(err, &ended)
	if ended.Err != nil {
		fmt.Fprintf(os.Stderr, "axle: %v\n", ended.Err)
	}
	stop()
	os.Exit(ended.Code)
}

type versionCmd struct{}

func (versionCmd) Run(s *command.Streams) error {
	_, err := fmt.Fprintln(s.Out, "axle", command.Version())
	return err
}
