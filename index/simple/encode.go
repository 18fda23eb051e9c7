package simple

import (
	"bytes"

	"github.com/klauspost/compress/gzip"
)

// Gzip compresses a page, always to the same bytes. Compress once and keep the result: doing it per request costs several times what
// serving the page does. It is nil where it would not be smaller.
func Gzip(page []byte) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		panic(err) // the level is a constant
	}
	if _, err := w.Write(page); err != nil {
		panic(err) // memory takes everything
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	if b.Len() >= len(page) {
		return nil
	}
	return b.Bytes()
}
