package git

import (
	"archive/tar"
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// Top is the folder of the archive that holds all.
	Top = "source"

	maxEntries    = 200_000
	maxSubmodules = 200 // of all depths together
	maxLink       = 4096
)

// When is the time of every file. A zip can't hold an earlier one, and some backends put the times of files into their wheel.
var When = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// Tar fetches the repository and writes its tree as a tar: entries in the order of their names below the folder Top, times, owners and
// modes (0644, 0755) always the same, links kept, folders only where they are empty. So the same tree with the same submodules gives the
// same bytes, whoever fetches it and whenever. Scratch is an existing folder for what is needed meanwhile. After an error w holds anything.
func (c *Client) Tar(ctx context.Context, from Repository, scratch string, w io.Writer) (Tree, error) {
	u, err := ParseURL(from.URL)
	if err != nil {
		return Tree{}, fmt.Errorf("the repository's address: %w", err)
	}
	if err := CheckRef(from.Ref); err != nil {
		return Tree{}, err
	}
	dir, err := os.MkdirTemp(scratch, "git-")
	if err != nil {
		return Tree{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // what is left is scratch
	g := gathering{client: c, dir: dir, submodules: map[string]string{}}
	commit, err := g.add(ctx, u, from.Ref, "", from.Submodules)
	if err != nil {
		return Tree{}, err
	}
	if err := g.write(ctx, w); err != nil {
		return Tree{}, fmt.Errorf("reading %s at %s: %w", u, commit, err)
	}
	found := Tree{Commit: commit, Submodules: g.submodules}
	if len(found.Submodules) == 0 {
		found.Submodules = nil
	}
	return found, nil
}

// gathering is the making of one tree out of several repositories.
type gathering struct {
	client     *Client
	dir        string
	fetched    int
	files      []placed
	packed     int64 // bytes fetched so far
	bytes      int64 // of files so far
	submodules map[string]string
}

// placed is an entry with its place in the whole tree.
type placed struct {
	entry
	in *repository
}

// add puts a repository's tree at a path of the whole ("" is the top), and the submodules of it that lie at or below one of want.
func (g *gathering) add(ctx context.Context, from *url.URL, ref, at string, want []string) (commit string, err error) {
	g.fetched++
	r, commit, err := g.client.fetch(ctx, filepath.Join(g.dir, strconv.Itoa(g.fetched)), from, ref, g.client.maxBytes()-g.packed)
	if err != nil {
		return "", err
	}
	packed, err := r.packed()
	if err != nil {
		return "", err
	}
	g.packed += packed
	out, err := r.run(ctx, "ls-tree", "-r", "-z", "-l", "--full-tree", commit)
	if err != nil {
		return "", err
	}
	entries, err := parseTree(out)
	if err != nil {
		return "", fmt.Errorf("the tree of %s at %s: %w", from, commit, err)
	}
	var links []entry
	for _, e := range entries {
		if e.mode == gitlink && slices.ContainsFunc(want, func(p string) bool { return p == "." || p == e.path || strings.HasPrefix(e.path, p+"/") }) {
			links = append(links, e)
			continue
		}
		g.bytes += e.size
		e.path = path.Join(at, e.path)
		g.files = append(g.files, placed{e, r})
	}
	switch {
	case len(g.files) > maxEntries:
		return "", fmt.Errorf("%s at %s has more than %d files", from, commit, maxEntries)
	case g.bytes > g.client.maxBytes():
		return "", fmt.Errorf("the files of %s at %s have more than %d bytes", from, commit, g.client.maxBytes())
	}
	for _, p := range want {
		if p != "." && !slices.ContainsFunc(links, func(e entry) bool { return e.path == p || strings.HasPrefix(e.path, p+"/") }) {
			return "", fmt.Errorf("%s at %s has no submodule at %s: correct the path, or leave it out", from, commit, p)
		}
	}
	if len(links) == 0 {
		return commit, nil
	}
	out, err = r.run(ctx, "config", "-z", "--no-includes", "--blob="+commit+":.gitmodules", "--list")
	if err != nil {
		return "", fmt.Errorf("%s at %s has submodules and no .gitmodules that can be read: %w", from, commit, err)
	}
	addresses := parseModules(out)
	for _, e := range links {
		whole := path.Join(at, e.path)
		address, ok := addresses[e.path]
		if !ok {
			return "", fmt.Errorf("%s at %s: submodule %s: .gitmodules does not say where it is", from, commit, whole)
		}
		u, err := below(from, address)
		if err != nil {
			return "", fmt.Errorf("%s at %s: submodule %s: %w", from, commit, whole, err)
		}
		if g.fetched > maxSubmodules {
			return "", fmt.Errorf("submodule %s: it is one of more than %d", whole, maxSubmodules)
		}
		if _, err := g.add(ctx, u, e.object, whole, All); err != nil {
			return "", fmt.Errorf("submodule %s: %w", whole, err)
		}
		g.submodules[whole] = e.object
	}
	return commit, nil
}

// write writes all files in the order of their paths.
func (g *gathering) write(ctx context.Context, w io.Writer) error {
	slices.SortFunc(g.files, func(a, b placed) int { return cmp.Compare(a.path, b.path) })
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	readers := map[*repository]*objects{}
	defer func() {
		cancel() // ends their processes
		for _, o := range readers {
			_ = o.wait()
		}
	}()
	out := tar.NewWriter(w)
	for _, f := range g.files {
		head := &tar.Header{Name: path.Join(Top, f.path), ModTime: When, Format: tar.FormatPAX}
		if f.mode == gitlink {
			head.Typeflag, head.Mode, head.Name = tar.TypeDir, 0o755, head.Name+"/"
			if err := out.WriteHeader(head); err != nil {
				return err
			}
			continue
		}
		from := readers[f.in]
		if from == nil {
			var err error
			if from, err = f.in.objects(ctx); err != nil {
				return err
			}
			readers[f.in] = from
		}
		if err := from.open(f.entry); err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
		body := io.LimitReader(from.out, f.size)
		head.Typeflag, head.Mode, head.Size = tar.TypeReg, 0o644, f.size
		switch f.mode {
		case executable:
			head.Mode = 0o755
		case symlink:
			target, err := io.ReadAll(body)
			if err != nil {
				return err
			}
			head.Typeflag, head.Mode, head.Size, head.Linkname = tar.TypeSymlink, 0o777, 0, string(target)
		}
		if err := out.WriteHeader(head); err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
		if head.Typeflag == tar.TypeReg {
			if _, err := io.Copy(out, body); err != nil {
				return fmt.Errorf("%s: %w", f.path, err)
			}
		}
		if end, err := from.out.ReadByte(); err != nil || end != '\n' {
			return fmt.Errorf("%s: git gave less than it said", f.path)
		}
	}
	return out.Close()
}

// objects is a running `git cat-file --batch`.
type objects struct {
	in   io.WriteCloser
	out  *bufio.Reader
	wait func() error
}

func (r *repository) objects(ctx context.Context) (*objects, error) {
	cmd := r.command(ctx, "cat-file", "--batch")
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &objects{in, bufio.NewReaderSize(out, 64<<10), cmd.Wait}, nil
}

// open has the bytes of a blob come next.
func (o *objects) open(e entry) error {
	if _, err := io.WriteString(o.in, e.object+"\n"); err != nil {
		return err
	}
	line, err := o.out.ReadString('\n')
	if err != nil {
		return err
	}
	if want := fmt.Sprintf("%s blob %d\n", e.object, e.size); line != want {
		return fmt.Errorf("git says %q where %q was expected", line, want)
	}
	return nil
}

// Modes of entries.
const (
	file       = "100644"
	executable = "100755"
	symlink    = "120000"
	gitlink    = "160000" // a submodule
)

// entry is one line of `git ls-tree`.
type entry struct {
	mode, object, path string
	size               int64
}

// parseTree reads what `git ls-tree -r -z -l` prints of a stranger's tree: <mode> <type> <object> <size>\t<path>\0. Paths are relative and
// plain: what no checkout would make is refused.
func parseTree(out []byte) ([]entry, error) {
	var all []entry
	seen := map[string]bool{}
	for line := range bytes.SplitSeq(out, []byte{0}) {
		if len(line) == 0 {
			continue
		}
		head, name, ok := strings.Cut(string(line), "\t")
		f := strings.Fields(head)
		if !ok || len(f) != 4 || !commitForm.MatchString(f[2]) {
			return nil, fmt.Errorf("git lists %q, which is not understood", line)
		}
		e := entry{mode: f[0], object: f[2], path: name}
		if e.mode == "100664" { // written by old versions of git
			e.mode = file
		}
		switch e.mode {
		case file, executable, symlink:
			n, err := strconv.ParseInt(f[3], 10, 64)
			if err != nil || n < 0 || f[1] != "blob" {
				return nil, fmt.Errorf("git lists %q, which is not understood", line)
			}
			if e.size = n; e.mode == symlink && n > maxLink {
				return nil, fmt.Errorf("%q is a link to a name of %d bytes", name, n)
			}
		case gitlink:
		default:
			return nil, fmt.Errorf("%q has the mode %s: it is no file, link or submodule", name, e.mode)
		}
		for part := range strings.SplitSeq(name, "/") {
			if part == "" || part == "." || part == ".." || strings.EqualFold(part, ".git") {
				return nil, fmt.Errorf("%q is no name of a file that git would check out", name)
			}
		}
		if seen[name] {
			return nil, fmt.Errorf("%q stands in it twice", name)
		}
		seen[name] = true
		all = append(all, e)
	}
	return all, nil
}

// parseModules reads what `git config -z --list` prints of a stranger's .gitmodules, <key>\n<value>\0, and gives the addresses by path.
func parseModules(out []byte) map[string]string {
	type module struct{ path, url string }
	modules := map[string]module{}
	for line := range bytes.SplitSeq(out, []byte{0}) {
		key, value, _ := strings.Cut(string(line), "\n")
		name, ok := strings.CutPrefix(key, "submodule.")
		dot := strings.LastIndexByte(name, '.')
		if !ok || dot < 0 {
			continue
		}
		m := modules[name[:dot]]
		switch name[dot:] {
		case ".path":
			m.path = strings.TrimSuffix(value, "/")
		case ".url":
			m.url = value
		}
		modules[name[:dot]] = m
	}
	addresses := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		if m := modules[name]; m.path != "" && m.url != "" {
			addresses[m.path] = m.url
		}
	}
	return addresses
}
