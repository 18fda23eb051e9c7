package upstream

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"
)

const (
	// accept asks for JSON and takes HTML (PEP 691).
	accept = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"
	// maxPage bounds one listing, unpacked; the largest that is known has some 30 MB.
	maxPage = 100 << 20
)

// list asks for one page; old is what is known of it.
func (c *Client) list(ctx context.Context, u *url.URL, old page) (page, error) {
	var fresh page
	prepare := func(h http.Header) {
		h.Set("Accept", accept)
		switch {
		case !old.known:
		case old.etag != "":
			h.Set("If-None-Match", old.etag)
		case old.modified != "":
			h.Set("If-Modified-Since", old.modified)
		}
	}
	err := c.ask(ctx, u, prepare, func(resp *http.Response) error {
		if resp.StatusCode == http.StatusNotModified && old.known {
			fresh = old
			fresh.err = nil
			return nil
		}
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("GET %s: %s is no answer to a plain request: check the upstream's address in the configuration", redacted(u), resp.Status)
		}
		in := &capped{in: resp.Body, left: maxPage, err: fmt.Errorf("the page is larger than %d MiB", maxPage>>20)}
		files, err := parse(resp.Header.Get("Content-Type"), in, resp.Request.URL)
		if err != nil {
			return fmt.Errorf("reading %s: %w", redacted(u), err)
		}
		fresh = page{files: files, known: true, etag: resp.Header.Get("ETag"), modified: resp.Header.Get("Last-Modified")}
		return nil
	})
	return fresh, err
}

// parse reads a page in the form that its Content-Type says.
func parse(contentType string, r io.Reader, base *url.URL) ([]File, error) {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil && media == "" {
		return nil, fmt.Errorf("it has no readable Content-Type (%q): check that the upstream's address is a simple index", contentType)
	}
	if rest, ok := strings.CutPrefix(media, "application/vnd.pypi.simple."); ok {
		version, form, _ := strings.Cut(rest, "+")
		if v := strings.TrimPrefix(version, "v"); version != "latest" && v != "1" {
			return nil, newer(v)
		}
		media = "application/" + form
	}
	switch media {
	case "application/json":
		return parseJSON(r, base)
	case "text/html", "application/html", "application/xhtml+xml":
		return parseHTML(r, base)
	}
	return nil, fmt.Errorf("its Content-Type is %q, neither JSON nor HTML: check that the upstream's address is a simple index", media)
}

// checkVersion refuses a repository version that this code does not know (PEP 629); "" is 1.0.
func checkVersion(version string) error {
	if version == "" {
		return nil
	}
	major, _, _ := strings.Cut(strings.TrimSpace(version), ".")
	if n, err := strconv.Atoi(major); err != nil || n != 1 {
		return newer(version)
	}
	return nil
}

func newer(version string) error {
	return fmt.Errorf("the index speaks repository version %q and Axle reads 1.x: use an older address of that index, or a newer Axle", version)
}

// parseJSON reads a PEP 691 project page.
func parseJSON(r io.Reader, base *url.URL) ([]File, error) {
	type status struct{ Status string }
	var doc struct {
		Meta struct {
			Version json.RawMessage `json:"api-version"`
		}
		Status json.RawMessage `json:"project-status"`
		Files  []json.RawMessage
	}
	if err := json.NewDecoder(r).Decode(&doc); err != nil {
		return nil, fmt.Errorf("not a JSON project page: %w", err)
	}
	var version string
	if doc.Meta.Version != nil && json.Unmarshal(doc.Meta.Version, &version) != nil {
		version = string(doc.Meta.Version)
	}
	if err := checkVersion(version); err != nil {
		return nil, err
	}
	if doc.Files == nil {
		return nil, fmt.Errorf(`not a JSON project page: no "files"`)
	}
	var state status
	if json.Unmarshal(doc.Status, &state) == nil && state.Status == quarantined {
		return []File{}, nil
	}
	files := make([]File, 0, len(doc.Files))
	for _, raw := range doc.Files {
		if f, ok := jsonFile(raw, base); ok {
			files = append(files, f)
		}
	}
	return files, nil
}

