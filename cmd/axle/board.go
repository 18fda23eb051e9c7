package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// board shows how far the builds are that somebody waits for: on a terminal in a line of its own below all that is printed, elsewhere in a
// line a minute while nothing else is. Everything else is printed through it, in whole lines.
type board struct {
	to    io.Writer  // where the board stands
	width func() int // of the terminal, at least 20; nil where there is none
	total int        // of what was asked for

	mu     sync.Mutex // guards what follows, and everything printed
	done   int
	builds map[string]building
	drawn  bool      // the line stands at the bottom
	said   time.Time // when anything was printed last
	stop   chan struct{}
	ended  sync.WaitGroup
}

// building is one build that runs.
type building struct {
	began    time.Time // without the time in which it waited
	expected time.Duration
}

// quiet is how long nothing is printed before people without a terminal are told that all is well.
const quiet = time.Minute

// newBoard starts one that stands on w. It ends with end.
func newBoard(w io.Writer, total int) *board {
	b := &board{to: w, width: terminalWidth(w), total: total, builds: map[string]building{}, said: time.Now(), stop: make(chan struct{})}
	b.ended.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case now := <-tick.C:
				b.tick(now)
			case <-b.stop:
				return
			}
		}
	})
	return b
}

// terminalWidth is nil where w is no terminal on which a line can be written anew.
func terminalWidth(w io.Writer) func() int {
	f, ok := w.(*os.File)
	if name := os.Getenv("TERM"); !ok || !term.IsTerminal(int(f.Fd())) || name == "" || name == "dumb" {
		return nil
	}
	return func() int {
		width, _, err := term.GetSize(int(f.Fd()))
		if err != nil || width <= 0 {
			width = 80
		}
		return max(width, 20)
	}
}

// writer prints to w past the board.
func (b *board) writer(w io.Writer) io.Writer { return past{b, w} }

type past struct {
	b *board
	w io.Writer
}

func (p past) Write(text []byte) (int, error) {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	p.b.erase()
	p.b.said = time.Now()
	return p.w.Write(text)
}

// event takes note of a line of the server's.
func (b *board) event(l line) {
	b.mu.Lock()
	defer b.mu.Unlock()
	build := l.Project + " " + l.Version
	switch l.Kind {
	case "begin":
		b.builds[build] = building{l.Time.Add(-seconds(l.RanSeconds)), seconds(l.ExpectedSeconds)}
	case "log": // whose beginning is forgotten
		if _, ok := b.builds[build]; !ok {
			b.builds[build] = building{began: l.Time}
		}
	case "wait", "step", "built", "failed", "hit":
		delete(b.builds, build)
	case "result":
		delete(b.builds, build)
		b.done++
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func (b *board) tick(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.width != nil:
		line := b.line(now)
		if most := b.width() - 1; len(line) > most { // a full line would move the terminal on
			line = line[:most-3] + "..."
		}
		b.erase()
		_, _ = io.WriteString(b.to, line) // a board that can't be seen is no reason to stop
		b.drawn = true
	case now.Sub(b.said) >= quiet:
		b.said = now
		_, _ = fmt.Fprintln(b.to, b.line(now))
	}
}

// erase takes the line away. The lock is held.
func (b *board) erase() {
	if b.drawn {
		_, _ = io.WriteString(b.to, "\r\x1b[K")
		b.drawn = false
	}
}

func (b *board) end() {
	close(b.stop)
	b.ended.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.erase()
}

// line says it all in ASCII, the build that began first in front. The lock is held.
func (b *board) line(now time.Time) string {
	names := make([]string, 0, len(b.builds))
	for name := range b.builds {
		names = append(names, name)
	}
	slices.SortFunc(names, func(x, y string) int {
		if order := b.builds[x].began.Compare(b.builds[y].began); order != 0 {
			return order
		}
		return strings.Compare(x, y)
	})
	for i, name := range names {
		names[i] = ascii(name) + " " + b.builds[name].progress(now)
	}
	text := "axle: "
	if b.total > 1 {
		text += fmt.Sprintf("%d of %d done, ", b.done, b.total)
	}
	switch len(names) {
	case 0:
		return text + "waiting"
	case 1:
		return text + "building " + names[0]
	}
	return text + fmt.Sprintf("%d building: ", len(names)) + strings.Join(names, ", ")
}

// barWidth is how many signs a bar has.
const barWidth = 10

// progress is "04:12", or "[#######---] 04:12 of ~06:00" where it is known how long the last one took.
func (p building) progress(now time.Time) string {
	ran := max(0, now.Sub(p.began))
	if p.expected <= 0 {
		return clockTime(ran)
	}
	full := int(min(barWidth, barWidth*ran/p.expected))
	return fmt.Sprintf("[%s%s] %s of ~%s", strings.Repeat("#", full), strings.Repeat("-", barWidth-full), clockTime(ran), clockTime(p.expected))
}

// clockTime is minutes and seconds, with hours where there are any.
func clockTime(d time.Duration) string {
	s := int(d.Round(time.Second).Seconds())
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%02d:%02d", s/60, s%60)
}

// ascii spells out everything whose width on a terminal is not one.
func ascii(s string) string {
	quoted := fmt.Sprintf("%+q", s)
	return quoted[1 : len(quoted)-1]
}
