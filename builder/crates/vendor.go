package crates

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/python-wheel-build/axle/builder/sandbox"
)

// Where hooks see the crates and the cargo configuration that names them.
const (
	crateFolder = "/vendor"
	cargoHome   = "/axle/cargo"
)

const maxLock = 16 << 20

//go:embed vendor.sh
var script string

// Step gets the crates of one source.
type Step struct {
	Sandbox   *sandbox.Sandbox
	Slot      int
	Build     string            // host folder of the build; the source lies in src
	Work      string            // host folder that is empty and belongs to the slot; what is vendored stays in it
	Manifests []string          // as Find gave them, one at least
	Variables map[string]string // the settings' environment variables
	Limits    sandbox.Limits
	Log       io.Writer // what cargo prints; nil drops it
}

// Vendored is what a Step got. Hooks that are shown Binds and have Env use these crates and nothing else.
type Vendored struct {
	Binds []sandbox.Bind
	Env   map[string]string
	// Locks are the texts of the Cargo.lock files that had to be made since the source has none.
	Locks []string
}

// Error says that the source is to blame: its lock doesn't fit, or cargo can't make sense of it.
type Error struct{ Text string }

func (e *Error) Error() string { return "getting the crates: " + e.Text }

// Vendor copies the source, makes the locks that it lacks, and runs cargo vendor --locked, in a sandbox with the network and
// with the cargo that is first on the sandbox's PATH. Errors: *Error, and others for what isn't the source's fault, such as a
// registry that can't be reached.
func (s Step) Vendor(ctx context.Context) (Vendored, error) {
	root := s.Sandbox.Root()
	env := map[string]string{"PATH": strings.Join(root.Path, ":"), "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC", "TMPDIR": "/tmp"}
	maps.Copy(env, root.Env)
	maps.Copy(env, s.Variables)
	env["HOME"], env["CARGO_HOME"] = "/build/home", "/build/cargo"
	delete(env, "CARGO_NET_OFFLINE") // it is meant for hooks
	argv := []string{"/bin/sh", "-c", script, "vendor"}
	for _, m := range s.Manifests {
		argv = append(argv, path.Join("/build/src", m))
	}
	log := &sandbox.Tail{To: s.Log}
	err := s.Sandbox.Run(ctx, s.Slot, sandbox.Command{
		Argv: argv, Env: env, Work: s.Work, Limits: s.Limits, Log: log, Network: true,
		// The folder around the source: the source itself may be a link by now, which is followed inside, not here.
		Binds: []sandbox.Bind{{Source: s.Build, Target: "/axle/tree"}},
	})
	var exit *sandbox.ExitError
	if errors.As(err, &exit) && exit.Code == 101 {
		return Vendored{}, verdict(log.String())
	}
	if err != nil {
		return Vendored{}, fmt.Errorf("getting the crates: %w\n%s", err, log.Lines())
	}
	v, err := s.result()
	if err != nil {
		return Vendored{}, fmt.Errorf("getting the crates: %w", err)
	}
	return v, nil
}

// unreachable are the words of cargo by which it says that a registry or a repository didn't give what it should.
var unreachable = []string{"spurious network error", "network failure seems to have happened", "failed to download", "failed to clone into", "failed to fetch into"}

// verdict tells by cargo's output whose fault it is that it failed.
func verdict(output string) error {
	reason := output
	if i := strings.LastIndex(output, "\nerror: "); i >= 0 {
		reason = output[i+1:]
	}
	reason = strings.TrimSpace(reason)
	for _, words := range unreachable {
		if strings.Contains(reason, words) {
			return fmt.Errorf("getting the crates: the registry can't be reached, or doesn't give one of them: %s", reason)
		}
	}
	if strings.Contains(reason, "--locked was passed") {
		return &Error{"Cargo.lock is out of date: it does not fit Cargo.toml, and no other crates than the locked ones are used; patch one of the two: " + reason}
	}
	return &Error{reason}
}

// result reads what cargo left.
func (s Step) result() (Vendored, error) {
	root, err := os.OpenRoot(s.Work)
	if err != nil {
		return Vendored{}, err
	}
	defer root.Close()
	for _, name := range []string{"config", "vendor"} {
		if info, err := root.Lstat(name); err != nil {
			return Vendored{}, err
		} else if !info.IsDir() {
			return Vendored{}, fmt.Errorf("%s is not a folder", name)
		}
	}
	text, err := read(root, "config/config.toml")
	if err != nil {
		return Vendored{}, err
	}
	// Without any crate cargo prints nothing.
	const written = `directory = "/build/vendor"`
	config := strings.Replace(string(text), written, fmt.Sprintf("directory = %q", crateFolder), 1)
	if config == string(text) && config != "" {
		return Vendored{}, fmt.Errorf("cargo's configuration for the crates does not say %s: %q", written, config)
	}
	if err := root.Remove("config/config.toml"); err != nil {
		return Vendored{}, err
	}
	if err := root.WriteFile("config/config.toml", []byte(config), 0o644); err != nil {
		return Vendored{}, err
	}
	v := Vendored{
		Binds: []sandbox.Bind{{Source: filepath.Join(s.Work, "vendor"), Target: crateFolder}, {Source: filepath.Join(s.Work, "config"), Target: cargoHome}},
		Env:   map[string]string{"CARGO_HOME": cargoHome, "CARGO_NET_OFFLINE": "true"},
	}
	for i := range s.Manifests {
		b, err := readUpTo(root, "locks/"+strconv.Itoa(i), maxLock)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Vendored{}, err
		}
		v.Locks = append(v.Locks, string(b))
	}
	return v, nil
}
