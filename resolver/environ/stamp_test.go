package environ

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestStamp(t *testing.T) {
	root := t.TempDir()
	c := Collector{root: root, Paths: map[string]string{"tool": "/opt/tool", "linked": "/opt/linked"}}
	in := Interpreter{Executable: "/opt/py/bin/python3", Prefix: "/opt/py"}
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"var/lib/dpkg/status", "etc/alternatives/cc", "usr/local/lib/x/y.so", "opt/py/bin/python3", "opt/tool/a/b/t", "usr/include/arch/z.h", "opt/linked-1/a/t",
		"opt/py/lib/python3/site-packages/p.py"} {
		write(name, "1")
	}
	link := func(to string) {
		t.Helper()
		if err := errors.Join(os.RemoveAll(filepath.Join(root, "opt/linked")), os.Symlink(to, filepath.Join(root, "opt/linked"))); err != nil {
			t.Fatal(err)
		}
	}
	link("linked-1")
	w, err := c.Watch(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	before := w.Stamp()
	if w.Stamp() != before {
		t.Fatal("nothing changed, and the stamp did")
	}
	for _, name := range []string{
		"var/lib/dpkg/status", "var/lib/dpkg/updates/0001", "etc/alternatives/cc", "etc/alternatives/c++",
		"usr/local/lib/x/y.so", "usr/local/new/folder/file", "opt/py/bin/python3", "opt/tool/a/b/t", "opt/tool/a/b/u", "usr/include/arch/new.h",
		"opt/linked-1/a/t", "opt/linked-1/a/u",
	} {
		write(name, "22") // in place where it was there
		after := w.Stamp()
		if after == before {
			t.Errorf("%s changed, and the stamp did not", name)
		}
		before = after
	}
	link("linked-2")
	if after := w.Stamp(); after == before {
		t.Error("a declared folder is a link to another one, and the stamp did not change")
	} else {
		before = after
	}
	for _, name := range []string{"home/somebody/file", "opt/py/lib/python3/site-packages/q.py"} {
		write(name, "3")
		if w.Stamp() != before {
			t.Errorf("%s, which no build sees, changed the stamp", name)
		}
	}
}

func BenchmarkStamp(b *testing.B) {
	python, err := filepath.EvalSymlinks("/usr/bin/python3")
	if err != nil {
		b.Skip("this machine has no /usr/bin/python3: ", err)
	}
	c := Collector{Python: python}
	in, err := c.Probe(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	w, err := c.Watch(b.Context(), in)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(len(w.places)), "places")
	for b.Loop() {
		w.Stamp()
	}
}
