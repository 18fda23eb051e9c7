package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/python-wheel-build/axle/cmd/axle/command"
	"github.com/python-wheel-build/axle/cmd/axle/publish"
)

type defaultsCmd struct {
	Dir string `arg:"" help:"Where to write them; must be empty or absent."`
}

func (c defaultsCmd) Run(s *command.Streams) error {
	if entries, err := os.ReadDir(c.Dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty: name a new folder", c.Dir)
	}
	if err := os.CopyFS(c.Dir, publish.Defaults()); err != nil {
		return fmt.Errorf("writing the default settings: %w", err)
	}
	_, err := fmt.Fprintf(s.Err, "wrote %s; name it as `settings:` of a view in axle.yaml to use it\n", filepath.Clean(c.Dir))
	return err
}
