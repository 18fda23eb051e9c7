package environ

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// tree is a folder as sandboxes show it. Manifest and mounts are both read off
// it, which is what makes them agree.
type tree struct {
	at  string // path inside
	top *node
}

// node is one entry of a tree. A hidden folder's content is not looked at.
type node struct {
	name, host string
	link       string // target of a symbolic link
	stat       stamp
	mode       uint32
	hidden     bool
	children   []*node // of a folder, by name
	shown      int     // files and links below that are not hidden, itself included
	masked     int     // entries below that are hidden, itself included
}

// stamp says that a file has not been written since.
type stamp struct {
	ino                uint64
	size, mtime, ctime int64
}

func (n *node) isDir() bool  { return n.mode&syscall.S_IFMT == syscall.S_IFDIR }
func (n *node) isLink() bool { return n.mode&syscall.S_IFMT == syscall.S_IFLNK }
func (n *node) isFile() bool { return n.mode&syscall.S_IFMT == syscall.S_IFREG }

// mask says what of a folder is not shown because Python packages come and go.
// A nil mask hides __pycache__ only, and a declared tree's share/doc: no build
// reads it, and most of a Rust toolchain is that.
type mask struct {
	in    Interpreter
	owned map[string]bool // paths inside that installed distributions name
	// vouched, if not nil, makes it the mask of /usr, and says which files there
	// the package manager stands for: they are left out. Packages bring folders
	// that only root can enter; those are left out too where this process can't,
	// since a build has no more rights.
	vouched func(at string) bool
}

