package cas_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/python-wheel-build/axle/cas"
)

type doc struct {
	Name  string            `json:"name"`
	Tags  []string          `json:"tags,omitempty"`
	Yes   bool              `json:"yes,omitempty"`
	Inner map[string]string `json:"inner,omitempty"`
}

func TestDocument(t *testing.T) {
	dir := t.TempDir()
	s := open(t, backend(t, dir))
	const key = "sources/foo/1!2.0+local/x.json"
	want := doc{Name: "é<&>\u2028 \x00\"\\", Tags: []string{"b", "a"}, Yes: true, Inner: map[string]string{"z": "", "€": "1", "\U0001f600": "2"}}
	if err := s.Read(ctx, key, &doc{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Read of nothing: %v", err)
	}
	for range 2 {
		if err := s.Create(ctx, key, want); err != nil {
			t.Fatal(err)
		}
	}
	// Another type with the same meaning is the same document.
	if err := s.Create(ctx, key, map[string]any{"yes": true, "tags": []any{"b", "a"}, "name": want.Name, "inner": want.Inner}); err != nil {
		t.Errorf("the same by another type: %v", err)
	}
	var got doc
	if err := s.Read(ctx, key, &got); err != nil || !cmp.Equal(got, want) {
		t.Errorf("Read: %+v, %v; want %+v", got, err, want)
	}
	if err := s.Create(ctx, key, doc{Name: "other"}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("another document: %v; want fs.ErrExist", err)
	}
	text, err := os.ReadFile(filepath.Join(dir, key))
	if err != nil {
		t.Fatal(err)
	}
	line, sum, _ := strings.Cut(string(text), "\n")
	if sum != digest.FromString(line).String()+"\n" {
		t.Errorf("checksum line %q of %q", sum, line)
	}
	// RFC 8785 orders names by UTF-16: U+1F600 (D83D) after U+20AC.
	if want := `{"inner":{"z":"","€":"1","😀":"2"},"name":"é<&>` + "\u2028" + ` \u0000\"\\","tags":["b","a"],"yes":true}`; line != want {
		t.Errorf("line %s\nwant %s", line, want)
	}
	var less struct {
		Name string `json:"name"`
	}
	var damaged *cas.DamagedError
	if err := s.Read(ctx, key, &less); err == nil || errors.As(err, &damaged) || !strings.Contains(err.Error(), "inner") {
		t.Errorf("with unknown fields: %v; want an error that names one and is no damage", err)
	}
}

func TestDamagedDocument(t *testing.T) {
	dir := t.TempDir()
	s := open(t, backend(t, dir))
	const key = "names/default/000000000001.json"
	good := "{\"name\":\"x\"}\n" + digest.FromString(`{"name":"x"}`).String() + "\n"
	for _, text := range []string{"", "\n", good[:5], good[:13], good[:20], good[:len(good)-1], good + "\n", good + good, strings.Replace(good, "x", "y", 1),
		" " + good, strings.Replace(good, "\n", "\r\n", 1), strings.ToUpper(good), "\x00" + good[1:]} {
		overwrite(t, filepath.Join(dir, key), text)
		var damaged *cas.DamagedError
		if err := s.Read(ctx, key, &doc{}); !errors.As(err, &damaged) || damaged.Key != key {
			t.Errorf("%q: %v; want a DamagedError with the key", text, err)
		}
		if err := s.Create(ctx, key, doc{Name: "x"}); !errors.Is(err, fs.ErrExist) {
			t.Errorf("Create over %q: %v; want fs.ErrExist", text, err)
		}
		if got, err := os.ReadFile(filepath.Join(dir, key)); err != nil || string(got) != text {
			t.Errorf("%q was changed to %q, %v: the caller decides", text, got, err)
		}
	}
	overwrite(t, filepath.Join(dir, key), good)
	if err := s.Read(ctx, key, &doc{}); err != nil {
		t.Error(err)
	}
}

func TestDocumentKeys(t *testing.T) {
	s := open(t, backend(t, t.TempDir()))
	for _, key := range []string{"", "x.json", "axle-store.json", "blobs/sha256/00/x.json", "quarantine/x.json", "tmp/x.json", "other/x.json", "names", "names/x",
		"names/x.json/y.json", "names/../x.json", "names//x.json", "/names/x.json", "names/X.json", "names.json", "sources/a b.json"} {
		if err := s.Create(ctx, key, doc{}); err == nil || errors.Is(err, fs.ErrExist) {
			t.Errorf("Create %q: %v; want an error about the key", key, err)
		}
		if err := s.Read(ctx, key, &doc{}); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Read %q: %v; want an error about the key", key, err)
		}
	}
	if err := s.Create(ctx, "names/x.json", strings.Repeat("x", 16<<20)); err == nil || !strings.Contains(err.Error(), "16777216") {
		t.Errorf("too large: %v", err)
	}
	if got := keys(t, s, ""); !cmp.Equal(got, []string{"axle-store.json"}) {
		t.Errorf("left behind: %q", got)
	}
}

func TestCanonicalRefuses(t *testing.T) {
	type inner struct {
		List []string `json:"list"`
	}
	for want, v := range map[string]any{
		"a.b[1].c is the number 3":   map[string]any{"a": map[string]any{"b": []any{"x", map[string]any{"c": 3}}}},
		"the document is the number": 1.5,
		"the document is null":       nil,
		"in.list is null":            map[string]any{"in": inner{}},
		"[0] is null":                []any{nil},
		"not UTF-8: …{\"a\":\"x":     map[string]string{"a": "x\xff"},
		"not UTF-8":                  map[string]string{"\xff": "a"},
		"unsupported type":           func() {},
	} {
		if got, err := cas.Canonical(v); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Canonical(%v): %s, %v; want an error with %q", v, got, err, want)
		}
	}
	for want, v := range map[string]any{`["\\ufffd",true]`: []any{`\ufffd`, true}, `"` + "\ufffd" + `"`: "\ufffd", `{}`: struct{}{}, `[]`: []string{}} {
		if got, err := cas.Canonical(v); err != nil || string(got) != want {
			t.Errorf("Canonical(%q): %s, %v; want %s", v, got, err, want)
		}
	}
}

// Whatever text goes in comes out again, and the canonical form of what came out is the same.
func FuzzCanonical(f *testing.F) {
	for _, s := range []string{"", "a", "\\", `\ufffd`, "\ufffd", "\xff", "\u2028\u2029", "\x00\x1f\x7f", "\U0001f600", `\\ufffd`, "</script>", "\ud7ff\ue000", `"`} {
		f.Add(s, "key", true)
		f.Add("value", s, false)
	}
	f.Fuzz(func(t *testing.T, value, name string, yes bool) {
		in := map[string]any{name: value, "list": []any{value, yes, map[string]any{value: name}}}
		line, err := cas.Canonical(in)
		if sound := utf8.ValidString(value) && utf8.ValidString(name); (err == nil) != sound {
			t.Fatalf("valid UTF-8 is %v, and the error %v", sound, err)
		}
		if err != nil {
			return
		}
		var out map[string]any
		if err := json.Unmarshal(line, &out); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if diff := cmp.Diff(in, out); diff != "" {
			t.Errorf("%s", diff)
		}
		if again, err := cas.Canonical(out); err != nil || string(again) != string(line) {
			t.Errorf("again: %s, %v; first %s", again, err, line)
		}
		if strings.ContainsRune(string(line), '\n') {
			t.Errorf("%q has a line end", line)
		}
	})
}
