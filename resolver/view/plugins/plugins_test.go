package plugins

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/python-wheel-build/axle/internal/dist"
)

const good = `{"problems": [], "plugins": [
	{"name": "zlib_ng", "entry_point": "acme.zlib:Plugin.it", "distribution": "acme 1.0", "paths": ["acme/zlib.py", "acme/__init__.py"]},
	{"name": "foo", "entry_point": "acme.foo", "distribution": "acme 1.0", "paths": ["acme/__init__.py"]}
], "files": {"acme/__init__.py": "", "acme/zlib.py": "eD0xCg=="}}`

func TestParse(t *testing.T) {
	found, err := Parse([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	want := Found{Overrides: map[dist.Project]Override{
		"zlib-ng": {"acme.zlib:Plugin.it", []Source{{"acme/__init__.py", digest.FromString("")}, {"acme/zlib.py", digest.FromString("x=1\n")}}},
		"foo":     {"acme.foo", []Source{{"acme/__init__.py", digest.FromString("")}}},
	}, Blobs: [][]byte{[]byte("x=1\n"), {}}}
	if d := cmp.Diff(want, found); d != "" {
		t.Error(d)
	}
	if found, err := Parse([]byte(`{"problems": [], "plugins": [], "files": {}}`)); err != nil || len(found.Overrides) > 0 || found.Blobs != nil {
		t.Errorf("no plugins: %+v, %v", found, err)
	}
}

func TestParseRefuses(t *testing.T) {
	for name, c := range map[string]struct{ from, to, want string }{
		"problems":           {`"problems": []`, `"problems": ["a is\u001b[2J bad", "b too"]`, "a is?[2J bad; b too"},
		"not JSON":           {`"problems"`, `problems`, "not an answer"},
		"an unknown key":     {`"problems"`, `"x": 1, "problems"`, `"x"`},
		"more than one":      {`"x"`, ``, ""},
		"a name":             {`"zlib_ng"`, `"zlib/ng"`, `"zlib/ng"`},
		"a name's form":      {`"zlib_ng"`, `"Zlib.NG"`, "write zlib_ng"},
		"a name twice":       {`"zlib_ng"`, `"foo"`, "twice"},
		"an entry point":     {`"acme.foo"`, `"acme.foo\u0000"`, "entry point"},
		"no paths":           {`["acme/__init__.py"]`, `[]`, "no sources"},
		"a path twice":       {`["acme/__init__.py"]`, `["acme/__init__.py", "acme/__init__.py"]`, "twice"},
		"a missing file":     {`["acme/__init__.py"]`, `["acme/other.py"]`, `"acme/other.py" is missing`},
		"a file of nobody":   {`"files": {`, `"files": {"extra.py": "", `, "no plugin"},
		"bad base64":         {`eD0xCg==`, `eD0xCg=`, "not an answer"},
		"an absolute path":   {`acme/zlib.py`, `/acme/zlib.py`, "not the path"},
		"a path that leaves": {`acme/zlib.py`, `../zlib.py`, "not the path"},
		"a path not clean":   {`acme/zlib.py`, `acme//zlib.py`, "not the path"},
		"a backslash":        {`acme/zlib.py`, `acme\\zlib.py`, "not the path"},
		"a control letter":   {`acme/zlib.py`, `acme/\u001bzlib.py`, "not the path"},
		"a wrong letter":     {`acme/zlib.py`, `acme/\udc80zlib.py`, "not the path"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.ReplaceAll(good, c.from, c.to)
			if c.want == "" {
				text, c.want = good+"{}", "more than one"
			}
			found, err := Parse([]byte(text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%+v, %v; want an error with %q", found, err, c.want)
			}
		})
	}
}

// FuzzParse: whatever is said, what is made of it is in form, and is what was said.
func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(`{"problems": ["x\u001b"]}`))
	f.Add([]byte(`{"plugins": [{"name": "a", "entry_point": "b", "paths": ["../c"]}], "files": {"../c": ""}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		found, err := Parse(b)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\x1b\x00") {
				t.Errorf("the error steers a terminal: %q", err)
			}
			return
		}
		bytesOf := map[string]bool{}
		for _, blob := range found.Blobs {
			bytesOf[digest.FromBytes(blob).String()] = true
		}
		for project, o := range found.Overrides {
			if again, err := dist.ParseProject(string(project)); err != nil || again != project {
				t.Errorf("%q is no project", project)
			}
			for i, s := range o.Sources {
				if checkPath(s.Path) != nil || i > 0 && o.Sources[i-1].Path >= s.Path {
					t.Errorf("the paths are not in form: %q", o.Sources)
				}
				if !bytesOf[s.SHA256.String()] {
					t.Errorf("the bytes of %q are not there", s.Path)
				}
			}
		}
		stored, err := json.Marshal(found.Overrides)
		if err != nil {
			t.Fatal(err)
		}
		var again map[dist.Project]Override
		if err := json.Unmarshal(stored, &again); err != nil || cmp.Diff(found.Overrides, again) != "" {
			t.Errorf("stored, it is another one: %v\n%s", err, cmp.Diff(found.Overrides, again))
		}
	})
}
