package upstream

import (
	"bytes"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/python-wheel-build/axle/internal/testindex"
)

// One project, read from a whole index in both of its forms: page, file, metadata.
func TestWholeIndex(t *testing.T) {
	for name, faults := range map[string]testindex.Faults{"JSON": {JSONOnly: true}, "HTML": {HTMLOnly: true}, "cut": {CutAfter: 500}, "no range": {NoRange: true}} {
		t.Run(name, func(t *testing.T) {
			day := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			data := bytes.Repeat([]byte("wheel "), 200)
			index := testindex.New(t)
			index.Put(testindex.File{Project: "foo", Filename: "foo-1-py3-none-any.whl", Data: data, RequiresPython: ">=3.8,<4", Metadata: []byte("Name: foo\n"), IsYanked: true, Yanked: "a < b & c", Uploaded: day})
			index.Add(testindex.Spec{Name: "foo", Version: "2", Backend: "intree"})
			index.Set(faults)
			c, _, _ := client(t)
			files, err := c.Project(t.Context(), index.Base(), project(t, "foo"))
			if err != nil || len(files) != 2 {
				t.Fatalf("%v, %v", files, err)
			}
			f := files[0]
			if f.Filename != "foo-1-py3-none-any.whl" {
				f = files[1]
			}
			if f.SHA256 != digest.FromBytes(data) || f.RequiresPython != ">=3.8,<4" || !f.IsYanked || f.Yanked != "a < b & c" || !f.HasMetadata {
				t.Errorf("%+v", f)
			}
			if !faults.HTMLOnly && (f.Size != int64(len(data)) || !f.Uploaded.Equal(day)) {
				t.Errorf("%+v", f)
			}
			w := temp(t)
			if err := c.Fetch(t.Context(), f, w); err != nil || !bytes.Equal(content(t, w), data) {
				t.Errorf("fetch: %v", err)
			}
			if faults.CutAfter == 0 {
				if text, err := c.Metadata(t.Context(), f); err != nil || string(text) != "Name: foo\n" || f.MetadataSHA256 != digest.FromBytes(text) {
					t.Errorf("metadata: %q, %v", text, err)
				}
			}
		})
	}
}

func TestIndexWithPassword(t *testing.T) {
	index := testindex.New(t)
	index.Add(testindex.Spec{Name: "foo", Version: "2", Backend: "intree"})
	index.Set(testindex.Faults{User: "ann", Password: "secret"})
	c, _, _ := client(t)
	if _, err := c.Project(t.Context(), index.Base(), project(t, "foo")); err == nil || !strings.Contains(err.Error(), "netrc") {
		t.Fatalf("without: %v", err)
	}
	u := index.Base()
	u.User = url.UserPassword("ann", "secret")
	files, err := c.Project(t.Context(), u, project(t, "foo")) // another user's refusal is not remembered for this one
	if err != nil || len(files) != 1 || strings.Contains(files[0].URL, "secret") {
		t.Fatalf("with: %v, %v", files, err)
	}
	if err := c.Fetch(t.Context(), files[0], temp(t)); err != nil {
		t.Fatal(err)
	}
	index.Down()
	c, _, _ = client(t)
	var down *DownError
	if _, err := c.Project(t.Context(), u, project(t, "foo")); !errors.As(err, &down) || strings.Contains(err.Error(), "secret") {
		t.Errorf("down: %v", err)
	}
}
