package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"unicode"
)

type buildCmd struct {
	Requirements []string `arg:"" name:"req" help:"Projects, with versions where wanted: foo, foo==1.2, 'foo>=1,<2'."`
	Server       string   `env:"AXLE_SERVER" default:"http://127.0.0.1:8080" help:"The server to ask."`
	View         string   `default:"default" help:"Name or @digest of the view."`
	Retry        bool     `help:"Try again what is remembered as failed."`
}

// line is one line of the server's answer; which fields are set says what it is.
type line struct {
	Kind    string `json:"kind"`
	Project string `json:"project"`
	Version string `json:"version"`
	Text    string `json:"text"`
	// of a result
	Requirement string `json:"requirement"`
	URL         string `json:"url"`
	SHA256      string `json:"sha256"`
	Problem     string `json:"problem"`
	LogURL      string `json:"log"`
	// of the summary
	Failed int `json:"failed"`
}

// Run prints the URL of each wheel on standard output, and what happens on standard error.
func (c buildCmd) Run(ctx context.Context, s *streams) error {
	body, err := json.Marshal(map[string]any{"view": c.View, "requirements": c.Requirements, "retry": c.Retry})
	if err != nil {
		return err
	}
	url := strings.TrimSuffix(c.Server, "/") + "/api/v1/builds"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("--server %s: %w", c.Server, err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("asking the server: %w; is it running? `axle serve`, or name another with --server", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var problem struct{ Title, Detail string }
		_ = json.NewDecoder(resp.Body).Decode(&problem) // a body that says nothing leaves the status
		return fmt.Errorf("%s: %s: %s %s", url, resp.Status, problem.Title, problem.Detail)
	}
	finished := false
	failed := 0
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 8<<20)
	for lines.Scan() {
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return fmt.Errorf("%s answered %q: %w", url, lines.Text(), err)
		}
		switch l.Kind {
		case "log":
			fmt.Fprint(s.err, tame(l.Text))
		case "result":
			if l.Problem != "" {
				fmt.Fprintf(s.err, "axle: %s: %s\n", l.Requirement, l.Problem)
				if l.LogURL != "" {
					fmt.Fprintf(s.err, "axle: log: %s\n", l.LogURL)
				}
				continue
			}
			fmt.Fprintln(s.out, l.URL)
		case "summary":
			finished, failed = true, l.Failed
		default:
			fmt.Fprintf(s.err, "axle: %s %s: %s: %s\n", l.Project, l.Version, l.Kind, l.Text)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("following the build: %w; it goes on in the server, run the same command again to follow it", err)
	}
	switch {
	case !finished:
		return fmt.Errorf("the server ended the answer early; run the same command again")
	case failed > 0:
		return fmt.Errorf("%d of %d failed", failed, len(c.Requirements))
	}
	return nil
}

// tame spells control characters out, but for line ends and tabs: what a build prints must not steer the terminal.
func tame(s string) string {
	if !strings.ContainsFunc(s, steers) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if steers(r) {
			fmt.Fprintf(&b, "\\x%02x", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func steers(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }
