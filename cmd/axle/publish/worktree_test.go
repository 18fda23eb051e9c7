package publish

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/cas/disk"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/resolver/environ"
	"github.com/python-wheel-build/axle/resolver/view"
	"github.com/python-wheel-build/axle/resolver/view/config"
)

// TestPublishDuringCheckout: while a real git switches a work tree between two commits, publishing gives the view of one of the two or
// refuses, in a main and in a linked work tree.
func TestPublishDuringCheckout(t *testing.T) {
	t.Parallel()
	b, err := disk.Open(t.TempDir())
	ok(t, err)
	store, err := cas.Open(t.Context(), b, t.TempDir())
	ok(t, err)
	defer store.Close()
	machine := view.Machine{Environment: environ.Set{"libc": {Value: "glibc-2.36"}}, Target: dist.Target{Python: "cp311", ABI: "cp311", Platform: "linux_x86_64",
		PythonVersion: "3.11", PythonFullVersion: "3.11.7"}}
	on, err := view.Publish(t.Context(), store, config.View{Upstream: []config.Index{}}, machine)
	ok(t, err)

	main := t.TempDir()
	git := func(dir string, args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "gc.auto=0"}, args...)...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("git %q: %v\n%s", args, err, out)
		}
	}
	git(main, "init", "-q", "-b", "one")
	commit := func(what string) {
		t.Helper()
		files := map[string]string{"axle.yaml": "views: {default: {settings: overrides, constraints: [c.txt], upstream: {" + what + ": 'https://x.example/'}}}\n", "c.txt": "a<" + fmt.Sprint(len(what)) + "\n"}
		for i := range 40 {
			files[fmt.Sprintf("overrides/patches/p%d/1.patch", i)] = what + "\n"
			files[fmt.Sprintf("overrides/settings/p%d.yaml", i)] = "env: {A: " + what + "}\n"
		}
		for name, text := range files {
			ok(t, os.MkdirAll(filepath.Dir(filepath.Join(main, name)), 0o755))
			ok(t, os.WriteFile(filepath.Join(main, name), []byte(text), 0o644))
		}
		git(main, "add", ".")
		git(main, "commit", "-q", "-m", what)
	}
	commit("one")
	git(main, "checkout", "-q", "-b", "second")
	commit("second")
	linked := filepath.Join(t.TempDir(), "linked")
	git(main, "worktree", "add", "-q", "--detach", linked)

	for _, dir := range []string{main, linked} {
		publish := func() (view.Digest, error) {
			p := Publisher{Store: store, File: filepath.Join(dir, "axle.yaml"), Say: func(string) {}}
			configs, err := p.Configs(t.Context())
			if err != nil {
				return "", err
			}
			made, err := p.Publish(t.Context(), "default", configs["default"], on)
			if err != nil {
				return "", err
			}
			return made.View.Digest(), nil
		}
		known := map[view.Digest]string{}
		for _, commit := range []string{"one", "second"} {
			git(dir, "checkout", "-q", "--detach", commit)
			d, err := publish()
			ok(t, err)
			known[d] = commit
		}
		if len(known) != 2 {
			t.Fatalf("the two trees are one view: %v", known)
		}
		stop := make(chan struct{})
		var switching sync.WaitGroup
		switching.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-time.After(time.Duration(i%5) * 100 * time.Millisecond):
					git(dir, "checkout", "-q", "--detach", []string{"one", "second"}[i%2])
				}
			}
		})
		got, refused := map[string]int{}, 0
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end) && (got["one"] < 20 || got["second"] < 20 || refused < 100); {
			d, err := publish()
			switch {
			case err != nil:
				refused++
			case known[d] == "":
				t.Errorf("%s: a view of neither tree was published: %s", dir, d)
			default:
				got[known[d]]++
			}
		}
		close(stop)
		switching.Wait()
		t.Logf("%s: published %v, refused %d times", filepath.Base(dir), got, refused)
		if got["one"] == 0 || got["second"] == 0 || refused == 0 {
			t.Errorf("published %v, refused %d times: the test shows nothing", got, refused)
		}
		lock, err := gitFolder(dir)
		ok(t, err)
		lock = filepath.Join(lock, "index.lock")
		ok(t, os.WriteFile(lock, nil, 0o600))
		if _, err := publish(); err == nil || !strings.Contains(err.Error(), lock) {
			t.Errorf("a lock left behind: %v", err)
		}
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
