package cas_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/cas/disk"
)

var ctx = context.Background()

func backend(t *testing.T, dir string) *disk.Backend {
	t.Helper()
	b, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func open(t *testing.T, b cas.Backend) *cas.Store {
	t.Helper()
	s, err := cas.Open(ctx, b, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func add(t *testing.T, s *cas.Store, text string) cas.Digest {
	t.Helper()
	d, err := s.AddBytes(ctx, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func blobPath(dir string, d cas.Digest) string {
	return filepath.Join(dir, filepath.FromSlash(blobKey(d)))
}

func blobKey(d cas.Digest) string { return "blobs/sha256/" + d.Encoded()[:2] + "/" + d.Encoded() }

// overwrite changes a stored file behind Axle's back.
func overwrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func keys(t *testing.T, s *cas.Store, prefix string) []string {
	t.Helper()
	var all []string
	for key, err := range s.Keys(ctx, prefix) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, key)
	}
	return all
}

func TestFormat(t *testing.T) {
	dir := t.TempDir()
	open(t, backend(t, dir))
	path := filepath.Join(dir, "axle-store.json")
	text, err := os.ReadFile(path)
	want := "{\"format\":\"1\"}\n" + digest.FromString(`{"format":"1"}`).String() + "\n"
	if err != nil || string(text) != want {
		t.Fatalf("axle-store.json is %q, %v; want %q", text, err, want)
	}
	open(t, backend(t, dir))
	for text, want := range map[string]string{
		"{\"format\":\"2\",\"more\":3}\nanother checksum\n": `format "2"`,
		"{\"format\":\"1\"}\nsha256:00\n":                   "damaged",
		"{\"format\":\"1\",\"more\":\"x\"}\n":               "damaged",
		"":                                                  "damaged",
		"{\"form":                                           "damaged",
	} {
		overwrite(t, path, text)
		scratch := filepath.Join(t.TempDir(), "scratch")
		if _, err := cas.Open(ctx, backend(t, dir), scratch); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("with %q: %v; want an error with %q", text, err, want)
		}
		if _, err := os.Stat(scratch); err == nil {
			t.Error("a store that was not opened left a scratch folder")
		}
	}
}

// On disk scratch and the backend's temporary files share one folder.
func TestScratch(t *testing.T) {
	dir := t.TempDir()
	tmp := filepath.Join(dir, "tmp")
	first, err := cas.Open(ctx, backend(t, dir), tmp)
	if err != nil {
		t.Fatal(err)
	}
	f, err := first.TempFile()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	second, err := cas.Open(ctx, backend(t, dir), tmp)
	if err != nil {
		t.Fatal(err)
	}
	if first.Scratch() == second.Scratch() || filepath.Dir(f.Name()) != first.Scratch() {
		t.Errorf("scratch folders %s and %s, file %s", first.Scratch(), second.Scratch(), f.Name())
	}
	if _, err := os.Stat(f.Name()); err != nil {
		t.Errorf("the file of a living store is gone: %v", err)
	}
	if got := keys(t, second, ""); !cmp.Equal(got, []string{"axle-store.json"}) {
		t.Errorf("keys: %q; temporary files are none", got)
	}
	for _, s := range []*cas.Store{first, second} {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left in tmp: %v, %v", left, err)
	}
}

func TestQuarantine(t *testing.T) {
	dir := t.TempDir()
	s := open(t, backend(t, dir))
	const key = "records/foo/1.0/0.json"
	if err := s.Quarantine(ctx, key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of nothing: %v; want fs.ErrNotExist", err)
	}
	for _, n := range []string{"a", "b", "b", "c"} {
		if err := s.Create(ctx, key, map[string]string{"n": n}); err != nil {
			t.Fatal(err)
		}
		if err := s.Quarantine(ctx, key); err != nil {
			t.Fatal(err)
		}
		if err := s.Read(ctx, key, &struct{}{}); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Read after Quarantine: %v", err)
		}
	}
	want := []string{"quarantine/" + key + ".0", "quarantine/" + key + ".1", "quarantine/" + key + ".2"}
	if got := keys(t, s, "quarantine/"); !cmp.Equal(got, want) {
		t.Errorf("in quarantine: %q, want %q (equal bytes once)", got, want)
	}
	text, err := os.ReadFile(filepath.Join(dir, "quarantine", key+".2"))
	if err != nil || !strings.HasPrefix(string(text), `{"n":"c"}`) {
		t.Errorf("quarantine holds %q, %v", text, err)
	}
}

func TestVerify(t *testing.T) {
	dir := t.TempDir()
	s := open(t, backend(t, dir))
	good, rotten, short := add(t, s, "good"), add(t, s, "rotten"), add(t, s, "short")
	for _, key := range []string{"sources/foo/1/a.json", "names/default/1.json", "revocations/x.json"} {
		if err := s.Create(ctx, key, map[string]string{"key": key}); err != nil {
			t.Fatal(err)
		}
	}
	verify := func() (found []string) {
		t.Helper()
		last, keys := 0, 0
		err := s.Verify(ctx, func(done int, key string) {
			if done != last+1 || key == "" {
				t.Errorf("progress %d after %d, at %q", done, last, key)
			}
			last = done
		}, func(f cas.Finding) {
			word, _, _ := strings.Cut(f.Problem, ":")
			found = append(found, f.Key+" "+word)
		})
		if err != nil {
			t.Error(err)
		}
		for range s.Keys(ctx, "") {
			keys++
		}
		if last != keys {
			t.Errorf("progress ended at %d of %d keys", last, keys)
		}
		return found
	}
	if found := verify(); len(found) > 0 {
		t.Errorf("in a sound store: %q", found)
	}
	overwrite(t, blobPath(dir, rotten), "rotteN")
	overwrite(t, blobPath(dir, short), "shor")
	overwrite(t, filepath.Join(dir, "names/default/1.json"), "{\"key\":\"x\"}\n"+digest.FromString(`{"key":"y"}`).String()+"\n")
	overwrite(t, filepath.Join(dir, "sources/foo/1/a.json"), "{\"key\"")
	misplaced := "blobs/sha256/00/" + good.Encoded()
	for _, foreign := range []string{"lost+found/x", "core", "sources/readme.txt", "records/x", misplaced, "blobs/sha256/ab/tooshort", "names.json"} {
		overwrite(t, filepath.Join(dir, foreign), "x")
	}
	overwrite(t, filepath.Join(dir, "quarantine/anything"), "x")
	overwrite(t, filepath.Join(dir, "Not a key"), "x")
	want := []string{
		misplaced + " foreign", "blobs/sha256/ab/tooshort foreign", blobKey(rotten) + " damaged blob", blobKey(short) + " damaged blob",
		"core foreign", "lost+found/x foreign", "names.json foreign", "names/default/1.json damaged document", "records/x foreign",
		"sources/foo/1/a.json damaged document", "sources/readme.txt foreign",
	}
	if strings.Compare(blobKey(rotten), blobKey(short)) > 0 {
		want[2], want[3] = want[3], want[2]
	}
	got := verify()
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if again := verify(); len(again) != len(want) {
		t.Errorf("the second time: %q; Verify changes nothing", again)
	}

	cancelled, cancel := context.WithCancel(ctx)
	err := s.Verify(cancelled, func(int, string) { cancel() }, func(cas.Finding) {})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
