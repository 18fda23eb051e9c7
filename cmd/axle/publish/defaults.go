package publish

import (
	"embed"
	"io/fs"
)

// The settings that a view without a settings folder has. Everything about single projects stands there, none of it in Go.
//
//go:embed defaults
var defaultsFS embed.FS

// Defaults is the built-in settings folder.
func Defaults() fs.FS {
	sub, err := fs.Sub(defaultsFS, "defaults")
	if err != nil {
		panic(err) // the folder is part of the program
	}
	return sub
}
