package host

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// pipEnv gives pip an environment with these variables and a configuration file, and nothing else of this machine's settings for
// indexes.
func pipEnv(t *testing.T, conf string, env map[string]string) {
	t.Helper()
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "PIP_") {
			t.Setenv(name, "")
			os.Unsetenv(name)
		}
	}
	file := os.DevNull // pip then reads no file at all
	if conf != "" {
		file = filepath.Join(t.TempDir(), "pip.conf")
		if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PIP_CONFIG_FILE", file)
	for name, value := range env {
		t.Setenv(name, value)
	}
}

// show writes what was found, passwords too.
func show(found []Index) string {
	var b strings.Builder
	for _, n := range found {
		fmt.Fprintf(&b, "%s %s", n.Name, n.URL)
		if n.User != nil {
			password, _ := n.User.Password()
			fmt.Fprintf(&b, " (%s %s)", n.User.Username(), password)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestPipIndexes(t *testing.T) {
	for _, test := range []struct {
		name, conf string
		env        map[string]string
		want, err  string
	}{
		{
			name: "file", conf: "[global]\nindex-url = http://bob:se%20cret@127.0.0.1:3/simple\nextra-index-url =\n  http://127.0.0.1:4/x\n  http://u:it's@127.0.0.1:5/y\n",
			want: "main http://127.0.0.1:3/simple (bob se cret)\nextra1 http://127.0.0.1:4/x\nextra2 http://127.0.0.1:5/y (u it's)\n",
		},
		{
			name: "the install section goes before the global one", conf: "[global]\nindex_url = http://127.0.0.1:3/a\nextra-index-url = http://127.0.0.1:3/b\n[install]\nindex-url = http://127.0.0.1:3/c\n[download]\nindex-url = http://127.0.0.1:3/d",
			want: "main http://127.0.0.1:3/c\nextra1 http://127.0.0.1:3/b\n",
		},
		{
			name: "variables go before files", conf: "[install]\nindex-url = http://127.0.0.1:3/a\nextra-index-url = http://127.0.0.1:3/b",
			env:  map[string]string{"PIP_INDEX_URL": "https://ann:hunter2@127.0.0.1:3/e/", "PIP_EXTRA_INDEX_URL": "http://127.0.0.1:3/f  http://127.0.0.1:3/e http://127.0.0.1:3/f/ https://tok@127.0.0.1/g"},
			want: "main https://127.0.0.1:3/e/ (ann hunter2)\nextra1 http://127.0.0.1:3/f\nextra2 http://127.0.0.1:3/e\nextra3 https://127.0.0.1/g (tok )\n",
		},
		{
			name: "empty variables count as none", conf: "[global]\nindex-url = http://127.0.0.1:3/a",
			env:  map[string]string{"PIP_INDEX_URL": "", "PIP_EXTRA_INDEX_URL": ""},
			want: "main http://127.0.0.1:3/a\n",
		},
		{name: "no index", conf: "[global]\nno-index = yes", err: "name an upstream"},
		{name: "a folder", env: map[string]string{"PIP_INDEX_URL": "/srv/simple"}, err: `index-url "/srv/simple" is not an http`},
		{name: "a file URL", env: map[string]string{"PIP_INDEX_URL": "http://h/", "PIP_EXTRA_INDEX_URL": "file://ann:hunter2@h/srv"}, err: `extra-index-url "file://ann:xxxxx@h/srv" is not an http`},
		{name: "not a URL", env: map[string]string{"PIP_INDEX_URL": "http://ann:hunter2@[/"}, err: "index-url is not an http"},
	} {
		t.Run(test.name, func(t *testing.T) {
			pipEnv(t, test.conf, test.env)
			found, err := PipIndexes(t.Context(), "python3")
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) || !strings.Contains(err.Error(), "name an upstream in the configuration") || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("%v, want %s", err, test.err)
				}
				return
			}
			if err != nil || show(found) != test.want {
				t.Errorf("%v, got\n%swant\n%s", err, show(found), test.want)
			}
		})
	}
}

// What pip uses when nothing is set is only pip's to know.
func TestPipDefaultIndex(t *testing.T) {
	pipEnv(t, "", nil)
	found, err := PipIndexes(t.Context(), "python3")
	if err != nil || len(found) != 1 || found[0].Name != "main" || found[0].URL.Scheme != "https" || !strings.Contains(found[0].URL.Path, "simple") {
		t.Errorf("%v, %v", found, err)
	}
}

func TestPythonWithoutPip(t *testing.T) {
	pipEnv(t, "[global]\nindex-url = http://127.0.0.1:3/a", nil)
	dir := filepath.Join(t.TempDir(), "venv")
	if out, err := exec.Command("python3", "-m", "venv", "--without-pip", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	python := filepath.Join(dir, "bin", "python")
	found, err := PipIndexes(t.Context(), python)
	if err != nil || show(found) != "main http://127.0.0.1:3/a\n" {
		t.Errorf("with another pip on PATH: %s%v", show(found), err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err = PipIndexes(t.Context(), python); err == nil || !strings.Contains(err.Error(), "No module named pip") || !strings.Contains(err.Error(), "name an upstream in the configuration") {
		t.Errorf("with none: %v", err)
	}
}

// A pip.py where we stand is not pip.
func TestPipOfThisFolder(t *testing.T) {
	pipEnv(t, "[global]\nindex-url = http://127.0.0.1:3/a", nil)
	t.Chdir(t.TempDir())
	if err := os.WriteFile("pip.py", []byte("print(\"global.index-url='http://127.0.0.1:3/evil'\")\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	found, err := PipIndexes(t.Context(), "python3")
	if err != nil || show(found) != "main http://127.0.0.1:3/a\n" {
		t.Errorf("%s%v", show(found), err)
	}
}

func TestPythonString(t *testing.T) {
	for in, want := range map[string]string{
		`'a'`: "a", `"it's"`: "it's", `'a"b'`: `a"b`, `'a\'b"'`: `a'b"`, `'\n\t\r\\'`: "\n\t\r\\", `'\xe9\u20ac\U0001f600é'`: "\u00e9€😀é", `''`: "",
	} {
		if got, ok := pythonString(in); !ok || got != want {
			t.Errorf("%s: %q, %v", in, got, ok)
		}
	}
	for _, in := range []string{``, `a`, `'`, `'a`, `'a'b`, `'a"`, `'\`, `'\z'`} {
		if got, ok := pythonString(in); ok {
			t.Errorf("%s: %q", in, got)
		}
	}
}

func TestReadNetrc(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("NETRC", "")
	u := &url.URL{Scheme: "https", Host: "a.test"}
	user := func(want string) {
		t.Helper()
		n, err := Netrc()
		got, _, _ := n.Credentials(u)
		if err != nil || got != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	write := func(name, text string) string {
		t.Helper()
		name = filepath.Join(home, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	user("")
	write("_netrc", "machine a.test login under password x")
	user("under")
	write(".netrc", "machine a.test login home password x")
	user("home")
	t.Setenv("NETRC", write("named", "machine a.test login named password x"))
	user("named")
	name := write("bad", "machine a.test pass hunter2")
	t.Setenv("NETRC", name)
	if _, err := Netrc(); err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("bad: %v", err)
	}
	t.Setenv("NETRC", filepath.Join(home, "none"))
	if _, err := Netrc(); err == nil || !strings.Contains(err.Error(), "unset NETRC") {
		t.Errorf("missing: %v", err)
	}
}
