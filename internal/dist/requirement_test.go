package dist

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// testdata/markers.jsonl holds, after a line with three environments, what packaging 26.3 says of markers: their normal text and their
// value in each environment, null where evaluation raises an error.
func TestMarkers(t *testing.T) {
	f, err := os.Open("testdata/markers.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	var head struct{ Envs []map[string]string }
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &head) != nil || len(head.Envs) == 0 {
		t.Fatal("no environments")
	}
	n := 0
	for ; lines.Scan(); n++ {
		var c struct {
			In, Str string
			OK      bool
			R       []*bool
		}
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		m, err := ParseMarker(c.In)
		if (err == nil) != c.OK {
			t.Errorf("%s: %v", c.In, err)
		}
		if err != nil || !c.OK {
			continue
		}
		if m.String() != c.Str {
			t.Errorf("%s prints %s, packaging %s", c.In, m, c.Str)
		}
		for i, env := range head.Envs {
			got, err := m.Eval(env)
			if (err != nil) != (c.R[i] == nil) || err == nil && got != *c.R[i] {
				t.Errorf("%s in environment %d is %v, %v", c.In, i, got, err)
			}
		}
	}
	if err := lines.Err(); err != nil || n == 0 {
		t.Fatal(n, err)
	}
}

func TestMarkerEval(t *testing.T) {
	parse := func(s string) *Marker {
		m, err := ParseMarker(s)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	if ok, err := (*Marker)(nil).Eval(nil); !ok || err != nil || (*Marker)(nil).String() != "" {
		t.Error("no marker must always hold")
	}
	if ok, err := parse(`extra == "x"`).Eval(nil); ok || err != nil {
		t.Errorf("an absent extra: %v, %v", ok, err)
	}
	// The error shows whatever else would decide.
	for _, s := range []string{`os_name == "x"`, `extra == "" or os_name == "x"`, `extra == "q" and os_name == "x"`, `extra == "" or (extra == "" and "x" < os_name)`} {
		if _, err := parse(s).Eval(map[string]string{"sys_platform": "linux"}); err == nil || !strings.Contains(err.Error(), "no os_name") {
			t.Errorf("%s: %v", s, err)
		}
	}
}

func TestMarkerStrings(t *testing.T) {
	for in, want := range map[string]string{
		`os_name == "C:\\"`:          `os_name == "C:\\"`, // packaging prints "C:\", which nobody can read back
		`os_name == "C:\q"`:          `os_name == "C:\q"`,
		`os_name == "\n\r\0"`:        `os_name == "\n\r\x00"`,
		`os_name == "a\x22'"`:        `os_name == "a\x22'"`,
		`os_name == "a\x22"`:         `os_name == 'a"'`,
		`os_name == "\u00e9\t"`:      "os_name == \"é\t\"",
		`os_name == "\U0001f40d"`:    `os_name == "🐍"`,
		`os_name == "\U00110000"`:    "",
		`os_name == "\ud800"`:        "",
		`os_name == "\xg1"`:          "",
		`os_name == "\u12"`:          "",
		`os_name == "\N{DIGIT ONE}"`: "",
		"os_name == \"a\nb\"":        "",
		"os_name == \"a\\\nb\"":      `os_name == "ab"`,
		"os_name == \"\xff\"":        "",
	} {
		m, err := ParseMarker(in)
		if (err == nil) != (want != "") {
			t.Errorf("%q: %v", in, err)
		}
		if err == nil && m.String() != want {
			t.Errorf("%q prints %q, want %q", in, m, want)
		}
	}
	deep := strings.Repeat("(", 100000)
	if _, err := ParseMarker(deep + `os_name == "a"`); err == nil {
		t.Error("no bound on parentheses")
	}
}

func TestRequirement(t *testing.T) {
	for in, want := range map[string]string{
		"Foo.Bar":                         "foo-bar",
		" foo [ B_c , a,B.C ] (>=1, <2) ": "foo[a,b-c]<2,>=1",
		"foo[]":                           "foo",
		"foo()":                           "foo",
		"foo>=1,":                         "foo>=1",
		"foo===1.0,<2;os_name=='nt'":      `foo<2,===1.0; os_name == "nt"`,
		"foo@https://h/x.zip;y":           "foo @ https://h/x.zip;y",
		"foo[a] @ git+ssh://h/x ; extra == 'A_b'": `foo[a] @ git+ssh://h/x ; extra == "a-b"`,
		"foo ~=1.4.2;(python_version<'3')":        `foo~=1.4.2; python_version < "3"`,
	} {
		r, err := ParseRequirement(in)
		if err != nil || r.String() != want {
			t.Errorf("%q gives %q, %v; want %q", in, r, err, want)
		}
	}
	for in, want := range map[string]string{
		"":                   "a project name is missing",
		"-foo":               "expected a project name",
		"foo_":               "not a project name",
		"foo bar":            `expected a version specifier, ';' or the end at "bar"`,
		"foo>=1 <2":          `at "<2"`,
		"foo (>=1":           "')' is missing",
		"foo[a":              "']' is missing",
		"foo[a b]":           "',' or ']'",
		"foo[a,]":            "the name of an extra",
		"foo[a_]":            "end with a letter or digit",
		"foo @":              "URL after '@' is missing",
		"foo @ http://x y":   "expected ';' or the end after the URL",
		"foo>=1.*":           `at ".*"`,
		"foo>1+x":            `at ">1+x"`,
		"foo;":               "variable or a quoted string is missing",
		"foo; os_name":       "an operator",
		"foo; os_name == 'a": "a closing '",
		"foo\xff":            "UTF-8",
		"foo>=1\r\n":         "expected",
		"foo===a,b":          "operator",
	} {
		_, err := ParseRequirement(in)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "requirement ") {
			t.Errorf("%q: error %v does not say %q", in, err, want)
		}
	}
	var r Requirement
	if err := json.Unmarshal([]byte(`"Foo>1"`), &r); err != nil || r.Project != "foo" {
		t.Error(r, err)
	}
	if b, err := json.Marshal(struct{ R Requirement }{r}); err != nil || string(b) != `{"R":"foo\u003e1"}` {
		t.Errorf("%s, %v", b, err)
	}
}
