package main

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/internal/testindex"
)

// token makes one and gives its secret.
func (r *rig) token(args ...string) string {
	r.t.Helper()
	out, errs, err := r.run(append([]string{"token", "create", "--store", r.store}, args...)...)
	if err != nil {
		r.t.Fatalf("%v\n%s", err, errs)
	}
	return strings.TrimSpace(out)
}

// as gives the server's address with a token in it, as an index URL has it.
func (r *rig) as(secret string) *rig {
	u, err := url.Parse(r.base)
	r.ok(err)
	u.User = url.UserPassword("axle", secret)
	other := *r
	other.base = u.String()
	return &other
}

// TestTokens: from the first token on only who has one for it may have things built; reading stays free unless the server is told otherwise.
func TestTokens(t *testing.T) {
	t.Parallel()
	r := newRacingRig(t)
	r.config += "  other:\n    settings: overrides/\n    variant: other\n    upstream: {main: %UP%}\n"
	for _, name := range []string{"free", "told", "early", "late"} {
		r.up.Add(testindex.Spec{Name: name, Version: "1.0", Marker: name})
	}
	r.start()
	pip, uv := clients(t)[1], clients(t)[2]
	r.installs(pip, r.home(), "free")

	builds, elsewhere := r.token("--scope", "build", "--note", "for tests"), r.token("--scope", "build", "--name", "other")
	build := func(what, token string, want ...string) {
		t.Helper()
		r.callerEnv = []string{"AXLE_TOKEN=" + token}
		defer func() { r.callerEnv = nil }()
		_, errs, err := r.run("build", what)
		if (err == nil) != (len(want) == 0) {
			t.Errorf("axle build %s: %v\n%s", what, err, errs)
		}
		for _, w := range want {
			if !strings.Contains(errs, w) {
				t.Errorf("axle build %s does not say %q:\n%s", what, w, errs)
			}
		}
	}
	build("told", "", "401", "AXLE_TOKEN")
	build("told", elsewhere, "403", "not for build of the view default")
	build("told", builds+"x", "401", "no such token")
	for _, c := range []client{pip, uv} {
		for what, as := range map[string]*rig{"no token": r, "a token of another view": r.as(elsewhere)} {
			if _, out, err := as.install(c, r.home(), "early"); err == nil {
				t.Errorf("%s had something built with %s:\n%s", c.name, what, out)
			}
		}
	}
	if got := r.built(); got != 1 {
		t.Errorf("%d builds, want only the one from before there were tokens", got)
	}
	r.installs(uv, r.home(), "free") // a hit is read
	build("told", builds)
	r.as(builds).installs(pip, r.home(), "early")
	r.as(builds).installs(uv, r.home(), "early")

	id := strings.Split(builds, "_")[1]
	if _, errs, err := r.run("token", "revoke", id, "--store", r.store, "--why", "lost"); err != nil {
		t.Fatalf("%v\n%s", err, errs)
	}
	time.Sleep(1100 * time.Millisecond)
	build("late", builds, "401", "revoked")
	list, _, err := r.run("token", "list", "--store", r.store)
	r.ok(err)
	if strings.Contains(list, strings.Split(builds, "_")[2]) || !strings.Contains(list, "revoked") || !strings.Contains(list, "for tests") {
		t.Errorf("the list is\n%s", list)
	}

	reads := r.token("--scope", "read", "--name", "default")
	r.args = append(r.args, "--read-tokens")
	r.restart()
	for path, want := range map[string]int{"/simple/free/": 401, "/": 401, "/metrics": 401, "/healthz": 200, "/readyz": 200} {
		if got := r.get(path, nil).status; got != want {
			t.Errorf("%s without a token: %d, want %d", path, got, want)
		}
	}
	for _, c := range []client{pip, uv} {
		r.as(reads).installs(c, r.home(), "free")
		if _, out, err := r.as(elsewhere).install(c, r.home(), "free"); err == nil {
			t.Errorf("%s read without the scope:\n%s", c.name, out)
		}
	}
	if got := r.as(reads).get("/view/other/simple/free/", nil).status; got != 403 {
		t.Errorf("another view than the token's: %d, want 403", got)
	}
}
