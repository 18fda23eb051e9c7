package testindex

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

//go:embed backend.py
var backend string

// backendDir is the folder of the in-tree backend in its sdist; spec.json beside it has one key a line, so that a patch can change one.
const backendDir = "_backend/"

func inTree(s Spec, files map[string]string) {
	list := func(l []string) []string { return append([]string{}, l...) }
	wheelRequires := s.Requires
	if s.WheelRequires != nil {
		wheelRequires = s.WheelRequires
	}
	spec, err := json.MarshalIndent(map[string]any{
		"name": s.Name, "module": Module(s.Name), "version": s.Version, "wheel_version": s.WheelVersion, "ext": s.Ext,
		"metadata_version": or(s.MetadataVersion, "2.4"), "requires_python": s.RequiresPython, "extras": list(s.Extras),
		"requires": list(s.Requires), "wheel_requires": list(wheelRequires), "dynamic": list(s.DynamicRequires), "see": list(s.See),
		"no_prepare": s.NoPrepare, "prepare_sleep": s.PrepareSleep.Seconds(), "build_sleep": s.BuildSleep.Seconds(),
		"prepare_fail": s.FailPrepare, "build_fail": s.FailBuild,
	}, "", " ")
	if err != nil {
		panic(err)
	}
	files["pyproject.toml"] = pyproject(s.BuildRequires, "testindex_backend", backendDir[:len(backendDir)-1])
	files[backendDir+"testindex_backend.py"] = backend
	files[backendDir+"spec.json"] = string(spec) + "\n"
	for hook, script := range map[string]string{"requires": s.OnRequires, "prepare": s.OnPrepare, "build": s.OnBuild} {
		if script != "" {
			files[backendDir+hook+".py"] = script
		}
	}
}

func pyproject(requires []string, backend, path string) string {
	text := "[build-system]\nrequires = " + literal(requires) + "\nbuild-backend = " + quote(backend) + "\n"
	if path != "" {
		text += "backend-path = [" + quote(path) + "]\n"
	}
	return text
}

func setupPy(s Spec) string {
	args := fmt.Sprintf("    name=%s,\n    version=%s,\n    py_modules=[%s],\n    install_requires=%s,\n",
		quote(s.Name), quote(s.Version), quote(Module(s.Name)), literal(s.Requires))
	if s.RequiresPython != "" {
		args += "    python_requires=" + quote(s.RequiresPython) + ",\n"
	}
	if s.Ext {
		name := "_" + Module(s.Name)
		args += fmt.Sprintf("    ext_modules=[Extension(%s, [%s])],\n", quote(name), quote(name+".c"))
	}
	text := "import sys\n\nfrom setuptools import Extension, setup\n\n"
	if s.FailBuild != "" {
		text += "if \"bdist_wheel\" in sys.argv:\n    sys.exit(" + quote(s.FailBuild) + ")\n"
	}
	return text + "setup(\n" + args + ")\n"
}

// extension is a whole C module with one function, marker().
func extension(s Spec) string {
	name := "_" + Module(s.Name)
	return strings.NewReplacer("NAME", name, "MARKER", quote(s.Marker)).Replace(`#define PY_SSIZE_T_CLEAN
#include <Python.h>

static PyObject *marker(PyObject *self, PyObject *args) { return PyUnicode_FromString(MARKER); }

static PyMethodDef methods[] = {{"marker", marker, METH_NOARGS, ""}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "NAME", "", -1, methods};

PyMODINIT_FUNC PyInit_NAME(void) { return PyModule_Create(&module); }
`)
}

// literal is a list of strings as Python and TOML both write it.
func literal(l []string) string {
	quoted := make([]string, len(l))
	for i, s := range l {
		quoted[i] = quote(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// record is RECORD without its own line; names may hold what CSV must quote.
func record(files map[string]string) string {
	var b strings.Builder
	w := csv.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		sum := sha256.Sum256([]byte(files[name]))
		must(w.Write([]string{name, "sha256=" + base64.RawURLEncoding.EncodeToString(sum[:]), strconv.Itoa(len(files[name]))}))
	}
	w.Flush()
	return b.String()
}

func tarred(top string, files map[string]string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		head := &tar.Header{Typeflag: tar.TypeReg, Name: top + name, Mode: 0o644, Size: int64(len(files[name])), ModTime: when, Format: tar.FormatPAX}
		must(w.WriteHeader(head))
		_, err := io.WriteString(w, files[name])
		must(err)
	}
	must(w.Close())
	must(z.Close())
	return b.Bytes()
}

func zipped(top string, files map[string]string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		head := &zip.FileHeader{Name: top + name, Method: zip.Deflate, Modified: when}
		head.SetMode(0o644)
		f, err := w.CreateHeader(head)
		must(err)
		_, err = io.WriteString(f, files[name])
		must(err)
	}
	must(w.Close())
	return b.Bytes()
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
