package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
)

// pin is the document that says once and for all what the bytes of a source are.
type pin struct {
	Project        dist.Project    `json:"project"`
	Version        version.Version `json:"version"`
	How            How             `json:"how"`
	SHA256         cas.Digest      `json:"sha256"`
	Bytes          string          `json:"size"`
	Uploaded       time.Time       `json:"uploaded,omitzero"`
	RequiresPython string          `json:"requires_python,omitempty"`
}

func pinKey(p dist.Project, v version.Version, how How) string {
	h := sha256.Sum256([]byte(how.Kind + "\n" + how.Index + "\n" + how.Filename + "\n"))
	return fmt.Sprintf("sources/%s/%s/%s.json", p, v, hex.EncodeToString(h[:]))
}

func (p pin) source() Source {
	size, _ := strconv.ParseInt(p.Bytes, 10, 64)
	return Source{Project: p.Project, Version: p.Version, How: p.How, SHA256: p.SHA256, Size: size, Uploaded: p.Uploaded,
		RequiresPython: p.RequiresPython, Pinned: true}
}

// pins reads the pinned sources of a project, of one version where v is not nil, by version. A damaged pin is an error that names
// it: a guess could pin other bytes under the old name.
func (c *Sources) pins(ctx context.Context, p dist.Project, v *version.Version) (map[string][]Source, error) {
	prefix := "sources/" + string(p) + "/"
	if v != nil {
		prefix += v.String() + "/"
	}
	found := map[string][]Source{}
	for key, err := range c.Store.Keys(ctx, prefix) {
		if err != nil {
			return nil, fmt.Errorf("listing pinned sources of %s: %w", p, err)
		}
		s, err := c.pin(ctx, key)
		if err != nil {
			return nil, err
		}
		found[s.Version.String()] = append(found[s.Version.String()], s)
	}
	return found, nil
}

func (c *Sources) pin(ctx context.Context, key string) (Source, error) {
	if s, ok := c.docs.Get(key); ok {
		return s.(Source), nil
	}
	var d pin
	if err := c.Store.Read(ctx, key, &d); err != nil {
		return Source{}, fmt.Errorf("pinned source: %w", err)
	}
	c.docs.Put(key, d.source())
	return d.source(), nil
}
