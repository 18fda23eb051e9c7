package crates

import (
	"bytes"
	"io"
)

// noCrates is how cargo says that it has not what it needs, since hooks have it work offline.
var noCrates = []byte("offline mode (--offline)")

// Ear passes a hook's output on to To and hears cargo say that it lacks crates. It is for one writer at a time.
type Ear struct {
	To     io.Writer
	Lacked bool

	end []byte
}

// Write implements io.Writer.
func (e *Ear) Write(b []byte) (int, error) {
	e.end = append(e.end, b...)
	e.Lacked = e.Lacked || bytes.Contains(e.end, noCrates)
	e.end = append([]byte(nil), e.end[max(0, len(e.end)-len(noCrates)):]...)
	return e.To.Write(b)
}
