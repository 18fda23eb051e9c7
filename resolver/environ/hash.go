package environ

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	cacheHead = "axle content hashes 1"
	// hashers at once: more only makes a spinning or network disk slower, and
	// one core is left for others.
	hashers = 2
	// settled is how long a file must have been left alone for its hash to be
	// remembered: a second write within one tick of the clock shows in no stamp.
	settled = 2 * time.Second
)

// hashes computes content hashes and remembers them in a file.
type hashes struct {
	file  string
	old   map[string]known // as read
	mu    sync.Mutex
	fresh map[string]known // as used or computed in this run
	dirty bool
}

type known struct {
	stamp
	sum string
}

// openHashes reads the file. What can't be understood is the same as nothing:
// the file only saves time.
func openHashes(file string) *hashes {
	h := &hashes{file: file, fresh: map[string]known{}}
	if file == "" {
		return h
	}
	if b, err := os.ReadFile(file); err == nil {
		h.old, _ = parseCache(b)
	}
	return h
}

// parseCache reads: the head, a line per file, and the hash of all before it.
func parseCache(b []byte) (map[string]known, error) {
	body, sum, ok := cutLast(b)
	if want := sha256.Sum256(body); !ok || sum != hex.EncodeToString(want[:]) {
		return nil, errors.New("the checksum is wrong")
	}
	lines := strings.Split(strings.TrimSuffix(string(body), "\n"), "\n")
	if lines[0] != cacheHead {
		return nil, errors.New("the first line is unknown")
	}
	m := make(map[string]known, len(lines))
	for _, line := range lines[1:] {
		f := strings.SplitN(line, " ", 6)
		if len(f) != 6 {
			return nil, fmt.Errorf("line %q", line)
		}
		var k known
		var errs [5]error
		var name string
		k.sum = f[0]
		k.ino, errs[0] = strconv.ParseUint(f[1], 10, 64)
		k.size, errs[1] = strconv.ParseInt(f[2], 10, 64)
		k.mtime, errs[2] = strconv.ParseInt(f[3], 10, 64)
		k.ctime, errs[3] = strconv.ParseInt(f[4], 10, 64)
		name, errs[4] = strconv.Unquote(f[5])
		if err := errors.Join(errs[:]...); err != nil {
			return nil, fmt.Errorf("line %q: %w", line, err)
		}
		m[name] = k
	}
	return m, nil
}

func cutLast(b []byte) (body []byte, last string, ok bool) {
	rest, ok := bytes.CutSuffix(b, []byte("\n"))
	i := bytes.LastIndexByte(rest, '\n')
	if !ok || i < 0 {
		return nil, "", false
	}
	return rest[:i+1], string(rest[i+1:]), true
}

func formatCache(m map[string]known) []byte {
	b := bytes.NewBufferString(cacheHead + "\n")
	for _, name := range slices.Sorted(maps.Keys(m)) {
		k := m[name]
		fmt.Fprintf(b, "%s %d %d %d %d %q\n", k.sum, k.ino, k.size, k.mtime, k.ctime, name)
	}
	sum := sha256.Sum256(b.Bytes())
	return append(b.Bytes(), hex.EncodeToString(sum[:])+"\n"...)
}

// save replaces the file. Files that were not met are forgotten after a whole
// run, kept after one that stopped early.
func (h *hashes) save(whole bool) error {
	if h.file == "" || !h.dirty && (!whole || len(h.fresh) == len(h.old)) {
		return nil
	}
	keep := h.fresh
	if !whole {
		keep = maps.Clone(h.old)
		if keep == nil {
			keep = map[string]known{}
		}
		maps.Copy(keep, h.fresh)
	}
	if err := replaceFile(h.file, formatCache(keep)); err != nil {
		return fmt.Errorf("environment: the cache of content hashes can't be written: %w", err)
	}
	return nil
}

func replaceFile(name string, b []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(b)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	return err
}

// all gives the hash of every file. told, if not nil, hears of the bytes that
// have to be read.
func (h *hashes) all(ctx context.Context, files []*node, told func(done, total int64)) (map[*node]string, error) {
	sums := make(map[*node]string, len(files))
	var todo []*node
	var done, total int64
	for _, n := range files {
		k, ok := h.fresh[n.host]
		if !ok || k.stamp != n.stat {
			k, ok = h.old[n.host]
		}
		if ok && k.stamp == n.stat {
			sums[n], h.fresh[n.host] = k.sum, k
			continue
		}
		todo = append(todo, n)
		total += n.stat.size
	}
	start := time.Now()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(hashers)
	for _, n := range todo {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error {
			sum, err := hashFile(gctx, n)
			if err != nil {
				return err
			}
			h.mu.Lock()
			defer h.mu.Unlock()
			sums[n] = sum
			if start.Sub(time.Unix(0, max(n.stat.ctime, n.stat.mtime))) > settled {
				h.fresh[n.host], h.dirty = known{n.stat, sum}, true
			}
			done += n.stat.size
			if told != nil {
				told(done, total)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return sums, ctx.Err()
}

// hashFile hashes the file that was seen, and no other: one that was replaced or
// written since is an error.
func hashFile(ctx context.Context, n *node) (string, error) {
	// NONBLOCK: something else may stand at that name by now, such as a pipe.
	fd, err := syscall.Open(n.host, syscall.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return "", unreadable(&os.PathError{Op: "open", Path: n.host, Err: err})
	}
	f := os.NewFile(uintptr(fd), n.host)
	defer f.Close()
	if err := n.same(f); err != nil {
		return "", err
	}
	sum := sha256.New()
	r := bufio.NewReaderSize(readerWith(ctx, io.LimitReader(f, n.stat.size+1)), 1<<17)
	if _, err := r.WriteTo(sum); err != nil {
		return "", unreadable(err)
	}
	if err := n.same(f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func (n *node) same(f *os.File) error {
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if st := fi.Sys().(*syscall.Stat_t); stampOf(st) != n.stat || st.Mode != n.mode {
		return fmt.Errorf("%s changed while it was read: wait until nothing is being installed, then try again", n.host)
	}
	return nil
}

// readerWith stops reading when ctx ends.
func readerWith(ctx context.Context, r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(p)
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
