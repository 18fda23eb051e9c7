package cas

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/opencontainers/go-digest"
)

// maxKey leaves room for a prefix below S3's limit of 1024 bytes; a segment is a file name, and those end at 255.
const (
	maxKey     = 900
	maxSegment = 255
)

// CheckKey says whether key may name an object: slash-separated segments of a-z 0-9 . _ @ + - ! , none of them empty, "." or "..",
// at most 255 bytes each and 900 together. ('!' is there for the epochs of versions, as in 1!2.0.) Backends ask it first.
func CheckKey(key string) error {
	if len(key) > maxKey {
		return fmt.Errorf("key %.40q…: %d bytes are more than the %d allowed", key, len(key), maxKey)
	}
	for segment := range strings.SplitSeq(key, "/") {
		switch {
		case segment == "", segment == ".", segment == "..":
			return fmt.Errorf("key %q: a segment must not be %q", key, segment)
		case len(segment) > maxSegment:
			return fmt.Errorf("key %q: a segment of %d bytes is longer than the %d allowed", key, len(segment), maxSegment)
		}
		if i := strings.IndexFunc(segment, func(c rune) bool { return !keyChar(c) }); i >= 0 {
			return fmt.Errorf("key %q: only a-z, 0-9 and ._@+-! are allowed in a segment, not %q", key, segment[i:i+1])
		}
	}
	return nil
}

func keyChar(c rune) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.ContainsRune("._@+-!", c)
}

// families are the folders that hold documents.
var families = []string{"sources", "records", "metadata", "locks", "failures", "checks", "names", "leases", "revocations", "tokens"}

// checkDocument says whether a document may lie at key. That documents end in .json and folders don't is why none can be a folder
// of another.
func checkDocument(key string) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	segments := strings.Split(key, "/")
	known := false
	for _, family := range families {
		known = known || segments[0] == family
	}
	if !known || len(segments) < 2 {
		return fmt.Errorf("document %q: not below any of %s", key, strings.Join(families, "/, ")+"/")
	}
	for i, segment := range segments {
		if strings.HasSuffix(segment, ".json") != (i == len(segments)-1) {
			return fmt.Errorf("document %q: the last segment, and no other, must end in .json", key)
		}
	}
	return nil
}

// blobKey is where the blob d lies; an error when d is no SHA-256 digest.
func blobKey(d Digest) (string, error) {
	if err := d.Validate(); err != nil {
		return "", fmt.Errorf("digest %q: %w", string(d), err)
	}
	if d.Algorithm() != digest.SHA256 {
		return "", fmt.Errorf("digest %q: only sha256 is kept", string(d))
	}
	hex := d.Encoded()
	return "blobs/sha256/" + hex[:2] + "/" + hex, nil
}

var blobForm = regexp.MustCompile(`^blobs/sha256/([0-9a-f]{2})/([0-9a-f]{64})$`)

// blobDigest is the other way round; false when key is no blob's.
func blobDigest(key string) (Digest, bool) {
	m := blobForm.FindStringSubmatch(key)
	if m == nil || m[1] != m[2][:2] {
		return "", false
	}
	return digest.NewDigestFromEncoded(digest.SHA256, m[2]), true
}
