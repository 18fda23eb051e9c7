package pep517

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/python-wheel-build/axle/builder/sandbox"
)

// Patch is one change to the source, in the order given.
type Patch struct {
	Name string // for people
	Path string // host file
}

// PatchError says that a patch does not fit the source. The patches before it are applied.
type PatchError struct {
	Name string
	Text string // what patch(1) said, then the first rejected hunk
}

func (e *PatchError) Error() string {
	return fmt.Sprintf("patch %s does not apply: %s", e.Name, e.Text)
}

// Patch applies patches to Work/src as `patch -p1` does. A patch that is applied already is an error too.
func (e Env) Patch(ctx context.Context, patches []Patch) error {
	root, err := os.OpenRoot(e.Work)
	if err != nil {
		return fmt.Errorf("patching: %w", err)
	}
	defer root.Close()
	for _, p := range patches {
		if err := root.RemoveAll("rejected"); err != nil {
			return fmt.Errorf("patching: %w", err)
		}
		log := &sandbox.Tail{To: e.Log}
		err := e.Sandbox.Run(ctx, e.Slot, sandbox.Command{
			Argv: []string{"/bin/sh", "-c", "command -v patch >/dev/null || exit 99; exec patch " +
				"-p1 --forward --batch --no-backup-if-mismatch --reject-file=/build/rejected --input=/axle/patch"},
			Env: e.environment(), Work: e.Work, Dir: "/build/src", Limits: e.Limits, Log: log,
			Binds: []sandbox.Bind{{Source: p.Path, Target: "/axle/patch"}},
		})
		var exit *sandbox.ExitError
		switch {
		case err == nil:
		case !errors.As(err, &exit) || exit.Signal != 0:
			return fmt.Errorf("applying patch %s: %w", p.Name, err)
		case exit.Code == 99:
			return fmt.Errorf("applying patch %s: no patch program is on the build's PATH: install patch", p.Name)
		case exit.Code > 2: // patch(1) ends with 1 or 2; the rest is the shell's
			return fmt.Errorf("applying patch %s: %w: %s", p.Name, err, log.Lines())
		default:
			text := log.Lines()
			if hunk, err := readPlain(root, "rejected", maxResult); err == nil {
				text += "\n" + firstHunk(string(hunk))
			}
			return &PatchError{Name: p.Name, Text: strings.TrimSpace(text)}
		}
	}
	return nil
}

// firstHunk is the head of a reject file: its file lines and one hunk, 40 lines at most.
func firstHunk(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	hunks := 0
	for i, line := range lines {
		if strings.HasPrefix(line, "@@ ") || strings.HasPrefix(line, "***************") {
			hunks++
		}
		if hunks == 2 || i == 40 {
			return strings.Join(lines[:i], "\n")
		}
	}
	return strings.Join(lines, "\n")
}
