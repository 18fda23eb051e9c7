package version

import "strings"

// A key is a version as bytes that sort like the version:
//
//	epoch  release…  0  pre [N]  post [N]  dev [N]  local…
//
// A number is its count of digits (leading zeros dropped, so 0 has none) plus one, then the digits: more digits sort later and
// numbers of any size fit. Trailing zeros of the release are dropped and a 0 byte ends it, which is less than any number.
// The ranks below put a missing part where PEP 440 has it. Each part ends itself, so nothing after it can change its order; a
// version without local version is a prefix of those with one and sorts first.

// Ranks of the pre-release part. A dev release of nothing else (1.0.dev1) comes before every pre-release.
const (
	preDevOnly byte = iota
	preAlpha
	preBeta
	preCandidate
	preNone
)

var preLetters = [...]string{preAlpha: "a", preBeta: "b", preCandidate: "rc"}

// Ranks of the post part, of the dev part, and of one segment of the local version.
const (
	postNone, postSome      byte = 0, 1
	devSome, devNone        byte = 0, 1
	localWord, localNumeric byte = 1, 2
)

// version builds the value; text is what was scanned, kept instead of a copy where it is the normal form already.
func (p parts) version(text string) Version {
	var keyBuf, textBuf [64]byte
	key, norm := keyBuf[:0], textBuf[:0]

	key = appendNumber(key, p.epoch)
	if e := trimZeros(p.epoch); e != "" {
		norm = append(append(norm, e...), '!')
	}
	key, _ = appendRelease(key, p.release)
	key = append(key, 0)
	for i, rest, more := 0, p.release, true; more; i++ {
		var number string
		number, rest, more = strings.Cut(rest, ".")
		if i > 0 {
			norm = append(norm, '.')
		}
		norm = appendNormal(norm, number)
	}

	v := Version{pre: p.pre != preNone || p.dev}
	switch {
	case p.pre != preNone:
		key = appendNumber(append(key, p.pre), p.preN)
		norm = appendNormal(append(norm, preLetters[p.pre]...), p.preN)
	case p.dev && !p.post:
		key = append(key, preDevOnly)
	default:
		key = append(key, preNone)
	}
	v.family = len(key)
	if p.post {
		key = appendNumber(append(key, postSome), p.postN)
		norm = appendNormal(append(norm, ".post"...), p.postN)
	} else {
		key = append(key, postNone)
	}
	if p.dev {
		key = appendNumber(append(key, devSome), p.devN)
		norm = appendNormal(append(norm, ".dev"...), p.devN)
	} else {
		key = append(key, devNone)
	}
	v.public = len(key)
	key, norm = appendLocal(key, norm, p.local)

	v.key = string(key)
	if string(norm) == text {
		v.text = text
	} else {
		v.text = string(norm)
	}
	return v
}

// appendRelease adds the numbers of a release without its trailing zeros, whose count it gives too.
func appendRelease(key []byte, release string) (_ []byte, zeros int) {
	for rest, more := release, true; more; {
		var number string
		number, rest, more = strings.Cut(rest, ".")
		if trimZeros(number) == "" {
			zeros++
			continue
		}
		for ; zeros > 0; zeros-- {
			key = appendNumber(key, "")
		}
		key = appendNumber(key, number)
	}
	return key, zeros
}

func appendLocal(key, norm []byte, local string) (_, _ []byte) {
	sep := byte('+')
	for len(local) > 0 {
		n := alphanumerics(local)
		segment := local[:n]
		norm = append(norm, sep)
		if digits(segment) == n {
			key = appendNumber(append(key, localNumeric), segment)
			norm = appendNormal(norm, segment)
		} else {
			segment = strings.ToLower(segment)
			key = append(append(append(key, localWord), segment...), 0)
			norm = append(norm, segment...)
		}
		local = local[min(n+1, len(local)):]
		sep = '.'
	}
	return key, norm
}

func appendNumber(key []byte, number string) []byte {
	number = trimZeros(number)
	if n := len(number); n < 0xfe {
		key = append(key, byte(n+1))
	} else {
		key = append(key, 0xff, byte(n>>8), byte(n)) // MaxLength fits
	}
	return append(key, number...)
}

func appendNormal(norm []byte, number string) []byte {
	if number = trimZeros(number); number == "" {
		number = "0"
	}
	return append(norm, number...)
}

func trimZeros(number string) string { return strings.TrimLeft(number, "0") }
