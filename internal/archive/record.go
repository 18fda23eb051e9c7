package archive

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/csv"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"

	"github.com/python-wheel-build/axle/internal/dist"
)

// WheelFile is a wheel's WHEEL file (PEP 427).
type WheelFile struct {
	Version   string // "1.0"
	Generator string
	Purelib   bool
	Tags      []dist.Tag // expanded, in order
	Build     string     // as written, which need not be the filename's
}

// ParseWheelFile reads WHEEL: one "Key: value" a line. Keys count in any case and unknown ones are passed over; a line that is
// neither that nor blank, a Wheel-Version that is not 1.x, a missing or odd Root-Is-Purelib and a missing or odd Tag are errors.
func ParseWheelFile(b []byte) (WheelFile, error) {
	var f WheelFile
	var purelib string
	for i, line := range strings.Split(string(b), "\n") {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			return WheelFile{}, fmt.Errorf("line %d is not \"Key: value\"", i+1)
		}
		value = strings.TrimSpace(value)
		switch strings.ToLower(key) {
		case "wheel-version":
			f.Version = value
		case "generator":
			f.Generator = value
		case "root-is-purelib":
			purelib = strings.ToLower(value)
		case "build":
			f.Build = value
		case "tag":
			tags, err := dist.ParseTags(value)
			if err != nil {
				return WheelFile{}, fmt.Errorf("line %d: %w", i+1, err)
			}
			if f.Tags = append(f.Tags, tags...); len(f.Tags) > 10_000 {
				return WheelFile{}, errors.New("more than 10000 tags")
			}
		}
	}
	f.Purelib = purelib == "true"
	if major, minor, _ := strings.Cut(f.Version, "."); major != "1" || !digits(minor) {
		return WheelFile{}, fmt.Errorf("Wheel-Version %q: only 1.x is known", f.Version)
	}
	if !f.Purelib && purelib != "false" {
		return WheelFile{}, fmt.Errorf("Root-Is-Purelib %q: neither true nor false", purelib)
	}
	if len(f.Tags) == 0 {
		return WheelFile{}, errors.New("it has no Tag")
	}
	return f, nil
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// recorded is what RECORD says of one file.
type recorded struct {
	algorithm string // "sha256"; "" for none
	sum       string // base64, no padding
	size      int64  // -1 for none
}

// parseRecord reads RECORD: lines of CSV, path, algorithm=hash, size.
func parseRecord(b []byte) (map[string]recorded, error) {
	r := csv.NewReader(strings.NewReader(string(b)))
	r.FieldsPerRecord = 3
	r.ReuseRecord = true
	all := map[string]recorded{}
	for {
		line, err := r.Read()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		name, entry := line[0], recorded{size: -1}
		if line[1] != "" {
			var ok bool
			if entry.algorithm, entry.sum, ok = strings.Cut(line[1], "="); !ok || entry.algorithm == "" {
				return nil, fmt.Errorf("%q: the hash %q is not algorithm=base64", name, line[1])
			}
			entry.sum = strings.TrimRight(entry.sum, "=")
		}
		if line[2] != "" {
			if entry.size, err = strconv.ParseInt(line[2], 10, 64); err != nil || entry.size < 0 {
				return nil, fmt.Errorf("%q: the size %q is no number", name, line[2])
			}
		}
		if before, twice := all[name]; twice && before != entry {
			return nil, fmt.Errorf("%q is listed twice, differently", name)
		}
		all[name] = entry
	}
}

func (w *Wheel) checkRecord(ctx context.Context) error {
	b, err := w.required("RECORD")
	if err != nil {
		return err
	}
	record := w.info + "RECORD"
	all, err := parseRecord(b)
	if err != nil {
		return &Error{w.filename, record, err}
	}
	for name := range all {
		if w.files[name] == nil {
			return w.bad(record, "it lists %q, which is not there", name)
		}
	}
	for _, name := range w.Files() {
		entry, listed := all[name]
		switch {
		case name == record || name == record+".jws" || name == record+".p7s":
			continue // RECORD can't hold its own hash, nor that of what signs it
		case !listed:
			return w.bad(record, "it does not list %q", name)
		}
		if err := w.checkFile(ctx, name, entry); err != nil {
			return bad(w.filename, name, err)
		}
	}
	return nil
}

func (w *Wheel) checkFile(ctx context.Context, name string, entry recorded) error {
	var h hash.Hash
	switch entry.algorithm {
	case "sha256":
		h = sha256.New()
	case "sha384":
		h = sha512.New384()
	case "sha512":
		h = sha512.New()
	default:
		return fmt.Errorf("RECORD has the hash algorithm %q for it, and sha256, sha384 or sha512 is wanted", entry.algorithm)
	}
	r, err := w.files[name].Open()
	if err != nil {
		return err
	}
	defer r.Close()
	var n int64
	if _, err := io.Copy(h, &meter{r, ctx, w.limits.File, &n, "in one file"}); err != nil {
		return err
	}
	if entry.size >= 0 && entry.size != n {
		return fmt.Errorf("it has %d bytes, and RECORD says %d", n, entry.size)
	}
	if sum := base64.RawURLEncoding.EncodeToString(h.Sum(nil)); sum != entry.sum {
		return fmt.Errorf("its %s is %s, and RECORD says %s", entry.algorithm, sum, entry.sum)
	}
	return nil
}
