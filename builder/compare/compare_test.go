package compare

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/internal/archive"
)

const filename = "demo-1.0-py3-none-any.whl"

// item is a file of a wheel to make.
type item struct {
	name, content string
	when          time.Time
	mode          fs.FileMode
	stored        bool
}

// pack makes a wheel of these files and a .dist-info of few.
func pack(t testing.TB, items ...item) Side {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, i := range append(items, item{name: "demo-1.0.dist-info/METADATA", content: "Name: demo\n"}) {
		h := &zip.FileHeader{Name: i.name, Method: zip.Deflate, Modified: i.when}
		if i.when.IsZero() {
			h.Modified = time.Date(2023, 11, 14, 0, 0, 0, 0, time.UTC)
		}
		if i.stored {
			h.Method = zip.Store
		}
		if i.mode == 0 {
			i.mode = 0o644
		}
		h.SetMode(i.mode)
		w, err := z.CreateHeader(h)
		if err == nil {
			_, err = w.Write([]byte(i.content))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return side(b.Bytes())
}

func side(b []byte) Side { return Side{bytes.NewReader(b), int64(len(b)), filename} }

func TestWheels(t *testing.T) {
	many := func(text string) (all []item) {
		for i := range 100 {
			all = append(all, item{name: fmt.Sprintf("m%03d.py", i), content: text})
		}
		return all
	}
	x := item{name: "x.py", content: "X = 1\n"}
	for name, c := range map[string]struct {
		a, b []item
		want []string // how each line begins
	}{
		"equal": {[]item{x}, []item{x}, nil},
		"a line": {[]item{{name: "y.py", content: "a\nb = 1\nc\n"}}, []item{{name: "y.py", content: "a\nb = 2\nc\n"}},
			[]string{`y.py: line 2 was "b = 1", then "b = 2"`}},
		"a line more":     {[]item{{name: "y.py", content: "a\n"}}, []item{{name: "y.py", content: "a\nb\n"}}, []string{`y.py: line 2 was the end, then "b"`}},
		"a line end":      {[]item{{name: "y.py", content: "a"}}, []item{{name: "y.py", content: "a\n"}}, []string{`y.py: line 1 was "a", then "a"`}},
		"empty":           {[]item{{name: "y.py"}}, []item{{name: "y.py", content: "b\n"}}, []string{`y.py: line 1 was the end, then "b"`}},
		"a long line":     {[]item{{name: "y.py", content: strings.Repeat("a", 9999) + "b"}}, []item{{name: "y.py", content: strings.Repeat("a", 9999) + "c"}}, []string{`y.py: line 1 was …"aaaa`}},
		"far away":        {[]item{{name: "y.py", content: strings.Repeat("\n", 99999) + "b"}}, []item{{name: "y.py", content: strings.Repeat("\n", 99999) + "c"}}, []string{`y.py: line 100000 was "b", then "c"`}},
		"an escape":       {[]item{{name: "y.py", content: "a"}}, []item{{name: "y.py", content: "\u202eb"}}, []string{`y.py: line 1 was "a", then "\u202eb"`}},
		"only one has it": {[]item{x}, []item{x, {name: "y.py", content: "abc"}}, []string{"y.py: only in the second build (3 bytes)"}},
		"only the other":  {[]item{x, {name: "y.py", content: "abc"}}, []item{x}, []string{"y.py: only in the first build (3 bytes)"}},
		"other order": {[]item{{name: "y.py", content: "__all__ = ['b', 'a']\n"}}, []item{{name: "y.py", content: "__all__ = ['a', 'b']\n"}},
			[]string{`y.py: line 1 was "__all__ = ['b', 'a']", then "__all__ = ['a', 'b']" (it looks like the same in another order)`}},
		"lines in other order": {[]item{{name: "y.txt", content: "b 1\na 2\n"}}, []item{{name: "y.txt", content: "a 2\nb 1\n"}},
			[]string{`y.txt: line 1 was "b 1", then "a 2" (it looks like the same lines in another order)`}},
		"a time": {[]item{{name: "y.py", content: "built at 12:03:11 in /build/src\n"}}, []item{{name: "y.py", content: "built at 12:03:12 in /build/src\n"}},
			[]string{`y.py: line 1 was "built at 12:03:11 in /build/src", then "built at 12:03:12 in /build/src" (it looks like a time)`}},
		"a path": {[]item{{name: "y.py", content: "D = '/tmp/tmpabc123/x'\n"}}, []item{{name: "y.py", content: "D = '/tmp/tmpdef456/x'\n"}},
			[]string{`y.py: line 1 was "D = '/tmp/tmpabc123/x'", then "D = '/tmp/tmpdef456/x'" (it looks like a temporary path)`}},
		"binary": {[]item{{name: "y.bin", content: "\x00\x01made of one\x00"}}, []item{{name: "y.bin", content: "\x00\x01made of two\x00"}},
			[]string{`y.bin: differs from byte 10 on (14 bytes, then 14): "made of one", then "made of two"`}},
		"byte code alone": {[]item{{name: "y.pyc", content: "\xa7\r\r\n\x00\x00\x00\x00abcdefghcode"}}, []item{{name: "y.pyc", content: "\xa7\r\r\n\x00\x00\x00\x00abcdEFghcode"}},
			[]string{"y.pyc: the header of byte code"}},
		"what follows is not told": {[]item{{name: "demo-1.0.dist-info/RECORD", content: "a"}, {name: "p/__pycache__/y.cpython-311.pyc", content: "a"}, {name: "p/y.py", content: "a"}},
			[]item{{name: "demo-1.0.dist-info/RECORD", content: "b"}, {name: "p/__pycache__/y.cpython-311.pyc", content: "b"}, {name: "p/y.py", content: "b"}},
			[]string{"p/y.py: line 1"}},
		"unless it is all": {[]item{{name: "demo-1.0.dist-info/RECORD", content: "a,,\nb,,\n"}}, []item{{name: "demo-1.0.dist-info/RECORD", content: "b,,\na,,\n"}},
			[]string{"demo-1.0.dist-info/RECORD: line 1 was \"a,,\", then \"b,,\" (it looks like the same lines in another order)"}},
		"times only": {[]item{x}, []item{{name: "x.py", content: x.content, when: time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC)}},
			[]string{"no file differs, only the archive around them", "the archive's times of 1 files differ, such as of x.py: 2023-11-14 00:00:00, then 2026-01-02 03:04:06"}},
		"modes only": {[]item{x}, []item{{name: "x.py", content: x.content, mode: 0o755}},
			[]string{"no file differs, only the archive around them", "the archive's modes of 1 files differ, such as of x.py: -rw-r--r--, then -rwxr-xr-x"}},
		"order only": {[]item{x, {name: "y.py"}}, []item{{name: "y.py"}, x},
			[]string{"no file differs, only the archive around them", "the archive's order of files differs: entry 1 was x.py, then y.py"}},
		"packing only": {[]item{x}, []item{{name: "x.py", content: x.content, stored: true}},
			[]string{"no file differs, only the archive around them", "the archive's compression methods of 1 files differ"}},
		"folders only": {[]item{x}, []item{{name: "p/", mode: fs.ModeDir | 0o755}, x},
			[]string{"no file differs, only the archive around them", "the archive had 0 entries for folders, then 1"}},
		"too many": {many("a"), many("b"), append(slicesOf(maxLines, "m"), "and 60 more")},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pack(t, c.a...), pack(t, c.b...)
			got, err := Wheels(t.Context(), a, b)
			if err != nil {
				t.Fatal(err)
			}
			ok := len(got) == len(c.want)
			for i := range got {
				ok = ok && strings.HasPrefix(got[i], c.want[i])
			}
			if !ok {
				t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

func slicesOf(n int, s string) (all []string) {
	for range n {
		all = append(all, s)
	}
	return all
}

// TestPackedOtherwise: nothing that a reader of zip files sees differs, and the bytes do.
func TestPackedOtherwise(t *testing.T) {
	a := pack(t, item{name: "x.py", content: "X"})
	bytesOf := make([]byte, a.Size)
	if _, err := a.R.ReadAt(bytesOf, 0); err != nil {
		t.Fatal(err)
	}
	bytesOf[5] ^= 1 // the local header's version, which the directory says again
	got, err := Wheels(t.Context(), a, side(bytesOf))
	if err != nil || len(got) != 2 || !strings.HasPrefix(got[1], "how the files are packed") {
		t.Errorf("%q %v", got, err)
	}
}

func TestName(t *testing.T) {
	a, b := pack(t, item{name: "x.py"}), pack(t, item{name: "x.py"})
	b.Filename = "demo-1.0-1-py3-none-any.whl"
	got, err := Wheels(t.Context(), a, b)
	if want := "the wheel's name was demo-1.0-py3-none-any.whl, then demo-1.0-1-py3-none-any.whl"; err != nil || len(got) != 1 || got[0] != want {
		t.Errorf("%q %v, want %q", got, err, want)
	}
}

func TestNoWheel(t *testing.T) {
	good := pack(t, item{name: "x.py", content: strings.Repeat("text ", 100)})
	damaged := make([]byte, good.Size)
	if _, err := good.R.ReadAt(damaged, 0); err != nil {
		t.Fatal(err)
	}
	damaged[50] ^= 0xff // in the packed content
	for name, b := range map[string]Side{"no zip": side([]byte("no zip")), "damaged": side(damaged)} {
		var bad *archive.Error
		if got, err := Wheels(t.Context(), good, b); !errors.As(err, &bad) {
			t.Errorf("%s: %q %v, want an *archive.Error", name, got, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Wheels(ctx, good, good); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that it was cancelled", err)
	}
}

// compiled is a shared object of this C text, compiled as %d says.
func compiled(t *testing.T, text string, flags ...string) string {
	t.Helper()
	dir := t.TempDir()
	source, out := filepath.Join(dir, "x.c"), filepath.Join(dir, "x.so")
	if err := os.WriteFile(source, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("cc", append(flags, "-shared", "-fPIC", "-o", out, "x.c")...)
	cmd.Dir = dir
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestObjects takes what a real compiler made apart.
func TestObjects(t *testing.T) {
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("no cc on PATH: install a C compiler to run this")
	}
	const text = "const char *when = \"%s\";\nint f(int x) { return x * %d; }\n"
	base := compiled(t, fmt.Sprintf(text, "at 12:03:11", 3), "-g0")
	for name, c := range map[string]struct {
		other string
		want  []string
	}{
		"data":          {compiled(t, fmt.Sprintf(text, "at 12:03:12", 3), "-g0"), []string{"code or data", ".rodata", `in .rodata: "at 12:03:11", then "at 12:03:12" (it looks like a time)`}},
		"code":          {compiled(t, fmt.Sprintf(text, "at 12:03:11", 5), "-g0"), []string{"code or data", ".text"}},
		"the build id":  {compiled(t, fmt.Sprintf(text, "at 12:03:11", 3), "-g0", "-Wl,--build-id=0x0123456789abcdef0123456789abcdef01234567"), []string{"only the build id", ".note.gnu.build-id"}},
		"cut off":       {base[:len(base)-100], []string{"can't be taken apart", "cut off"}},
		"header and no": {base[:20], []string{"can't be taken apart"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Wheels(t.Context(), pack(t, item{name: "x.so", content: base}), pack(t, item{name: "x.so", content: c.other}))
			if err != nil || len(got) != 1 {
				t.Fatalf("%q %v", got, err)
			}
			for _, want := range c.want {
				if !strings.Contains(got[0], want) {
					t.Errorf("%s\nwithout %q", got[0], want)
				}
			}
		})
	}
	// Debug information holds the folder that it was compiled in.
	got := explainELF([]byte(compiled(t, "int f(void) { return 1; }", "-g", "-Wl,--build-id=none")), []byte(compiled(t, "int f(void) { return 1; }", "-g", "-Wl,--build-id=none")), 0)
	if !strings.HasPrefix(got, "only debug information") {
		t.Error(got)
	}
}
