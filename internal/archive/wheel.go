package archive

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
)

// Wheel is a wheel whose directory has been read. Its methods read from the io.ReaderAt that OpenWheel got, and may be called at once.
type Wheel struct {
	Name dist.WheelName // of the filename

	r        io.ReaderAt
	entries  []*zip.File // as the directory has them
	filename string
	files    map[string]*zip.File // by name; folders are left out
	info     string               // "demo-1.0.dist-info/"
	limits   Limits
}

// OpenWheel reads the directory of a wheel (PEP 427) and finds its one .dist-info, which must be that of the filename's project and
// version. It refuses a filename that is none, names that are unsafe or come twice, links, encrypted files, and more files or bytes
// than the limits, and bytes around the zip. It looks into no file: Check does.
//
// A wheel that breaks a rule is an *Error.
func OpenWheel(r io.ReaderAt, size int64, filename string, l Limits) (*Wheel, error) {
	name, err := dist.ParseWheelName(filename)
	if err != nil {
		return nil, &Error{filename, "", err}
	}
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, bad(filename, "", err)
	}
	if err := tight(r, size); err != nil {
		return nil, bad(filename, "", err)
	}
	w := &Wheel{Name: name, r: r, entries: z.File, filename: filename, files: map[string]*zip.File{}, limits: l.of(size)}
	if len(z.File) > w.limits.Files {
		return nil, w.bad("", "more than %d files; raise the limit if that is right", w.limits.Files)
	}
	var total int64
	for _, f := range z.File {
		if err := w.add(f); err != nil {
			return nil, &Error{filename, f.Name, err}
		}
		// The sum can't overflow: a file's size is checked first, and the sum each time.
		if total += int64(f.UncompressedSize64); total > w.limits.Bytes {
			return nil, w.bad("", "more than %d bytes unpacked; raise the limit (bytes, or ratio to the archive) if that is right", w.limits.Bytes)
		}
	}
	if err := w.conflicts(); err != nil {
		return nil, err
	}
	return w, w.findInfo()
}

// tight refuses bytes before the first file and after the directory. No backend writes them, and with them tools that look for the
// directory in other ways can see another wheel than the one that is checked here.
func tight(r io.ReaderAt, size int64) error {
	var first [4]byte
	var last [22]byte // the directory's end with an empty comment
	if _, err := r.ReadAt(first[:], 0); err != nil {
		return err
	}
	if _, err := r.ReadAt(last[:], size-int64(len(last))); err != nil && err != io.EOF {
		return err
	}
	if string(first[:]) != "PK\x03\x04" || string(last[:4]) != "PK\x05\x06" {
		return errors.New("bytes before the first file or after the directory; a wheel has none")
	}
	return nil
}

func (w *Wheel) bad(entry, format string, args ...any) error {
	return &Error{w.filename, entry, fmt.Errorf(format, args...)}
}

// add takes in one entry of the directory. A wheel's names are more strictly read than a source's: they become files on every
// machine that installs it, by tools that each clean names in their own way.
func (w *Wheel) add(f *zip.File) error {
	name, isDir := strings.CutSuffix(f.Name, "/")
	if cleaned, err := clean(name); err != nil {
		return err
	} else if cleaned != name || name == "" {
		return errors.New("a name with empty or \".\" parts")
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' || r == '\uFFFD' }) {
		return errors.New("a control character, a backslash or bytes that are not UTF-8 in the name")
	}
	mode := f.Mode().Type()
	if mode != 0 && (mode != fs.ModeDir || !isDir) {
		return fmt.Errorf("mode %v: a wheel holds files only", f.Mode())
	}
	if f.Flags&1 != 0 {
		return errors.New("it is encrypted")
	}
	if f.UncompressedSize64 > uint64(w.limits.File) {
		return fmt.Errorf("%d bytes, and %d are allowed for one file; raise the limit if that is right", f.UncompressedSize64, w.limits.File)
	}
	if isDir { // some backends write folders
		if f.UncompressedSize64 != 0 {
			return errors.New("a folder with content")
		}
		return nil
	}
	if w.files[name] != nil {
		return errors.New("the name comes twice: installers differ in which they take")
	}
	w.files[name] = f
	return nil
}

// conflicts refuses a file whose name is another's folder.
func (w *Wheel) conflicts() error {
	for name := range w.files {
		for i, c := range name {
			if c == '/' && w.files[name[:i]] != nil {
				return w.bad(name, "it lies below %q, which is a file", name[:i])
			}
		}
	}
	return nil
}

