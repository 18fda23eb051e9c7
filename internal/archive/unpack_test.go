package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// unpack unpacks into a folder beside which nothing may appear, and returns what is in it: content, "link …" or "folder".
func unpack(t *testing.T, filename string, data []byte, l Limits) (map[string]string, error) {
	t.Helper()
	outside := t.TempDir()
	into := filepath.Join(outside, "in")
	if err := os.Mkdir(into, 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := Unpack(t.Context(), open(t, data), filename, into, l)
	if beside, _ := os.ReadDir(outside); len(beside) != 1 {
		t.Fatalf("written outside: %v", beside)
	}
	seen := map[string]string{}
	for name := range listing(t, into, true) {
		info, lerr := os.Lstat(filepath.Join(into, name))
		if lerr != nil {
			t.Fatal(lerr)
		}
		switch info.Mode().Type() {
		case fs.ModeDir:
			seen[name] = "folder"
		case fs.ModeSymlink:
			to, _ := os.Readlink(filepath.Join(into, name))
			seen[name] = "link " + to
		default:
			b, rerr := os.ReadFile(filepath.Join(into, name))
			if rerr != nil {
				t.Fatal(rerr)
			}
			seen[name] = string(b)
		}
	}
	return seen, err
}

func TestRefusesHostileTars(t *testing.T) {
	deep := strings.Repeat("d/", 70)
	long := "top/" + strings.Repeat(strings.Repeat("n", 200)+"/", 6) + "f"
	many := func(n int, content string) (items []item) {
		for i := range n {
			items = append(items, text("top/"+strings.Repeat("x", i+1), content))
		}
		return items
	}
	for name, c := range map[string]struct {
		items []item
		want  string // in the error
		entry string
	}{
		"traversal":                 {[]item{text("../x", "")}, `".." in the name`, "../x"},
		"traversal from below":      {[]item{text("top/a/../../x", "")}, `".." in the name`, "top/a/../../x"},
		"absolute":                  {[]item{text("/tmp/x", "")}, "absolute", "/tmp/x"},
		"folder above":              {[]item{dir("..", 0o755)}, `".." in the name`, ".."},
		"empty":                     {nil, "it is empty", ""},
		"only the dot":              {[]item{dir("./", 0o755)}, "it is empty", ""},
		"link out":                  {[]item{link("top/a", "../x")}, "outside the top", "top/a"},
		"link out from deeper":      {[]item{link("top/a/b", "../../x")}, "outside the top", "top/a/b"},
		"absolute link":             {[]item{link("top/a", "/etc/passwd")}, "not a path inside", "top/a"},
		"link out by a link":        {[]item{link("top/x", "."), link("top/y", "x/../..")}, "outside the top", "top/y"},
		"link out of no top":        {[]item{text("a", ""), link("b", "../x")}, "outside the top", "b"},
		"file through the top":      {[]item{link("top", "."), text("top/a", "")}, `below "top", which is a link`, "top/a"},
		"link out, disguised":       {[]item{link("top/a", "./.././x")}, "outside the top", "top/a"},
		"file through a link":       {[]item{dir("top/d", 0o755), link("top/l", "d"), text("top/l/f", "")}, `below "top/l", which is a link`, "top/l/f"},
		"file through a later link": {[]item{text("top/l/f", ""), link("top/l", "d")}, "was a folder before and is a link now", "top/l"},
		"file below a file":         {[]item{text("top/f", ""), text("top/f/g", "")}, `below "top/f", which is a file`, "top/f/g"},
		"folder over a file":        {[]item{text("top/f", ""), dir("top/f", 0o755)}, "was a file before and is a folder now", "top/f"},
		"hard link out":             {[]item{hard("top/a", "../../etc/passwd")}, `".." in the name`, "top/a"},
		"hard link to absolute":     {[]item{hard("top/a", "/etc/passwd")}, "absolute", "top/a"},
		"hard link to nothing":      {[]item{hard("top/a", "top/b"), text("top/b", "")}, "no earlier file", "top/a"},
		"hard link to a link":       {[]item{link("top/l", "x"), hard("top/a", "top/l")}, "no earlier file", "top/a"},
		"hard link to a folder":     {[]item{dir("top/d", 0o755), hard("top/a", "top/d")}, "no earlier file", "top/a"},
		"hard link to itself":       {[]item{text("top/a", ""), hard("top/a", "./top/a")}, "to itself", "top/a"},
		"character device":          {[]item{{Typeflag: tar.TypeChar, Name: "top/null", Devmajor: 1, Devminor: 3}}, "only files, folders and links", "top/null"},
		"block device":              {[]item{{Typeflag: tar.TypeBlock, Name: "top/sda"}}, "only files, folders and links", "top/sda"},
		"pipe":                      {[]item{{Typeflag: tar.TypeFifo, Name: "top/pipe"}}, "only files, folders and links", "top/pipe"},
		"too deep":                  {[]item{text("top/"+deep+"f", "")}, "more than 64 folders deep", "top/" + deep + "f"},
		"long part":                 {[]item{text("top/"+strings.Repeat("n", 256), "")}, "longer than 255 bytes", "top/" + strings.Repeat("n", 256)},
		"long name":                 {[]item{text(long, "")}, "longer than 1024 bytes", long},
		"too many":                  {many(20, ""), "more than 20 files", "top/" + strings.Repeat("x", 20)},
		"one too often":             {slices.Repeat([]item{text("top/a", "")}, 21), "more than 20 files", "top/a"},
		"too large a file":          {[]item{text("top/a", strings.Repeat("x", 3000))}, "3000 bytes, and 2000 are allowed", "top/a"},
		"too much":                  {many(19, strings.Repeat("x", 1000)), "more than 25000 bytes", ""},
	} {
		t.Run(name, func(t *testing.T) {
			data := gz(t, tarOf(t, c.items...))
			_, err := unpack(t, "demo-1.0.tar.gz", data, Limits{Files: 20, File: 2000, Bytes: 25000})
			var bad *Error
			if !errors.As(err, &bad) || !strings.Contains(err.Error(), c.want) || bad.Entry != c.entry || bad.Archive != "demo-1.0.tar.gz" {
				t.Errorf("got %v, want %q of entry %q", err, c.want, c.entry)
			}
			if _, err := SdistFile(open(t, data), "demo-1.0.tar.gz", "PKG-INFO", Limits{Files: 20, File: 2000, Bytes: 25000}); !errors.As(err, &bad) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("SdistFile: %v", err)
			}
		})
	}
}

