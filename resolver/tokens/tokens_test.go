package tokens_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/cas/disk"
	"github.com/python-wheel-build/axle/resolver/tokens"
)

type world struct {
	t     *testing.T
	dir   string
	store *cas.Store
	clock time.Time
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, dir: t.TempDir(), clock: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	b, err := disk.Open(w.dir)
	w.ok(err)
	w.store, err = cas.Open(t.Context(), b, filepath.Join(w.dir, "tmp"))
	w.ok(err)
	t.Cleanup(func() { w.store.Close() })
	return w
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// process is another process on the same store.
func (w *world) process() *tokens.Tokens {
	return &tokens.Tokens{Store: w.store, Now: func() time.Time { return w.clock }}
}

func TestTokens(t *testing.T) {
	w := newWorld(t)
	here, there := w.process(), w.process()
	some := func(want bool) {
		t.Helper()
		got, err := there.Any(t.Context())
		w.ok(err)
		if got != want {
			t.Errorf("any token: %v, want %v", got, want)
		}
	}
	some(false)
	secret, made, err := here.Create(t.Context(), tokens.Token{Scopes: []string{"build", "build"}, Names: []string{"main"}, Who: "me",
		Until: w.clock.Add(time.Hour)})
	w.ok(err)
	some(true)
	found, err := there.Find(t.Context(), secret)
	w.ok(err)
	if found.ID != made.ID || len(found.Scopes) != 1 {
		t.Errorf("found %+v, made %+v", found, made)
	}
	for _, c := range []struct {
		scope string
		under []string
		want  bool
	}{{"build", []string{"main"}, true}, {"build", []string{"other", "main"}, true}, {"read", []string{"main"}, false}, {"build", []string{"other"}, false}, {"build", nil, false}} {
		if got := found.May(c.scope, c.under); got != c.want {
			t.Errorf("may %s under %s: %v, want %v", c.scope, c.under, got, c.want)
		}
	}
	refused := func(what, secret string, want error) {
		t.Helper()
		if _, err := there.Find(t.Context(), secret); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	// A secret is good as a whole only.
	for what, s := range map[string]string{"nothing": "", "its id": made.ID, "another secret of its id": secret[:len(secret)-1] + flip(secret[len(secret)-1:]),
		"another id": secret[:5] + flip(secret[5:6]) + secret[6:], "longer": secret + "a", "path": "axle_../../../x_" + secret[18:], "upper": strings.ToUpper(secret)} {
		refused(what, s, tokens.ErrUnknown)
	}
	w.clock = w.clock.Add(2 * time.Hour)
	refused("ended", secret, tokens.ErrEnded)
	w.clock = w.clock.Add(-2 * time.Hour)

	for range 2 { // once more is no error
		w.ok(here.Revoke(t.Context(), made.ID, tokens.Revocation{Who: "me", Why: "lost"}))
	}
	time.Sleep(1100 * time.Millisecond) // so long may it be believed
	refused("revoked by another process", secret, tokens.ErrRevoked)
	if err := here.Revoke(t.Context(), "nobodysid234", tokens.Revocation{}); !errors.Is(err, tokens.ErrUnknown) {
		t.Errorf("revoking what is not there: %v", err)
	}
	all, err := there.List(t.Context())
	w.ok(err)
	if len(all) != 1 || all[0].Revoked == nil || all[0].Revoked.Why != "lost" {
		t.Errorf("listed %+v", all)
	}
	some(true) // that all are revoked opens nothing
	w.ok(filepath.WalkDir(w.dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(name)
		if strings.Contains(string(b), secret) || strings.Contains(string(b), secret[18:]) {
			t.Errorf("%s holds the secret", name)
		}
		return err
	}))
}

func flip(c string) string {
	if c == "a" {
		return "b"
	}
	return "a"
}

func TestRefused(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		token tokens.Token
		want  string
	}{
		{tokens.Token{}, "without a scope"},
		{tokens.Token{Scopes: []string{"write"}}, `"write" is no scope`},
	} {
		if _, _, err := w.process().Create(t.Context(), c.token); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.token, err, c.want)
		}
	}
	if any, err := w.process().Any(t.Context()); any || err != nil {
		t.Errorf("something was kept: %v %v", any, err)
	}
}

// TestDamaged: nobody gets in by a token whose document or revocation can't be read.
func TestDamaged(t *testing.T) {
	for _, file := range []string{"token.json", "revoked.json"} {
		w := newWorld(t)
		secret, made, err := w.process().Create(t.Context(), tokens.Token{Scopes: []string{"build"}})
		w.ok(err)
		w.ok(w.process().Revoke(t.Context(), made.ID, tokens.Revocation{}))
		w.ok(os.WriteFile(filepath.Join(w.dir, "tokens", made.ID, file), []byte("rubbish"), 0o644))
		if _, err := w.process().Find(t.Context(), secret); err == nil {
			t.Errorf("with a damaged %s the token is good", file)
		}
	}
}
