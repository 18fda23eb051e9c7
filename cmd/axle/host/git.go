package host

import (
	"os"
	"os/exec"

	"github.com/python-wheel-build/axle/resolver/git"
	"github.com/python-wheel-build/axle/resolver/upstream"
)

// ofGit are the variables of this environment that git may see: where programs are, ssh's agent, proxies, certificates. Passwords that it
// needs come from netrc.
var ofGit = []string{"PATH", "SSH_AUTH_SOCK", "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY",
	"SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH"}

// Git is the git program of this machine; where there is none, its use is an error that says so.
func Git(netrc upstream.Netrc) *git.Client {
	c := &git.Client{Credentials: netrc.Credentials}
	c.Program, _ = exec.LookPath("git") // "" where it is missing
	for _, name := range ofGit {
		if value, ok := os.LookupEnv(name); ok {
			c.Env = append(c.Env, name+"="+value)
		}
	}
	return c
}
