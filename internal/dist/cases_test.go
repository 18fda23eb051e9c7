package dist

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/python-wheel-build/axle/internal/version"
)

// packagingCase is one call that pypa/packaging 26.3 answered while its own tests ran.
type packagingCase struct {
	Kind    string          `json:"k"`
	In      string          `json:"in"`
	OK      bool            `json:"ok"`
	Result  json.RawMessage `json:"r"`
	Str     string          `json:"str"`
	Pre     *bool           `json:"pre"`     // version: is a pre-release; contains: the argument
	SelfPre *bool           `json:"selfpre"` // contains: the set's own setting
	Spec    json.RawMessage `json:"spec"`    // contains: text; req: list
	V       string          `json:"v"`
	Name    string          `json:"name"`
	Extras  []string        `json:"extras"`
	Marker  string          `json:"marker"`
	URL     string          `json:"url"`
}

var caseKinds = map[string]func(c packagingCase) error{
	"version":              checkVersion,
	"canonicalize_name":    checkName,
	"parse_wheel_filename": checkWheel,
	"parse_sdist_filename": checkSdist,
	"specset":              checkSet,
	"contains":             checkContains,
	"contains1":            checkContains,
	"req":                  checkRequirement,
}

// caseExceptions are the cases that are answered otherwise on purpose. Each must be an error here, and packaging's own answer must show
// the reason; anything else is a disagreement.
var caseExceptions = []struct {
	kind, reason string
	applies      func(c packagingCase) bool
}{
	{"parse_wheel_filename", "the project would be no PEP 508 name; a name becomes part of paths and keys", badName},
	{"parse_sdist_filename", "the project would be no PEP 508 name; a name becomes part of paths and keys", badName},
	{"parse_wheel_filename", "a filename becomes part of paths and URLs: no odd characters", oddFilename},
	{"parse_wheel_filename", "tags hold letters, digits and underscores: PEP 425 knows no others", oddTags},
	{"parse_sdist_filename", "a filename becomes part of paths and URLs: no odd characters", oddFilename},
	{"req", "PEP 508: the names of projects and extras end with a letter or digit", func(c packagingCase) bool {
		return c.OK && (!isName(c.Name) || slices.ContainsFunc(c.Extras, func(e string) bool { return !isName(e) }))
	}},
}

func badName(c packagingCase) bool {
	var r struct{ Name string }
	return c.OK && json.Unmarshal(c.Result, &r) == nil && !isName(r.Name)
}

func oddFilename(c packagingCase) bool { return c.OK && plain(c.In) != nil }

func oddTags(c packagingCase) bool {
	var r struct{ Tags []string }
	return c.OK && json.Unmarshal(c.Result, &r) == nil && strings.ContainsAny(strings.Join(r.Tags, ""), "+!")
}

