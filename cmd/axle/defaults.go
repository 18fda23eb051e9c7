package main

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// The settings that a view without a settings folder has. Everything about single projects stands there, none of it in Go.
//
//go:embed defaults
var defaultsFS embed.FS

func defaultSettings() fs.FS {
	sub, err := fs.Sub(defaultsFS, "defaults")
	if err != nil {
		panic(err) // the folder is part of the program
	}
	return sub
}

type defaultsCmd struct {
	Dir string `arg:"" help:"Where to write them; must be empty or absent."`
}

func (c defaultsCmd) Run(s *streams) error {
	if entries, err := os.ReadDir(c.Dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty: name a new folder", c.Dir)
	}
	if err := os.CopyFS(c.Dir, defaultSettings()); err != nil {
		return fmt.Errorf("writing the default settings: %w", err)
	}
	_, err := fmt.Fprintf(s.err, "wrote %s; name it as `settings:` of a view in axle.yaml to use it\n", filepath.Clean(c.Dir))
	return err
}
