// Package tokens says who may do what: secrets that a person made for programs, of which the store keeps hashes.
//
//	secret, token, err := tokens.Create(ctx, tokens.Token{Scopes: …})   // the secret is told this once
//	token, err := tokens.Find(ctx, secret)                              // whose it is
//
// The layout is tokens/<id>/token.json, and beside it revoked.json where it was taken back. Both are created once and never changed.
package tokens

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/python-wheel-build/axle/cas"
)

// The scopes; none holds another.
const (
	Read  = "read"  // pages, files, logs, where the server asks readers for a token
	Build = "build" // to have something built: by fetching a promise, or by an order
)

// Scopes are all there are.
var Scopes = []string{Read, Build}

// Token is what is kept of one; the secret is not.
type Token struct {
	ID string `json:"id"`
	// Hash is the secret's SHA-256, in hex. The secret has 160 random bits, so nobody finds it by guessing, however fast.
	Hash   string   `json:"hash"`
	Scopes []string `json:"scopes"`
	// Names are the names of views that it is good for; none means all of them, and views without a name.
	Names []string `json:"names,omitempty"`
	// Until is when it ends by itself; the zero time never.
	Until time.Time `json:"until,omitzero"`
	Note  string    `json:"note,omitempty"`
	Who   string    `json:"who"`
	When  time.Time `json:"when"`
}

// Has says whether the token has a scope, in any view.
func (t Token) Has(scope string) bool { return slices.Contains(t.Scopes, scope) }

// May says whether the token is good for a scope in a view that is known under these names.
func (t Token) May(scope string, under []string) bool {
	return t.Has(scope) && (len(t.Names) == 0 || slices.ContainsFunc(t.Names, func(n string) bool { return slices.Contains(under, n) }))
}

// Revocation says that a token was taken back.
type Revocation struct {
	Who  string    `json:"who"`
	When time.Time `json:"when"`
	Why  string    `json:"why,omitempty"`
}

// Why a secret is not good for anything.
var (
	ErrUnknown = errors.New("no such token")
	ErrEnded   = errors.New("the token has expired")
	ErrRevoked = errors.New("the token was revoked")
)

// Tokens are those of a store. It is safe for concurrent use. What another process creates is known at once, what it revokes after a second.
type Tokens struct {
	Store *cas.Store
	// Now is the clock; nil is time.Now.
	Now func() time.Time

	mu    sync.Mutex // guards known
	known map[string]known
	some  bool // a token was seen
}

type known struct {
	token   Token
	revoked bool
	seen    time.Time // when it was read, by a clock that nobody sets back
}

const (
	prefix   = "tokens/"
	believed = time.Second
	mostKept = 10_000
)

// Create makes a token of t's Scopes, Names, Until, Note and Who, and gives its secret, which is nowhere kept.
func (ts *Tokens) Create(ctx context.Context, t Token) (secret string, made Token, err error) {
	if len(t.Scopes) == 0 {
		return "", Token{}, fmt.Errorf("a token without a scope is good for nothing: give one or more of %s", strings.Join(Scopes, ", "))
	}
	for _, s := range t.Scopes {
		if !slices.Contains(Scopes, s) {
			return "", Token{}, fmt.Errorf("%q is no scope: there are %s", s, strings.Join(Scopes, ", "))
		}
	}
	t.ID = strings.ToLower(rand.Text()[:12])
	secret = "axle_" + t.ID + "_" + strings.ToLower(rand.Text() + rand.Text())[:32]
	t.Hash = hash(secret)
	t.Scopes = slices.Compact(slices.Sorted(slices.Values(t.Scopes)))
	t.When = ts.now().UTC().Truncate(time.Second)
	if err := ts.Store.Create(ctx, prefix+t.ID+"/token.json", t); err != nil {
		return "", Token{}, fmt.Errorf("keeping the token: %w", err)
	}
	return secret, t, nil
}

// Revoke takes a token back; once more is no error. ErrUnknown where there is none of that id.
func (ts *Tokens) Revoke(ctx context.Context, id string, r Revocation) error {
	if _, err := ts.read(ctx, id); err != nil {
		return err
	}
	r.When = ts.now().UTC().Truncate(time.Second)
	if err := ts.Store.Create(ctx, prefix+id+"/revoked.json", r); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("revoking token %s: %w", id, err)
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	delete(ts.known, id)
	return nil
}

