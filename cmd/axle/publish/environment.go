package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/python-wheel-build/axle/builder/machine"
	"github.com/python-wheel-build/axle/builder/sandbox"
	"github.com/python-wheel-build/axle/cmd/axle/progress"
	"github.com/python-wheel-build/axle/resolver/environ"
	"github.com/python-wheel-build/axle/resolver/view/config"
)

// Environment is this machine as one view's builds would find it.
type Environment struct {
	Interpreter environ.Interpreter
	Set         environ.Set

	collector environ.Collector
}

// signSuffix is how variables end that are part of the environment's digest and are not shown to builds.
const signSuffix = "_BUILD_ENV_SIGN"

// readEnvironment computes what the configuration declares of this machine. That takes long where much of it was never hashed before.
func readEnvironment(ctx context.Context, c config.View, show io.Writer) (e Environment, err error) {
	python := c.Python
	if python == "" {
		python = "python3"
	}
	path, err := exec.LookPath(python)
	if err != nil {
		return e, fmt.Errorf("python %s: %w; install it or name another one with `python:` in the config", python, err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return e, err
	}
	bar := progress.New(show, "reading the build environment, bytes")
	e.collector = environ.Collector{Python: path, Env: map[string]string{}, Sign: map[string]string{}, Paths: c.Paths, Files: c.Files, Image: c.Image, Cache: manifestCache(),
		Progress: func(folder string, done, total int64) { bar.Set(done, total) }}
	for _, variable := range c.Env {
		if value, ok := os.LookupEnv(variable); ok {
			e.collector.Env[variable] = value
		}
	}
	for _, variable := range os.Environ() {
		if variable, value, _ := strings.Cut(variable, "="); strings.HasSuffix(variable, signSuffix) {
			e.collector.Sign[variable] = value
		}
	}
	e.Set, e.Interpreter, err = e.collector.Collect(ctx)
	bar.Done()
	e.collector.Progress = nil
	return e, err
}

// Same says that the two are one environment of one interpreter.
func (e Environment) Same(python string, set environ.Set) bool {
	return e.Interpreter.Executable == python && sameSet(e.Set, set)
}

// Open walls in the environment for as many builds at once as there are slots. It is an error where the machine is not what it was when
// it was read.
func (e Environment) Open(ctx context.Context, scratch string, slots int) (*sandbox.Sandbox, machine.Watch, string, error) {
	watch, err := e.collector.Watch(ctx, e.Interpreter)
	if err != nil {
		return nil, nil, "", err
	}
	stamp := watch.Stamp()
	set, in, err := e.collector.Collect(ctx)
	if err != nil {
		return nil, nil, "", err
	}
	if !sameSet(set, e.Set) {
		return nil, nil, "", fmt.Errorf("the machine is not what it was when its environment was read (%s); send SIGHUP to the server to read it anew",
			strings.Join(environ.Diff(e.Set, set), "; "))
	}
	root, err := e.collector.Root(ctx, in)
	if err != nil {
		return nil, nil, "", err
	}
	if watch.Stamp() != stamp {
		return nil, nil, "", errors.New("the machine changes while its environment is read: wait until nothing is being installed, then ask again")
	}
	box, err := sandbox.New(root, scratch, slots)
	if err != nil {
		return nil, nil, "", err
	}
	if err := box.SelfTest(ctx, in.Executable); err != nil {
		return nil, nil, "", err
	}
	return box, watch, stamp, box.Precompile(ctx, in.Executable)
}

func sameSet(a, b environ.Set) bool {
	return maps.EqualFunc(a, b, func(x, y environ.Component) bool { return x.Value == y.Value && string(x.Text) == string(y.Text) })
}

// manifestCache is a file that only saves time, so it may be absent.
func manifestCache() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "axle", "manifest")
}
