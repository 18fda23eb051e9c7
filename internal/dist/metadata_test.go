package dist

import (
	"fmt"
	"strings"
	"testing"
)

func TestMetadata(t *testing.T) {
	in := "\ufeffMetadata-Version: 2.2\r\n" +
		"NAME : ignored, since a field name has no space\r\n" +
		"Name: Foo.Bar\r\n" +
		"version:  v1.0-beta \r\n" +
		"Author: Andr\xe9\r\n" +
		"Home-page: UNKNOWN\r\n" +
		"Summary: a: b\r\n" +
		"License: MIT\r\n" +
		"\tand more\r\n" +
		"(c) somebody who forgot to indent\r\n" +
		"Requires-Python: >=3.6.*\r\n" +
		"Requires-Dist: a (>=1,\r\n" +
		"        <2) ; extra == 'X_y'\r\n" +
		"REQUIRES-DIST: B\r\n" +
		"Provides-Extra: X_y\r\n" +
		"Dynamic: License\r\n" +
		"Dynamic: Requires-Python\r\n" +
		"Description-Content-Type:\r\n" +
		"\r\n" +
		"Requires-Dist: not a requirement but the description\xff\r\n"
	m, err := ParseMetadata([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(m.MetadataVersion, " ", m.Name, " ", m.Version, " ", m.RequiresPython, " ", m.RequiresDist, m.ProvidesExtra, m.Dynamic, m.Static())
	if want := `2.2 foo-bar 1.0b0 >=3.6.* [a<2,>=1; extra == "x-y" b] [x-y] [License Requires-Python] true`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestMetadataOddities(t *testing.T) {
	const head = "Metadata-Version: 1.1\nName: a\nVersion: 1\n"
	for _, c := range []struct{ name, in, want string }{ // want: part of the error; "" none
		{"no end", "Metadata-Version: 2.1\nName: a\nVersion: 1", ""},
		{"unknown values", head + "Requires-Python: UNKNOWN\nRequires-Dist: UNKNOWN\nProvides-Extra: UNKNOWN\n", ""},
		{"unknown name", "Metadata-Version: 1.0\nName: UNKNOWN\nVersion: 1\n", "line 2, Name: the build backend found no name"},
		{"unknown version", "Metadata-Version: 1.0\nName: a\nVersion: UNKNOWN\n", "no Version"},
		{"old description with indented blank lines", "Metadata-Version: 1.1\nDescription: x\n        \n        Name: y\nName: a\nVersion: 1\n", ""},
		{"bad requirement", head + "Requires-Dist: b\nRequires-Dist: c (>=1.0.*)\n", `line 5, Requires-Dist: requirement "c (>=1.0.*)"`},
		{"line counted at its start", head + "requires-dist: c\n  !!\n\n", "line 4, requires-dist"},
		{"name twice", head + "Name: a\n", "line 4, Name: the field stands there twice"},
		{"version twice", head + "Version: 1\n", "line 4, Version"},
		{"python twice", head + "Requires-Python: >=3\nRequires-Python: >=3\n", "line 5, Requires-Python"},
		{"metadata version twice", head + "Metadata-Version: 1.1\n", "line 4, Metadata-Version"},
		{"no name", "Metadata-Version: 1.0\nVersion: 1\n", "no Name"},
		{"no metadata version", "Name: a\nVersion: 1\n", "no Metadata-Version"},
		{"bad metadata version", "Metadata-Version: x\nName: a\nVersion: 1\n", "line 1, Metadata-Version"},
		{"from the future", "Metadata-Version: 3.0\nName: a\nVersion: 1\n", "newer than what is known"},
		{"bad name", "Metadata-Version: 1.0\nName: ../a\nVersion: 1\n", "line 2, Name"},
		{"bad version", "Metadata-Version: 1.0\nName: a\nVersion: one\n", "line 3, Version"},
		{"extras that are no names", head + "Provides-Extra: -x\nProvides-Extra: a b\nProvides-Extra: :python_version<'3'\n", ""},
		{"odd bytes in a requirement", head + "Requires-Dist: b\xe9\n", "line 4, Requires-Dist: it is not UTF-8"},
		{"a body where the header should be", "\n" + head, "no Metadata-Version"},
		{"empty", "", "no Metadata-Version"},
		{"no metadata", "<html>\n<head>\n", "no Metadata-Version"},
	} {
		m, err := ParseMetadata([]byte(c.in))
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want == "" && (m.Name != "a" || len(m.RequiresDist)+len(m.ProvidesExtra)+len(m.RequiresPython) != 0):
			t.Errorf("%s: %+v", c.name, m)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: error %v does not say %q", c.name, err, c.want)
		}
	}
}

func TestStatic(t *testing.T) {
	for _, c := range []struct {
		version, dynamic string
		want             bool
	}{
		{"2.2", "", true}, {"2.4", "", true}, {"2.10", "", true}, {"2.1", "", false}, {"1.2", "", false},
		{"2.2", "License", true}, {"2.2", "requires-dist", false}, {"2.3", "Version", false}, {"2.3", "NAME", false},
		{"2.3", "Provides-Extra", false}, {"2.3", "Dynamic", false}, {"2.3", "Requires-Python", true},
	} {
		in := "Metadata-Version: " + c.version + "\nName: a\nVersion: 1\n"
		if c.dynamic != "" {
			in += "Dynamic: Summary\nDynamic: " + c.dynamic + "\n"
		}
		m, err := ParseMetadata([]byte(in))
		if err != nil || m.Static() != c.want {
			t.Errorf("%s, dynamic %q: %v, %v", c.version, c.dynamic, m.Static(), err)
		}
	}
}

func TestSameRequirements(t *testing.T) {
	const head = "Metadata-Version: 2.1\nName: a\nVersion: 1\n"
	for _, c := range []struct{ a, b, want string }{
		{"", "", ""},
		{"Requires-Dist: b\nRequires-Dist: c\n", "Requires-Dist: C\nRequires-Dist: b\nRequires-Dist: B\n", ""},
		{"Requires-Dist: b (>=1.0,<2)\n", "Requires-Dist: b<2.0,>=1\n", ""},
		{"Requires-Dist: b[X_y,a]; extra == 'Q_r'\n", "Requires-Dist: b [a, x.y] ; (extra==\"q-r\")\n", ""},
		{"Requires-Dist: b; python_version<'3'\n", "Requires-Dist: b ; python_version < \"3\"\n", ""},
		{"Provides-Extra: A_b\nProvides-Extra: c\n", "Provides-Extra: c\nProvides-Extra: a-b\n", ""},
		{"Requires-Python: >=3.8, <4\n", "Requires-Python: <4.0,>=3.8\n", ""},
		{"Requires-Python: >=3.6.*\n", "Requires-Python: >=3.6.*\n", ""},
		{"Version-Note: x\n", "Author: y\n", ""},
		{"Requires-Dist: b>=1\n", "Requires-Dist: b>=2\n", "only the first has Requires-Dist: b>=1"},
		{"", "Requires-Dist: B >= 2.0\n", "only the second has Requires-Dist: b>=2.0"},
		{"Requires-Dist: b\n", "Requires-Dist: b; extra == 'x'\n", "only the first has Requires-Dist: b"},
		{"Requires-Dist: b ~=1.0\n", "Requires-Dist: b~=1.0.0\n", "only the first has Requires-Dist: b~=1.0"},
		{"Requires-Dist: b @ https://h/1\n", "Requires-Dist: b @ https://h/2\n", "only the first has Requires-Dist: b @ https://h/1"},
		{"Provides-Extra: x\n", "", "only the first has Provides-Extra: x"},
		{"", "Requires-Python: >=3\n", "only the second has Requires-Python: >=3"},
		{"Requires-Python: >=3.6.*\n", "Requires-Python: >=3.6\n", "only the first has Requires-Python: >=3.6.*"},
	} {
		a, err := ParseMetadata([]byte(head + c.a))
		if err != nil {
			t.Fatal(err)
		}
		b, err := ParseMetadata([]byte(head + c.b))
		if err != nil {
			t.Fatal(err)
		}
		if same, why := a.SameRequirements(b); same != (c.want == "") || why != c.want {
			t.Errorf("%q and %q: %v, %q; want %q", c.a, c.b, same, why, c.want)
		}
		if same, _ := b.SameRequirements(a); same != (c.want == "") {
			t.Errorf("%q and %q: not symmetric", c.a, c.b)
		}
	}
}
