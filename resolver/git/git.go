// Package git makes one canonical archive of what a git repository holds at a ref, with its submodules.
//
//	tree, err := client.Tar(ctx, git.Repository{URL: "https://…/foo.git", Ref: "v1.0", Submodules: git.All}, scratch, file)
//
// The git program fetches; what it fetched is read object by object. Nothing is checked out, so no hook, filter, attribute or line ending
// of a machine or of the repository changes a byte, and no configuration but the one written here counts.
package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// All as a repository's Submodules takes all of them.
var All = []string{"."}

// Repository is what to fetch.
type Repository struct {
	URL string // as ParseURL takes it
	Ref string // a tag, a branch or a whole commit, see CheckRef
	// Submodules are paths: those submodules that lie there or below are taken, and whatever submodules these have. None takes none; the
	// folder of a submodule that is not taken is empty, as after a plain clone.
	Submodules []string
}

// Tree is what was found.
type Tree struct {
	Commit     string            // 40 hexadecimal digits
	Submodules map[string]string // the commit of each that was taken, by path; nil none
}

// Client runs the git program. Its fields are not changed after the first call; it is safe for concurrent use.
type Client struct {
	// Program is git's path; "" says that there is none, which is an error where it is wanted.
	Program string
	// Env are the variables of the caller's environment that git may see: PATH, where ssh's agent listens, proxies, certificates.
	Env []string
	// Credentials is asked for each address that is fetched from by http or https; nil knows none.
	Credentials func(u *url.URL) (user, password string, ok bool)
	// MaxBytes bounds what is fetched for one tree, and its files together; zero is 4 GiB.
	MaxBytes int64
}

// timeLimit bounds the fetch of one repository.
const timeLimit = 30 * time.Minute

func (c *Client) maxBytes() int64 {
	if c.MaxBytes == 0 {
		return 4 << 30
	}
	return c.MaxBytes
}

// repository is a bare one on disk with what was fetched.
type repository struct {
	*Client
	dir   string
	sees  []string // the environment of git
	limit int64    // bytes that a file of it may have
}

// fetch brings one ref into a new repository in dir, and gives its commit.
func (c *Client) fetch(ctx context.Context, dir string, from *url.URL, ref string, limit int64) (*repository, string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeLimit, fmt.Errorf("not fetched within %s", timeLimit))
	defer cancel()
	home := filepath.Join(dir, "home") // empty: git and what it runs find no file of a person's there
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, "", err
	}
	r := &repository{Client: c, dir: filepath.Join(dir, "git"), sees: c.environment(home, from), limit: limit}
	if _, err := r.run(ctx, "init", "--quiet", "--bare", "--template=", r.dir); err != nil {
		return nil, "", err
	}
	fetch := func(args ...string) error {
		_, err := r.run(ctx, append([]string{"fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-auto-gc"}, args...)...)
		return err
	}
	err := fetch("--depth=1", "--end-of-options", from.String(), "+"+ref+":refs/axle/source")
	if err != nil && commitForm.MatchString(ref) {
		// Some servers give only what a branch or tag points to.
		if fetch("--end-of-options", from.String(), "+refs/*:refs/fetched/*") == nil {
			_, err = r.run(ctx, "update-ref", "refs/axle/source", ref)
		}
	}
	if n, size := r.packed(); err != nil && size == nil && n >= limit {
		err = fmt.Errorf("more than the %d bytes that are fetched at most", c.maxBytes())
	}
	if err != nil {
		return nil, "", fmt.Errorf("fetching %s of %s: %w%s", ref, from, err, next(err.Error(), from))
	}
	out, err := r.run(ctx, "rev-parse", "--verify", "--quiet", "refs/axle/source^{commit}")
	if err != nil {
		return nil, "", fmt.Errorf("%s of %s is no commit: %w", ref, from, err)
	}
	commit := strings.TrimSpace(string(out))
	if !commitForm.MatchString(commit) {
		return nil, "", fmt.Errorf("%s of %s: git names its commit %q", ref, from, commit)
	}
	return r, commit, nil
}

