package view

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"

	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver/view/config"
	"github.com/python-wheel-build/axle/resolver/view/sitehook"
)

// maxTree bounds what a wrong path can do: a settings folder is small.
const maxTree = 256 << 20

const layout = "a settings folder holds settings.yaml, settings/<project>.yaml, patches/<project>[-<version>]/[<variant>/]*.patch, " +
	"and notes (*.md, *.txt, names that begin with a dot), which are not read"

// tree is a settings folder's files by slash-separated path.
type tree map[string][]byte

// readTree reads every file of a settings folder but notes. A symbolic link is read through where it stays inside the folder; one
// that leaves it is refused by whoever made fsys (an os.Root does). name is the folder's name in errors.
func readTree(fsys fs.FS, name string) (tree, error) {
	t := tree{}
	total := 0
	var walk func(dir string, depth int) error
	walk = func(dir string, depth int) error {
		entries, err := fs.ReadDir(fsys, dir)
		if err != nil {
			return config.Unreadable(filepath.Join(name, dir), err)
		}
		for _, e := range entries {
			p := path.Join(dir, e.Name())
			shown := filepath.Join(name, p)
			if isNote(e) {
				continue
			}
			if !utf8.ValidString(p) || strings.ContainsFunc(p, unicode.IsControl) {
				return fmt.Errorf("%q: the name holds bytes that no document can keep: rename it", shown)
			}
			info, err := fs.Stat(fsys, p) // through links
			if err != nil {
				return config.Unreadable(shown, err)
			}
			switch top := dir == "."; {
			case info.IsDir() && depth < 4 && (!top || p == "settings" || p == "patches"):
				if err := walk(p, depth+1); err != nil {
					return err
				}
			case info.Mode().IsRegular() && (!top || p == "settings.yaml"):
				b, err := config.ReadBounded(fsys, p, config.MaxFile)
				if err != nil {
					return config.Unreadable(shown, err)
				}
				if total += len(b); total > maxTree {
					return fmt.Errorf("%s: the settings folder holds more than %d MiB: is that the right folder?", name, maxTree>>20)
				}
				t[p] = b
			default:
				return fmt.Errorf("%s: not part of a settings folder: %s", shown, layout)
			}
		}
		return nil
	}
	return t, walk(".", 1)
}

// isNote says that a file is for people, such as .gitkeep or README.md.
func isNote(e fs.DirEntry) bool {
	name := e.Name()
	return strings.HasPrefix(name, ".") || !e.IsDir() && (strings.HasSuffix(name, ".md") || strings.HasSuffix(name, ".txt"))
}

// decided is what a settings folder says for one variant.
type decided struct {
	projects   map[dist.Project]ProjectSettings
	submodules map[dist.Project][]string // of projects that come from git
	backends   map[string]ConfigSettings
	changes    int
	patches    []ProjectPatch
	blobs      [][]byte // the patches' bytes
}

// named adds to a question the projects of which it says anything, and the versions of which it says something of their own.
func (d *decided) named(q *sitehook.Question) {
	for p, s := range d.projects {
		q.Projects[p] = []version.Version{}
		for text := range s.Changes {
			if v, err := version.Parse(text); err == nil {
				q.Add(p, v)
			}
		}
	}
	for _, patch := range d.patches {
		if q.Projects[patch.Project] == nil {
			q.Projects[patch.Project] = []version.Version{}
		}
		if !patch.Version.IsZero() {
			q.Add(patch.Project, patch.Version)
		}
	}
}

