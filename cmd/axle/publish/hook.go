package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/python-wheel-build/axle/builder/sandbox"
	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/environ"
	"github.com/python-wheel-build/axle/resolver/view"
	"github.com/python-wheel-build/axle/resolver/view/config"
	"github.com/python-wheel-build/axle/resolver/view/sitehook"
)

// hookTime is how long the site's hook may run. Nothing is published meanwhile.
const hookTime = time.Minute

// hook runs a site's command in the build environment, walled in as a build is.
type hook struct {
	config.Hook
	environment Environment
	store       *cas.Store
	limit       time.Duration
}

// hookOf gives the view's hook to ask, nil where it has none.
func (p *Publisher) hookOf(c config.View, e Environment) view.Ask {
	if len(c.Hook.Command) == 0 {
		return nil
	}
	return hook{c.Hook, e, p.Store, hookTime}.ask
}

// ask asks about the projects of the question and those of which the store has records. An error names the command, the reason, and what the
// command said of it.
func (h hook) ask(ctx context.Context, q sitehook.Question) (environ.Set, error) {
	built, err := resolver.Built(ctx, h.store)
	if err != nil {
		return nil, err
	}
	for _, pin := range built {
		q.Add(pin.Project, pin.Version)
	}
	for _, versions := range q.Projects {
		slices.SortFunc(versions, version.Version.Compare)
	}
	question, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	var said sandbox.Tail
	printed := answer{most: sitehook.MaxAnswer}
	err = h.run(ctx, question, &printed, &said)
	var set environ.Set
	if err == nil {
		set, err = sitehook.Parse(printed.printed)
	}
	if err == nil || ctx.Err() != nil {
		return set, err
	}
	var limit *sandbox.LimitError
	if errors.As(err, &limit) && limit.Limit == "wall time" {
		err = fmt.Errorf("it did not end within %s", h.limit)
	}
	words := "it said nothing on standard error"
	if text := strings.TrimSpace(said.Lines()); text != "" {
		words = "its standard error ends with:\n" + text
	}
	return nil, fmt.Errorf("environment: the hook %q failed: %w; nothing is published until it answers, or is taken out of the configuration; %s", h.Command, err, words)
}

// run gives the command the question and takes what it prints.
func (h hook) run(ctx context.Context, question []byte, printed *answer, said *sandbox.Tail) error {
	root, err := h.environment.collector.Root(ctx, h.environment.Interpreter)
	if err != nil {
		return err
	}
	box, err := sandbox.New(root, h.store.Scratch(), 1)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp(h.store.Scratch(), "hook-")
	if err != nil {
		return err
	}
	defer func() { _ = sandbox.Remove(work) }() // what is left is scratch, emptied at the next start
	if err := box.Prepare(0, work); err != nil {
		return err
	}
	path := append([]string{filepath.Dir(h.environment.Interpreter.Executable)}, root.Path...)
	env := map[string]string{"PATH": strings.Join(path, ":"), "HOME": "/build", "TMPDIR": "/tmp", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
	maps.Copy(env, root.Env)
	c := sandbox.Command{Argv: h.Command, Env: env, Work: work, Stdin: append(question, '\n'), Stdout: printed, Log: said,
		Limits: sandbox.Limits{Wall: h.limit, Disk: 1 << 30, Log: 1 << 20}}
	if h.File != "" {
		if info, err := os.Stat(h.File); err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
			return fmt.Errorf("%s is not a program that can be run (%v): make it one with chmod +x, or correct the path", h.File, err)
		}
		c.Binds = []sandbox.Bind{{Source: h.File, Target: h.Command[0]}}
	}
	return box.Run(ctx, 0, c)
}

// answer takes what is printed, and ends who prints too much.
type answer struct {
	printed []byte
	most    int
}

func (a *answer) Write(b []byte) (int, error) {
	if len(a.printed)+len(b) > a.most {
		return 0, fmt.Errorf("it printed more than %d bytes", a.most)
	}
	a.printed = append(a.printed, b...)
	return len(b), nil
}
