package host

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/python-wheel-build/axle/resolver/view/plugins"
)

//go:embed plugins.py
var pluginsScript string

// pluginsTime is how long a Python may take to say what its plugins are made of.
const pluginsTime = time.Minute

// Plugins finds fromager's override plugins in the environment of a Python, a path or a program on PATH. Nothing installed there is
// imported or run: not a plugin, not a .pth file, not sitecustomize. It is asked twice and must say the same, so that what was found is
// never half of one installation and half of the next. Errors name the plugin and the next step.
func Plugins(ctx context.Context, python string) (plugins.Found, error) {
	path, err := exec.LookPath(python)
	if err != nil {
		return plugins.Found{}, fmt.Errorf("plugins: %s: %w; install it or name another Python with `plugins:` in the config", python, err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return plugins.Found{}, err
	}
	first, err := askPlugins(ctx, path)
	if err != nil {
		return plugins.Found{}, fmt.Errorf("plugins of %s: %w", python, err)
	}
	second, err := askPlugins(ctx, path)
	if err != nil {
		return plugins.Found{}, fmt.Errorf("plugins of %s: %w", python, err)
	}
	if !bytes.Equal(first, second) {
		return plugins.Found{}, fmt.Errorf("plugins of %s changed while being read: publish again when nobody installs or edits them", python)
	}
	found, err := plugins.Parse(first)
	if err != nil {
		return plugins.Found{}, fmt.Errorf("plugins of %s: %w", python, err)
	}
	return found, nil
}

func askPlugins(ctx context.Context, python string) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, pluginsTime, fmt.Errorf("no answer after %s", pluginsTime))
	defer cancel()
	cmd := exec.CommandContext(ctx, python, "-I", "-S", "-B", "-c", pluginsScript)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"}
	cmd.WaitDelay = time.Second
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	out, err := io.ReadAll(io.LimitReader(stdout, plugins.MaxAnswer+1))
	if len(out) > plugins.MaxAnswer {
		cancel()
		err = fmt.Errorf("the sources of the plugins are larger than %d MiB: is that the right Python?", plugins.MaxAnswer>>20)
	}
	if failed := cmd.Wait(); err == nil && failed != nil {
		if ctx.Err() != nil {
			failed = context.Cause(ctx)
		}
		lines := strings.Split(strings.TrimSpace(complaint.String()), "\n")
		err = errors.New(strings.TrimSuffix(fmt.Sprintf("it can't be asked: %v: %s", failed, lines[len(lines)-1]), ": "))
	}
	return out, err
}
