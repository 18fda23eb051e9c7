package index

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/python-wheel-build/axle/index/checks"
	"github.com/python-wheel-build/axle/index/live"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/names"
	"github.com/python-wheel-build/axle/resolver/view"
)

// BuildRequest is the body of POST /api/v1/builds.
type BuildRequest struct {
	// View is a name, or "@" and a digest; "" is "default".
	View string `json:"view"`
	// Requirements are PEP 508. Extras are ignored; markers are judged in the view's target.
	Requirements []string `json:"requirements"`
	// Retry tries again what is remembered as failed.
	Retry bool `json:"retry"`
	// Check builds each wheel's inputs once more and says whether that gives the same wheel.
	Check bool `json:"check"`
}

// BuildLine is one line of the answer, which is application/x-ndjson. Its Kind is
//
//   - "wait", "step", "begin", "log", "built", "hit" or "failed": something happened on the way (resolver.Event). Text is as the build printed
//     it, control characters and all;
//   - "result": what became of one requirement; exactly one of SHA256, Problem and Skipped is set;
//   - "summary": the last line. A stream without it was cut.
type BuildLine struct {
	Kind    string    `json:"kind"`
	Time    time.Time `json:"time"`
	Project string    `json:"project,omitempty"`
	Version string    `json:"version,omitempty"`
	Text    string    `json:"text,omitempty"`
	// Of "begin", "built" and "failed": how long the job's steps have run so far; of "begin" also how long all of them took the last time.
	// Absent where nothing ran, or nobody knows.
	RanSeconds      float64 `json:"ran_seconds,omitempty"`
	ExpectedSeconds float64 `json:"expected_seconds,omitempty"`

	Requirement string `json:"requirement,omitempty"` // as it was asked
	Filename    string `json:"filename,omitempty"`
	SHA256      string `json:"sha256,omitempty"`  // hex
	URL         string `json:"url,omitempty"`     // absolute
	Skipped     string `json:"skipped,omitempty"` // why there is nothing to do
	Problem     string `json:"problem,omitempty"` // in words
	Status      int    `json:"status,omitempty"`  // of the problem, as a request for the wheel would have got it
	Log         string `json:"log,omitempty"`     // absolute URL of the build's log, failed or not; none of a wheel taken pre-built

	Check *checks.Check `json:"check,omitempty"` // of a result with a wheel, where asked for

	*BuildSummary
}

// BuildSummary counts the results. Dropped are events that a slow reader missed; results are never dropped.
type BuildSummary struct {
	OK      int   `json:"ok"`
	Failed  int   `json:"failed"`
	Idle    int   `json:"idle"` // nothing to do
	Dropped int64 `json:"dropped"`
	Differ  int   `json:"differ,omitempty"` // of the OK ones: built again, they gave another wheel or none
}

const (
	maxBuildBody         = 1 << 20
	maxBuildRequirements = 2000
)

// parseBuild reads a body. Every requirement is read before anything is built.
func parseBuild(body io.Reader) (BuildRequest, []dist.Requirement, error) {
	bad := func(format string, args ...any) (BuildRequest, []dist.Requirement, error) {
		return BuildRequest{}, nil, &Problem{Status: http.StatusBadRequest, Title: "bad build request", Detail: printable(fmt.Sprintf(format, args...))}
	}
	var b BuildRequest
	dec := json.NewDecoder(body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&b); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return b, nil, err
		}
		return bad(`%v; want {"view": "default", "requirements": ["name==1.0"], "retry": false}`, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return bad("more than one JSON value in the body")
	}
	if len(b.Requirements) == 0 {
		return bad("no requirements: name at least one project")
	}
	if len(b.Requirements) > maxBuildRequirements {
		return bad("%d requirements in one request: ask for at most %d", len(b.Requirements), maxBuildRequirements)
	}
	if b.View == "" {
		b.View = "default"
	}
	parsed := make([]dist.Requirement, len(b.Requirements))
	for i, text := range b.Requirements {
		req, err := dist.ParseRequirement(text)
		if err != nil {
			return bad("%v", err) // which names the requirement
		}
		if req.URL != "" {
			return bad("requirement %q names a URL: sources come from the view's indexes only", text)
		}
		parsed[i] = req
	}
	return b, parsed, nil
}

// builds has everything that is asked for built, and tells what happens as it does. A client that goes away ends the telling only.
func (s *site) builds(w http.ResponseWriter, r *http.Request) error {
	if err := s.mayOrder(r); err != nil {
		return err
	}
	// A web page can't send this type to another origin without asking first.
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return &Problem{Status: http.StatusUnsupportedMediaType, Title: "unsupported media type", Detail: "send the request as Content-Type: application/json"}
	}
	req, wanted, err := parseBuild(http.MaxBytesReader(w, r.Body, maxBuildBody))
	if err != nil {
		return err
	}
	name, err := s.view(r.Context(), func(string) string { return req.View })
	if err != nil {
		return err
	}
	if err := s.mayBuild(r, name); err != nil {
		return err
	}
	if !name.OnDemand {
		return &Problem{Type: typeNotOnDemand, Status: http.StatusForbidden, Title: "not built on demand",
			Detail: fmt.Sprintf("view %s only serves what is there; its policy is build: never", printable(name.Name))}
	}
	h := w.Header()
	h.Set("Content-Type", "application/x-ndjson")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)

	t := &telling{lines: make(chan BuildLine, 1024)}
	results := make(chan BuildLine)
	picking := make(chan struct{}, 8) // a page each from upstream: not all at once
	var all sync.WaitGroup
	for i, want := range wanted {
		all.Go(func() {
			line := s.build(r, name, want, resolver.Ask{View: name.View, Project: want.Project, Retry: req.Retry, Watch: t.watch}, picking, req.Check)
			line.Kind, line.Time, line.Requirement, line.Project = "result", s.now().UTC(), req.Requirements[i], string(want.Project)
			select {
			case results <- line:
			case <-r.Context().Done():
			}
		})
	}
	go func() { all.Wait(); close(results) }()
	t.write(w, results, s.now)
	return nil
}

