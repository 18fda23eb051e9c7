// Package progress shows how far long work is.
package progress

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// Bar shows long work: a bar on a terminal, a line every ten seconds elsewhere.
type Bar struct {
	w    io.Writer
	what string
	bar  *progressbar.ProgressBar
	last time.Time
}

// New shows nothing yet.
func New(w io.Writer, what string) *Bar {
	return &Bar{w: w, what: what, last: time.Now()}
}

// Set says how much is done; total may be -1 for unknown.
func (p *Bar) Set(done, total int64) {
	if f, ok := p.w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		if p.bar == nil {
			p.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(p.w), progressbar.OptionSetDescription(p.what),
				progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
		}
		p.bar.ChangeMax64(total)
		_ = p.bar.Set64(done) // a bar that can't be drawn is no reason to stop
		return
	}
	if time.Since(p.last) < 10*time.Second {
		return
	}
	p.last = time.Now()
	of := ""
	if total > 0 {
		of = fmt.Sprintf(" of %d", total)
	}
	fmt.Fprintf(p.w, "%s: %d%s\n", p.what, done, of)
}

// Done takes the bar away.
func (p *Bar) Done() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
