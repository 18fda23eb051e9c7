// Package command is what the program's commands share: where they talk, how they end, and the store that they open.
package command

import (
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"unicode"
)

// Streams are where a command talks: data to Out, everything else to Err.
type Streams struct{ Out, Err io.Writer }

// Exit is an error that says with which code the program ends; without an Err it says so silently.
type Exit struct {
	Code int
	Err  error
}

func (e Exit) Error() string { return fmt.Sprintf("exit %d: %v", e.Code, e.Err) }

// Tame spells control characters out, but for line ends and tabs: what a build prints must not steer the terminal.
func Tame(s string) string {
	if !strings.ContainsFunc(s, Steers) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if Steers(r) {
			fmt.Fprintf(&b, "\\x%02x", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Steers says that a character may steer a terminal.
func Steers(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }

// EscapeJSON gives JSON whose texts hold no control character as it is.
func EscapeJSON(s string) string {
	var b strings.Builder
	for _, r := range s {
		if Steers(r) {
			fmt.Fprintf(&b, "\\u%04x", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Version is the module's, as the Go tool recorded it.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
