package archive

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// samples are the real archives of a folder that AXLE_SAMPLES names; nothing of them is kept in the repository.
func samples(t *testing.T, patterns ...string) []string {
	t.Helper()
	dir := os.Getenv("AXLE_SAMPLES")
	if dir == "" {
		t.Skip("set AXLE_SAMPLES to a folder with real sdists and wheels to try them all")
	}
	var all []string
	for _, p := range patterns {
		found, err := filepath.Glob(filepath.Join(dir, p))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	if len(all) == 0 {
		t.Fatalf("no %q in %s", patterns, dir)
	}
	return all
}

// python unpacks argv[1] into argv[2] as pip does and prints what is there then.
const python = `
import hashlib, json, os, sys, tarfile, zipfile
if sys.argv[1].endswith(".zip"):
    zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])
else:
    with tarfile.open(sys.argv[1]) as t:
        t.extractall(sys.argv[2], filter="data")
seen = {}
for folder, folders, files in os.walk(sys.argv[2]):
    for name in folders + files:
        path = os.path.join(folder, name)
        key = os.path.relpath(path, sys.argv[2])
        stat = os.lstat(path)
        if os.path.islink(path):
            seen[key] = "link " + os.readlink(path)
        elif os.path.isdir(path):
            seen[key] = "folder"
        else:
            zip = sys.argv[1].endswith(".zip")
            seen[key] = "file %s %s %d" % (hashlib.sha256(open(path, "rb").read()).hexdigest(), not zip and bool(stat.st_mode & 0o100), 0 if zip else int(stat.st_mtime))
json.dump(seen, sys.stdout)
`

func TestRealSourcesUnpackAsWithPython(t *testing.T) {
	for _, path := range samples(t, "*.tar.gz", "*.tgz", "*.tar.bz2", "*.zip") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			cmd := exec.Command("python3", "-c", python, path, t.TempDir())
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("python: %v", err)
			}
			var want map[string]string
			if err := json.Unmarshal(out, &want); err != nil {
				t.Fatal(err)
			}
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			dir := t.TempDir()
			if _, err := Unpack(t.Context(), f, filepath.Base(path), dir, Limits{}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, listing(t, dir, filepath.Ext(path) != ".zip")); diff != "" {
				t.Error(diff)
			}
			if _, err := SdistFile(f, filepath.Base(path), "PKG-INFO", Limits{}); err != nil {
				t.Log(err) // some old sources have none
			}
		})
	}
}

func listing(t *testing.T, dir string, modes bool) map[string]string {
	t.Helper()
	seen := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		key, _ := filepath.Rel(dir, path)
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch info.Mode().Type() {
		case fs.ModeSymlink:
			link, err := os.Readlink(path)
			seen[key] = "link " + link
			return err
		case fs.ModeDir:
			seen[key] = "folder"
			if info.Mode() != fs.ModeDir|0o755 {
				t.Errorf("%s: mode %v", key, info.Mode())
			}
			return nil
		}
		data, err := os.ReadFile(path)
		executable, seconds := "False", int64(0)
		if modes {
			seconds = info.ModTime().Unix()
			if info.Mode()&0o100 != 0 {
				executable = "True"
			}
		}
		if m := info.Mode(); m != 0o644 && m != 0o755 {
			t.Errorf("%s: mode %v", key, info.Mode())
		}
		seen[key] = fmt.Sprintf("file %x %s %d", sha256.Sum256(data), executable, seconds)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

func TestRealWheels(t *testing.T) {
	for _, path := range samples(t, "*.whl") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			info, err := f.Stat()
			if err != nil {
				t.Fatal(err)
			}
			w, err := OpenWheel(f, info.Size(), filepath.Base(path), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Check(t.Context()); err != nil {
				t.Error(err)
			}
			wheel, err := w.WheelFile()
			t.Log(wheel.Generator, err)
		})
	}
}
