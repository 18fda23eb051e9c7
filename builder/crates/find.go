// Package crates gets what a build in Rust needs of the crate registry before the build, which has no network.
//
// A build takes Needed, then Find, then Step.Vendor, the one step of a build that has the network. No code of the source or of
// a crate runs in it, and no cargo configuration of the source is read there. What it gives is shown to the hooks read-only at
// fixed paths, since compiled extensions hold the paths of their crates' sources: see Vendored.
package crates

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/python-wheel-build/axle/internal/archive"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/resolver/environ"
)

// Needed tells whether a build whose environment has this project runs cargo as a rule.
func Needed(p dist.Project) bool { return p == "maturin" || p == "setuptools-rust" }

// hasCargo tells whether a folder of a build's PATH has cargo: a declared toolchain's, or the system's.
func hasCargo(root environ.Root) bool {
	for _, dir := range root.Path {
		for _, m := range root.Mounts {
			rest, ok := strings.CutPrefix(dir+"/cargo", m.Target+"/")
			if !ok || m.Kind != "bind" {
				continue
			}
			if _, err := os.Stat(filepath.Join(m.Source, rest)); err == nil {
				return true
			}
		}
	}
	return false
}

const (
	maxText    = 1 << 20 // bytes of a pyproject.toml or a cargo configuration
	maxFolders = 20000   // looked at for a manifest
)

// source is the source tree in a build's folder as it is now: where a hook ran before, it may be anything, but nothing outside is reached.
func source(build string) (*os.Root, error) {
	work, err := os.OpenRoot(build)
	if err != nil {
		return nil, err
	}
	defer work.Close()
	return work.OpenRoot("src")
}

// FindIn is Find in the source of a build, which lies in the folder src of build. Where there is a manifest, root must have cargo. An error
// is a *Error, as a rule.
func FindIn(build, dir string, root environ.Root) ([]Manifest, error) {
	src, err := source(build)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	found, err := Find(src, dir)
	if err != nil {
		return nil, &Error{err.Error()}
	}
	if len(found) > 0 && !hasCargo(root) {
		return nil, &Error{"this project needs a Rust toolchain: declare `environment: paths: {rust: DIR}` in the config, where DIR/bin has cargo " +
			"and rustc (`rustc --print sysroot` prints such a folder)"}
	}
	return found, nil
}

// Manifest is a Cargo.toml that a build starts from.
type Manifest struct {
	Path string // slash-separated, below the source
	// Features are those of dependencies ("dependency/feature") that the build turns on, in alphabetical order. They may bring in crates that
	// stand in no lock; the manifest's own features can't.
	Features []string
}

// Find gives the Cargo.toml files that a project's build starts from; dir is the project's root in src, "" for src itself. They are those that pyproject.toml names for maturin or setuptools-rust, else those whose paths stand in setup.py, else the one
// beside it, else those nearest to it in the tree; of several at one depth only those with a Cargo.lock, where some have one. None are given where the
// source has no manifest, and where its own cargo configuration takes all crates from a folder of it.
//
// The source is a stranger's: links are followed inside of src at most. An error is the source's fault.
func Find(src *os.Root, dir string) ([]Manifest, error) {
	dir = path.Clean(dir)
	if shipped(src, dir) {
		return nil, nil
	}
	named, features, err := declared(src, dir)
	if err != nil {
		return nil, err
	}
	var found []Manifest
	for _, m := range named {
		m.Path = path.Join(dir, m.Path)
		if !filepath.IsLocal(m.Path) || !isFile(src, m.Path) {
			continue
		}
		if i := slices.IndexFunc(found, func(f Manifest) bool { return f.Path == m.Path }); i >= 0 {
			found[i].Features = ofDependencies(append(found[i].Features, m.Features...))
		} else {
			found = append(found, m)
		}
	}
	if len(found) > 0 {
		return found, nil
	}
	at := []string{path.Join(dir, "Cargo.toml")}
	if !isFile(src, at[0]) {
		if at, err = nearest(src, dir); err != nil {
			return nil, err
		}
	}
	for _, name := range at {
		found = append(found, Manifest{name, features})
	}
	return found, nil
}

// inSetup finds the paths of manifests that a setup.py gives to RustExtension, or mentions at all: it can't be run to ask.
var inSetup = regexp.MustCompile(`["']([^"'\n]*Cargo\.toml)["']`)

