package crates

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/python-wheel-build/axle/internal/archive"
)

// A lock is of all features of the manifests' own, and of those features of dependencies that a manifest turns on. One that is turned on
// by name, as maturin and setuptools-rust are told to, may need crates that stand in no lock. Cargo then resolves them beside the lock,
// each time anew, and no file says what it chose.

// besideLock is what the path of a lock has after it to name what is beside it.
const besideLock = ".features"

const maxMetadata = 256 << 20 // bytes of what cargo tells of all packages

// addBeside finds out which crates the manifests' features bring in, and keeps them: those that were chosen before, where the store has
// them, else those that cargo chooses today. Features that cargo does not take are left to the build, which says so.
func (s Step) addBeside(ctx context.Context, root *os.Root, locks []lock) error {
	var open []int // manifests
	for i, m := range s.Manifests {
		chosen, ok := crates([]lock{{text: locks[i].beside}})
		if ok {
			var err error
			if ok, err = s.has(ctx, chosen); err != nil {
				return err
			}
		}
		if !ok {
			locks[i].beside = nil
		}
		if !ok && len(m.Features) > 0 {
			open = append(open, i)
		}
	}
	if len(open) == 0 {
		return nil
	}
	err := s.run(ctx, true, vendorScript, "resolve")
	var bad *Error
	if err != nil && !errors.As(err, &bad) {
		return err
	}
	for _, i := range open {
		if locks[i].beside, err = s.resolved(ctx, root, i, locks[i]); err != nil {
			return err
		}
	}
	return nil
}

// resolved reads what cargo resolved for a manifest, and gives what of it stands not in its lock, nil where that is nothing.
func (s Step) resolved(ctx context.Context, root *os.Root, n int, l lock) ([]byte, error) {
	said, err := archive.ReadFile(root, "locks/"+strconv.Itoa(n)+".metadata", maxMetadata)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var metadata struct {
		Packages []struct{ Name, Version, Source string }
	}
	if err := json.Unmarshal(said, &metadata); err != nil {
		return nil, fmt.Errorf("what cargo metadata printed: %w", err)
	}
	inside, err := parseLock(l.text)
	if err != nil {
		return nil, nil
	}
	var text strings.Builder
	for _, p := range metadata.Packages {
		if !ofRegistry(p.Source) || slices.ContainsFunc(inside, func(in locked) bool { return in.Name == p.Name && in.Version == p.Version }) {
			continue
		}
		sum, err := downloaded(root, p.Name+"-"+p.Version)
		if err != nil {
			return nil, err
		}
		if sum == "" {
			continue
		}
		fmt.Fprintf(&text, "\n[[package]]\nname = %q\nversion = %q\nsource = %q\nchecksum = %q\n", p.Name, p.Version, p.Source, sum.Encoded())
	}
	if text.Len() == 0 {
		return nil, nil
	}
	beside := []byte("version = 3\n" + text.String())
	return beside, s.keep(ctx, root, []lock{{text: beside}})
}

// downloaded is the checksum of a crate that cargo downloaded, and compared with the registry's; "" where it didn't.
func downloaded(root *os.Root, name string) (digest.Digest, error) {
	files, err := fs.Glob(root.FS(), "cargo/registry/cache/*/*.crate")
	if err != nil {
		return "", err
	}
	for _, file := range files {
		if info, err := root.Lstat(file); filepath.Base(file) != name+".crate" || err != nil || !info.Mode().IsRegular() {
			continue
		}
		f, err := root.Open(file)
		if err != nil {
			return "", err
		}
		defer f.Close()
		return digest.SHA256.FromReader(f)
	}
	return "", nil
}

// vendorBeside lays out beside what cargo vendored, which is after the locks alone, the crates that they lack.
func (s Step) vendorBeside(ctx context.Context, locks []lock) error {
	for _, l := range locks {
		all, _ := crates([]lock{{text: l.beside}})
		for _, c := range all {
			if err := s.unpack(ctx, c, filepath.Join(s.work(), "vendor")); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
		}
	}
	return nil
}
