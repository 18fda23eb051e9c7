// Package pep517 calls the build backend of an unpacked source (PEP 517) inside the sandbox.
//
// A build's work folder is /build inside, at the same place for every build since paths end up in wheels:
//
//	src/          the unpacked source
//	venv/         the build environment, made anew by each Run from exactly the given wheels; small ones lie in memory
//	out/          where build_wheel puts the wheel
//	meta/         where prepare_metadata_for_build_wheel puts the metadata
//	home/         $HOME
//	result.json   what the hooks answered
//
// All that lies there is the backend's to change, so everything is read back as a stranger's: sizes bounded, links not
// followed, names taken as plain names.
//
// A build takes ReadSystem, then Env.Patch, then Env.Run once or more: with the static requirements, and again with
// more wheels if the hooks ask for more.
package pep517

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/python-wheel-build/axle/builder/sandbox"
	"github.com/python-wheel-build/axle/internal/archive"
	"github.com/python-wheel-build/axle/resolver/view"
)

//go:embed hooks.py
var hooks string

const (
	maxResult   = 4 << 20
	maxMetadata = 16 << 20

	hookFailed = 3 // hooks.py's exit code when the result says how
)

// Env is where the hooks of one build run. Work belongs to the slot (sandbox.Prepare), and nobody else changes it meanwhile.
type Env struct {
	Sandbox   *sandbox.Sandbox
	Slot      int
	Work      string            // host folder, /build inside; the source lies at Work/src
	Tools     string            // host folder with bin/uv and lib/pyproject_hooks
	Python    string            // the interpreter, absolute; the Root shows it at the same path
	Variables map[string]string // the settings' environment variables: they win over all others
	Templates map[string]string // variables whose values refer to these others: see view.Fill
	Binds     []sandbox.Bind    // shown to hooks besides
	Jobs      int               // how much tools may do at once; 0 is the slot's share of the cores
	Limits    sandbox.Limits    // of each call
	Log       io.Writer         // what uv and the backend print; nil drops it
}

// Wheel is one of a build environment.
type Wheel struct {
	Path   string // on the host; the base name is a wheel filename
	Digest string // of its bytes: names what is made of it once, for later builds too; "" for a wheel of which nothing is kept
}

// Step is one call of the backend.
type Step struct {
	Do             string // "prepare": metadata; "build": a wheel
	System         System
	Wheels         []Wheel
	ConfigSettings map[string]any // values are string or []string
	BuildDir       string         // the project's root below src, slash-separated; "" is src
	// HaveRequires says that Wheels holds what the backend asks for, so it isn't asked again.
	HaveRequires bool
}

// Result is what a Step gave. One of its fields is set.
type Result struct {
	Requires  []string // not empty: the backend wants these besides, as it wrote them, and nothing further ran
	Wheel     string   // build: host path of the wheel that the hook returned, a regular file in Work/out, whatever lies beside it
	Metadata  []byte   // prepare: the METADATA file
	NoPrepare bool     // prepare: the backend has no such hook; only a build tells
}

// BackendError says that the project's backend failed, or that its answer is none. The log has the whole story.
type BackendError struct {
	Hook string // the PEP 517 hook, or "install" when the build environment could not be made
	Text string // how, in one line
	// Output is the last lines that the backend printed, where it failed by itself; why it did stands in them or above them.
	Output string
}

func (e *BackendError) Error() string {
	return strings.TrimSpace(e.Hook + " failed: " + e.Text + "\n" + e.Output)
}

// job is what hooks.py reads.
type job struct {
	Do             string         `json:"do"`
	Python         string         `json:"python"`
	Wheels         []string       `json:"wheels"`
	Bytecode       []string       `json:"bytecode"`
	Probed         string         `json:"probed"`
	Source         string         `json:"source"`
	Backend        string         `json:"backend"`
	BackendPath    []string       `json:"backend_path"`
	ConfigSettings map[string]any `json:"config_settings"`
	HaveRequires   bool           `json:"have_requires"`
}

// answer is what hooks.py writes, or anything that the backend wrote over it.
type answer struct {
	Requires  []string `json:"requires"`
	Metadata  string   `json:"metadata"`
	NoPrepare bool     `json:"no_prepare"`
	Wheel     string   `json:"wheel"`
	Hook      string   `json:"hook"`
	Error     string   `json:"error"`
}

