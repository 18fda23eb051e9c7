// Command axle serves a content-addressed store of built Python wheels as a package index, and builds what is missing.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"
)

type cli struct {
	Serve      serveCmd      `cmd:"" help:"Serve the index and build what clients fetch and nobody has built yet."`
	Build      buildCmd      `cmd:"" help:"Have a server build wheels, and follow the log."`
	Explain    explainCmd    `cmd:"" help:"Say why a version is a hit or a miss: its recipe, and what differs from the nearest wheel there is."`
	Dependents dependentsCmd `cmd:"" help:"List what was built with a project."`
	Key        keyCmd        `cmd:"" help:"Print the digests by which a version's wheel is found: its recipe's, and the hit's inputs'."`
	Token      tokenCmd      `cmd:"" help:"Who may have things built, read and push: tokens of a store."`
	Source     sourceCmd     `cmd:"" help:"List pinned sources, or accept what has changed upstream."`
	Verify     verifyCmd     `cmd:"" help:"Read a whole store and report what is damaged. Changes nothing."`
	Defaults   defaultsCmd   `cmd:"" help:"Write the built-in settings folder to a directory, to read or to start your own from."`
	Version    versionCmd    `cmd:"" help:"Print the version."`
}

// streams are where a command talks: data to out, everything else to err.
type streams struct{ out, err io.Writer }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c cli
	k := kong.Parse(&c, kong.Name("axle"), kong.Vars{"workers": workersDefault()},
		kong.Description("A content-addressed store of built Python wheels with a package index in front."))
	k.BindTo(ctx, (*context.Context)(nil))
	if err := k.Run(&streams{os.Stdout, os.Stderr}); err != nil {
		fmt.Fprintf(os.Stderr, "axle: %v\n", err)
		stop()
		os.Exit(1)
	}
}

type versionCmd struct{}

func (versionCmd) Run(s *streams) error {
	_, err := fmt.Fprintln(s.out, "axle", version())
	return err
}

// version is the module's, as the Go tool recorded it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
