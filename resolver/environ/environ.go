// Package environ names what a build on this machine can read, and says what a
// sandbox shows of it. [Collector.Collect] gives the named components that
// recipes hold; [Collector.Root] gives the exact file view. Both come from the
// same walk with the same masks, so that every byte a build can read is in its
// source, in a recorded requirement, or in a component.
//
// Taken on trust is what the package manager installed below /usr: package names
// and versions stand for it, and so does Python's bytecode of it. All else that is
// shown is hashed, also what was put into /usr by hand.
//
// Hidden from builds, and so in no component: site-packages and dist-packages of
// the interpreter and of /usr/local, whatever the distributions in them put
// elsewhere (their RECORD says so), virtual environments, __pycache__, and the
// test suite of the standard library. Installing a Python package on the machine
// therefore changes nothing. Kernel, host name, cores, users and time are never
// looked at.
package environ

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
)

// Component is one named part of the environment.
//
// Where Text is nil, Value is the whole of it ("linux-x86_64"). Else Text is
// sorted lines, each ended by a newline, and Value is "sha256:" and the hex
// digest of Text. A line is one of
//
//	package <name>:<arch> <version>
//	implementation|version|soabi <value>
//	<path> <mode, octal> <sha256, or -> [<link target>]
//
// The text of a component that a site's hook gave is whatever it gave.
//
// A path (or target) that holds a space, a quote or an unprintable byte is
// quoted as a Go string.
type Component struct {
	Value string
	Text  []byte
}

// Set is the components of an environment by name: "python", "platform",
// "libc", "system" or "image", "path:<name>", "file:<name>", "env:<name>"; a view adds "hook:<selector>".
type Set map[string]Component

// Collector says what to look at. The zero value of every field but Python is
// usable. A Collector is not changed by its methods; two at once are fine, also
// with the same Cache.
type Collector struct {
	// Python is the absolute path of the interpreter, of one of its virtual
	// environments, or of a launcher of it; all mean the base interpreter.
	Python string
	// Env holds the environment variables that were declared and are set. Each
	// is a component, and is set in every build.
	Env map[string]string
	// Sign holds variables that are components but are not set in builds.
	Sign map[string]string
	// Paths maps a name to the absolute path of a folder that builds see, whole
	// but for share/doc and read-only, at /opt/axle/<name>.
	Paths map[string]string
	// Files maps a name to the absolute path of a file that builds see, read-only,
	// at /opt/axle/<name>. Its content is in no component, only its hash.
	Files map[string]string
	// Image is the digest of the container image that this process runs in, as
	// whoever started it says; "" where nobody does. It stands for the packages of
	// the system, for /usr/local and /etc, none of which is looked at then.
	Image string
	// Cache is a file that remembers content hashes, "" for none. A hash in it
	// is used only while the file's inode, size, mtime and ctime are the same.
	// It is made when absent; one that can't be understood is replaced.
	Cache string
	// Progress, if not nil, is told while content is hashed: bytes done of the
	// bytes to hash in this folder, never by two goroutines at once.
	Progress func(folder string, done, total int64)

	root string // prefix of every path that is read, for tests
}

// Collect computes the components. It takes long only where much content was
// never hashed before (a gigabyte: seconds to a minute); see Cache.
// It fails when the interpreter can't be run or isn't CPython on glibc, when
// there is no package database, and when a file can't be read or changes while
// it is; it never leaves anything out silently.
func (c Collector) Collect(ctx context.Context) (Set, Interpreter, error) {
	if err := c.check(); err != nil {
		return nil, Interpreter{}, err
	}
	interp, err := c.Probe(ctx)
	if err != nil {
		return nil, Interpreter{}, err
	}
	set, err := c.collect(ctx, interp)
	return set, interp, err
}

// Probe asks the interpreter about itself and computes nothing else.
func (c Collector) Probe(ctx context.Context) (Interpreter, error) { return probe(ctx, c.Python) }

func (c Collector) collect(ctx context.Context, in Interpreter) (set Set, err error) {
	h := openHashes(c.Cache)
	defer func() { _ = h.save(err == nil) }() // a cache that can't be kept costs the next run time, and nothing else
	set = Set{
		"platform": {Value: in.platform},
		"libc":     {Value: "glibc-" + in.Target.Glibc},
	}
	var local []string
	if c.Image == "" || within(in.Prefix, "/usr/local") {
		if local, err = c.lines(ctx, h, "/usr/local", in); err != nil {
			return nil, err
		}
	}
	if set["python"], err = c.python(ctx, h, in, local); err != nil {
		return nil, err
	}
	if c.Image != "" {
		set["image"] = Component{Value: c.Image}
	} else if set["system"], err = c.system(ctx, h, in, local); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(c.Paths)) {
		t, err := c.declared(ctx, name)
		if err != nil {
			return nil, err
		}
		text, err := t.lines(ctx, h, c.Progress)
		if err != nil {
			return nil, fmt.Errorf("environment: path %s: %w", name, err)
		}
		set["path:"+name] = component(text)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Files)) {
		t, err := c.declaredFile(ctx, name)
		if err != nil {
			return nil, err
		}
		text, err := t.lines(ctx, h, c.Progress)
		if err != nil {
			return nil, fmt.Errorf("environment: file %s: %w", name, err)
		}
		set["file:"+name] = component(text)
	}
	for _, vars := range []map[string]string{c.Env, c.Sign} {
		for name, value := range vars {
			set["env:"+name] = Component{Value: value}
		}
	}
	return set, nil
}

