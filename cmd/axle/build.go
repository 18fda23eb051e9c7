package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/python-wheel-build/axle/cmd/axle/command"
)

type buildCmd struct {
	Requirements []string `arg:"" name:"req" help:"Projects, with versions where wanted: foo, foo==1.2, 'foo>=1,<2'."`
	server
	View  string `default:"default" help:"Name or @digest of the view."`
	Retry bool   `help:"Try again what is remembered as failed."`
	Check bool   `help:"Build the same inputs once more and compare: fails where that gives another wheel, and says file by file how it differs."`
}

// line is one line of the server's answer; which fields are set says what it is.
type line struct {
	Kind    string `json:"kind"`
	Project string `json:"project"`
	Version string `json:"version"`
	Text    string `json:"text"`
	// of "begin"
	Time            time.Time `json:"time"`
	RanSeconds      float64   `json:"ran_seconds"`
	ExpectedSeconds float64   `json:"expected_seconds"`
	// of a result
	Requirement string `json:"requirement"`
	URL         string `json:"url"`
	Skipped     string `json:"skipped"`
	Problem     string `json:"problem"`
	LogURL      string `json:"log"`
	Check       *check `json:"check"`
	// of the summary
	Failed  int   `json:"failed"`
	Differ  int   `json:"differ"`
	Dropped int64 `json:"dropped"`
}

// Run prints the URL of each wheel on standard output, and what happens on standard error.
func (c buildCmd) Run(ctx context.Context, s *command.Streams) error {
	body, err := json.Marshal(map[string]any{"view": c.View, "requirements": c.Requirements, "retry": c.Retry, "check": c.Check})
	if err != nil {
		return err
	}
	resp, err := c.do(ctx, http.MethodPost, "api/v1/builds", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	board := newBoard(s.Err, len(c.Requirements))
	n := &narrator{out: board.writer(s.Out), err: board.writer(s.Err), board: board, parts: map[string]string{}, failed: map[string]string{}}
	sum, err := n.follow(resp.Body)
	board.end()
	n.end()
	switch {
	case err != nil:
		return fmt.Errorf("following the build at %s: %w; it goes on in the server, run the same command again to follow it", c.Server, err)
	case sum == nil:
		return errors.New("the server ended the answer early; run the same command again")
	}
	if sum.Dropped > 0 {
		n.say("%d pieces of log were left out, for this terminal was too slow to take them", sum.Dropped)
		for _, log := range n.logs {
			n.say("the whole log of %s", log)
		}
	}
	var failed []string
	if sum.Failed > 0 {
		failed = append(failed, fmt.Sprintf("%d of %d failed", sum.Failed, len(c.Requirements)))
	}
	if sum.Differ > 0 {
		failed = append(failed, fmt.Sprintf("%d of %d not reproducible", sum.Differ, len(c.Requirements)))
	}
	if failed != nil {
		return errors.New(strings.Join(failed, ", "))
	}
	return nil
}

// narrator tells people of many builds at once: everything as whole lines, each build's under its name.
type narrator struct {
	out, err io.Writer
	board    *board
	at       string            // whose log was written last; "" after something else
	parts    map[string]string // text that waits for the end of its line, by build
	failed   map[string]string // why, where no result has said it yet, by build
	logs     []string          // of the results: what was asked for, and the URL
}

// follow tells the whole stream and gives its summary, nil where there was none.
func (n *narrator) follow(stream io.Reader) (*line, error) {
	in := bufio.NewScanner(stream)
	in.Buffer(nil, 8<<20)
	for in.Scan() {
		var l line
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("the server said %.200q: %w", in.Text(), err)
		}
		build := l.Project + " " + l.Version
		n.board.event(l)
		switch l.Kind {
		case "begin": // the board shows it, and the log has said what
		case "log":
			n.log(build, l.Text)
		case "failed": // told before as the log's last words or as a step, and again as the result's problem, with more
			if n.parts[build] == failedMark+l.Text+"\n" {
				delete(n.parts, build)
			}
			n.flush(build)
			n.failed[build] = l.Text
		case "built": // told before as the log's last words or as a step
			n.flush(build)
		case "result":
			n.flush(build)
			n.result(build, l)
		case "summary":
			return &l, nil
		default:
			n.flush(build)
			if l.Kind == "step" && strings.HasPrefix(l.Text, "failed: ") {
				continue // the event follows
			}
			n.say("%s: %s: %s", build, l.Kind, l.Text)
		}
	}
	return nil, in.Err()
}

// failedMark begins the last piece of a failed build's log.
const failedMark = "axle: failed: "

// partKept is how long a line may be that is written in one piece.
const partKept = 8 << 10

// log takes a piece of a build's log, which may end in mid-line.
func (n *narrator) log(build, text string) {
	if strings.HasPrefix(text, failedMark) {
		n.flush(build)
		n.parts[build] = text // the next event says whether these are the builder's words
		return
	}
	text = n.parts[build] + text
	end := strings.LastIndexByte(text, '\n') + 1
	if len(text)-end > partKept {
		end = len(text)
	}
	n.parts[build] = text[end:]
	n.write(build, text[:end])
}

// flush writes what waits of a build's log.
func (n *narrator) flush(build string) {
	n.write(build, n.parts[build])
	delete(n.parts, build)
}

// write puts a build's text under its name, and ends its last line.
func (n *narrator) write(build, text string) {
	if text == "" {
		return
	}
	if n.at != build {
		n.say("%s:", build)
		n.at = build
	}
	fmt.Fprintln(n.err, command.Tame(strings.TrimSuffix(text, "\n")))
}

// say writes a line of our own.
func (n *narrator) say(format string, args ...any) {
	fmt.Fprintln(n.err, "axle: "+command.Tame(fmt.Sprintf(format, args...)))
	n.at = ""
}

func (n *narrator) result(build string, l line) {
	if l.LogURL != "" {
		n.logs = append(n.logs, l.Requirement+": "+l.LogURL)
	}
	switch {
	case l.Skipped != "":
		n.say("%s: nothing to do: %s", l.Requirement, l.Skipped)
	case l.Problem != "":
		maps.DeleteFunc(n.failed, func(build, _ string) bool { return strings.Contains(l.Problem, build+": ") })
		said := l.Problem
		if l.Version == "" || !strings.HasPrefix(said, build) { // else it is named there
			said = l.Requirement + ": " + said
		}
		n.say("%s", said)
		if l.LogURL != "" {
			n.say("log: %s", l.LogURL)
		}
	default:
		fmt.Fprintln(n.out, l.URL)
		if l.Check != nil {
			n.check(l.Requirement, *l.Check)
		}
	}
}

// end writes what is left when the stream ends.
func (n *narrator) end() {
	for _, build := range slices.Sorted(maps.Keys(n.parts)) {
		n.flush(build)
	}
	for _, build := range slices.Sorted(maps.Keys(n.failed)) {
		n.say("%s: %s", build, n.failed[build])
	}
}
