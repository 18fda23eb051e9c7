package environ

import (
	"maps"
	"slices"
	"strings"
)

// Mount is one line of what a sandbox shows. Lines are applied in order, so a later one may lie inside an
// earlier one or hide a part of it.
type Mount struct {
	Kind   string // "bind" (read-only) | "tmpfs" (empty, read-only) | "symlink" | "file" (read-only, holds Data)
	Source string // bind: the host path, links followed; symlink: the text of the link
	Target string // absolute path inside the sandbox
	Data   []byte
}

// Root is the file view of every sandbox of one environment: exactly the files that its components name.
type Root struct {
	Mounts []Mount
	Path   []string          // PATH inside, in order, without the build's own virtual environment
	Env    map[string]string // declared environment variables, set in every build
}

// Without is the view of a build that does not depend on these components: it is not shown the paths and files and not given the variables
// among them. Of others nothing is hidden.
func (r Root) Without(components []string) Root {
	own := Root{Env: maps.Clone(r.Env)}
	hidden := func(inside string) bool {
		return slices.ContainsFunc(components, func(c string) bool {
			kind, name, _ := strings.Cut(c, ":")
			return (kind == "path" || kind == "file") && within(inside, optFolder+"/"+name)
		})
	}
	for _, m := range r.Mounts {
		if !hidden(m.Target) {
			own.Mounts = append(own.Mounts, m)
		}
	}
	for _, dir := range r.Path {
		if !hidden(dir) {
			own.Path = append(own.Path, dir)
		}
	}
	for _, c := range components {
		if name, ok := strings.CutPrefix(c, "env:"); ok {
			delete(own.Env, name)
		}
	}
	return own
}
