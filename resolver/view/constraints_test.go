package view

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/resolver/view/config"
)

var linux = map[string]string{
	"python_version": "3.11", "python_full_version": "3.11.7", "implementation_name": "cpython", "implementation_version": "3.11.7",
	"os_name": "posix", "sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64",
	"platform_python_implementation": "CPython", "platform_release": "", "platform_version": "",
}

func constrain(t *testing.T, text string) []string {
	t.Helper()
	list, err := parseConstraints("c.txt", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	lines, err := effective(list, linux)
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func TestConstraints(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"empty", "", nil},
		{"comments and blank lines", "# a\n\n  # b \\\nfoo<2 # c\n", []string{"foo<2"}},
		{"normal form, sorted", "Foo_Bar >= 1 , < 2\nattrs==23.1\n", []string{"attrs==23.1", "foo-bar<2,>=1"}},
		{"several for one", "foo>=1\nfoo<2\nfoo>=1\n", []string{"foo<2", "foo>=1"}},
		{"parentheses", "foo (>=1)\n", []string{"foo>=1"}},
		{"marker that holds", "foo<2; python_version >= '3.8'\n", []string{"foo<2"}},
		{"marker that does not", "foo<2; sys_platform == 'win32'\n", nil},
		{"no extra is asked for", "foo<2; extra == 'x'\n", nil},
		{"says nothing", "foo\n", nil},
		{"joined lines", "foo \\\n  >=1, \\\n  <2\n# a comment is not joined \\\nbar<3\n", []string{"bar<3", "foo<2,>=1"}},
		{"joined comment", "foo<2 \\\n  # why\nbar<3\n", []string{"bar<3", "foo<2"}},
		{"CRLF and BOM", "\ufefffoo<2\r\nbar<3\r\n", []string{"bar<3", "foo<2"}},
		{"prerelease", "foo==1.0rc1\n", []string{"foo==1.0rc1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := constrain(t, c.text); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestConstraintsRefused(t *testing.T) {
	for text, want := range map[string][]string{
		"\n-r other.txt":                   {"c.txt:2: ", "-r", "list both under `constraints`"},
		"--requirement=other.txt":          {"c.txt:1: ", "--requirement", "list both"},
		"-c other.txt":                     {"c.txt:1: ", "-c", "list both"},
		"--constraint other.txt":           {"c.txt:1: ", "--constraint", "list both"},
		"-e .":                             {"c.txt:1: ", "-e", "options are not supported"},
		"--index-url=https://example.test": {"c.txt:1: ", "--index-url: ", "options are not supported"},
		"a<1\nfoo==1 --hash=sha256:00":     {"c.txt:2: ", "--hash"},
		"foo @ https://example.test/f.whl": {"c.txt:1: ", "foo", "URL"},
		"foo[x]<2":                         {"c.txt:1: ", "foo", "extras", "[x]"},
		"foo==${V}":                        {"c.txt:1: ", "substitution"},
		"a<1 \\\n  ,>0\n\n./foo.whl":       {"c.txt:4: ", "not a constraint"},
		"foo=1":                            {"c.txt:1: ", "not a constraint"},
		"foo<1; nonsense == '1'":           {"c.txt:1: ", "not a constraint"},
		"foo==1.0#x":                       {"c.txt:1: ", "not a constraint"}, // no space before it: not a comment
		"foo<1 \\":                         {"c.txt:1: ", "not a constraint"}, // nothing follows to be joined
		"foo<\xff1":                        {"c.txt: ", "UTF-8"},
	} {
		_, err := parseConstraints("c.txt", []byte(text))
		wantError(t, err, want[0], want[1:]...)
	}
}

func TestAdmits(t *testing.T) {
	v := &View{admitted: map[dist.Project][]excluder{}}
	for _, line := range constrain(t, "foo>=1\nfoo<3\nfoo!=2.0\npinned==1.0rc1\nopen>=1") {
		r, err := dist.ParseRequirement(line)
		if err != nil {
			t.Fatal(err)
		}
		v.admitted[r.Project] = append(v.admitted[r.Project], excluder{line, r.Set})
	}
	for _, c := range []struct {
		p    dist.Project
		ver  string
		want bool
	}{
		{"foo", "1", true}, {"foo", "2.9.1", true}, {"foo", "0.9", false}, {"foo", "3", false}, {"foo", "2.0", false}, {"foo", "2", false},
		{"foo", "1.5+local", true}, {"foo", "1.5rc1", true}, {"foo", "3.0rc1", false},
		{"pinned", "1.0rc1", true}, {"pinned", "1.0", false}, {"pinned", "1.0rc2", false},
		{"open", "2.0.dev1", true}, {"free", "0.0.1a1", true},
	} {
		if got := v.Admits(c.p, mustVersion(t, c.ver)); got != c.want {
			t.Errorf("Admits(%s, %s) = %v, want %v", c.p, c.ver, got, c.want)
		}
	}
}

func TestConstraintFilesNamed(t *testing.T) {
	dir := t.TempDir()
	_, err := read(config.View{Constraints: []string{filepath.Join(dir, "gone.txt")}})
	wantError(t, err, filepath.Join(dir, "gone.txt")+": ", "no such file")
	_, err = read(config.View{Constraints: []string{dir}})
	wantError(t, err, dir+": ", "not a file")
	big := filepath.Join(dir, "big.txt")
	if err := os.WriteFile(big, []byte(strings.Repeat("#", config.MaxFile+1)), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = read(config.View{Constraints: []string{big}})
	wantError(t, err, big+": ", "larger than")
}
