package dist

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/python-wheel-build/axle/internal/version"
)

// unescape decodes the inside of a Python string literal without prefix, which is what a string in a marker is to packaging. An escape
// that Python does not know stands for itself.
func unescape(s string) (string, error) {
	if !strings.ContainsAny(s, "\\\n\r\x00") {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\n' || c == '\r' || c == 0:
			return "", errors.New("it holds a line end or a zero byte")
		case c != '\\':
			b.WriteByte(c)
			continue
		case i+1 == len(s):
			return "", errors.New("a backslash hides its closing quote: write two")
		}
		i++
		switch c := s[i]; c {
		case '\\', '\'', '"':
			b.WriteByte(c)
		case 'a', 'b', 'f', 'n', 'r', 't', 'v':
			b.WriteByte("\a\b\f\n\r\t\v"[strings.IndexByte("abfnrtv", c)])
		case '\n': // a continued line
		case '\r':
			if strings.HasPrefix(s[i+1:], "\n") {
				i++
			}
		case '0', '1', '2', '3', '4', '5', '6', '7':
			end := i + 1
			for end < len(s) && end < i+3 && '0' <= s[end] && s[end] <= '7' {
				end++
			}
			n, _ := strconv.ParseUint(s[i:end], 8, 32) // at most three octal digits
			b.WriteRune(rune(n))
			i = end - 1
		case 'x', 'u', 'U':
			width := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
			if len(s)-i-1 < width {
				return "", fmt.Errorf(`\%c needs %d hexadecimal digits`, c, width)
			}
			n, err := strconv.ParseUint(s[i+1:i+1+width], 16, 32)
			if err != nil || !utf8.ValidRune(rune(n)) || n > utf8.MaxRune {
				return "", fmt.Errorf(`\%s is no character`, s[i:i+1+width])
			}
			b.WriteRune(rune(n))
			i += width
		case 'N':
			return "", errors.New(`\N{name} is not read: write the character itself`)
		default:
			b.WriteByte('\\')
			i--
			// The character itself follows in the next round; it is not a backslash.
		}
	}
	return b.String(), nil
}

// quote is the inverse of unescape: in double quotes if it can be, and with the characters as they are if that reads back as the same,
// which is how packaging prints a string; escaped if not.
func quote(s string) string {
	mark := `"`
	if strings.Contains(s, `"`) && !strings.Contains(s, `'`) {
		mark = `'`
	}
	if back, err := unescape(s); err == nil && back == s && !strings.Contains(s, mark) {
		return mark + s + mark
	}
	escape := strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\x00", `\x00`, mark, `\x22`)
	return mark + escape.Replace(s) + mark // mark stands in s only where it is a double quote
}

// parseClause reads op and text as one clause; a comma, which would make two, is refused.
func parseClause(op, text string) (version.Set, error) {
	if strings.Contains(text, ",") {
		return version.Set{}, errors.New("more than one clause")
	}
	return version.ParseSet(op + text)
}
