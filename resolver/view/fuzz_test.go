package view

import (
	"encoding/json"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/resolver/git"
	"github.com/python-wheel-build/axle/resolver/view/config"
)

func FuzzSettings(f *testing.F) {
	for _, s := range []string{
		"", "env: {A: '1', B: 2, C: -0}\nconfig_settings: {--x: [y, z], a: b}\nbuild_dir: ./a//b\nvariants: {cpu: {env: {A: x}, pre_built: on}}\n",
		"env: {A: on}", "env: &a {A: x}\n", "env: {A: *a}", "<<: {}", "? [a]\n: b\n", "env: {A: !!str 5}", "a: b\n---\nc: d\n", "env:\n  A: |\n    x\n",
		"{", "\xff", "- a", "build_dir: /a/../b",
		"download_source: {url: 'https://H.example/$version/${canonicalized_name}.zip?a=b', destination_filename: '$$a.tar'}\ngit_options: {submodules: on, submodule_paths: [./a/, b]}\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		in := tree{"settings/foo.yaml": []byte(text)}
		d, err := in.interpret("over", "cpu", nil)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "over/settings/foo.yaml:") {
				t.Fatalf("the error does not name the file: %v", err)
			}
			return
		}
		want := d.projects["foo"]
		if dir := want.BuildDir; dir != "" {
			if clean, err := safeDir(dir); err != nil || clean != dir {
				t.Fatalf("build_dir %q is not in normal form: %q, %v", dir, clean, err)
			}
		}
		if want.Download != nil {
			for _, ver := range []string{"1.0", "1!2.0.post1+a.b"} {
				u, filename, err := want.Download.At("foo", mustVersion(t, ver))
				if parsed, bad := url.Parse(u); err == nil && (bad != nil || parsed.User != nil || parsed.Fragment != "" || filepath.Base(filename) != filename) {
					t.Fatalf("download_source of %s: %q, %q, %v", ver, u, filename, bad)
				}
			}
		}
		// Through the stored form.
		b, err := cas.Canonical(want)
		if err != nil {
			t.Fatal(err)
		}
		var stored ProjectSettings
		if err := json.Unmarshal(b, &stored); err != nil {
			t.Fatal(err)
		}
		if again, err := cas.Canonical(stored); err != nil || string(again) != string(b) {
			t.Fatalf("stored form changed: %s, %s, %v", b, again, err)
		}
		// Through YAML again, all quoted.
		env := map[string]any{}
		for k, v := range want.Env {
			env[k] = v
		}
		doc := map[string]any{"env": env, "config_settings": map[string]any(want.ConfigSettings)}
		if want.BuildDir != "" {
			doc["build_dir"] = want.BuildDir
		}
		if d := want.Download; d != nil {
			from := map[string]any{"url": d.URL}
			if d.Filename != "" {
				from["destination_filename"] = d.Filename
			}
			doc["download_source"] = from
		}
		if want.PreBuilt {
			doc["variants"] = map[string]any{"cpu": map[string]any{"pre_built": true}}
		}
		out, err := yaml.Marshal(quoted(doc))
		if err != nil {
			t.Fatal(err)
		}
		again, err := tree{"settings/foo.yaml": out}.interpret("over", "cpu", nil)
		if err != nil {
			t.Fatalf("%v of\n%s", err, out)
		}
		got := again.projects["foo"]
		for _, s := range []*ProjectSettings{&got, &want} {
			if len(s.Env) == 0 {
				s.Env = nil
			}
			if len(s.ConfigSettings) == 0 {
				s.ConfigSettings = nil
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got  %#v\nwant %#v\nof\n%s", got, want, out)
		}
	})
}

func quoted(v any) *yaml.Node {
	switch v := v.(type) {
	case map[string]any:
		n := &yaml.Node{Kind: yaml.MappingNode}
		for key, value := range v {
			n.Content = append(n.Content, quoted(key), quoted(value))
		}
		return n
	case []string:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for _, s := range v {
			n.Content = append(n.Content, quoted(s))
		}
		return n
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: strconv.FormatBool(v)}
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Style: yaml.DoubleQuotedStyle, Value: v.(string)}
}

func FuzzConstraints(f *testing.F) {
	for _, s := range []string{
		"", "foo<2\nBar_x >=1,<2 # c\n", "foo \\\n >=1\n", "foo<2; python_version >= '3'\n", "-r x", "foo[x]", "foo @ http://x/", "# a \\\nfoo<1\\", "\ufefffoo\r\n",
		"foo (>=1)", "foo===1.x", "foo==1.*",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := parseConstraints("c.txt", []byte(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "c.txt:") {
				t.Fatalf("the error does not name the file: %v", err)
			}
			return
		}
		lines, err := effective(list, linux)
		if err != nil {
			return
		}
		// What is kept reads back as the same, whatever the order.
		slices.Reverse(lines)
		list, err = parseConstraints("again", []byte(strings.Join(lines, "\n")))
		if err != nil {
			t.Fatalf("%v of %q", err, lines)
		}
		again, err := effective(list, nil)
		if err != nil {
			t.Fatal(err)
		}
		slices.Reverse(lines)
		if !slices.Equal(again, lines) {
			t.Fatalf("got %q, want %q", again, lines)
		}
	})
}
func FuzzConfig(f *testing.F) {
	for _, s := range []string{
		"views: {v: {}}", "views:\n  v:\n    upstream: {a: 'http://u:p@x/'}\n    private: ['a-*']\n    environment: {paths: {a: b}, env: [A]}\n",
		"views: {v: {constraints: [a], python: ./x, settings: '', build: never}}",
		"views: {v: {as_of: 2026-11-01, sources: {a: {git: 'git@h.example:a/b', ref: '${version}', submodules: [./a/], versions: ['1', 2.0.1]}, b: {git: /a, submodules: on, versions: ['1']}}}}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		views, err := config.Parse("axle.yaml", "/dir", []byte(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "axle.yaml:") {
				t.Fatalf("the error does not name the file: %v", err)
			}
			return
		}
		for _, c := range views {
			for _, i := range c.Upstream {
				if again, err := config.IndexURL(i.URL.String()); err != nil || again.String() != i.URL.String() {
					t.Fatalf("index %s is not in normal form: %v, %v", i.URL, again, err)
				}
			}
			for p, s := range c.Sources {
				if again, err := git.ParseURL(s.Git); err != nil || again.String() != s.Git {
					t.Fatalf("repository %s is not in normal form: %v, %v", s.Git, again, err)
				}
				at, err := GitSource{URL: s.Git, Ref: s.Ref}.At(p, s.Versions[0])
				if err != nil {
					t.Fatalf("ref %q: %q, %v", s.Ref, at.Ref, err)
				}
			}
			c.Constraints, c.Settings = nil, ""
			d, _, err := documentOf(t.Context(), c, inputs{}, Machine{})
			if err != nil {
				t.Fatalf("a configuration that was read can't be published: %v", err)
			}
			b, err := cas.Canonical(d)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := decode(b); err != nil {
				t.Fatalf("%v of %s", err, b)
			}
		}
	})
}
