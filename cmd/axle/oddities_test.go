package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/python-wheel-build/axle/internal/testindex"
)

// plainTar is the generated sdist without compression, its names as rename has them.
func plainTar(t *testing.T, s testindex.Spec, rename func(string) string) []byte {
	t.Helper()
	_, data := testindex.Sdist(s)
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	r, w := tar.NewReader(z), tar.NewWriter(&b)
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		h.Name = rename(h.Name)
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(w, r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func packed(t *testing.T, program string, data []byte) []byte {
	t.Helper()
	cmd := exec.Command(program, "-c")
	cmd.Stdin = bytes.NewReader(data)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", program, err)
	}
	return out
}

// TestOddities builds what no present-day tool would make, and pip builds all the same.
func TestOddities(t *testing.T) {
	r := newRig(t)
	same := func(name string) string { return name }
	flat := func(name string) string { _, below, _ := strings.Cut(name, "/"); return below }
	put := func(project, filename string, data []byte) {
		r.up.Put(testindex.File{Project: project, Filename: filename, Data: data})
	}
	named := func(name string) testindex.Spec { return testindex.Spec{Name: name, Version: "1.0", Marker: name} }
	put("flat", "flat-1.0.tar.gz", packed(t, "gzip", plainTar(t, named("flat"), flat)))
	put("bare", "bare-1.0.tar", plainTar(t, named("bare"), same))
	put("bzipped", "bzipped-1.0.tar.bz2", packed(t, "bzip2", plainTar(t, named("bzipped"), same)))
	put("elsewhere", "elsewhere-1.0.tgz", packed(t, "gzip", plainTar(t, named("elsewhere"), func(n string) string { return "Some Folder/" + flat(n) })))
	put("Long.Name", "Long.Name-1.0-post1.tar.gz", packed(t, "gzip", plainTar(t, testindex.Spec{Name: "Long.Name", Version: "1.0.post1", Marker: "Long.Name"}, same)))
	r.up.Add(
		// The index says 1.0, the wheel 1.0.0: one version to PEP 440.
		testindex.Spec{Name: "spelled", Version: "1.0", WheelVersion: "1.0.0", Marker: "spelled"},
		testindex.Spec{Name: "wants-spelled", Version: "1.0", BuildRequires: []string{"spelled==1"}, See: []string{"spelled"}, Marker: "wants-spelled"},
		testindex.Spec{Name: "extras", Version: "1.0", MetadataVersion: "2.1", Extras: []string{"good", "not a name", ":python_version<'3'"}, Marker: "extras"},
		testindex.Spec{Name: "loopback", Version: "1.0", Marker: "loopback", OnBuild: `import socket
server = socket.create_server(("", 0))
for name in "localhost", socket.gethostname(), socket.getfqdn():
    socket.create_connection((name, server.getsockname()[1]), 10).close()`},
		testindex.Spec{Name: "var-tmp", Version: "1.0", Marker: "var-tmp", OnBuild: "open('/var/tmp/x', 'w').close()"},
		testindex.Spec{Name: "retagged", Version: "1.0", Marker: "retagged", Files: map[string]string{"_backend/retag.py": `import os
import testindex_backend
def build_wheel(directory, config_settings=None, metadata_directory=None):
    assert config_settings is None, config_settings
    name = testindex_backend.build_wheel(directory)
    other = name.replace("py3-none-any", "cp311-abi3-linux_x86_64")
    os.rename(os.path.join(directory, name), os.path.join(directory, other))
    return os.path.join(directory, other)
`, "pyproject.toml": "[build-system]\nrequires = []\nbuild-backend = \"retag\"\nbackend-path = [\"\", \"_backend\"]\n"}},
	)
	put("nothing", "nothing-1.0.tar", plainTar(t, named("nothing"), func(n string) string {
		if strings.HasSuffix(n, "/pyproject.toml") {
			return "beside/pyproject.toml"
		}
		return n
	}))
	r.start()
	for i, c := range clients(t) {
		folder := r.installs(c, r.home(), "flat", "bare", "bzipped", "elsewhere", "long-name", "spelled", "wants-spelled", "extras[good]", "loopback", "var-tmp", "retagged")
		for module, want := range map[string]string{"flat": "flat", "bare": "bare", "bzipped": "bzipped", "elsewhere": "elsewhere", "long_name": "Long.Name",
			"spelled": "spelled", "wants_spelled": "wants-spelled", "retagged": "retagged"} {
			if got := r.marker(folder, module); got != want {
				t.Errorf("client %d: %s has MARKER %q", i, module, got)
			}
		}
		if found, _ := filepath.Glob(filepath.Join(folder, "spelled-1.0*")); len(found) != 1 {
			t.Errorf("client %d: installed as %q", i, found)
		}
	}
	if n := r.built(); n != 11 {
		t.Errorf("%d wheels were built, want 11: each once", n)
	}
	_, stderr, err := r.run("build", "--server", r.base, "nothing")
	if err == nil || !strings.Contains(stderr, "neither pyproject.toml nor setup.py") || !strings.Contains(stderr, "nothing-1.0.tar has not one top folder") {
		t.Errorf("an archive without a project: %v\n%s", err, stderr)
	}
}
