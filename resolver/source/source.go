// Package source decides what a version of a project is made from in a view: which file of which index, which archive of a declared URL,
// which commit of a repository, or what was pinned of these.
//
//	all, err := sources.All(ctx, view, project)              // every version that a page shows
//	one, err := sources.One(ctx, view, project, version)
//	blob, one, err := sources.File(ctx, view, one)           // its bytes; fetching them the first time pins them
package source

import (
	"errors"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver/git"
	"github.com/python-wheel-build/axle/resolver/kept"
	"github.com/python-wheel-build/axle/resolver/upstream"
)

// Sources are those of a store and its upstream indexes. Safe for concurrent use; any number of processes may share a store.
type Sources struct {
	Store    *cas.Store
	Upstream *upstream.Client
	// Git fetches what comes from git.
	Git *git.Client

	docs    kept.Documents
	fetches singleflight.Group
}

// ErrNone says that a view has no source for the version asked for.
var ErrNone = errors.New("no source")

// How says where a source came from; with project and version it is what a pin is filed under.
type How struct {
	// Kind is "sdist", "wheel" (declared pre_built), "only-wheel" (the index had no sdist of that version), "url" (an sdist from the
	// settings' download_source) or "git".
	Kind string `json:"kind"`
	// Index is the index's name in the configuration, never its URL; "" for url and git.
	Index    string `json:"index,omitempty"`
	Filename string `json:"filename"`
	// Ref is what of a repository is taken, for git.
	Ref string `json:"ref,omitempty"`
	// From is for url and git the SHA-256, in hex, of the address in the view and of the submodules that are taken: another address is
	// another source, and is pinned apart.
	From string `json:"from,omitempty"`
}

// where names the place for people.
func (h How) where() string {
	switch h.Kind {
	case "url":
		return "its download_source"
	case "git":
		return "git (" + h.Ref + ")"
	}
	return "index " + h.Index
}

// Source is what one version of a project is made from.
type Source struct {
	Project dist.Project
	Version version.Version
	How     How
	// SHA256 is of the file's bytes: pinned, else as the index lists it, else "" until the file was fetched.
	SHA256         cas.Digest
	Size           int64 // 0 when unknown
	Uploaded       time.Time
	RequiresPython string
	Yanked         bool
	YankedReason   string
	// Pinned says that the bytes were fetched once and this is what they were.
	Pinned bool
	// Refused says why the view doesn't take this source, e.g. upstream has only wheels and the view builds everything itself.
	Refused string
	// Tree is what was found in git, once it was fetched.
	Tree git.Tree

	file       upstream.File // where to fetch it; the zero File when upstream is down, and for git
	hasFile    bool
	repository git.Repository // for git
}

// PreBuilt says that the source is a wheel.
func (s Source) PreBuilt() bool { return s.How.Kind == "wheel" || s.How.Kind == "only-wheel" }

// Listed is the digest or, without one, the URL that upstream's page gave: what a promise's name is made of.
func (s Source) Listed() string {
	if s.SHA256 != "" {
		return s.SHA256.String()
	}
	return s.file.URL + s.How.From + s.How.Ref
}
