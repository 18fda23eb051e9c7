package s3

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/python-wheel-build/axle/cas"
)

// store: the whole of cas over a backend without local files.
func (s *server) store(t *testing.T) {
	b := s.fresh(t, nil)
	scratch := t.TempDir()
	store, err := cas.Open(ctx, b, scratch)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	content := bytes.Repeat([]byte("wheel "), 100_000)
	d, err := store.AddBytes(ctx, content)
	if err != nil {
		t.Fatal(err)
	}
	blob, err := store.Blob(ctx, d)
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	if got, err := io.ReadAll(blob); err != nil || !bytes.Equal(got, content) || blob.Size != int64(len(content)) {
		t.Errorf("Blob: %d bytes, size %d, %v", len(got), blob.Size, err)
	}
	if left, err := os.ReadDir(store.Scratch()); err != nil || len(left) > 0 {
		t.Errorf("in scratch while a blob is open: %v, %v; want nothing that a crash would leave", left, err)
	}

	// Somebody writes past Axle: an object of the same size with other bytes.
	key := "blobs/sha256/" + d.Encoded()[:2] + "/" + d.Encoded()
	if err := b.Remove(ctx, key); err != nil {
		t.Fatal(err)
	}
	rotten := append([]byte("W"), content[1:]...)
	if err := b.Create(ctx, key, int64(len(rotten)), bytes.NewReader(rotten)); err != nil {
		t.Fatal(err)
	}
	var damaged *cas.DamagedError
	if _, err := store.Blob(ctx, d); !errors.As(err, &damaged) || damaged.Key != key {
		t.Errorf("Blob of rotten bytes: %v; want a DamagedError", err)
	}
	if _, err := store.Blob(ctx, d); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Blob after that: %v; want fs.ErrNotExist", err)
	}
	if info, err := b.Stat(ctx, "quarantine/"+key+".0"); err != nil || info.Size != int64(len(rotten)) {
		t.Errorf("in quarantine: %+v, %v", info, err)
	}
	if err := b.Create(ctx, key, int64(len(rotten)), bytes.NewReader(rotten)); err != nil {
		t.Fatal(err)
	}
	if err := store.Put(ctx, d, int64(len(content)), bytes.NewReader(content)); err != nil {
		t.Errorf("Put over rotten bytes: %v", err)
	}
	if got, err := store.Bytes(ctx, d, 1<<20); err != nil || !bytes.Equal(got, content) {
		t.Errorf("Bytes after Put: %d bytes, %v", len(got), err)
	}
	if err := store.Put(ctx, d, 3, strings.NewReader("no?")); err != nil {
		t.Errorf("Put of what is there: %v; want success, unread", err)
	}
	if err := store.Verify(ctx, nil, func(f cas.Finding) { t.Errorf("Verify: %+v", f) }); err != nil {
		t.Error(err)
	}
}
