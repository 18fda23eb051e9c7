package environ

import (
	"os"
	"path/filepath"
	"testing"
)

func TestStamp(t *testing.T) {
	root := t.TempDir()
	c := Collector{root: root, Paths: map[string]string{"tool": "/opt/tool"}}
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
	for _, name := range []string{"var/lib/dpkg/status", "etc/alternatives/cc", "usr/local/bin/x", "opt/py/bin/python3", "opt/tool/bin/t", "usr/bin/cc"} {
		write(name, "1")
	}
	stamp := func() string {
		t.Helper()
		s, err := c.Stamp(in)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	before := stamp()
	if stamp() != before {
		t.Fatal("nothing changed, and the stamp did")
	}
	for _, name := range []string{"var/lib/dpkg/status", "etc/alternatives/c++", "usr/local/bin/y", "usr/local/new", "opt/py/bin/python3", "opt/tool/bin/u", "usr/include/yaml.h"} {
		write(name, "22")
		after := stamp()
		if after == before {
			t.Errorf("%s changed, and the stamp did not", name)
		}
		before = after
	}
	write("home/somebody/file", "3")
	if stamp() != before {
		t.Error("a file that no build sees changed the stamp")
	}
}
