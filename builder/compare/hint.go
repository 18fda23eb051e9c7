package compare

import (
	"regexp"
	"slices"
	"strings"
)

// looks are the usual things that are different each time; a hint is given where each side has some, and others.
var looks = []struct {
	like *regexp.Regexp
	what string
}{
	{regexp.MustCompile(`\b\d{1,2}:\d\d(:\d\d)?\b|\b(19|20)\d\d-[01]\d-[0-3]\d\b|\b1[6-9]\d{8}(\.\d+)?\b`), "a time"},
	{regexp.MustCompile(`/tmp/[^\s"':;]*|\btmp[a-z0-9_]{6,}`), "a temporary path"},
	{regexp.MustCompile(`/build/[^\s"':;]*`), "a path of the build"},
	{regexp.MustCompile(`\b0x[0-9a-f]{6,}\b`), "an address in memory"},
	{regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`), "a UUID"},
}

// hintOf says what two excerpts look like.
func hintOf(a, b string) (all []string) {
	for _, l := range looks {
		before, after := l.like.FindAllString(a, -1), l.like.FindAllString(b, -1)
		if len(before) > 0 && len(after) > 0 && !slices.Equal(before, after) {
			all = append(all, l.what)
		}
	}
	if len(all) == 0 && a != b && len(a) == len(b) && sorted(a) == sorted(b) {
		all = append(all, "the same in another order")
	}
	return all
}

func sorted(s string) string {
	b := []byte(s)
	slices.Sort(b)
	return string(b)
}

func hints(all ...string) string {
	if len(all) == 0 {
		return ""
	}
	return " (it looks like " + strings.Join(all, ", ") + ")"
}
