package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/cas/disk"
	"github.com/python-wheel-build/axle/cas/s3"
)

// openStore opens a folder, or s3://bucket/prefix?endpoint=…&region=… with the secrets from the standard AWS variables. Scratch lies
// inside the folder, so that files are linked and not copied; for S3 in the machine's temporary folder.
func openStore(ctx context.Context, spec string) (*cas.Store, error) {
	if !strings.Contains(spec, "://") {
		dir, err := filepath.Abs(spec)
		if err != nil {
			return nil, err
		}
		b, err := disk.Open(dir)
		if err != nil {
			return nil, fmt.Errorf("store %s: %w", spec, err)
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
	s, err := cas.Open(ctx, b, filepath.Join(os.TempDir(), "axle-scratch"))
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", spec, err)
	}
	return s, nil
}
