package testindex

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Index is a package index on loopback that serves PEP 691 JSON and PEP 503 HTML, each with an ETag. It may be changed while it
// serves; all methods may be called at once.
//
//	/simple/ and /simple/<project>/               pages; a name that is not in normal form is redirected
//	/files/<project>/<filename>[.metadata]        files, with Range and ETag
type Index struct {
	URL    string // of the pages, "http://127.0.0.1:<port>/simple/"
	server *httptest.Server

	mu       sync.Mutex // guards all below; held for moments, never while a body is sent
	files    []File
	faults   Faults
	requests []Request
}

// File is one file of an index. Project, Filename and Data are required.
type File struct {
	Project  string
	Filename string
	Data     []byte
	// SHA256 is the hex digest that the page lists: Data's where empty. NoHash lists none.
	SHA256 string
	NoHash bool
	// Uploaded is listed in JSON only, as PEP 700 has it.
	Uploaded       time.Time
	RequiresPython string
	IsYanked       bool
	Yanked         string // the reason, may be empty
	// Metadata, where not nil, is served beside the file and announced with its hash (PEP 658, 714).
	Metadata []byte
}

// Faults are what can be wrong with an index. The zero value is a healthy one.
type Faults struct {
	// Status, where not 0, is the answer to everything.
	Status int
	// Hang, where true, accepts connections and closes them without an answer.
	Hang bool
	// HTMLOnly and JSONOnly serve pages in that form whatever was asked for.
	HTMLOnly, JSONOnly bool
	// NoHash and NoETag leave these out everywhere.
	NoHash, NoETag bool
	// NoRange serves files whole, whatever was asked for.
	NoRange bool
	// Delay is waited before every answer, or until the client goes away.
	Delay time.Duration
	// CutAfter, where not 0, breaks the connection after that many bytes of a file.
	CutAfter int
	// User and Password, where not empty, are asked for with 401.
	User, Password string
}

// Request is one that the index got.
type Request struct {
	Method, Path string
	Header       http.Header
	Status       int // of the answer; 0 for none
}

// New starts an empty index that lives until the test ends.
func New(t testing.TB) *Index {
	x := &Index{}
	x.server = httptest.NewServer(x)
	t.Cleanup(x.server.Close)
	x.URL = x.server.URL + "/simple/"
	return x
}

// Base is URL, parsed.
func (x *Index) Base() *url.URL {
	u, err := url.Parse(x.URL)
	must(err)
	return u
}

// FileURL is where a file of the index is served.
func (x *Index) FileURL(project, filename string) string {
	return x.server.URL + "/files/" + normal(project) + "/" + filename
}

// Add generates the sdists of specs and puts them in. Each is listed as uploaded at 2024-01-01 plus one hour for each file that the
// index already has.
func (x *Index) Add(specs ...Spec) {
	for _, s := range specs {
		filename, data := Sdist(s)
		x.Put(File{Project: s.Name, Filename: filename, Data: data, RequiresPython: s.RequiresPython, Uploaded: x.next()})
	}
}

// AddWheel is Add for the wheels of specs, with their metadata served beside them.
func (x *Index) AddWheel(specs ...Spec) {
	for _, s := range specs {
		filename, data := Wheel(s)
		x.Put(File{Project: s.Name, Filename: filename, Data: data, RequiresPython: s.RequiresPython, Uploaded: x.next(), Metadata: WheelMetadata(s)})
	}
}

// AddPath puts in a file of this machine: a real sdist or wheel, whose name up to the first "-" is its project.
func (x *Index) AddPath(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	filename := filepath.Base(path)
	project, _, _ := strings.Cut(filename, "-")
	x.Put(File{Project: project, Filename: filename, Data: data, Uploaded: x.next()})
	return nil
}

func (x *Index) next() time.Time {
	x.mu.Lock()
	defer x.mu.Unlock()
	return when.Add(time.Duration(len(x.files)) * time.Hour)
}

// Put adds a file, or replaces the one of that project and filename.
func (x *Index) Put(f File) {
	if f.SHA256 == "" {
		f.SHA256 = sha(f.Data)
	}
	f.Project = normal(f.Project)
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range x.files {
		if x.files[i].Project == f.Project && x.files[i].Filename == f.Filename {
			x.files[i] = f
			return
		}
	}
	x.files = append(x.files, f)
}

