package builder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/python-wheel-build/axle/builder/machine"
	"github.com/python-wheel-build/axle/builder/reason"
	"github.com/python-wheel-build/axle/builder/sandbox"
	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/view"
)

// unresolvable says that no set of versions satisfies the requirements in this view.
type unresolvable struct{ text string }

func (e *unresolvable) Error() string { return e.text }

// need gives the function by which a job of this flight asks for its build environment.
func (b *Builder) need(a resolver.Ask, f *flight) Need {
	v := a.View
	return func(ctx context.Context, reqs []dist.Requirement, hold []resolver.Requirement) ([]resolver.Requirement, []resolver.Pin, error) {
		reqs, err := applicable(v, reqs)
		if err != nil || len(reqs) == 0 {
			return nil, nil, err
		}
		f.step(a, "resolving its build requirements")
		pins, err := b.resolve(ctx, a, f, reqs, hold)
		var no *unresolvable
		if errors.As(err, &no) && len(hold) > 0 {
			pins, err = b.resolve(ctx, a, f, reqs, nil)
		}
		if err != nil {
			return nil, nil, err
		}
		var wheels []resolver.Requirement
		var blocked []resolver.Pin
		for _, p := range pins {
			answer, err := b.Catalog.Lookup(ctx, v, p.Project, p.Version)
			if err != nil {
				return nil, nil, fmt.Errorf("build requirement %s: %w", p, err)
			}
			if answer.Record == nil {
				blocked = append(blocked, p)
				continue
			}
			// Else nothing that is built with it could be found elsewhere.
			if err := b.Catalog.Share(ctx, answer); err != nil {
				return nil, nil, err
			}
			wheels = append(wheels, resolver.Requirement{Project: p.Project, Version: p.Version, Wheel: answer.Record.Wheel})
		}
		return wheels, blocked, nil
	}
}

// applicable leaves out what the target doesn't need. A marker on an extra is false: a build asks for none (hooks do return such
// lines). A direct URL is refused, since its bytes come from no source of the view.
func applicable(v *view.View, reqs []dist.Requirement) ([]dist.Requirement, error) {
	env := maps.Clone(v.Target.Markers)
	env["extra"] = ""
	var out []dist.Requirement
	for _, r := range reqs {
		if r.Marker != nil {
			ok, err := r.Marker.Eval(env)
			if err != nil {
				return nil, &unresolvable{fmt.Sprintf("build requirement %q: %v: change it by project_override in the project's settings", r, err)}
			}
			if !ok {
				continue
			}
		}
		if r.URL != "" {
			return nil, &unresolvable{fmt.Sprintf("build requirement %q is a direct URL; builds take wheels of the view only: patch it to a name and version", r)}
		}
		r.Marker = nil
		out = append(out, r)
	}
	return out, nil
}

// plainly is why there is no solution, in uv's words.
func plainly(said string) string {
	said, _, _ = strings.Cut(said, "\n\n") // hints about options of uv that nobody here can set
	if _, cause, ok := strings.Cut(said, "cause: "); ok {
		said = cause
	}
	return strings.TrimSuffix(reason.Line(said, 1<<10), ".")
}

// resolve asks uv for versions that satisfy the requirements and the view's constraints, from the view's own pages. uv sees those on
// a listener of its own, whose requests carry the flight: a wait for metadata is then an edge of the waits-for graph.
func (b *Builder) resolve(ctx context.Context, a resolver.Ask, f *flight, reqs []dist.Requirement, hold []resolver.Requirement) ([]resolver.Pin, error) {
	v := a.View
	on, err := b.Machines.For(v)
	if err != nil {
		return nil, err
	}
	asker := &resolver.Asker{ID: f.key, Retry: a.Retry}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("resolving build requirements: %w", err)
	}
	server := &http.Server{Handler: b.Index, ReadHeaderTimeout: time.Minute,
		BaseContext: func(net.Listener) context.Context { return resolver.WithAsker(ctx, asker) }}
	go func() { _ = server.Serve(listener) }() // ends with Close
	defer server.Close()
	u := uv{tools: b.Tools, scratch: b.Catalog.Store.Scratch(), machine: on,
		from: []string{"--index-url", fmt.Sprintf("http://%s/view/@%s/simple/", listener.Addr(), v.Digest())}}
	pins, err := u.resolve(ctx, v, reqs, hold)
	if noted := asker.Noted(); err != nil && ctx.Err() == nil && noted != nil {
		return nil, needs(a, noted) // why uv got no metadata says more than that it got none
	}
	return pins, err
}

