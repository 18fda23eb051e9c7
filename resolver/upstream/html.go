package upstream

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// parseHTML reads a PEP 503 project page with the attributes of PEP 592, 629, 658, 714 and 792. Beyond these, data-upload-time is
// taken where a server offers it. Hashes other than SHA-256 count as none.
func parseHTML(r io.Reader, base *url.URL) ([]File, error) {
	z := html.NewTokenizer(r)
	z.SetMaxBuf(1 << 20) // one tag, not one page
	files := []File{}
	quarantine, based := false, false
	for {
		kind := z.Next()
		switch kind {
		case html.ErrorToken:
			if err := z.Err(); !errors.Is(err, io.EOF) {
				return nil, fmt.Errorf("not an HTML project page: %w", err)
			}
			if quarantine {
				return []File{}, nil
			}
			return files, nil
		case html.StartTagToken, html.SelfClosingTagToken:
		default:
			continue
		}
		name, more := z.TagName()
		switch tag := atom.Lookup(name); tag {
		case atom.A, atom.Base, atom.Meta:
			attr := attributes(z, more)
			switch tag {
			case atom.A:
				if f, ok := htmlFile(attr, base); ok {
					files = append(files, f)
				}
			case atom.Base:
				// Only the first one with an address counts (HTML, 4.2.3).
				if href, ok := attr["href"]; ok && !based {
					if u, err := base.Parse(strings.TrimSpace(href)); err == nil && web(u) {
						base = u
					}
					based = true
				}
			case atom.Meta:
				switch attr["name"] {
				case "pypi:repository-version":
					if err := checkVersion(attr["content"]); err != nil {
						return nil, err
					}
				case "pypi:project-status":
					quarantine = attr["content"] == quarantined
				}
			}
		}
	}
}

// attributes are those of the tag the tokenizer stands on, unescaped; of two with one name the first counts.
func attributes(z *html.Tokenizer, more bool) map[string]string {
	attr := map[string]string{}
	for more {
		var key, value []byte
		key, value, more = z.TagAttr()
		if _, twice := attr[string(key)]; !twice {
			attr[string(key)] = string(value)
		}
	}
	return attr
}

// htmlFile reads one anchor; false leaves it out. The name is the last part of the address, as PEP 503 wants the text to be too.
func htmlFile(attr map[string]string, base *url.URL) (File, bool) {
	href, ok := attr["href"]
	if !ok {
		return File{}, false
	}
	href, fragment, _ := strings.Cut(strings.TrimSpace(href), "#")
	u, err := url.Parse(href)
	if err != nil {
		return File{}, false
	}
	escaped := u.EscapedPath()
	name, err := url.PathUnescape(escaped[strings.LastIndex(escaped, "/")+1:])
	if err != nil {
		return File{}, false
	}
	f := File{
		Filename:       name,
		RequiresPython: attr["data-requires-python"],
		Uploaded:       when(attr["data-upload-time"]),
	}
	for part := range strings.SplitSeq(fragment, "&") {
		if hex, ok := strings.CutPrefix(part, "sha256="); ok {
			if f.SHA256, ok = sha256(hex); !ok {
				return File{}, false
			}
			break
		}
	}
	f.Yanked, f.IsYanked = attr["data-yanked"]
	for _, name := range []string{"data-core-metadata", "data-dist-info-metadata"} {
		value, ok := attr[name]
		if !ok {
			continue
		}
		f.HasMetadata = value != "false"
		if hex, ok := strings.CutPrefix(value, "sha256="); ok {
			if d, ok := sha256(hex); ok {
				f.MetadataSHA256 = d
			}
		}
		break
	}
	return f, f.place(href, base)
}
