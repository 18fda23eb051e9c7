package publish

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/builder/sandbox/sandboxtest"
	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/cas/disk"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver/environ"
	"github.com/python-wheel-build/axle/resolver/view/config"
	"github.com/python-wheel-build/axle/resolver/view/sitehook"
)

// asked is a hook of this shell script beside the configuration.
func asked(t *testing.T, script string, limit time.Duration) hook {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	b, err := disk.Open(filepath.Join(dir, "store"))
	if err != nil {
		t.Fatal(err)
	}
	store, err := cas.Open(t.Context(), b, filepath.Join(dir, "store/tmp"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	file := filepath.Join(dir, "collect")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	collector := environ.Collector{Python: sandboxtest.Python(t), Env: map[string]string{"DECLARED": "yes"}}
	in, err := collector.Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return hook{config.Hook{File: file, Command: []string{config.HookFolder + "/collect", "an argument"}}, Environment{Interpreter: in, collector: collector}, store, limit}
}

func TestHook(t *testing.T) {
	t.Parallel()
	h := asked(t, `cat > /tmp/q
test "$1" = "an argument" && test "$DECLARED" = yes && ! test -e /home && touch /build/scratch || exit 9
python3 -c 'import base64, json, socket
q = open("/tmp/q").read()
try:
    socket.create_connection(("127.0.0.1", 9), 1)
except OSError as e:
    net = str(e)
print(json.dumps({"*": base64.b64encode(q.encode()).decode(), "Foo": base64.b64encode(net.encode()).decode()}))'
echo "all is well" >&2
`, time.Minute)
	foo, bar := version.Version{}, version.Version{}
	for v, text := range map[*version.Version]string{&foo: "1.10", &bar: "1.9"} {
		var err error
		if *v, err = version.Parse(text); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"records/foo/1.9/a/b/0000.json", "records/foo/1.9/c/b/0000.json", "records/new/2.0/a/b/0000.json"} {
		if err := h.store.Create(t.Context(), key, map[string]string{}); err != nil {
			t.Fatal(err)
		}
	}
	set, err := h.ask(t.Context(), sitehook.Question{Variant: "cuda", Target: dist.Target{Python: "cp311"},
		Projects: map[dist.Project][]version.Version{"foo": {foo}, "only-settings": {}}})
	if err != nil {
		t.Fatal(err)
	}
	var q sitehook.Question
	if err := json.Unmarshal(set["hook:*"].Text, &q); err != nil {
		t.Fatalf("%v in %s", err, set["hook:*"].Text)
	}
	if q.Variant != "cuda" || q.Target.Python != "cp311" || len(q.Projects) != 3 || len(q.Projects["foo"]) != 2 || q.Projects["foo"][0].String() != "1.9" ||
		len(q.Projects["new"]) != 1 || q.Projects["only-settings"] == nil {
		t.Errorf("asked: %s", set["hook:*"].Text)
	}
	if net := string(set["hook:foo"].Text); !strings.Contains(net, "refused") {
		t.Errorf("the network: %q, want nobody to listen there", net)
	}
	left, err := os.ReadDir(h.store.Scratch())
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestHookRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script string
		want   []string
	}{
		"fails":                       {"echo {}; echo no such device >&2; exit 3", []string{"exit code 3", "no such device"}},
		"is killed":                   {"kill -9 $$", []string{"killed", "nothing on standard error"}},
		"hangs":                       {"echo waiting >&2; sleep 1000", []string{"did not end within 2s", "waiting"}},
		"hangs on, in the background": {"sleep 1000 & echo '{'", []string{"ends within the JSON object"}},
		"prints rubbish":              {"echo hello; echo oops >&2", []string{"JSON object", "oops"}},
		"prints two":                  {"echo '{}{}'", []string{"more than one"}},
		"prints no base64":            {`echo '{"torch": "?"}'`, []string{`"torch" is not base64`}},
		"prints much":                 {"yes", []string{"more than 1048576 bytes"}},
		"says much":                   {"yes >&2", []string{"hook"}},
		"is no program":               {"", []string{"collect", "chmod +x"}},
		"is not there":                {"", []string{"no-such-program"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := asked(t, c.script, 2*time.Second)
			switch name {
			case "is no program":
				if err := os.Chmod(h.File, 0o644); err != nil {
					t.Fatal(err)
				}
			case "is not there":
				h.Hook = config.Hook{Command: []string{"no-such-program"}}
			}
			began := time.Now()
			set, err := h.ask(t.Context(), sitehook.Question{Projects: map[dist.Project][]version.Version{}})
			if err == nil {
				t.Fatalf("it was taken: %v", set)
			}
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("it took %s", took)
			}
			for _, want := range append(c.want, h.Command[0], "out of the configuration") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v: does not say %q", err, want)
				}
			}
		})
	}
}