// declared are the manifests that pyproject.toml names, else setup.py, with paths as they stand there; and the features for a manifest
// that maturin finds without its being named.
func declared(src *os.Root, dir string) ([]Manifest, []string, error) {
	text, err := read(src, path.Join(dir, "pyproject.toml"))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return nil, nil, err
	}
	type target struct {
		Path     string   `toml:"path"`
		Features []string `toml:"features"`
	}
	var doc struct {
		Tool struct {
			Maturin struct {
				Manifest string `toml:"manifest-path"`
				Features []any  `toml:"features"` // names, and tables with a name and for which Pythons it counts
			} `toml:"maturin"`
			SetuptoolsRust struct {
				Modules []target `toml:"ext-modules"`
				Bins    []target `toml:"bins"`
			} `toml:"setuptools-rust"`
		} `toml:"tool"`
	}
	if err := toml.Unmarshal(bytes.TrimPrefix(text, []byte("\ufeff")), &doc); err != nil {
		return nil, nil, fmt.Errorf("pyproject.toml: %w", err)
	}
	var features []string
	for _, f := range doc.Tool.Maturin.Features {
		if table, ok := f.(map[string]any); ok {
			f = table["feature"]
		}
		if name, ok := f.(string); ok {
			features = append(features, name)
		}
	}
	features = ofDependencies(features)
	var all []Manifest
	if m := doc.Tool.Maturin.Manifest; m != "" {
		all = append(all, Manifest{m, features})
	}
	for _, t := range append(doc.Tool.SetuptoolsRust.Modules, doc.Tool.SetuptoolsRust.Bins...) {
		if t.Path != "" {
			all = append(all, Manifest{t.Path, ofDependencies(t.Features)})
		}
	}
	if len(all) > 0 {
		return all, features, nil
	}
	setup, err := read(src, path.Join(dir, "setup.py"))
	if err != nil { // there is none, or it says nothing that can be understood
		return nil, features, nil
	}
	for _, m := range inSetup.FindAllSubmatch(setup, -1) {
		all = append(all, Manifest{Path: string(m[1])})
	}
	return all, features, nil
}

// aFeature is how cargo lets a feature of a dependency be named.
var aFeature = regexp.MustCompile(`^\w[\w-]*\??/[\w+.-]+$`)

// ofDependencies are those of the features that are a dependency's, each once.
func ofDependencies(all []string) []string {
	all = slices.DeleteFunc(slices.Clone(all), func(f string) bool { return !aFeature.MatchString(f) })
	slices.Sort(all)
	return slices.Compact(all)
}

// nearest looks for manifests folder by folder, the upper ones first.
func nearest(src *os.Root, dir string) ([]string, error) {
	seen := 0
	for level := []string{dir}; len(level) > 0; {
		var found, locked, below []string
		for _, folder := range level {
			if seen++; seen > maxFolders {
				return nil, fmt.Errorf("no Cargo.toml in the first %d folders of the source: name it in pyproject.toml (tool.maturin.manifest-path) by a patch", maxFolders)
			}
			entries, err := fs.ReadDir(src.FS(), folder)
			if err != nil {
				return nil, err
			}
			for _, e := range entries {
				name := path.Join(folder, e.Name())
				switch {
				case e.Name() == "Cargo.toml" && e.Type().IsRegular():
					found = append(found, name)
					if isFile(src, path.Join(folder, "Cargo.lock")) {
						locked = append(locked, name)
					}
				case e.IsDir() && !strings.HasPrefix(e.Name(), "."):
					below = append(below, name)
				}
			}
		}
		if len(locked) > 0 {
			return locked, nil
		}
		if len(found) > 0 {
			return found, nil
		}
		level = below
	}
	return nil, nil
}

// shipped tells whether a cargo configuration of the source, as cargo would find it from the project's root upwards, replaces the
// registry by a folder of the source.
func shipped(src *os.Root, dir string) bool {
	for ; ; dir = path.Dir(dir) {
		for _, name := range []string{".cargo/config", ".cargo/config.toml"} {
			if text, err := read(src, path.Join(dir, name)); err == nil && replaces(src, dir, text) {
				return true
			}
		}
		if dir == "." {
			return false
		}
	}
}

// replaces reads one configuration. One that can't be understood replaces nothing, and cargo will say so.
func replaces(src *os.Root, dir string, text []byte) bool {
	var doc struct {
		Source map[string]struct {
			With      string `toml:"replace-with"`
			Directory string `toml:"directory"`
			Registry  string `toml:"local-registry"`
		} `toml:"source"`
	}
	if toml.Unmarshal(text, &doc) != nil {
		return false
	}
	name := "crates-io"
	for range len(doc.Source) {
		s := doc.Source[name]
		if s.With == "" {
			folder := s.Directory + s.Registry // one of them
			if folder == "" || path.IsAbs(folder) {
				return false
			}
			info, err := src.Stat(path.Join(dir, folder))
			return err == nil && info.IsDir()
		}
		name = s.With
	}
	return false
}

func isFile(src *os.Root, name string) bool {
	info, err := src.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

func read(root *os.Root, name string) ([]byte, error) { return archive.ReadFile(root, name, maxText) }
