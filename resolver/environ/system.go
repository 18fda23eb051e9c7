package environ

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
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
	var names []string
	for _, pattern := range etc {
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

// system is the package database, and what of /usr/local and /etc is shown.
func (c Collector) system(ctx context.Context, h *hashes, in Interpreter, local []string) (Component, error) {
	text, err := c.packages(ctx)
	if err != nil {
		return Component{}, err
	}
	text = append(text, local...)
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

// packages lists what the package manager has installed.
func (c Collector) packages(ctx context.Context) ([]string, error) {
	if _, err := os.Stat(c.host("/var/lib/dpkg/status")); err == nil {
		return c.dpkg(ctx)
	}
	for _, db := range []string{"/usr/lib/sysimage/rpm", "/var/lib/rpm"} {
		if _, err := os.Stat(c.host(db)); err == nil {
			return c.rpm(ctx)
		}
	}
	return nil, errors.New("environment: there is neither a dpkg nor an rpm database, so nothing says which system packages builds can read: " +
		"run the worker on such a system")
}

func (c Collector) dpkg(ctx context.Context) ([]string, error) {
	out, err := output(ctx, "/usr/bin/dpkg-query", "--admindir="+c.host("/var/lib/dpkg"), "--show",
		"--showformat=${db:Status-Status} ${Package}:${Architecture} ${Version}\n")
	if err != nil {
		return nil, err
	}
	var lines []string
	for line := range strings.Lines(out) {
		status, rest, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch {
		case !ok:
			return nil, fmt.Errorf("environment: dpkg-query says %q", line)
		case status == "not-installed" || status == "config-files":
			continue // no file outside /etc
		case status != "installed":
			rest += " (" + status + ")" // its files are there all the same
		}
		lines = append(lines, "package "+rest)
	}
	return lines, nil
}

func (c Collector) rpm(ctx context.Context) ([]string, error) {
	root := c.root
	if root == "" {
		root = "/"
	}
	out, err := output(ctx, "/usr/bin/rpm", "--root", root, "--query", "--all",
		"--queryformat", `%{NAME}:%{ARCH} %|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\n`)
	if err != nil {
		return nil, err
	}
	var lines []string
	for line := range strings.Lines(out) {
		if line = strings.TrimSuffix(line, "\n"); !strings.HasPrefix(line, "gpg-pubkey:") {
			lines = append(lines, "package "+line)
		}
	}
	return lines, nil
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
