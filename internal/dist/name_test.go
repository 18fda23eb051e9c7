package dist

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/python-wheel-build/axle/internal/version"
)

func TestProject(t *testing.T) {
	for in, want := range map[string]Project{
		"requests": "requests", "Foo.Bar_baz": "foo-bar-baz", "a": "a", "A--b__c..d-_.e": "a-b-c-d-e", "7zip": "7zip",
		"": "", "-a": "", "a-": "", "a_": "", ".": "", "a b": "", "a/b": "", "..": "", "naïve": "", "a\n": "", "a\x00b": "",
	} {
		p, err := ParseProject(in)
		if p != want || (err == nil) != (want != "") {
			t.Errorf("%q gives %q, %v", in, p, err)
		}
	}
	if p, _ := ParseProject("Foo.Bar"); p.Override() != "foo_bar" {
		t.Error(p.Override())
	}
	var m map[Project]Project
	if err := json.Unmarshal([]byte(`{"Foo_Bar":"A.b"}`), &m); err != nil || m["foo-bar"] != "a-b" {
		t.Error(m, err)
	}
	if err := json.Unmarshal([]byte(`"../x"`), new(Project)); err == nil {
		t.Error("a path is read as a project")
	}
}

func TestWheelName(t *testing.T) {
	for _, c := range []struct{ in, project, version, build, tags, with string }{
		{"foo-1.0-py3-none-any.whl", "foo", "1.0", "", "py3-none-any", "foo-1.0-0_ab-py3-none-any.whl"},
		{"Foo.Bar_x-01.00-7abc-Py2.py3-none-any.whl", "foo-bar-x", "1.0", "7abc", "py2-none-any py3-none-any", "Foo.Bar_x-01.00-0_ab-Py2.py3-none-any.whl"},
		{"torch-2.9.0+cpu-0-cp311-cp311-manylinux_2_28_x86_64.manylinux2014_x86_64.whl", "torch", "2.9.0+cpu", "0",
			"cp311-cp311-manylinux_2_28_x86_64 cp311-cp311-manylinux2014_x86_64",
			"torch-2.9.0+cpu-0_ab-cp311-cp311-manylinux_2_28_x86_64.manylinux2014_x86_64.whl"},
		{"a-1!2-py3.py3-none-any.whl", "a", "1!2", "", "py3-none-any", "a-1!2-0_ab-py3.py3-none-any.whl"},
	} {
		w, err := ParseWheelName(c.in)
		if err != nil {
			t.Error(err)
			continue
		}
		var tags []string
		for _, tag := range w.Tags {
			tags = append(tags, tag.String())
		}
		got := []string{string(w.Project), w.Version.String(), w.Build.String(), strings.Join(tags, " "), w.With("0_ab")}
		if want := []string{c.project, c.version, c.build, c.tags, c.with}; !slices.Equal(got, want) {
			t.Errorf("%s gives %q, want %q", c.in, got, want)
		}
		if w.With(w.Build.String()) != c.in {
			t.Errorf("%s with its own build tag is %s", c.in, w.With(w.Build.String()))
		}
	}
	if w, _ := ParseWheelName("foo-1.0-3-py3-none-any.whl"); w.With("") != "foo-1.0-py3-none-any.whl" {
		t.Error(w.With(""))
	}
	v, _ := version.Parse("1.0.post1+a.b")
	if got := FormatWheelName("foo-bar", v, "0_abc", "py3-none-any"); got != "foo_bar-1.0.post1+a.b-0_abc-py3-none-any.whl" {
		t.Error(got)
	}
}

func TestWheelNameErrors(t *testing.T) {
	for in, want := range map[string]string{
		"foo-1.0-py3-none-any.zip":        ".whl",
		"foo-1.0-py3-none.whl":            "not 4",
		"foo-1.0-1-2-py3-none-any.whl":    "not 7",
		"foo__bar-1.0-py3-none-any.whl":   "two underscores",
		"_foo-1.0-py3-none-any.whl":       "not a project name",
		"foo-1.x-py3-none-any.whl":        "not a version",
		"foo-1.0-a1-py3-none-any.whl":     "build tag",
		"foo-1.0-py3..py2-none-any.whl":   `"" is not the name of a Python`,
		"foo-1.0-3py-none-any.whl":        "Python",
		"foo-1.0-py3-none-.whl":           "platform",
		"foo-1.0-py3-none-a/../b.whl":     "'/'",
		"foo-1.0-py3-none-any\n.whl":      "'\\n'",
		"foo-1.0-py3-none-a%2fb.whl":      "'%'",
		"foo-1.0-py3-no+ne-any.whl":       "ABI",
		strings.Repeat("a", 252) + ".whl": "255",
		"f-1-" + strings.Repeat("a.", 20) + "a-" + strings.Repeat("a.", 20) + "a-" + strings.Repeat("a.", 20) + "a.whl": "9261 tags",
		"foo-1.0-99999999999999999999-py3-none-any.whl":                                                                 "64 bits",
	} {
		_, err := ParseWheelName(in)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: error %v does not say %s", in, err, want)
		}
	}
}

func TestBuildTagOrder(t *testing.T) {
	order := []BuildTag{{}, {Present: true}, {Present: true, Suffix: "a"}, {Present: true, N: 2}, {Present: true, N: 10}}
	for i, a := range order {
		for j, b := range order {
			if got, want := a.Compare(b), min(1, max(-1, i-j)); got != want {
				t.Errorf("%q.Compare(%q) = %d", a, b, got)
			}
		}
	}
}

