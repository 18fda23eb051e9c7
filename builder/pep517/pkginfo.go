package pep517

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver/git"
)

// WritePKGInfo gives a tree from git what an sdist has: a PKG-INFO of name and version in its top and in the project's folder (buildDir, ""
// is the top), where there is none. It is how setuptools-scm, hatch-vcs and pbr learn the version outside of a repository. src is freshly
// unpacked: no build has run there.
func WritePKGInfo(src, buildDir string, p dist.Project, v version.Version) error {
	root, err := os.OpenRoot(src)
	if err != nil {
		return err
	}
	defer root.Close()
	text := fmt.Sprintf("Metadata-Version: 1.0\nName: %s\nVersion: %s\nSummary: UNKNOWN\n", p, v)
	for _, dir := range []string{".", buildDir} {
		name := path.Join(dir, "PKG-INFO")
		if _, err := root.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			continue // also where a stranger's link makes it impossible: the build says what is wrong with the folder
		}
		if _, err := root.Stat(path.Dir(name)); err != nil {
			continue
		}
		err := root.WriteFile(name, []byte(text), 0o644)
		if err == nil {
			err = root.Chtimes(name, git.When, git.When)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
