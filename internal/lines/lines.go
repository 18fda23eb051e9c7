// Package lines says how two short texts differ.
package lines

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	// table bounds the comparison: where what differs has more lines times lines, it is told as replaced whole.
	table = 1 << 20
	// width is how much of a line is told, in bytes.
	width = 200
)

// Diff gives the lines that differ, each run behind "@@ -<line in was> +<line in is> @@", the old ones after "-" and the new ones after
// "+": at most `most` lines, then "… and N more lines". Texts that are equal give none. Any bytes may be given; they stand in the
// lines as they are, cut where a line is long.
func Diff(was, is string, most int) []string {
	a, b := split(was), split(is)
	start := 0
	for start < len(a) && start < len(b) && a[start] == b[start] {
		start++
	}
	end := 0
	for end < len(a)-start && end < len(b)-start && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	var out []string
	emit := func(i, j, n, m int) { // n lines of a from i on became m lines of b from j on
		if n == 0 && m == 0 {
			return
		}
		out = append(out, fmt.Sprintf("@@ -%d +%d @@", i+1, j+1))
		for _, l := range a[i : i+n] {
			out = append(out, "-"+cut(l))
		}
		for _, l := range b[j : j+m] {
			out = append(out, "+"+cut(l))
		}
	}
	hunks(a[start:len(a)-end], b[start:len(b)-end], func(i, j, n, m int) { emit(start+i, start+j, n, m) })
	if len(out) > most {
		out = append(out[:most:most], fmt.Sprintf("… and %d more lines", len(out)-most))
	}
	return out
}

// hunks calls emit for each run that differs, by a longest common subsequence.
func hunks(a, b []string, emit func(i, j, n, m int)) {
	if len(a)*len(b) > table || len(a) == 0 || len(b) == 0 {
		emit(0, 0, len(a), len(b))
		return
	}
	row := len(b) + 1
	common := make([]int32, (len(a)+1)*row) // of a[i:] and b[j:]
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i*row+j] = common[(i+1)*row+j+1] + 1
			} else {
				common[i*row+j] = max(common[(i+1)*row+j], common[i*row+j+1])
			}
		}
	}
	i, j := 0, 0
	fromA, fromB := 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case a[i] == b[j]:
			emit(fromA, fromB, i-fromA, j-fromB)
			i, j = i+1, j+1
			fromA, fromB = i, j
		case common[(i+1)*row+j] >= common[i*row+j+1]:
			i++
		default:
			j++
		}
	}
	emit(fromA, fromB, len(a)-fromA, len(b)-fromB)
}

// split takes a text apart; a last line without its end is another line than one with it.
func split(s string) []string {
	all := strings.SplitAfter(s, "\n")
	if all[len(all)-1] == "" {
		all = all[:len(all)-1]
	}
	return all
}

func cut(line string) string {
	line, ended := strings.CutSuffix(line, "\n")
	if len(line) > width {
		end := width
		for end > width-utf8.UTFMax && !utf8.RuneStart(line[end]) {
			end--
		}
		line = line[:end] + "…"
	}
	if !ended {
		line += ` (no line end)`
	}
	return line
}
