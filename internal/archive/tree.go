package archive

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"time"
)

type kind int

const (
	file kind = iota + 1
	folder
	symlink
	hardlink
)

func (k kind) String() string { return [...]string{"", "a file", "a folder", "a link", "a file"}[k] }

// entry is one thing of an archive.
type entry struct {
	name  string // with the top folder; "" for the folder that holds it, which is passed over
	kind  kind
	exec  bool
	time  time.Time
	link  string // of a symlink: as written; of a hardlink: the name of an earlier file
	again bool   // the name was there before: this one replaces it
}

// tree holds what the entries of an archive so far amount to, and refuses the next one where it doesn't fit. It never looks at a disk.
type tree struct {
	limits  Limits
	first   string          // the first part of the first name
	flat    bool            // other names begin otherwise
	entries int             // so far, one that comes again too
	kinds   map[string]kind // file, folder or symlink, by cleaned name
}

// add checks an entry, cleans its names, and returns the folders that its path implies and that were not there before.
//
// The rules make every path safe without asking what is on disk: parts are never "..", a path never leads through a link, and a link is
// cleaned, as Python's tarfile does it, so that its ".." stand only at its front, where they count real folders. So a link's target is
// below the top whatever the other links are.
func (t *tree) add(e *entry) (implied []string, err error) {
	if e.name, err = clean(e.name); err != nil {
		return nil, err
	}
	if e.name == "" {
		if e.kind != folder {
			return nil, errors.New("a name is missing")
		}
		return nil, nil
	}
	first, _, _ := strings.Cut(e.name, "/")
	if t.first == "" {
		t.first, t.kinds = first, map[string]kind{}
	}
	t.flat = t.flat || first != t.first
	for i, c := range e.name {
		if c != '/' {
			continue
		}
		switch parent := e.name[:i]; t.kinds[parent] {
		case folder:
		case 0:
			t.kinds[parent] = folder
			implied = append(implied, parent)
		default:
			return nil, fmt.Errorf("it lies below %q, which is %v", parent, t.kinds[parent])
		}
	}
	switch e.kind {
	case symlink:
		if err := t.symlink(e); err != nil {
			return nil, err
		}
	case hardlink:
		if err := t.hardlink(e); err != nil {
			return nil, err
		}
	}
	now := e.kind
	if now == hardlink {
		now = file
	}
	switch before := t.kinds[e.name]; {
	case before == 0:
	case (before == folder) == (now == folder):
		e.again = true
	default:
		return nil, fmt.Errorf("it was %v before and is %v now", before, now)
	}
	t.kinds[e.name] = now
	t.entries++
	if max(t.entries, len(t.kinds)) > t.limits.Files {
		return nil, fmt.Errorf("more than %d files and folders; raise the limit if that is right", t.limits.Files)
	}
	return implied, nil
}

// top is the one folder that everything lies in, "." where there is none such, and "" of nothing at all.
func (t *tree) top() string {
	if t.first != "" && (t.flat || t.kinds[t.first] != folder) {
		return "."
	}
	return t.first
}

func (t *tree) symlink(e *entry) error {
	if e.link == "" || strings.HasPrefix(e.link, "/") || strings.ContainsRune(e.link, 0) || len(e.link) > maxPath {
		return fmt.Errorf("a link to %q, which is not a path inside the archive", e.link)
	}
	written := e.link
	e.link = path.Clean(written)
	up := 0
	for rest := e.link + "/"; strings.HasPrefix(rest, "../"); rest = rest[len("../"):] {
		up++
	}
	if up > max(0, strings.Count(e.name, "/")-1) {
		return fmt.Errorf("a link to %q, outside the top folder", written)
	}
	return nil
}

func (t *tree) hardlink(e *entry) (err error) {
	written := e.link
	if e.link, err = clean(written); err != nil {
		return fmt.Errorf("a hard link to %q: %w", written, err)
	}
	if t.kinds[e.link] != file {
		return fmt.Errorf("a hard link to %q, which is no earlier file of the archive", written)
	}
	if e.link == e.name {
		return errors.New("a hard link to itself")
	}
	return nil
}

// clean returns a name without "." parts and double or trailing slashes; "" for the folder that holds the archive's files.
func clean(name string) (string, error) {
	if strings.HasPrefix(name, "/") {
		return "", errors.New("an absolute name")
	}
	if strings.ContainsRune(name, 0) {
		return "", errors.New("a zero byte in the name")
	}
	if len(name) > maxPath {
		return "", fmt.Errorf("a name longer than %d bytes", maxPath)
	}
	depth := 0
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", errors.New("\"..\" in the name")
		}
		if len(part) > maxName {
			return "", fmt.Errorf("a part of the name is longer than %d bytes", maxName)
		}
		depth++
	}
	if depth > maxDepth {
		return "", fmt.Errorf("more than %d folders deep", maxDepth)
	}
	if name = path.Clean(name); name == "." {
		return "", nil
	}
	return name, nil
}
