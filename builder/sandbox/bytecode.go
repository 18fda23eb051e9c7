package sandbox

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/python-wheel-build/axle/resolver/environ"
)

//go:embed bytecode.py
var bytecode string

// Precompile gives an interpreter whose __pycache__ folders the Root hides new ones in their place, made inside the sandbox of the
// sources that the Root shows: else each of its processes compiles what it imports, a third of a second for a build with three.
// They hold what builds import most, lie below scratch for as long as the Sandbox is used, and are read-only for builds; a file that no
// longer fits its source is ignored by the interpreter. To be called before the first Run, or never.
func (s *Sandbox) Precompile(ctx context.Context, python string) error {
	var hidden []string
	for _, m := range s.root.Mounts {
		if m.Kind == "tmpfs" && path.Base(m.Target) == "__pycache__" {
			hidden = append(hidden, m.Target)
		}
	}
	if len(hidden) == 0 {
		return nil
	}
	stdin, err := json.Marshal(hidden)
	if err != nil {
		return fmt.Errorf("precompiling: %w", err)
	}
	var log bytes.Buffer
	work, err := s.make(ctx, 0, Command{
		Argv: []string{python, "-I", "-S", "-B", "-c", bytecode}, Env: map[string]string{"PATH": "/usr/bin:/bin"}, Stdin: stdin,
		Log: &log, Limits: Limits{Wall: 5 * time.Minute, Disk: 1 << 30, Log: 1 << 20},
	})
	if err != nil {
		return fmt.Errorf("precompiling for %s: %w\n%s", python, err, log.Bytes())
	}
	mounts := slices.Clone(s.root.Mounts)
	for i, m := range mounts {
		made := filepath.Join(work, strconv.Itoa(slices.Index(hidden, m.Target)))
		if info, err := os.Lstat(made); err == nil && info.IsDir() {
			mounts[i] = environ.Mount{Kind: "bind", Source: made, Target: m.Target}
		}
	}
	s.root.Mounts = mounts
	return nil
}
