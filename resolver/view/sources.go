package view

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver/git"
	"github.com/python-wheel-build/axle/resolver/view/config"
	"github.com/python-wheel-build/axle/resolver/view/pyyaml"
)

// GitSource is where a project comes from in place of an index.
type GitSource struct {
	URL        string            `json:"git"`
	Ref        string            `json:"ref"`
	Submodules []string          `json:"submodules,omitempty"`
	Versions   []version.Version `json:"versions"`
}

// At is what to fetch for a version.
func (g GitSource) At(p dist.Project, ver version.Version) (git.Repository, error) {
	ref, err := config.Fill(g.Ref, p, ver.String())
	return git.Repository{URL: g.URL, Ref: ref, Submodules: g.Submodules}, err
}

// Download is fromager's download_source: where the sdist of each version lies. Both are templates, see config.Fill.
type Download struct {
	URL      string `json:"url"`
	Filename string `json:"destination_filename,omitempty"`
}

// archives are the endings by which archive.Unpack knows what it unpacks.
var archives = []string{".tar.gz", ".tgz", ".tar.bz2", ".tar", ".zip"}

// secretName tells parameters of a URL that are credentials.
var secretName = regexp.MustCompile(`(?i)token|secret|passw|signature|^sig$|credential|api.?key|^key$|auth`)

// At gives the address of a version's sdist and its file's name: the destination, else the address's last part where that names an archive,
// else what fromager calls it. The address has no user, password or fragment.
func (d Download) At(p dist.Project, ver version.Version) (address, filename string, err error) {
	if address, err = config.Fill(d.URL, p, ver.String()); err != nil {
		return "", "", fmt.Errorf("url: %w", err)
	}
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "":
		return "", "", errors.New("url: not an http or https URL")
	case u.User != nil:
		return "", "", errors.New("url: it holds a user or password: put it in netrc")
	}
	for name := range u.Query() {
		if secretName.MatchString(name) {
			return "", "", fmt.Errorf("url: its parameter %s looks like a credential, which would be stored: put it in netrc", name)
		}
	}
	u.Host, u.Fragment, u.RawFragment = strings.ToLower(u.Host), "", ""
	if d.Filename != "" {
		filename, err = filled(d.Filename, p, ver)
		if err == nil && !isArchive(filename) {
			err = fmt.Errorf("destination_filename: %q ends with none of %s, which are what can be unpacked", filename, strings.Join(archives, ", "))
		}
		if err != nil {
			return "", "", err
		}
	} else if filename = path.Base(u.Path); !isPlain(filename) || !isArchive(filename) {
		filename = fmt.Sprintf("%s-%s.tar.gz", p.Override(), ver)
	}
	return u.String(), filename, nil
}

// filled is a destination_filename for a version.
func filled(template string, p dist.Project, ver version.Version) (string, error) {
	name, err := config.Fill(template, p, ver.String())
	if err == nil && !isPlain(name) {
		err = fmt.Errorf("%q is not the name of a file", name)
	}
	if err != nil {
		return "", fmt.Errorf("destination_filename: %w", err)
	}
	return name, nil
}

func isPlain(name string) bool {
	return len(name) <= 255 && !strings.ContainsFunc(name, func(r rune) bool { return strings.ContainsRune(`/\:`, r) || !unicode.IsPrint(r) })
}

func isArchive(name string) bool {
	return slices.ContainsFunc(archives, func(end string) bool { return strings.HasSuffix(strings.ToLower(name), end) && len(name) > len(end) })
}

// download reads download_source. A destination_filename alone renames a file that Axle names otherwise: it has no effect.
func download(f pyyaml.File, n *yaml.Node) (*Download, error) {
	if pyyaml.KindOf(n) == pyyaml.Null {
		return nil, nil
	}
	var d Download
	text := func(into *string, what string) func(*yaml.Node) error {
		return func(n *yaml.Node) (err error) {
			if pyyaml.KindOf(n) != pyyaml.Null || what == "destination_filename" {
				*into, err = f.Text(n, "download_source: "+what)
			}
			return err
		}
	}
	err := f.Fields(n, "download_source", map[string]func(*yaml.Node) error{
		"url": text(&d.URL, "url"), "destination_filename": text(&d.Filename, "destination_filename"),
	})
	if err != nil {
		return nil, err
	}
	ver, err := version.Parse("1.0")
	if err == nil && d.URL != "" {
		_, _, err = d.At("project", ver)
	} else if err == nil {
		_, err = filled(d.Filename, "project", ver)
	}
	if err != nil {
		return nil, f.Errorf(n, "download_source: %w", err)
	}
	if d.URL == "" {
		return nil, nil
	}
	return &d, nil
}

// gitOptions reads git_options: which submodules a project has that comes from git, nil where it doesn't say. Paths go before the flag.
func gitOptions(f pyyaml.File, n *yaml.Node) (submodules []string, err error) {
	if pyyaml.KindOf(n) == pyyaml.Null {
		return nil, nil
	}
	var paths []string
	err = f.Fields(n, "git_options", map[string]func(*yaml.Node) error{
		"submodules": func(n *yaml.Node) error {
			all, err := f.Flag(n, "git_options: submodules")
			if submodules = []string{}; all {
				submodules = git.All
			}
			return err
		},
		"submodule_paths": func(n *yaml.Node) error {
			texts, err := f.Texts(n, "git_options: submodule_paths")
			if err != nil {
				return err
			}
			if paths, err = config.SubmodulePaths(texts); err != nil {
				return f.Errorf(n, "git_options: submodule_paths: %w", err)
			}
			return nil
		},
	})
	if len(paths) > 0 {
		submodules = paths
	}
	return submodules, err
}

// gitSources makes what a view says of sources: the configuration's, with the settings' git_options where it says nothing of submodules.
func gitSources(c config.View, said *decided) (map[dist.Project]GitSource, error) {
	all := map[dist.Project]GitSource{}
	for _, p := range slices.Sorted(maps.Keys(c.Sources)) {
		s := c.Sources[p]
		switch own := said.projects[p]; {
		case own.PreBuilt:
			return nil, fmt.Errorf("sources: %s comes from git, and the settings declare it pre_built: keep one of the two", p)
		case own.Download != nil:
			return nil, fmt.Errorf("sources: %s comes from git, and the settings have a download_source for it: keep one of the two", p)
		}
		if s.Submodules == nil {
			s.Submodules = said.submodules[p]
		}
		all[p] = GitSource{URL: s.Git, Ref: s.Ref, Submodules: s.Submodules, Versions: s.Versions}
	}
	return all, nil
}
