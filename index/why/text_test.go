package why

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestText compares with what stands in testdata; strangers' escapes in it are spelled out.
func TestText(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) < 4 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var a Answer
			if err := json.Unmarshal(b, &a); err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(file[:len(file)-len("json")] + "txt")
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), a.Text()); d != "" {
				t.Errorf("(-want +got)\n%s\n%s", d, a.Text())
			}
		})
	}
	d := Dependents{Dependents: []Dependent{{Project: "a\x1b", Version: "1", SHA256: "00", Direct: true}, {Project: "b", Version: "2", SHA256: "11", With: []Requirement{{"a", "1", "00"}}}}}
	if got, want := d.Text(), "a\\x1b==1 sha256:00\nb==2 sha256:11 by a 1\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for input, want := range map[string]string{"": "sha256:1 -\n", "sha256:2": "sha256:1 sha256:2\n"} {
		if got := (&Key{Recipe: "sha256:1", Input: input}).Text(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
