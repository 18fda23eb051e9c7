package castest

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/python-wheel-build/axle/cas"
)

func keys(t *testing.T, b cas.Backend) {
	odd := []string{
		"1!2.0+local.1/x", "@", "-", "_", "+", "!", "...", ".hidden/..a", "a..b/c.", "a+b@c-d_e.f", "a/2f", "con/nul.json",
		strings.Repeat("x", 255), "deep" + strings.Repeat("/d", 100), strings.Repeat(strings.Repeat("y", 99)+"/", 8) + "z",
	}
	for _, key := range odd {
		create(t, b, key, "of "+key)
	}
	for _, key := range odd {
		has(t, b, key, "of "+key)
	}
	slices.Sort(odd)
	if got := list(t, b, "", ""); !slices.Equal(got, odd) {
		t.Errorf("List: %q\nwant: %q", got, odd)
	}
}

// notKeys are refused in every call.
var notKeys = []string{
	"", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/../b", "a/./b", "A", "a b", "a\\b", "a:b", "é", "a\x00b", "a\n", "a*", "a%2fb", "a=b", "~a", "a,b",
	strings.Repeat("x", 256), strings.Repeat("x/", 450) + "x",
}

func badKeys(t *testing.T, b cas.Backend) {
	for _, key := range notKeys {
		err := map[string]error{}
		err["Create"] = b.Create(ctx, key, 1, strings.NewReader("x"))
		_, _, err["Open"] = b.Open(ctx, key, 0, -1)
		_, err["Stat"] = b.Stat(ctx, key)
		err["Remove"] = b.Remove(ctx, key)
		for call, err := range err {
			if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
				t.Errorf("%s %.40q: %v; want an error about the key", call, key, err)
			}
		}
	}
	if got := list(t, b, "", ""); len(got) > 0 {
		t.Errorf("left behind: %q", got)
	}
}

func remove(t *testing.T, b cas.Backend) {
	create(t, b, "a/b", "x")
	create(t, b, "a/c", "y")
	for range 2 {
		if err := b.Remove(ctx, "a/b"); err != nil {
			t.Errorf("Remove: %v", err)
		}
		absent(t, b, "a/b")
	}
	if err := b.Remove(ctx, "never/was"); err != nil {
		t.Errorf("Remove of what never was: %v", err)
	}
	has(t, b, "a/c", "y")
	create(t, b, "a/b", "other")
	has(t, b, "a/b", "other")
	for _, key := range []string{"a/b", "a/c"} {
		if err := b.Remove(ctx, key); err != nil {
			t.Error(err)
		}
	}
	if got := list(t, b, "", ""); len(got) > 0 {
		t.Errorf("left behind: %q", got)
	}
}

// listInOrder: '!', '+', '-' and '.' come before '/', so what is beside a folder may come before what is in it.
func listInOrder(t *testing.T, b cas.Backend) {
	all := []string{
		"a!b", "a+b/c", "a-b", "a-b.c/d", "a.b", "a/b", "a/b-c", "a/b.c/d", "a/c/d/e", "a/c0", "a0", "ab/c", "b", "c/1.json", "c/10.json", "c/2.json",
	}
	for i, key := range all {
		if i > 0 && all[i-1] >= key {
			t.Fatalf("%q stands before %q here", all[i-1], key)
		}
	}
	var g errgroup.Group
	for _, key := range all {
		g.Go(func() error { return b.Create(ctx, key, int64(len(key)), strings.NewReader(key)) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	prefixes := []string{"", "a", "a/", "a/b", "a-", "a-b", "a-b.", "ab/c", "ab/c/", "c/1", "c/1.json", "d", "a/c/", "a/c/d/", "A", "a//", "/", "/a", "../", "./a", "a/../a/", "a/../../", "c/1.json/"}
	afters := append([]string{"", "a", "a/", "a/b-", "a-b.c", "a.", "a/z", "c/1", "zzz", "!", "a/c/d"}, all...)
	for _, prefix := range prefixes {
		for _, after := range afters {
			var want []string
			for _, key := range all {
				if strings.HasPrefix(key, prefix) && key > after {
					want = append(want, key)
				}
			}
			if got := list(t, b, prefix, after); !slices.Equal(got, want) {
				t.Errorf("List %q after %q: %q\nwant: %q", prefix, after, got, want)
			}
		}
	}
	for info, err := range b.List(ctx, "", "") {
		if err != nil || info.Size != int64(len(info.Key)) || info.ModTime.IsZero() {
			t.Errorf("List: %+v, %v", info, err)
		}
		if info.Key == "a.b" {
			break // is no fault
		}
	}
}

// listMany has more keys than S3 gives in one answer.
func listMany(t *testing.T, b cas.Backend) {
	const n = 2100
	want := make([]string, n)
	var g errgroup.Group
	g.SetLimit(8)
	for i := range n {
		want[i] = fmt.Sprintf("many/%d/%05d", i/700, i)
		g.Go(func() error { return b.Create(ctx, want[i], 1, strings.NewReader("x")) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := list(t, b, "many/", ""); !slices.Equal(got, want) {
		t.Errorf("List: %d keys, want %d, or in another order", len(got), n)
	}
	// In portions, each taken up where the last one ended.
	var got []string
	after := ""
	for {
		portion := 0
		for info, err := range b.List(ctx, "many", after) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, info.Key)
			after = info.Key
			if portion++; portion == 450 {
				break
			}
		}
		if portion < 450 {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("List in portions: %d keys, want %d, or in another order", len(got), n)
	}
}
