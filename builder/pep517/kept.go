package pep517

import (
	"context"
	_ "embed"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/python-wheel-build/axle/builder/sandbox"
)

//go:embed compile.py
var compile string

// What is made once for many builds is bound by limits of its own, and has no project's variables.
var (
	keptLimits = sandbox.Limits{Wall: 10 * time.Minute, Disk: 4 << 30, Log: 1 << 20}
	plainEnv   = map[string]string{"PATH": "/usr/bin:/bin", "HOME": "/build", "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
)

// made adds to the job what was made once for all builds on this machine.
func (e Env) made(ctx context.Context, wheels []Wheel, j *job) ([]sandbox.Bind, error) {
	binds, err := e.probed(ctx, j)
	if err != nil {
		return nil, fmt.Errorf("pep517: asking uv about %s: %w", e.Python, err)
	}
	compiled, err := e.bytecode(ctx, wheels, j)
	return append(binds, compiled...), err
}

// bytecode adds the compiled modules of each wheel to the job, made once for all builds with that wheel: else each process of each build
// compiles what it imports, since none may write bytecode where the backend could pack it.
func (e Env) bytecode(ctx context.Context, wheels []Wheel, j *job) ([]sandbox.Bind, error) {
	var binds []sandbox.Bind
	for i, w := range wheels {
		if w.Digest == "" {
			continue
		}
		inside := j.Wheels[i]
		dir, err := e.Sandbox.Kept(ctx, e.Slot, "bytecode "+e.Python+" "+w.Digest, sandbox.Command{
			Argv: []string{e.Python, "-I", "-S", "-B", "-W", "ignore", "-c", compile, inside}, Env: plainEnv,
			Binds: []sandbox.Bind{{Source: w.Path, Target: inside}}, Limits: keptLimits,
		})
		if err != nil {
			return nil, fmt.Errorf("pep517: compiling the modules of %s: %w", filepath.Base(w.Path), err)
		}
		if dir != "" {
			target := "/axle/bytecode/" + strconv.Itoa(i)
			binds, j.Bytecode = append(binds, sandbox.Bind{Source: dir, Target: target}), append(j.Bytecode, target)
		}
	}
	return binds, nil
}

// probed adds to the job what uv finds out about the interpreter, for which it runs it with half of the standard library.
func (e Env) probed(ctx context.Context, j *job) ([]sandbox.Bind, error) {
	stdin := fmt.Sprintf(`{"do": "probe", "python": %q}`, e.Python)
	dir, err := e.Sandbox.Kept(ctx, e.Slot, "uv "+e.Tools+" "+e.Python, sandbox.Command{
		Argv: []string{e.Python, "-I", "-S", "-c", hooks}, Stdin: []byte(stdin), Env: plainEnv, Binds: e.tools(), Limits: keptLimits,
	})
	if err != nil || dir == "" {
		return nil, err
	}
	j.Probed = "/axle/probed"
	return []sandbox.Bind{{Source: dir, Target: j.Probed}}, nil
}
