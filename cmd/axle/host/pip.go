// Package host knows what this machine is set to use: the indexes of pip, netrc, the registry of cargo, the Rust toolchain on PATH.
package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/python-wheel-build/axle/resolver/upstream"
)

// Index is an index as the configuration names it. The URL goes into views and documents; the user and password don't.
type Index struct {
	Name string
	URL  *url.URL      // without user and password
	User *url.Userinfo // nil none
}

// Login is the URL with its user and password, for [upstream.Client.Login].
func (n Index) Login() *url.URL {
	u := *n.URL
	u.User = n.User
	return &u
}

// PipIndexes are the indexes that pip of a Python is set to use, in pip's order: "main", then "extra1", "extra2", … without
// repetitions. pip is asked and its files are not read: only it knows which of its configuration files, sections and variables count,
// and what it uses when none does. Where that Python has no pip, another one on PATH is asked. No package is asked for, no network
// used.
func PipIndexes(ctx context.Context, python string) ([]Index, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var first error
	for _, pip := range [][]string{{python, "-m", "pip"}, {"python3", "-m", "pip"}, {"pip3"}, {"python", "-m", "pip"}, {"pip"}} {
		list, err := runPip(ctx, pip, "config", "list")
		if err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		return indexesOf(ctx, pip, pipSettings(list))
	}
	return nil, fmt.Errorf("no pip to ask for the package index (%w): name an upstream in the configuration, or install pip for %s", first, python)
}

// indexesOf turns pip's settings into indexes.
func indexesOf(ctx context.Context, pip []string, set map[string]string) ([]Index, error) {
	who := strings.Join(pip, " ")
	if slices.Contains([]string{"y", "yes", "t", "true", "on", "1"}, strings.ToLower(set["no-index"])) {
		return nil, fmt.Errorf("%s is set to use no package index (no-index): name an upstream in the configuration, or unset it", who)
	}
	main := set["index-url"]
	if main == "" {
		help, err := runPip(ctx, pip, "install", "--help")
		if err != nil {
			return nil, fmt.Errorf("asking %s for its package index: %w: name an upstream in the configuration", who, err)
		}
		m := defaultIndex.FindStringSubmatch(help)
		if m == nil {
			return nil, fmt.Errorf("%s install --help does not show a package index: name an upstream in the configuration", who)
		}
		main = m[1]
	}
	var found []Index
	for i, s := range append([]string{main}, strings.Fields(set["extra-index-url"])...) {
		key := "index-url"
		if i > 0 {
			key = "extra-index-url"
		}
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			shown := "" // what cannot be parsed may hold a password
			if err == nil {
				shown = " " + strconv.Quote(u.Redacted())
			}
			return nil, fmt.Errorf("%s's %s%s is not an http or https URL: name an upstream in the configuration", who, key, shown)
		}
		n := Index{Name: "main", URL: u, User: u.User}
		u.User, u.Fragment, u.RawFragment = nil, "", ""
		if slices.ContainsFunc(found, func(o Index) bool { return sameIndex(o.URL, u) }) {
			continue
		}
		if i > 0 {
			n.Name = fmt.Sprintf("extra%d", len(found))
		}
		found = append(found, n)
	}
	return found, nil
}

// defaultIndex finds the index that pip uses when nothing is set, in the help of "pip install" (as wide as one line).
var defaultIndex = regexp.MustCompile(`(?m)--index-url <url>.*\(default:? (\S+?)\)`)

func sameIndex(a, b *url.URL) bool {
	return strings.TrimSuffix(a.String(), "/") == strings.TrimSuffix(b.String(), "/")
}

// pipSettings reads "pip config list": what counts for "pip install", by pip's own order (global section, install section,
// environment) in which an empty value counts as none.
func pipSettings(list string) map[string]string {
	set := map[string]string{}
	for _, section := range []string{"global.", "install.", ":env:."} {
		for line := range strings.Lines(list) {
			rest, ok := strings.CutPrefix(strings.TrimSpace(line), section)
			if !ok {
				continue
			}
			key, value, ok := strings.Cut(rest, "=")
			if value, ok2 := pythonString(value); ok && ok2 && strings.TrimSpace(value) != "" {
				set[key] = strings.TrimSpace(value)
			}
		}
	}
	return set
}

// pythonString reads what Python's repr() wrote of a string; false if it is none.
func pythonString(s string) (string, bool) {
	if s == "" || s[0] != '\'' && s[0] != '"' {
		return "", false
	}
	quote, rest := s[0], s[1:]
	var b strings.Builder
	for rest != "" {
		if rest[0] == quote {
			return b.String(), rest[1:] == ""
		}
		r, _, tail, err := strconv.UnquoteChar(rest, quote)
		if err != nil {
			return "", false
		}
		b.WriteRune(r)
		rest = tail
	}
	return "", false
}

// runPip runs pip and returns what it prints.
func runPip(ctx context.Context, pip []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, pip[0], append(slices.Clone(pip[1:]), args...)...)
	// Help wraps at COLUMNS. PYTHONSAFEPATH: a pip.py in the folder we happen to stand in is not pip.
	cmd.Env = append(os.Environ(), "COLUMNS=10000", "NO_COLOR=1", "PYTHONIOENCODING=utf-8", "PYTHONSAFEPATH=1", "PIP_DISABLE_PIP_VERSION_CHECK=1")
	cmd.WaitDelay = time.Second
	var out, trouble bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &trouble
	if err := cmd.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(trouble.String()), "\n")
		return "", fmt.Errorf("%s %s: %w: %s", strings.Join(pip, " "), strings.Join(args, " "), err, lines[len(lines)-1])
	}
	return out.String(), nil
}

// Netrc reads the file that $NETRC names, else .netrc or _netrc of the home folder; none of those is no error.
func Netrc() (upstream.Netrc, error) {
	names := []string{os.Getenv("NETRC")}
	named := names[0] != ""
	if !named {
		home, err := os.UserHomeDir()
		if err != nil {
			return upstream.Netrc{}, nil // a service without a home
		}
		names = []string{filepath.Join(home, ".netrc"), filepath.Join(home, "_netrc")}
	}
	for _, name := range names {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) && !named {
			continue
		}
		if err != nil {
			return upstream.Netrc{}, fmt.Errorf("reading credentials: %w: make it readable, or unset NETRC", err)
		}
		defer f.Close()
		n, err := upstream.ParseNetrc(f)
		if err != nil {
			return upstream.Netrc{}, fmt.Errorf("%s: %w", name, err)
		}
		return n, nil
	}
	return upstream.Netrc{}, nil
}