// Run makes the build environment and asks the backend for its requirements; when there are none (or HaveRequires says they
// are met) it goes on to prepare or build, all in one sandbox. It may be called again in the same work folder. Errors: *BackendError for
// what the project is to blame for, and others, which are not the project's doing, as a rule: *sandbox.LimitError above all.
func (e Env) Run(ctx context.Context, s Step) (Result, error) {
	j, binds, err := e.job(s)
	if err != nil {
		return Result{}, fmt.Errorf("pep517: %w", err)
	}
	if len(s.Wheels) > 0 {
		made, err := e.made(ctx, s.Wheels, &j)
		if err != nil {
			return Result{}, err
		}
		binds = append(binds, made...)
	}
	stdin, err := json.Marshal(j)
	if err != nil {
		return Result{}, fmt.Errorf("pep517: %w", err)
	}
	root, err := os.OpenRoot(e.Work)
	if err != nil {
		return Result{}, fmt.Errorf("pep517: %w", err)
	}
	defer root.Close()
	if err := root.RemoveAll("result.json"); err != nil {
		return Result{}, fmt.Errorf("pep517: removing an earlier result: %w", err)
	}
	if err := sandbox.Remove(filepath.Join(e.Work, "venv")); err != nil {
		return Result{}, fmt.Errorf("pep517: removing an earlier environment: %w", err)
	}
	log := &sandbox.Tail{To: e.Log}
	err = e.Sandbox.Run(ctx, e.Slot, sandbox.Command{
		Argv: []string{e.Python, "-I", "-S", "-c", hooks}, Stdin: stdin,
		Env: e.environment(), Work: e.Work, Binds: binds, Memory: memory(s.Wheels), Limits: e.Limits, Log: log,
	})
	var exit *sandbox.ExitError
	switch {
	case err == nil:
		return e.result(root, s, log)
	case !errors.As(err, &exit) || exit.Signal != 0:
		return Result{}, err
	case exit.Code != hookFailed:
		return Result{}, fmt.Errorf("pep517: calling the hooks: %w\n%s", err, log.Lines())
	}
	if _, err := e.result(root, s, log); err != nil {
		return Result{}, err
	}
	return Result{}, &BackendError{Hook: s.hook(), Text: "it failed, but left a result that says otherwise"}
}

// hook is the one that the step is about.
func (s Step) hook() string {
	return map[string]string{"prepare": "prepare_metadata_for_build_wheel", "build": "build_wheel"}[s.Do]
}

func (e Env) job(s Step) (job, []sandbox.Bind, error) {
	j := job{
		Do: s.Do, Python: e.Python, Wheels: []string{}, Bytecode: []string{}, Source: path.Join("/build/src", s.BuildDir), Backend: s.System.Backend,
		BackendPath: s.System.BackendPath, ConfigSettings: map[string]any{}, HaveRequires: s.HaveRequires,
	}
	if s.Do != "prepare" && s.Do != "build" {
		return j, nil, fmt.Errorf("no step %q", s.Do)
	}
	if s.BuildDir != "" && !filepath.IsLocal(s.BuildDir) {
		return j, nil, fmt.Errorf("build folder %q is not below the source", s.BuildDir)
	}
	for k, v := range s.ConfigSettings {
		switch v := v.(type) {
		case string, []string:
			j.ConfigSettings[k] = v
		default:
			return j, nil, fmt.Errorf("config setting %q is a %T: a string or a list of strings is needed", k, v)
		}
	}
	binds := append(e.tools(), e.Binds...)
	seen := map[string]bool{}
	for _, w := range s.Wheels {
		name := filepath.Base(w.Path)
		if seen[name] {
			return j, nil, fmt.Errorf("two wheels are named %s", name)
		}
		seen[name] = true
		inside := "/axle/wheels/" + name
		binds = append(binds, sandbox.Bind{Source: w.Path, Target: inside})
		j.Wheels = append(j.Wheels, inside)
	}
	return j, binds, nil
}

func (e Env) tools() []sandbox.Bind {
	return []sandbox.Bind{
		{Source: filepath.Join(e.Tools, "bin/uv"), Target: "/axle/uv"},
		{Source: filepath.Join(e.Tools, "lib/pyproject_hooks"), Target: "/axle/lib/pyproject_hooks"},
	}
}

