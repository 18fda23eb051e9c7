// Package cas keeps blobs and documents, and proves that what it hands out is what was put in.
//
// A blob is bytes named by their SHA-256. A document is small canonical JSON under a key that the caller chooses, with its own
// checksum line. Both are created once and never changed, so that retries, races and restarts need no care: the second to create
// the same thing succeeds, the second to create another thing under the same key gets fs.ErrExist.
//
//	store, err := cas.Open(ctx, backend, scratch)     // backend: cas/disk or cas/s3
//	digest, size, err := store.Add(ctx, file)         // a blob in
//	blob, err := store.Blob(ctx, digest)              // and out, proven
//	err = store.Create(ctx, "sources/foo/1.0/x/0000.json", source)
//	err = store.Read(ctx, "sources/foo/1.0/x/0000.json", &source)
//
// The layout is an API, the same on every backend:
//
//	axle-store.json                                       {"format":"1"}
//	blobs/sha256/<aa>/<hex>                               aa = the first two of the 64 hex digits
//	sources/<project>/<version>/<hash of how>/<n>.json
//	records/<project>/<version>/<recipe>/<input>/<n>.json
//	metadata/<recipe>.json
//	failures/<recipe>/<uuid>.json
//	checks/<project>/<version>/<recipe>/<input>/<random>.json
//	names/<name>/<12 digits>.json
//	leases/<view>/<12 digits>.json
//	revocations/<sha256>.json
//	quarantine/<key>.<n>                                  what was found damaged, or moved away by a caller
//
// A document is two lines: RFC 8785 JSON of objects, arrays, strings and booleans, and "sha256:" with the hash of the line above.
//
// Damage is never handed out and never guessed at: it is a [DamagedError]. A damaged blob is moved to quarantine/ and then counts as
// absent; a damaged document stays where it is, since only the caller knows whether it may be done without.
package cas

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/singleflight"

	"github.com/python-wheel-build/axle/internal/scratch"
)

// Digest names content, as "sha256:<64 hex digits>". Parse text from outside with digest.Parse.
type Digest = digest.Digest

// Info describes what lies at a key.
type Info struct {
	Key     string
	Size    int64 // of the whole object, in bytes
	ModTime time.Time
}

// Backend keeps objects by key: see [CheckKey] for what a key is. All calls may be made at once, from several processes too.
//
// The caller sees to it that no key is a folder of another: with "a" there must be no "a/b". A folder-based backend refuses the
// second; others may not notice.
//
// A backend may also have the method File(key string) (*os.File, error): the object as a local file, open for reading. Blobs are
// then proven and served in place, otherwise each is copied to the scratch folder first.
type Backend interface {
	// Open reads n bytes from off, or to the end where n < 0 or there are fewer; nothing at or past the end. The error is
	// fs.ErrNotExist when there is no such key.
	Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, Info, error)
	// Create stores exactly size bytes of r, or nothing. It returns nil once they are durable, also when the key already held the
	// same bytes, and fs.ErrExist when it held others. Of several at once exactly one set of bytes wins. A reader that fails, or
	// has fewer or more than size bytes, leaves nothing behind. After any other error the object may be there or not, but whole.
	Create(ctx context.Context, key string, size int64, r io.Reader) error
	// Stat is Open without the bytes.
	Stat(ctx context.Context, key string) (Info, error)
	// List walks the keys that start with prefix (any text, also half a segment) and come after `after`, in the order of their
	// bytes. It is no snapshot: what is created or removed meanwhile may show or not. The first error ends it.
	List(ctx context.Context, prefix, after string) iter.Seq2[Info, error]
	// Remove forgets a key. An absent one is success.
	Remove(ctx context.Context, key string) error
}

// Store is the blobs and documents of one backend. It is safe for concurrent use, by several processes as well.
type Store struct {
	b       Backend
	scratch *scratch.Folder
	now     func() time.Time

	changes atomic.Uint64

	proofs  proofs
	proving singleflight.Group // by identity of the file

	// moving guards the step from "these bytes are damaged" to "they are in quarantine", so that of two that find the same damage
	// the slower does not move away what the faster has put in its place.
	moving sync.Mutex
}

