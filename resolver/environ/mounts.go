package environ

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
)

// Root is the file view that goes with the components: Collect hashes what it
// shows. in is what Collect gave. The view holds as long as nothing is installed
// on the machine; compute it again together with the components.
func (c Collector) Root(ctx context.Context, in Interpreter) (Root, error) {
	if err := c.check(); err != nil {
		return Root{}, err
	}
	r := Root{Env: maps.Clone(c.Env)}
	r.Mounts = append(r.Mounts, Mount{Kind: "bind", Source: c.host("/usr"), Target: "/usr"})
	for _, top := range []string{"/bin", "/lib", "/lib32", "/lib64", "/libx32", "/sbin"} {
		// Either a link into /usr, or, on older systems, packages' files too.
		m, err := c.entry(top)
		if err != nil {
			return Root{}, err
		}
		r.Mounts = append(r.Mounts, m...)
	}
	// Links below /usr/local are never followed, also not /usr/local itself.
	local, err := c.masked(ctx, "/usr/local", in)
	if err != nil {
		return Root{}, err
	}
	r.Mounts = append(r.Mounts, local.masks()...)
	hidden, err := c.systemPackages(in)
	if err != nil {
		return Root{}, err
	}
	for _, dir := range hidden {
		r.Mounts = append(r.Mounts, Mount{Kind: "tmpfs", Target: dir})
	}
	shown, err := c.etcShown()
	if err != nil {
		return Root{}, err
	}
	for _, name := range shown {
		m, err := c.entry(name)
		if err != nil {
			return Root{}, err
		}
		r.Mounts = append(r.Mounts, m...)
		if len(m) == 1 && m[0].Kind == "bind" {
			t, err := c.masked(ctx, name, in)
			if err != nil {
				return Root{}, err
			}
			r.Mounts = append(r.Mounts, t.masks()...)
		}
	}
	if !within(in.Prefix, "/usr") {
		t, err := c.masked(ctx, in.Prefix, in)
		if err != nil {
			return Root{}, err
		}
		r.Mounts = append(r.Mounts, t.mounts()...)
	}
	if in.alias != "" {
		r.Mounts = append(r.Mounts, Mount{Kind: "symlink", Source: in.Prefix, Target: in.alias})
	}
	for _, name := range slices.Sorted(maps.Keys(c.Paths)) {
		t, err := c.declared(ctx, name)
		if err != nil {
			return Root{}, err
		}
		r.Mounts = append(r.Mounts, t.mounts()...)
		if t.has("bin") {
			r.Path = append(r.Path, path.Join(t.at, "bin"))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Files)) {
		t, err := c.declaredFile(ctx, name)
		if err != nil {
			return Root{}, err
		}
		r.Mounts = append(r.Mounts, t.mounts()...)
	}
	r.Path = append(r.Path, "/usr/local/bin", "/usr/bin", "/bin")
	return r, nil
}

// entry shows one entry of the machine as it is: a link as a link. An absent one
// is not shown.
func (c Collector) entry(name string) ([]Mount, error) {
	host := c.host(name)
	fi, err := os.Lstat(host)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("environment: %w", err)
	case fi.Mode()&fs.ModeSymlink == 0:
		return []Mount{{Kind: "bind", Source: host, Target: name}}, nil
	}
	link, err := os.Readlink(host)
	if err != nil {
		return nil, fmt.Errorf("environment: %w", err)
	}
	return []Mount{{Kind: "symlink", Source: link, Target: name}}, nil
}

// mounts shows a tree.
func (t *tree) mounts() []Mount {
	return append([]Mount{{Kind: "bind", Source: t.top.host, Target: t.at}}, t.masks()...)
}

// masks hides what is hidden of a tree whose folder is shown already.
func (t *tree) masks() []Mount { return t.top.masks(t.at) }

func (n *node) masks(at string) []Mount {
	switch {
	case n.masked == 0 || !n.isDir():
		return nil
	case n.shown == 0:
		return []Mount{{Kind: "tmpfs", Target: at}}
	}
	// A file can't be taken out of a folder, only a folder put over it. One that
	// holds a hidden file is therefore made anew of what is shown of it.
	anew := slices.ContainsFunc(n.children, func(c *node) bool { return c.hidden && !c.isDir() })
	var ms []Mount
	if anew {
		ms = append(ms, Mount{Kind: "tmpfs", Target: at})
	}
	for _, child := range n.children {
		inside := path.Join(at, child.name)
		if anew {
			switch {
			case child.shown == 0 && child.masked > 0:
				continue
			case child.isLink():
				ms = append(ms, Mount{Kind: "symlink", Source: child.link, Target: inside})
			default:
				ms = append(ms, Mount{Kind: "bind", Source: child.host, Target: inside})
			}
		}
		ms = append(ms, child.masks(inside)...)
	}
	return ms
}

// has tells whether a folder of that name is shown at the top of the tree.
func (t *tree) has(name string) bool {
	return slices.ContainsFunc(t.top.children, func(c *node) bool { return c.name == name && c.isDir() && c.shown > 0 })
}
