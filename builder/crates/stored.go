package crates

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/pelletier/go-toml/v2"

	"github.com/python-wheel-build/axle/builder/sandbox"
	"github.com/python-wheel-build/axle/internal/archive"
)

// crate is one of the registry's, as a lock names it.
type crate struct {
	name   string // <name>-<version>
	sha256 digest.Digest
}

// storedConfig has cargo take the registry's crates from their folder and nothing from elsewhere.
const storedConfig = "[source.crates-io]\nreplace-with = \"vendored-sources\"\n\n[source.vendored-sources]\ndirectory = \"" + crateFolder + "\"\n"

// locked is a package of a lock.
type locked struct {
	Name     string `toml:"name"`
	Version  string `toml:"version"`
	Source   string `toml:"source"` // "" of one that lies in the source
	Checksum string `toml:"checksum"`
}

// parseLock gives the packages of a lock; an error is cargo's to explain.
func parseLock(text []byte) ([]locked, error) {
	var doc struct {
		Package []locked `toml:"package"`
	}
	err := toml.Unmarshal(text, &doc)
	return doc.Package, err
}

// ofRegistry tells whether a package's source is the main registry.
func ofRegistry(source string) bool {
	return strings.HasPrefix(source, "registry+") && strings.HasSuffix(source, "/crates.io-index")
}

// crates are all that the locks name, and those beside them; false where one can't be told from its bytes: it comes from a repository,
// from another registry, or was locked without a checksum; or where a lock is yet to be made.
func crates(locks []lock) ([]crate, bool) {
	seen := map[crate]bool{}
	var all []crate
	for _, l := range locks {
		inside, err := parseLock(l.text)
		beside, err2 := parseLock(l.beside)
		if l.text == nil || err != nil || err2 != nil {
			return nil, false
		}
		for _, p := range append(inside, beside...) {
			if p.Source == "" {
				continue
			}
			c := crate{p.Name + "-" + p.Version, digest.NewDigestFromEncoded(digest.SHA256, p.Checksum)}
			if !ofRegistry(p.Source) || c.sha256.Validate() != nil || filepath.Base(c.name) != c.name {
				return nil, false
			}
			if !seen[c] {
				seen[c] = true
				all = append(all, c)
			}
		}
	}
	return all, true
}

// has tells whether the store has all of these.
func (s Step) has(ctx context.Context, all []crate) (bool, error) {
	for _, c := range all {
		if ok, err := s.Store.Has(ctx, c.sha256); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

// stored lays the locks' crates out as cargo vendor does, if the store has them all. False where it hasn't, or where cargo would do
// otherwise than build with exactly these: then cargo itself shall say what is wrong.
func (s Step) stored(ctx context.Context, locks []lock) (bool, error) {
	all, ok := crates(locks)
	if !ok {
		return false, nil
	}
	if ok, err := s.has(ctx, all); !ok || err != nil {
		return false, err
	}
	for _, dir := range []string{s.own("vendor"), s.own("config")} {
		if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755)); err != nil {
			return false, err
		}
	}
	if err := os.WriteFile(s.own("config/config.toml"), []byte(storedConfig), 0o644); err != nil {
		return false, err
	}
	for _, c := range all {
		err := s.unpack(ctx, c, s.own("vendor"))
		var bad *archive.Error
		if errors.As(err, &bad) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	err := s.run(ctx, false, checkScript)
	var limit *sandbox.LimitError
	if err != nil && (ctx.Err() != nil || errors.As(err, &limit)) {
		return false, err
	}
	return err == nil, nil
}

// unpack lays one crate out in a folder of crates; fs.ErrExist where it is there.
func (s Step) unpack(ctx context.Context, c crate, vendor string) error {
	blob, err := s.Store.Blob(ctx, c.sha256)
	if err != nil {
		return err
	}
	defer blob.Close()
	top, err := archive.Unpack(ctx, blob.File, c.name+".tar.gz", vendor, archive.DefaultLimits)
	if err == nil && top != c.name {
		err = fmt.Errorf("%s.crate holds %s: %w", c.name, top, fs.ErrNotExist)
	}
	if err != nil {
		return err
	}
	// The bytes are proven, so the single files needn't be.
	sums := fmt.Sprintf(`{"files":{},"package":%q}`, c.sha256.Encoded())
	return os.WriteFile(filepath.Join(vendor, top, ".cargo-checksum.json"), []byte(sums), 0o644)
}

// keep puts the crates that cargo downloaded into the store: those that are what a lock says.
func (s Step) keep(ctx context.Context, root *os.Root, locks []lock) error {
	all, ok := crates(locks)
	if !ok {
		return nil
	}
	folders, err := fs.ReadDir(root.FS(), "cargo/registry/cache")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, folder := range folders { // one for each registry
		for _, c := range all {
			if err := s.keepOne(ctx, root, filepath.Join("cargo/registry/cache", folder.Name(), c.name+".crate"), c); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s Step) keepOne(ctx context.Context, root *os.Root, name string, c crate) error {
	info, err := root.Lstat(name)
	if err != nil || !info.Mode().IsRegular() {
		return nil // of another registry, or not needed after all
	}
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if got, err := digest.SHA256.FromReader(f); err != nil || got != c.sha256 {
		return err
	}
	if _, err := f.Seek(0, 0); err != nil {
		return err
	}
	return s.Store.Put(ctx, c.sha256, info.Size(), f)
}
