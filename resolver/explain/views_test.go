package explain

import (
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/go-digest"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/cas/disk"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/resolver/environ"
	"github.com/python-wheel-build/axle/resolver/view"
	"github.com/python-wheel-build/axle/resolver/view/config"
)

// TestViews: every difference of two views is told once, at the place where a person made it, down to the line.
func TestViews(t *testing.T) {
	b, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	store, err := cas.Open(t.Context(), b, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	publish := func(files map[string]string, constraints, system, variant string, indexes ...string) *view.View {
		t.Helper()
		tree := fstest.MapFS{}
		for name, text := range files {
			tree[name] = &fstest.MapFile{Data: []byte(text)}
		}
		file := filepath.Join(t.TempDir(), "c.txt")
		if err := os.WriteFile(file, []byte(constraints), 0o600); err != nil {
			t.Fatal(err)
		}
		c := config.View{SettingsFS: tree, Settings: "test", Variant: variant, Constraints: []string{file}}
		for _, name := range indexes {
			c.Upstream = append(c.Upstream, config.Index{Name: name, URL: &url.URL{Scheme: "https", Host: name + ".example", Path: "/"}})
		}
		set := environ.Set{"libc": {Value: "glibc-2.36"}, "system": {Value: digest.FromString(system).String(), Text: []byte(system)}}
		v, err := view.Publish(t.Context(), store, c, view.Machine{Environment: set,
			Target: dist.Target{Python: "cp311", ABI: "cp311", Platform: "linux_x86_64", PythonVersion: "3.11", PythonFullVersion: "3.11.7"}})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	was := publish(map[string]string{
		"settings/foo.yaml": "env: {CC: gcc, GONE: x}\nconfig_settings: {a: [b, c]}\n", "patches/foo/1.patch": "one\ntwo\nthree\n", "patches/foo-1.0/2.patch": "gone\n",
		"patches/same/1.patch": "same\n",
	}, "a<1\nb<2\n", "package gcc:amd64 12\n", "cpu", "main", "extra")
	is := publish(map[string]string{
		"settings/foo.yaml": "env: {CC: clang}\nconfig_settings: {a: [b, d]}\n", "patches/foo/1.patch": "one\n2\nthree\n", "patches/new/1.patch": "new\n",
		"patches/same/1.patch": "same\n",
	}, "a<1\nb<3\n", "package gcc:amd64 13\n", "rocm", "extra", "main")
	got, err := Views(t.Context(), store, was, is)
	if err != nil {
		t.Fatal(err)
	}
	want := []Change{
		{Path: "constraints", Cause: "constraints", How: Edited, Lines: []string{"@@ -2 +2 @@", "-b<2", "+b<3"}},
		{Path: "environment.system", Cause: "environment:system", How: Edited, Lines: []string{"gcc:amd64 12 -> 13"}},
		{Path: "indexes", Cause: "indexes", How: Edited, Lines: []string{"@@ -1 +1 @@", "-main https://main.example/", "@@ -3 +2 @@", "+main https://main.example/"}},
		{Path: "patches.foo[1.patch]", Cause: "patches", How: Edited, Lines: []string{"@@ -2 +2 @@", "-two", "+2"}},
		{Path: "patches[foo==1.0][2.patch]", Cause: "patches", How: Removed, Lines: []string{"@@ -1 +1 @@", "-gone"}},
		{Path: "patches.new[1.patch]", Cause: "patches", How: Added, Lines: []string{"@@ -1 +1 @@", "+new"}},
		{Path: "settings.foo.config_settings.a", Cause: "settings", How: Edited, Lines: []string{"@@ -2 +2 @@", "-c", "+d"}},
		{Path: "settings.foo.env.CC", Cause: "settings", How: Edited},
		{Path: "settings.foo.env.GONE", Cause: "settings", How: Removed},
		{Path: "variant", Cause: "variant", How: Edited},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Change{}, "Was", "Is")); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if same, err := Views(t.Context(), store, was, was); err != nil || len(same) > 0 {
		t.Errorf("a view and itself: %+v %v", same, err)
	}
}
