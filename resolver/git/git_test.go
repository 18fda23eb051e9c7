package git

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/python-wheel-build/axle/internal/testindex"
)

// host is where repositories are served, and the client that fetches them.
type host struct {
	*testindex.Git
	t *testing.T
}

func newHost(t *testing.T) *host { return &host{testindex.NewGit(t), t} }

func (h *host) client() *Client {
	return &Client{Program: h.Program, Env: []string{"PATH=" + os.Getenv("PATH")}}
}

// entries shows a tar: a line for each entry.
func entries(t *testing.T, b []byte) (lines []string) {
	t.Helper()
	r := tar.NewReader(bytes.NewReader(b))
	for {
		head, err := r.Next()
		if errors.Is(err, io.EOF) {
			return lines
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if head.Uid != 0 || head.Gid != 0 || !head.ModTime.Equal(When) || head.Uname != "" {
			t.Errorf("%s: %d:%d %q %s", head.Name, head.Uid, head.Gid, head.Uname, head.ModTime)
		}
		lines = append(lines, fmt.Sprintf("%c %o %s %s%s", head.Typeflag, head.Mode, head.Name, head.Linkname, text))
	}
}

func (h *host) tar(c *Client, r Repository) ([]byte, Tree, error) {
	scratch := h.t.TempDir()
	var b bytes.Buffer
	tree, err := c.Tar(h.t.Context(), r, scratch, &b)
	if left, _ := filepath.Glob(scratch + "/*"); len(left) > 0 {
		h.t.Errorf("left behind: %q", left)
	}
	return b.Bytes(), tree, err
}

func demand(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestTar(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	deep := h.Commit("deep", map[string]string{"deep.txt": "deep\n"})
	h.Commit("lib", map[string]string{"lib.c": "int lib;\n"})
	h.Run("lib", "submodule", "--quiet", "add", "--", h.URL+"/deep", "nested/deep")
	lib := h.Commit("lib", map[string]string{"lib.h": "\n"})
	h.Commit("foo", map[string]string{"setup.py": "pass\n", "run.sh*": "#!/bin/sh\n", "a/link": "->../setup.py", "z/ünusual näme": "x", ".gitattributes": "* text eol=crlf\nsetup.py export-ignore\n"})
	h.Run("foo", "submodule", "--quiet", "add", "--", "../lib", "vendor/lib") // resolved against a folder here, against the URL there
	h.Run("foo", "submodule", "--quiet", "add", "--", h.URL+"/deep", "other")
	first := h.Commit("foo", map[string]string{"more": ""})
	h.Run("foo", "tag", "--annotate", "--message=one", "v1.0")

	repository := Repository{URL: h.URL + "/foo", Ref: "v1.0"}
	plain, tree, err := h.tar(h.client(), repository)
	if err != nil {
		t.Fatal(err)
	}
	if tree.Commit != first || tree.Submodules != nil {
		t.Errorf("tree %+v, want %s", tree, first)
	}
	modules := h.Run("foo", "show", "v1.0:.gitmodules") + "\n"
	top := []string{"0 644 source/.gitattributes * text eol=crlf\nsetup.py export-ignore\n", "0 644 source/.gitmodules " + modules,
		"2 777 source/a/link ../setup.py", "0 644 source/more "}
	tail := []string{"0 755 source/run.sh #!/bin/sh\n", "0 644 source/setup.py pass\n"}
	join := func(parts ...[]string) (all []string) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	demand(t, entries(t, plain), join(top, []string{"5 755 source/other/ "}, tail, []string{"5 755 source/vendor/lib/ ", "0 644 source/z/ünusual näme x"})...)

	libModules := h.Run("lib", "show", "HEAD:.gitmodules") + "\n"
	inLib := []string{"0 644 source/vendor/lib/.gitmodules " + libModules, "0 644 source/vendor/lib/lib.c int lib;\n", "0 644 source/vendor/lib/lib.h \n",
		"0 644 source/vendor/lib/nested/deep/deep.txt deep\n"}
	repository.Submodules = All
	all, tree, err := h.tar(h.client(), repository)
	if err != nil {
		t.Fatal(err)
	}
	demand(t, entries(t, all), join(top, []string{"0 644 source/other/deep.txt deep\n"}, tail, inLib, []string{"0 644 source/z/ünusual näme x"})...)
	demand(t, []string{fmt.Sprint(tree)}, fmt.Sprint(Tree{first, map[string]string{"other": deep, "vendor/lib": lib, "vendor/lib/nested/deep": deep}}))

	repository.Submodules = []string{"vendor"}
	some, _, err := h.tar(h.client(), repository)
	if err != nil {
		t.Fatal(err)
	}
	demand(t, entries(t, some), join(top, []string{"5 755 source/other/ "}, tail, inLib, []string{"0 644 source/z/ünusual näme x"})...)

	// The same tree gives the same bytes, from elsewhere and by another name of it.
	h.Run("foo", "commit", "--quiet", "--allow-empty", "--message=no change")
	for _, same := range []Repository{{URL: filepath.Join(h.Dir, "foo"), Ref: "main"}, {URL: "file://" + h.Dir + "/foo", Ref: "v1.0"}, {URL: h.URL + "/foo", Ref: first}} {
		again, tree, err := h.tar(h.client(), same)
		if err != nil || !bytes.Equal(again, plain) {
			t.Errorf("%+v: %v, same bytes %v", same, err, bytes.Equal(again, plain))
		}
		if (tree.Commit == first) == (same.Ref == "main") {
			t.Errorf("%+v: commit %s", same, tree.Commit)
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	secret := h.Commit("secret", map[string]string{"secret": "of this machine\n"})
	commit := func(name, address string) Repository {
		h.Commit(name, map[string]string{"a": "", ".gitmodules": "[submodule \"s\"]\n\tpath = s\n\turl = " + address + "\n[include]\n\tpath = /etc/hostname\n"})
		h.Run(name, "update-index", "--add", "--cacheinfo", "160000,"+secret+",s")
		h.Run(name, "commit", "--quiet", "--message=submodule")
		return Repository{URL: h.URL + "/" + name, Ref: "main", Submodules: All}
	}
	relative := commit("relative", "../secret")
	relative.URL = filepath.Join(h.Dir, "relative")
	lost := commit("lost", "../lost-it")
	h.Commit("plain", map[string]string{"a": "text"})
	big := make([]byte, 1<<20)
	for i := range big {
		big[i] = byte(i * i >> 3 * (i >> 9))
	}
	h.Commit("big", map[string]string{"a": string(big)})
	h.Commit("zeros", map[string]string{"a": strings.Repeat("0", 1<<20)})
	for name, test := range map[string]struct {
		repository Repository
		want       string
		client     func(*Client)
	}{
		"a folder as submodule":     {commit("folder", filepath.Join(h.Dir, "secret")), "stranger's text", nil},
		"a file URL as submodule":   {commit("file", "file://"+h.Dir+"/secret"), "stranger's text", nil},
		"relative to a folder":      {relative, "stranger's text", nil},
		"a program as submodule":    {commit("ext", "ext::sh -c touch% "+h.Dir+"/pwned"), "can't be used", nil},
		"an option as submodule":    {commit("option", "--upload-pack=touch "+h.Dir+"/pwned"), "can't be used", nil},
		"an option for ssh":         {commit("ssh", "ssh://-oProxyCommand=touch/x"), "can't be used", nil},
		"a password in .gitmodules": {commit("password", "https://u:sesame@127.0.0.1/x"), "password", nil},
		"a lost submodule":          {lost, "submodule s: fetching", nil},
		"no such ref":               {Repository{URL: h.URL + "/plain", Ref: "v9"}, "push the tag", nil},
		"no such commit":            {Repository{URL: h.URL + "/plain", Ref: strings.Repeat("1", 40)}, "1111", nil},
		"an option as ref":          {Repository{URL: h.URL + "/plain", Ref: "--upload-pack=x"}, "no ref", nil},
		"no such submodule":         {Repository{URL: h.URL + "/plain", Ref: "main", Submodules: []string{"vendor"}}, "no submodule at vendor", nil},
		"no git":                    {Repository{URL: h.URL + "/plain", Ref: "main"}, "install git", func(c *Client) { c.Program = "" }},
		"too many bytes packed":     {Repository{URL: h.URL + "/big", Ref: "main"}, "more than the 65536 bytes that are fetched", func(c *Client) { c.MaxBytes = 64 << 10 }},
		"too many bytes unpacked":   {Repository{URL: h.URL + "/zeros", Ref: "main"}, "have more than 65536 bytes", func(c *Client) { c.MaxBytes = 64 << 10 }},
	} {
		t.Run(name, func(t *testing.T) {
			c := h.client()
			if test.client != nil {
				test.client(c)
			}
			_, _, err := h.tar(c, test.repository)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q in it", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "sesame") {
				t.Errorf("the error tells a password: %v", err)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(h.Dir, "pwned")); err == nil {
		t.Error("a program of a .gitmodules was run")
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.Commit("foo", map[string]string{"a": "text"})
	const user, password = "ali baba", "sesame's \"$(secret)\""
	h.Login(user, password)
	c := h.client()
	asked := 0
	c.Credentials = func(u *url.URL) (string, string, bool) {
		asked++
		return user, password, strings.HasPrefix(h.URL, "http://"+u.Host)
	}
	if _, _, err := h.tar(c, Repository{URL: h.URL + "/foo", Ref: "main"}); err != nil || asked == 0 {
		t.Errorf("with a login: %v, asked for %d", err, asked)
	}
	c.Credentials = nil
	_, _, err := h.tar(c, Repository{URL: h.URL + "/foo", Ref: "main"})
	if err == nil || !strings.Contains(err.Error(), "netrc") {
		t.Errorf("without a login: %v", err)
	}
}

func TestParseURL(t *testing.T) {
	for in, want := range map[string]string{
		"https://Host.example/a/b.git": "https://host.example/a/b.git", "git@host.example:a/b.git": "ssh://git@host.example/a/b.git",
		"ssh://git@host.example:22/a": "ssh://git@host.example:22/a", "/srv/git/a b": "file:///srv/git/a%20b", "file:///srv/a": "file:///srv/a",
		"host.example:/srv/a": "ssh://host.example/srv/a",
		"https://u:p@h/a":     "", "https://u@h/a": "", "ssh://u:p@h/a": "", "https://h/a?token=x": "", "https://h/a#b": "", "ext::sh": "", "git://h/a": "",
		"file://h/a": "", "a/b": "", "../a": "", "--x": "", "ssh://-oX/a": "", "ssh://-x@h/a": "", "-x@host.example:a": "", "https:///a": "", "": "", "https://h/\na": "",
	} {
		u, err := ParseURL(in)
		if got := fmt.Sprint(u); err == nil && got != want || err != nil && want != "" {
			t.Errorf("%q: %v, %v; want %q", in, got, err, want)
		}
		if err != nil && in != "" && strings.Contains(err.Error(), in) {
			t.Errorf("%q: the error repeats it: %v", in, err)
		}
	}
}

func FuzzParseTree(f *testing.F) {
	f.Add([]byte("100644 blob " + strings.Repeat("a", 40) + "      12\ta/b\x00160000 commit " + strings.Repeat("0", 40) + "       -\ts\x00"))
	f.Add([]byte("100755 blob x 1\t../a\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := parseTree(b)
		for _, e := range all {
			if err == nil && (e.size < 0 || !filepath.IsLocal(e.path) || filepath.Clean(e.path) != e.path || !commitForm.MatchString(e.object)) {
				t.Errorf("%+v", e)
			}
		}
	})
}

func FuzzModules(f *testing.F) {
	f.Add([]byte("submodule.a.b.path\na/b\x00submodule.a.b.url\n../x\x00submodule.c.url\nssh://-o@x\x00core.x\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		from, err := url.Parse("https://host.example/a/b")
		if err != nil {
			t.Fatal(err)
		}
		for path, address := range parseModules(b) {
			u, err := below(from, address)
			if err == nil && (path == "" || u.Scheme == "file" || u.Hostname() == "" || strings.HasPrefix(u.Host, "-") || strings.HasPrefix(u.String(), "-")) {
				t.Errorf("%q: %s", address, u)
			}
		}
	})
}
