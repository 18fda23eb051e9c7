package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/python-wheel-build/axle/cmd/axle/command"
	"github.com/python-wheel-build/axle/cmd/axle/host"
	"github.com/python-wheel-build/axle/cmd/axle/pins"
	"github.com/python-wheel-build/axle/resolver/names"
	"github.com/python-wheel-build/axle/resolver/source"
	"github.com/python-wheel-build/axle/resolver/upstream"
)

type sourceCmd struct {
	List   sourceListCmd   `cmd:"" help:"List what was pinned: the bytes that versions are made from."`
	Accept sourceAcceptCmd `cmd:"" help:"Pin what upstream has today of a version, or go back to an earlier pin. Servers see it within a second."`
}

type sourceListCmd struct {
	What  string `arg:"" optional:"" name:"project[==version]" help:"Of this project or version only."`
	Store string `required:"" env:"AXLE_STORE" help:"Folder, or s3://bucket/prefix?endpoint=URL&region=NAME."`
	JSON  bool   `help:"Print JSON: a list of objects."`
}

// Run prints pins, of each source the oldest first; those that count no more are marked.
func (c sourceListCmd) Run(ctx context.Context, s *command.Streams) error {
	store, err := command.OpenStore(ctx, c.Store, true)
	if err != nil {
		return err
	}
	defer store.Close()
	return pins.List(ctx, &source.Sources{Store: store}, c.What, c.JSON, s.Out)
}

type sourceAcceptCmd struct {
	What   string `arg:"" name:"project==version" help:"The version whose source has changed."`
	Store  string `required:"" env:"AXLE_STORE" help:"Folder, or s3://bucket/prefix?endpoint=URL&region=NAME."`
	View   string `default:"default" help:"Name of a view of the store, or @digest: its indexes and repositories are asked."`
	SHA256 string `name:"sha256" placeholder:"HEX" help:"Take these bytes and no others. Those of an earlier pin are taken without asking upstream."`
	JSON   bool   `help:"Print JSON: an object."`
}

// Run accepts, and prints what was pinned before and what is now.
func (c sourceAcceptCmd) Run(ctx context.Context, s *command.Streams) error {
	store, err := command.OpenStore(ctx, c.Store, true)
	if err != nil {
		return err
	}
	defer store.Close()
	name, err := (&names.Names{Store: store}).Get(ctx, c.View)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("--view %s: the store has no view of that name or digest", c.View)
	}
	if err != nil {
		return err
	}
	netrc, err := host.Netrc()
	if err != nil {
		return err
	}
	sources := &source.Sources{Store: store, Git: host.Git(netrc), Upstream: &upstream.Client{Credentials: netrc.Credentials, Agent: "axle/" + command.Version()}}
	return pins.Accept(ctx, sources, name.View, c.What, c.SHA256, c.JSON, s.Out)
}
