package environ

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// etc is every entry of /etc that builds are shown, where the machine has it, as
// patterns. Left out on purpose: whatever names the machine or its users (passwd,
// group, hosts, resolv.conf, machine-id, localtime: a sandbox has its own or
// none), what configures package installers and git, and ld.so.preload.
var etc = []string{
	"/etc/alternatives",   // cc, c++, java and others are links into it
	"/etc/clang",          // default options of clang on some systems
	"/etc/debian_version", // this and *-release: what configure scripts ask to know the system
	"/etc/java-*-openjdk", // links out of /usr/lib/jvm end there; java does not start without
	"/etc/ld.so.cache",    // the dynamic loader, ctypes.util.find_library
	"/etc/ld.so.conf",     // this and ld.so.conf.d: ld, for the libraries that libraries need
	"/etc/ld.so.conf.d",
	"/etc/*-release",
}

// etcShown is the entries of etc that there are, in order.
func (c Collector) etcShown() ([]string, error) {
	return c.glob(etc...)
}

// glob gives the paths that there are, in order of the patterns.
func (c Collector) glob(patterns ...string) ([]string, error) {
	var names []string
	for _, pattern := range patterns {
		found, err := filepath.Glob(globEscape(c.root) + pattern)
		if err != nil {
			return nil, err
		}
		for _, name := range found {
			names = append(names, name[len(c.root):])
		}
	}
	return names, nil
}

// system is the package database, what no package brought to /usr, and what of
// /usr/local and /etc is shown.
func (c Collector) system(ctx context.Context, h *hashes, in Interpreter, local []string) (Component, error) {
	text, owned, err := c.packages(ctx)
	if err != nil {
		return Component{}, err
	}
	text = append(text, local...)
	strays, err := c.strays(ctx, h, in, owned)
	if err != nil {
		return Component{}, err
	}
	text = append(text, strays...)
	shown, err := c.etcShown()
	if err != nil {
		return Component{}, err
	}
	for _, name := range shown {
		lines, err := c.lines(ctx, h, name, in)
		if err != nil {
			return Component{}, err
		}
		text = append(text, lines...)
	}
	return component(text), nil
}

// undocumented is what of /usr/share no build reads, and what package managers
// make anew with every installation there, in an order that is chance.
var undocumented = []string{"applications", "doc", "doc-base", "icons", "info", "man", "mime"}

// strays is the manifest of what no package owns in /usr, without /usr/local.
func (c Collector) strays(ctx context.Context, h *hashes, in Interpreter, owned map[string]bool) ([]string, error) {
	hidden, err := c.systemPackages(in)
	if err != nil {
		return nil, err
	}
	m := &mask{vouched: func(at string) bool {
		return owned[at] || slices.ContainsFunc(hidden, func(dir string) bool { return within(at, dir) })
	}}
	var lines []string
	for dir, without := range map[string][]string{"/usr": {"local", "share"}, "/usr/share": undocumented} {
		entries, err := os.ReadDir(c.host(dir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("environment: %w", err)
		}
		for _, e := range entries {
			if slices.Contains(without, e.Name()) {
				continue
			}
			at := path.Join(dir, e.Name())
			if m.vouched(at) && !e.IsDir() {
				continue
			}
			t, err := scan(ctx, c.host(at), at, m)
			if err != nil {
				return nil, fmt.Errorf("environment: %w", err)
			}
			more, err := t.lines(ctx, h, c.Progress)
			if err != nil {
				return nil, fmt.Errorf("environment: %w", err)
			}
			lines = append(lines, more...)
		}
	}
	return lines, nil
}

// systemPackages is the folders that are hidden in /usr where the interpreter is
// the system's: its distributions. A build's own environment does not see them,
// and installers other than the package manager's write there too.
func (c Collector) systemPackages(in Interpreter) ([]string, error) {
	if !in.isSystem() {
		return nil, nil
	}
	return c.glob("/usr/lib*/python3*/site-packages", "/usr/lib*/python3*/dist-packages")
}

// packages lists what the package manager has installed, and its files.
func (c Collector) packages(ctx context.Context) (lines []string, owned map[string]bool, err error) {
	if _, err := os.Stat(c.host("/var/lib/dpkg/status")); err == nil {
		return c.dpkg(ctx)
	}
	for _, db := range []string{"/usr/lib/sysimage/rpm", "/var/lib/rpm"} {
		if _, err := os.Stat(c.host(db)); err == nil {
			return c.rpm(ctx)
		}
	}
	return nil, nil, errors.New("environment: there is neither a dpkg nor an rpm database, so nothing says which system packages builds can read: " +
		"run the worker on such a system")
}

func (c Collector) dpkg(ctx context.Context) (lines []string, owned map[string]bool, err error) {
	out, err := output(ctx, "/usr/bin/dpkg-query", "--admindir="+c.host("/var/lib/dpkg"), "--show",
		"--showformat=${db:Status-Status} ${Package}:${Architecture} ${Version}\n")
	if err != nil {
		return nil, nil, err
	}
	for line := range strings.Lines(out) {
		status, rest, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch {
		case !ok:
			return nil, nil, fmt.Errorf("environment: dpkg-query says %q", line)
		case status == "not-installed" || status == "config-files":
			continue // no file outside /etc
		case status != "installed":
			rest += " (" + status + ")" // its files are there all the same
		}
		lines = append(lines, "package "+rest)
	}
	// dpkg-query would list files package by package. Of the diversions, where
	// a file was put aside for another package's, both names are owned.
	lists, err := filepath.Glob(filepath.Join(globEscape(c.host("/var/lib/dpkg/info")), "*.list"))
	if err != nil {
		return nil, nil, err
	}
	owned = map[string]bool{}
	for _, list := range append(lists, c.host("/var/lib/dpkg/diversions")) {
		b, err := os.ReadFile(list)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, fmt.Errorf("environment: %w", err)
		}
		own(owned, string(b))
	}
	return lines, owned, nil
}

func (c Collector) rpm(ctx context.Context) (lines []string, owned map[string]bool, err error) {
	query := []string{"--root", cmp.Or(c.root, "/"), "--query", "--all", "--queryformat"}
	out, err := output(ctx, "/usr/bin/rpm", append(query, `%{NAME}:%{ARCH} %|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\n`)...)
	if err != nil {
		return nil, nil, err
	}
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "gpg-pubkey:") {
			lines = append(lines, "package "+strings.TrimSuffix(line, "\n"))
		}
	}
	if out, err = output(ctx, "/usr/bin/rpm", append(query, `[%{FILENAMES}\n]`)...); err != nil {
		return nil, nil, err
	}
	owned = map[string]bool{}
	own(owned, out)
	return lines, owned, nil
}

// own adds the paths of a list, a line each. /bin and /lib are often links into
// /usr, and packages still list files in them.
func own(owned map[string]bool, list string) {
	for name := range strings.Lines(list) {
		name = strings.TrimSuffix(name, "\n")
		owned[name] = true
		if !within(name, "/usr") {
			owned["/usr"+name] = true
		}
	}
}

// output runs a program of the system in an empty environment.
func output(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	cmd.WaitDelay = time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	switch {
	case err != nil && ctx.Err() != nil:
		return "", fmt.Errorf("environment: %s: %w", name, context.Cause(ctx))
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("environment: the package database can't be read: %w: install that program", err)
	case err != nil:
		return "", fmt.Errorf("environment: %s: %w: %s", name, err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}