// TestPackagingCases holds both packages to packaging's answers. AXLE_PACKAGING_CASES may name another file of such cases.
func TestPackagingCases(t *testing.T) {
	counts, excepted, wrong := map[string]int{}, map[string]int{}, 0
	lines := bufio.NewScanner(bytes.NewReader(caseFile(t)))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		var c packagingCase
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatalf("line %d: %v", n, err)
		}
		check := caseKinds[c.Kind]
		if check == nil {
			t.Fatalf("line %d: unknown kind %q", n, c.Kind)
		}
		counts[c.Kind]++
		err := check(c)
		if err == nil {
			continue
		}
		if reason, ok := exception(c, err); ok {
			excepted[c.Kind+": "+reason]++
			continue
		}
		if wrong++; wrong <= 20 {
			t.Errorf("line %d: %.300s: %v", n, lines.Text(), err)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	for _, kind := range slices.Sorted(maps.Keys(caseKinds)) {
		t.Logf("%-20s %5d cases", kind, counts[kind])
		if counts[kind] == 0 {
			t.Errorf("no case of kind %s: the file is not whole", kind)
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(excepted)) {
		t.Logf("%d excepted: %s", excepted[reason], reason)
	}
	if wrong > 0 {
		t.Errorf("%d disagreements with packaging", wrong)
	}
}

func caseFile(t *testing.T) []byte {
	t.Helper()
	name := os.Getenv("AXLE_PACKAGING_CASES")
	if name == "" {
		name = "testdata/packaging-cases.jsonl.gz"
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(name, ".gz") {
		return b
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if b, err = io.ReadAll(z); err != nil {
		t.Fatal(err)
	}
	return b
}

// refused marks the disagreement that an exception may explain: packaging takes what is refused here.
type refused struct{ error }

func exception(c packagingCase, err error) (reason string, ok bool) {
	if _, is := err.(refused); !is {
		return "", false
	}
	for _, e := range caseExceptions {
		if e.kind == c.Kind && e.applies(c) {
			return e.reason, true
		}
	}
	return "", false
}

// agree compares the outcome of a parse; more is true where both took it and the values are to be compared.
func agree(c packagingCase, err error) (more bool, _ error) {
	switch {
	case c.OK && err != nil:
		return false, refused{err}
	case !c.OK && err == nil:
		return false, fmt.Errorf("taken, packaging refuses it")
	}
	return c.OK, nil
}

func same(what string, got, want any) error {
	if got != want {
		return fmt.Errorf("%s is %q, packaging has %q", what, got, want)
	}
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func checkVersion(c packagingCase) error {
	v, err := version.Parse(c.In)
	if more, err := agree(c, err); !more {
		return err
	}
	return firstError(same("normal form", v.String(), c.Str), same("pre-release", v.IsPrerelease(), *c.Pre))
}

func checkName(c packagingCase) error {
	var want string
	if err := json.Unmarshal(c.Result, &want); err != nil {
		return err
	}
	if p, err := ParseProject(c.In); err == nil && string(p) != want {
		return same("project", string(p), want)
	}
	return same("normal form", normalize(c.In), want) // packaging normalises what is no name, too
}

func checkWheel(c packagingCase) error {
	w, err := ParseWheelName(c.In)
	if more, err := agree(c, err); !more {
		return err
	}
	var r struct {
		Name, Version string
		Build         []any
		Tags          []string
	}
	if err := json.Unmarshal(c.Result, &r); err != nil {
		return err
	}
	var tags []string
	for _, t := range w.Tags {
		tags = append(tags, t.String())
	}
	slices.Sort(tags)
	slices.Sort(r.Tags)
	build := []any{}
	if w.Build.Present {
		build = []any{float64(w.Build.N), w.Build.Suffix}
	}
	return firstError(same("name", string(w.Project), r.Name), same("version", w.Version.String(), r.Version),
		same("build tag", fmt.Sprint(build), fmt.Sprint(r.Build)), same("tags", fmt.Sprint(tags), fmt.Sprint(r.Tags)))
}

func checkSdist(c packagingCase) error {
	s, err := ParseSdistFilename(c.In)
	if more, err := agree(c, err); !more {
		return err
	}
	var r struct{ Name, Version string }
	if err := json.Unmarshal(c.Result, &r); err != nil {
		return err
	}
	lenient, err := ParseSdistName(c.In, s.Project)
	if err != nil {
		return err
	}
	return firstError(same("name", string(s.Project), r.Name), same("version", s.Version.String(), r.Version),
		same("lenient version", lenient.Version.String(), r.Version))
}

func checkSet(c packagingCase) error {
	s, err := version.ParseSet(c.In)
	if more, err := agree(c, err); !more {
		return err
	}
	return same("set", s.String(), c.Str)
}

func checkContains(c packagingCase) error {
	var spec string
	var want bool
	if err := firstError(json.Unmarshal(c.Spec, &spec), json.Unmarshal(c.Result, &want)); err != nil {
		return err
	}
	s, err := version.ParseSet(spec)
	if err != nil {
		return err
	}
	pre := version.Default
	if c.Pre == nil {
		c.Pre = c.SelfPre // the argument goes before the set's own setting
	}
	if c.Pre != nil {
		pre = map[bool]version.Prereleases{true: version.Allow, false: version.Deny}[*c.Pre]
	}
	if err := same("ContainsText", s.ContainsText(c.V, pre), want); err != nil {
		return err
	}
	// "===" alone sees the spelling, so elsewhere the version must give the same answer.
	if v, err := version.Parse(c.V); err == nil && (v.String() == c.V || !strings.Contains(spec, "===")) {
		return same("Contains", s.Contains(v, pre), want)
	}
	return nil
}

func checkRequirement(c packagingCase) error {
	r, err := ParseRequirement(c.In)
	if more, err := agree(c, err); !more {
		return err
	}
	var spec []string
	if err := json.Unmarshal(c.Spec, &spec); err != nil {
		return err
	}
	slices.Sort(spec)
	var extras []string // packaging keeps their spelling
	for _, e := range c.Extras {
		extras = append(extras, normalize(e))
	}
	slices.Sort(extras)
	again, err := ParseRequirement(r.String())
	if err != nil {
		return err
	}
	return firstError(same("name", string(r.Project), c.Name), same("extras", fmt.Sprint(r.Extras), fmt.Sprint(slices.Compact(extras))),
		same("set", r.Set.String(), strings.Join(slices.Compact(spec), ",")), same("URL", r.URL, c.URL),
		same("marker", r.Marker.String(), c.Marker), same("round trip", again.String(), r.String()))
}