// python is the interpreter's version and, where the package manager does not
// vouch for it, its content.
func (c Collector) python(ctx context.Context, h *hashes, in Interpreter, local []string) (Component, error) {
	lines := local
	switch {
	case in.isSystem():
		return Component{Value: fmt.Sprintf("%s %s %s", in.Target.Implementation, in.Target.PythonFullVersion, in.SOABI)}, nil
	case !within(in.Prefix, "/usr/local"):
		var err error
		if lines, err = c.lines(ctx, h, in.Prefix, in); err != nil {
			return Component{}, err
		}
	}
	text := []string{
		"implementation " + in.Target.Implementation,
		"version " + in.Target.PythonFullVersion,
		"soabi " + in.SOABI,
	}
	own := in.own()
	for _, line := range lines {
		if own == nil || slices.ContainsFunc(own, func(p string) bool { return strings.HasPrefix(strings.TrimPrefix(line, `"`), p) }) {
			text = append(text, line)
		}
	}
	if in.alias != "" {
		text = append(text, linkLine(in.alias, in.Prefix))
	}
	return component(text), nil
}

// lines is the manifest of a folder that is shown at its own path, with the
// masks for Python packages. An absent folder has none.
func (c Collector) lines(ctx context.Context, h *hashes, folder string, in Interpreter) ([]string, error) {
	t, err := c.masked(ctx, folder, in)
	if err != nil {
		return nil, err
	}
	text, err := t.lines(ctx, h, c.Progress)
	if err != nil {
		return nil, fmt.Errorf("environment: %w", err)
	}
	return text, nil
}

var (
	pathName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)
	envName  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

func (c Collector) check() error {
	if !filepath.IsAbs(c.Python) {
		return fmt.Errorf("environment: the interpreter %q is not an absolute path: give the path of a Python, such as /usr/bin/python3", c.Python)
	}
	for kind, named := range map[string]map[string]string{"path": c.Paths, "file": c.Files} {
		for name, p := range named {
			if !pathName.MatchString(name) {
				return fmt.Errorf("environment: %s %q: a name is lower-case letters, digits, '.', '_' and '-', since it is shown at /opt/axle/<name>", kind, name)
			}
			if !filepath.IsAbs(p) {
				return fmt.Errorf("environment: %s %s: %q is not absolute", kind, name, p)
			}
		}
	}
	for name := range c.Files {
		if _, both := c.Paths[name]; both {
			return fmt.Errorf("environment: file %s: a path has that name, too, and both are shown at /opt/axle/%s: choose another name", name, name)
		}
	}
	for _, vars := range []map[string]string{c.Env, c.Sign} {
		for name, value := range vars {
			if !envName.MatchString(name) || strings.ContainsRune(value, 0) {
				return fmt.Errorf("environment: %q is not an environment variable that can be declared", name)
			}
		}
	}
	for name := range c.Env {
		if name == "PATH" {
			return errors.New("environment: PATH can't be declared, it follows from what a build is shown: declare the tool's folder as a path instead (its bin goes on PATH)")
		}
		if _, ok := c.Sign[name]; ok {
			return fmt.Errorf("environment: %s is both declared for builds and a signature variable: remove one", name)
		}
	}
	return nil
}

// host is where a path of the machine is read.
func (c Collector) host(path string) string { return c.root + path }

// optFolder is where builds see declared trees and files.
const optFolder = "/opt/axle"

// declared is the tree of a path component, shown at /opt/axle/<name>.
func (c Collector) declared(ctx context.Context, name string) (*tree, error) {
	return c.shown(ctx, "path", name, c.Paths[name], "a folder", fs.FileMode.IsDir)
}

// declaredFile is the tree of one file that a file component is, shown at /opt/axle/<name>.
func (c Collector) declaredFile(ctx context.Context, name string) (*tree, error) {
	return c.shown(ctx, "file", name, c.Files[name], "a file", fs.FileMode.IsRegular)
}

// shown is the tree of what stands at a path, which may be a link to it.
func (c Collector) shown(ctx context.Context, kind, name, path, what string, is func(fs.FileMode) bool) (*tree, error) {
	real, err := filepath.EvalSymlinks(c.host(path))
	if err == nil {
		var fi os.FileInfo
		if fi, err = os.Stat(real); err == nil && !is(fi.Mode()) {
			err = fmt.Errorf("%s is not %s", path, what)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("environment: %s %s: %w: correct the declaration or install it", kind, name, err)
	}
	return scan(ctx, real, optFolder+"/"+name, nil)
}

func component(lines []string) Component {
	sort.Strings(lines)
	var b bytes.Buffer
	for _, l := range lines {
		b.WriteString(l)
		b.WriteByte('\n')
	}
	sum := sha256.Sum256(b.Bytes())
	return Component{Value: "sha256:" + hex.EncodeToString(sum[:]), Text: append([]byte{}, b.Bytes()...)}
}

// within tells whether path is dir or lies below it.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}
