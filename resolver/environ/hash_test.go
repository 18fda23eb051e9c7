package environ

import (
	"bytes"
	"context"
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func mkfifo(path string) error { return syscall.Mkfifo(path, 0o644) }

// The cache is used, but only for the very file that was hashed.
func TestCache(t *testing.T) {
	c := fakeRoot(t)
	time.Sleep(settled + 100*time.Millisecond) // what was written just now is not remembered
	c.Cache = filepath.Join(t.TempDir(), "cache")
	var hashed atomic.Int64
	c.Progress = func(_ string, done, total int64) {
		if done > total {
			t.Error(done, total)
		}
		if done == total {
			hashed.Add(total)
		}
	}
	in := fakeInterp("/opt/py")
	want := collect(t, c, in)
	if hashed.Swap(0) == 0 {
		t.Error("nothing hashed in the first run")
	}
	again := collect(t, c, in)
	if n := hashed.Swap(0); n != 0 {
		t.Errorf("%d bytes hashed in the second run", n)
	}
	if d := Diff(want, again); d != nil {
		t.Error(d)
	}

	// Not for a file that was written since, whatever its mtime says.
	os1 := filepath.Join(c.root, "/opt/py/lib/python3.11/os.py")
	fi, err := os.Stat(os1)
	ok(t, err)
	ok(t, os.WriteFile(os1, []byte("import syt"), 0o644)) // of the same length
	ok(t, os.Chtimes(os1, fi.ModTime(), fi.ModTime()))
	if d := cmp.Diff([]string{"python: /opt/py/lib/python3.11/os.py changed"}, Diff(want, collect(t, c, in))); d != "" {
		t.Error(d)
	}
	write(t, c.root, map[string]string{"/opt/py/lib/python3.11/os.py": "import sys"})
	want = collect(t, c, in)

	// A wrong hash in it would be believed: that is how we see that it is read.
	b, err := os.ReadFile(c.Cache)
	ok(t, err)
	m, err := parseCache(b)
	ok(t, err)
	lib := filepath.Join(c.root, "/opt/py/lib/libpython3.11.so")
	k, found := m[lib]
	if !found {
		t.Fatal("a file that was left alone is not in the cache")
	}
	k.sum = strings.Repeat("0", 64)
	m[lib] = k
	ok(t, os.WriteFile(c.Cache, formatCache(m), 0o644))
	if d := Diff(want, collect(t, c, in)); len(d) != 1 {
		t.Error(d)
	}
	// A damaged cache is as none.
	for _, damage := range [][]byte{nil, []byte("rubbish"), b[:len(b)/2], bytes.Replace(b, []byte("0"), []byte("1"), 1), formatCache(nil)[1:]} {
		ok(t, os.WriteFile(c.Cache, damage, 0o644))
		hashed.Store(0)
		if d := Diff(want, collect(t, c, in)); d != nil {
			t.Error(d)
		}
		if hashed.Load() == 0 {
			t.Error("a damaged cache was used")
		}
		now, err := os.ReadFile(c.Cache)
		ok(t, err)
		if _, err := parseCache(now); err != nil {
			t.Error("it was not replaced:", err)
		}
	}
	left, err := os.ReadDir(filepath.Dir(c.Cache))
	ok(t, err)
	if len(left) != 1 {
		t.Error("files left beside the cache:", left)
	}
}

// A run that fails keeps what was known.
func TestCacheOfFailedRun(t *testing.T) {
	c := fakeRoot(t)
	time.Sleep(settled + 100*time.Millisecond)
	c.Cache = filepath.Join(t.TempDir(), "cache")
	in := fakeInterp("/opt/py")
	collect(t, c, in)
	before, err := os.ReadFile(c.Cache)
	ok(t, err)
	bad := c
	bad.Paths = map[string]string{"x": "/absent"}
	if _, err := bad.collect(context.Background(), in); err == nil {
		t.Fatal("no error")
	}
	after, err := os.ReadFile(c.Cache)
	ok(t, err)
	if !bytes.Equal(before, after) {
		t.Error("the cache lost entries")
	}
	bad = c
	bad.Cache = filepath.Join(c.root, "/etc/passwd/cache")
	// A cache that can't be written only costs time.
	want, err := c.collect(context.Background(), in)
	ok(t, err)
	got, err := bad.collect(context.Background(), in)
	ok(t, err)
	if got["python"].Value != want["python"].Value || got["system"].Value != want["system"].Value {
		t.Error("another environment without a cache")
	}
}

// A file that may still be written within the clock's tick is not remembered.
func TestUnsettledIsNotRemembered(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"/a": "a"})
	h := openHashes(filepath.Join(t.TempDir(), "cache"))
	tr, err := scan(context.Background(), dir, "/a", nil)
	ok(t, err)
	_, err = tr.lines(context.Background(), h, nil)
	ok(t, err)
	if len(h.fresh) != 0 {
		t.Error(h.fresh)
	}
}

func FuzzCache(f *testing.F) {
	f.Add("/a b\n\"", uint64(1), int64(2), int64(-3), int64(4), []byte(cacheHead+"\n"))
	f.Fuzz(func(t *testing.T, name string, ino uint64, size, mtime, ctime int64, raw []byte) {
		m := map[string]known{name: {stamp{ino, size, mtime, ctime}, "00ff"}}
		got, err := parseCache(formatCache(m))
		if err != nil || len(got) != 1 || got[name] != m[name] {
			t.Fatal(got, err)
		}
		if m, err := parseCache(raw); err == nil {
			again, err := parseCache(formatCache(m))
			if err != nil || !cmp.Equal(m, again, cmp.AllowUnexported(known{}, stamp{}), cmp.Comparer(func(a, b known) bool { return a == b })) {
				t.Fatal(again, err)
			}
		}
	})
}

// recordPath reads what encoding/csv writes.
func FuzzRecordPath(f *testing.F) {
	f.Add("../../../bin/a")
	f.Add(`../a,"b" c`)
	f.Fuzz(func(t *testing.T, name string) {
		if strings.ContainsAny(name, "\r\n") {
			t.Skip("a name of two lines: such a RECORD hides nothing, and the file stays shown and counted")
		}
		var b bytes.Buffer
		w := csv.NewWriter(&b)
		ok(t, w.Write([]string{name, "sha256=x", "1"}))
		w.Flush()
		if got := recordPath(strings.TrimSuffix(b.String(), "\n")); got != name {
			t.Fatalf("%q, not %q", got, name)
		}
		recordPath(name)
	})
}

// A line of a manifest is read back as what it was written from.
func FuzzManifestLine(f *testing.F) {
	f.Add("/a b", "t \"x")
	f.Fuzz(func(t *testing.T, path, target string) {
		if path == "" || strings.HasPrefix(path, "package ") {
			t.Skip("no path of a file begins so")
		}
		path = "/" + path
		m := facts(linkLine(path, target))
		if v, found := m[quote(path)]; len(m) != 1 || !found || v != "120777 - "+quote(target) {
			t.Fatalf("%q", m)
		}
	})
}
