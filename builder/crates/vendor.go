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
	"unicode/utf8"

	"github.com/python-wheel-build/axle/builder/sandbox"
	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/archive"
)

// Where hooks see the crates and the cargo configuration that names them.
const (
	crateFolder = "/vendor"
	cargoHome   = "/axle/cargo"
)

const maxLock = 16 << 20

var (
	//go:embed vendor.sh
	vendorScript string
	//go:embed check.sh
	checkScript string
)

// Registry says how cargo reaches the crate registry. The zero one is cargo's own default.
type Registry struct {
	// Config is a cargo configuration (TOML), the only one that is read; Env are variables for cargo. Both may hold secrets: nothing
	// of a source runs where they are seen.
	Config []byte
	Env    map[string]string
}

// Step gets the crates of one source.
type Step struct {
	Sandbox   *sandbox.Sandbox
	Slot      int
	Build     string            // host folder of the build; the source lies in src
	Dir       string            // a host folder that no build may write, empty or not there yet; what is vendored stays in it
	Manifests []Manifest        // as Find gave them, one at least
	Made      map[string][]byte // as Vendored.Made was for this source before: the same crates are used again
	Registry  Registry
	Store     *cas.Store        // keeps each crate of the registry as a blob, by the checksum that a lock has of it
	Variables map[string]string // the settings' environment variables
	Limits    sandbox.Limits
	Log       io.Writer // what cargo prints; nil drops it
}

// Vendored is what a Step got. Hooks that are shown Binds and have Env use these crates and nothing else.
type Vendored struct {
	Binds []sandbox.Bind
	Env   map[string]string
	// Locks are the Cargo.lock files that the source lacks, by path below it. They belong into the source of the build.
	Locks map[string][]byte
	// Made is all that was chosen and stands in no lock of the source, by path below it: Locks, and, with ".features" after the path of a
	// lock, the crates that features bring in and that cargo resolves beside that lock, in the form of a lock.
	Made map[string][]byte
}

