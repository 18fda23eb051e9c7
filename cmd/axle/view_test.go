package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/internal/testindex"
)

// axle runs a command about views on the rig's store and demands that it works.
func (r *rig) axle(args ...string) (stdout string) {
	r.t.Helper()
	out, stderr, err := r.run(append(args, "--store", r.store)...)
	if err != nil {
		r.t.Fatalf("axle %q: %v\n%s%s", args, err, out, stderr)
	}
	return out
}

// refuses demands that a command about views fails and says all of this.
func (r *rig) refuses(want []string, args ...string) {
	r.t.Helper()
	out, stderr, err := r.run(append(args, "--store", r.store)...)
	for _, w := range want {
		if err == nil || !strings.Contains(out+stderr, w) {
			r.t.Errorf("axle %q: %v, want %q in\n%s%s", args, err, w, out, stderr)
		}
	}
}

// at is the rig whose clients use another view.
func (r *rig) at(view string) *rig {
	v := *r
	v.base += "/view/" + view
	return &v
}

// publishes makes a view of the rig's present folder and gives its "@sha256:…".
func (r *rig) publishes(args ...string) string {
	r.t.Helper()
	r.write("axle.yaml", strings.ReplaceAll(r.config, "%UP%", r.up.URL))
	at, _, _ := strings.Cut(r.axle(append([]string{"view", "publish", "--config", filepath.Join(r.dir, "axle.yaml")}, args...)...), "\n")
	return at
}

// pointed is the view that a server says that a name points to.
func (r *rig) pointed(name string) string {
	r.t.Helper()
	var all struct {
		Views []struct{ Name, View string }
	}
	r.ok(json.Unmarshal([]byte(r.get("/api/v1/views", nil).body), &all))
	for _, v := range all.Views {
		if v.Name == name {
			return "@" + v.View
		}
	}
	return ""
}