func TestSdistName(t *testing.T) {
	for _, c := range []struct{ in, want, version, ext string }{
		{"foo-1.0.tar.gz", "foo", "1.0", ".tar.gz"},
		{"Foo.Bar-1.0.zip", "foo-bar", "1.0", ".zip"},
		{"foo-bar-baz-1.0.tar.bz2", "foo-bar-baz", "1.0", ".tar.bz2"},
		{"foo_bar-2.0-beta2.tgz", "foo-bar", "2.0b2", ".tgz"},
		{"foo-1.0.tar", "foo", "1.0", ".tar"},
		{"foo-1.0-1.tar.gz", "foo", "1.0.post1", ".tar.gz"},
		{"python-dateutil-2.8.2.tar.gz", "python-dateutil", "2.8.2", ".tar.gz"},
		{"foo-2-1.0.tar.gz", "foo-2", "1.0", ".tar.gz"},
		{"foo-2-1.tar.gz", "foo", "2.post1", ".tar.gz"},
		{"foo--1.0.tar.gz", "foo", "", ""},
		{"foo-2-1.0.tar.gz", "foo", "", ""},
		{"foo-1.0.tar.gz", "bar", "", ""},
		{"foo-1.0.tar.xz", "foo", "", ""},
		{"foo-1.0.linux-x86_64.tar.gz", "foo", "", ""},
		{"foo-latest.tar.gz", "foo", "", ""},
		{"foo-1.0.tar.gz/..", "foo", "", ""},
		{"foo.tar.gz", "foo", "", ""},
	} {
		s, err := ParseSdistName(c.in, Project(c.want))
		if (err == nil) != (c.version != "") {
			t.Errorf("%s for %s: %v", c.in, c.want, err)
		}
		if err == nil && (string(s.Project) != c.want || s.Version.String() != c.version || s.Ext != c.ext) {
			t.Errorf("%s for %s gives %v", c.in, c.want, s)
		}
	}
}

// testdata/tags.json.gz holds the tags of packaging.tags.cpython_tags and compatible_tags of packaging 26.3, in order, with the
// platforms of its Linux code for the glibc named.
func TestSupported(t *testing.T) {
	f, err := os.Open("testdata/tags.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var golden []struct {
		Target
		Tags []string
	}
	if err := json.NewDecoder(z).Decode(&golden); err != nil || len(golden) == 0 {
		t.Fatal(len(golden), err)
	}
	for _, g := range golden {
		got := g.Supported()
		for i := range max(len(got), len(g.Tags)) {
			if i >= len(got) || i >= len(g.Tags) || got[i].String() != g.Tags[i] {
				t.Errorf("%s %s glibc %q: tag %d of %d differs, packaging has %d: %v", g.ABI, g.Platform, g.Glibc, i, len(got), len(g.Tags),
					append(got[i:min(i+1, len(got))], Tag{Python: fmt.Sprint(g.Tags[i:min(i+1, len(g.Tags))])}))
				break
			}
		}
	}
}

func TestRank(t *testing.T) {
	target := Target{Python: "cp311", ABI: "cp311", Platform: "linux_x86_64", Glibc: "2.36"}
	if got := target.PromiseTags(); got != "cp311-cp311-manylinux_2_36_x86_64" {
		t.Error(got)
	}
	if got := (Target{Python: "cp311", ABI: "cp311", Platform: "linux_x86_64"}).PromiseTags(); got != "cp311-cp311-linux_x86_64" {
		t.Error(got)
	}
	last := -1
	for _, tags := range []string{
		"cp311-cp311-linux_x86_64", "cp311-cp311-manylinux_2_36_x86_64", "cp311-cp311-manylinux_2_17_x86_64", "cp311-cp311-manylinux2014_x86_64",
		"cp311-abi3-manylinux1_x86_64", "cp311-none-linux_x86_64", "cp37-abi3-manylinux_2_28_x86_64", "py3-none-manylinux2014_x86_64",
		"cp311-none-any", "py311-none-any", "py2.py3-none-any", "py30-none-any",
	} {
		parsed, err := ParseTags(tags)
		if err != nil {
			t.Fatal(err)
		}
		rank, ok := target.Rank(parsed)
		if !ok || rank <= last {
			t.Errorf("%s has rank %d (%v) after %d", tags, rank, ok, last)
		}
		last = rank
	}
	for _, tags := range []string{"cp312-cp312-linux_x86_64", "cp311-cp311-manylinux_2_37_x86_64", "cp311-cp311-musllinux_1_2_x86_64",
		"cp312-abi3-manylinux_2_17_x86_64", "py2-none-any", "cp311-cp311-win_amd64", "py312-none-any", "cp311-cp311-linux_aarch64"} {
		parsed, err := ParseTags(tags)
		if err != nil {
			t.Fatal(err)
		}
		if rank, ok := target.Rank(parsed); ok {
			t.Errorf("%s has rank %d", tags, rank)
		}
	}
	_ = append(target.Supported(), Tag{"x", "y", "z"})
	if s := target.Supported(); s[len(s)-1].Python != "py30" {
		t.Error("a caller's append reached the remembered list")
	}
}
