// Package archive opens strangers' archives safely: source distributions (Unpack, SdistFile) and wheels (OpenWheel).
//
// Nothing is ever written outside the folder that the caller named, nothing is written through a link, and what an archive may cost
// is bounded by Limits. What such an archive does wrong is an *Error; any other error is this machine's (a full disk, a cancelled
// context), so that a caller can tell a bad source from a bad day.
package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Limits bound what one archive may cost. A field that is zero is that of DefaultLimits.
type Limits struct {
	Files int   // entries, folders that are only implied by a path included
	Bytes int64 // bytes of all files together; for a tar its headers and padding count too
	File  int64 // bytes of one file
	// Ratio is how many times larger than the archive all its files together may be. It is not asked of the first 16 MiB, since a
	// small archive of zeros harms nobody. Of 138 real sdists and wheels none passed 15; deflate can't pass 1,032.
	Ratio int
}

// DefaultLimits let accelerator wheels of several gigabytes pass.
var DefaultLimits = Limits{Files: 200_000, Bytes: 16 << 30, File: 8 << 30, Ratio: 200}

const (
	freeBytes = 16 << 20 // what Ratio is not asked of
	maxPath   = 1024     // bytes of a path; the kernel's 4,096 must hold the folders above it too
	maxName   = 255      // bytes of one part of a path, as the kernel has it
	maxDepth  = 64       // parts of a path
	maxText   = 16 << 20 // bytes of a file that is read into memory: PKG-INFO, METADATA, RECORD
)

// of fills in the defaults and turns Ratio into bytes for an archive of this size.
func (l Limits) of(size int64) Limits {
	if l.Files == 0 {
		l.Files = DefaultLimits.Files
	}
	if l.Bytes == 0 {
		l.Bytes = DefaultLimits.Bytes
	}
	if l.File == 0 {
		l.File = DefaultLimits.File
	}
	if l.Ratio == 0 {
		l.Ratio = DefaultLimits.Ratio
	}
	if size < l.Bytes/int64(l.Ratio) {
		l.Bytes = min(l.Bytes, max(freeBytes, size*int64(l.Ratio)))
	}
	return l
}

// Error is what a stranger's archive does wrong.
type Error struct {
	Archive string // the filename
	Entry   string // the entry's name as the archive has it; "" when it is about the whole
	Err     error  // the reason and, where there is one, the next step
}

func (e *Error) Error() string {
	if e.Entry == "" {
		return fmt.Sprintf("archive %s: %v", e.Archive, e.Err)
	}
	return fmt.Sprintf("archive %s: entry %q: %v", e.Archive, e.Entry, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// bad makes an *Error of a reader's error, unless the error is this machine's or already one.
func bad(archive, entry string, err error) error {
	var already *Error
	var path *fs.PathError
	var link *os.LinkError
	if errors.As(err, &already) || errors.As(err, &path) || errors.As(err, &link) || isCancelled(err) {
		return err
	}
	return &Error{archive, entry, err}
}