// TestNameIsDecided: what people decide about a name every server on the store sees within a second, and neither SIGHUP nor a restart
// undoes it; a changed configuration does, and the log says so.
func TestNameIsDecided(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.up.Add(spec("demo", "1.0", "one"))
	r.start()
	other := r.beside()
	other.write("overrides/settings.yaml", "")
	other.start()
	first := r.pointed("default")
	if n := strings.Count(r.axle("view", "history", "default"), "\n"); n != 2 || other.pointed("default") != first {
		t.Errorf("two servers of one configuration: %s, %s\n%s", first, other.pointed("default"), r.axle("view", "history", "default"))
	}

	marks := func(step, want string, builds int) {
		t.Helper()
		before := r.built() + other.built()
		for _, server := range []*rig{r, other} {
			if got := server.marker(server.installs(clients(t)[2], r.home(), "demo"), "demo"); got != want {
				t.Errorf("%s: installed %q, want %q", step, got, want)
			}
		}
		if got := r.built() + other.built() - before; got != builds {
			t.Errorf("%s: %d builds, want %d", step, got, builds)
		}
	}
	everywhere := func(step, want string) {
		t.Helper()
		time.Sleep(time.Second)
		for _, server := range []*rig{r, other} {
			if got := server.pointed("default"); got != want {
				t.Errorf("%s: a server says that default is %s, want %s", step, got, want)
			}
		}
	}
	marks("at first", "one", 1)
	patch := func(rig *rig, after string) {
		rig.write("overrides/patches/demo/1.patch", patchMarker("demo", "one", after))
	}
	patch(r, "two")
	second := r.publishes()
	r.remove("overrides/patches")
	everywhere("published without a name", first)
	marks("published without a name", "one", 0)
	r.axle("view", "promote", second, "--as", "default", "--why", "try it")
	everywhere("promoted", second)
	marks("promoted", "two", 1)

	n := len(r.out.all())
	r.hup()
	r.demands("SIGHUP", r.said(n), "name stays where it was pointed", "try it", strings.TrimPrefix(second, "@"))
	r.demands("a restart", r.restart(), "name stays where it was pointed", "try it")
	everywhere("after SIGHUP and a restart", second)
	marks("after SIGHUP and a restart", "two", 0)

	patch(r, "three")
	n = len(r.out.all())
	r.hup()
	third := r.pointed("default")
	r.demands("a changed configuration", r.said(n), "the configuration has changed and replaces what was decided meanwhile", "try it", "view changed")
	everywhere("a changed configuration", third)
	marks("a changed configuration", "three", 1)

	r.axle("view", "rollback", "default", "--why", "three is bad")
	everywhere("rolled back", second)
	marks("rolled back", "two", 0)
	r.axle("view", "rollback", "default", "--to", first)
	everywhere("rolled back further", first)
	r.axle("view", "retire", "default")
	time.Sleep(time.Second)
	for _, server := range []*rig{r, other} {
		if resp := server.get("/simple/demo/", nil); resp.status != 404 {
			t.Errorf("a retired name: %d %s", resp.status, resp.body)
		}
		if resp := server.get("/view/"+third+"/cached/simple/demo/", nil); resp.status != 200 {
			t.Errorf("a view of a retired name, by digest: %d %s", resp.status, resp.body)
		}
	}
	r.demands("a restart", r.restart(), "name stays retired")
	if resp := r.get("/readyz", nil); resp.status != 503 {
		t.Errorf("readyz without the default name: %d", resp.status)
	}
	r.axle("view", "rollback", "default")
	everywhere("taken back", first)
	marks("taken back", "one", 0)

	// Who decided what, newest first; a server of no configuration serves it all.
	history := strings.Split(strings.TrimSpace(r.axle("view", "history", "default")), "\n")[1:]
	for i, want := range []string{first[1:], "retired", first[1:], second[1:], third[1:], second[1:], first[1:]} {
		want = strings.TrimPrefix(want, "sha256:")
		if i >= len(history) || !strings.Contains(history[i], want[:min(len(want), 12)]) {
			t.Fatalf("history, line %d: want %s in\n%s", i, want, strings.Join(history, "\n"))
		}
	}
	if !strings.Contains(history[3], "three is bad") || !strings.Contains(history[4], "(config)") {
		t.Errorf("history:\n%s", strings.Join(history, "\n"))
	}
	r.stop()
	r.config, r.args = "", []string{"--workers", "0"}
	n = len(r.out.all())
	r.start()
	r.eventually("it says that it has no configuration", func() bool { return strings.Contains(r.out.all()[n:], "the names in the store are served as they are") })
	if got := r.pointed("default"); got != first {
		t.Errorf("without a configuration: %s", got)
	}
}

