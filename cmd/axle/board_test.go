package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal of that width: what the program sees, and what was drawn on it once that is closed.
func terminal(t *testing.T, width uint16) (tty *os.File, drawn func() string) {
	t.Helper()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	ok(err)
	t.Cleanup(func() { _ = master.Close() })
	ok(unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	ok(err)
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	ok(err)
	ok(unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: 24}))
	all := make(chan string, 1)
	go func() {
		b, _ := io.ReadAll(master) // ends with EIO
		all <- string(b)
	}()
	return tty, func() string {
		_ = tty.Close()
		return <-all
	}
}

// screen is what stands on a terminal after that was sent to it. Anything that this program has no business to send fails the test.
func screen(t *testing.T, sent string, width int) []string {
	t.Helper()
	lines, at := []string{""}, 0
	for rest := sent; rest != ""; {
		last := &lines[len(lines)-1]
		switch {
		case strings.HasPrefix(rest, "\x1b[K"):
			*last, rest = (*last)[:at], rest[3:]
			continue
		case rest[0] == '\r':
			at = 0
		case rest[0] == '\n':
			lines = append(lines, "")
		case rest[0] < ' ' || rest[0] >= 0x7f:
			t.Fatalf("%q was sent", rest[:min(len(rest), 20)])
		default:
			*last = (*last)[:at] + rest[:1] + (*last)[min(len(*last), at+1):]
			if at++; at > width {
				t.Fatalf("%q is wider than the terminal", *last)
			}
		}
		rest = rest[1:]
	}
	return lines
}

// slowly serves an answer whose lines come with a pause after each "begin".
func slowly(t *testing.T, lines ...map[string]any) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for _, l := range lines {
			if err := json.NewEncoder(w).Encode(l); err != nil {
				t.Error(err)
			}
			w.(http.Flusher).Flush()
			if l["kind"] == "begin" {
				time.Sleep(2500 * time.Millisecond)
			}
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// story is a build of two, of which the second one begins while the first one runs.
func story() []map[string]any {
	begin := func(project string, ran time.Duration, expected float64) map[string]any {
		l := told("begin", project, "running")
		l["time"], l["expected_seconds"] = time.Now().Add(-ran), expected
		return l
	}
	return []map[string]any{told("log", "foo", "one\n"), begin("foo", 3*time.Minute, 360), told("log", "foo", "two\n"), begin("bar", 0, 0),
		told("log", "foo", "thr"), told("log", "foo", "ee\n"), result("foo", map[string]any{"version": "1.0", "url": "http://x/foo.whl"}),
		result("bar", map[string]any{"version": "1.0", "url": "http://x/bar.whl"}), summary(0, 0)}
}

const storyTold = "axle: foo 1.0:\none\ntwo\nthree\n"

func TestBoardOnATerminal(t *testing.T) {
	for _, width := range []int{80, 40} {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			t.Parallel()
			tty, drawn := terminal(t, uint16(width))
			cmd := exec.Command(axle, "build", "--server", slowly(t, story()...), "foo", "bar")
			cmd.Env = append(os.Environ(), "TERM=xterm")
			cmd.Stdout, cmd.Stderr = tty, tty
			if err := cmd.Run(); err != nil {
				t.Error(err)
			}
			sent := drawn()
			want := storyTold + "http://x/foo.whl\nhttp://x/bar.whl\n"
			if got := strings.Join(screen(t, sent, width), "\n"); got != want {
				t.Errorf("in the end there stands\n%s\nwant\n%s", got, want)
			}
			board := regexp.MustCompile(`axle: 0 of 2 done, building foo 1\.0 \[#####-----\] 03:0\d of ~06:00`)
			if width == 40 {
				board = regexp.MustCompile(`axle: 0 of 2 done, building foo 1\.0 \.\.\.`)
			}
			if !board.MatchString(sent) {
				t.Errorf("no board in %q", sent)
			}
			if both := `axle: 0 of 2 done, 2 building: foo 1.0 [#####-----] 03:0`; width == 80 && !strings.Contains(sent, both) {
				t.Errorf("not both in %q", sent)
			}
		})
	}
}

// Where nothing can be drawn, nothing is: not into a pipe, nor on a terminal that can't.
func TestBoardElsewhere(t *testing.T) {
	t.Parallel()
	tty, drawn := terminal(t, 80)
	url := slowly(t, story()...)
	var out, errs bytes.Buffer
	dumb := exec.Command(axle, "build", "--server", url, "foo", "bar")
	dumb.Env = append(os.Environ(), "TERM=dumb")
	dumb.Stdout, dumb.Stderr = &out, tty
	piped := exec.Command(axle, "build", "--server", url, "foo", "bar")
	piped.Env = append(os.Environ(), "TERM=xterm")
	var out2 bytes.Buffer
	piped.Stdout, piped.Stderr = &out2, &errs
	for _, cmd := range []*exec.Cmd{dumb, piped} {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	}
	for _, cmd := range []*exec.Cmd{dumb, piped} {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	if got := strings.ReplaceAll(drawn(), "\r\n", "\n"); got != storyTold || errs.String() != storyTold {
		t.Errorf("on a dumb terminal\n%q\nin a pipe\n%q", got, errs.String())
	}
	if want := "http://x/foo.whl\nhttp://x/bar.whl\n"; out.String() != want || out2.String() != want {
		t.Errorf("standard output: %q, %q", out.String(), out2.String())
	}
}

// Without a terminal a silent minute is explained.
func TestBoardInALog(t *testing.T) {
	var b bytes.Buffer
	board := newBoard(&b, 3)
	defer board.end()
	now := time.Now()
	says := func(at time.Duration, want string) {
		t.Helper()
		board.tick(now.Add(at))
		if b.String() != want {
			t.Errorf("after %s %q, want %q", at, b.String(), want)
		}
		b.Reset()
	}
	event := func(kind, project string, at time.Duration, ran, expected float64) {
		board.event(line{Kind: kind, Project: project, Version: "1.0", Time: now.Add(at), RanSeconds: ran, ExpectedSeconds: expected})
	}
	says(50*time.Second, "")
	says(61*time.Second, "axle: 0 of 3 done, waiting\n")
	event("begin", "foo", 60*time.Second, 0, 7200)
	says(90*time.Second, "")
	says(60*time.Second+time.Hour, "axle: 0 of 3 done, building foo 1.0 [#####-----] 1:00:00 of ~2:00:00\n")
	event("wait", "foo", 0, 0, 0)
	event("begin", "foo", time.Hour, 3540, 7200) // went on after a wait
	event("log", "b\x1bar", time.Hour+time.Minute, 0, 0)
	says(time.Hour+2*time.Minute+time.Second, `axle: 0 of 3 done, 2 building: foo 1.0 [#####-----] 1:01:01 of ~2:00:00, b\x1bar 1.0 01:01`+"\n")
	event("result", "foo", 0, 0, 0)
	event("begin", "baz", 2*time.Hour, 0, 60)
	event("built", "b\x1bar", 0, 0, 0)
	says(3*time.Hour, "axle: 1 of 3 done, building baz 1.0 [##########] 1:00:00 of ~01:00\n")
	event("failed", "baz", 0, 0, 0)
	says(4*time.Hour, "axle: 1 of 3 done, waiting\n")
}
