package views

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/cas/disk"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/names"
	"github.com/python-wheel-build/axle/resolver/view"
	"github.com/python-wheel-build/axle/resolver/view/config"
)

// TestFind: the first digits of a digest find the one view that they are of; a blob that is no view is passed over, two views are refused.
func TestFind(t *testing.T) {
	ctx := t.Context()
	b, err := disk.Open(t.TempDir())
	ok(t, err)
	store, err := cas.Open(ctx, b, t.TempDir())
	ok(t, err)
	defer store.Close()
	n := &names.Names{Store: store}
	v, err := view.Publish(ctx, store, config.View{}, view.Machine{Target: dist.Target{Python: "cp311", ABI: "cp311", Platform: "linux_x86_64"}})
	ok(t, err)
	document, err := store.Bytes(ctx, cas.Digest(v.Digest()), 1<<20)
	ok(t, err)

	// Some hundred thousand documents have two whose digests begin alike.
	seen := map[string]string{}
	var twins [2]string
	for i := 0; twins[1] == ""; i++ {
		text := string(bytes.Replace(document, []byte(`"variant":"cpu"`), fmt.Appendf(nil, `"variant":"v%d"`, i), 1))
		prefix := digest.FromString(text).Encoded()[:8]
		if other, ok := seen[prefix]; ok {
			twins = [2]string{other, text}
		}
		seen[prefix] = text
	}
	prefix := digest.FromString(twins[0]).Encoded()[:8]
	find := func(text, want string) {
		t.Helper()
		got, err := Find(ctx, n, text)
		switch {
		case err != nil && (!strings.Contains(err.Error(), want) || strings.HasPrefix(want, "sha256:") && !strings.Contains(err.Error(), "several")):
			t.Errorf("%s: %v, want %s", text, err, want)
		case err == nil && string(got.Digest()) != want:
			t.Errorf("%s: %s, want %s", text, got.Digest(), want)
		}
	}
	find("@"+prefix, "there is no view @"+prefix)
	one := digest.FromString(twins[0])
	_, err = store.AddBytes(ctx, []byte(twins[0]))
	ok(t, err)
	find("@"+prefix, one.String())
	find("@sha256:"+prefix, one.String())
	find("@"+one.Encoded(), one.String())
	_, err = store.AddBytes(ctx, []byte(twins[1]))
	ok(t, err)
	find("@"+prefix, "several views' digests, "+min(one.String(), digest.FromString(twins[1]).String()))
	find("@"+one.String(), one.String())
	find("@"+prefix[:7], "at least the first 8")
	find("@"+strings.ToUpper(prefix)+"X", "at least the first 8")
	find("default", "there is no view default")
	blob, err := store.AddBytes(ctx, []byte("no view"))
	ok(t, err)
	find("@"+blob.Encoded()[:12], "there is no view @")
	find("@"+blob.Encoded(), "not a view")
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestParsePins: what `pip freeze`, `uv pip compile` and people write, and what names no version.
func TestParsePins(t *testing.T) {
	markers := map[string]string{"python_version": "3.11", "sys_platform": "linux"}
	for text, want := range map[string]string{
		"foo==1.0\nBar.Baz == 2\n": "foo==1.0 bar-baz==2",
		"# by uv\r\n--index-url https://x/simple\n-i https://x\nfoo[a,b]==1.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n    # via bar\nbar==1  # why\n": "foo==1.0 bar==1",
		"foo==1.0 ; sys_platform == 'win32'\nbar==1 ; python_version >= '3.9'":                                                                                   "bar==1",
		"foo==1.0 \\":          "foo==1.0",
		"":                     "file names no version",
		"foo>=1":               "file:1: foo>=1 names no one version",
		"a==1\n\nfoo":          "file:3: foo names no one version",
		"foo==1.*":             "file:1: foo==1.* names no one version",
		"foo==1,!=2":           "file:1: foo==1,!=2 names no one version",
		"foo===1.0":            "file:1: foo===1.0 names no one version",
		"foo @ https://x/y":    "file:1: foo @ https://x/y names no one version",
		"-r other.txt":         "file:1: ",
		"-e .":                 "file:1: ",
		"foo==1 ; nope == 'x'": "file:1: ",
		"foo==":                "file:1: ",
	} {
		pins, err := parsePins("file", text, markers)
		var all []string
		for _, p := range pins {
			all = append(all, p.String())
		}
		got := strings.Join(all, " ")
		if err != nil {
			got = err.Error()
		}
		if got != want && !(err != nil && strings.HasPrefix(got, want) && strings.HasPrefix(want, "file")) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// TestInOrder: each stands behind what it was built with, also where a record's requirements lead in a ring.
func TestInOrder(t *testing.T) {
	records := map[string]resolver.Record{}
	add := func(pin string, with ...string) {
		parsed := func(pin string) (r resolver.Requirement) {
			q, err := dist.ParseRequirement(pin)
			ok(t, err)
			pins, err := parsePins("file", pin, nil)
			ok(t, err)
			return resolver.Requirement{Project: q.Project, Version: pins[0].Version}
		}
		r := resolver.Record{Wheel: "sha256:x", When: time.Now()}
		for _, w := range with {
			r.Requirements = append(r.Requirements, parsed(w))
		}
		records[pin] = r
	}
	add("a==1", "z==1", "elsewhere==1")
	add("z==1", "m==1")
	add("m==1")
	add("r==1", "s==1")
	add("s==1", "r==1")
	if got := strings.Join(inOrder(records), " "); got != "m==1 z==1 a==1 s==1 r==1" {
		t.Error(got)
	}
}