// interpret makes sense of every file or refuses it by name; environment are the view's components. Files of other variants are checked, but leave no trace.
func (t tree) interpret(name, variant string, environment map[string]string) (*decided, error) {
	r := settingsReader{
		variant: variant, known: known(environment), projects: map[dist.Project]ProjectSettings{}, backends: map[string]ConfigSettings{},
		submodules: map[dist.Project][]string{}, where: map[dist.Project]string{},
	}
	var found []patchFile
	folders := map[string]patchFile{}
	for _, p := range slices.Sorted(maps.Keys(t)) {
		shown := filepath.Join(name, p)
		parts := strings.Split(p, "/")
		var err error
		switch {
		case p == "settings.yaml":
			err = r.global(shown, t[p])
		case parts[0] == "settings" && len(parts) == 2 && path.Ext(p) == ".yaml":
			err = r.file(shown, t[p])
		case parts[0] == "patches" && (len(parts) == 3 || len(parts) == 4) && path.Ext(p) == ".patch":
			f, seen := folders[parts[1]]
			if !seen {
				if f, err = patchFolder(filepath.Join(name, "patches", parts[1]), parts[1], folders); err != nil {
					return nil, err
				}
				folders[parts[1]] = f
			}
			if len(t[p]) == 0 {
				return nil, fmt.Errorf("%s: an empty patch: remove the file, or put the change back in", shown)
			}
			f.variant = len(parts) == 4
			if f.variant && parts[2] != variant {
				continue
			}
			f.Name, f.SHA256, f.bytes = path.Base(p), digest.FromBytes(t[p]), t[p]
			found = append(found, f)
		default:
			err = fmt.Errorf("%s: not part of a settings folder: %s", shown, layout)
		}
		if err != nil {
			return nil, err
		}
	}
	d := &decided{projects: r.projects, submodules: r.submodules, backends: r.backends, changes: r.changes}
	slices.SortFunc(found, patchFile.compare)
	for _, f := range found {
		d.patches = append(d.patches, f.ProjectPatch)
		d.blobs = append(d.blobs, f.bytes)
	}
	return d, nil
}

// patchFile is a patch as found in the folder.
type patchFile struct {
	ProjectPatch
	variant bool
	bytes   []byte
}

// compare is the order of patches: by project, then as fromager applies them, by file name without folder. Of equal names the
// general one comes first: all versions before one version, and of each the one for all variants before the variant's.
func (f patchFile) compare(g patchFile) int {
	return cmp.Or(
		cmp.Compare(f.Project, g.Project),
		cmp.Compare(f.Name, g.Name),
		f.compareVersion(g),
		compareBool(f.variant, g.variant),
	)
}

func (f patchFile) compareVersion(g patchFile) int {
	if f.Version.IsZero() || g.Version.IsZero() {
		return compareBool(!f.Version.IsZero(), !g.Version.IsZero())
	}
	return f.Version.Compare(g.Version)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// patchFolder reads `<override name>` or `<override name>-<version>`. An override name has no dash, so the first dash ends it. Two
// folders of versions that compare equal, as 1.0 and 1.0.0 do, are refused: fromager reads only one of them.
func patchFolder(shown, folder string, others map[string]patchFile) (patchFile, error) {
	name, ver, versioned := strings.Cut(folder, "-")
	var f patchFile
	p, err := dist.ParseProject(name)
	if err != nil {
		return f, fmt.Errorf("%s: the folder's name is not <project>[-<version>]: %w", shown, err)
	}
	if p.Override() != name {
		return f, fmt.Errorf("%s: write the project as %s", shown, p.Override())
	}
	f.Project = p
	if !versioned {
		return f, nil
	}
	if f.Version, err = version.Parse(ver); err != nil {
		return f, fmt.Errorf("%s: what stands after the first dash is not a version; a dash in a project's name is written _ here: %w", shown, err)
	}
	if f.Version.Local() != "" {
		return f, fmt.Errorf("%s: leave out +%s: the local part of a version is ignored when patches are chosen", shown, f.Version.Local())
	}
	for other, g := range others {
		if g.Project == p && !g.Version.IsZero() && g.Version.Compare(f.Version) == 0 {
			return f, fmt.Errorf("%s: %s is for the same version: keep one folder", shown, other)
		}
	}
	return f, nil
}