// environment is the whole environment of every command. None of it depends on the machine but the number of jobs, which
// changes no wheel.
func (e Env) environment() map[string]string {
	root := e.Sandbox.Root()
	jobs := strconv.Itoa(cmp.Or(e.Jobs, max(1, runtime.GOMAXPROCS(0)/e.Sandbox.Slots())))
	env := map[string]string{
		"PATH": strings.Join(append([]string{"/build/venv/bin"}, root.Path...), ":"),
		"HOME": "/build/home", "TMPDIR": "/tmp", "VIRTUAL_ENV": "/build/venv",
		"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC",
		"SOURCE_DATE_EPOCH": "1700000000",
		"PYTHONHASHSEED":    "0", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONNOUSERSITE": "1",
		"PYTHONUNBUFFERED": "1", // who follows a build reads each line when it is printed, and in the order of all that print
		"MAX_JOBS":         jobs, "CMAKE_BUILD_PARALLEL_LEVEL": jobs, "MAKEFLAGS": "-j" + jobs,
		"CARGO_NET_OFFLINE": "true",
	}
	maps.Copy(env, root.Env)
	own := maps.Clone(env)
	maps.Copy(env, e.Variables)
	for name, template := range e.Templates {
		env[name] = view.Fill(template, own)
	}
	return env
}

// machine are the errors of reading a file that no content of the work folder explains.
var machine = []error{syscall.EMFILE, syscall.ENFILE, syscall.EIO, syscall.ENOMEM, syscall.ESTALE}

// result reads what the hooks left.
func (e Env) result(root *os.Root, s Step, log *sandbox.Tail) (Result, error) {
	bad := func(format string, args ...any) (Result, error) {
		for _, a := range args {
			if err, is := a.(error); is && slices.ContainsFunc(machine, func(e error) bool { return errors.Is(err, e) }) {
				return Result{}, fmt.Errorf("pep517: reading what the hooks left: %w", err)
			}
		}
		return Result{}, &BackendError{Hook: s.hook(), Text: fmt.Sprintf(format, args...)}
	}
	text, err := readPlain(root, "result.json", maxResult)
	if err != nil {
		return bad("no result: %v", err)
	}
	var a answer
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&a); err != nil {
		return bad("the result can't be read: %v", err)
	}
	switch {
	case a.Hook != "":
		return Result{}, &BackendError{Hook: a.Hook, Text: a.Error, Output: log.Lines()}
	case len(a.Requires) > 0 && !s.HaveRequires:
		return Result{Requires: a.Requires}, nil
	case s.Do == "prepare" && a.NoPrepare:
		return Result{NoPrepare: true}, nil
	case s.Do == "prepare":
		if !plain(a.Metadata) {
			return bad("it returned %q, which is not the name of a folder", a.Metadata)
		}
		if err := isFolders(root, "meta", path.Join("meta", a.Metadata)); err != nil {
			return bad("%v", err)
		}
		b, err := readPlain(root, path.Join("meta", a.Metadata, "METADATA"), maxMetadata)
		if err != nil {
			return bad("%v", err)
		}
		return Result{Metadata: b}, nil
	}
	if !plain(a.Wheel) || !strings.HasSuffix(a.Wheel, ".whl") {
		return bad("it returned %q, which is not the name of a wheel", a.Wheel)
	}
	if err := isFolders(root, "out"); err != nil {
		return bad("%v", err)
	}
	inside := path.Join("out", a.Wheel)
	if info, err := root.Lstat(inside); err != nil {
		return bad("it returned %q: %v", a.Wheel, err)
	} else if !info.Mode().IsRegular() {
		return bad("%s is not a regular file", a.Wheel)
	}
	return Result{Wheel: filepath.Join(e.Work, "out", a.Wheel)}, nil
}

// plain tells whether s is the name of one entry of a folder.
func plain(s string) bool {
	return s != "" && s != "." && s != ".." && !strings.ContainsAny(s, "/\x00")
}

// isFolders checks that each is a folder, not a link to one.
func isFolders(root *os.Root, names ...string) error {
	for _, name := range names {
		if info, err := root.Lstat(name); err != nil {
			return err
		} else if !info.IsDir() {
			return fmt.Errorf("%s is not a folder", name)
		}
	}
	return nil
}

// readPlain is archive.ReadFile that refuses a link.
func readPlain(root *os.Root, name string, limit int64) ([]byte, error) {
	if info, err := root.Lstat(name); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	return archive.ReadFile(root, name, limit)
}
