package main

import (
	"bytes"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/python-wheel-build/axle/internal/testindex"
)

// TestSecrets: passwords of an index, in pip's settings or in netrc, and what stands in the server's environment undeclared, are in no
// document, log, error or page, whatever goes well or wrong.
func TestSecrets(t *testing.T) {
	t.Parallel()
	const secret = "hunter2"
	r := newRig(t)
	r.up.Set(testindex.Faults{User: "reader", Password: secret})
	r.up.Add(testindex.Spec{Name: "talks", Version: "1.0", OnBuild: "print(dict(os.environ), flush=True)\n"},
		testindex.Spec{Name: "fails", Version: "1.0", OnBuild: "raise SystemExit(repr(dict(os.environ)))\n"}, spec("late", "1.0", "l"))
	netrc := filepath.Join(r.dir, "netrc")
	r.ok(os.WriteFile(netrc, []byte("machine 127.0.0.1 login reader password "+secret+"\n"), 0o600))
	withPassword, err := url.Parse(r.up.URL)
	r.ok(err)
	withPassword.User = url.UserPassword("reader", secret)
	for _, way := range []struct{ name, env, config string }{
		{"netrc", "NETRC=" + netrc, r.config},
		{"pip", "PIP_INDEX_URL=" + withPassword.String(), ""},
	} {
		r.config, r.env = way.config, []string{way.env, "AXLE_TEST_TOKEN=" + secret}
		r.up.Set(testindex.Faults{User: "reader", Password: secret})
		r.start()
		said := []string{}
		ask := func(args ...string) {
			stdout, stderr, _ := r.run(args...)
			said = append(said, stdout, stderr)
		}
		ask("build", "talks")
		if !r.only("talks").hit() {
			t.Fatalf("%s: talks was not built: the password was not used", way.name)
		}
		ask("build", "fails", "nowhere")
		for _, fault := range []testindex.Faults{{Status: 403}, {Status: 500}, {Hang: true}, {User: "reader", Password: "changed"}} {
			r.up.Set(fault)
			ask("build", "--retry", "late")
		}
		for _, path := range []string{"/", "/simple/", "/simple/talks/", "/simple/fails/", "/simple/late/", "/api/v1/views", "/api/v1/builds", "/metrics"} {
			said = append(said, r.get(path, nil).body)
		}
		r.stop()
		if joined := strings.Join(said, "\n"); !strings.Contains(joined, "fails 1.0") {
			t.Errorf("%s: nothing was said of what fails:\n%s", way.name, joined)
		}
		for _, text := range append(said, r.out.all()) {
			if i := strings.Index(text, secret); i >= 0 {
				t.Errorf("%s: a secret was told: …%s", way.name, text[max(0, i-200):i])
			}
		}
	}
	files, logs := 0, 0
	unpack, err := zstd.NewReader(nil)
	r.ok(err)
	defer unpack.Close()
	r.ok(filepath.WalkDir(r.store, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		files++
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if plain, err := unpack.DecodeAll(b, nil); err == nil {
			b = plain // a log
			if bytes.Contains(b, []byte("SOURCE_DATE_EPOCH")) {
				logs++ // of a build that printed its environment
			}
		}
		if bytes.Contains(b, []byte(secret)) {
			t.Errorf("%s holds a secret", name)
		}
		return nil
	}))
	if files < 10 || logs == 0 {
		t.Errorf("%d files and %d such logs in the store: too few to mean anything", files, logs)
	}
}
