package sandbox

import (
	"maps"
	"os"
	"slices"
	"strconv"

	"github.com/python-wheel-build/axle/resolver/environ"
)

const (
	tmpSize = 2 << 30
	shmSize = 256 << 20
	memSize = 1 << 30 // of Command.Memory
)

// The only users inside; tools ask for the name and home of their own uid.
const (
	passwd = "root:x:0:0:root:/root:/bin/sh\nbuild:x:1000:1000:build:/build/home:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
	group  = "root:x:0:\nbuild:x:1000:\nnogroup:x:65534:\n"
)

// Without the network only the loopback is there, under its usual name and the machine's: builds run servers of their own on it.
const (
	hosts    = "127.0.0.1 localhost axle\n::1 localhost\n"
	nsswitch = "passwd: files\ngroup: files\nhosts: files\n"
)

// netFiles are what name resolution and TLS read; shown only with the network, where they exist.
var netFiles = []string{"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/ssl", "/etc/pki", "/etc/ca-certificates"}

// mounts is everything that the command sees of the host, in order; the work folder is not among them.
func mounts(root environ.Root, c Command) []environ.Mount {
	all := slices.Clone(root.Mounts)
	all = append(all,
		environ.Mount{Kind: "symlink", Source: "/tmp", Target: "/var/tmp"},
		environ.Mount{Kind: "file", Target: "/etc/passwd", Data: []byte(passwd)},
		environ.Mount{Kind: "file", Target: "/etc/group", Data: []byte(group)})
	if c.Network {
		for _, f := range netFiles {
			if _, err := os.Stat(f); err == nil {
				all = append(all, environ.Mount{Kind: "bind", Source: f, Target: f})
			}
		}
	} else {
		all = append(all,
			environ.Mount{Kind: "file", Target: "/etc/hosts", Data: []byte(hosts)},
			environ.Mount{Kind: "file", Target: "/etc/nsswitch.conf", Data: []byte(nsswitch)})
	}
	for _, b := range c.Binds {
		all = append(all, environ.Mount{Kind: "bind", Source: b.Source, Target: b.Target})
	}
	return all
}

// arguments are bwrap's options for the command. source says under which path bwrap finds a host path, data under which
// descriptor it reads bytes.
func arguments(list []environ.Mount, c Command, source func(string) string, data func([]byte) (fd int)) []string {
	args := []string{
		"--unshare-all", "--unshare-user", "--disable-userns", "--uid", "1000", "--gid", "1000",
		"--hostname", "axle", "--cap-drop", "ALL", "--die-with-parent", "--new-session", "--clearenv",
	}
	add := func(a ...string) { args = append(args, a...) }
	if c.Network {
		add("--share-net")
	}
	for _, k := range slices.Sorted(maps.Keys(c.Env)) {
		add("--setenv", k, c.Env[k])
	}
	add("--proc", "/proc", "--dev", "/dev",
		"--perms", "1777", "--size", strconv.Itoa(shmSize), "--tmpfs", "/dev/shm",
		"--perms", "1777", "--size", strconv.Itoa(tmpSize), "--tmpfs", "/tmp")
	var readonly []string
	for _, m := range list {
		switch m.Kind {
		case "bind":
			add("--ro-bind", source(m.Source), m.Target)
		case "tmpfs":
			// Later mounts may need a place made inside it; it becomes read-only in the end.
			add("--tmpfs", m.Target)
			readonly = append(readonly, m.Target)
		case "symlink":
			add("--symlink", m.Source, m.Target)
		case "file":
			add("--perms", "0444", "--ro-bind-data", strconv.Itoa(data(m.Data)), m.Target)
		}
	}
	add("--bind", source(c.Work), "/build", "--chdir", c.Dir)
	if c.Memory != "" {
		add("--size", strconv.Itoa(memSize), "--tmpfs", c.Memory)
	}
	for _, t := range readonly {
		add("--remount-ro", t)
	}
	add("--remount-ro", "/dev", "--remount-ro", "/")
	return args
}
