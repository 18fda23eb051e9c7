package cas

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"strings"

	"github.com/gowebpki/jcs"
	"github.com/opencontainers/go-digest"
)

// maxDocument bounds a document in bytes: large things are blobs that a document names.
const maxDocument = 16 << 20

// Create stores doc under key, durably, or not at all. An equal document that is already there is success; any other one is
// fs.ErrExist, a damaged one too: [Store.Read] tells the two apart. The key lies below one of the folders of the layout above and ends in .json;
// doc is anything that [Canonical] takes, of at most 16 MiB.
func (s *Store) Create(ctx context.Context, key string, doc any) error {
	if err := checkDocument(key); err != nil {
		return err
	}
	text, err := encode(doc)
	if err != nil {
		return fmt.Errorf("document %s: %w", key, err)
	}
	if len(text) > maxDocument {
		return fmt.Errorf("document %s: %d bytes are more than the %d allowed: keep large things as blobs", key, len(text), maxDocument)
	}
	return s.create(ctx, key, int64(len(text)), bytes.NewReader(text))
}

// Read reads the document at key into the value that `into` points to. The error is fs.ErrNotExist where there is none and a
// *DamagedError where its checksum does not hold. A field that `into` does not know is an error of its own and no damage: the
// document was written by another version of this program.
func (s *Store) Read(ctx context.Context, key string, into any) error {
	if err := checkDocument(key); err != nil {
		return err
	}
	text, err := readAll(ctx, s.b, key, maxDocument)
	if err != nil {
		return err
	}
	line, err := checkText(text)
	if err != nil {
		return &DamagedError{Key: key, Problem: err.Error()}
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("document %s: %w: was it written by a newer version?", key, err)
	}
	return nil
}

// Exists says whether there is a document of that key, whatever its bytes are.
func (s *Store) Exists(ctx context.Context, key string) (bool, error) {
	if err := checkDocument(key); err != nil {
		return false, err
	}
	_, err := s.b.Stat(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Keys walks the keys that start with prefix, in the order of their bytes; see [Backend] for what a listing promises.
func (s *Store) Keys(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for info, err := range s.b.List(ctx, prefix, "") {
			if !yield(info.Key, err) || err != nil {
				return
			}
		}
	}
}

// encode gives the two lines of a document.
func encode(doc any) ([]byte, error) {
	line, err := Canonical(doc)
	if err != nil {
		return nil, err
	}
	return append(append(line, '\n'), sum(line)+"\n"...), nil
}

func sum(line []byte) string { return digest.SHA256.FromBytes(line).String() }

// checkText takes the two lines apart and gives the first, if the second is its checksum.
func checkText(text []byte) ([]byte, error) {
	line, rest, ok := bytes.Cut(text, []byte("\n"))
	if !ok {
		return nil, errors.New("its checksum line is missing")
	}
	if want := sum(line); string(rest) != want+"\n" {
		return nil, fmt.Errorf("its checksum line does not match its content, which is %s", want)
	}
	return line, nil
}

// Canonical is doc as RFC 8785 JSON, without a line end: the same bytes for the same meaning, for ever. Only objects, arrays, strings
// and booleans are taken. Numbers are refused because readers differ in what they make of large ones (write sizes and times as
// strings); null, which is what a nil slice, map or pointer gives, because it says no more than a field left out; and text that is not UTF-8,
// because JSON would quietly change it. The error names the place.
func Canonical(doc any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(doc); err != nil {
		return nil, err
	}
	if i := lossy(buf.Bytes()); i >= 0 {
		return nil, fmt.Errorf("text that is not UTF-8: …%s…", buf.Bytes()[max(0, i-40):min(buf.Len(), i+40)])
	}
	dec := json.NewDecoder(bytes.NewReader(buf.Bytes()))
	dec.UseNumber()
	var plain any
	if err := dec.Decode(&plain); err != nil {
		return nil, err
	}
	if err := checkPlain("", plain); err != nil {
		return nil, err
	}
	return jcs.Transform(buf.Bytes())
}

// checkPlain looks for numbers and nulls in v, which is found at path.
func checkPlain(path string, v any) error {
	place := cmp.Or(strings.TrimPrefix(path, "."), "the document")
	switch v := v.(type) {
	case json.Number:
		return fmt.Errorf("%s is the number %s: write it as a string", place, v)
	case nil:
		return fmt.Errorf("%s is null: leave it out, or make it empty", place)
	case []any:
		for i, e := range v {
			if err := checkPlain(fmt.Sprintf("%s[%d]", path, i), e); err != nil {
				return err
			}
		}
	case map[string]any:
		for name, e := range v {
			if err := checkPlain(path+"."+name, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// lossy is where the encoder has put the escape \ufffd for bytes that are not UTF-8, or -1. A true U+FFFD it writes as it is.
func lossy(text []byte) int {
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' {
			if bytes.HasPrefix(text[i:], []byte(`\ufffd`)) {
				return i
			}
			i++ // what is escaped, maybe a backslash
		}
	}
	return -1
}
