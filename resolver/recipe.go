package resolver

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver/source"
	"github.com/python-wheel-build/axle/resolver/view"
	"github.com/python-wheel-build/axle/resolver/view/plugins"
)

// RecipeDigest names a recipe: SHA-256 over "axle/recipe/v1\n" and the canonical document. It is not a content digest.
type RecipeDigest string

const recipeDomain = "axle/recipe/v1\n"

func (d RecipeDigest) hex() string { return strings.TrimPrefix(string(d), "sha256:") }

// The builder's name in every recipe. The number moves only when a wheel could come out differently; the CHANGELOG says why.
const builderName = "pep517/1"

// Recipe is the canonical document of every input known before a build starts: f(view, source), without I/O. A field at its default
// is left out, so that a new optional field changes no old digest.
type Recipe struct {
	Project     dist.Project      `json:"project"`
	Version     version.Version   `json:"version"`
	Source      RecipeSource      `json:"source"`
	Patches     []view.Patch      `json:"patches,omitempty"`
	Settings    map[string]any    `json:"settings,omitempty"`
	Overrides   *plugins.Override `json:"overrides,omitempty"`
	Environment map[string]string `json:"environment,omitempty"`
	// Pure says that this is a SharedRecipe: only pure wheels have records of it.
	Pure    bool           `json:"pure,omitempty"`
	Target  RecipeTarget   `json:"target"`
	Builder *RecipeBuilder `json:"builder,omitempty"`
}

// RecipeSource is what is built, never where it lies.
type RecipeSource struct {
	Kind   string     `json:"kind"` // "sdist", "git" for a tree as git.Client.Tar gives it, or "wheel" for a pre-built one
	SHA256 cas.Digest `json:"sha256"`
}

// RecipeTarget is what the wheel is for.
type RecipeTarget struct {
	Python   string `json:"python"`
	ABI      string `json:"abi"`
	Platform string `json:"platform"`
}

// RecipeBuilder is who builds, how walled in, and who vouches for the bytes.
type RecipeBuilder struct {
	Name      string `json:"name"`
	Isolation string `json:"isolation"`
	Origin    string `json:"origin"`
}

// NewRecipe gives the recipe of a source in a view. It is pure. The source's digest must be known. A pre-built source's recipe holds
// project, version, source and target only: nothing else can change a wheel that is taken as it is.
func NewRecipe(v *view.View, s source.Source) Recipe {
	r := Recipe{
		Project: s.Project, Version: s.Version,
		Source: RecipeSource{Kind: "sdist", SHA256: s.SHA256},
		Target: RecipeTarget{Python: v.Target.Python, ABI: v.Target.ABI, Platform: v.Target.Platform},
	}
	if s.PreBuilt() {
		r.Source.Kind = "wheel"
		return r
	}
	if s.How.Kind == "git" {
		r.Source.Kind = "git"
	}
	set := v.Settings(s.Project, s.Version)
	r.Patches = set.Patches
	r.Settings = set.Recipe()
	if o, ok := v.Overrides[s.Project]; ok {
		r.Overrides = &o
	}
	r.Environment = v.EnvironmentOf(s.Project, s.Version)
	r.Builder = &RecipeBuilder{Name: builderName, Isolation: "bubblewrap", Origin: "axle"}
	return r
}

// Canonical is the RFC 8785 form, the bytes that the digest is over and that are kept as a blob.
func (r Recipe) Canonical() ([]byte, error) { return cas.Canonical(r) }

// Digest is the recipe's name.
func (r Recipe) Digest() (RecipeDigest, error) {
	b, err := r.Canonical()
	if err != nil {
		return "", fmt.Errorf("recipe of %s %s: %w", r.Project, r.Version, err)
	}
	h := sha256.New()
	h.Write([]byte(recipeDomain))
	h.Write(b)
	return RecipeDigest("sha256:" + hex.EncodeToString(h.Sum(nil))), nil
}

// PreBuilt says that there is nothing to build.
func (r Recipe) PreBuilt() bool { return r.Source.Kind == "wheel" }

// Touched says that metadata which lies in the source may not be believed: something of ours changes the tree first, or the source is no
// sdist and nobody has made that metadata for it.
func (r Recipe) Touched() bool {
	_, override := r.Settings["project_override"]
	return override || r.Overrides != nil || len(r.Patches) > 0 || r.Source.Kind == "git"
}

// ParseRecipe reads a canonical recipe back; an unknown field is refused, since it would be an input that is not understood.
func ParseRecipe(b []byte) (Recipe, error) {
	dec := json.NewDecoder(strings.NewReader(string(b)))
	dec.DisallowUnknownFields()
	var r Recipe
	if err := dec.Decode(&r); err != nil {
		return Recipe{}, fmt.Errorf("recipe: %w", err)
	}
	if dec.More() {
		return Recipe{}, errors.New("recipe: more than one document")
	}
	return r, nil
}
