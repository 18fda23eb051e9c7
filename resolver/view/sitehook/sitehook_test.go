package sitehook

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/python-wheel-build/axle/internal/version"
)

func TestParse(t *testing.T) {
	set, err := Parse([]byte(" {\"*\": \"\", \"My.Torch\": \"aGk=\", \"my_torch==2.9.0.0\": \"aGkA\"}\n\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(set)); !slices.Equal(got, []string{"hook:*", "hook:my-torch", "hook:my-torch==2.9.0.0"}) {
		t.Error(got)
	}
	for name, text := range map[string]string{"hook:*": "", "hook:my-torch": "hi", "hook:my-torch==2.9.0.0": "hi\x00"} {
		if c := set[name]; string(c.Text) != text || c.Text == nil || c.Value != digest.FromString(text).String() {
			t.Errorf("%s: %+v", name, c)
		}
	}
	if set, err := Parse([]byte("{}")); err != nil || len(set) != 0 {
		t.Errorf("nothing: %v %v", set, err)
	}
	most := base64.StdEncoding.EncodeToString(make([]byte, MaxBytes))
	if _, err := Parse([]byte(`{"a": "` + most + `"}`)); err != nil {
		t.Error(err)
	}
}

func TestParseRefused(t *testing.T) {
	for printed, want := range map[string]string{
		"":                               "did not print a JSON object",
		"hello":                          "did not print a JSON object",
		"[]":                             "did not print a JSON object",
		`"*"`:                            "did not print a JSON object",
		`{"*": "aGk="`:                   "ends within",
		`{"*": "aGk=",}`:                 "JSON",
		`{"*": "aGk="} x`:                "more than one",
		`{"*": "aGk="}{}`:                "more than one",
		`{"*": "aGk"}`:                   `"*" is not base64`,
		`{"*": "aGl="}`:                  `"*" is not base64`,
		`{"*": "a-_="}`:                  `"*" is not base64`,
		`{"*": 1}`:                       `"*" is not a string`,
		`{"*": null}`:                    `"*" is not a string`,
		`{"*": {"a": "b"}}`:              `"*" is not a string`,
		`{"": ""}`:                       `""`,
		`{"a b": ""}`:                    `"a b" is neither *`,
		`{"a*": ""}`:                     `"a*" is neither *`,
		`{"a>=1": ""}`:                   `"a>=1" is neither *`,
		`{"a==": ""}`:                    `"a==" is neither *`,
		`{"a==x": ""}`:                   `"a==x" is neither *`,
		`{"a==1.*": ""}`:                 `"a==1.*" is neither *`,
		`{"*==1": ""}`:                   `"*==1" is neither *`,
		`{"*": "", "*": ""}`:             `"*" and "*" are the same`,
		`{"a_b": "", "A-B": ""}`:         `"a_b" and "A-B" are the same one, a-b`,
		`{"a==1.0": "", "a==1.0.0": ""}`: `are the same one`,
		`{"a": "` + strings.Repeat("AAAA", MaxBytes/3+1) + `"}`: "print a hash of it",
		strings.Repeat(" ", MaxAnswer+1):                        "more than 1048576 bytes",
	} {
		if set, err := Parse([]byte(printed)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, %v; want %q", printed, set, err, want)
		}
	}
}

func TestFits(t *testing.T) {
	for _, c := range []struct {
		selector, version string
		want              bool
	}{
		{"*", "1.0", true}, {"torch", "1.0", true}, {"Torch", "1.0", true}, {"torch==1.0", "1.0.0", true}, {"torch==1.0", "1.0+cu12", true},
		{"torch==1.0+cu12", "1.0+cu12", true}, {"torch==1.0+cu12", "1.0", false}, {"torch==1.1", "1.0", false}, {"torch-x", "1.0", false},
	} {
		s, err := ParseSelector(c.selector)
		if err != nil {
			t.Fatal(err)
		}
		v, err := version.Parse(c.version)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Fits("torch", v); got != c.want {
			t.Errorf("%s fits torch %s: %t", c.selector, c.version, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"*": "", "a": "aGk=", "a==1.0": "aGk="}`))
	f.Add([]byte(`{"a==1": "", "A==1.0": ""}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		set, err := Parse(b)
		if err != nil {
			return
		}
		var again []string
		for name, c := range set {
			s, err := ParseSelector(strings.TrimPrefix(name, Prefix))
			if err != nil || Prefix+s.String() != name {
				t.Fatalf("%q is not in normal form: %v", name, err)
			}
			again = append(again, fmt.Sprintf("%q: %q", s, base64.StdEncoding.EncodeToString(c.Text)))
		}
		twice, err := Parse([]byte("{" + strings.Join(again, ", ") + "}"))
		if err != nil || len(twice) != len(set) {
			t.Fatalf("%q, then %v (%v)", b, twice, err)
		}
	})
}
