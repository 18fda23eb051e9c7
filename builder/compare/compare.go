// Package compare tells file by file how two wheels of one recipe differ, so that whoever wants a build to be reproducible sees where
// to look.
//
//	lines, err := compare.Wheels(ctx, compare.Side{…}, compare.Side{…})
//
// Both wheels are strangers' bytes. Files are read as streams; only ELF objects and short texts are held in memory, one pair at a time, of
// at most 2 x 64 MiB. What is said of them is bounded in number and length, and printable.
package compare

import (
	"archive/zip"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/python-wheel-build/axle/internal/archive"
)

// Side is one of the wheels.
type Side struct {
	R        io.ReaderAt
	Size     int64
	Filename string // as it was built, which says what the .dist-info must be of
}

const (
	maxLines = 40  // and one that says how many there are besides
	maxName  = 200 // bytes of a file's name in a line
)

// Wheels gives a line for each file that differs, in the order of names, and after them one for each way in which the archives do: times,
// modes, order, compression. Lines have no line end. Only equal wheels give none: where all files are equal, the first line says so. A file
// that follows from others (RECORD, byte code beside its source) is told only where it is the only one. An *archive.Error says that one of
// them is no wheel or is damaged; any other error is the reader's or the end of ctx.
func Wheels(ctx context.Context, first, second Side) ([]string, error) {
	a, err := open(first)
	if err != nil {
		return nil, err
	}
	b, err := open(second)
	if err != nil {
		return nil, err
	}
	c := &comparison{ctx: ctx}
	if first.Filename != second.Filename {
		c.add("the wheel's name was %s, then %s", shown(first.Filename), shown(second.Filename))
	}
	follows := c.follows(a, b)
	var later []string
	for _, name := range slices.Sorted(maps.Keys(union(a.files, b.files))) {
		if follows(name) {
			later = append(later, name)
			continue
		}
		if err := c.file(name, a.files[name], b.files[name]); err != nil {
			return nil, err
		}
	}
	if c.differing == 0 { // else they differ because the others do
		for _, name := range later {
			if err := c.file(name, a.files[name], b.files[name]); err != nil {
				return nil, err
			}
		}
	}
	equal := c.differing == 0 && c.n == 0
	c.archives(a, b)
	if equal {
		same, err := sameBytes(ctx, first, second)
		if same || err != nil {
			return nil, err
		}
		if c.n == 0 {
			c.add("how the files are packed: the compressed bytes, or fields that nobody reads")
		}
		c.lines = append([]string{"no file differs, only the archive around them"}, c.lines...)
	}
	if c.n > maxLines {
		c.lines = append(c.lines, fmt.Sprintf("and %d more", c.n-maxLines))
	}
	return c.lines, nil
}

// comparison gathers what there is to say.
type comparison struct {
	ctx       context.Context
	lines     []string
	n         int // lines that there are to say
	differing int // files
}

func (c *comparison) add(format string, args ...any) {
	if c.n++; c.n <= maxLines {
		c.lines = append(c.lines, fmt.Sprintf(format, args...))
	}
}

// wheel is one side, opened.
type wheel struct {
	filename string
	entries  []*zip.File
	files    map[string]*zip.File // no folders
}

func open(s Side) (wheel, error) {
	opened, err := archive.OpenWheel(s.R, s.Size, s.Filename, archive.DefaultLimits)
	if err != nil {
		return wheel{}, err
	}
	w := wheel{s.Filename, opened.Entries(), map[string]*zip.File{}}
	for _, e := range w.entries {
		if !strings.HasSuffix(e.Name, "/") {
			w.files[e.Name] = e
		}
	}
	return w, nil
}

