package cas_test

import (
	"context"
	"testing"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/cas/disk"
)

func open(t *testing.T, dir string) *cas.Store {
	t.Helper()
	b, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := cas.Open(context.Background(), b, dir+"/tmp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestSmoke(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s := open(t, dir)
	d, err := s.AddBytes(ctx, []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Blob(ctx, d)
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
	if err := s.Create(ctx, "names/a/1.json", map[string]any{"a": []string{"x"}, "b": true}); err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := s.Read(ctx, "names/a/1.json", &m); err != nil {
		t.Fatal(err)
	}
	t.Log(m)
	if err := s.Create(ctx, "names/a/2.json", map[string]any{"a": []any{map[string]any{"n": 1}}}); err == nil {
		t.Fatal("number")
	} else {
		t.Log(err)
	}
	s2 := open(t, dir)
	if err := s2.Verify(ctx, nil, func(f cas.Finding) { t.Error(f) }); err != nil {
		t.Fatal(err)
	}
	for k, err := range s2.Keys(ctx, "") {
		t.Log(k, err)
	}
}
