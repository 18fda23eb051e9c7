package environ

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const image = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// An image stands for the system: nothing of that is looked at any more, and everything else still is.
func TestImage(t *testing.T) {
	c := fakeRoot(t)
	c.Image = image
	c.Paths = map[string]string{"rust": "/opt/rust"}
	in := fakeInterp("/opt/py")
	before := collect(t, c, in)
	if _, ok := before["system"]; ok || !cmp.Equal(before["image"], Component{Value: image}) {
		t.Errorf("system %+v, image %+v", before["system"], before["image"])
	}
	w, err := c.Watch(t.Context(), in)
	ok(t, err)
	stamp := w.Stamp()
	ok(t, os.RemoveAll(filepath.Join(c.root, "var/lib/dpkg"))) // there need be no package manager
	write(t, c.root, map[string]string{"/usr/bin/new": "+x", "/usr/local/bin/tool": "+other", "/etc/alternatives/cc": "-> /usr/bin/clang"})
	if d := Diff(before, collect(t, c, in)); d != nil || w.Stamp() != stamp {
		t.Errorf("the image is the same, and the components differ (%q) or the stamp does (%t)", d, w.Stamp() != stamp)
	}
	for _, name := range []string{"/opt/py/lib/python3.11/os.py", "/opt/rust-1.95/bin/cargo"} {
		write(t, c.root, map[string]string{name: "changed"})
		if d := Diff(before, collect(t, c, in)); len(d) != 1 || w.Stamp() == stamp {
			t.Errorf("%s changed: components %q, other stamp %t", name, d, w.Stamp() != stamp)
		}
		before, stamp = collect(t, c, in), w.Stamp()
	}
	c.Image = strings.Replace(image, "0", "1", 1)
	if d := Diff(before, collect(t, c, in)); len(d) != 1 || !strings.HasPrefix(d[0], "image: ") || !strings.Contains(d[0], c.Image) {
		t.Errorf("another image: %q", d)
	}
}

// An interpreter in /usr/local is hashed also where an image stands for the rest of it.
func TestImageWithLocalInterpreter(t *testing.T) {
	c := fakeRoot(t)
	c.Image = image
	write(t, c.root, map[string]string{"/usr/local/bin/python3.11": "+binary", "/usr/local/lib/python3.11/os.py": "os"})
	in := fakeInterp("/usr/local")
	before := collect(t, c, in)
	w, err := c.Watch(t.Context(), in)
	ok(t, err)
	stamp := w.Stamp()
	write(t, c.root, map[string]string{"/usr/local/lib/python3.11/os.py": "changed"})
	if d := cmp.Diff([]string{"python: /usr/local/lib/python3.11/os.py changed"}, Diff(before, collect(t, c, in))); d != "" || w.Stamp() == stamp {
		t.Error(d, w.Stamp() == stamp)
	}
}

// A declared file is path, mode and hash; what it says is nowhere.
func TestFiles(t *testing.T) {
	c := fakeRoot(t)
	write(t, c.root, map[string]string{"/site/one": "hunter2", "/site/link": "-> one"})
	c.Files = map[string]string{"site": "/site/link"}
	in := fakeInterp("/opt/py")
	before := collect(t, c, in)
	// printf hunter2 | sha256sum
	want := component([]string{"/opt/axle/site 100644 f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7"})
	if d := cmp.Diff(want, before["file:site"]); d != "" {
		t.Error(d)
	}
	root, err := c.Root(t.Context(), in)
	ok(t, err)
	if !slices.ContainsFunc(root.Mounts, func(m Mount) bool {
		return cmp.Equal(m, Mount{Kind: "bind", Source: filepath.Join(c.root, "site/one"), Target: "/opt/axle/site"})
	}) {
		t.Errorf("it is not shown: %+v", root.Mounts)
	}
	w, err := c.Watch(t.Context(), in)
	ok(t, err)
	stamp := w.Stamp()
	write(t, c.root, map[string]string{"/site/one": "hunter3"})
	if d := cmp.Diff([]string{"file:site: /opt/axle/site changed"}, Diff(before, collect(t, c, in))); d != "" {
		t.Error(d)
	}
	written := w.Stamp()
	write(t, c.root, map[string]string{"/site/two": "x", "/site/link": "-> two"})
	if written == stamp || w.Stamp() == written {
		t.Error("it was written, or is a link to another file now, and the stamp does not show it")
	}
	for name, c := range map[string]Collector{
		"no such file":    {Python: c.Python, root: c.root, Files: map[string]string{"site": "/site/none"}},
		"a folder":        {Python: c.Python, root: c.root, Files: map[string]string{"site": "/site"}},
		"not absolute":    {Python: c.Python, root: c.root, Files: map[string]string{"site": "site/one"}},
		"no name":         {Python: c.Python, root: c.root, Files: map[string]string{"../site": "/site/one"}},
		"a path's name":   {Python: c.Python, root: c.root, Files: map[string]string{"site": "/site/one"}, Paths: map[string]string{"site": "/site"}},
		"a path's a file": {Python: c.Python, root: c.root, Paths: map[string]string{"site": "/site/one"}},
	} {
		_, err := c.collect(t.Context(), in)
		if err == nil {
			err = c.check()
		}
		if err == nil || !strings.Contains(err.Error(), "site") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
