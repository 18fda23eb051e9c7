package host

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/python-wheel-build/axle/builder/crates"
)

// ofRegistry are the tables of a cargo configuration that say where crates come from and how they are fetched. All else, such as what
// is to be run in place of rustc, is for builds of this machine and not for Axle's.
var ofRegistry = []string{"source", "registries", "http", "net"}

// CrateRegistry is where cargo of this machine gets crates, by its home's configuration and the environment. A mirror, the URL of a
// registry, wins over its [source] tables.
func CrateRegistry(mirror string) (crates.Registry, error) {
	r := crates.Registry{Env: map[string]string{}}
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		switch upper := strings.ToUpper(name); {
		case slices.Contains([]string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"}, upper),
			strings.HasPrefix(name, "CARGO_HTTP_"), strings.HasPrefix(name, "CARGO_NET_"), strings.HasPrefix(name, "CARGO_REGISTRIES_"):
			r.Env[name] = value
		}
	}
	home := os.Getenv("CARGO_HOME")
	if home == "" {
		user, err := os.UserHomeDir()
		if err != nil {
			return r, err
		}
		home = filepath.Join(user, ".cargo")
	}
	config, err := readCargo(home, "config")
	if err != nil {
		return r, err
	}
	maps.DeleteFunc(config, func(table string, _ any) bool { return !slices.Contains(ofRegistry, table) })
	secrets, err := readCargo(home, "credentials")
	if err != nil {
		return r, err
	}
	registries, _ := secrets["registries"].(map[string]any)
	for name, table := range registries {
		table, _ := table.(map[string]any)
		variable := "CARGO_REGISTRIES_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")) + "_TOKEN"
		if token, ok := table["token"].(string); ok && r.Env[variable] == "" {
			r.Env[variable] = token
		}
	}
	if mirror != "" {
		if mirror, err = registryURL(mirror); err != nil {
			return r, fmt.Errorf("--crates: %w", err)
		}
		config["source"] = map[string]any{"crates-io": map[string]any{"replace-with": "axle"}, "axle": map[string]any{"registry": mirror}}
	}
	for _, table := range []string{"source", "registries"} {
		named, _ := config[table].(map[string]any)
		for name, one := range named {
			one, _ := one.(map[string]any)
			for _, key := range []string{"registry", "index", "git"} {
				if s, ok := one[key].(string); ok && hasPassword(s) {
					return r, fmt.Errorf("cargo's %s.%s.%s holds a user or password, which cargo would print: use a token in %s", table, name, key, filepath.Join(home, "credentials.toml"))
				}
			}
		}
	}
	if len(config) > 0 {
		r.Config, err = toml.Marshal(config)
	}
	return r, err
}

// readCargo reads a file of cargo's home, by its new name or its old one. It is empty where there is none.
func readCargo(home, name string) (map[string]any, error) {
	doc := map[string]any{}
	for _, file := range []string{name, name + ".toml"} { // cargo takes the old one where there are both
		path := filepath.Join(home, file)
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := toml.Unmarshal(text, &doc); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		break
	}
	return doc, nil
}

// registryURL is a registry as cargo names it: a sparse index with its slash at the end, or a repository. Errors don't repeat it.
func registryURL(s string) (string, error) {
	bare, sparse := strings.CutPrefix(s, "sparse+")
	u, err := url.Parse(bare)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return "", errors.New("not the URL of a crate registry: want sparse+https://HOST/PATH/, or https://HOST/PATH of an index that is a git repository")
	case u.User != nil:
		return "", errors.New("the URL holds a user or password: name the registry in cargo's configuration instead, with a token")
	case sparse && !strings.HasSuffix(s, "/"):
		s += "/"
	}
	return s, nil
}

// hasPassword leaves alone the users of ssh, which are no secrets.
func hasPassword(s string) bool {
	u, err := url.Parse(strings.TrimPrefix(s, "sparse+"))
	if err != nil || u.User == nil {
		return err != nil
	}
	_, secret := u.User.Password()
	return secret || u.Scheme != "ssh"
}
