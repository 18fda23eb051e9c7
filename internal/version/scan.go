package version

import "strings"

// parts are the pieces of one scanned version, as they stand in its text.
type parts struct {
	epoch, release    string // "" and "1.02"
	pre               byte   // one of the pre… ranks of key.go
	post, dev         bool
	preN, postN, devN string // "" counts as 0
	local             string
}

// Spellings in the order in which they must be tried: a longer one first.
var (
	preWords = []struct {
		word string
		rank byte
	}{
		{"alpha", preAlpha}, {"beta", preBeta}, {"preview", preCandidate}, {"pre", preCandidate},
		{"a", preAlpha}, {"b", preBeta}, {"c", preCandidate}, {"rc", preCandidate},
	}
	postWords = []string{"post", "rev", "r"}
)

// scan reads the longest version at the start of s (PEP 440, appendix B, without white space) and gives its length; 0 if there is
// none. It never needs to look back: each part takes all it can, and no other reading would take more.
func scan(s string) (p parts, n int) {
	i := 0
	if i < len(s) && s[i]|0x20 == 'v' {
		i++
	}
	d := digits(s[i:])
	if d == 0 {
		return p, 0
	}
	if i+d < len(s) && s[i+d] == '!' && digits(s[i+d+1:]) > 0 {
		p.epoch = s[i : i+d]
		i += d + 1
		d = digits(s[i:])
	}
	start := i
	for i += d; i < len(s) && s[i] == '.'; i += 1 + d {
		if d = digits(s[i+1:]); d == 0 {
			break
		}
	}
	p.release = s[start:i]

	p.pre = preNone
	for _, w := range preWords {
		if number, n, ok := word(s[i:], w.word); ok {
			p.pre, p.preN = w.rank, number
			i += n
			break
		}
	}
	if d := 0; i < len(s) && s[i] == '-' {
		if d = digits(s[i+1:]); d > 0 { // 1.0-1, the implicit post-release
			p.post, p.postN = true, s[i+1:i+1+d]
			i += 1 + d
		}
	}
	for _, w := range postWords {
		if p.post {
			break
		}
		if number, n, ok := word(s[i:], w); ok {
			p.post, p.postN = true, number
			i += n
		}
	}
	if number, n, ok := word(s[i:], "dev"); ok {
		p.dev, p.devN = true, number
		i += n
	}
	if i < len(s) && s[i] == '+' {
		end := i
		for end < len(s) && (end == i || separator(s[end])) {
			n := alphanumerics(s[end+1:])
			if n == 0 {
				break
			}
			end += 1 + n
		}
		if end > i {
			p.local = s[i+1 : end]
			i = end
		}
	}
	return p, i
}

// word reads an optional separator, the word w in any case, another optional separator and an optional number.
func word(s, w string) (number string, n int, ok bool) {
	if n < len(s) && separator(s[n]) {
		n++
	}
	if len(s)-n < len(w) || !strings.EqualFold(s[n:n+len(w)], w) {
		return "", 0, false
	}
	n += len(w)
	if n < len(s) && separator(s[n]) {
		n++
	}
	d := digits(s[n:])
	return s[n : n+d], n + d, true
}

func separator(c byte) bool { return c == '.' || c == '-' || c == '_' }

// digits counts the ASCII digits at the start of s.
func digits(s string) (n int) {
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	return n
}

// alphanumerics counts the ASCII letters and digits at the start of s.
func alphanumerics(s string) (n int) {
	for n < len(s) && ('0' <= s[n] && s[n] <= '9' || 'a' <= s[n]|0x20 && s[n]|0x20 <= 'z') {
		n++
	}
	return n
}
