// Package reason tells from what a build printed why it failed: what it lacks, and what a person can do about it.
//
//	var s reason.Scanner
//	… s.Write(output) …            // all of it, in pieces of any size
//	why := s.Failed(reason.Build{…}) // only once the build has failed: a log of a good one is full of probes that failed
//
// It is a reading of strangers' words, by a table of the messages of the tools that builds use. It knows no project, it does no I/O,
// and a build can tell it anything: what it says is for people, and decides nothing but the wording of a failure (Failed), and whether a
// wheel without its extension may pass (LeftOut).
//
// # Which of many messages
//
// Builds try things out, and the tries that fail print the same as what ends a build. So what is found is forgotten as soon as the
// output shows that the build went on: the next compiler command, the next step of setuptools or configure. Of what is left a
// message by which a tool says that it stops ("CMake Error", meson's "ERROR:", the exception that ends a Python program) counts more
// than one that a program prints in passing ("fatal error: foo.h", "Could not resolve host"); of the latter the first counts, since
// what follows it are its consequences. A message that names nothing known is still better than an exit code, and is given as it is.
package reason

import (
	"strings"
	"unicode"
)

// Build is what failed. It adds to the words what the output doesn't have.
type Build struct {
	Project, Version string
	// Requires are the projects whose wheels its environment held, as normalized names.
	Requires []string
}

// Reason says why a build failed, each part one printable line.
type Reason struct {
	// What is lacking or wrong, "needs the header foo.h"; "" where nothing is known.
	What string
	// Next is the next step, "" where there is none to advise.
	Next string
}

func (r Reason) String() string {
	if r.Next == "" {
		return r.What
	}
	return r.What + ": " + r.Next
}

// maxText bounds what is repeated of the output.
const maxText = 400

// Line makes one printable line of text, of at most some bytes: white space becomes a space, and what can't be seen is left out.
func Line(text string, most int) string {
	var b strings.Builder
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		if b.Len()+len(word) > most {
			rest := word[:max(0, most-b.Len())]
			b.WriteString(strings.ToValidUTF8(rest, ""))
			b.WriteString("…")
			break
		}
		b.WriteString(word)
	}
	return strings.ToValidUTF8(b.String(), "\uFFFD")
}
