package reason

import (
	"bytes"
	"regexp"
	"strings"
)

// Scanner reads a build's output and keeps the few messages that may say why it failed. It is for one writer; its size is bounded.
type Scanner struct {
	line  []byte // the line under way; what is beyond maxLine of it is dropped
	block *block // a message of CMake under way

	strong, weak *finding
	host         string // of the URL that was last said to be fetched
	started      bool   // a traceback goes through the start of a program
	ninja        bool   // ninja prints a failed command after the fact, and several of them
	last         string // line
	exception    string // the last that ended a Python program

	left    bool // an extension was left out,
	leftOut string
	because *finding // and why, as far as it was said
}

// block is a message of CMake, which is indented and broken into lines.
type block struct {
	text    strings.Builder
	warning bool
}

// finding is one message that was understood.
type finding struct {
	*pattern
	subject, said string
}

const maxLine = 4 << 10

// Write takes the next piece of output. It never fails.
func (s *Scanner) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		end := bytes.IndexByte(b, '\n')
		piece := b
		if end >= 0 {
			piece = b[:end]
		}
		s.line = append(s.line, piece[:min(len(piece), maxLine-len(s.line))]...)
		if end < 0 {
			break
		}
		s.flush()
		b = b[end+1:]
	}
	return n, nil
}

func (s *Scanner) flush() {
	line := string(s.line)
	s.line = s.line[:0]
	s.read(line)
}

// colours are what terminals hide.
var colours = regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]")

func (s *Scanner) read(line string) {
	if strings.IndexByte(line, '\x1b') >= 0 {
		line = colours.ReplaceAllString(line, "")
	}
	if i := strings.LastIndexByte(strings.TrimRight(line, "\r"), '\r'); i >= 0 {
		line = line[i+1:] // a progress bar: what stands there in the end
	}
	line = strings.TrimRight(line, " \t\r")
	if s.block != nil {
		if line == "" || line[0] == ' ' {
			if s.block.text.Len() < maxLine {
				s.block.text.WriteString(" " + strings.TrimSpace(line))
			}
			return
		}
		s.endBlock()
	}
	if rest, ok := strings.CutPrefix(line, "CMake "); ok {
		if strings.HasPrefix(rest, "Error") || strings.Contains(rest, "Warning") {
			s.block = &block{warning: !strings.HasPrefix(rest, "Error")}
			s.block.text.WriteString(line)
			return
		}
	}
	if strings.HasPrefix(line, "axle: ") {
		if strings.HasPrefix(line, "axle: running the backend") {
			*s = Scanner{line: s.line} // only what the last hook says counts
		}
		return
	}
	if line == "" {
		return
	}
	s.message(line)
	s.last = line
}

// endBlock takes a whole message of CMake as one line.
func (s *Scanner) endBlock() {
	b := s.block
	s.block = nil
	if !b.warning {
		s.match(b.text.String())
	}
}

var (
	// What a build prints when it goes on.
	goesOn = regexp.MustCompile(`^(?:running [a-z_]+|building '.*' (?:extension|library)|creating build/.*|copying .* -> .*|checking (?:for|whether|how|if) .*)$`)
	// A compiler's command, as make and setuptools print it before they run it.
	command = regexp.MustCompile(`^(?:\S*/)?(?:[\w.]+-)*(?:cc|gcc|g\+\+|c\+\+|clang|clang\+\+|gfortran|nvcc|mpicc|mpicxx|emcc)(?:-[\d.]+)? .*-[co] `)
	// A line that says that something is fetched.
	fetches = regexp.MustCompile(`(?i)(?:download|fetch|clon|retriev|urlopen|curl|wget|getting|src=|connect|request).*?(?:https?|ftp|git)://(?:[^@/\s]*@)?([\w.-]+)`)
	// The line that ends a traceback.
	raised = regexp.MustCompile(`^(?:\w+\.)*[A-Z]\w*(?:Error|Exception|Exit|Failure|Failed)(?:: .*)?$`)
	// The line of the source under a message of the compiler.
	quoted = regexp.MustCompile(`^\s*\d* \|\s*#\s*include\s+"`)
)