func union(a, b map[string]*zip.File) map[string]*zip.File {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// follows tells of a file that differs as soon as another one does: RECORD lists hashes, and byte code is made of its source.
func (c *comparison) follows(a, b wheel) func(name string) bool {
	return func(name string) bool {
		dir, base := split(name)
		if strings.HasSuffix(dir, ".dist-info/") && strings.Count(dir, "/") == 1 && base == "RECORD" {
			return true
		}
		module, ok := strings.CutSuffix(dir, "__pycache__/")
		if stem, _, _ := strings.Cut(base, "."); ok && strings.HasSuffix(base, ".pyc") {
			source := module + stem + ".py"
			return a.files[source] != nil && b.files[source] != nil
		}
		return false
	}
}

func split(name string) (dir, base string) {
	i := strings.LastIndexByte(name, '/') + 1
	return name[:i], name[i:]
}

// file compares one file, nil where a side has none of that name.
func (c *comparison) file(name string, a, b *zip.File) error {
	switch {
	case a == nil:
		c.differing++
		c.add("%s: only in the second build (%d bytes)", shown(name), b.UncompressedSize64)
		return nil
	case b == nil:
		c.differing++
		c.add("%s: only in the first build (%d bytes)", shown(name), a.UncompressedSize64)
		return nil
	}
	d, err := differ(c.ctx, a, b)
	if err != nil || d == nil {
		return err
	}
	c.differing++
	if c.n >= maxLines {
		c.n++ // told as a number
		return nil
	}
	why, err := d.explain(c.ctx)
	if err != nil {
		return err
	}
	c.add("%s: %s", shown(name), why)
	return nil
}

// archives compares what stands in the zip directories beside the files' content.
func (c *comparison) archives(a, b wheel) {
	for _, kind := range []struct {
		what string
		of   func(*zip.File) string
	}{
		{"times", func(f *zip.File) string { return f.Modified.UTC().Format("2006-01-02 15:04:05") }},
		{"modes", func(f *zip.File) string { return f.Mode().String() }},
		{"compression methods", func(f *zip.File) string { return fmt.Sprint(f.Method) }},
		{"comments", func(f *zip.File) string { return shown(f.Comment) }},
	} {
		var names []string
		for name, f := range a.files {
			if g := b.files[name]; g != nil && kind.of(f) != kind.of(g) {
				names = append(names, name)
			}
		}
		if len(names) > 0 {
			name := slices.Min(names)
			c.add("the archive's %s of %d files differ, such as of %s: %s, then %s", kind.what, len(names), shown(name), kind.of(a.files[name]), kind.of(b.files[name]))
		}
	}
	// Of what both have, folders too.
	common := func(w, other wheel) (order []string) {
		there := map[string]bool{}
		for _, e := range other.entries {
			there[e.Name] = true
		}
		for _, e := range w.entries {
			if there[e.Name] {
				order = append(order, e.Name)
			}
		}
		return order
	}
	before, after := common(a, b), common(b, a)
	for i := range before {
		if i >= len(after) || before[i] != after[i] {
			next := "nothing"
			if i < len(after) {
				next = shown(after[i])
			}
			c.add("the archive's order of files differs: entry %d was %s, then %s", i+1, shown(before[i]), next)
			break
		}
	}
	if na, nb := len(a.entries)-len(a.files), len(b.entries)-len(b.files); na != nb {
		c.add("the archive had %d entries for folders, then %d", na, nb)
	}
}

// sameBytes says whether two wheels are one.
func sameBytes(ctx context.Context, a, b Side) (bool, error) {
	if a.Size != b.Size {
		return false, nil
	}
	at, _, err := firstDifference(ctx, io.NewSectionReader(a.R, 0, a.Size), io.NewSectionReader(b.R, 0, b.Size))
	return at < 0, err
}

// shown is a name, short and printable.
func shown(name string) string {
	if len(name) > maxName {
		name = name[:maxName/2] + "…" + name[len(name)-maxName/2:]
	}
	q := quote(name)
	if q == `"`+name+`"` {
		return name
	}
	return q
}

// read opens a file of a wheel, or says what is wrong with it as an *archive.Error.
func read(f *zip.File) (io.ReadCloser, error) {
	r, err := f.Open()
	if err != nil {
		return nil, &archive.Error{Archive: "wheel", Entry: f.Name, Err: err}
	}
	return &stranger{r, f.Name}, nil
}

// stranger tells damage of a file from an error of what it is read from.
type stranger struct {
	io.ReadCloser
	name string
}

func (s *stranger) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	var corrupt flate.CorruptInputError
	if errors.As(err, &corrupt) || errors.Is(err, zip.ErrChecksum) || errors.Is(err, zip.ErrFormat) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = &archive.Error{Archive: "wheel", Entry: s.name, Err: err}
	}
	return n, err
}

// quote spells out what is not to be seen, in quotes.
func quote(s string) string {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	return fmt.Sprintf("%q", s)
}