const (
	formatKey = "axle-store.json"
	format    = "1"
)

// Open opens the store that lies in b, and makes an empty one where there is none. A store of another format is refused.
//
// Temporary files go to a folder of this process inside the folder scratchDir, which is made where missing; what processes that
// are gone left there is removed, the files of living ones are not touched.
func Open(ctx context.Context, b Backend, scratchDir string) (*Store, error) {
	if err := checkFormat(ctx, b); err != nil {
		return nil, err
	}
	folder, err := scratch.Open(scratchDir)
	if err != nil {
		return nil, err
	}
	return &Store{b: b, scratch: folder, now: time.Now}, nil
}

func checkFormat(ctx context.Context, b Backend) error {
	var want struct {
		Format string `json:"format"`
	}
	want.Format = format
	line, err := encode(want)
	if err != nil {
		return err
	}
	text, err := readAll(ctx, b, formatKey, maxDocument)
	if errors.Is(err, fs.ErrNotExist) {
		err = b.Create(ctx, formatKey, int64(len(line)), bytes.NewReader(line))
		if err == nil {
			return nil
		}
		if errors.Is(err, fs.ErrExist) { // somebody was faster, with another format
			text, err = readAll(ctx, b, formatKey, maxDocument)
		}
	}
	if err != nil {
		return fmt.Errorf("opening the store: %w", err)
	}
	if bytes.Equal(text, line) {
		return nil
	}
	// Another format may also have another checksum, or fields that we don't know: only its name is asked for.
	first, _, _ := bytes.Cut(text, []byte("\n"))
	var got struct {
		Format string `json:"format"`
	}
	if json.Unmarshal(first, &got) != nil || got.Format == "" || got.Format == format {
		return fmt.Errorf("opening the store: %w", &DamagedError{Key: formatKey, Problem: "it is not what this program wrote; look at it and, " +
			"if the rest of the store is sound, remove it: it is then made anew"})
	}
	return fmt.Errorf("the store has format %q, this program knows format %q only: use the program that made the store, or a newer one", got.Format, format)
}

// Close removes this process's temporary files. The store must not be used any more. The backend stays open.
func (s *Store) Close() error { return s.scratch.Close() }

// Changes counts what was done to the store through s: each blob or document created and each move to quarantine/ has counted by the time
// the call that made it returns, whatever the call returned. So nothing that s can tell was changed here between two moments at which the
// count was the same. Other processes that share the store don't count.
func (s *Store) Changes() uint64 { return s.changes.Load() }

// create is the backend's, counted. One that failed may have left the object, too.
func (s *Store) create(ctx context.Context, key string, size int64, r io.Reader) error {
	defer s.changes.Add(1)
	return s.b.Create(ctx, key, size, r)
}

// Scratch is this process's own folder for temporary files, an absolute path. It is removed by Close or, after a crash, by the next
// Open with the same scratch folder.
func (s *Store) Scratch() string { return s.scratch.Path() }

// TempFile makes a file in Scratch, open for reading and writing. The caller closes and removes it.
func (s *Store) TempFile() (*os.File, error) { return os.CreateTemp(s.Scratch(), "file-*") }

// DamagedError says that what lies, or lay, at Key is not what was stored there.
type DamagedError struct {
	Key     string
	Problem string // in words
}

func (e *DamagedError) Error() string { return fmt.Sprintf("%s is damaged: %s", e.Key, e.Problem) }

// readAll reads a whole object of at most max bytes.
func readAll(ctx context.Context, b Backend, key string, max int64) ([]byte, error) {
	r, info, err := b.Open(ctx, key, 0, -1)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if info.Size > max {
		return nil, fmt.Errorf("%s: %d bytes are more than the %d allowed", key, info.Size, max)
	}
	text, err := io.ReadAll(&ctxReader{ctx, io.LimitReader(r, max+1)})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", key, err)
	}
	if int64(len(text)) != info.Size {
		return nil, fmt.Errorf("reading %s: got %d bytes of %d: %w", key, len(text), info.Size, io.ErrUnexpectedEOF)
	}
	return text, nil
}

// ctxReader ends a long copy soon after its context ends.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
