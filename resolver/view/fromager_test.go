package view

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/testtools"
)

// loader gives a Python that has fromager, installed on first use.
func loader(t *testing.T) string {
	t.Helper()
	tools := testtools.Dir(t)
	uv, env := filepath.Join(tools, "bin", "uv"), filepath.Join(tools, "fromager-0.101.0")
	python := filepath.Join(env, "bin", "python")
	if _, err := os.Stat(filepath.Join(env, "complete")); err == nil {
		return python
	}
	found := newPython(uv)
	if found == "" {
		t.Skip("fromager 0.101 needs Python 3.12 or newer, and there is none on this machine: its loader was not compared with ours")
	}
	for _, args := range [][]string{{"venv", "-q", "--clear", "--python", found, env},
		{"pip", "install", "-q", "--python", python, "fromager==0.101.0"}} {
		if out, err := exec.Command(uv, args...).CombinedOutput(); err != nil {
			t.Fatalf("installing fromager: uv %s: %v\n%s", args, err, out)
		}
	}
	if err := os.WriteFile(filepath.Join(env, "complete"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return python
}

// newPython is a Python that fromager runs on, "" for none: on PATH, or beside the default one as pyenv keeps them.
func newPython(uv string) string {
	if out, err := exec.Command(uv, "python", "find", "--no-python-downloads", ">=3.12").Output(); err == nil {
		return strings.TrimSpace(string(out))
	}
	prefix, err := exec.Command("python3", "-c", "import sys; print(sys.base_prefix)").Output()
	if err != nil {
		return ""
	}
	found, err := filepath.Glob(filepath.Join(filepath.Dir(strings.TrimSpace(string(prefix))), "3.1[2-9]*", "bin", "python3"))
	if err != nil || len(found) == 0 {
		return ""
	}
	return found[0]
}

// TestAsFromager: 500 generated documents give the same effective settings as fromager's own loader gives, or are refused by both. Ours
// refuses a few more, by name.
func TestAsFromager(t *testing.T) {
	python := loader(t)
	environ := map[string]string{"DECLARED": "of the server", "EMPTY": "", "WITH_DOLLAR": "a$b$$c"}
	environment := map[string]string{}
	for name, value := range environ {
		environment["env:"+name] = value
	}
	const version = "1.2.3"
	r := rand.New(rand.NewPCG(1, 2))
	docs := make([]string, 500)
	var in bytes.Buffer
	enc := json.NewEncoder(&in)
	for i := range docs {
		docs[i] = generated(r)
		if err := enc.Encode(map[string]any{"yaml": docs[i], "environ": environ, "version": version}); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(python, "testdata/effective.py")
	cmd.Stdin = &in
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.Bytes())
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != len(docs) {
		t.Fatalf("%d answers to %d documents\n%s", len(lines), len(docs), stderr.Bytes())
	}
	var same, both, ours int
	for i, doc := range docs {
		var want struct {
			Env            map[string]string
			ConfigSettings map[string]any `json:"config_settings"`
			BuildDir       string         `json:"build_dir"`
			PreBuilt       bool           `json:"pre_built"`
			Tag            int
			Update         []string
			URL, Filename  string
			Submodules     []string
			Error          string
		}
		if err := json.Unmarshal([]byte(lines[i]), &want); err != nil {
			t.Fatal(err)
		}
		d, err := tree{"settings/foo.yaml": []byte(doc)}.interpret("over", "cpu", environment)
		switch {
		case err != nil && want.Error != "":
			both++
			continue
		case err != nil && stricter(err):
			ours++
			continue
		case err != nil || want.Error != "":
			t.Errorf("we say %v, fromager says %q, of\n%s", err, want.Error, doc)
			continue
		}
		v := &View{Projects: d.projects}
		got := v.Settings("foo", mustVersion(t, version))
		env := maps.Clone(got.Env)
		if env == nil {
			env = map[string]string{}
		}
		if len(got.Templates) > 0 {
			t.Errorf("left unexpanded: %v of\n%s", got.Templates, doc)
		}
		tag := v.Changes("foo", mustVersion(t, version))
		if v.PreBuilt("foo") {
			tag = want.Tag
		}
		var update []string
		if got.Override != nil {
			update = got.Override.Update
		}
		var url, filename string
		if download := d.projects["foo"].Download; download != nil {
			if url, filename, err = download.At("foo", mustVersion(t, version)); err != nil {
				t.Fatal(err)
			}
		}
		if want.Filename == "" || want.URL == "" { // without a name ours differs on purpose, and without a URL it is of no use
			filename, want.Filename = "", ""
		}
		submodules := append([]string{}, d.submodules["foo"]...)
		slices.Sort(want.Submodules)
		a, err := json.Marshal([]any{url, filename, submodules, env, nonNil(got.ConfigSettings), got.BuildDir, v.PreBuilt("foo"), tag, len(update)})
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal([]any{want.URL, want.Filename, want.Submodules, want.Env, want.ConfigSettings, strings.TrimPrefix(want.BuildDir, "."), want.PreBuilt, want.Tag, len(slices.Compact(want.Update))})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("ours     %s\nfromager %s\nof\n%s", a, b, doc)
		}
		same++
	}
	t.Logf("%d documents: %d effective alike, %d refused by both, %d by us alone", len(docs), same, both, ours)
	if same < 200 || both < 50 {
		t.Errorf("too few of a kind to mean anything")
	}
}

func nonNil(c ConfigSettings) ConfigSettings {
	if c == nil {
		return ConfigSettings{}
	}
	return c
}

// stricter says that we refuse on purpose what fromager takes.
func stricter(err error) bool {
	return slices.ContainsFunc([]string{"is not supported", "stands here twice", "not the name of an environment variable", "must stay below", "is not a directory",
		"anchors and aliases", "quote it", "must be true or false",
		"not an http or https URL", "which are what can be unpacked", "no path of a submodule"}, func(s string) bool { return strings.Contains(err.Error(), s) })
}

// generated writes a document of what people write, and of what they should not.
func generated(r *rand.Rand) string {
	scalars := []string{"on", "NO", "Yes", "off", "true", "FALSE", "y", "012", "0o17", "089", "0x1F", "0b101", "1e3", "1.5e3", "1.5e+3", "1_000", "-1_0", "12:30:45", "1:30.5",
		"-1:00", "1.10", "1.", ".5", "-.5", "1e-05", "0.00001", "123456789012345678901234567890", "1234567890123456.0", "12345678901234567.0", ".inf", "-.INF", ".nan",
		"''", "'012'", `"on"`, "text", "' padded '", "\"tab\\tand\\u00a0\"", "-O2 -g", "a b c", "+5", "-0", "0",
		"0_7", "1__2", "=", "$DECLARED", "${DECLARED}/x", "${NOPE:-fallback}", "${NOPE:-}$NOPE", "${EMPTY:-x}", "$$HOME", "'$${DECLARED:-x}'",
		"v${__version__}", "'${A}'", "'${B:-none}'", "$WITH_DOLLAR", "|\n    block\n    text", ">-\n    folded\n    text"}
	refused := []string{"2024-01-02", "2024-01-02T10:00:00Z", "~", "null", "'$(date)'", "${NOPE}", "'5$'", "[a, b]", "{a: b}", "'${NOPE:-a:b}'", "$9", "2024-1-2"}
	pick := func(list []string) string { return list[r.IntN(len(list))] }
	var b strings.Builder
	variables := func(indent string) {
		for _, name := range []string{"A", "B", "C", "D"}[:1+r.IntN(4)] {
			value := pick(scalars)
			if r.IntN(20) == 0 {
				value = pick(refused)
			}
			value = strings.ReplaceAll(value, "\n    ", "\n"+indent+"    ")
			fmt.Fprintf(&b, "%s%s: %s\n", indent, name, value)
		}
	}
	if r.IntN(10) < 8 {
		b.WriteString("env:\n")
		variables("  ")
	}
	if r.IntN(3) == 0 {
		fmt.Fprintf(&b, "config_settings:\n  --a: %s\n  b: [%s, c]\n", pick([]string{"x", "'1'", "1", "on", "1e3", "089", "2024-01-02"}), pick([]string{"x", "'1'", "z z"}))
	}
	if r.IntN(3) == 0 {
		fmt.Fprintf(&b, "build_dir: %s\n", pick([]string{"python", "./a//b", "a/", "/abs", ".", "012", "'012'"}))
	}
	if r.IntN(3) == 0 {
		fmt.Fprintf(&b, "changelog:\n  %s: [%s]\n", pick([]string{"1.2.3", "'1.2.3'", "1.2.3+x", "'2.0'", "2.0", "not-a-version"}), pick([]string{"one", "one, two", "", "'1', 2"}))
	}
	if r.IntN(4) == 0 {
		fmt.Fprintf(&b, "project_override:\n  update_build_requires: [%s]\n  requires_external: [a, b]\n", pick([]string{"'setuptools<80'", "'a>=1', 'b'", "'!'", "'a; python_version>\"3\"'"}))
	}
	if r.IntN(4) == 0 {
		b.WriteString(pick([]string{"annotations: {a: b}\n", "annotations: {a: 1}\n", "build_options: {cpu_cores_per_job: 2, memory_per_job_gb: 1.5}\n", "resolver_dist: {min_release_age: 3}\n",
			"purl: {name: x}\n", "unknown: x\n", "resolver_dist:\n", "variant: {}\n"}))
	}
	rarely := func(good, bad []string) string {
		if r.IntN(6) == 0 {
			return pick(bad)
		}
		return pick(good)
	}
	if r.IntN(4) == 0 {
		fmt.Fprintf(&b, "download_source:\n  url: %s\n", rarely([]string{"https://h.example/${version}/$canonicalized_name.zip", "https://h.example/a$$b.tar.gz?x=${version}", "null"},
			[]string{"https://h.example/${dist_name}", "https://h.example/$", "'${version}'", "https://h.example/${version:-x}"}))
		fmt.Fprintf(&b, "  destination_filename: %s\n", rarely([]string{"$canonicalized_name-$version.zip", "a.tar.gz", "a$$.tar", "$canonicalized_name.ZIP"},
			[]string{"'a:b.zip'", "$nope.zip", "b.tar.xz"}))
	}
	if r.IntN(4) == 0 {
		fmt.Fprintf(&b, "git_options:\n  submodules: %s\n  submodule_paths: %s\n", rarely([]string{"on", "false"}, []string{"'x'"}),
			rarely([]string{"[]", "[b, a/c]"}, []string{"[../x]", "[[a]]"}))
	}
	if r.IntN(3) == 0 {
		b.WriteString("variants:\n  cpu:\n    env:\n")
		variables("      ")
		if r.IntN(3) == 0 {
			fmt.Fprintf(&b, "    pre_built: %s\n", pick([]string{"true", "no", "on"}))
		}
		b.WriteString("  cuda:\n    env: {A: '${NOPE}'}\n    pre_built: on\n")
	}
	return b.String()
}

// TestOverride: build requirements as fromager rewrites them.
func TestOverride(t *testing.T) {
	parse := func(list ...string) (reqs []dist.Requirement) {
		for _, text := range list {
			r, err := dist.ParseRequirement(text)
			if err != nil {
				t.Fatal(err)
			}
			reqs = append(reqs, r)
		}
		return reqs
	}
	for i, test := range []struct {
		o    *Override
		reqs []string
		want string
	}{
		{nil, []string{"b", "a"}, "b a"},
		{&Override{Update: []string{"a<2"}}, []string{"b", "a>=1"}, "a<2 b setuptools"},
		{&Override{Update: []string{"setuptools<80"}}, []string{"setuptools>=40", "wheel"}, "setuptools<80 wheel"},
		{&Override{Remove: []dist.Project{"setuptools", "ninja"}}, []string{"ninja", "cmake"}, "cmake"},
		{&Override{Remove: []dist.Project{"ninja"}}, []string{"setuptools>=40", "ninja"}, "setuptools setuptools>=40"},
		{&Override{Remove: []dist.Project{"a"}, Update: []string{"a==1"}}, nil, "a==1 setuptools"},
	} {
		got, err := test.o.Apply(parse(test.reqs...))
		var texts []string
		for _, r := range got {
			texts = append(texts, r.String())
		}
		if s := strings.Join(texts, " "); err != nil || s != test.want {
			t.Errorf("%s: %q, %v; want %q", strconv.Itoa(i), s, err, test.want)
		}
	}
}
