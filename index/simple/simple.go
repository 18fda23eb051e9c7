// Package simple renders and negotiates the Simple repository API: the pages that pip and uv read. It is pure: facts in, bytes out.
//
// A [Page] becomes PEP 691 JSON with [Page.JSON] or PEP 503 HTML with [Page.HTML]; [Negotiate] says which of them a client asked for.
// Equal pages always give equal bytes, so that a digest of either can be an ETag.
package simple

import (
	"bytes"
	"encoding/json"
	"html"
	"slices"
	"time"
)

// APIVersion is what both renderings claim (PEP 629): 1.1 adds sizes, upload times and the list of versions (PEP 700).
const APIVersion = "1.1"

// File is one line of a project's page. The zero value of an optional field leaves it out.
type File struct {
	// Filename is a wheel's name (PEP 427), unescaped.
	Filename string
	// Version is what PEP 700 lists in "versions", in PEP 440 normal form.
	Version string
	// URL is absolute or relative to the page, already escaped as a URL, without a fragment.
	URL string
	// SHA256 is 64 hex digits; "" lists the file without a hash, as a wheel that is still to be built has none.
	SHA256 string
	// Size is in bytes; 0 leaves it out.
	Size int64
	// Uploaded is listed in UTC with microseconds at most, as PEP 700 asks; the zero time leaves it out.
	Uploaded time.Time
	// RequiresPython is a specifier set, unescaped.
	RequiresPython string
	Yanked         bool
	YankedReason   string
	// Metadata says that URL + ".metadata" serves the core metadata (PEP 658, PEP 714).
	Metadata bool
	// MetadataSHA256 is the hash of that file, 64 hex digits; "" says only that it is there.
	MetadataSHA256 string
}

// Page is what an index knows of one project.
type Page struct {
	// Project is the PEP 503 normal form.
	Project string
	Files   []File
}

// Same says whether the other is a page that says the same.
func (p Page) Same(other any) bool {
	q, ok := other.(Page)
	return ok && p.Project == q.Project && slices.Equal(p.Files, q.Files)
}

// Root lists projects by their normal names.
type Root struct{ Projects []string }

// Same says whether the other is a list of the same projects.
func (r Root) Same(other any) bool {
	q, ok := other.(Root)
	return ok && slices.Equal(r.Projects, q.Projects)
}

type jsonMeta struct {
	APIVersion string `json:"api-version"`
}

type jsonPage struct {
	Meta     jsonMeta   `json:"meta"`
	Name     string     `json:"name"`
	Versions []string   `json:"versions"`
	Files    []jsonFile `json:"files"`
}

type jsonFile struct {
	Filename       string            `json:"filename"`
	URL            string            `json:"url"`
	Hashes         map[string]string `json:"hashes"`
	Size           int64             `json:"size,omitempty"`
	Uploaded       string            `json:"upload-time,omitempty"`
	RequiresPython string            `json:"requires-python,omitempty"`
	Yanked         any               `json:"yanked,omitempty"`        // true, or the reason
	CoreMetadata   any               `json:"core-metadata,omitempty"` // true, or its hashes
}

// JSON is the page as PEP 691 and PEP 700 want it.
func (p Page) JSON() []byte {
	out := jsonPage{Meta: jsonMeta{APIVersion}, Name: p.Project, Versions: []string{}, Files: make([]jsonFile, 0, len(p.Files))}
	seen := map[string]bool{}
	for _, f := range p.Files {
		if f.Version != "" && !seen[f.Version] {
			seen[f.Version] = true
			out.Versions = append(out.Versions, f.Version)
		}
		j := jsonFile{Filename: f.Filename, URL: f.URL, Hashes: hashes(f.SHA256), Size: f.Size, RequiresPython: f.RequiresPython}
		if !f.Uploaded.IsZero() {
			j.Uploaded = f.Uploaded.UTC().Truncate(time.Microsecond).Format("2006-01-02T15:04:05.999999Z")
		}
		if f.Yanked {
			j.Yanked = true
			if f.YankedReason != "" {
				j.Yanked = f.YankedReason
			}
		}
		if f.Metadata {
			j.CoreMetadata = true
			if f.MetadataSHA256 != "" {
				j.CoreMetadata = hashes(f.MetadataSHA256)
			}
		}
		out.Files = append(out.Files, j)
	}
	return marshal(out)
}

// JSON is the list of projects as PEP 691 wants it.
func (r Root) JSON() []byte {
	type project struct {
		Name string `json:"name"`
	}
	out := struct {
		Meta     jsonMeta  `json:"meta"`
		Projects []project `json:"projects"`
	}{jsonMeta{APIVersion}, make([]project, 0, len(r.Projects))}
	for _, p := range r.Projects {
		out.Projects = append(out.Projects, project{p})
	}
	return marshal(out)
}

func hashes(sha256 string) map[string]string {
	if sha256 == "" {
		return map[string]string{}
	}
	return map[string]string{"sha256": sha256}
}

func marshal(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // ">=3.8" stays readable; nobody embeds this in HTML
	if err := e.Encode(v); err != nil {
		panic(err) // strings, integers and booleans only: always a programmer's error
	}
	return b.Bytes()
}

// HTML is the page as PEP 503 wants it. Metadata is announced under both of its names, since pip before 23.2 knows the older only
// (PEP 714).
func (p Page) HTML() []byte {
	var b bytes.Buffer
	head(&b, "Links for "+p.Project)
	for _, f := range p.Files {
		b.WriteString(`<a href="`)
		b.WriteString(html.EscapeString(f.URL))
		if f.SHA256 != "" {
			b.WriteString("#sha256=" + html.EscapeString(f.SHA256))
		}
		b.WriteByte('"')
		attribute(&b, "data-requires-python", f.RequiresPython, f.RequiresPython != "")
		attribute(&b, "data-yanked", f.YankedReason, f.Yanked)
		metadata := "true"
		if f.MetadataSHA256 != "" {
			metadata = "sha256=" + f.MetadataSHA256
		}
		attribute(&b, "data-core-metadata", metadata, f.Metadata)
		attribute(&b, "data-dist-info-metadata", metadata, f.Metadata)
		b.WriteString(">" + html.EscapeString(f.Filename) + "</a><br>\n")
	}
	b.WriteString("</body>\n</html>\n")
	return b.Bytes()
}

// HTML is the list of projects as PEP 503 wants it; its links are relative to the page.
func (r Root) HTML() []byte {
	var b bytes.Buffer
	head(&b, "Simple index")
	for _, p := range r.Projects {
		name := html.EscapeString(p)
		b.WriteString(`<a href="` + name + `/">` + name + "</a><br>\n")
	}
	b.WriteString("</body>\n</html>\n")
	return b.Bytes()
}

func head(b *bytes.Buffer, title string) {
	title = html.EscapeString(title)
	b.WriteString("<!DOCTYPE html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"pypi:repository-version\" content=\"" + APIVersion +
		"\">\n<title>" + title + "</title>\n</head>\n<body>\n<h1>" + title + "</h1>\n")
}

func attribute(b *bytes.Buffer, name, value string, there bool) {
	if there {
		b.WriteString(" " + name + `="` + html.EscapeString(value) + `"`)
	}
}