func (s *Scanner) message(line string) {
	switch {
	case strings.HasPrefix(line, "Traceback (most recent call last)"):
		s.started = false
	case strings.Contains(line, "in _execute_child"):
		s.started = true
	case strings.HasPrefix(line, "FAILED: "):
		s.ninja = true
	case goesOn.MatchString(line), !s.ninja && command.MatchString(line):
		s.strong, s.weak, s.host, s.exception = nil, nil, "", ""
		return
	case strings.Contains(line, "://"):
		if m := fetches.FindStringSubmatch(line); m != nil {
			s.host = m[1]
		}
	case s.weak != nil && s.weak.own != nil && quoted.MatchString(line) && strings.Contains(s.last, s.weak.subject):
		s.weak.pattern = s.weak.own
		return
	}
	if raised.MatchString(line) {
		s.exception = line
		if s.started {
			line = "started: " + line
		}
		s.started = false
	}
	for i := range leftOuts {
		if m := leftOuts[i].FindStringSubmatch(line); m != nil && !s.left {
			if s.best() == nil {
				s.match(line)
			}
			s.left, s.leftOut, s.because = true, m[1], s.best()
			s.strong, s.weak = nil, nil
			return
		}
	}
	s.match(line)
}

// match looks a line up in the table, and keeps what it finds where that says more than what is kept.
func (s *Scanner) match(line string) {
	for i := range patterns {
		p := &patterns[i]
		if !strings.Contains(line, p.has) {
			continue
		}
		m := p.re.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if p.quiet {
			return
		}
		f := &finding{pattern: p, said: line}
		if len(m) > 1 {
			f.subject = m[1]
		}
		if p.fetch && f.subject == "" {
			f.subject = s.host
		}
		s.keep(f)
		return
	}
}

func (s *Scanner) keep(f *finding) {
	switch {
	case f.say == nil && !f.stops && s.weak != nil, f.say == nil && f.stops && s.strong != nil:
	case !f.stops:
		if s.weak == nil || s.weak.say == nil || s.weak.fetch && f.fetch && s.weak.subject == "" {
			s.weak = f
		}
	case s.strong == nil || s.strong.say == nil || !strings.HasPrefix(f.said, "CMake Error"):
		if s.strong != nil && s.strong.fetch && f.fetch && f.subject == "" {
			return
		}
		s.strong = f
	}
}

// best is what is most likely to have ended the build, nil where nothing was understood.
func (s *Scanner) best() *finding {
	if s.strong != nil {
		return s.strong
	}
	return s.weak
}

// end takes what stands after the last line end.
func (s *Scanner) end() {
	if len(s.line) > 0 {
		s.flush()
	}
	if s.block != nil {
		s.endBlock()
	}
}

// Failed says why the build failed whose output was written until now. Nothing named in it is no guess: where no message is understood,
// What is the last thing that was said and Next is empty.
func (s *Scanner) Failed(b Build) Reason {
	s.end()
	if f := s.best(); f != nil {
		return f.reason(b)
	}
	said := s.exception
	if said == "" {
		said = s.last
	}
	return Reason{What: Line(said, maxText)}
}

func (f *finding) reason(b Build) Reason {
	if f.say == nil {
		said := strings.TrimSpace(f.subject)
		if said == "" {
			said = f.said
		}
		return Reason{What: Line(said, maxText)}
	}
	what, next := f.say(f.subject, b)
	return Reason{Line(what, maxText), Line(next, 2*maxText)}
}

// LeftOut says which extension a build that went well left out because it could not be made, and why. What is "" where the output
// says of none.
func (s *Scanner) LeftOut(b Build) Reason {
	s.end()
	if !s.left {
		return Reason{}
	}
	r := Reason{What: "left out its compiled extension"}
	if s.leftOut != "" {
		r.What += " " + Line(s.leftOut, 100)
	}
	next := "see in the log why it could not be made"
	if s.because != nil {
		why := s.because.reason(b)
		r.What += ", which " + why.What
		if s.because.say == nil {
			r.What = strings.Replace(r.What, ", which ", ": ", 1)
		}
		if why.Next != "" {
			next = why.Next
		}
	}
	r.Next = next + "; or, if the wheel is meant to be without, set `extensions: optional` in the project's settings"
	return r
}
