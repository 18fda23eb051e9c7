// Package s3 keeps a store's objects in a bucket of an S3 server: the object's name is the key, after the prefix of the store.
//
// What it needs of the server is a single PUT with "If-None-Match: *" that is refused where the object exists, of several at once all
// but one. Some servers take the header and overwrite all the same, so Open tries, and refuses such a server. Multipart uploads are never
// used: on most servers they can't be made conditional. One PUT holds 5 GiB.
//
// A request that fails in passing (connection, 408, 429, 5xx, throttling) is repeated by minio-go, at most [attempts] times in all with
// waits of up to a second in between; a PUT only if its reader is an io.Seeker. A body that breaks off while it is read is taken up
// again where it broke, as often.
package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/http"
	"net/url"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/python-wheel-build/axle/cas"
)

const attempts = 6

// Backend is a bucket, or the part of one below a prefix. It implements cas.Backend.
type Backend struct {
	core   minio.Core
	bucket string
	prefix string // "" or ends in a slash
	where  string // for messages: s3://bucket/prefix at its server
}

var _ cas.Backend = (*Backend)(nil)

// Open uses the bucket that u names, which must exist:
//
//	s3://bucket/prefix?endpoint=https://host:port&region=eu-west-1
//
// The prefix may be empty or several segments, made as keys are. Without an endpoint it is Amazon's in the region; the region is us-east-1
// where only the endpoint is given. Only an endpoint that says http:// is spoken to without TLS. The credentials are never taken from u;
// token may be empty. Open writes, rewrites and removes one small object to see that the server keeps what this package needs.
func Open(ctx context.Context, u *url.URL, accessKey, secret, token string) (*Backend, error) {
	b, err := configure(u, accessKey, secret, token, nil)
	if err != nil {
		return nil, err
	}
	if err := b.probe(ctx); err != nil {
		return nil, fmt.Errorf("opening %s: %w", b.where, err)
	}
	return b, nil
}

func configure(u *url.URL, accessKey, secret, token string, transport http.RoundTripper) (*Backend, error) {
	// What stands before the bucket and in the query is not repeated: it may be a password in the wrong place.
	named := (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
	fail := func(format string, args ...any) (*Backend, error) {
		return nil, fmt.Errorf("store URL %s: %w; it should look like s3://bucket/prefix?endpoint=https://host&region=name", named, fmt.Errorf(format, args...))
	}
	if u.Scheme != "s3" || u.Host == "" || u.Opaque != "" || u.Fragment != "" {
		return fail("no bucket, or no s3:// in front of it")
	}
	if u.User != nil {
		return fail("credentials don't belong in it: it stands in logs")
	}
	prefix := strings.Trim(u.Path, "/")
	if prefix != "" {
		if err := cas.CheckKey(prefix); err != nil {
			return fail("the prefix: %w", err)
		}
		if len(prefix) > 100 {
			return fail("the prefix is longer than 100 bytes")
		}
		prefix += "/"
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return fail("its query can't be read")
	}
	for name, values := range query {
		if name != "endpoint" && name != "region" || len(values) != 1 {
			return fail("%s is unknown or given twice", name)
		}
	}
	region, endpoint := query.Get("region"), query.Get("endpoint")
	if endpoint == "" {
		if region == "" {
			return fail("neither endpoint nor region")
		}
		endpoint = "https://s3." + region + ".amazonaws.com"
	}
	if region == "" {
		region = "us-east-1"
	}
	e, err := url.Parse(endpoint)
	if err != nil || e.Scheme != "http" && e.Scheme != "https" || e.Host == "" || strings.Trim(e.Path, "/") != "" || e.RawQuery != "" || e.User != nil {
		return fail("endpoint must be http:// or https:// with a host, and nothing more")
	}
	if accessKey == "" || secret == "" {
		return nil, fmt.Errorf("store URL %s: no access key or no secret is set", named)
	}
	core, err := minio.NewCore(e.Host, &minio.Options{
		Creds:      credentials.NewStaticV4(accessKey, secret, token),
		Secure:     e.Scheme == "https",
		Region:     region,
		MaxRetries: attempts,
		Transport:  transport,
		// Several servers refuse or store trailing checksums as content.
		TrailingHeaders: false,
	})
	if err != nil {
		return fail("%w", err)
	}
	return &Backend{core: *core, bucket: u.Host, prefix: prefix, where: named + " at " + e.Host}, nil
}

func (b *Backend) name(key string) (string, error) {
	if err := cas.CheckKey(key); err != nil {
		return "", err
	}
	return b.prefix + key, nil
}

// fault gives an error of the server the meaning that callers look for.
func (b *Backend) fault(doing, key string, err error) error {
	if err == nil {
		return nil
	}
	switch response := minio.ToErrorResponse(err); {
	case response.Code == minio.NoSuchBucket:
		err = fmt.Errorf("%w: make the bucket %s first", err, b.bucket)
	case response.Code == minio.NoSuchKey || response.StatusCode == http.StatusNotFound && response.Code != minio.NoSuchBucket:
		err = fs.ErrNotExist
	}
	return fmt.Errorf("%s %s: %w", doing, key, err)
}

// Stat implements cas.Backend.
func (b *Backend) Stat(ctx context.Context, key string) (cas.Info, error) {
	name, err := b.name(key)
	if err != nil {
		return cas.Info{}, err
	}
	info, err := b.core.StatObject(ctx, b.bucket, name, minio.StatObjectOptions{})
	if err != nil {
		return cas.Info{}, b.fault("looking at", key, err)
	}
	return cas.Info{Key: key, Size: info.Size, ModTime: info.LastModified}, nil
}

// Remove implements cas.Backend.
func (b *Backend) Remove(ctx context.Context, key string) error {
	name, err := b.name(key)
	if err != nil {
		return err
	}
	err = b.fault("removing", key, b.core.RemoveObject(ctx, b.bucket, name, minio.RemoveObjectOptions{}))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Open implements cas.Backend.
func (b *Backend) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, cas.Info, error) {
	name, err := b.name(key)
	if err != nil {
		return nil, cas.Info{}, err
	}
	if off < 0 {
		return nil, cas.Info{}, fmt.Errorf("opening %s: offset %d", key, off)
	}
	// A range that holds nothing is an error to S3, and an empty object has no other.
	if n == 0 || off > 0 {
		info, err := b.Stat(ctx, key)
		if err != nil {
			return nil, cas.Info{}, err
		}
		if n == 0 || off >= info.Size {
			return http.NoBody, info, nil
		}
	}
	if n > math.MaxInt64-off {
		n = -1
	}
	r := &body{ctx: ctx, b: b, key: key, name: name, off: off, n: n}
	if err := r.open(); err != nil {
		return nil, cas.Info{}, err
	}
	return r, r.info, nil
}
