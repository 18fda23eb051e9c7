package lines

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDiff(t *testing.T) {
	for _, c := range []struct {
		was, is string
		most    int
		want    []string
	}{
		{"a\nb\n", "a\nb\n", 9, nil},
		{"", "", 9, nil},
		{"a\nb\nc\n", "a\nB\nc\n", 9, []string{"@@ -2 +2 @@", "-b", "+B"}},
		{"a\nb\nc\nd\n", "x\na\nc\nd\ny\n", 9, []string{"@@ -1 +1 @@", "+x", "@@ -2 +3 @@", "-b", "@@ -5 +5 @@", "+y"}},
		{"a\nb\nc\nd\n", "x\na\nc\nd\ny\n", 2, []string{"@@ -1 +1 @@", "+x", "… and 4 more lines"}},
		{"a", "a\n", 9, []string{"@@ -1 +1 @@", "-a (no line end)", "+a"}},
		{"", "new\n", 9, []string{"@@ -1 +1 @@", "+new"}},
		{strings.Repeat("é", 200) + "\n", "", 9, []string{"@@ -1 +1 @@", "-" + strings.Repeat("é", 100) + "…"}},
		{strings.Repeat("1\n", 3000) + "x", strings.Repeat("2\n", 3000), 1, []string{"@@ -1 +1 @@", "… and 6001 more lines"}},
	} {
		if d := cmp.Diff(c.want, Diff(c.was, c.is, c.most)); d != "" {
			t.Errorf("Diff(%.40q, %.40q): (-want +got)\n%s", c.was, c.is, d)
		}
	}
}

// TestDiffSays: what is told is enough to make the one text of the other.
func TestDiffSays(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	text := func() string {
		var b strings.Builder
		for range r.IntN(9) {
			b.WriteString(string(rune('a'+r.IntN(3))) + "\n")
		}
		return b.String()
	}
	for range 5000 {
		was, is := text(), text()
		removed, added := map[string]int{}, map[string]int{}
		for _, l := range Diff(was, is, 1000) {
			switch l[0] {
			case '-':
				removed[l[1:]]++
			case '+':
				added[l[1:]]++
			}
		}
		for _, l := range []string{"a", "b", "c"} {
			if got := strings.Count(was, l) - removed[l] + added[l]; got != strings.Count(is, l) {
				t.Fatalf("%q to %q: removing and adding as told gives %d times %s, want %d", was, is, got, l, strings.Count(is, l))
			}
		}
	}
}