// quarantined is the project status whose files are not to be had (PEP 792).
const quarantined = "quarantined"

// jsonFile reads one entry of "files"; false leaves it out. Sizes and times that make no sense are unknown; everything else, since a
// wrong hash or a misread "yanked" changes what is installed, leaves the file out.
func jsonFile(raw json.RawMessage, base *url.URL) (File, bool) {
	var doc struct {
		Filename       string
		URL            string
		Hashes         map[string]string
		Size           json.RawMessage
		UploadTime     json.RawMessage `json:"upload-time"`
		RequiresPython *string         `json:"requires-python"`
		Yanked         json.RawMessage
		CoreMetadata   json.RawMessage `json:"core-metadata"`
		DistInfo       json.RawMessage `json:"dist-info-metadata"`      // PEP 658, before PEP 714
		DataDistInfo   json.RawMessage `json:"data-dist-info-metadata"` // seen at one index server
	}
	if json.Unmarshal(raw, &doc) != nil {
		return File{}, false
	}
	f := File{Filename: doc.Filename}
	if doc.RequiresPython != nil {
		f.RequiresPython = *doc.RequiresPython
	}
	var size int64
	if json.Unmarshal(doc.Size, &size) == nil && size > 0 {
		f.Size = size
	}
	var uploaded string
	if json.Unmarshal(doc.UploadTime, &uploaded) == nil {
		f.Uploaded = when(uploaded)
	}
	if doc.Yanked != nil && json.Unmarshal(doc.Yanked, &f.IsYanked) != nil {
		if json.Unmarshal(doc.Yanked, &f.Yanked) != nil {
			return File{}, false
		}
		f.IsYanked = true
	}
	for _, field := range []json.RawMessage{doc.CoreMetadata, doc.DistInfo, doc.DataDistInfo} {
		if field == nil || string(field) == "null" {
			continue
		}
		var hashes map[string]string
		if json.Unmarshal(field, &hashes) == nil {
			f.HasMetadata = true
			if d, ok := sha256(hashes["sha256"]); ok {
				f.MetadataSHA256 = d
			}
		} else {
			_ = json.Unmarshal(field, &f.HasMetadata)
		}
		break
	}
	if f.SHA256 = ""; doc.Hashes["sha256"] != "" {
		var ok bool
		if f.SHA256, ok = sha256(doc.Hashes["sha256"]); !ok {
			return File{}, false
		}
	}
	return f, f.place(doc.URL, base)
}

// place resolves where a file is, and says whether the entry can be used at all.
func (f *File) place(href string, base *url.URL) bool {
	u, err := base.Parse(href)
	if err != nil || href == "" || !web(u) {
		return false
	}
	if strings.ContainsFunc(u.RawQuery, func(r rune) bool { return r <= ' ' || r > '~' }) { // no request can carry it
		return false
	}
	if base.Scheme == "https" && u.Scheme == "http" { // as pip does: who listens on the line chooses the bytes
		return false
	}
	f.URL = redacted(u)
	f.RequiresPython = strings.TrimSpace(f.RequiresPython)
	return plain(f.Filename) && utf8.ValidString(f.RequiresPython) && utf8.ValidString(f.Yanked)
}

// plain says whether a name is that of a file and nothing else.
func plain(name string) bool {
	if name == "" || name == "." || name == ".." || len(name) > 255 || !utf8.ValidString(name) {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return r == '/' || r == '\\' || !unicode.IsPrint(r) })
}

// sha256 reads 64 hex digits.
func sha256(hex string) (digest.Digest, bool) {
	d := digest.NewDigestFromEncoded(digest.SHA256, lower(hex))
	return d, d.Validate() == nil
}

// when reads an upload time; zero where it is none. Old index servers write no zone: then it is UTC.
func when(s string) time.Time {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999"} {
		if t, err := time.Parse(layout, strings.TrimSpace(s)); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}
