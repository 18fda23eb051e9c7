package archive

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/testindex"
	"github.com/python-wheel-build/axle/internal/testtools"
)

const info = "demo-1.0.dist-info/"

func demo() testindex.Spec {
	return testindex.Spec{Name: "demo", Version: "1.0", Marker: "one", Requires: []string{"six"}, Files: map[string]string{"wheel/demo-1.0.data/data/x, y": "quoted in RECORD"}}
}

func read(t testing.TB, data []byte) map[string]string {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[f.Name] = string(b)
	}
	return files
}

func pack(t testing.TB, files map[string]string, more ...zipItem) []byte {
	t.Helper()
	var items []zipItem
	for _, name := range slices.Sorted(maps.Keys(files)) {
		items = append(items, zipItem{name: name, content: files[name]})
	}
	return zipOf(t, append(items, more...)...)
}

func check(t testing.TB, filename string, data []byte, l Limits) error {
	t.Helper()
	w, err := OpenWheel(bytes.NewReader(data), int64(len(data)), filename, l)
	if err != nil {
		return err
	}
	return w.Check(t.Context())
}

func TestWheel(t *testing.T) {
	filename, data := testindex.Wheel(demo())
	w, err := OpenWheel(bytes.NewReader(data), int64(len(data)), filename, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if b, err := w.Metadata(); err != nil || !bytes.Equal(b, testindex.WheelMetadata(demo())) {
		t.Errorf("METADATA %q, %v", b, err)
	}
	f, err := w.WheelFile()
	if want := (dist.Tag{Python: "py3", ABI: "none", Platform: "any"}); err != nil || !slices.Equal(f.Tags, []dist.Tag{want}) || f.Version != "1.0" || !f.Purelib || f.Generator != "testindex" {
		t.Errorf("WHEEL %+v, %v", f, err)
	}
	if _, err := w.InfoFile("entry_points.txt"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if want := []string{"demo-1.0.data/data/x, y", info + "METADATA", info + "RECORD", info + "WHEEL", "demo.py"}; !slices.Equal(w.Files(), want) {
		t.Error(w.Files())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var bad *Error
	if err := w.Check(ctx); !errors.Is(err, context.Canceled) || errors.As(err, &bad) {
		t.Error(err)
	}
}

// What backends and tools were seen to write, or may.
func TestAcceptsWheelsAsTheyAre(t *testing.T) {
	for name, c := range map[string]struct {
		filename string
		change   func(map[string]string)
		more     []zipItem
	}{
		"as generated":           {},
		"renamed by a build tag": {filename: "demo-1.0-0_0123456789ab-py3-none-any.whl"},
		"other spelling":         {filename: "Demo-1.0.0-py3-none-any.whl"},
		"folders":                {more: []zipItem{{name: "demo-1.0.data/", mode: fs.ModeDir}}},
		"signed":                 {change: func(f map[string]string) { f[info+"RECORD.jws"] = "{}" }},
		"RECORD not in RECORD": {change: func(f map[string]string) {
			f[info+"RECORD"] = strings.ReplaceAll(f[info+"RECORD"], info+"RECORD,,\n", "")
		}},
		"lines of Windows": {change: func(f map[string]string) { f[info+"RECORD"] = strings.ReplaceAll(f[info+"RECORD"], "\n", "\r\n") }},
		"padded hashes": {change: func(f map[string]string) {
			f[info+"RECORD"] = regexp.MustCompile(`sha256=[^,]+`).ReplaceAllString(f[info+"RECORD"], "$0=")
		}},
		"RECORD with a twin": {change: func(f map[string]string) { f[info+"RECORD"] += f[info+"RECORD"] }},
		"no sizes": {change: func(f map[string]string) {
			lines := strings.Split(f[info+"RECORD"], "\n")
			for i, l := range lines {
				if at := strings.LastIndexByte(l, ','); at >= 0 {
					lines[i] = l[:at+1]
				}
			}
			f[info+"RECORD"] = strings.Join(lines, "\n")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			filename, data := testindex.Wheel(demo())
			files := read(t, data)
			if c.change != nil {
				c.change(files)
			}
			if c.filename != "" {
				filename = c.filename
			}
			if err := check(t, filename, pack(t, files, c.more...), Limits{}); err != nil {
				t.Errorf("%v\n%s", err, files[info+"RECORD"])
			}
		})
	}
	s := testindex.Spec{Name: "Demo.Thing", Version: "1.0", Tags: "py2.py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64", Build: "1abc"}
	filename, data := testindex.Wheel(s)
	if err := check(t, filename, data, Limits{}); err != nil {
		t.Error(err)
	}
	if err := check(t, "Demo_Thing-1.0-py3.py2-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl", data, Limits{}); err != nil {
		t.Error(err)
	}
}

func TestRefusesBadWheels(t *testing.T) {
	replace := func(name, old, with string) func(map[string]string) {
		return func(f map[string]string) {
			changed := strings.Replace(f[info+name], old, with, 1)
			if changed == f[info+name] {
				panic("nothing to replace: " + old)
			}
			f[info+name] = changed
		}
	}
	remove := func(name string) func(map[string]string) { return func(f map[string]string) { delete(f, name) } }
	add := func(name, content string) func(map[string]string) {
		return func(f map[string]string) { f[name] = content }
	}
	for name, c := range map[string]struct {
		filename string
		change   func(map[string]string)
		more     []zipItem
		want     string
	}{
		"no wheel name":           {filename: "demo.whl", want: "PEP 427"},
		"other project":           {filename: "other-1.0-py3-none-any.whl", want: "it is of project demo, and the filename says other"},
		"other version":           {filename: "demo-1.1-py3-none-any.whl", want: "it is of version 1.0, and the filename says 1.1"},
		"no dist-info":            {change: func(f map[string]string) { clear(f); f["demo.py"] = "" }, want: "exactly one"},
		"two dist-infos":          {change: add("other-1.0.dist-info/METADATA", ""), want: `["demo-1.0.dist-info" "other-1.0.dist-info"]`},
		"no METADATA":             {change: remove(info + "METADATA"), want: "no demo-1.0.dist-info/METADATA"},
		"no WHEEL":                {change: remove(info + "WHEEL"), want: "no demo-1.0.dist-info/WHEEL"},
		"no RECORD":               {change: remove(info + "RECORD"), want: "no demo-1.0.dist-info/RECORD"},
		"METADATA of another":     {change: replace("METADATA", "Name: demo", "Name: other"), want: "it is of project other"},
		"METADATA of other 1.0":   {change: replace("METADATA", "Version: 1.0", "Version: 1.0.1"), want: "it is of version 1.0.1"},
		"METADATA is rubbish":     {change: add(info+"METADATA", "\x00"), want: "METADATA"},
		"WHEEL of 2.0":            {change: replace("WHEEL", "Wheel-Version: 1.0", "Wheel-Version: 2.0"), want: "only 1.x is known"},
		"WHEEL is rubbish":        {change: add(info+"WHEEL", "rubbish"), want: `line 1 is not "Key: value"`},
		"WHEEL without tags":      {change: replace("WHEEL", "Tag: py3-none-any\n", ""), want: "it has no Tag"},
		"WHEEL purely odd":        {change: replace("WHEEL", "Purelib: true", "Purelib: perhaps"), want: "neither true nor false"},
		"unlisted file":           {change: add("extra.py", "import os"), want: `it does not list "extra.py"`},
		"missing file":            {change: remove("demo.py"), want: `it lists "demo.py", which is not there`},
		"changed file":            {change: func(f map[string]string) { f["demo.py"] = strings.Replace(f["demo.py"], "one", "two", 1) }, want: "its sha256 is"},
		"longer file":             {change: func(f map[string]string) { f["demo.py"] += "#" }, want: "bytes, and RECORD says"},
		"no hash":                 {change: func(f map[string]string) { f[info+"RECORD"] += "extra.py,,\n"; f["extra.py"] = "" }, want: `the hash algorithm ""`},
		"weak hash":               {change: func(f map[string]string) { f[info+"RECORD"] += "extra.py,md5=x,0\n"; f["extra.py"] = "" }, want: `the hash algorithm "md5"`},
		"no known hash":           {change: replace("RECORD", "sha256=", "sha256:"), want: "not algorithm=base64"},
		"odd size":                {change: replace("RECORD", "RECORD,,", "RECORD,,many"), want: "no number"},
		"listed twice":            {change: func(f map[string]string) { f[info+"RECORD"] += "demo.py,,\n" }, want: "listed twice"},
		"RECORD is no CSV":        {change: add(info+"RECORD", "\"x,,\n"), want: "parse error"},
		"RECORD of two columns":   {change: add(info+"RECORD", "x,y\n"), want: "wrong number of fields"},
		"traversal":               {change: add("../x.py", ""), want: `".." in the name`},
		"absolute":                {change: add("/x.py", ""), want: "absolute"},
		"backslash":               {change: add(`a\b.py`, ""), want: "backslash"},
		"control character":       {change: add("a\nb.py", ""), want: "control character"},
		"not UTF-8":               {change: add("a\xff.py", ""), want: "not UTF-8"},
		"dot":                     {change: add("./a.py", ""), want: `"." parts`},
		"double slash":            {change: add("a//a.py", ""), want: `"." parts`},
		"twice":                   {more: []zipItem{{name: "demo.py"}}, want: "comes twice"},
		"file and folder":         {change: add("demo.py/x", ""), want: `below "demo.py", which is a file`},
		"link":                    {more: []zipItem{{name: "l", content: "demo.py", mode: fs.ModeSymlink | 0o777}}, want: "a wheel holds files only"},
		"device":                  {more: []zipItem{{name: "d", mode: fs.ModeDevice | 0o644}}, want: "a wheel holds files only"},
		"encrypted":               {more: []zipItem{{name: "e", change: func(h *zip.FileHeader) { h.Flags |= 1 }}}, want: "encrypted"},
		"bomb":                    {change: add("zeros", strings.Repeat("\x00", 5000)), want: "5000 bytes, and 4000 are allowed"},
		"bomb of many":            {change: func(f map[string]string) { f["a"], f["b"] = strings.Repeat("\x00", 3500), strings.Repeat("\x00", 3500) }, want: "more than 6000 bytes"},
		"too many files":          {change: func(f map[string]string) { f["a"], f["b"], f["c"], f["d"] = "", "", "", "" }, want: "more than 8 files"},
		"dist-info without dash":  {change: func(f map[string]string) { clear(f); f["demo.dist-info/METADATA"] = "" }, want: "not a name"},
		"dist-info of no version": {change: func(f map[string]string) { clear(f); f["demo-x.dist-info/METADATA"] = "" }, want: "x"},
	} {
		t.Run(name, func(t *testing.T) {
			filename, data := testindex.Wheel(demo())
			files := read(t, data)
			if c.change != nil {
				c.change(files)
			}
			if c.filename != "" {
				filename = c.filename
			}
			var bad *Error
			err := check(t, filename, pack(t, files, c.more...), Limits{Files: 8, File: 4000, Bytes: 6000})
			if !errors.As(err, &bad) || !strings.Contains(err.Error(), c.want) || bad.Archive != filename {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	filename, data := testindex.Wheel(demo())
	flip := func(i int) []byte {
		flipped := bytes.Clone(data)
		flipped[i] ^= 1
		return flipped
	}
	directory := bytes.Index(data, []byte("PK\x01\x02"))
	for name, data := range map[string][]byte{
		"prefix": append([]byte("#!/bin/sh\n"), data...), "suffix": append(bytes.Clone(data), 0), "no zip": []byte("<html>"), "nothing": nil, "cut": data[:len(data)-1],
		"other name in the file's header": flip(40), "other compression there": flip(8), "other flags there": flip(6), "other data": flip(70), "other directory": flip(directory + 50),
		"hidden bytes": shifted(data, directory),
	} {
		var bad *Error
		if err := check(t, filename, data, Limits{}); !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// shifted puts a few bytes between the files and the directory.
func shifted(data []byte, directory int) []byte {
	data = slices.Concat(data[:directory], []byte("hidden"), data[directory:])
	binary.LittleEndian.PutUint32(data[len(data)-6:], uint32(directory+6))
	return data
}

// The generated in-tree backend, which other tests build with, makes wheels that pass.
func TestBuiltWheelPasses(t *testing.T) {
	dir := t.TempDir()
	s := demo()
	s.Ext = true
	name, data := testindex.Sdist(s)
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(testtools.Tool(t, "uv"), "--no-config", "build", "--wheel", "--offline", "--out-dir", dir, filepath.Join(dir, name))
	cmd.Env = append(os.Environ(), "UV_CACHE_DIR="+filepath.Join(dir, "cache"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	wheels, _ := filepath.Glob(filepath.Join(dir, "*.whl"))
	if len(wheels) != 1 {
		t.Fatalf("wheels %q", wheels)
	}
	data, err := os.ReadFile(wheels[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := check(t, filepath.Base(wheels[0]), data, Limits{}); err != nil {
		t.Error(err)
	}
}
