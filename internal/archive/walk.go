package archive

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"
)

// walk calls visit for each entry of a source archive in its order, folders that are only implied before what implies them. visit
// may open the entry's bytes (files only), once. It returns the top folder's name, "." where there is not one.
func walk(ctx context.Context, f *os.File, filename string, l Limits, visit func(e entry, open func() (io.Reader, error)) error) (string, error) {
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("archive %s: %w", filename, err)
	}
	w := walker{ctx: ctx, archive: filename, visit: visit, tree: tree{limits: l.of(info.Size())}}
	whole := io.NewSectionReader(f, 0, info.Size()) // leaves the file's own position alone
	switch lower := strings.ToLower(filename); {
	case strings.HasSuffix(lower, ".tar.gz"), strings.HasSuffix(lower, ".tgz"):
		var z *gzip.Reader
		if z, err = gzip.NewReader(bufio.NewReader(whole)); err == nil {
			err = w.tar(z)
		}
	case strings.HasSuffix(lower, ".tar.bz2"):
		err = w.tar(bzip2.NewReader(bufio.NewReader(whole)))
	case strings.HasSuffix(lower, ".tar"):
		err = w.tar(bufio.NewReader(whole))
	case strings.HasSuffix(lower, ".zip"):
		err = w.zip(whole)
	default:
		err = errors.New("not a kind that can be unpacked; .tar.gz, .tgz, .tar.bz2, .tar and .zip can, so repack it as .tar.gz")
	}
	if err == nil && w.tree.top() == "" {
		err = errors.New("it is empty")
	}
	if err != nil {
		return "", bad(filename, "", err)
	}
	return w.tree.top(), nil
}

type walker struct {
	ctx     context.Context // of one walk, which is one call
	archive string
	visit   func(e entry, open func() (io.Reader, error)) error
	tree    tree
	bytes   int64 // of files so far
}

// tar ends at the end-of-archive blocks as Python's tarfile does: what follows them, in the tar or after the gzip member, is not
// looked at. A second gzip member before them is read on, a broken one or garbage is an error.
func (w *walker) tar(r io.Reader) error {
	var stream int64
	t := tar.NewReader(&meter{r, w.ctx, w.tree.limits.Bytes, &stream, "unpacked"})
	for {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		e := entry{name: h.Name, exec: h.Mode&0o111 != 0, time: h.ModTime, link: h.Linkname}
		switch h.Typeflag {
		case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
			e.kind = file
		case tar.TypeDir:
			e.kind = folder
		case tar.TypeSymlink:
			e.kind = symlink
		case tar.TypeLink:
			e.kind = hardlink
		case tar.TypeXGlobalHeader: // git archive writes one
			continue
		default:
			return &Error{w.archive, h.Name, fmt.Errorf("type %q: only files, folders and links are unpacked", h.Typeflag)}
		}
		if err := w.entry(e, h.Size, func() (io.Reader, error) { return t, nil }); err != nil {
			return err
		}
	}
}

func (w *walker) zip(r *io.SectionReader) error {
	z, err := zip.NewReader(r, r.Size())
	if err != nil {
		return err
	}
	if len(z.File) > w.tree.limits.Files {
		return fmt.Errorf("more than %d files and folders; raise the limit if that is right", w.tree.limits.Files)
	}
	for _, f := range z.File {
		// The format's separator is "/"; a "\" is what programs on Windows wrote by mistake.
		e := entry{name: strings.ReplaceAll(zipName(f), `\`, "/"), kind: file, exec: f.Mode()&0o111 != 0, time: f.Modified}
		if f.Flags&1 != 0 {
			return &Error{w.archive, f.Name, errors.New("it is encrypted")}
		}
		switch f.Mode().Type() {
		case 0, fs.ModeSymlink: // a link becomes a file that holds its target, as with Python's zipfile and so with pip
			if strings.HasSuffix(e.name, "/") {
				e.kind = folder
			}
		case fs.ModeDir:
			e.kind = folder
		default:
			return &Error{w.archive, f.Name, fmt.Errorf("mode %v: only files, folders and links are unpacked", f.Mode())}
		}
		size := int64(min(f.UncompressedSize64, 1<<62))
		// A body that is never closed holds no more than memory, and its end is checked (size, CRC) when it is read to it.
		if err := w.entry(e, size, func() (io.Reader, error) { return f.Open() }); err != nil {
			return err
		}
	}
	return nil
}

// cp437 are the upper half of the characters that a zip's names are in where nothing else is said.
var cp437 = []rune("ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0")

// zipName is an entry's name as Python's zipfile reads it, but that UTF-8 is believed without the flag, as programs write it.
func zipName(f *zip.File) string {
	if utf8.ValidString(f.Name) {
		return f.Name
	}
	var b strings.Builder
	for _, c := range []byte(f.Name) {
		if c < 0x80 {
			b.WriteByte(c)
		} else {
			b.WriteRune(cp437[c-0x80])
		}
	}
	return b.String()
}

// entry checks one entry against the tree and the limits and hands it to visit. size is what the archive claims.
func (w *walker) entry(e entry, size int64, open func() (io.Reader, error)) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	written := e.name
	implied, err := w.tree.add(&e)
	if err != nil {
		return &Error{w.archive, written, err}
	}
	if e.name == "" {
		return nil
	}
	if e.kind == file && size > w.tree.limits.File {
		return &Error{w.archive, written, fmt.Errorf("%d bytes, and %d are allowed for one file; raise the limit if that is right", size, w.tree.limits.File)}
	}
	for _, name := range implied {
		if err := w.visit(entry{name: name, kind: folder}, nil); err != nil {
			return err
		}
	}
	var one int64
	err = w.visit(e, func() (io.Reader, error) {
		r, err := open()
		if err != nil {
			return nil, err
		}
		r = &meter{r, w.ctx, w.tree.limits.Bytes, &w.bytes, "unpacked"}
		return &meter{r, w.ctx, w.tree.limits.File, &one, "in one file"}, nil
	})
	if err != nil {
		return bad(w.archive, written, err)
	}
	return nil
}

// meter adds what is read to a sum, and fails when the sum passes its limit or the context ends.
type meter struct {
	io.Reader
	ctx   context.Context // of the walk that reads
	limit int64
	sum   *int64
	what  string
}

func (m *meter) Read(b []byte) (int, error) {
	if err := m.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := m.Reader.Read(b)
	if *m.sum += int64(n); *m.sum > m.limit {
		return 0, fmt.Errorf("more than %d bytes %s; raise the limit (bytes, or ratio to the archive) if that is right", m.limit, m.what)
	}
	return n, err
}

func isCancelled(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
