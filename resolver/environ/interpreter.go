package environ

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/python-wheel-build/axle/internal/dist"
)

// Interpreter is the base interpreter that every build runs on.
type Interpreter struct {
	Executable string // real path, the same on the machine and in a sandbox
	Prefix     string // real path of sys.base_prefix
	SOABI      string // "cpython-311-x86_64-linux-gnu"
	// Target is what a wheel must fit. platform_release and platform_version
	// are empty among its markers: they name the kernel, which is no input.
	Target dist.Target

	platform string   // "linux-x86_64"
	stdlib   []string // sysconfig's stdlib and platstdlib
	alias    string   // a symbolic link to Prefix by which the interpreter knows itself, "" none
}

//go:embed probe.py
var probeScript string

// probe asks an interpreter about itself. It runs in an empty environment and
// folder, isolated and without site, so that nothing of the user's matters.
func probe(ctx context.Context, python string) (Interpreter, error) {
	for at := python; ; {
		a, err := ask(ctx, at)
		if err != nil {
			return Interpreter{}, fmt.Errorf("environment: Python %s: %w", python, err)
		}
		// A virtual environment or a launcher is asked only where it leads.
		if a.Executable == at {
			in, err := a.interpreter()
			if err != nil {
				return Interpreter{}, fmt.Errorf("environment: Python %s: %w", python, err)
			}
			return in, nil
		}
		if at != python {
			return Interpreter{}, fmt.Errorf("environment: Python %s leads to %s and on to %s: give the path of the base interpreter", python, at, a.Executable)
		}
		at = a.Executable
	}
}

type answer struct {
	Executable, Prefix, Exec, Implementation, Version, Flags, SOABI, Platform, Libc, Libdir string

	Stdlib  []string
	Markers map[string]string
}

func ask(ctx context.Context, python string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, "-I", "-S", "-c", probeScript)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1"}
	cmd.WaitDelay = time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		text := strings.TrimSpace(stderr.String())
		if i := strings.LastIndexByte(text, '\n'); i >= 0 {
			text = text[i+1:]
		}
		if text != "" {
			return answer{}, fmt.Errorf("it can't be run: %w: %s", err, text)
		}
		return answer{}, fmt.Errorf("it can't be run: %w", err)
	}
	var a answer
	if err := json.Unmarshal(out, &a); err != nil {
		return answer{}, fmt.Errorf("it does not answer like a Python: %w", err)
	}
	return a, nil
}

func (a answer) interpreter() (Interpreter, error) {
	if a.Implementation != "cpython" {
		return Interpreter{}, fmt.Errorf("it is %s, and only CPython is supported", a.Implementation)
	}
	glibc, ok := strings.CutPrefix(a.Libc, "glibc ")
	if !ok {
		return Interpreter{}, errors.New("it does not run on glibc: use a machine or container whose C library is glibc (musl is not supported)")
	}
	if a.Exec != a.Prefix {
		return Interpreter{}, fmt.Errorf("its exec_prefix %s is not its prefix %s, which is not supported", a.Exec, a.Prefix)
	}
	if !within(a.Executable, a.Prefix) || a.Prefix == "/" {
		return Interpreter{}, fmt.Errorf("its executable %s does not lie below its prefix %s", a.Executable, a.Prefix)
	}
	parts := strings.SplitN(a.Version, ".", 3)
	if len(parts) < 3 {
		return Interpreter{}, fmt.Errorf("its version %q is none", a.Version)
	}
	tag := "cp" + parts[0] + parts[1]
	in := Interpreter{
		Executable: a.Executable,
		Prefix:     a.Prefix,
		SOABI:      a.SOABI,
		platform:   a.Platform,
		stdlib:     a.Stdlib,
		Target: dist.Target{
			Python:            tag,
			ABI:               tag + a.Flags,
			Platform:          strings.NewReplacer("-", "_", ".", "_").Replace(a.Platform),
			Glibc:             glibc,
			PythonVersion:     parts[0] + "." + parts[1],
			PythonFullVersion: a.Version,
			Implementation:    a.Implementation,
			Machine:           strings.TrimPrefix(a.Platform, "linux-"),
			Markers:           a.Markers,
		},
	}
	// The dynamic loader finds libpython by the path the interpreter was built
	// for. Where that is a link to the prefix it must be there in a sandbox, or
	// the loader takes another libpython silently.
	if built := filepath.Dir(a.Libdir); a.Libdir != "" && !within(built, a.Prefix) && !within(built, "/usr") {
		if real, err := filepath.EvalSymlinks(built); err == nil && real == a.Prefix {
			in.alias = built
		}
	}
	return in, nil
}

// isSystem tells whether the package manager vouches for the interpreter.
func (in Interpreter) isSystem() bool {
	return within(in.Prefix, "/usr") && !within(in.Prefix, "/usr/local")
}

// own gives what the quoted paths of the interpreter's own files begin with,
// where its prefix is shown as a part of /usr/local; else nil.
func (in Interpreter) own() []string {
	if !within(in.Prefix, "/usr/local") {
		return nil
	}
	own := []string{in.Prefix + "/"}
	if in.Prefix == "/usr/local" {
		own = []string{in.Executable, in.Prefix + "/include/python", in.Prefix + "/lib/libpython"}
		for _, dir := range in.stdlib {
			own = append(own, dir+"/")
		}
	}
	for i, p := range own {
		own[i] = strings.Trim(strconv.Quote(p), `"`)
	}
	return own
}