// telling carries events to one client. Watch must not block, so what a slow reader can't take is counted and dropped.
type telling struct {
	lines   chan BuildLine // never closed: a build may outlive its asker, and still tell
	dropped atomic.Int64

	mu   sync.Mutex // guards seen
	seen map[uint64]bool
}

// seenKept is how many events are known again. Two requirements that wait for one build hear of the same ones at about the same time.
const seenKept = 20_000

func (t *telling) watch(e resolver.Event) {
	t.mu.Lock()
	if t.seen == nil || len(t.seen) > seenKept {
		t.seen = map[uint64]bool{}
	}
	again := t.seen[e.ID]
	t.seen[e.ID] = true
	t.mu.Unlock()
	if again {
		return
	}
	select {
	case t.lines <- eventLine(e):
	default:
		t.dropped.Add(1)
	}
}

func eventLine(e resolver.Event) BuildLine {
	return BuildLine{Kind: e.Kind, Time: e.Time.UTC(), Project: string(e.Project), Version: e.Version.String(), Text: e.Text,
		RanSeconds: live.Seconds(e.Ran), ExpectedSeconds: live.Seconds(e.Expected)}
}

// write sends lines until results is closed, then the summary.
func (t *telling) write(w http.ResponseWriter, results <-chan BuildLine, now func() time.Time) {
	var sum BuildSummary
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	flush := http.NewResponseController(w)
	for open := true; open; {
		var line BuildLine
		select {
		case line = <-t.lines:
		case line, open = <-results:
			// What was told before a result is read before it.
			for n := len(t.lines); n > 0; n-- {
				_ = enc.Encode(<-t.lines)
			}
			switch {
			case !open:
				sum.Dropped = t.dropped.Load()
				line = BuildLine{Kind: "summary", Time: now().UTC(), BuildSummary: &sum}
			case line.Problem != "":
				sum.Failed++
			case line.Skipped != "":
				sum.Idle++
			default:
				sum.OK++
				if line.Check != nil && !line.Check.Reproducible {
					sum.Differ++
				}
			}
		}
		_ = enc.Encode(line) // a client that is gone ends r's context, and that ends the waits
		if len(t.lines) == 0 {
			_ = flush.Flush()
		}
	}
}

// build sees to one requirement, and with again to a second build of it.
func (s *site) build(r *http.Request, name names.Name, want dist.Requirement, ask resolver.Ask, picking chan struct{}, again bool) BuildLine {
	fail := func(err error) BuildLine {
		line := s.problemLine(r, err)
		if !ask.Version.IsZero() {
			line.Version = ask.Version.String()
		}
		return line
	}
	if want.Marker != nil {
		ok, err := want.Marker.Eval(name.View.Target.Markers)
		if err != nil {
			return fail(&Problem{Status: http.StatusUnprocessableEntity, Title: "bad marker", Detail: printable(err.Error())})
		}
		if !ok {
			return BuildLine{Skipped: "its marker is false for " + name.View.Target.PromiseTags()}
		}
	}
	picking <- struct{}{}
	v, err := s.pick(r.Context(), name, want)
	<-picking
	if err != nil {
		return fail(err)
	}
	ask.Version = v
	rec, err := s.Builder.Ensure(r.Context(), ask)
	if err != nil {
		return fail(err)
	}
	line := s.recordLine(r, ask.View, rec)
	if again {
		k, err := s.Builder.Check(r.Context(), ask, rec)
		if err != nil {
			return fail(err)
		}
		line.Check = checks.Of(k, checkLog(r))
	}
	return line
}

// problemLine says why there is no wheel.
func (s *site) problemLine(r *http.Request, err error) BuildLine {
	p := s.problem(r, err)
	if p.Log != "" { // the detail is its end
		return BuildLine{Problem: p.Title, Status: p.Status, Log: p.Log}
	}
	return BuildLine{Problem: p.Error(), Status: p.Status}
}

// recordLine says where a wheel and its log are.
func (s *site) recordLine(r *http.Request, v *view.View, rec resolver.Record) BuildLine {
	line := BuildLine{Version: rec.Version.String(), Filename: rec.Listed(v.Changes(rec.Project, rec.Version)), SHA256: rec.Wheel.Encoded(),
		URL: absolute(r) + filePath(v, rec)}
	if rec.Log != "" {
		line.Log = absolute(r) + "api/v1/" + logPath("logs", resolver.Failure{Project: rec.Project, Version: rec.Version, Log: rec.Log})
	}
	return line
}
