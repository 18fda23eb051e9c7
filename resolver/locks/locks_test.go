package locks_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/cas/disk"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/locks"
	"github.com/python-wheel-build/axle/resolver/source"
)

// TestLocks: what was made for a recipe last counts until a record names what a wheel was built with; damage and loss mean none.
func TestLocks(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	b, err := disk.Open(dir)
	ok(err)
	store, err := cas.Open(ctx, b, filepath.Join(dir, "tmp"))
	ok(err)
	defer store.Close()
	one, err := version.Parse("1.0")
	ok(err)
	recipe := resolver.Recipe{Project: "foo", Version: one}
	other := resolver.Recipe{Project: "bar", Version: one}

	is := func(what string, r resolver.Recipe, fresh bool, want string) {
		t.Helper()
		var texts locks.Texts
		if want != "" {
			texts = locks.Texts{"rust/Cargo.lock": []byte(want)}
		}
		got, err := locks.Find(ctx, store, r, nil, fresh)
		if err != nil || len(got)+len(texts) > 0 && !reflect.DeepEqual(got, texts) {
			t.Errorf("%s: got %s, %v; want %s", what, got, err, want)
		}
	}
	keep := func(text string) map[string]cas.Digest {
		t.Helper()
		blobs, err := locks.Keep(ctx, store, recipe, locks.Texts{"rust/Cargo.lock": []byte(text)})
		ok(err)
		return blobs
	}
	kept := func() []string {
		keys, err := filepath.Glob(filepath.Join(dir, "locks/*/*.json"))
		ok(err)
		return keys
	}
	is("nothing made yet", recipe, false, "")
	keep("one")
	first := keep("one")
	second := keep("two")
	if len(kept()) != 2 {
		t.Errorf("kept as %q; want two, since one came twice", kept())
	}
	is("made twice", recipe, false, "two")
	is("fresh, without a record", recipe, true, "")
	is("another recipe", other, false, "")

	// Records: the oldest that has any.
	digest, err := recipe.Digest()
	ok(err)
	catalog := &resolver.Catalog{Sources: source.Sources{Store: store}}
	for i, l := range []map[string]cas.Digest{nil, second, first} {
		wheel, err := store.AddBytes(ctx, []byte{byte(i)})
		ok(err)
		r := resolver.Record{Project: "foo", Version: one, Recipe: digest, Wheel: wheel, Metadata: wheel, Filename: "foo-1.0-py3-none-any.whl", Locks: l,
			Requirements: []resolver.Requirement{{Project: "bar", Version: one, Wheel: wheel}}, When: time.Unix(int64(10-i), 0)}
		_, err = catalog.Publish(ctx, recipe, r)
		ok(err)
	}
	is("with records", recipe, false, "one")
	is("fresh, with records", recipe, true, "one")
	if texts, err := locks.Find(ctx, store, recipe, &resolver.Record{Locks: second}, true); err != nil || string(texts["rust/Cargo.lock"]) != "two" {
		t.Errorf("of a record that is built again: %s, %v", texts, err)
	}
	gone := func(blobs map[string]cas.Digest) {
		hex := blobs["rust/Cargo.lock"].Encoded()
		ok(os.Remove(filepath.Join(dir, "blobs/sha256", hex[:2], hex)))
	}
	gone(first)
	is("the oldest one's bytes are gone", recipe, true, "two")
	keep("three")
	gone(second)
	is("all of the records' bytes are gone", recipe, false, "three")
	is("fresh, and they are gone", recipe, true, "")
	ok(os.WriteFile(kept()[2], []byte("{}\nsha256:0\n"), 0o600))
	is("the last one is damaged", recipe, false, "")
	keep("three")
	is("kept again", recipe, false, "three")
	var findings []error
	ok(store.Verify(ctx, nil, func(f cas.Finding) { findings = append(findings, errors.New(f.Key+": "+f.Problem)) }))
	if err := errors.Join(findings...); err != nil {
		t.Error(err)
	}
}