// uv resolves requirements to versions of what from offers, which is arguments such as an --index-url.
type uv struct {
	tools, scratch string
	machine        *machine.Machine
	from           []string
}

// resolve gives versions that satisfy the requirements and the view's constraints, those of hold where a project has one there. It is an
// *unresolvable where there are none.
func (u uv) resolve(ctx context.Context, v *view.View, reqs []dist.Requirement, hold []resolver.Requirement) ([]resolver.Pin, error) {
	dir, err := os.MkdirTemp(u.scratch, "resolve-")
	if err != nil {
		return nil, fmt.Errorf("resolving build requirements: %w", err)
	}
	defer os.RemoveAll(dir)
	var in, constraints strings.Builder
	for _, r := range reqs {
		fmt.Fprintln(&in, r)
	}
	for _, c := range v.Constraints() {
		fmt.Fprintln(&constraints, c)
	}
	for _, h := range hold {
		fmt.Fprintf(&constraints, "%s==%s\n", h.Project, h.Version)
	}
	if err := os.WriteFile(filepath.Join(dir, "constraints.txt"), []byte(constraints.String()), 0o600); err != nil {
		return nil, err
	}
	// Of pages nothing is kept from one resolution to the next.
	cache := filepath.Join(dir, "cache")
	if err := u.machine.Probed.Lend(cache); err != nil {
		return nil, fmt.Errorf("resolving build requirements: %w", err)
	}
	args := append([]string{"pip", "compile", "--quiet", "--no-config", "--cache-dir", cache, "--no-build", "--no-header", "--no-annotate", "--no-sources",
		"--python", u.machine.Python, "--constraints", "constraints.txt"}, u.from...)
	cmd := exec.CommandContext(ctx, filepath.Join(u.tools, "bin", "uv"), append(args, "-")...)
	cmd.Dir = dir
	cmd.Stdin = strings.NewReader(in.String())
	// Held as long as a build takes: this client is ours, and no proxy stands between.
	cmd.Env = []string{"HOME=" + dir, "TMPDIR=" + dir, "PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "NO_COLOR=1", "UV_HTTP_TIMEOUT=604800",
		"UV_HTTP_RETRIES=0", "UV_PYTHON_DOWNLOADS=never", "NO_PROXY=*"}
	cmd.WaitDelay = 5 * time.Second
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := sandbox.RunTied(cmd); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 {
			return nil, machinesFault("running uv to resolve build requirements: %v: %s", err, stderr.Bytes())
		}
		return nil, &unresolvable{fmt.Sprintf("no versions of this view satisfy the build requirements (%s): %s; change them by project_override in the project's settings, "+
			"change the view's constraints, or give the view an index that has what is missing",
			strings.ReplaceAll(strings.TrimSpace(in.String()), "\n", ", "), plainly(stderr.String()))}
	}
	if err := u.machine.Probed.Keep(u.scratch, cache); err != nil {
		return nil, fmt.Errorf("resolving build requirements: %w", err)
	}
	var pins []resolver.Pin
	for line := range strings.Lines(out.String()) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, ver, ok := strings.Cut(line, "==")
		p, err := parsePin(name, ver)
		if !ok || err != nil {
			return nil, fmt.Errorf("uv printed %q, which is not a pinned requirement", line)
		}
		pins = append(pins, p)
	}
	return pins, nil
}

// contains says that the second environment has every wheel of the first.
func contains(all, some []resolver.Requirement) bool {
	have := map[cas.Digest]bool{}
	for _, r := range all {
		have[r.Wheel] = true
	}
	for _, r := range some {
		if !have[r.Wheel] {
			return false
		}
	}
	return true
}
