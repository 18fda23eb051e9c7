package cas

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"

	"github.com/opencontainers/go-digest"
)

// Put stores the size bytes of r as the blob want, durably, or nothing: bytes that are others than want says are an error before
// anything is published.
//
// A blob that is there already is success, and r is then left unread, but only once the stored bytes have been proven (on a backend
// without local files by reading them); damaged ones go to quarantine and are replaced. Whoever needs to know that r itself is sound
// must use [Store.Add]. An r that is an io.Seeker lets a backend try again after a passing fault.
func (s *Store) Put(ctx context.Context, want Digest, size int64, r io.Reader) error {
	key, err := blobKey(want)
	if err != nil {
		return err
	}
	if size < 0 {
		return fmt.Errorf("blob %s: size %d", want, size)
	}
	var damaged *DamagedError
	err = s.prove(ctx, want)
	if err == nil || !errors.Is(err, fs.ErrNotExist) && !errors.As(err, &damaged) {
		return err
	}
	err = s.create(ctx, key, size, newVerifier(r, want))
	if errors.Is(err, fs.ErrExist) && damaged != nil {
		return fmt.Errorf("%w (%w)", damaged, err) // it could not be moved away
	}
	return err
}

// prove is nil when the stored bytes of d are right, fs.ErrNotExist when there are none, a *DamagedError when there were wrong ones.
func (s *Store) prove(ctx context.Context, d Digest) error {
	if _, ok := s.b.(local); ok {
		blob, err := s.Blob(ctx, d)
		if err == nil {
			blob.Close()
		}
		return err
	}
	key, err := blobKey(d)
	if err != nil {
		return err
	}
	return s.checked(ctx, d, key, io.Discard)
}

// Add stores the whole of f, from its beginning, as a blob. It returns its digest and its size in bytes.
func (s *Store) Add(ctx context.Context, f *os.File) (Digest, int64, error) {
	info, err := f.Stat()
	if err != nil {
		return "", 0, err
	}
	if !info.Mode().IsRegular() {
		return "", 0, fmt.Errorf("%s: not a regular file", f.Name())
	}
	size := info.Size()
	d, err := digest.SHA256.FromReader(&ctxReader{ctx, io.NewSectionReader(f, 0, size)})
	if err != nil {
		return "", 0, fmt.Errorf("hashing %s: %w", f.Name(), err)
	}
	if err := s.Put(ctx, d, size, io.NewSectionReader(f, 0, size)); err != nil {
		return "", 0, fmt.Errorf("storing %s: %w", f.Name(), err)
	}
	return d, size, nil
}

// AddBytes stores b as a blob.
func (s *Store) AddBytes(ctx context.Context, b []byte) (Digest, error) {
	d := digest.SHA256.FromBytes(b)
	return d, s.Put(ctx, d, int64(len(b)), bytes.NewReader(b))
}

// Has says whether a blob is there, by a look at its key only: it may still turn out to be damaged.
func (s *Store) Has(ctx context.Context, d Digest) (bool, error) {
	key, err := blobKey(d)
	if err != nil {
		return false, err
	}
	switch _, err := s.b.Stat(ctx, key); {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	default:
		return false, err
	}
}

// Bytes reads a blob of at most max bytes, checked. The errors are those of [Store.Blob]; a larger blob is an error.
func (s *Store) Bytes(ctx context.Context, d Digest, max int64) ([]byte, error) {
	key, err := blobKey(d)
	if err != nil {
		return nil, err
	}
	b, err := readAll(ctx, s.b, key, max)
	if err != nil {
		return nil, err
	}
	if digest.SHA256.FromBytes(b) != d {
		return nil, s.damaged(ctx, d)
	}
	return b, nil
}

// checked copies the blob d from the backend to w and checks it on the way. Nothing may be made of w's content after an error.
func (s *Store) checked(ctx context.Context, d Digest, key string, w io.Writer) error {
	got, err := s.copy(ctx, key, w)
	if err != nil {
		return err
	}
	if got != d {
		return s.damaged(ctx, d)
	}
	return nil
}

// copy copies a whole object to w and says what it hashes to.
func (s *Store) copy(ctx context.Context, key string, w io.Writer) (Digest, error) {
	r, info, err := s.b.Open(ctx, key, 0, -1)
	if err != nil {
		return "", err
	}
	defer r.Close()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(h, w), &ctxReader{ctx, r})
	if err == nil && n != info.Size {
		err = fmt.Errorf("got %d bytes of %d: %w", n, info.Size, io.ErrUnexpectedEOF)
	}
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", key, err)
	}
	return digest.NewDigest(digest.SHA256, h), nil
}

// newVerifier wraps r so that it fails in place of its end when its bytes are not those of want. A backend reads to the end before it
// publishes, since it must refuse a reader that has too much.
func newVerifier(r io.Reader, want Digest) io.Reader {
	v := &verifier{r: r, want: want, hash: sha256.New()}
	if seeker, ok := r.(io.Seeker); ok {
		if start, err := seeker.Seek(0, io.SeekCurrent); err == nil {
			return &seekVerifier{v, seeker, start}
		}
	}
	return v
}

type verifier struct {
	r    io.Reader
	want Digest
	hash hash.Hash
	n    int64 // bytes hashed
	err  error // once the bytes have proved wrong
}

func (v *verifier) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	n, err := v.r.Read(p)
	v.hash.Write(p[:n])
	v.n += int64(n)
	if err == io.EOF {
		if got := digest.NewDigest(digest.SHA256, v.hash); got != v.want {
			v.err = fmt.Errorf("blob %s: the %d bytes given are %s", v.want, v.n, got)
			return 0, v.err
		}
	}
	return n, err
}

// seekVerifier can be read again from the start, unless its bytes have proved wrong.
type seekVerifier struct {
	*verifier
	seeker io.Seeker
	start  int64
}

func (v *seekVerifier) Seek(offset int64, whence int) (int64, error) {
	if v.err != nil {
		return 0, v.err
	}
	if offset == 0 && whence == io.SeekCurrent {
		return v.n, nil
	}
	if offset != 0 || whence != io.SeekStart {
		return 0, errors.New("only the start can be sought")
	}
	if _, err := v.seeker.Seek(v.start, io.SeekStart); err != nil {
		return 0, err
	}
	v.hash.Reset()
	v.n = 0
	return 0, nil
}

// Blob is a proven blob as a local file, at its beginning: fit for ranges and sendfile. Close it.
type Blob struct {
	*os.File
	Size int64 // in bytes
}

// Blob opens a blob whose bytes have been proven to be those of d. On a backend with local files the proof is remembered for 24 hours as
// long as device, inode, size and times of the file stay the same; elsewhere each call copies the blob to the scratch folder and
// proves the copy. The error is fs.ErrNotExist where there is none, and a *DamagedError where the bytes were wrong: they are then in
// quarantine/, and the next call gets fs.ErrNotExist.
func (s *Store) Blob(ctx context.Context, d Digest) (*Blob, error) {
	key, err := blobKey(d)
	if err != nil {
		return nil, err
	}
	if b, ok := s.b.(local); ok {
		return s.proven(ctx, b, d, key)
	}
	f, err := s.TempFile()
	if err != nil {
		return nil, err
	}
	// Without a name the file lasts exactly as long as it is open.
	err = os.Remove(f.Name())
	if err == nil {
		err = s.checked(ctx, d, key, f)
	}
	var size int64
	if err == nil {
		size, err = f.Seek(0, io.SeekCurrent)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &Blob{f, size}, nil
}
