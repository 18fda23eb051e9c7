package git

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"
)

// scp is the short form of an ssh address, [user@]host:path. A host of one letter would be a drive, and two slashes begin a URL.
var scp = regexp.MustCompile(`^(?:([A-Za-z0-9._-]+)@)?([A-Za-z0-9][A-Za-z0-9.-]+):(/?[^/:].*)$`)

// ParseURL reads a repository's address: an https, http, ssh or file URL, an absolute path, or ssh's short form host:path. It gives one
// form for all of them, a URL without password. A user may stand in ssh's alone, where it is part of the address. Errors don't repeat
// the address, which may hold a password.
func ParseURL(s string) (*url.URL, error) {
	if m := scp.FindStringSubmatch(s); m != nil && !strings.Contains(s, "://") {
		s = "ssh://" + m[2] + "/" + strings.TrimPrefix(m[3], "/")
		if m[1] != "" {
			s = "ssh://" + m[1] + "@" + strings.TrimPrefix(s, "ssh://")
		}
	}
	if path.IsAbs(s) {
		s = (&url.URL{Scheme: "file", Path: s}).String()
	}
	u, err := url.Parse(s)
	if err != nil {
		return nil, errors.New("it is no URL")
	}
	_, password := u.User.Password()
	switch {
	case u.Scheme != "https" && u.Scheme != "http" && u.Scheme != "ssh" && u.Scheme != "file", u.Opaque != "":
		return nil, errors.New("it is no https, http, ssh or file URL")
	case u.Scheme == "file" && (u.Host != "" || !path.IsAbs(u.Path)):
		return nil, errors.New("a file URL has no host and an absolute path: file:///folder/repository.git")
	case u.Scheme != "file" && (u.Hostname() == "" || strings.HasPrefix(u.Hostname(), "-")):
		return nil, errors.New("it names no host")
	case password, u.User != nil && u.Scheme != "ssh":
		return nil, errors.New("it holds a user or password: put it in netrc")
	case strings.HasPrefix(u.User.Username(), "-"):
		return nil, errors.New("its user can't begin with a dash")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("a repository's URL has no ? and no #")
	}
	u.Host = strings.ToLower(u.Host)
	return u, nil
}

// below resolves a submodule's address, which is a stranger's text: relative to the repository's own where it begins with ./ or ../, and
// never a folder of this machine.
func below(repository *url.URL, s string) (*url.URL, error) {
	if strings.HasPrefix(s, "./") || strings.HasPrefix(s, "../") {
		u := *repository
		u.RawPath = ""
		u.Path = path.Join("/", u.Path, s)
		s = u.String()
	}
	u, err := ParseURL(s)
	switch {
	case err != nil:
		return nil, fmt.Errorf("its address in .gitmodules can't be used: %w", err)
	case u.Scheme == "file":
		return nil, errors.New("its address in .gitmodules is a folder of this machine, and .gitmodules is a stranger's text: only https, http and ssh are followed")
	}
	return u, nil
}

var refForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/+!@-]*$`)

// CheckRef refuses what is no plain name of a tag or branch, and no whole commit.
func CheckRef(ref string) error {
	if !refForm.MatchString(ref) || len(ref) > 250 || strings.Contains(ref, "..") || strings.Contains(ref, "//") || strings.HasSuffix(ref, "/") ||
		strings.HasSuffix(ref, ".") || strings.HasSuffix(ref, ".lock") {
		return fmt.Errorf("%q is no ref: name a tag, a branch or a whole commit", ref)
	}
	return nil
}

var commitForm = regexp.MustCompile(`^[0-9a-f]{40}$`)
