package cas_test

import (
	"path/filepath"
	"testing"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/cas/disk"
)

// Whatever changes the store counts, and looking does not.
func TestChanges(t *testing.T) {
	dir := t.TempDir()
	b, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := cas.Open(t.Context(), b, filepath.Join(dir, "tmp"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const key = "records/demo/1.0/x.json"
	var d cas.Digest
	for _, step := range []struct {
		what    string
		changes bool
		do      func() error
	}{
		{"a blob comes", true, func() (err error) { d, err = s.AddBytes(t.Context(), []byte("x")); return err }},
		{"it comes again", false, func() (err error) { _, err = s.AddBytes(t.Context(), []byte("x")); return err }},
		{"it is read", false, func() (err error) { _, err = s.Bytes(t.Context(), d, 10); return err }},
		{"it is looked for", false, func() (err error) { _, err = s.Has(t.Context(), d); return err }},
		{"a document comes", true, func() error { return s.Create(t.Context(), key, map[string]string{"a": "b"}) }},
		{"it is read", false, func() error { return s.Read(t.Context(), key, &map[string]string{}) }},
		{"keys are listed", false, func() error {
			for _, err := range s.Keys(t.Context(), "records/") {
				return err
			}
			return nil
		}},
		{"it goes to quarantine", true, func() error { return s.Quarantine(t.Context(), key) }},
	} {
		before := s.Changes()
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		if got := s.Changes() != before; got != step.changes {
			t.Errorf("%s: counted %t, want %t", step.what, got, step.changes)
		}
	}
}
