package pep517_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/python-wheel-build/axle/builder/pep517"
	"github.com/python-wheel-build/axle/builder/sandbox"
	"github.com/python-wheel-build/axle/internal/testindex"
)

// What builds have of a wheel's modules is compiled once, is used, knows where it lies, and counts for nothing once its source is another.
func TestBytecode(t *testing.T) {
	b := open(t, testindex.Spec{Name: "demo", Version: "1.0", OnBuild: `
import subprocess
sys.path.append('/nowhere')
import helper.part
def python(*arguments):
    return subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True)
cached = helper.part.__cached__
seen['used'] = "code object from '%s'" % cached in python('-v', '-c', 'import helper.part').stderr
seen['where'] = helper.part.where.__code__.co_filename == helper.part.__file__
seen['inode'] = str(os.stat(cached).st_ino)
seen['written'] = os.access(cached, os.W_OK)
seen['broken'] = os.path.exists(cached.replace('part', 'broken'))
seen['data'] = os.path.exists(cached.replace('part', 'script'))
os.unlink(helper.part.__file__)
with open(helper.part.__file__, 'w') as f: f.write('def where(): return "edited"')
seen['edited'] = python('-c', 'import helper.part; print(helper.part.where())').stdout.strip()
`}, "")
	one := wheel(t, testindex.Spec{Name: "helper-wheel", Version: "1", Files: map[string]string{
		"wheel/helper/__init__.py": "", "wheel/helper/part.py": "def where(): return 'here'\n", "wheel/helper/broken.py": "def (:\n",
		"wheel/helper_wheel-1.data/purelib/helper/script.py": "x = 1\n"}})
	// Its modules in the same folder: whose bytecode is used there is the first one's.
	two := wheel(t, testindex.Spec{Name: "beside", Version: "1", Files: map[string]string{"wheel/helper/beside.py": "x = 2\n"}})
	var inode any
	for range 2 {
		got, err := b.run(pep517.Step{Do: "build", Wheels: []pep517.Wheel{one, two}})
		if err != nil {
			t.Fatalf("%v\n%s", err, b.log)
		}
		s := seen(t, got.Wheel, "demo")
		if s["used"] != true || s["where"] != true || s["written"] != false || s["broken"] != false || s["data"] != false || s["edited"] != "edited" {
			t.Errorf("the backend saw %v", s)
		}
		if inode != nil && inode != s["inode"] {
			t.Error("a second build has bytecode of its own")
		}
		inode = s["inode"]
	}
	// Asked for by the same key, nothing is run; so this is what uv was given.
	dir, err := b.Sandbox.Kept(t.Context(), 0, "uv "+b.Tools+" "+b.Python, sandbox.Command{})
	found, _ := filepath.Glob(filepath.Join(dir, "interpreter-*", "*", "*"))
	if err != nil || len(found) != 1 {
		t.Errorf("of the interpreter is kept %v, %v", found, err)
	}
}

// Without what is kept an environment is as good.
func TestWheelsWithoutBytecode(t *testing.T) {
	b := open(t, testindex.Spec{Name: "demo", Version: "1.0", See: []string{"helper"}}, "")
	broken := filepath.Join(t.TempDir(), "helper-1-py3-none-any.whl")
	if err := os.WriteFile(broken, []byte("no zip file"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := b.run(pep517.Step{Do: "build", Wheels: []pep517.Wheel{{Path: broken, Digest: "broken"}}})
	if err == nil || !strings.Contains(err.Error(), "install failed") {
		t.Errorf("a wheel that is none: %v", err)
	}
	plain := wheel(t, testindex.Spec{Name: "helper", Version: "1", Marker: "here"})
	plain.Digest = ""
	got, err := b.run(pep517.Step{Do: "build", Wheels: []pep517.Wheel{plain}})
	if err != nil {
		t.Fatalf("%v\n%s", err, b.log)
	}
	if s := seen(t, got.Wheel, "demo"); s["helper"] != "here" {
		t.Errorf("the backend saw %v", s)
	}
}