// Edit changes the file of that name in place, say to yank it; it panics if there is none. A change of Data leaves the listed SHA256.
func (x *Index) Edit(filename string, change func(*File)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range x.files {
		if x.files[i].Filename == filename {
			change(&x.files[i])
			return
		}
	}
	panic("testindex: no file " + filename)
}

// Corrupt flips a bit in the middle of a file's bytes; the page goes on to list the old digest.
func (x *Index) Corrupt(filename string) {
	x.Edit(filename, func(f *File) {
		f.Data = bytes.Clone(f.Data)
		f.Data[len(f.Data)/2] ^= 1
	})
}

// Remove takes out the files of that name, and is content if there are none.
func (x *Index) Remove(filename string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.files = slices.DeleteFunc(x.files, func(f File) bool { return f.Filename == filename })
}

// Set changes what is wrong with the index from now on.
func (x *Index) Set(f Faults) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.faults = f
}

// Down ends the index for good: connections are refused.
func (x *Index) Down() { x.server.Close() }

// Requests are those answered since the start or the last Forget, in order.
func (x *Index) Requests() []Request {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.requests)
}

// Count is how many requests, of any method, there were for this path ("/simple/demo/"); a path ending in "*" counts all that begin so.
func (x *Index) Count(path string) (n int) {
	prefix, many := strings.CutSuffix(path, "*")
	for _, r := range x.Requests() {
		if r.Path == path || many && strings.HasPrefix(r.Path, prefix) {
			n++
		}
	}
	return n
}

// Forget empties what Requests and Count tell of.
func (x *Index) Forget() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.requests = nil
}

// ServeHTTP makes the index a handler, for a test that wants it elsewhere than at URL.
func (x *Index) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x.mu.Lock()
	faults, files := x.faults, slices.Clone(x.files)
	x.mu.Unlock()
	answer := &answer{ResponseWriter: w}
	defer func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.requests = append(x.requests, Request{r.Method, r.URL.Path, r.Header.Clone(), answer.status})
	}()
	if faults.Delay > 0 {
		select {
		case <-time.After(faults.Delay):
		case <-r.Context().Done():
			return
		}
	}
	if faults.Hang {
		panic(http.ErrAbortHandler)
	}
	if faults.Status != 0 {
		http.Error(answer, "out of order", faults.Status)
		return
	}
	if user, password, _ := r.BasicAuth(); faults.User != "" && (user != faults.User || password != faults.Password) {
		answer.Header().Set("WWW-Authenticate", `Basic realm="testindex"`)
		http.Error(answer, "who are you?", http.StatusUnauthorized)
		return
	}
	kind, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	project, filename, _ := strings.Cut(rest, "/")
	switch {
	case kind == "files":
		serveFile(answer, r, faults, files, project, filename)
	case kind == "simple" && filename == "":
		servePage(answer, r, faults, files, project)
	default:
		http.NotFound(answer, r)
	}
}

func serveFile(w http.ResponseWriter, r *http.Request, faults Faults, files []File, project, filename string) {
	i := slices.IndexFunc(files, func(f File) bool {
		return f.Project == project && (f.Filename == filename || f.Metadata != nil && f.Filename+".metadata" == filename)
	})
	if i < 0 {
		http.NotFound(w, r)
		return
	}
	data := files[i].Data
	if filename != files[i].Filename {
		data = files[i].Metadata
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if !faults.NoETag {
		w.Header().Set("ETag", `"`+sha(data)+`"`)
	}
	if faults.CutAfter > 0 {
		w = &cut{ResponseWriter: w, left: faults.CutAfter}
	}
	if faults.NoRange {
		r = r.Clone(r.Context())
		r.Header.Del("Range")
	}
	http.ServeContent(w, r, "", when, bytes.NewReader(data))
}

// answer remembers the status for Requests.
type answer struct {
	http.ResponseWriter
	status int
}

func (a *answer) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	a.status = cmp.Or(a.status, http.StatusOK)
	return a.ResponseWriter.Write(b)
}

// cut sends some bytes of a body and then breaks the connection.
type cut struct {
	http.ResponseWriter
	left int
}

func (c *cut) Write(b []byte) (int, error) {
	n := min(len(b), c.left)
	c.left -= n
	if _, err := c.ResponseWriter.Write(b[:n]); err != nil || n == len(b) {
		return n, err
	}
	if err := http.NewResponseController(c.ResponseWriter).Flush(); err != nil {
		return n, err
	}
	panic(http.ErrAbortHandler)
}

// Unwrap lets a ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func sha(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
