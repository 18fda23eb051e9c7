package testindex

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"slices"
	"strings"
)

const jsonType = "application/vnd.pypi.simple.v1+json"

// servePage answers the page of one project, or the list of all for "". Links are absolute in JSON and relative in HTML, as real
// indexes do the one or the other.
func servePage(w http.ResponseWriter, r *http.Request, faults Faults, files []File, project string) {
	if project != "" && (project != normal(project) || !strings.HasSuffix(r.URL.Path, "/")) {
		http.Redirect(w, r, "/simple/"+normal(project)+"/", http.StatusMovedPermanently)
		return
	}
	if project != "" {
		files = slices.DeleteFunc(files, func(f File) bool { return f.Project != project })
		if len(files) == 0 {
			http.NotFound(w, r)
			return
		}
	}
	if faults.NoHash {
		for i := range files {
			files[i].NoHash = true
		}
	}
	asksJSON := strings.Contains(r.Header.Get("Accept"), jsonType)
	var body string
	if faults.JSONOnly || asksJSON && !faults.HTMLOnly {
		w.Header().Set("Content-Type", jsonType)
		body = pageJSON("http://"+r.Host, project, files)
	} else {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		body = pageHTML(project, files)
	}
	w.Header().Set("Cache-Control", "max-age=0, must-revalidate")
	w.Header().Set("Vary", "Accept")
	if tag := `"` + sha([]byte(body)) + `"`; !faults.NoETag {
		w.Header().Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	fmt.Fprint(w, body)
}

func pageJSON(host, project string, files []File) string {
	page := map[string]any{"meta": map[string]string{"api-version": "1.1"}}
	if project == "" {
		list := []map[string]string{}
		for _, name := range projects(files) {
			list = append(list, map[string]string{"name": name})
		}
		page["projects"] = list
	} else {
		list, versions := []map[string]any{}, []string{}
		for _, f := range files {
			list = append(list, fileJSON(host, f))
			if v := guessVersion(f.Filename); !slices.Contains(versions, v) {
				versions = append(versions, v)
			}
		}
		page["name"], page["files"], page["versions"] = project, list, versions
	}
	b, err := json.MarshalIndent(page, "", " ")
	must(err)
	return string(b)
}

func fileJSON(host string, f File) map[string]any {
	hashes := map[string]string{}
	if !f.NoHash {
		hashes["sha256"] = f.SHA256
	}
	m := map[string]any{
		"filename": f.Filename, "url": host + "/files/" + f.Project + "/" + f.Filename, "hashes": hashes, "size": len(f.Data), "yanked": f.IsYanked,
	}
	if f.IsYanked && f.Yanked != "" {
		m["yanked"] = f.Yanked
	}
	if f.RequiresPython != "" {
		m["requires-python"] = f.RequiresPython
	}
	if !f.Uploaded.IsZero() {
		m["upload-time"] = f.Uploaded.UTC().Format("2006-01-02T15:04:05.000000Z")
	}
	if f.Metadata != nil {
		m["core-metadata"] = map[string]string{"sha256": sha(f.Metadata)}
	}
	return m
}

func pageHTML(project string, files []File) string {
	var b strings.Builder
	b.WriteString("<!DOCTYPE html>\n<html><head><meta name=\"pypi:repository-version\" content=\"1.1\"><title>links</title></head><body>\n")
	if project == "" {
		for _, name := range projects(files) {
			fmt.Fprintf(&b, "<a href=\"/simple/%s/\">%s</a><br>\n", name, name)
		}
	} else {
		for _, f := range files {
			link := "../../files/" + f.Project + "/" + f.Filename
			if !f.NoHash {
				link += "#sha256=" + f.SHA256
			}
			fmt.Fprintf(&b, "<a href=\"%s\"", html.EscapeString(link))
			if f.RequiresPython != "" {
				fmt.Fprintf(&b, " data-requires-python=\"%s\"", html.EscapeString(f.RequiresPython))
			}
			if f.IsYanked {
				fmt.Fprintf(&b, " data-yanked=\"%s\"", html.EscapeString(f.Yanked))
			}
			if f.Metadata != nil {
				fmt.Fprintf(&b, " data-core-metadata=\"sha256=%s\"", sha(f.Metadata))
			}
			fmt.Fprintf(&b, ">%s</a><br>\n", html.EscapeString(f.Filename))
		}
	}
	b.WriteString("</body></html>\n")
	return b.String()
}

func projects(files []File) (names []string) {
	for _, f := range files {
		names = append(names, f.Project)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// guessVersion is good enough for generated names, whose project part has no "-".
func guessVersion(filename string) string {
	part := strings.SplitN(filename, "-", 3)
	if len(part) < 2 {
		return ""
	}
	return strings.TrimSuffix(strings.TrimSuffix(part[1], ".tar.gz"), ".zip")
}
