package environ

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/internal/dist"
)

const status = `Package: libyaml-dev
Status: install ok installed
Architecture: amd64
Version: 0.2.5-1
Maintainer: nobody
Description: YAML

Package: half
Status: install ok half-configured
Architecture: all
Version: 1:2
Maintainer: nobody
Description: half

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 3
Maintainer: nobody
Description: gone
`

// fakeInterp is an interpreter below a fake root; it never runs.
func fakeInterp(prefix string) Interpreter {
	return Interpreter{
		Executable: prefix + "/bin/python3.11",
		Prefix:     prefix,
		SOABI:      "cpython-311-x86_64-linux-gnu",
		Target:     dist.Target{Python: "cp311", ABI: "cp311", Platform: "linux_x86_64", Glibc: "2.36", PythonFullVersion: "3.11.7", Implementation: "cpython"},
		platform:   "linux-x86_64",
		stdlib:     []string{prefix + "/lib/python3.11"},
	}
}

// fakeRoot is a small machine.
func fakeRoot(t testing.TB) Collector {
	t.Helper()
	root := t.TempDir()
	write(t, root, map[string]string{
		"/var/lib/dpkg/status": status,
		"/usr/bin/":            "",
		"/usr/lib/":            "",
		"/var/lib/dpkg/info/libyaml-dev:amd64.list": "/.\n/usr\n/usr/lib\n/usr/lib/libyaml.so\n/lib/libold.so\n/usr/lib32\n",
		"/usr/lib/libyaml.so":                       "owned",
		"/usr/lib/libold.so":                        "owned, listed as /lib/libold.so",
		"/usr/bin/ninja":                            "+put there by hand",
		"/usr/bin/cc":                               "-> /etc/alternatives/cc",
		"/usr/share/cmake/Find.cmake":               "by hand",
		"/usr/share/info/dir":                       "made by installations",
		"/usr/lib32":                                "-> lib",
		"/usr/lib64/":                               "",
		"/bin":                                      "-> usr/bin",
		"/lib":                                      "-> usr/lib",
		"/lib64":                                    "-> usr/lib64",
		"/usr/local/bin/tool":                       "+tool",
		"/usr/local/bin/pipscript":                  "+#!/usr/bin/python3\n",
		"/usr/local/share/data.txt":                 "data",
		"/etc/alternatives/cc":                      "-> /usr/bin/gcc",
		"/etc/ld.so.cache":                          "cache",
		"/etc/os-release":                           "-> ../usr/lib/os-release",
		"/etc/passwd":                               "root:x",
		"/etc/ld.so.preload":                        "/evil.so",
		"/opt/rust-1.95/bin/cargo":                  "+cargo",
		"/opt/rust-1.95/lib/std":                    "-> /opt/elsewhere",
		"/opt/rust-1.95/lib/README":                 "docs",
		"/opt/rust":                                 "-> rust-1.95",
		"/opt/py/bin/python3.11":                    "+binary",
		"/opt/py/bin/python3":                       "-> python3.11",
		"/opt/py/bin/python3.11-config":             "+#!/bin/sh\n",
		"/opt/py/bin/pydoc3":                        "+#!/opt/py/bin/python3.11\n",
		"/opt/py/bin/pydoc":                         "-> pydoc3",
		"/opt/py/lib/libpython3.11.so":              "so",
		"/opt/py/lib/python3.11/os.py":              "import sys",
		"/opt/py/lib/python3.11/__pycache__/os.cpython-311.pyc":     "pyc",
		"/opt/py/lib/python3.11/loose.pyc":                          "pyc",
		"/opt/py/lib/python3.11/test/test_os.py":                    "test",
		"/opt/py/lib/python3.11/json/__init__.py":                   "json",
		"/opt/py/lib/python3.11/json/test/kept":                     "not the suite",
		"/opt/py/lib/python3.11/ensurepip/_bundled/pip.whl":         "pip",
		"/opt/py/lib/python3.11/site-packages/README.txt":           "",
		"/opt/py/include/python3.11/Python.h":                       "h",
		"/opt/py/share/a name\nof two \"lines\"":                    "odd",
		"/opt/py/share/nothing/":                                    "",
		"/usr/local/lib/python3.9/dist-packages/a.dist-info/RECORD": "../../../bin/pipscript,sha256=x,1\n",
		"/usr/local/lib/node_modules/site-packages/not-python":      "kept",
	})
	settle(t, root)
	return Collector{Python: "/usr/bin/python3", root: root}
}

// pipInstall puts into the fake prefix what an installer would.
func pipInstall(t testing.TB, c Collector) {
	t.Helper()
	write(t, c.root, map[string]string{
		"/opt/py/bin/demo":                              "+#!/usr/bin/env python3\n",
		"/opt/py/bin/demo.sh":                           "+#!/bin/sh\n",
		"/opt/py/bin/develop":                           "+#!/opt/py/bin/python3.11\n",
		"/opt/py/bin/latest":                            "-> demo",
		"/opt/py/bin/__pycache__/demo.cpython-311.pyc":  "pyc",
		"/opt/py/share/jupyter/kernels/k.json":          "{}",
		"/opt/py/share/\"q\",.txt":                      "q",
		"/opt/py/include/python3.11/demo/demo.h":        "h",
		"/opt/py/lib/python3.11/json/__pycache__/x.pyc": "pyc",
		"/opt/py/lib/python3.11/site-packages/demo.py":  "demo",
		"/opt/py/lib/python3.11/site-packages/d.dist-info/RECORD": strings.Join([]string{
			"demo.py,sha256=x,4", "../../../bin/demo,sha256=x,4", "/opt/py/bin/demo.sh,,", "../../../share/jupyter/kernels/k.json,,",
			`"../../../share/""q"",.txt",,`, "../../../include/python3.11/demo/demo.h,,", "../os.py,,", "../../../bin/python3.11,,", "",
		}, "\r\n"),
		"/opt/py/envs/mine/pyvenv.cfg":                                "home = /opt/py/bin",
		"/opt/py/envs/mine/bin/activate":                              "x",
		"/usr/local/lib/python3.9/site-packages/b.py":                 "b",
		"/usr/local/bin/other":                                        "+#!/bin/sh\n",
		"/usr/local/lib/python3.9/site-packages/b-1.dist-info/RECORD": "../../../bin/other,,\n",
	})
}

// write makes files below root: "-> x" is a link to x, "+x" is executable, a name
// that ends in a slash is a folder. What is there is replaced.
func write(t testing.TB, root string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(root, name)
		if strings.HasSuffix(name, "/") {
			ok(t, os.MkdirAll(path, 0o755))
			continue
		}
		ok(t, os.MkdirAll(filepath.Dir(path), 0o755))
		os.Remove(path)
		mode := fs.FileMode(0o644)
		if link, is := strings.CutPrefix(text, "-> "); is {
			ok(t, os.Symlink(link, path))
			continue
		} else if exe, is := strings.CutPrefix(text, "+"); is {
			text, mode = exe, 0o755
		}
		ok(t, os.WriteFile(path, []byte(text), mode))
		ok(t, os.Chmod(path, mode))
	}
}

// settle makes files look left alone for long, as far as that can be done: their
// mtime. What must be remembered in a test needs a later clock too.
func settle(t testing.TB, root string) {
	t.Helper()
	when := time.Now().Add(-time.Hour)
	ok(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		return os.Chtimes(path, when, when)
	}))
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func collect(t testing.TB, c Collector, in Interpreter) Set {
	t.Helper()
	set, err := c.collect(context.Background(), in)
	ok(t, err)
	return set
}