// TestViewCommands: what the commands refuse, and what they print.
func TestViewCommands(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.config += "    constraints: [c.txt]\n"
	r.write("c.txt", "demo<9\n")
	r.write("overrides/settings/demo.yaml", "env: {A: one}\n")
	r.write("overrides/patches/demo/1.patch", patchMarker("demo", "one", "two"))
	r.up.Add(spec("demo", "1.0", "one"), spec("other", "1.0", "o"))
	r.start()
	r.installs(clients(t)[2], r.home(), "demo", "other")
	was := r.pointed("default")
	if got := r.publishes("--on", "default"); got != was {
		t.Errorf("the same folder on the same environment: %s, want %s", got, was)
	}
	r.write("c.txt", "demo<8\n")
	r.write("overrides/settings/demo.yaml", "env: {A: two, B: new}\n")
	r.write("overrides/patches/demo/1.patch", patchMarker("demo", "one", "three"))
	is := r.publishes("--for", "12h", "--why", "!17", "--who", "ann@desk")

	out, stderr, err := r.run("view", "diff", "default", is[:16], "--store", r.store)
	if code := exitCode(err); code != 1 || stderr != "" {
		t.Errorf("diff: exit code %d, %s", code, stderr)
	}
	for _, want := range []string{"--- " + was + "\n+++ " + is + "\n", "constraints edited\n  @@ -1 +1 @@\n  -demo<9\n  +demo<8\n", "settings.demo.env.A edited\n  -one\n  +two\n",
		"settings.demo.env.B added\n  +new\n", "patches.demo[1.patch] edited\n  @@ -5 +5 @@\n  -+MARKER = \"two\"\n  ++MARKER = \"three\"\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("diff does not say %q:\n%s", want, out)
		}
	}
	if n := strings.Count(out, "\n"); n != 15 {
		t.Errorf("diff says more, in %d lines:\n%s", n, out)
	}
	if out := r.axle("view", "diff", is, is); out != "" {
		t.Errorf("diff of a view and itself: %s", out)
	}
	if _, _, err := r.run("view", "diff", "default", "nothing", "--store", r.store); exitCode(err) != 2 {
		t.Errorf("diff with nothing: %v", err)
	}
	var shown struct {
		Constraints []string
		Settings    map[string]struct{ Env map[string]string }
	}
	r.ok(json.Unmarshal([]byte(r.axle("view", "show", is, "--json")), &shown))
	if !slices.Equal(shown.Constraints, []string{"demo<8"}) || shown.Settings["demo"].Env["B"] != "new" {
		t.Errorf("show --json: %+v", shown)
	}
	if out := r.axle("view", "show", "default"); !strings.Contains(out, "# "+was+"\n") || !strings.Contains(out, "constraints:\n    - demo<9\n") {
		t.Errorf("show: %s", out)
	}
	if out := r.axle("view", "list"); !strings.Contains(out, "default  "+"@"+was[8:20]+"  on-demand") || !strings.Contains(out, "ann@desk  !17") {
		t.Errorf("list: %s", out)
	}

	// Two hits would be lost: one's inputs changed, the other one's didn't.
	r.refuses([]string{"demo==1.0: never built with these inputs", "default stays as it is: 1 of 2 versions are no hits in " + is},
		"view", "promote", is, "--as", "default", "--require-complete")
	r.write("r.txt", "# pinned\nother==1.0\ndemo == 2.0 ; python_version < '3'\n")
	r.write("lost.txt", "demo==1.0 \\\n    --hash=sha256:00\nnowhere==3\n")
	r.write("loose.txt", "other==1.0\ndemo>=1\n")
	r.refuses([]string{"demo==1.0: never built", "nowhere==3: ", "2 of 2"}, "view", "promote", is, "--as", "prod", "-r", filepath.Join(r.dir, "lost.txt"))
	r.refuses([]string{"loose.txt:2:", "names no one version"}, "view", "promote", is, "--as", "prod", "-r", filepath.Join(r.dir, "loose.txt"))
	if got := r.pointed("default"); got != was {
		t.Errorf("a refused promotion moved the name to %s", got)
	}
	r.axle("view", "promote", is, "--as", "prod", "-r", filepath.Join(r.dir, "r.txt"), "--build", "never")
	r.eventually("the new name is served", func() bool { return r.pointed("prod") == is })
	if resp := r.at("prod").get("/simple/demo/", nil); resp.status != 404 {
		t.Errorf("a name that never builds lists a miss: %d", resp.status)
	}
	r.installs(clients(t)[2], r.home(), "demo") // the old one is still default's

	config := filepath.Join(r.dir, "axle.yaml")
	for _, c := range []struct {
		want []string
		args []string
	}{
		{[]string{"there is no view nothing"}, []string{"view", "show", "nothing"}},
		{[]string{"want a name, or @"}, []string{"view", "show", "@1234567"}},
		{[]string{"want a name, or @"}, []string{"view", "show", "@../../x"}},
		{[]string{"there is no view @00000000"}, []string{"view", "show", "@00000000"}},
		{[]string{`"No" is not a name`}, []string{"view", "promote", is, "--as", "No"}},
		{[]string{"--require-complete", "there is no view new"}, []string{"view", "promote", is, "--as", "new", "--require-complete"}},
		{[]string{"there is no name nothing"}, []string{"view", "rollback", "nothing"}},
		{[]string{"prod has pointed to nothing else"}, []string{"view", "rollback", "prod"}},
		{[]string{"prod never pointed to " + was, "promote"}, []string{"view", "rollback", "prod", "--to", was}},
		{[]string{"there is no name nothing"}, []string{"view", "history", "nothing"}},
		{[]string{"there is no name nothing"}, []string{"view", "retire", "nothing"}},
		{[]string{"has no view x", "default"}, []string{"view", "publish", "--config", config, "--view", "x"}},
		{[]string{"--for"}, []string{"view", "publish", "--config", config, "--name", "x", "--for", "1d"}},
		{[]string{"no length of time"}, []string{"view", "publish", "--config", config, "--for", "1y"}},
		{[]string{"there is no view nothing"}, []string{"view", "publish", "--config", config, "--on", "nothing"}},
	} {
		r.refuses(c.want, c.args...)
	}
	r.config = strings.Replace(r.config, "    build:", "    environment: {paths: {tool: overrides}}\n    build:", 1)
	r.write("axle.yaml", strings.ReplaceAll(r.config, "%UP%", r.up.URL))
	r.refuses([]string{"has no path:tool"}, "view", "publish", "--config", config, "--on", "default")
	if _, stderr, err := r.run("view", "list", "--store", r.dir+"/elsewhere"); err == nil || !strings.Contains(stderr, "there is none") {
		t.Errorf("a store that isn't there: %v %s", err, stderr)
	}
}

