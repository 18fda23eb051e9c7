package explain

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/python-wheel-build/axle/resolver"
)

const (
	s1 = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	s2 = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
	s3 = "sha256:3333333333333333333333333333333333333333333333333333333333333333"
)

// document is a recipe's with more fields.
func document(more string) string {
	return `{"project":"foo","version":"1.0","source":{"kind":"sdist","sha256":"` + s1 + `"},"target":{"python":"cp311","abi":"cp311","platform":"linux_x86_64"}` + more + `}`
}

func parse(t testing.TB, text string) resolver.Recipe {
	t.Helper()
	r, err := resolver.ParseRecipe([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestDiff(t *testing.T) {
	patches := func(all ...string) string {
		var list []string
		for _, p := range all {
			name, sha, _ := strings.Cut(p, " ")
			list = append(list, `{"name":"`+name+`","sha256":"`+sha+`"}`)
		}
		return document(`,"patches":[` + strings.Join(list, ",") + `]`)
	}
	for name, c := range map[string]struct {
		was, is string
		want    []Change
		primary resolver.Cause
	}{
		"nothing": {document(""), document(""), nil, ""},
		"source": {document(""), strings.Replace(document(""), s1, s2, 1),
			[]Change{{Path: "source.sha256", Cause: "source", How: Edited, Was: s1, Is: s2}}, "source"},
		"a patch added": {document(""), patches("a.patch " + s1), []Change{{Path: "patches[a.patch]", Cause: "patches", How: Added, Is: s1}}, "patches"},
		"removed":       {patches("a " + s1), document(""), []Change{{Path: "patches[a]", Cause: "patches", How: Removed, Was: s1}}, "patches"},
		"edited":        {patches("a "+s1, "b "+s2), patches("a "+s1, "b "+s3), []Change{{Path: "patches[b]", Cause: "patches", How: Edited, Was: s2, Is: s3}}, "patches"},
		"renamed":       {patches("a "+s1, "b "+s2), patches("a "+s1, "c "+s2), []Change{{Path: "patches[c]", Cause: "patches", How: Renamed, Was: "b", Is: "c"}}, "patches"},
		"reordered":     {patches("a "+s1, "b "+s2), patches("b "+s2, "a "+s1), []Change{{Path: "patches", Cause: "patches", How: Reordered, Was: "a, b", Is: "b, a"}}, "patches"},
		"one before another is no reordering": {patches("b " + s2), patches("a "+s1, "b "+s2),
			[]Change{{Path: "patches[a]", Cause: "patches", How: Added, Is: s1}}, "patches"},
		"two of one name": {patches("a "+s1, "a "+s2), patches("a "+s1, "a "+s3),
			[]Change{{Path: "patches[a, 2]", Cause: "patches", How: Edited, Was: s2, Is: s3}}, "patches"},
		"settings": {document(`,"settings":{"env":{"A":"1","GONE":"x"},"build_dir":"sub"}`),
			document(`,"settings":{"env":{"A":"2"},"config_settings":{"cmake.define":["a","b"]},"build_dir":"sub"}`), []Change{
				{Path: "settings.config_settings[cmake.define]", Cause: "settings", How: Added, Is: `["a","b"]`},
				{Path: "settings.env.A", Cause: "settings", How: Edited, Was: "1", Is: "2"},
				{Path: "settings.env.GONE", Cause: "settings", How: Removed, Was: "x"},
			}, "settings"},
		"an empty setting is one": {document(""), document(`,"settings":{"project_override":{}}`),
			[]Change{{Path: "settings.project_override", Cause: "settings", How: Added, Is: "{}"}}, "settings"},
		"environment": {document(`,"environment":{"system":"` + s1 + `","python":"3.11"}`), document(`,"environment":{"system":"` + s2 + `","python":"3.11","path:rocm":"` + s3 + `"}`), []Change{
			{Path: "environment.path:rocm", Cause: "environment:path:rocm", How: Added, Is: s3},
			{Path: "environment.system", Cause: "environment:system", How: Edited, Was: s1, Is: s2},
		}, "environment:path:rocm"},
		"an override": {document(`,"overrides":{"entry_point":"plug","sources":[{"path":"plug/foo.py","sha256":"` + s1 + `"}]}`),
			document(`,"overrides":{"entry_point":"plug","sources":[{"path":"plug/foo.py","sha256":"` + s2 + `"},{"path":"plug/more.py","sha256":"` + s3 + `"}]}`), []Change{
				{Path: "overrides.sources[plug/more.py]", Cause: "overrides", How: Added, Is: s3},
				{Path: "overrides.sources[plug/foo.py]", Cause: "overrides", How: Edited, Was: s1, Is: s2},
			}, "overrides"},
		"target and builder": {document(`,"builder":{"name":"pep517/1","isolation":"bubblewrap","origin":"axle"}`),
			strings.Replace(document(`,"builder":{"name":"pep517/2","isolation":"bubblewrap","origin":"axle"}`), `"platform":"linux_x86_64"`, `"platform":"linux_aarch64"`, 1), []Change{
				{Path: "builder.name", Cause: "builder", How: Edited, Was: "pep517/1", Is: "pep517/2"},
				{Path: "target.platform", Cause: "target", How: Edited, Was: "linux_x86_64", Is: "linux_aarch64"},
			}, "target"},
		"a plugin added": {document(""), document(`,"overrides":{"entry_point":"acme","sources":[{"path":"acme.py","sha256":"` + s1 + `"}]}`), []Change{
			{Path: "overrides.entry_point", Cause: "overrides", How: Added, Is: "acme"},
			{Path: "overrides.sources[acme.py]", Cause: "overrides", How: Added, Is: s1},
		}, "overrides"},
		"a plugin edited": {document(`,"overrides":{"entry_point":"acme","sources":[{"path":"acme.py","sha256":"` + s1 + `"},{"path":"b.py","sha256":"` + s1 + `"}]}`),
			document(`,"overrides":{"entry_point":"acme","sources":[{"path":"acme.py","sha256":"` + s2 + `"},{"path":"b.py","sha256":"` + s1 + `"}]}`),
			[]Change{{Path: "overrides.sources[acme.py]", Cause: "overrides", How: Edited, Was: s1, Is: s2}}, "overrides"},
		"several": {patches("a " + s1), document(`,"environment":{"libc":"x"},"settings":{"build_dir":"y"}`), []Change{
			{Path: "environment.libc", Cause: "environment:libc", How: Added, Is: "x"},
			{Path: "patches[a]", Cause: "patches", How: Removed, Was: s1},
			{Path: "settings.build_dir", Cause: "settings", How: Added, Is: "y"},
		}, "patches"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Diff(parse(t, c.was), parse(t, c.is))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
			if p := Primary(got); p != c.primary {
				t.Errorf("primary cause %q, want %q", p, c.primary)
			}
		})
	}
}

// FuzzDiff: recipes differ if and only if there is something to tell, and the other way round as much is told.
func FuzzDiff(f *testing.F) {
	f.Add(document(""), document(`,"patches":[{"name":"a","sha256":"`+s1+`"},{"name":"a","sha256":"`+s2+`"}]`))
	f.Add(document(`,"settings":{"env":{"A":"1"}}`), document(`,"settings":{"env":{},"x":[{}]}`))
	f.Add(document(""), document(`,"overrides":{"entry_point":"a:b","sources":[{"path":"a.py","sha256":"`+s1+`"}]}`))
	f.Add(document(`,"settings":{"":"","a.b":{"c":""}}`), document(`,"environment":{"hook:*":"x"}`))
	f.Fuzz(func(t *testing.T, was, is string) {
		a, err := resolver.ParseRecipe([]byte(was))
		if err != nil {
			return
		}
		b, err := resolver.ParseRecipe([]byte(is))
		if err != nil {
			return
		}
		there, err := Diff(a, b)
		if err != nil {
			return // not a recipe that Canonical takes
		}
		back, err := Diff(b, a)
		if err != nil || len(back) != len(there) {
			t.Fatalf("%d changes there, %d back (%v)", len(there), len(back), err)
		}
		x, _ := a.Digest()
		y, _ := b.Digest()
		if (x == y) != (len(there) == 0) {
			t.Fatalf("recipes %s and %s, changes %+v", x, y, there)
		}
	})
}
