package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver/git"
)

// pin is the document that says what the bytes of a source are. The newest of those in its folder counts: the first is written when the
// source is first fetched, each later one by Accept.
type pin struct {
	Project        dist.Project    `json:"project"`
	Version        version.Version `json:"version"`
	How            How             `json:"how"`
	SHA256         cas.Digest      `json:"sha256"`
	Bytes          string          `json:"size"`
	Uploaded       time.Time       `json:"uploaded,omitzero"`
	RequiresPython string          `json:"requires_python,omitempty"`
	// Commit is what the ref was, Submodules what commits of these were taken, by path; of a source from git only.
	Commit     string            `json:"commit,omitempty"`
	Submodules map[string]string `json:"submodules,omitempty"`
	When       time.Time         `json:"when"`
}

// pinFolder holds the pins of a source, pinKey is one of them.
func pinFolder(p dist.Project, v version.Version, how How) string {
	h := sha256.Sum256([]byte(strings.Join([]string{how.Kind, how.Index, how.Filename, how.Ref, how.From, ""}, "\n")))
	return fmt.Sprintf("sources/%s/%s/%s/", p, v, hex.EncodeToString(h[:]))
}

func pinKey(folder string, n int) string { return fmt.Sprintf("%s%04d.json", folder, n) }

func (p pin) source() Source {
	size, _ := strconv.ParseInt(p.Bytes, 10, 64)
	return Source{Project: p.Project, Version: p.Version, How: p.How, SHA256: p.SHA256, Size: size, Uploaded: p.Uploaded,
		RequiresPython: p.RequiresPython, Tree: git.Tree{Commit: p.Commit, Submodules: p.Submodules}, Pinned: true}
}

// pins reads the pinned sources of a project, of one version where v is not nil, by version. Of several pins of one source the newest
// counts. One that is damaged is an error that names it: neither the pin before it nor what upstream has today may stand in for it.
func (c *Sources) pins(ctx context.Context, p dist.Project, v *version.Version) (map[string][]Source, error) {
	prefix := "sources/" + string(p) + "/"
	if v != nil {
		prefix += v.String() + "/"
	}
	found := map[string][]Source{}
	newest := "" // of the folder that is being listed: its pins come in their order
	take := func() error {
		if newest == "" {
			return nil
		}
		d, err := c.pin(ctx, newest)
		if err == nil {
			found[d.Version.String()] = append(found[d.Version.String()], d.source())
		}
		return err
	}
	for key, err := range c.Store.Keys(ctx, prefix) {
		if err != nil {
			return nil, fmt.Errorf("listing pinned sources of %s: %w", p, err)
		}
		if path.Dir(key) != path.Dir(newest) {
			if err := take(); err != nil {
				return nil, err
			}
		}
		newest = key
	}
	return found, take()
}

// pin reads one pin; they never change, so one that was read is not read again.
func (c *Sources) pin(ctx context.Context, key string) (pin, error) {
	if d, ok := c.docs.Get(key); ok {
		return d.(pin), nil
	}
	var d pin
	if err := c.Store.Read(ctx, key, &d); err != nil {
		return pin{}, fmt.Errorf("pinned source: %w", err)
	}
	c.docs.Put(key, d)
	return d, nil
}

// Pinned is one pin of the store.
type Pinned struct {
	Source
	When time.Time
	// Superseded says that there is a newer one, so that this one does not count.
	Superseded bool
}

// Pins gives the pins of the store, by key and so each source's oldest first: all, those of a project, or those of one version where v
// is not nil.
func (c *Sources) Pins(ctx context.Context, p dist.Project, v *version.Version) ([]Pinned, error) {
	prefix := "sources/"
	if p != "" {
		prefix += string(p) + "/"
	}
	if v != nil {
		prefix += v.String() + "/"
	}
	var all []Pinned
	last := ""
	for key, err := range c.Store.Keys(ctx, prefix) {
		if err != nil {
			return nil, fmt.Errorf("listing pinned sources: %w", err)
		}
		d, err := c.pin(ctx, key)
		if err != nil {
			return nil, err
		}
		if path.Dir(key) == path.Dir(last) {
			all[len(all)-1].Superseded = true
		}
		all, last = append(all, Pinned{Source: d.source(), When: d.When}), key
	}
	return all, nil
}
