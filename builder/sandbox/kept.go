package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// kept remembers what was made once.
type kept struct {
	mu  sync.Mutex // guards all
	all map[string]string
}

// Kept gives a host folder with what a command leaves in /build/out, readable by every slot and to be shown to commands as a Bind. The first
// caller with a key runs the command, in a work folder of its own; it must follow from the key alone, since all later callers get the
// same folder, for as long as the Sandbox is used. "" is what a command gives that fails or goes over a limit, for ever too; it may leave no
// folder either. Two who ask at once both run it, and get one folder. c.Work is ignored.
func (s *Sandbox) Kept(ctx context.Context, slot int, key string, c Command) (string, error) {
	s.kept.mu.Lock()
	dir, ok := s.kept.all[key]
	s.kept.mu.Unlock()
	if ok {
		return dir, nil
	}
	dir, err := s.make(ctx, slot, c)
	if err == nil {
		dir = filepath.Join(dir, "out")
		if info, no := os.Lstat(dir); no != nil || !info.IsDir() {
			dir = ""
		}
	}
	var exit *ExitError
	var limit *LimitError
	if errors.As(err, &exit) || errors.As(err, &limit) {
		dir, err = "", nil
	}
	if err != nil {
		return "", err
	}
	s.kept.mu.Lock()
	defer s.kept.mu.Unlock()
	if first, ok := s.kept.all[key]; ok {
		return first, nil
	}
	s.kept.all[key] = dir
	return dir, nil
}

// make runs a command in a new work folder below scratch and gives that folder, which nobody inside a sandbox can write to any more: it is shown
// read-only, and as root it isn't a slot's.
func (s *Sandbox) make(ctx context.Context, slot int, c Command) (string, error) {
	work, err := os.MkdirTemp(s.scratch, "kept-")
	if err != nil {
		return "", fmt.Errorf("sandbox: %w", err)
	}
	if err := s.Prepare(slot, work); err != nil {
		return "", err
	}
	c.Work = work
	if err := s.Run(ctx, slot, c); err != nil {
		return "", errors.Join(err, Remove(work))
	}
	if s.asRoot {
		return work, own(work, 0)
	}
	return work, nil
}