func TestRefusesHostileZips(t *testing.T) {
	ok := zipItem{name: "top/a", content: "a"}
	for name, c := range map[string]struct {
		items []zipItem
		want  string
	}{
		"traversal":             {[]zipItem{{name: "top/../../x"}}, `".." in the name`},
		"traversal, backslash":  {[]zipItem{{name: `..\x`}}, `".." in the name`},
		"absolute":              {[]zipItem{{name: "/x"}}, "absolute"},
		"absolute, backslash":   {[]zipItem{{name: `\x`}}, "absolute"},
		"zero byte":             {[]zipItem{{name: "top/a\x00b"}}, "zero byte"},
		"device":                {[]zipItem{{name: "top/null", mode: fs.ModeDevice | 0o644}}, "only files, folders and links"},
		"encrypted":             {[]zipItem{{name: "top/a", change: func(h *zip.FileHeader) { h.Flags |= 1 }}}, "encrypted"},
		"file, then folder":     {[]zipItem{ok, {name: "top/a/b"}}, `below "top/a", which is a file`},
		"too large a file":      {[]zipItem{{name: "top/a", content: strings.Repeat("x", 3000)}}, "3000 bytes, and 2000 are allowed"},
		"too much":              {[]zipItem{{name: "top/a", content: strings.Repeat("x", 1999)}, {name: "top/b", content: strings.Repeat("x", 1999)}}, "more than 3000 bytes"},
		"too many":              {[]zipItem{ok, ok, ok, ok}, "more than 3 files"},
		"empty":                 {nil, "it is empty"},
		"a name missing":        {[]zipItem{{name: ""}}, "name is missing"},
		"an unknown compressor": {[]zipItem{{name: "top/a", change: func(h *zip.FileHeader) { h.Method = 0 }}, {name: "top/b"}}, "unsupported compression"},
	} {
		t.Run(name, func(t *testing.T) {
			data := zipOf(t, c.items...)
			if name == "an unknown compressor" {
				at := bytes.Index(data, []byte("PK\x01\x02"))
				data[at+10] = 99
			}
			_, err := unpack(t, "demo-1.0.zip", data, Limits{Files: 3, File: 2000, Bytes: 3000})
			var bad *Error
			if !errors.As(err, &bad) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// A directory that claims less than the data holds must not get past the limits.
func TestZipThatLiesAboutSizes(t *testing.T) {
	data := zipOf(t, zipItem{name: "top/a", content: strings.Repeat("x", 1<<20)})
	at := bytes.Index(data, []byte("PK\x01\x02"))
	copy(data[at+24:], []byte{1, 0, 0, 0})
	seen, err := unpack(t, "demo-1.0.zip", data, Limits{File: 1000})
	if err == nil || len(seen["top/a"]) > 1000 {
		t.Errorf("%d bytes written, %v", len(seen["top/a"]), err)
	}
}

// drain reads all that Unpack would write, without a disk.
func drain(t testing.TB, f *os.File, filename string, l Limits) (n int64, err error) {
	_, err = walk(t.Context(), f, filename, l, func(e entry, open func() (io.Reader, error)) error {
		if e.kind != file {
			return nil
		}
		r, err := open()
		if err != nil {
			return err
		}
		more, err := io.Copy(io.Discard, r)
		n += more
		return err
	})
	return n, err
}

func TestBombs(t *testing.T) {
	zeros := strings.Repeat("\x00", 17<<20)
	for name, c := range map[string]struct {
		filename string
		data     []byte
	}{
		"gzip": {"demo-1.0.tar.gz", gz(t, tarOf(t, text("top/a", zeros)))},
		"zip":  {"demo-1.0.zip", zipOf(t, zipItem{name: "top/a", content: zeros})},
		// A sparse file that is one hole: next to nothing to read, all to be written.
		"sparse": {"demo-1.0.tar.gz", gz(t, sparse(t, 17<<20))},
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t, c.data)
			if n, err := drain(t, f, c.filename, Limits{}); err == nil || !strings.Contains(err.Error(), "more than 16777216 bytes") || n > 16777216 {
				t.Errorf("%d bytes, %v", n, err)
			}
			if n, err := drain(t, f, c.filename, Limits{Ratio: 1 << 20}); err != nil || n != 17<<20 {
				t.Errorf("with the ratio raised: %d bytes, %v", n, err)
			}
		})
	}
}

func TestKeepsWhatIsHarmless(t *testing.T) {
	long := "top/" + strings.Repeat("long-name-", 20) + "/" + strings.Repeat("x", 200)
	gnu, pax, odd, owned := text(long, "gnu"), text("top/\u00fc\u4e2d", "pax"), text("top/caf\xe9", "latin-1"), text("top/owned", "o")
	gnu.Format, odd.Format = tar.FormatGNU, tar.FormatGNU
	pax.Format, pax.PAXRecords = tar.FormatPAX, map[string]string{"comment": "x", "VENDOR.key": "y"}
	owned.Uid, owned.Gid, owned.Mode, owned.ModTime = 12345, 54321, 0o6777, time.Unix(-5, 0)
	items := []item{
		{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: map[string]string{"comment": "0123"}},
		dir("./", 0o700), dir("./top/", 0), text("./top//a", "old"), hard("top/h", "./top/a"), text("top/a", "new"), link("top/again", "a"), link("top/again", "d"),
		link("top/up/l", ".././a"), dir("top/up/", 0o755), link("top/dangling", "no/where"), link("top/dot", "."), text(`top/back\slash`, "b"),
		owned, gnu, pax, odd, dir("top/d", 0o2000), dir("top/d", 0o2000),
	}
	want := map[string]string{
		"top": "folder", "top/a": "new", "top/h": "old", "top/again": "link d", "top/up": "folder", "top/up/l": "link ../a", "top/dangling": "link no/where",
		"top/dot": "link .", `top/back\slash`: "b", "top/owned": "o", long: "gnu", filepath.Dir(long): "folder", "top/\u00fc\u4e2d": "pax", "top/caf\xe9": "latin-1",
		"top/d": "folder",
	}
	plain := tarOf(t, items...)
	packed := gz(t, plain)
	for name, c := range map[string]struct {
		filename string
		data     []byte
	}{
		"tar.gz":                    {"Demo-1.0.TAR.GZ", packed},
		"tgz":                       {"demo-1.0.tgz", packed},
		"tar":                       {"demo-1.0.tar", plain},
		"two members":               {"demo-1.0.tar.gz", append(gz(t, plain[:1000]), gz(t, plain[1000:])...)},
		"garbage after the member":  {"demo-1.0.tar.gz", append(bytes.Clone(packed), "garbage"...)},
		"zeros after the member":    {"demo-1.0.tar.gz", append(bytes.Clone(packed), make([]byte, 2000)...)},
		"files after the tar's end": {"demo-1.0.tar.gz", gz(t, append(bytes.Clone(plain), tarOf(t, text("../x", "x"))...))},
		"no end":                    {"demo-1.0.tar.gz", gz(t, plain[:len(plain)-1024])},
	} {
		t.Run(name, func(t *testing.T) {
			seen, err := unpack(t, c.filename, c.data, Limits{})
			if diff := cmp.Diff(want, seen); err != nil || diff != "" {
				t.Error(err, diff)
			}
			if b, err := SdistFile(open(t, c.data), c.filename, "a", Limits{}); err != nil || string(b) != "new" {
				t.Errorf("SdistFile: %q, %v: not the later one", b, err)
			}
		})
	}
}

// What some old sdists are, and pip takes: the files in no folder, or beside one.
func TestNoTopFolder(t *testing.T) {
	for name, c := range map[string]struct {
		items []item
		want  map[string]string
	}{
		"flat":            {[]item{text("setup.py", "s"), dir("pkg", 0o755), text("pkg/a", "a"), link("l", "pkg/a")}, map[string]string{"setup.py": "s", "pkg": "folder", "pkg/a": "a", "l": "link pkg/a"}},
		"two folders":     {[]item{text("a/PKG-INFO", "1"), text("b/PKG-INFO", "2")}, map[string]string{"a": "folder", "a/PKG-INFO": "1", "b": "folder", "b/PKG-INFO": "2"}},
		"a file only":     {[]item{text("PKG-INFO", "p")}, map[string]string{"PKG-INFO": "p"}},
		"beside a folder": {[]item{text("a/b", ""), text("PKG-INFO", "p"), text("a/PKG-INFO", "")}, map[string]string{"a": "folder", "a/b": "", "a/PKG-INFO": "", "PKG-INFO": "p"}},
	} {
		t.Run(name, func(t *testing.T) {
			data := tarOf(t, c.items...)
			seen, err := unpack(t, "demo-1.0.tar", data, Limits{})
			if diff := cmp.Diff(c.want, seen); err != nil || diff != "" {
				t.Error(err, diff)
			}
			if top, err := Unpack(t.Context(), open(t, data), "demo-1.0.tar", t.TempDir(), Limits{}); err != nil || top != "." {
				t.Errorf("top %q, %v", top, err)
			}
			b, err := SdistFile(open(t, data), "demo-1.0.tar", "PKG-INFO", Limits{})
			if string(b) != c.want["PKG-INFO"] || (err == nil) != (c.want["PKG-INFO"] != "") {
				t.Errorf("SdistFile: %q, %v", b, err)
			}
		})
	}
}

func TestOddLinksAndModes(t *testing.T) {
	run := text("top/run", "r")
	run.Mode = 0o611
	into := t.TempDir()
	if _, err := Unpack(t.Context(), open(t, tarOf(t, text("top/d/x/f", "x"), text("top/d/y", "y"), link("top/l", "d/x/../y"), link("top/now", "l"),
		text("top/now", "a file"), text("top/then", "t"), link("top/then", "now"), run)), "demo-1.0.tar", into, Limits{}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"l": "y", "now": "a file", "then": "a file"} {
		if b, err := os.ReadFile(filepath.Join(into, "top", name)); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if info, err := os.Stat(filepath.Join(into, "top/run")); err != nil || info.Mode() != 0o755 {
		t.Errorf("what the group may execute is not executable: %v, %v", info.Mode(), err)
	}
}

func TestModesTimesAndOwners(t *testing.T) {
	when := time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)
	script, secret, folder := text("top/d/script", "#!"), text("top/d/secret", ""), dir("top/d", 0)
	script.Mode, script.ModTime, script.Uid, script.Gid = 0o4711, when, 12345, 54321
	secret.Mode, secret.ModTime = 0o066, time.Unix(-5, 0)
	folder.ModTime = when
	into := t.TempDir()
	defer syscall.Umask(syscall.Umask(0o077))
	top, err := Unpack(t.Context(), open(t, tarOf(t, folder, script, secret)), "demo-1.0.tar", into, Limits{})
	if err != nil || top != "top" {
		t.Fatal(top, err)
	}
	for name, want := range map[string]struct {
		mode fs.FileMode
		time time.Time
	}{"top/d": {fs.ModeDir | 0o755, when}, "top/d/script": {0o755, when}, "top/d/secret": {0o644, time.Unix(0, 0)}} {
		info, err := os.Stat(filepath.Join(into, name))
		if err != nil || info.Mode() != want.mode || !info.ModTime().Equal(want.time) || int(info.Sys().(*syscall.Stat_t).Uid) != os.Getuid() {
			t.Errorf("%s: %v, mode %v, time %v, uid %d", name, err, info.Mode(), info.ModTime(), info.Sys().(*syscall.Stat_t).Uid)
		}
	}
	if _, err := Unpack(t.Context(), open(t, tarOf(t, text("top/x", ""))), "demo-1.0.tar", into, Limits{}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("unpacked over a folder that was there: %v", err)
	}
}

func TestZipsAsWindowsAndOthersMakeThem(t *testing.T) {
	seen, err := unpack(t, "demo-1.0.zip", zipOf(t,
		zipItem{name: `top\a\b`, content: "b"}, zipItem{name: "top/run", content: "r", mode: 0o700}, zipItem{name: "top/l", content: "../../etc/passwd", mode: fs.ModeSymlink | 0o777},
		zipItem{name: "top/d/", mode: fs.ModeDir}, zipItem{name: "top/\u00fc", content: "u", change: func(h *zip.FileHeader) { h.NonUTF8 = true }},
		zipItem{name: "top/caf\x82\xff", content: "437", change: func(h *zip.FileHeader) { h.NonUTF8 = true }}, zipItem{name: "top/run", content: "again"},
	), Limits{})
	want := map[string]string{"top": "folder", "top/a": "folder", "top/a/b": "b", "top/run": "again", "top/l": "../../etc/passwd", "top/d": "folder", "top/\u00fc": "u",
		"top/caf\u00e9\u00a0": "437"}
	if diff := cmp.Diff(want, seen); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestBrokenArchives(t *testing.T) {
	plain := tarOf(t, text("top/a", strings.Repeat("random", 1000)), text("top/b", ""))
	packed := gz(t, plain)
	flipped := bytes.Clone(zipOf(t, zipItem{name: "top/a", content: "content"}))
	flipped[bytes.Index(flipped, []byte("PK\x01\x02"))+16] ^= 1 // its CRC
	for name, c := range map[string]struct {
		filename string
		data     []byte
		want     string
	}{
		"other kind":          {"demo-1.0.tar.xz", packed, "repack it as .tar.gz"},
		"no kind":             {"demo", packed, "repack it as .tar.gz"},
		"a page, not a tar":   {"demo-1.0.tar.gz", []byte("<!DOCTYPE html>"), "gzip: invalid header"},
		"a page, not a bz2":   {"demo-1.0.tar.bz2", []byte("<!DOCTYPE html>"), "bzip2"},
		"a page, not a zip":   {"demo-1.0.zip", []byte("<!DOCTYPE html>"), "zip: not a valid zip file"},
		"nothing":             {"demo-1.0.tar.gz", nil, "EOF"},
		"cut":                 {"demo-1.0.tar.gz", packed[:len(packed)-40], "unexpected EOF"},
		"cut within a file":   {"demo-1.0.tar", plain[:700], "unexpected EOF"},
		"garbage in the tar":  {"demo-1.0.tar", append(bytes.Clone(plain[:6656]), bytes.Repeat([]byte("x"), 512)...), "invalid tar header"},
		"other bytes in zip":  {"demo-1.0.zip", flipped, "checksum"},
		"garbage after a cut": {"demo-1.0.tar.gz", append(gz(t, plain[:1000]), "garbage, and more of it"...), "invalid header"},
	} {
		t.Run(name, func(t *testing.T) {
			var bad *Error
			if _, err := unpack(t, c.filename, c.data, Limits{}); !errors.As(err, &bad) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// Cancelling ends the unpacking of one file of a gigabyte, and is no fault of the archive.
func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	into := t.TempDir()
	go func() {
		for range 1000 {
			if info, err := os.Stat(filepath.Join(into, "top/hole")); err == nil && info.Size() > 0 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	_, err := Unpack(ctx, open(t, sparse(t, 1<<33)), "demo-1.0.tar", into, Limits{Ratio: 1 << 30, File: 1 << 40, Bytes: 1 << 40})
	var bad *Error
	info, serr := os.Stat(filepath.Join(into, "top/hole"))
	if !errors.Is(err, context.Canceled) || errors.As(err, &bad) || serr != nil || info.Size() == 0 || info.Size() == 1<<33 {
		t.Errorf("%v; %v", err, serr)
	}
}

// What goes wrong on this machine is not said to be the archive's fault.
func TestMachineErrors(t *testing.T) {
	var fault *Error
	data := open(t, tarOf(t, text("top/a", "")))
	if _, err := Unpack(t.Context(), data, "demo-1.0.tar", filepath.Join(t.TempDir(), "absent"), Limits{}); !errors.Is(err, fs.ErrNotExist) || errors.As(err, &fault) {
		t.Error(err)
	}
	if err := bad("demo-1.0.tar", "top/l", &os.LinkError{Op: "symlink", Err: syscall.ENOSPC}); errors.As(err, &fault) {
		t.Error(err)
	}
	data.Close()
	if _, err := Unpack(t.Context(), data, "demo-1.0.tar", t.TempDir(), Limits{}); err == nil || errors.As(err, &fault) {
		t.Error(err)
	}
}

func TestSdistFile(t *testing.T) {
	data := gz(t, tarOf(t, text("top/PKG-INFO", "P"), link("top/setup.cfg", "PKG-INFO"), text("top/src/pyproject.toml", "x"), text("top/big", strings.Repeat("x", maxText+1))))
	for name, want := range map[string]string{"PKG-INFO": "P", "src/pyproject.toml": "x"} {
		if b, err := SdistFile(open(t, data), "demo-1.0.tar.gz", name, Limits{Ratio: 2000}); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if _, err := SdistFile(open(t, data), "demo-1.0.tar.gz", "pyproject.toml", Limits{Ratio: 2000}); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "top/pyproject.toml") {
		t.Error(err)
	}
	for name, want := range map[string]string{"setup.cfg": "it is a link", "src": "it is a folder", "big": "more than 16777216 bytes"} {
		if _, err := SdistFile(open(t, data), "demo-1.0.tar.gz", name, Limits{Ratio: 2000}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSdistFileOfHardLink(t *testing.T) {
	data := tarOf(t, text("top/a", "A"), hard("top/PKG-INFO", "top/a"))
	if b, err := SdistFile(open(t, data), "demo-1.0.tar", "PKG-INFO", Limits{}); err == nil || !strings.Contains(err.Error(), "plain file is wanted") {
		t.Errorf("%q, %v", b, err)
	}
}
