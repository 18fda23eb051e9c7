package host

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

// TestCrateRegistry: of cargo's configuration what says where crates come from is taken and nothing else, tokens go into variables,
// and a password is refused without being repeated.
func TestCrateRegistry(t *testing.T) {
	mirrored := "[build]\nrustc-wrapper = 'evil'\n[http]\nproxy = 'http://proxy.example:1'\n[source.crates-io]\nreplace-with = 'near'\n" +
		"[registries.near]\nindex = 'sparse+https://near.example/index/'\n"
	for name, test := range map[string]struct {
		files  map[string]string
		mirror string
		want   map[string]string // dotted key of the configuration: value
		fails  string
	}{
		"nothing":            {},
		"a mirror":           {files: map[string]string{"config.toml": mirrored}, want: map[string]string{"source.crates-io.replace-with": "near", "registries.near.index": "sparse+https://near.example/index/", "http.proxy": "http://proxy.example:1"}},
		"two files":          {files: map[string]string{"config": mirrored, "config.toml": "[net]\nretry = 1\n"}, want: map[string]string{"source.crates-io.replace-with": "near"}},
		"another mirror":     {files: map[string]string{"config.toml": mirrored}, mirror: "sparse+https://far.example/i", want: map[string]string{"source.crates-io.replace-with": "axle", "source.axle.registry": "sparse+https://far.example/i/", "http.proxy": "http://proxy.example:1"}},
		"no TOML":            {files: map[string]string{"config.toml": "[["}, fails: "config.toml: "},
		"password":           {files: map[string]string{"config.toml": "[source.near]\nregistry = 'sparse+https://me:secret@near.example/'\n"}, fails: "source.near.registry holds a user or password"},
		"--crates, password": {mirror: "sparse+https://me:secret@near.example/", fails: "--crates: the URL holds a user or password"},
		"--crates, a name":   {mirror: "near", fails: "--crates: not the URL of a crate registry"},
		"--crates, a file":   {mirror: "file:///near", fails: "--crates: not the URL of a crate registry"},
	} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			t.Setenv("CARGO_HOME", home)
			t.Setenv("CARGO_REGISTRIES_OTHER_TOKEN", "from the environment")
			t.Setenv("https_proxy", "http://proxy.example:2")
			files := map[string]string{"credentials.toml": "[registries.near-by]\ntoken = 'secret'\n[registries.other]\ntoken = 'loses'\n"}
			maps.Copy(files, test.files)
			for file, text := range files {
				if err := os.WriteFile(filepath.Join(home, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			r, err := CrateRegistry(test.mirror)
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) || strings.Contains(err.Error(), "secret") {
					t.Errorf("got %v, want %q", err, test.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for variable, want := range map[string]string{"CARGO_REGISTRIES_NEAR_BY_TOKEN": "secret", "CARGO_REGISTRIES_OTHER_TOKEN": "from the environment", "https_proxy": "http://proxy.example:2", "CARGO_HOME": ""} {
				if r.Env[variable] != want {
					t.Errorf("%s is %q, want %q", variable, r.Env[variable], want)
				}
			}
			var doc map[string]any
			if err := toml.Unmarshal(r.Config, &doc); err != nil {
				t.Fatal(err)
			}
			for key, want := range test.want {
				var at any = doc
				for _, part := range strings.Split(key, ".") {
					table, _ := at.(map[string]any)
					at = table[part]
				}
				if at != want {
					t.Errorf("%s is %v, want %q, in\n%s", key, at, want, r.Config)
				}
			}
			if strings.Contains(string(r.Config), "evil") || strings.Contains(string(r.Config), "secret") {
				t.Errorf("too much: %s", r.Config)
			}
		})
	}
}
