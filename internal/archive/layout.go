package archive

import (
	"archive/zip"
	"cmp"
	"encoding/binary"
	"errors"
	"io"
	"slices"
)

// checkLayout refuses a zip in which not every byte before the directory is one file after the other, each with a header of its own
// that says what the directory says. Some installers read the directory (pip), others go from header to header (uv, when it
// streams); only of such a zip do both see the files that are checked here. Nothing but hand-made zips was seen to differ.
func (w *Wheel) checkLayout() error {
	type place struct {
		*zip.File
		data int64
	}
	var places []place
	for _, f := range w.entries {
		data, err := f.DataOffset()
		if err != nil {
			return bad(w.filename, f.Name, err)
		}
		places = append(places, place{f, data})
	}
	slices.SortFunc(places, func(a, b place) int { return cmp.Compare(a.data, b.data) })
	var at int64
	for _, f := range places {
		head := make([]byte, 30+len(f.Name))
		if _, err := w.r.ReadAt(head, at); err != nil && err != io.EOF {
			return err
		}
		u16 := func(i int) uint16 { return binary.LittleEndian.Uint16(head[i:]) }
		u32 := func(i int) uint32 { return binary.LittleEndian.Uint32(head[i:]) }
		const encrypted, hasDescriptor, inExtra = 1, 8, 0xffffffff // the sizes follow the data; they stand in the extra field (zip64)
		sizes := f.Flags&hasDescriptor != 0 || u32(18) == inExtra || uint64(u32(18)) == f.CompressedSize64
		if string(head[:4]) != "PK\x03\x04" || string(head[30:]) != f.Name || int(u16(26)) != len(f.Name) || u16(8) != f.Method ||
			(u16(6)^f.Flags)&(encrypted|hasDescriptor) != 0 || !sizes || at+30+int64(u16(26))+int64(u16(28)) != f.data {
			return &Error{w.filename, f.Name, errors.New("its own header is not where or what the directory says; have the wheel packed again")}
		}
		at = f.data + int64(f.CompressedSize64)
		if f.Flags&hasDescriptor != 0 {
			at = w.afterDescriptor(at)
		}
	}
	if !w.startsHeader(at) {
		return w.bad("", "bytes between the last file and the directory; have the wheel packed again")
	}
	return nil
}

// afterDescriptor is where the next header begins after one of the four forms that a data descriptor has: with or without a
// signature, with sizes of 4 or 8 bytes. Where none fits, the next header is not found at the result either.
func (w *Wheel) afterDescriptor(at int64) int64 {
	for _, n := range []int64{16, 24, 12} {
		if w.startsHeader(at + n) {
			return at + n
		}
	}
	return at + 20
}

func (w *Wheel) startsHeader(at int64) bool {
	var b [4]byte
	_, err := w.r.ReadAt(b[:], at)
	return (err == nil || err == io.EOF) && (string(b[:]) == "PK\x03\x04" || string(b[:]) == "PK\x01\x02")
}
