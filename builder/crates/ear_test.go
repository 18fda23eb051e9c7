package crates_test

import (
	"bytes"
	"testing"

	"github.com/python-wheel-build/axle/builder/crates"
)

// TestEar: cargo is heard however its words come in pieces, and what is passed on is whole.
func TestEar(t *testing.T) {
	const said = "error: no matching package named `leaf` found\nAs a reminder, you're using offline mode (--offline) which can\n"
	for n := 1; n <= len(said); n++ {
		var out bytes.Buffer
		ear := crates.Ear{To: &out}
		for rest := said; rest != ""; rest = rest[min(n, len(rest)):] {
			_, _ = ear.Write([]byte(rest[:min(n, len(rest))]))
		}
		if !ear.Lacked || out.String() != said {
			t.Errorf("in pieces of %d: heard %t, passed on %q", n, ear.Lacked, &out)
		}
	}
	ear := crates.Ear{To: new(bytes.Buffer)}
	_, _ = ear.Write([]byte("in offline mode (--off"))
	_, _ = ear.Write([]byte(" line)"))
	if ear.Lacked {
		t.Error("heard what nobody said")
	}
}
