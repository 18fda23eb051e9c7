// Package safe makes strangers' text safe to show.
package safe

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text is s safe for a terminal: line feeds and tabs stay, all else that is not to be seen (escapes, text direction marks) is
// spelled out, for whoever wrote a build script also writes its log.
func Text(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	safe := func(c rune) bool { return c == '\n' || c == '\t' || unicode.IsPrint(c) }
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(c rune) bool { return !safe(c) }) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		c, n := utf8.DecodeRuneInString(s)
		switch {
		case c == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case safe(c):
			b.WriteRune(c)
		default:
			quoted := strconv.QuoteRuneToASCII(c)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		s = s[n:]
	}
	return b.String()
}