// masked scans a folder that is shown at its own path. An absent one is empty.
func (c Collector) masked(ctx context.Context, folder string, in Interpreter) (*tree, error) {
	t, err := scan(ctx, c.host(folder), folder, &mask{in: in, owned: map[string]bool{}})
	if errors.Is(err, fs.ErrNotExist) {
		if _, serr := os.Lstat(c.host(folder)); errors.Is(serr, fs.ErrNotExist) {
			return &tree{at: folder, top: &node{host: c.host(folder), mode: syscall.S_IFDIR}}, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("environment: %w", err)
	}
	return t, nil
}

// scan reads the names below host, without following links.
func scan(ctx context.Context, host, at string, m *mask) (*tree, error) {
	fi, err := os.Lstat(host)
	if err != nil {
		return nil, err
	}
	top, err := newNode(host, path.Base(at), fi)
	if err != nil {
		return nil, err
	}
	if err := m.walk(ctx, top, at); err != nil {
		return nil, err
	}
	if err := m.count(top, at); err != nil {
		return nil, err
	}
	return &tree{at: at, top: top}, nil
}

func newNode(host, name string, fi fs.FileInfo) (*node, error) {
	st := fi.Sys().(*syscall.Stat_t)
	n := &node{name: name, host: host, mode: st.Mode, stat: stampOf(st)}
	if n.isLink() {
		var err error
		if n.link, err = os.Readlink(host); err != nil {
			return nil, err
		}
	}
	return n, nil
}

func stampOf(st *syscall.Stat_t) stamp {
	return stamp{ino: st.Ino, size: st.Size, mtime: st.Mtim.Nano(), ctime: st.Ctim.Nano()}
}

func (m *mask) walk(ctx context.Context, n *node, at string) error {
	if !n.isDir() {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := os.ReadDir(n.host)
	if m != nil && m.vouched != nil && errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return unreadable(err)
	}
	for _, e := range entries {
		inside := path.Join(at, e.Name())
		if m != nil && m.vouched != nil && !e.IsDir() && m.vouched(inside) {
			continue
		}
		fi, err := e.Info()
		if err != nil {
			return unreadable(err)
		}
		child, err := newNode(filepath.Join(n.host, e.Name()), e.Name(), fi)
		if err != nil {
			return unreadable(err)
		}
		n.children = append(n.children, child)
		if child.isDir() {
			if child.hidden, err = m.hidesFolder(child, inside, at); err != nil {
				return err
			}
			if !child.hidden {
				if err := m.walk(ctx, child, inside); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// count decides on files, once every RECORD below has been read, and sums up.
func (m *mask) count(n *node, at string) error {
	for _, child := range n.children {
		if !child.isDir() {
			var err error
			if child.hidden, err = m.hidesFile(child, path.Join(at, child.name)); err != nil {
				return err
			}
		}
	}
	n.hideLinks()
	for _, child := range n.children {
		inside := path.Join(at, child.name)
		if err := m.count(child, inside); err != nil {
			return err
		}
		n.shown += child.shown
		n.masked += child.masked
	}
	switch {
	case n.hidden:
		n.masked++
	case !n.isDir():
		n.shown++
	}
	return nil
}

// hideLinks hides the links of a folder that lead to a hidden file of it: pip is
// a link to pip3.11 here and a script there.
func (n *node) hideLinks() {
	hidden := map[string]bool{}
	for _, c := range n.children {
		hidden[c.name] = c.hidden && !c.isDir()
	}
	for again := true; again; {
		again = false
		for _, c := range n.children {
			if c.isLink() && !c.hidden && hidden[c.link] {
				c.hidden, hidden[c.name], again = true, true, true
			}
		}
	}
}

func (m *mask) hidesFolder(n *node, at, parent string) (bool, error) {
	if n.name == "__pycache__" {
		return true, nil
	}
	if m == nil { // a declared tree
		doc, err := path.Match(optFolder+"/*/share/doc", at)
		return doc, err
	}
	if m.vouched != nil {
		return false, nil
	}
	if isPackages(at, parent) {
		return true, m.readRecords(n.host, at)
	}
	// Tests of the standard library are half of its files, and distributions
	// leave them out.
	if n.name == "test" && slices.Contains(m.in.stdlib, parent) {
		return true, nil
	}
	_, err := os.Lstat(filepath.Join(n.host, "pyvenv.cfg"))
	return err == nil, nil
}

// isPackages tells a folder such as lib/python3.11/site-packages.
func isPackages(at, parent string) bool {
	base := path.Base(at)
	return (base == "site-packages" || base == "dist-packages") && strings.HasPrefix(path.Base(parent), "python")
}

func (m *mask) hidesFile(n *node, at string) (bool, error) {
	if m == nil || m.vouched != nil || at == m.in.Executable {
		return false, nil
	}
	if m.owned[at] {
		// No distribution can hide a part of the interpreter.
		return !slices.ContainsFunc(m.in.stdlib, func(dir string) bool { return within(at, dir) }), nil
	}
	if n.isFile() && n.mode&0o111 != 0 && path.Dir(at) == m.in.Prefix+"/bin" {
		return runsPython(n.host, m.in.Prefix+"/bin/python")
	}
	return false, nil
}

// runsPython tells whether the first line of a script names a Python that
// begins with bin: an entry point of something no RECORD speaks of.
func runsPython(host, bin string) (bool, error) {
	f, err := os.Open(host)
	if err != nil {
		return false, unreadable(err)
	}
	defer f.Close()
	head := make([]byte, 2+len(bin)+1)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, unreadable(err)
	}
	rest, ok := bytes.CutPrefix(head[:n], []byte("#!"))
	return ok && bytes.HasPrefix(bytes.TrimLeft(rest, " "), []byte(bin)), nil
}

// readRecords notes what the distributions installed in a packages folder put
// outside of it: scripts, data, headers (PEP 376: paths relative to the folder).
func (m *mask) readRecords(host, at string) error {
	records, err := filepath.Glob(filepath.Join(globEscape(host), "*.dist-info", "RECORD"))
	if err != nil {
		return err
	}
	for _, record := range records {
		f, err := os.Open(record)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed since, as pip does
		}
		if err != nil {
			return unreadable(err)
		}
		s := bufio.NewScanner(f)
		s.Buffer(nil, 1<<20)
		for s.Scan() {
			if name := recordPath(s.Text()); strings.HasPrefix(name, "../") {
				m.owned[path.Join(at, name)] = true
			} else if strings.HasPrefix(name, "/") {
				m.owned[path.Clean(name)] = true
			}
		}
		f.Close()
		if err := s.Err(); err != nil {
			return fmt.Errorf("%s: %w: reinstall that distribution", record, err)
		}
	}
	return nil
}

// recordPath is the first field of a line of CSV.
func recordPath(line string) string {
	quoted, ok := strings.CutPrefix(line, `"`)
	if !ok {
		name, _, _ := strings.Cut(line, ",")
		return name
	}
	var b strings.Builder
	for {
		part, rest, found := strings.Cut(quoted, `"`)
		b.WriteString(part)
		if !found || !strings.HasPrefix(rest, `"`) {
			return b.String()
		}
		b.WriteByte('"')
		quoted = rest[1:]
	}
}

func globEscape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

// lines is the manifest of what is shown: files and links, not folders.
func (t *tree) lines(ctx context.Context, h *hashes, progress func(string, int64, int64)) ([]string, error) {
	var files []*node
	t.top.each(t.at, func(n *node, _ string) {
		if n.isFile() {
			files = append(files, n)
		}
	})
	var told func(done, total int64)
	if progress != nil {
		told = func(done, total int64) { progress(t.at, done, total) }
	}
	sums, err := h.all(ctx, files, told)
	if err != nil {
		return nil, err
	}
	lines := make([]string, 0, t.top.shown)
	t.top.each(t.at, func(n *node, at string) {
		if n.isLink() {
			lines = append(lines, linkLine(at, n.link))
			return
		}
		sum := "-" // a device, a pipe or a socket has no content
		if n.isFile() {
			sum = sums[n]
		}
		lines = append(lines, fmt.Sprintf("%s %o %s", quote(at), n.mode, sum))
	})
	return lines, nil
}

func linkLine(at, target string) string {
	return fmt.Sprintf("%s %o - %s", quote(at), syscall.S_IFLNK|0o777, quote(target))
}

func (n *node) each(at string, f func(*node, string)) {
	if n.hidden {
		return
	}
	if !n.isDir() {
		f(n, at)
	}
	for _, child := range n.children {
		child.each(path.Join(at, child.name), f)
	}
}

func quote(s string) string {
	if q := strconv.Quote(s); len(q) != len(s)+2 || strings.ContainsRune(s, ' ') || s == "" {
		return q
	}
	return s
}

// unreadable makes an error about a file one that says what to do.
func unreadable(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: builds could be shown it, so it must be read: make it readable or remove it", err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: it went away while it was looked at: wait until nothing is being installed, then try again", err)
	}
	return err
}
