package index

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver"
)

// logOf opens the log that the path names.
func (s *site) logOf(r *http.Request, param func(string) string) (io.ReadCloser, resolver.Failure, error) {
	var f resolver.Failure
	sum, err := sha256Of(param("log"))
	if err != nil {
		return nil, f, err
	}
	missing := &Problem{Type: typeNoSuchThing, Status: http.StatusNotFound, Title: "no such log", Detail: "there is no log of that project and version with that digest"}
	p, err := dist.ParseProject(param("project"))
	if err != nil {
		return nil, f, missing
	}
	v, err := version.Parse(param("version"))
	if err != nil {
		return nil, f, missing
	}
	text, err := s.Catalog.Log(r.Context(), p, v, sum)
	var damaged *cas.DamagedError
	if errors.Is(err, fs.ErrNotExist) || errors.As(err, &damaged) {
		return nil, f, missing
	}
	return text, resolver.Failure{Project: p, Version: v, Log: sum}, err
}

// failed is where a client ends up whose wheel could not be built: 422, which no client retries, with what a person needs to go on.
// The log of a build that did not fail is not found here.
func (s *site) failed(w http.ResponseWriter, r *http.Request, param func(string) string) error {
	log, f, err := s.logOf(r, param)
	if err != nil {
		return err
	}
	defer log.Close()
	if f.Title, f.Tail, err = summary(log); err != nil {
		return fmt.Errorf("reading log %s: %w", f.Log, err)
	}
	if f.Title == "" {
		return &Problem{Type: typeNoSuchThing, Status: http.StatusNotFound, Title: "no such failure",
			Detail: "by its log that build went well; the whole log: " + absolute(r) + "api/v1/" + logPath("logs", f)}
	}
	return &resolver.FailedError{Failure: f}
}

// The builder's verdict ends every log. A build may print the like of it, so the last one counts. The good one has a line of its own; the
// bad one may stand behind half a line of a build that was ended.
const (
	failedMark = "axle: failed: "
	builtMark  = "axle: built "
)

// What of a log fits into an error on a terminal.
const (
	tailLines = 12
	lineBytes = 200
)

// titleBytes is more than a verdict has.
const titleBytes = 4 << 10

// summary gives why a log's build failed, "" where it did not, and the last lines, shortened.
func summary(log io.Reader) (title, tail string, err error) {
	title = "the build failed"
	var last [tailLines]string
	n := 0
	in := bufio.NewReader(log)
	for {
		line, err := shortLine(in)
		if line != "" {
			if _, reason, ok := strings.Cut(line, failedMark); ok {
				title = cmp.Or(strings.TrimSpace(reason), "the build failed")
			} else if strings.HasPrefix(line, builtMark) {
				title = ""
			}
			last[n%tailLines] = strings.TrimRight(line[:min(len(line), lineBytes)], "\r\n")
			n++
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return "", "", err
		}
	}
	lines := make([]string, 0, tailLines)
	for i := max(0, n-tailLines); i < n; i++ {
		lines = append(lines, last[i%tailLines])
	}
	return title, strings.Join(lines, "\n"), nil
}

// shortLine reads a line; of an overlong one only the beginning is kept.
func shortLine(in *bufio.Reader) (string, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part[:min(len(part), max(0, titleBytes-len(line)))]...)
		if err != bufio.ErrBufferFull {
			return string(line), err
		}
	}
}

// log gives the whole text.
func (s *site) log(w http.ResponseWriter, r *http.Request, param func(string) string) error {
	log, _, err := s.logOf(r, param)
	if err != nil {
		return err
	}
	defer log.Close()
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff") // whatever a build printed, it is no web page
	h.Set("Cache-Control", forever)
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	if _, err := io.Copy(w, log); err != nil {
		panic(http.ErrAbortHandler) // half a log must not look like a whole one
	}
	return nil
}
