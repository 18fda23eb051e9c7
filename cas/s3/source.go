package s3

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
)

// source is the reader that Create was given. It hashes what goes by, and fails before its last byte is handed over unless there are
// exactly size bytes: a server that has got them all has got the right ones.
//
// A request that the server answers early may go on reading its body when the call has long returned. So each request reads through a
// turn of its own, and one that is over gets no more. Whatever a late reader does take is hashed as well: it can make a request
// fail, and never makes the hash that of other bytes.
type source struct {
	mu     sync.Mutex // guards all below, for one Read
	turn   int
	r      io.Reader
	seeker io.Seeker // nil when r can't be read again
	start  int64
	size   int64
	n      int64 // bytes read
	hash   hash.Hash
	failed error // of r itself: not to be tried again
}

func newSource(r io.Reader, size int64) *source {
	s := &source{r: r, size: size, hash: sha256.New()}
	if seeker, ok := r.(io.Seeker); ok {
		if start, err := seeker.Seek(0, io.SeekCurrent); err == nil {
			s.seeker, s.start = seeker, start
		}
	}
	return s
}

// begin gives what one request may read until end is called. It is an io.Seeker, for the start, where r is one.
func (s *source) begin() (r io.Reader, end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn++
	t := turn{s, s.turn}
	end = func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.turn++
	}
	if s.seeker != nil {
		return seekTurn{t}, end
	}
	return t, end
}

// err is what r failed with, if it did.
func (s *source) err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// rewind makes ready to read it all again, if that can be done.
func (s *source) rewind() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.restart() == nil
}

// sum is the hash of the whole: what a failed request has not read is read now.
func (s *source) sum() ([]byte, error) {
	r, end := s.begin()
	defer end()
	if _, err := io.Copy(io.Discard, struct{ io.Reader }{r}); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hash.Sum(nil), nil
}

var errOver = errors.New("this request is over")

type turn struct {
	s *source
	n int
}

func (t turn) Read(p []byte) (int, error) {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	if t.n != t.s.turn {
		return 0, errOver
	}
	return t.s.read(p)
}

type seekTurn struct{ turn }

func (t seekTurn) Seek(offset int64, whence int) (int64, error) {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	if t.n != t.s.turn {
		return 0, errOver
	}
	if offset != 0 || whence != io.SeekStart {
		return 0, errors.New("only the start can be sought")
	}
	return 0, t.s.restart()
}

// restart and read are called with mu held.
func (s *source) restart() error {
	if s.failed != nil {
		return s.failed
	}
	if s.seeker == nil {
		return errors.New("the reader can't be read again")
	}
	if _, err := s.seeker.Seek(s.start, io.SeekStart); err != nil {
		s.failed = err
		return err
	}
	s.n = 0
	s.hash.Reset()
	return nil
}

func (s *source) read(p []byte) (n int, err error) {
	if s.failed != nil {
		return 0, s.failed
	}
	if s.n == s.size && s.size > 0 {
		return 0, io.EOF
	}
	if len(p) > 0 && s.n < s.size {
		n, err = s.r.Read(p[:min(int64(len(p)), s.size-s.n)])
		s.hash.Write(p[:n])
		s.n += int64(n)
	}
	if s.n == s.size && (err == nil || err == io.EOF) {
		var more int
		if more, err = io.ReadFull(s.r, make([]byte, 1)); more > 0 {
			err = fmt.Errorf("there are more than the %d bytes promised", s.size)
		}
	} else if err == io.EOF {
		err = fmt.Errorf("got %d bytes of %d: %w", s.n, s.size, io.ErrUnexpectedEOF)
	}
	if err != nil && err != io.EOF {
		s.failed = err
		return 0, err
	}
	return n, err
}
