package testindex

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Git serves real repositories on loopback by git's own HTTP program, as a forge does. They lie in Dir, and at URL + "/" + name.
type Git struct {
	Program string // git's path
	Dir     string
	URL     string
	t       testing.TB

	mu             sync.Mutex // guards what follows
	user, password string
}

// NewGit starts a host without repositories that lives until the test ends. Where there is no git the test is skipped.
func NewGit(t testing.TB) *Git {
	program, err := exec.LookPath("git")
	if err != nil {
		t.Skip("no git on this machine: no repository can be made or fetched from")
	}
	out, err := exec.Command(program, "--exec-path").Output()
	must(err)
	g := &Git{Program: program, Dir: t.TempDir(), t: t}
	backend := &cgi.Handler{Path: filepath.Join(strings.TrimSpace(string(out)), "git-http-backend"),
		Env: []string{"GIT_PROJECT_ROOT=" + g.Dir, "GIT_HTTP_EXPORT_ALL=1"}, Stderr: io.Discard}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		wantUser, wantPassword := g.user, g.password
		g.mu.Unlock()
		if user, password, _ := r.BasicAuth(); wantUser != "" && (user != wantUser || password != wantPassword) {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	g.URL = server.URL
	return g
}

// Login is demanded of everybody from now on.
func (g *Git) Login(user, password string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.user, g.password = user, password
}

// Run runs git in a repository as a person would, and gives what it printed. A failure ends the test.
func (g *Git) Run(name string, args ...string) string {
	g.t.Helper()
	cmd := exec.Command(g.Program, append([]string{"-C", filepath.Join(g.Dir, name)}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b.example", "GIT_COMMITTER_NAME=a",
		"GIT_COMMITTER_EMAIL=a@b.example", "GIT_AUTHOR_DATE=2024-01-01T00:00:00Z", "GIT_COMMITTER_DATE=2024-01-01T00:00:00Z",
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=protocol.file.allow", "GIT_CONFIG_VALUE_0=always")
	out, err := cmd.CombinedOutput()
	if err != nil {
		g.t.Fatalf("git %s: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// Commit writes files into a repository, which is made where there is none, and gives the commit. A text that begins with -> is a link, a
// name that ends with * is executable.
func (g *Git) Commit(name string, files map[string]string) string {
	g.t.Helper()
	dir := filepath.Join(g.Dir, name)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		must(os.Mkdir(dir, 0o755))
		g.Run(name, "init", "--quiet", "--initial-branch=main")
	}
	for file, text := range files {
		file, executable := strings.CutSuffix(file, "*")
		path := filepath.Join(dir, file)
		must(os.MkdirAll(filepath.Dir(path), 0o755))
		if target, ok := strings.CutPrefix(text, "->"); ok {
			must(os.Symlink(target, path))
			continue
		}
		mode := os.FileMode(0o644)
		if executable {
			mode = 0o755
		}
		must(os.WriteFile(path, []byte(text), mode))
	}
	g.Run(name, "add", "--all")
	g.Run(name, "commit", "--quiet", "--message=change")
	return g.Run(name, "rev-parse", "HEAD")
}
