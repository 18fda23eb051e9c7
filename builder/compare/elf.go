package compare

import (
	"bytes"
	"cmp"
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	maxSections = 4096 // of an object that is taken apart; real ones have some forty
	maxListed   = 8    // names of sections in a line
)

func isELF(b []byte) bool { return bytes.HasPrefix(b, []byte(elf.ELFMAG)) }

// section is a part of an object, as it lies in the file.
type section struct {
	name string
	data []byte
}

// sections reads the section table of a 64-bit object. debug/elf itself isn't made for strangers' objects: it unpacks what they say is
// compressed, however large that gets.
func sections(b []byte) ([]section, error) {
	var h elf.Header64
	if len(b) < binary.Size(h) || elf.Class(b[elf.EI_CLASS]) != elf.ELFCLASS64 {
		return nil, errors.New("not a 64-bit object")
	}
	var order binary.ByteOrder = binary.LittleEndian
	if elf.Data(b[elf.EI_DATA]) == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	if err := binary.Read(bytes.NewReader(b), order, &h); err != nil {
		return nil, err
	}
	var entry elf.Section64
	size := binary.Size(entry)
	if h.Shnum == 0 || h.Shnum > maxSections || int(h.Shentsize) != size || h.Shstrndx >= h.Shnum {
		return nil, errors.New("no section table, or an odd one")
	}
	table := part(b, h.Shoff, uint64(h.Shnum)*uint64(size))
	if table == nil {
		return nil, errors.New("its section table is cut off")
	}
	headers := make([]elf.Section64, h.Shnum)
	if err := binary.Read(bytes.NewReader(table), order, headers); err != nil {
		return nil, err
	}
	names := part(b, headers[h.Shstrndx].Off, headers[h.Shstrndx].Size)
	var all []section
	for _, s := range headers {
		if elf.SectionType(s.Type) == elf.SHT_NULL || elf.SectionType(s.Type) == elf.SHT_NOBITS {
			continue
		}
		name := part(names, uint64(s.Name), uint64(min(64, max(0, len(names)-int(s.Name)))))
		if i := bytes.IndexByte(name, 0); i >= 0 {
			name = name[:i]
		}
		all = append(all, section{strings.Trim(quote(string(name)), `"`), part(b, s.Off, s.Size)})
	}
	return all, nil
}

// part is b from off on, nil where b is shorter.
func part(b []byte, off, size uint64) []byte {
	if off > uint64(len(b)) || size > uint64(len(b))-off {
		return nil
	}
	return b[off : off+size]
}

// elf says which sections differ.
func (d *difference) elf(ctx context.Context) (string, error) {
	a, err := excerpt(d.a, 0, maxELF)
	if err != nil {
		return "", err
	}
	b, err := excerpt(d.b, 0, maxELF)
	if err != nil {
		return "", err
	}
	return explainELF(a, b, d.at), ctx.Err()
}

// explainELF says how two objects differ whose first difference is at that byte.
func explainELF(a, b []byte, at int64) string {
	size := fmt.Sprintf("(%d bytes, then %d)", len(a), len(b))
	sa, errA := sections(a)
	sb, errB := sections(b)
	if err := cmp.Or(errA, errB); err != nil {
		return fmt.Sprintf("an object that can't be taken apart, differs from byte %d on %s: %v", at, size, err)
	}
	var names []string
	var said string
	// Sections of strange objects may overlap: each byte is looked at some times, not once for each section.
	budget := 4 * (len(a) + len(b))
	for i := range max(len(sa), len(sb)) {
		switch {
		case i >= len(sa):
			names = append(names, sb[i].name)
			continue
		case i >= len(sb):
			names = append(names, sa[i].name)
			continue
		}
		x, y := sa[i], sb[i]
		if budget -= min(len(x.data), len(y.data)); budget < 0 {
			return fmt.Sprintf("an object whose sections overlap, differs from byte %d on %s", at, size)
		}
		if x.name == y.name && bytes.Equal(x.data, y.data) {
			continue
		}
		names = append(names, x.name)
		if said == "" {
			if text := around(x.data, y.data, firstOf(x.data, y.data)); text != "" {
				said = "; in " + x.name + text
			}
		}
	}
	if len(names) == 0 {
		return fmt.Sprintf("an object whose sections are equal; what differs lies between them, from byte %d on %s", at, size)
	}
	var about string
	switch {
	case all(names, ".note.gnu.build-id", ".gnu_debuglink"):
		about = "only the build id: what it was linked from differed in what is not kept, or the linker's options did"
	case all(names, ".note.gnu.build-id", ".gnu_debuglink", ".debug_", ".zdebug_", ".symtab", ".strtab", ".comment"):
		about = "only debug information: paths or the order of the compiler's work, as a rule"
	default:
		about = "code or data"
	}
	listed := strings.Join(names[:min(len(names), maxListed)], " ")
	if len(names) > maxListed {
		listed += fmt.Sprintf(" and %d more", len(names)-maxListed)
	}
	return fmt.Sprintf("%s %s; sections that differ: %s%s", about, size, listed, said)
}

func firstOf(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// all says that each name begins with one of the prefixes.
func all(names []string, prefixes ...string) bool {
	return !slices.ContainsFunc(names, func(n string) bool {
		return !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(n, p) })
	})
}
