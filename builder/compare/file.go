package compare

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	maxELF    = 64 << 20 // bytes of an object that is taken apart
	maxText   = 1 << 20  // bytes of a text whose lines are sorted
	maxExcept = 120      // bytes of a line that are shown
	sniffed   = 4 << 10  // bytes around the difference that tell text from other things
)

// difference is where two files of one name part.
type difference struct {
	a, b *zip.File
	at   int64 // the first byte that differs, or that only one has
	line int64 // the line it is in, from 1
	// begins is where that line does.
	begins int64
}

// differ finds the difference of two files; nil where there is none.
func differ(ctx context.Context, a, b *zip.File) (*difference, error) {
	ra, err := read(a)
	if err != nil {
		return nil, err
	}
	defer ra.Close()
	rb, err := read(b)
	if err != nil {
		return nil, err
	}
	defer rb.Close()
	at, line, err := firstDifference(ctx, ra, rb)
	if at < 0 || err != nil {
		return nil, err
	}
	return &difference{a: a, b: b, at: at, line: line.number, begins: line.begins}, nil
}

// place is a line of a file.
type place struct{ number, begins int64 }

// firstDifference reads two streams as far as they are equal. It gives -1 where they end together.
func firstDifference(ctx context.Context, a, b io.Reader) (int64, place, error) {
	var at int64
	line := place{number: 1}
	bufA, bufB := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		if err := ctx.Err(); err != nil {
			return 0, line, err
		}
		n, err := full(a, bufA)
		if err != nil {
			return 0, line, err
		}
		m, err := full(b, bufB)
		if err != nil {
			return 0, line, err
		}
		same := min(n, m)
		if !bytes.Equal(bufA[:same], bufB[:same]) {
			for i := range same {
				if bufA[i] != bufB[i] {
					same = i
					break
				}
			}
		}
		if i := bytes.LastIndexByte(bufA[:same], '\n'); i >= 0 {
			line.number += int64(bytes.Count(bufA[:same], []byte("\n")))
			line.begins = at + int64(i) + 1
		}
		if same < n || same < m {
			return at + int64(same), line, nil
		}
		if n < len(bufA) {
			return -1, line, nil
		}
		at += int64(n)
	}
}

// full fills the buffer as far as the reader goes.
func full(r io.Reader, buf []byte) (int, error) {
	n, err := io.ReadFull(r, buf)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return n, err
}

// explain says in a line what the difference is.
func (d *difference) explain(ctx context.Context) (string, error) {
	from := max(d.begins, d.at-sniffed/2)
	a, err := excerpt(d.a, from, sniffed)
	if err != nil {
		return "", err
	}
	b, err := excerpt(d.b, from, sniffed)
	if err != nil {
		return "", err
	}
	headA, err := excerpt(d.a, 0, 16)
	if err != nil {
		return "", err
	}
	headB, err := excerpt(d.b, 0, 16)
	if err != nil {
		return "", err
	}
	small := d.a.UncompressedSize64 <= maxELF && d.b.UncompressedSize64 <= maxELF
	switch {
	case isELF(headA) && isELF(headB) && small:
		return d.elf(ctx)
	case strings.HasSuffix(d.a.Name, ".pyc") && d.at < 16:
		return "the header of byte code: the time, the size or the hash of its source", nil
	case isText(a) && isText(b):
		return d.text(a, b, int(d.at-from))
	}
	what := fmt.Sprintf("differs from byte %d on (%d bytes, then %d)", d.at, d.a.UncompressedSize64, d.b.UncompressedSize64)
	return what + around(a, b, int(d.at-from)), nil
}

// text shows the line that differs, and says what of it looks as if it would always.
func (d *difference) text(a, b []byte, at int) (string, error) {
	lineA, lineB := cut(a, at), cut(b, at)
	what := fmt.Sprintf("line %d was %s, then %s", d.line, lineA, lineB)
	if d.a.UncompressedSize64 <= maxText && d.b.UncompressedSize64 <= maxText {
		wholeA, err := excerpt(d.a, 0, maxText)
		if err != nil {
			return "", err
		}
		wholeB, err := excerpt(d.b, 0, maxText)
		if err != nil {
			return "", err
		}
		if sameLines(wholeA, wholeB) {
			return what + hints("the same lines in another order"), nil
		}
	}
	return what + hints(hintOf(lineA, lineB)...), nil
}

// cut is the line of an excerpt that the place at lies in, bounded and quoted; the excerpt begins where the line does or in it.
func cut(text []byte, at int) string {
	if at >= len(text) {
		if i := bytes.LastIndexByte(text, '\n'); len(text) == 0 || i == len(text)-1 {
			return "the end"
		}
	}
	begin, end := 0, len(text)
	if i := bytes.IndexByte(text[min(at, len(text)):], '\n'); i >= 0 {
		end = min(at, len(text)) + i
	}
	before, after := "", ""
	if at-begin > maxExcept/2 && end-begin > maxExcept {
		begin, before = at-maxExcept/2, "…"
	}
	if end-begin > maxExcept {
		end, after = begin+maxExcept, "…"
	}
	return before + quote(string(text[begin:end])) + after
}

// around shows the printable text that lies about the difference of two binaries, where both have some.
func around(a, b []byte, at int) string {
	wordA, wordB := word(a, at), word(b, at)
	if wordA == "" || wordB == "" || wordA == wordB {
		return ""
	}
	return fmt.Sprintf(": %s, then %s", quote(wordA), quote(wordB)) + hints(hintOf(wordA, wordB)...)
}

// minWord is how many printable bytes in a row are taken for text.
const minWord = 6

// word is the run of printable bytes that the place lies in, at most maxExcept of them.
func word(b []byte, at int) string {
	if at >= len(b) {
		return ""
	}
	begin, end := at, at
	for begin > 0 && at-begin < maxExcept/2 && printable(b[begin-1]) {
		begin--
	}
	for end < len(b) && end-at < maxExcept/2 && printable(b[end]) {
		end++
	}
	if end-begin < minWord {
		return ""
	}
	return string(b[begin:end])
}

func printable(c byte) bool { return ' ' <= c && c <= '~' }

// excerpt reads up to n bytes from there on.
func excerpt(f *zip.File, from, n int64) ([]byte, error) {
	r, err := read(f)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if _, err := io.CopyN(io.Discard, r, from); err == io.EOF {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, n))
}

// isText tells UTF-8 without control characters. An excerpt may begin and end in mid-character.
func isText(b []byte) bool {
	for i := 0; i < utf8.UTFMax && len(b) > 0 && !utf8.RuneStart(b[0]); i++ {
		b = b[1:]
	}
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		if end := b[len(b)-i:]; utf8.RuneStart(end[0]) {
			if !utf8.FullRune(end) {
				b = b[:len(b)-i]
			}
			break
		}
	}
	return utf8.Valid(b) && !bytes.ContainsFunc(b, func(c rune) bool { return c < ' ' && !strings.ContainsRune("\t\n\r\f\v", c) })
}

func sameLines(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	la, lb := bytes.Split(a, []byte("\n")), bytes.Split(b, []byte("\n"))
	slices.SortFunc(la, bytes.Compare)
	slices.SortFunc(lb, bytes.Compare)
	return slices.EqualFunc(la, lb, bytes.Equal)
}
