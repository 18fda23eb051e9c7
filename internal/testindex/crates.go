package testindex

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"testing"
)

// Crates is a sparse crate registry on loopback. It is safe for concurrent use.
type Crates struct {
	URL string // without a slash at its end

	mu    sync.Mutex // guards what follows
	index map[string]string
	files map[string][]byte // by <name>/<version>
	asked []string
}

// NewCrates starts an empty registry; it ends with the test.
func NewCrates(t *testing.T) *Crates {
	r := &Crates{index: map[string]string{}, files: map[string][]byte{}}
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	r.URL = s.URL
	return r
}

// Add publishes a crate, whose src/lib.rs is given, and gives its checksum. Its name must have four letters at least. It may depend on others,
// of versions 1: on each if the feature of the same name is on.
func (r *Crates) Add(name, version, lib string, optional ...string) string {
	manifest, deps := "[package]\nname = '"+name+"'\nversion = '"+version+"'\nedition = '2021'\n[dependencies]\n", []string{}
	for _, o := range optional {
		manifest += o + " = {version = '1', optional = true}\n"
		deps = append(deps, fmt.Sprintf(`{"name":%q,"req":"^1","features":[],"optional":true,"default_features":true,"target":null,"kind":"normal"}`, o))
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, file := range [][2]string{{"Cargo.toml", manifest}, {"src/lib.rs", lib}, {".gitignore", "x"}} {
		// What goes to memory can't fail.
		_ = w.WriteHeader(&tar.Header{Name: name + "-" + version + "/" + file[0], Mode: 0o644, Size: int64(len(file[1])), ModTime: when})
		_, _ = w.Write([]byte(file[1]))
	}
	_, _ = w.Close(), z.Close()
	sum := fmt.Sprintf("%x", sha256.Sum256(b.Bytes()))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.index[name] += fmt.Sprintf(`{"name":%q,"vers":%q,"deps":[%s],"cksum":%q,"features":{},"yanked":false}`+"\n", name, version, strings.Join(deps, ","), sum)
	r.files[name+"/"+version] = b.Bytes()
	return sum
}

// Serve has a crate's file be other bytes than its checksum says, or none at all.
func (r *Crates) Serve(name, version string, data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.files[name+"/"+version] = data
}

// Asked are the paths that were asked for since the last call.
func (r *Crates) Asked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := r.asked
	r.asked = nil
	return asked
}

// ServeHTTP implements http.Handler.
func (r *Crates) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, req.URL.Path)
	name := path.Base(req.URL.Path)
	switch crate, isFile := strings.CutPrefix(req.URL.Path, "/dl/"); {
	case name == "config.json":
		fmt.Fprintf(w, `{"dl": "%s/dl/{crate}/{version}"}`, r.URL)
	case isFile && r.files[crate] != nil:
		_, _ = w.Write(r.files[crate])
	case !isFile && r.index[name] != "":
		_, _ = w.Write([]byte(r.index[name]))
	default:
		http.NotFound(w, req)
	}
}
