package pep517

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/python-wheel-build/axle/internal/archive"
	"github.com/python-wheel-build/axle/internal/dist"
)

// System is the [build-system] table of a project (PEP 518, PEP 517).
type System struct {
	Requires    []dist.Requirement
	Backend     string   // "module" or "module:object"
	BackendPath []string // in-tree backend: folders below the project's root, slash-separated
}

// Defaults of PEP 518 and PEP 517 for a project that names none.
const (
	legacyRequires = "setuptools>=40.8.0"
	legacyBackend  = "setuptools.build_meta:__legacy__"
)

// maxProject bounds a pyproject.toml; the largest known ones have some 100 kB.
const maxProject = 1 << 20

// ReadSystem reads the pyproject.toml of an unpacked source, whose root is buildDir below src ("" is src itself). Nothing
// outside src is read, whatever links the source holds. Without that file, or without [build-system] in it, the result is
// PEP 518's default, provided that there is a setup.py (fs.ErrNotExist if not).
func ReadSystem(src, buildDir string) (System, error) {
	sys, err := readSystem(src, buildDir)
	if err != nil {
		return System{}, fmt.Errorf("reading the build system: %w", err)
	}
	return sys, nil
}

func readSystem(src, buildDir string) (System, error) {
	if buildDir == "" {
		buildDir = "."
	}
	if !filepath.IsLocal(buildDir) {
		return System{}, fmt.Errorf("build folder %q is not below the source", buildDir)
	}
	root, err := os.OpenRoot(src)
	if err != nil {
		return System{}, err
	}
	defer root.Close()
	if info, err := root.Stat(buildDir); err != nil {
		return System{}, fmt.Errorf("build folder: %w", err)
	} else if !info.IsDir() {
		return System{}, fmt.Errorf("build folder %q is a file", buildDir)
	}
	text, err := archive.ReadFile(root, path.Join(buildDir, "pyproject.toml"), maxProject)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := root.Stat(path.Join(buildDir, "setup.py")); err != nil {
			return System{}, fmt.Errorf("the source has neither pyproject.toml nor setup.py in %q: %w", buildDir, fs.ErrNotExist)
		}
		text = nil
	} else if err != nil {
		return System{}, err
	}
	return parseSystem(text)
}

func parseSystem(text []byte) (System, error) {
	var doc struct {
		System *struct {
			Requires    *[]string `toml:"requires"`
			Backend     *string   `toml:"build-backend"`
			BackendPath any       `toml:"backend-path"`
		} `toml:"build-system"`
	}
	// A byte order mark is no TOML, but setuptools and others let it pass.
	if err := toml.Unmarshal(bytes.TrimPrefix(text, []byte("\ufeff")), &doc); err != nil {
		var at *toml.DecodeError
		if errors.As(err, &at) {
			row, column := at.Position()
			return System{}, fmt.Errorf("pyproject.toml, line %d, column %d: %w", row, column, err)
		}
		return System{}, fmt.Errorf("pyproject.toml: %w", err)
	}
	requires, sys := []string{legacyRequires}, System{Backend: legacyBackend}
	if t := doc.System; t != nil {
		if t.Requires == nil {
			return System{}, errors.New("pyproject.toml: [build-system] has no requires, which PEP 518 demands: patch it in")
		}
		requires = *t.Requires
		if t.Backend != nil {
			sys.Backend = *t.Backend
		}
		var err error
		if sys.BackendPath, err = backendPath(t.BackendPath); err != nil {
			return System{}, err
		}
	}
	if !validBackend(sys.Backend) {
		return System{}, fmt.Errorf("pyproject.toml: build-backend %q is not of the form module:object", sys.Backend)
	}
	for _, p := range sys.BackendPath {
		if !filepath.IsLocal(p) {
			return System{}, fmt.Errorf("pyproject.toml: backend-path %q is not a folder of the source (PEP 517)", p)
		}
	}
	for _, text := range requires {
		r, err := dist.ParseRequirement(text)
		if err != nil {
			return System{}, fmt.Errorf("pyproject.toml: build-system.requires: %w", err)
		}
		sys.Requires = append(sys.Requires, r)
	}
	return sys, nil
}

// backendPath is a list of folders. Old backends of their own wrote one text, which pip takes, and "" is the source's folder to it.
func backendPath(value any) (folders []string, err error) {
	switch value := value.(type) {
	case nil:
		return nil, nil
	case string:
		return []string{cmp.Or(value, ".")}, nil
	case []any:
		for _, v := range value {
			s, ok := v.(string)
			if !ok {
				return nil, fmt.Errorf("pyproject.toml: backend-path holds %v, which is no text", v)
			}
			folders = append(folders, cmp.Or(s, "."))
		}
		return folders, nil
	default:
		return nil, fmt.Errorf("pyproject.toml: backend-path %v is no list of folders (PEP 517)", value)
	}
}

// validBackend checks the entry point syntax: dotted names, of any letters that Python allows.
func validBackend(s string) bool {
	module, object, found := strings.Cut(s, ":")
	parts := strings.Split(module, ".")
	if found {
		parts = append(parts, strings.Split(object, ".")...)
	}
	for _, p := range parts {
		if p == "" || strings.ContainsAny(p, " \t\r\n/\\:;'\"\x00") {
			return false
		}
	}
	return true
}
