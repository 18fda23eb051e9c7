package index

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/internal/testindex"
	"github.com/python-wheel-build/axle/internal/testtools"
)

var venvDir string

// venv makes one virtual environment for all tests here: the pip that comes with python3.
var venv = sync.OnceValues(func() (string, error) {
	var err error
	if venvDir, err = os.MkdirTemp("", "index-venv-"); err != nil {
		return "", err
	}
	if out, err := exec.Command("python3", "-m", "venv", venvDir).CombinedOutput(); err != nil {
		return "", fmt.Errorf("python3 -m venv: %w\n%s", err, out)
	}
	return venvDir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if venvDir != "" {
		_ = os.RemoveAll(venvDir)
	}
	os.Exit(code)
}

// client is a real installer with its default settings.
type client struct {
	name    string
	install func(t *testing.T, index, target string, args ...string) (string, error)
}

func clients(t *testing.T) []client {
	run := func(t *testing.T, argv ...string) (string, error) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
		cmd.Dir = t.TempDir()
		for _, v := range os.Environ() {
			if !strings.HasPrefix(v, "PIP_") && !strings.HasPrefix(v, "UV_") && !strings.Contains(strings.ToLower(v), "_proxy=") {
				cmd.Env = append(cmd.Env, v)
			}
		}
		cmd.Env = append(cmd.Env, "HOME="+cmd.Dir, "PIP_CONFIG_FILE=/dev/null", "UV_NO_CONFIG=1", "UV_CACHE_DIR="+filepath.Join(cmd.Dir, "cache"), "UV_PYTHON_DOWNLOADS=never")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	uv := testtools.Tool(t, "uv")
	dir, err := venv()
	check(t, err)
	python := filepath.Join(dir, "bin", "python")
	return []client{
		{"pip", func(t *testing.T, index, target string, args ...string) (string, error) {
			return run(t, append([]string{python, "-m", "pip", "install", "--index-url", index, "--target", target}, args...)...)
		}},
		{"uv", func(t *testing.T, index, target string, args ...string) (string, error) {
			return run(t, append([]string{uv, "pip", "install", "--python", python, "--index-url", index, "--target", target}, args...)...)
		}},
	}
}

func TestClientsInstallHitsAndPromises(t *testing.T) {
	for _, c := range clients(t) {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.add(testindex.Spec{Name: "demo", Version: "1.0", Marker: "promised", Requires: []string{"helper>=1"}, MetadataVersion: "2.1"},
				testindex.Spec{Name: "helper", Version: "1.0", Marker: "old"}, testindex.Spec{Name: "helper", Version: "1.5", Marker: "there"})
			w.build("helper", "1.5")
			target := t.TempDir()
			out, err := c.install(t, w.url+"simple/", target, "demo")
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for file, want := range map[string]string{"demo.py": "promised", "helper.py": "there"} {
				if b, err := os.ReadFile(filepath.Join(target, file)); err != nil || !strings.Contains(string(b), `"`+want+`"`) {
					t.Errorf("%s: %q, %v", file, b, err)
				}
			}
			if n := w.builder.did("wheel demo==1.0"); n != 1 || w.builder.did("metadata demo==1.0") != 1 || w.builder.did("wheel helper==1.0") != 0 {
				t.Errorf("built %d times: %v", n, w.builder.count)
			}
			// And again, by name and from hits only.
			if out, err := c.install(t, w.url+"view/default/cached/simple/", t.TempDir(), "demo"); err != nil || w.builder.did("wheel demo==1.0") != 1 {
				t.Errorf("cached: %v\n%s", err, out)
			}
		})
	}
}

// The chain of hops, with a shorter time per hop but the clients' own patience.
func TestClientsWait(t *testing.T) {
	for _, c := range clients(t) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(s *Server) { s.Hold = time.Second })
			w.add(testindex.Spec{Name: "demo", Version: "1.0", Marker: "late", MetadataVersion: "2.1"})
			release := w.builder.hold(t)
			go func() {
				time.Sleep(8 * time.Second)
				release()
			}()
			target := t.TempDir()
			out, err := c.install(t, w.url+"simple/", target, "demo")
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if b, err := os.ReadFile(filepath.Join(target, "demo.py")); err != nil || !strings.Contains(string(b), "late") {
				t.Errorf("%q, %v", b, err)
			}
			visits, err := strconv.Atoi(w.counter(`axle_lookups_total{result="miss"}`))
			if n := w.builder.did("wheel demo==1.0"); n != 1 || err != nil || visits < 4 {
				t.Errorf("the chain was not walked: built %d times, %d visits, %v", n, visits, err)
			}
		})
	}
}

// pip shows a failed download's URL and uv the problem's text; both lead to the log.
func TestClientsShowWhatFailed(t *testing.T) {
	for _, c := range clients(t) {
		for _, stage := range []string{"wheel", "metadata"} {
			t.Run(c.name+" "+stage, func(t *testing.T) {
				w := newWorld(t, nil)
				spec := testindex.Spec{Name: "demo", Version: "1.0"}
				if stage == "metadata" {
					spec.MetadataVersion = "2.1"
				}
				w.add(spec)
				failed := w.failure("demo", "1.0", "gcc -c \x1b[31mdemo.c\naxle: failed: the compiler is sulking\n")
				w.builder.fail("demo==1.0", failed)
				start := time.Now()
				out, err := c.install(t, w.url+"simple/", t.TempDir(), "demo")
				path := "/demo/1.0/" + failed.Failure.Log.Encoded()
				want := []string{"/failed" + path}
				if c.name == "uv" {
					want = []string{"demo 1.0: the compiler is sulking", "/api/v1/logs" + path, `\x1b[31mdemo.c`}
				}
				if err == nil || time.Since(start) > 20*time.Second {
					t.Errorf("%v after %s", err, time.Since(start))
				}
				for _, text := range want {
					if !strings.Contains(out, text) {
						t.Errorf("no %q in\n%s", text, out)
					}
				}
				if n := w.builder.did("wheel demo==1.0") + w.builder.did("metadata demo==1.0"); n > 2 {
					t.Errorf("asked for it %d times", n)
				}
			})
		}
	}
}

func TestClientsStopAtABrokenPromise(t *testing.T) {
	for _, c := range clients(t) {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.add(testindex.Spec{Name: "demo", Version: "1.0", WheelRequires: []string{"helper"}}, testindex.Spec{Name: "helper", Version: "1.0"})
			out, err := c.install(t, w.url+"simple/", t.TempDir(), "demo")
			if err == nil || !strings.Contains(out, "422") {
				t.Errorf("%v\n%s", err, out)
			}
			target := t.TempDir()
			if out, err := c.install(t, w.url+"simple/", target, "demo"); err != nil {
				t.Errorf("again: %v\n%s", err, out)
			}
			if _, err := os.Stat(filepath.Join(target, "helper.py")); err != nil {
				t.Error(err)
			}
		})
	}
}