// findInfo finds the .dist-info folder. Its name need not be escaped as PEP 427 has it: older setuptools kept case and dots.
func (w *Wheel) findInfo() error {
	found := map[string]bool{}
	for name := range w.files {
		if top, _, below := strings.Cut(name, "/"); below && strings.HasSuffix(strings.ToLower(top), ".dist-info") {
			found[top] = true
		}
	}
	if len(found) != 1 {
		return w.bad("", "it has the folders %q, and a wheel has exactly one <name>-<version>.dist-info", slices.Sorted(maps.Keys(found)))
	}
	for top := range found {
		stem := top[:len(top)-len(".dist-info")]
		dash := strings.LastIndexByte(stem, '-')
		if dash < 0 {
			return w.bad(top, "not a name <name>-<version>.dist-info")
		}
		p, err := dist.ParseProject(stem[:dash])
		if err != nil {
			return &Error{w.filename, top, err}
		}
		v, err := version.Parse(stem[dash+1:])
		if err != nil {
			return &Error{w.filename, top, err}
		}
		if err := w.sameAs(p, v); err != nil {
			return &Error{w.filename, top, err}
		}
		w.info = top + "/"
	}
	return nil
}

func (w *Wheel) sameAs(p dist.Project, v version.Version) error {
	if p != w.Name.Project {
		return fmt.Errorf("it is of project %s, and the filename says %s", p, w.Name.Project)
	}
	if v.Compare(w.Name.Version) != 0 {
		return fmt.Errorf("it is of version %s, and the filename says %s", v, w.Name.Version)
	}
	return nil
}

// InfoFile returns a file of the .dist-info folder ("METADATA", "entry_points.txt"), at most 16 MiB; fs.ErrNotExist when there is none.
func (w *Wheel) InfoFile(name string) ([]byte, error) {
	f := w.files[w.info+name]
	if f == nil {
		return nil, fmt.Errorf("archive %s: no %s%s: %w", w.filename, w.info, name, fs.ErrNotExist)
	}
	r, err := f.Open()
	if err != nil {
		return nil, bad(w.filename, f.Name, err)
	}
	defer r.Close()
	b, err := readText(r)
	if err != nil {
		return nil, bad(w.filename, f.Name, err)
	}
	return b, nil
}

// required is InfoFile of a file that every wheel has.
func (w *Wheel) required(name string) ([]byte, error) {
	b, err := w.InfoFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Error{w.filename, "", err}
	}
	return b, err
}

// Metadata is the METADATA file, as it is.
func (w *Wheel) Metadata() ([]byte, error) { return w.required("METADATA") }

// Files yields the names of all files, sorted.
func (w *Wheel) Files() []string { return slices.Sorted(maps.Keys(w.files)) }

// Entries are the files and folders as the directory has them, in its order. One of them gives, opened, at most the bytes that the directory
// says, which the limits allow.
func (w *Wheel) Entries() []*zip.File { return w.entries }

// Compiled says that it holds an extension module or a shared library, by their names, whatever its tags say.
func (w *Wheel) Compiled() bool {
	for name := range w.files {
		name = path.Base(name)
		if strings.HasSuffix(name, ".so") || strings.HasSuffix(name, ".pyd") || strings.Contains(name, ".so.") {
			return true
		}
	}
	return false
}

// WheelFile is the parsed WHEEL file.
func (w *Wheel) WheelFile() (WheelFile, error) {
	b, err := w.required("WHEEL")
	if err != nil {
		return WheelFile{}, err
	}
	f, err := ParseWheelFile(b)
	if err != nil {
		return WheelFile{}, &Error{w.filename, w.info + "WHEEL", err}
	}
	return f, nil
}

// Check reads the whole wheel and refuses, as an *Error, one in which
//   - RECORD is not true of every file (PEP 376, 427): each is listed with its size and a hash of SHA-256 or stronger, and nothing else is,
//   - WHEEL is not of version 1.x,
//   - METADATA is not of the filename's project and version,
//   - the zip's own two lists of its files differ.
//
// What real backends do is accepted: RECORD.jws and RECORD.p7s unlisted, sizes left out, RECORD itself unlisted. The tags and the build
// tag of WHEEL are not compared: installers go by the filename's, and tools that rename a wheel leave the others. ctx ends it early.
func (w *Wheel) Check(ctx context.Context) error {
	if err := w.checkLayout(); err != nil {
		return err
	}
	if _, err := w.WheelFile(); err != nil {
		return err
	}
	b, err := w.Metadata()
	if err != nil {
		return err
	}
	m, err := dist.ParseMetadata(b)
	if err == nil {
		err = w.sameAs(m.Name, m.Version)
	}
	if err != nil {
		return &Error{w.filename, w.info + "METADATA", err}
	}
	return w.checkRecord(ctx)
}