// Carry puts the locks of a Vendored into the source of its build, which lacks them: it is an error where one is there.
func Carry(build string, locks map[string][]byte) error {
	src, err := source(build)
	if err != nil {
		return err
	}
	defer src.Close()
	for path, text := range locks {
		f, err := src.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		_, err = f.Write(text)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// Error says that the source is to blame: its lock doesn't fit, or cargo can't make sense of it.
type Error struct{ Text string }

func (e *Error) Error() string { return "getting the crates: " + e.Text }

// lock is the Cargo.lock of a manifest.
type lock struct {
	path   string // below the source
	text   []byte // nil where there is none
	made   bool   // the source has none
	beside []byte // the crates that its manifest's features bring in beside it, in the form of a lock; nil where there are none
}

// Vendor copies the source, makes the locks that it lacks, and gets exactly the crates that the locks name. Where the store has them
// all, that takes no network; else cargo vendor --locked runs in a sandbox with the network, and the store has them the next time. cargo
// is the first on the sandbox's PATH. Errors: *Error, and others for what isn't the source's fault, such as a registry that can't be
// reached.
func (s Step) Vendor(ctx context.Context) (Vendored, error) {
	v, err := s.vendor(ctx)
	var bad *Error
	if err != nil && !errors.As(err, &bad) {
		err = fmt.Errorf("getting the crates: %w", err)
	}
	return v, err
}

func (s Step) vendor(ctx context.Context) (Vendored, error) {
	if err := s.lay(); err != nil {
		return Vendored{}, err
	}
	root, err := os.OpenRoot(s.work())
	if err != nil {
		return Vendored{}, err
	}
	defer root.Close()
	if err := s.run(ctx, false, vendorScript, "locate"); err != nil {
		return Vendored{}, err
	}
	locks, err := s.locks(root)
	if err != nil {
		return Vendored{}, err
	}
	stored, err := s.stored(ctx, locks)
	if err != nil {
		return Vendored{}, err
	}
	if stored {
		return s.result(s.own("vendor"), s.own("config"), locks), nil
	}
	if err := s.run(ctx, true, vendorScript, "fetch"); err != nil {
		return Vendored{}, err
	}
	if locks, err = s.locks(root); err != nil {
		return Vendored{}, err
	}
	if err := s.addBeside(ctx, root, locks); err != nil {
		return Vendored{}, err
	}
	if err := s.keep(ctx, root, locks); err != nil {
		return Vendored{}, err
	}
	// What the store has is what the next build sees: this one, too.
	if stored, err = s.stored(ctx, locks); err != nil {
		return Vendored{}, err
	}
	if stored {
		return s.result(s.own("vendor"), s.own("config"), locks), nil
	}
	if err := vendored(root); err != nil {
		return Vendored{}, err
	}
	if err := s.vendorBeside(ctx, locks); err != nil {
		return Vendored{}, err
	}
	return s.result(filepath.Join(s.work(), "vendor"), filepath.Join(s.work(), "config"), locks), nil
}

func (s Step) work() string           { return filepath.Join(s.Dir, "work") } // the sandbox's /build
func (s Step) own(name string) string { return filepath.Join(s.Dir, name) }   // what only Axle writes

// lay makes the step's folders: work for the sandbox, in for what it reads: the locks by path, the features by number of the manifest.
func (s Step) lay() error {
	for _, dir := range []string{s.work(), s.own("in/features"), s.own("in/locks"), s.own("cargo")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(s.own("cargo/config.toml"), s.Registry.Config, 0o644); err != nil {
		return err
	}
	for i, m := range s.Manifests {
		if len(m.Features) == 0 {
			continue
		}
		if err := os.WriteFile(filepath.Join(s.own("in/features"), strconv.Itoa(i)), []byte(strings.Join(m.Features, ",")), 0o644); err != nil {
			return err
		}
	}
	in, err := os.OpenRoot(s.own("in/locks"))
	if err != nil {
		return err
	}
	defer in.Close()
	for name, text := range s.Made {
		if err := in.MkdirAll(path.Dir(name), 0o755); err != nil {
			return err
		}
		if err := in.WriteFile(name, text, 0o644); err != nil {
			return err
		}
	}
	return s.Sandbox.Prepare(s.Slot, s.work())
}

// run runs a script on the manifests. With the network it sees how the registry is reached; without, the crates that Axle laid out.
func (s Step) run(ctx context.Context, network bool, script string, args ...string) error {
	root := s.Sandbox.Root()
	env := map[string]string{"PATH": strings.Join(root.Path, ":"), "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC", "TMPDIR": "/tmp"}
	maps.Copy(env, root.Env)
	maps.Copy(env, s.Variables)
	delete(env, "CARGO_NET_OFFLINE") // it is meant for hooks
	// The folder around the source: the source itself may be a link by now, which is followed inside, not here.
	binds := []sandbox.Bind{{Source: s.Build, Target: "/axle/tree"}, {Source: s.own("in"), Target: "/axle/in"}}
	if network {
		maps.Copy(env, s.Registry.Env)
		binds = append(binds, sandbox.Bind{Source: s.own("cargo"), Target: "/.cargo"})
	}
	env["HOME"], env["CARGO_HOME"] = "/build/home", "/build/cargo"
	if script == checkScript {
		env["CARGO_HOME"] = cargoHome
		binds = append(binds, s.binds(s.own("vendor"), s.own("config"))...)
	}
	argv := append([]string{"/bin/sh", "-c", script, "axle"}, args...)
	for _, m := range s.Manifests {
		argv = append(argv, path.Join("/build/src", m.Path))
	}
	log := &sandbox.Tail{To: s.Log}
	err := s.Sandbox.Run(ctx, s.Slot, sandbox.Command{Argv: argv, Env: env, Work: s.work(), Limits: s.Limits, Log: log, Network: network, Binds: binds})
	var exit *sandbox.ExitError
	if errors.As(err, &exit) && exit.Code == 101 {
		return verdict(log.String())
	}
	if err != nil {
		return fmt.Errorf("%w\n%s", err, log.Lines())
	}
	return nil
}

// unreachable are the words of cargo by which it says that a registry or a repository didn't give what it should.
var unreachable = []string{"spurious network error", "network failure seems to have happened", "failed to download", "download of config.json failed",
	"failed to clone into", "failed to fetch into", "failed to query replaced source"}

// verdict tells by cargo's output whose fault it is that it failed.
func verdict(output string) error {
	reason := output
	if i := strings.LastIndex(output, "\nerror: "); i >= 0 {
		reason = output[i+1:]
	}
	reason = strings.TrimSpace(reason)
	for _, words := range unreachable {
		if strings.Contains(reason, words) {
			return fmt.Errorf("the registry can't be reached, or doesn't give one of them: %s", reason)
		}
	}
	if strings.Contains(reason, "--locked was passed") {
		return &Error{"Cargo.lock is out of date: it does not fit Cargo.toml, and no other crates than the locked ones are used; patch one of the two: " + reason}
	}
	return &Error{reason}
}

// locks reads what the script left of the manifests' locks.
func (s Step) locks(root *os.Root) ([]lock, error) {
	all := make([]lock, len(s.Manifests))
	for i := range all {
		name := "locks/" + strconv.Itoa(i)
		at, err := read(root, name+".path")
		if err != nil {
			return nil, err
		}
		all[i].path = string(at)
		if !filepath.IsLocal(all[i].path) || !utf8.Valid(at) {
			return nil, &Error{fmt.Sprintf("the lock of %q would be at %q, which is no name below the source", s.Manifests[i].Path, at)}
		}
		all[i].beside = s.Made[all[i].path+besideLock]
		_, err = root.Lstat(name + ".made")
		all[i].made = err == nil
		if all[i].text, err = archive.ReadFile(root, name, maxLock); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return all, nil
}

// vendored looks over what cargo left, and has its configuration name the place where hooks see the crates.
func vendored(root *os.Root) error {
	for _, name := range []string{"config", "vendor"} {
		if info, err := root.Lstat(name); err != nil {
			return err
		} else if !info.IsDir() {
			return fmt.Errorf("%s is not a folder", name)
		}
	}
	text, err := read(root, "config/config.toml")
	if err != nil {
		return err
	}
	// Without any crate cargo prints nothing.
	const written = `directory = "/build/vendor"`
	config := strings.ReplaceAll(string(text), written, fmt.Sprintf("directory = %q", crateFolder))
	if config == string(text) && config != "" {
		return fmt.Errorf("cargo's configuration for the crates does not say %s: %q", written, config)
	}
	if err := root.Remove("config/config.toml"); err != nil {
		return err
	}
	return root.WriteFile("config/config.toml", []byte(config), 0o644)
}

func (s Step) binds(vendor, config string) []sandbox.Bind {
	return []sandbox.Bind{{Source: vendor, Target: crateFolder}, {Source: config, Target: cargoHome}}
}

func (s Step) result(vendor, config string, locks []lock) Vendored {
	v := Vendored{Binds: s.binds(vendor, config), Env: map[string]string{"CARGO_HOME": cargoHome, "CARGO_NET_OFFLINE": "true"},
		Locks: map[string][]byte{}, Made: map[string][]byte{}}
	for _, l := range locks {
		if l.made {
			v.Locks[l.path], v.Made[l.path] = l.text, l.text
		}
		if l.beside != nil {
			v.Made[l.path+besideLock] = l.beside
		}
	}
	return v
}