// Listed is a token, with when it was revoked if it was.
type Listed struct {
	Token
	Revoked *Revocation `json:"revoked,omitempty"`
}

// List gives all, oldest first. A damaged one is an error that names it.
func (ts *Tokens) List(ctx context.Context) ([]Listed, error) {
	var all []Listed
	for key, err := range ts.Store.Keys(ctx, prefix) {
		if err != nil {
			return nil, fmt.Errorf("listing tokens: %w", err)
		}
		id, file, _ := strings.Cut(strings.TrimPrefix(key, prefix), "/")
		if file != "token.json" {
			continue
		}
		t, err := ts.read(ctx, id)
		if err != nil {
			return nil, err
		}
		l := Listed{Token: t}
		var r Revocation
		err = ts.Store.Read(ctx, prefix+id+"/revoked.json", &r)
		if err == nil {
			l.Revoked = &r
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("token %s: %w", id, err)
		}
		all = append(all, l)
	}
	slices.SortStableFunc(all, func(a, b Listed) int { return a.When.Compare(b.When) })
	return all, nil
}

// Any says whether a token was ever made for this store: from then on nobody may do anything that needs one without.
func (ts *Tokens) Any(ctx context.Context) (bool, error) {
	ts.mu.Lock()
	some := ts.some
	ts.mu.Unlock()
	if some {
		return true, nil
	}
	for _, err := range ts.Store.Keys(ctx, prefix) {
		if err != nil {
			return false, fmt.Errorf("looking for tokens: %w", err)
		}
		ts.mu.Lock()
		ts.some = true
		ts.mu.Unlock()
		return true, nil
	}
	return false, nil
}

// Find gives the token of a secret: ErrUnknown, ErrEnded or ErrRevoked where it is good for nothing. An error of the store is one too, so
// that nobody gets in while it can't be asked.
func (ts *Tokens) Find(ctx context.Context, secret string) (Token, error) {
	id, ok := idOf(secret)
	if !ok {
		return Token{}, ErrUnknown
	}
	ts.mu.Lock()
	k, ok := ts.known[id]
	ts.mu.Unlock()
	if !ok || time.Since(k.seen) > believed {
		t, err := ts.read(ctx, id)
		if err != nil {
			return Token{}, err
		}
		revoked, err := ts.Store.Exists(ctx, prefix+id+"/revoked.json")
		if err != nil {
			return Token{}, fmt.Errorf("token %s: %w", id, err)
		}
		k = known{t, revoked, time.Now()}
		ts.mu.Lock()
		if ts.known == nil || len(ts.known) >= mostKept {
			ts.known = map[string]known{}
		}
		ts.known[id] = k
		ts.mu.Unlock()
	}
	switch {
	case subtle.ConstantTimeCompare([]byte(hash(secret)), []byte(k.token.Hash)) != 1:
		return Token{}, ErrUnknown
	case k.revoked:
		return Token{}, ErrRevoked
	case !k.token.Until.IsZero() && ts.now().After(k.token.Until):
		return Token{}, ErrEnded
	}
	return k.token, nil
}

// read reads one token's document.
func (ts *Tokens) read(ctx context.Context, id string) (Token, error) {
	if !idForm.MatchString(id) {
		return Token{}, fmt.Errorf("%w: %q is not a token's id, which has 12 letters and digits", ErrUnknown, id)
	}
	var t Token
	err := ts.Store.Read(ctx, prefix+id+"/token.json", &t)
	if errors.Is(err, fs.ErrNotExist) {
		return Token{}, fmt.Errorf("%w: %s", ErrUnknown, id)
	}
	if err != nil {
		return Token{}, fmt.Errorf("token %s: %w", id, err)
	}
	return t, nil
}

var (
	idForm     = regexp.MustCompile(`^[a-z2-7]{12}$`)
	secretForm = regexp.MustCompile(`^axle_([a-z2-7]{12})_[a-z2-7]{32}$`)
)

// idOf is the id that a secret holds, as text from a stranger may.
func idOf(secret string) (string, bool) {
	m := secretForm.FindStringSubmatch(secret)
	if m == nil {
		return "", false
	}
	return m[1], true
}

func hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func (ts *Tokens) now() time.Time {
	if ts.Now != nil {
		return ts.Now()
	}
	return time.Now()
}
