package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/cas/disk"
	"github.com/python-wheel-build/axle/cas/s3"
)

// formatFile is in every store from its first moment.
const formatFile = "axle-store.json"

// OpenStore opens a folder, or s3://bucket/prefix?endpoint=…&region=… with the secrets from the standard AWS variables. Scratch lies
// inside the folder, so that files are linked and not copied; for S3 in the machine's temporary folder. A store that is not there is
// made, unless it must exist: then a mistyped name is an error and leaves nothing behind.
func OpenStore(ctx context.Context, spec string, exists bool) (*cas.Store, error) {
	if !strings.Contains(spec, "://") {
		dir, err := filepath.Abs(spec)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(filepath.Join(dir, formatFile)); exists && errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("store %s: there is none: no %s; name the folder that `axle serve --store` has", spec, formatFile)
		}
		b, err := disk.Open(dir)
		if err != nil {
			return nil, fmt.Errorf("store %s: %w; name a folder that this user can write to", spec, err)
		}
		s, err := cas.Open(ctx, b, filepath.Join(dir, "tmp"))
		if err != nil {
			return nil, fmt.Errorf("store %s: %w", spec, err)
		}
		return s, nil
	}
	u, err := url.Parse(spec)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if u.Scheme != "s3" {
		return nil, fmt.Errorf("store %s: %s:// is not understood; use a folder, or s3://bucket/prefix?endpoint=https://…&region=…", u.Redacted(), u.Scheme)
	}
	if u.User != nil {
		return nil, fmt.Errorf("store %s: secrets don't belong into the URL; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", u.Redacted())
	}
	b, err := s3.Open(ctx, u, os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("AWS_SESSION_TOKEN"))
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", spec, err)
	}
	if _, err := b.Stat(ctx, formatFile); exists && errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("store %s: there is none: no object %s; name the bucket and prefix that `axle serve --store` has", spec, formatFile)
	}
	scratch, err := s3Scratch()
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", spec, err)
	}
	s, err := cas.Open(ctx, b, scratch)
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", spec, err)
	}
	return s, nil
}

// s3Scratch is a folder of this user's own in the machine's temporary one: builds run below it, so nobody else may have made it.
func s3Scratch() (string, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("axle-scratch-%d", os.Getuid()))
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || !info.IsDir() || int(st.Uid) != os.Getuid() || info.Mode().Perm() != 0o700 {
		return "", fmt.Errorf("%s is not a folder of this user alone (%s): remove it, or set TMPDIR to another place", dir, info.Mode())
	}
	return dir, nil
}
