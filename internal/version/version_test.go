package version

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func parse(t testing.TB, s string) Version {
	t.Helper()
	v, err := Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func parseSet(t testing.TB, s string) Set {
	t.Helper()
	set, err := ParseSet(s)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// Each line is later than the one before; versions on one line are equal.
const order = `
0.dev0 0.0.dev
0a1.dev1
0a1
0
1.dev0 1.0.0.dev
1.0.dev1+local
1.0.dev456
1.0a1.dev1
1.0a1 1.0-alpha-1 1.0.ALPHA_1
1.0a2.dev456
1.0a12.dev456
1.0a12
1.0b1.dev456
1.0b2
1.0b2.post345.dev456
1.0b2.post345 1.0b2-345
1.0rc1.dev456
1.0rc1 1.0c1 1.0pre1 1.0.preview1
1 1.0 1.0.0.0 v1 0!1 01.00
1.0+abc.5
1.0+abc.7
1.0+abd
1.0+b
1.0+5 1.0+005 1.00+5
1.0+5.a
1.0+5.0
1.0+10
1.0.post0.dev0
1.0.post0 1.0.post 1-r
1.0.post456.dev34
1.0.post456
1.0.post456+x
1.0.0.1
1.0.1
1.1.dev1
1.1
1.9
1.10
1.99999999999999999999
1.100000000000000000000
2024.1
1!0.dev1
1!0
1!1
2!0
10!0`

func TestOrder(t *testing.T) {
	var all [][]Version
	for line := range strings.Lines(strings.TrimSpace(order)) {
		var equal []Version
		for _, f := range strings.Fields(line) {
			equal = append(equal, parse(t, f))
		}
		all = append(all, equal)
	}
	for i, as := range all {
		for j, bs := range all {
			want := min(1, max(-1, i-j))
			for _, a := range as {
				for _, b := range bs {
					if got := a.Compare(b); got != want {
						t.Errorf("%s.Compare(%s) = %d, want %d", a, b, got, want)
					}
				}
			}
		}
	}
}

// Numbers around the length at which the key changes its form.
func TestLongNumbers(t *testing.T) {
	var last Version
	for n := 250; n < 260; n++ {
		v := parse(t, "1."+strings.Repeat("9", n))
		w := parse(t, "1.1"+strings.Repeat("0", n)+".1")
		if !last.IsZero() && last.Compare(v) >= 0 || v.Compare(w) >= 0 {
			t.Errorf("%d digits sort wrongly", n)
		}
		last = w
	}
	if _, err := Parse("1." + strings.Repeat("1", MaxLength)); err == nil {
		t.Error("a version longer than MaxLength is read")
	}
	if _, err := ParseSet(">1." + strings.Repeat("1", MaxLength)); err == nil {
		t.Error("a clause longer than MaxLength is read")
	}
}

func TestLocal(t *testing.T) {
	for in, want := range map[string][3]string{
		"1.0":            {"1.0", "", "1.0"},
		"1.0+Ubuntu-01_": {"", "", ""},
		"1.0+Ubuntu-01":  {"1.0+ubuntu.1", "ubuntu.1", "1.0"},
		"2!1a1.post3+x":  {"2!1a1.post3+x", "x", "2!1a1.post3"},
	} {
		v, err := Parse(in)
		if want[0] == "" {
			if err == nil {
				t.Errorf("%q is read as %s", in, v)
			}
			continue
		}
		if got := [3]string{v.String(), v.Local(), v.WithoutLocal().String()}; got != want {
			t.Errorf("%q gives %q, want %q", in, got, want)
		}
		if v.WithoutLocal().Compare(parse(t, want[2])) != 0 {
			t.Errorf("%q without its local version is not %s", in, want[2])
		}
	}
}

func TestSetPrinting(t *testing.T) {
	for in, want := range map[string][2]string{
		"":                      {"", ""},
		" , ":                   {"", ""},
		">= 1.0 ,<2":            {"<2,>=1.0", "<2,>=1"},
		"==1.0,==1.0.0,==v1":    {"==1.0", "==1"},
		"~=1.0,~=1.0.0":         {"~=1.0,~=1.0.0", "~=1.0,~=1.0.0"},
		"==1!1.0.0.post0+AB.01": {"==1!1.0.0.post0+AB.01", "==1!1.post0+ab.1"},
		"!=0.0":                 {"!=0.0", "!=0"},
		"<1.0,<1.0.dev0":        {"<1.0,<1.0.dev0", "<1,<1.dev0"},
		"==1.0.*":               {"==1.0.*", "==1.0.*"},
		"===Foo":                {"===Foo", "===Foo"},
	} {
		s := parseSet(t, in)
		if got := [2]string{s.String(), s.Canonical()}; got != want {
			t.Errorf("%q prints %q, want %q", in, got, want)
		}
	}
}

func TestSetErrors(t *testing.T) {
	for in, want := range map[string]string{
		"1.0":             "no operator",
		"foo":             "no operator",
		">=":              "no version",
		"=>1":             "no operator",
		"==1.0.*+x":       `"+x" makes no sense`,
		"==1.0a1.*":       "follows a release only",
		">=1.0.*":         `".*" makes no sense`,
		">=1.0+x":         "no local version",
		"~=1":             "two numbers",
		">=1 <2":          `" <2" makes no sense`,
		"===a b":          `" b" makes no sense`,
		">=1.0,!1":        "no operator",
		">=\u0661":        "no version",
		"~=1.0.po\u017ft": "makes no sense",
	} {
		_, err := ParseSet(in)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "specifier") {
			t.Errorf("%q: error %v does not say %q", in, err, want)
		}
	}
}

func TestContains(t *testing.T) {
	for set, held := range map[string][2]string{ // held, not held
		"":                {"1.0 1.0a1 1+x", ""},
		">1.0":            {"1.1.dev1 1.0.1", "1.0 1.0+x 1.0.post1 1.0.post1.dev1 0.9"},
		">1.0a1":          {"1.0a2.dev1 1.0", "1.0a1 1.0a1.post1 1.0a1+x"},
		">1.0.post1":      {"1.0.post2.dev0 1.0.post2", "1.0.post1 1.0.post1+x"},
		">1.0.dev1":       {"1.0.dev2 1.0a1", "1.0.dev1 1.0.dev1+x"},
		"<1.0":            {"0.9 0.9.post1+x", "1.0 1.0a1 1.0.dev0 1.0.dev0+x 1.0rc9"},
		"<1.0rc1":         {"1.0b9 1.0.dev0 1.0rc1.dev1", "1.0rc1 1.0"},
		"<1.0.post1":      {"1.0 1.0.post0 1.0+x", "1.0.post1.dev0 1.0.post1"},
		"<=1.0":           {"1.0 1.0+x 0.9 1.0a1", "1.0.post0 1.0.1"},
		">=1.0":           {"1.0 1.0+x 1.0.post0", "1.0a1 1.0.dev1"},
		"==1.0":           {"1 1.0.0 1.0+x.y", "1.0.1 1.0.post0 1.0a1"},
		"==1.0+x":         {"1.0.0+X", "1.0 1.0+x.1"},
		"!=1.0+x":         {"1.0 1.0+y", "1+x"},
		"==1.0.*":         {"1 1.0 1.0.5 1.0a1 1.0.post2 1.0.dev1 1.0+x", "1.1 0.9 1!1.0 1.1.dev0 10"},
		"==1.0.0.*":       {"1 1.0.0.3", "1.0.1 1.1"},
		"!=1.*":           {"2 0.9 1!1", "1 1.9 1.0.dev0"},
		"==0.*":           {"0 0.5 0.0.dev0", "1 1!0"},
		"~=1.4.5":         {"1.4.5 1.4.5.post1 1.4.9+x", "1.4.4 1.5.dev0 1.5 1.4.5a1"},
		"~=1.4.5a4":       {"1.4.5a4 1.4.5 1.4.6", "1.4.5a3 1.5.0"},
		"~=1.0":           {"1.0 1.9", "2.0.dev0 0.9 1!1.5"},
		"~=2.2.post3":     {"2.2.post3 2.3", "2.2 3.0"},
		"~=1!1.0":         {"1!1.5", "1.5 2!1.5"},
		"===1.0":          {"1.0", "1 1.0.0 1.0+x"},
		"===1.0A1":        {"1.0a1", "1.0"},
		">=1,<2,!=1.5.*":  {"1 1.4.9 1.6", "2 1.5 1.5.1 0.9"},
		"===1.0,>=1":      {"1.0", "1.1"},
		">=1.0.dev0,<1.1": {"1.0.dev0 1.0.9", "1.1.dev0"},
	} {
		s := parseSet(t, set)
		for i, list := range held {
			for _, v := range strings.Fields(list) {
				if got, want := s.Contains(parse(t, v), Default), i == 0; got != want {
					t.Errorf("%q holds %s: %v, want %v", set, v, got, want)
				}
			}
		}
	}
}

func TestPrereleases(t *testing.T) {
	s := parseSet(t, ">=1.0a1")
	for _, c := range []struct {
		v    string
		pre  Prereleases
		want bool
	}{
		{"1.0a2", Default, true}, {"1.0a2", Allow, true}, {"1.0a2", Deny, false}, {"1.0", Deny, true}, {"2.dev1", Deny, false},
	} {
		if got := s.Contains(parse(t, c.v), c.pre); got != c.want {
			t.Errorf("%s, %d: %v", c.v, c.pre, got)
		}
	}
	if (Set{}).Contains(Version{}, Default) {
		t.Error("the zero Version is in a set")
	}
}

func TestJSON(t *testing.T) {
	type doc struct {
		V Version `json:"v,omitzero"`
		S Set     `json:"s,omitzero"`
	}
	var d doc
	if err := json.Unmarshal([]byte(`{"v":" V1.0-Alpha","s":">= 2, <3"}`), &d); err != nil {
		t.Fatal(err)
	}
	if b, err := json.Marshal(d); err != nil || string(b) != `{"v":"1.0a0","s":"\u003c3,\u003e=2"}` {
		t.Errorf("%s, %v", b, err)
	}
	if b, err := json.Marshal(doc{}); err != nil || string(b) != `{}` {
		t.Errorf("%s, %v", b, err)
	}
	for _, bad := range []string{`{"v":""}`, `{"v":"x"}`, `{"s":"1"}`} {
		if err := json.Unmarshal([]byte(bad), new(doc)); err == nil {
			t.Errorf("%s is read", bad)
		}
	}
	if _, err := json.Marshal(Version{}); err == nil {
		t.Error("the zero Version is written")
	}
}

func TestHotPathsAllocateNothing(t *testing.T) {
	v, w := parse(t, "1.26.4+cu121"), parse(t, "1.26.4.post1")
	s := parseSet(t, ">=1.2,<2,!=1.5.*,~=1.26.0,!=1.26.3,===1.26.4+cu121")
	if n := testing.AllocsPerRun(100, func() { v.Compare(w); s.Contains(v, Default); s.Contains(w, Deny) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		_, _ = Parse("1.26.4rc1")
	}
}

func BenchmarkContains(b *testing.B) {
	v, s := parse(b, "1.26.4"), parseSet(b, ">=1.2,<2,!=1.5.*")
	for b.Loop() {
		s.Contains(v, Default)
	}
}

func BenchmarkSort(b *testing.B) {
	var all []Version
	for i := range 1000 {
		all = append(all, parse(b, "1."+string(rune('0'+i*7%10))+"."+string(rune('0'+i*3%10))+"a"+string(rune('0'+i%9))))
	}
	for b.Loop() {
		slices.SortFunc(slices.Clone(all), Version.Compare)
	}
}
