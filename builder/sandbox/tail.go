package sandbox

import (
	"io"
	"strings"
)

// Tail passes a command's output on to To, where that is not nil, and keeps its end. It is for one writer.
type Tail struct {
	To io.Writer

	end []byte
}

// tailKept holds some twenty long lines.
const tailKept = 8 << 10

// Write implements io.Writer.
func (t *Tail) Write(b []byte) (int, error) {
	t.end = append(t.end, b...)
	t.end = t.end[max(0, len(t.end)-tailKept):]
	if t.To == nil {
		return len(b), nil
	}
	return t.To.Write(b)
}

// Lines are the last twenty.
func (t *Tail) Lines() string {
	all := strings.Split(strings.TrimSpace(string(t.end)), "\n")
	return strings.Join(all[max(0, len(all)-20):], "\n")
}

// String is the whole end.
func (t *Tail) String() string { return string(t.end) }