// next is what to do about a message of git, "" where that is not known.
func next(said string, from *url.URL) string {
	for _, known := range []struct{ words, do string }{
		{"Authentication failed", ": put a login for " + from.Host + " that may read it into netrc"},
		{"error: 403", ": put a login for " + from.Host + " that may read it into netrc"},
		{"Permission denied (publickey", ": give the user that runs axle a key that may read it, or an agent (SSH_AUTH_SOCK)"},
		{"Host key verification failed", ": add " + from.Hostname() + " to the known_hosts of the user that runs axle"},
		{"couldn't find remote ref", ": correct `ref` or `versions`, or push the tag"},
		{"dubious ownership", ": the folder must belong to the user that runs axle"},
	} {
		if strings.Contains(said, known.words) {
			return known.do
		}
	}
	return ""
}

// environment is all that git sees. The login goes by way of a variable, to git's own helper for that origin alone: it stands in no file,
// no argument and no URL.
func (c *Client) environment(home string, from *url.URL) []string {
	allowed := "https:http:ssh"
	if from.Scheme == "file" {
		allowed = "file" // an address of the configuration; submodules have none
	}
	env := append(append([]string{}, c.Env...), "HOME="+home, "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_ATTR_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=true", "SSH_ASKPASS=true", "GIT_SSH_COMMAND=ssh -oBatchMode=yes", "GIT_ALLOW_PROTOCOL="+allowed,
		"GIT_NO_REPLACE_OBJECTS=1", "GIT_OPTIONAL_LOCKS=0")
	if c.Credentials == nil || from.Scheme != "https" && from.Scheme != "http" {
		return env
	}
	if user, password, ok := c.Credentials(from); ok {
		env = append(env, "AXLE_GIT_USER="+user, "AXLE_GIT_PASSWORD="+password, "GIT_CONFIG_COUNT=1",
			"GIT_CONFIG_KEY_0=credential."+from.Scheme+"://"+from.Host+".helper",
			`GIT_CONFIG_VALUE_0=!printf 'username=%s\npassword=%s\n' "$AXLE_GIT_USER" "$AXLE_GIT_PASSWORD" #`)
	}
	return env
}

// command prepares git in the repository: what it starts ends with it.
func (r *repository) command(ctx context.Context, args ...string) *exec.Cmd {
	config := []string{"-c", "core.hooksPath=/dev/null", "-c", "fetch.unpackLimit=1", "-c", "maintenance.auto=false", "-c", "gc.auto=0",
		"-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=60", "--git-dir=" + r.dir}
	cmd := exec.CommandContext(ctx, r.Program, append(config, args...)...)
	cmd.Env, cmd.Dir = r.sees, filepath.Dir(r.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// maxOutput bounds what git may print for us to read: the listing of a tree of 200,000 long names.
const maxOutput = 256 << 20

// run runs git to its end and gives what it printed.
func (r *repository) run(ctx context.Context, args ...string) ([]byte, error) {
	if r.Program == "" {
		return nil, errors.New("there is no git program: install git, and start axle again")
	}
	cmd := r.command(ctx, args...)
	var out, said tail
	out.most, said.most = maxOutput, 64<<10
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	// Packs are one file each, so this bounds a fetch. It holds for what git starts, which is later than this.
	limit := unix.Rlimit{Cur: uint64(r.limit), Max: uint64(r.limit)}
	if err := unix.Prlimit(cmd.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil); err != nil && !errors.Is(err, unix.ESRCH) {
		_ = cmd.Cancel()
		_ = cmd.Wait()
		return nil, fmt.Errorf("bounding git: %w", err)
	}
	err := cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil && said.Len() > 0:
		return nil, fmt.Errorf("git %s: %s", args[0], strings.Join(strings.Fields(said.String()), " "))
	case err != nil:
		return nil, fmt.Errorf("git %s: %w", args[0], err)
	case out.lost:
		return nil, fmt.Errorf("git %s printed more than %d bytes", args[0], out.most)
	}
	return out.Bytes(), nil
}

// packed is how many bytes its packs have, whole or not.
func (r *repository) packed() (n int64, err error) {
	packs, err := filepath.Glob(filepath.Join(r.dir, "objects", "pack", "*pack*"))
	for _, p := range packs {
		info, err := os.Stat(p)
		if err != nil {
			return 0, err
		}
		n += info.Size()
	}
	return n, err
}

// tail keeps the beginning of what is written, and says whether there was more.
type tail struct {
	bytes.Buffer
	most int
	lost bool
}

func (t *tail) Write(p []byte) (int, error) {
	keep := min(len(p), t.most-t.Len())
	t.lost = t.lost || keep < len(p)
	t.Buffer.Write(p[:keep]) // memory does not fail
	return len(p), nil
}