func exitCode(err error) int {
	if ended, ok := err.(*exec.ExitError); ok {
		return ended.ExitCode()
	}
	return 0
}

// TestMergeRequest is the flow of deploy/merge-request.sh: a branch's view builds the two projects that it changes and what was built with
// them, while what clients of the name see stays byte for byte; once promoted, the name has all of it and builds nothing.
func TestMergeRequest(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	flavour := "seen['flavour'] = os.environ.get('FLAVOUR', 'mild')"
	needs := func(name string, with ...string) testindex.Spec {
		return testindex.Spec{Name: name, Version: "1.0", Marker: name, BuildRequires: with, See: with}
	}
	r.up.Add(needs("tool"), needs("app", "tool"), needs("app2", "app"), testindex.Spec{Name: "spiced", Version: "1.0", Marker: "spiced", OnBuild: flavour},
		needs("eater", "spiced"), needs("other"), needs("lib", "other"), needs("plain"))
	all := []string{"tool", "app", "app2", "spiced", "eater", "other", "lib", "plain"}
	r.write("requirements.txt", "# what production installs\n"+strings.Join(all, "==1.0\n")+"==1.0\n")
	r.start()
	r.installs(clients(t)[2], r.home(), all...)
	if got := r.built(); got != len(all) {
		t.Fatalf("main: %d builds, want %d", got, len(all))
	}
	main := r.pointed("default")
	pages := func() map[string]string {
		t.Helper()
		bodies := map[string]string{}
		for _, p := range append([]string{""}, all...) {
			for _, accept := range []string{"application/vnd.pypi.simple.v1+json", "text/html"} {
				path := strings.TrimSuffix("/simple/"+p, "/") + "/"
				resp := r.get(path, map[string]string{"Accept": accept})
				if resp.status != 200 {
					t.Fatalf("%s: %d %s", path, resp.status, resp.body)
				}
				bodies[path+" "+accept] = resp.body
			}
		}
		return bodies
	}
	before := pages()
	same := func(step string) {
		t.Helper()
		for path, body := range pages() {
			if body != before[path] {
				t.Errorf("%s: %s of main has changed:\n%s\n%s", step, path, before[path], body)
			}
		}
	}

	// The branch: a checkout elsewhere, on a machine that nobody knows.
	branch := filepath.Join(r.dir, "branch")
	r.ok(os.CopyFS(branch, os.DirFS(filepath.Join(r.dir, "overrides"))))
	r.write("branch/patches/tool/1.patch", patchMarker("tool", "tool", "tool patched"))
	r.write("branch/settings/spiced.yaml", "env: {FLAVOUR: hot}\n")
	r.write("branch.yaml", strings.ReplaceAll(strings.Replace(r.config, "overrides/", "branch/", 1), "%UP%", r.up.URL))
	script := func(args ...string) (stdout, stderr string, err error) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "../../deploy/merge-request.sh", append(args, filepath.Join(r.dir, "branch.yaml"), "default", filepath.Join(r.dir, "requirements.txt"), "!17")...)
		cmd.Env = append(clientEnv(r.home()), "AXLE="+axle, "AXLE_STORE="+r.store, "AXLE_SERVER="+r.base)
		var out, errs strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &errs
		err = cmd.Run()
		return out.String(), errs.String(), err
	}
	if _, stderr, err := script("--merge"); err == nil || !strings.Contains(stderr, "default stays as it is: 5 of 16 versions are no hits") {
		t.Errorf("merged before anything was built: %v\n%s", err, stderr)
	}
	same("a refused promotion")
	built := r.built()
	out, told, err := script()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, told)
	}
	t.Logf("deploy/merge-request.sh prints\n%s%s", out, told)
	view, _, _ := strings.Cut(out, "\n")
	if !strings.Contains(out, "\n"+r.base+"/view/"+view+"/simple/\n") {
		t.Errorf("the script prints\n%s", out)
	}
	for _, want := range []string{"patches.tool[1.patch] added\n", "  +-MARKER = \"tool\"\n  ++MARKER = \"tool patched\"\n", "settings.spiced.env.FLAVOUR added\n  +hot\n", "rebuild tool==1.0 (patches): patches[1.patch] added", "rebuild spiced==1.0 (settings): settings.env.FLAVOUR added",
		"rebuild app==1.0 (requirement)", "rebuild app2==1.0 (requirement)", "rebuild eater==1.0 (requirement)", "3 of 8 hits of default stay, 5 to be rebuilt"} {
		if !strings.Contains(told, want) {
			t.Errorf("the script does not tell %q:\n%s", want, told)
		}
	}
	if a, b := strings.Index(told, "rebuild app=="), strings.Index(told, "rebuild app2=="); a > b {
		t.Errorf("not in the order of building:\n%s", told)
	}
	if got := r.built() - built; got != 5 {
		t.Errorf("the branch built %d, want tool and spiced and what was built with them: 5", got)
	}
	folder := r.at(view).installs(clients(t)[1], r.home(), all...)
	if got := r.built() - built; got != 5 {
		t.Errorf("an install from the branch's view built %d more", got-5)
	}
	for _, module := range []string{"app", "app2"} {
		b, err := os.ReadFile(filepath.Join(folder, module+".py"))
		if want := map[string]string{"app": "tool patched", "app2": `"app"`}[module]; err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s of the branch: %v %s", module, err, b)
		}
	}
	if b, err := os.ReadFile(filepath.Join(folder, "spiced.py")); err != nil || !strings.Contains(string(b), `"flavour": "hot"`) {
		t.Errorf("spiced of the branch: %v %s", err, b)
	}
	same("the branch was built and installed")
	if got := r.pointed("default"); got != main {
		t.Errorf("main points to %s, want %s", got, main)
	}

	if out, stderr, err := script("--merge"); err != nil || !strings.Contains(out, view) {
		t.Fatalf("merge: %v\n%s%s", err, out, stderr)
	}
	r.eventually("main is the branch's view", func() bool { return r.pointed("default") == view })
	built = r.built()
	for _, c := range clients(t) {
		if got := r.marker(r.installs(c, r.home(), all...), "tool"); got != "tool patched" {
			t.Errorf("%s installs tool %q from main", c.name, got)
		}
	}
	if got := r.built() - built; got != 0 {
		t.Errorf("main builds %d after the promotion", got)
	}
	if now := pages(); now["/simple/other/ text/html"] != before["/simple/other/ text/html"] || now["/simple/tool/ text/html"] == before["/simple/tool/ text/html"] {
		t.Error("the pages of main are not those of the branch")
	}
	if out := r.axle("view", "history", "default"); !strings.Contains(out, "!17") || strings.Count(out, "\n") != 3 {
		t.Errorf("history:\n%s", out)
	}
	var plan struct {
		Hits, Keeps int
		Rebuild     []struct{ Pin, Cause string }
		Again       []string
	}
	r.ok(json.Unmarshal([]byte(r.axle("plan", "--config", filepath.Join(r.dir, "axle.yaml"), "--json")), &plan))
	if got := fmt.Sprint(plan); got != "{8 5 [] [app==1.0 spiced==1.0 tool==1.0]}" {
		t.Errorf("what the old folder would make of main: %s", got)
	}
}
