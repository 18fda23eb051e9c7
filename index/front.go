package index

import (
	"bytes"
	"encoding/json"
	"errors"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"
)

func text(w http.ResponseWriter, s string) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, s) // a client that is gone needs no answer
	return nil
}

// ready says whether this process can answer for the default name: its view is there and the store can be asked.
func (s *site) ready(w http.ResponseWriter, r *http.Request, _ func(string) string) error {
	if _, err := s.Catalog.Store.Has(r.Context(), digest.FromString("")); err != nil {
		s.Log.ErrorContext(r.Context(), "not ready", "error", err)
		return &Problem{Status: http.StatusServiceUnavailable, Title: "not ready", Detail: "the store can't be asked; the server's log says why", retryAfter: 1}
	}
	_, err := s.Names.Get(r.Context(), "default")
	if errors.Is(err, fs.ErrNotExist) {
		return &Problem{Status: http.StatusServiceUnavailable, Title: "not ready", Detail: "there is no view named default", retryAfter: 1}
	}
	if err != nil {
		return err
	}
	return text(w, "ok\n")
}

// ViewInfo is one line of GET /api/v1/views.
type ViewInfo struct {
	Name string `json:"name"`
	// View is the digest that the name points to now.
	View     string `json:"view"`
	OnDemand bool   `json:"on_demand"`
	// Problem says why that can't be read.
	Problem string `json:"problem,omitempty"`
}

func (s *site) views(w http.ResponseWriter, r *http.Request, _ func(string) string) error {
	all, err := s.Names.All(r.Context())
	if err != nil {
		return err
	}
	out := struct {
		Views []ViewInfo `json:"views"`
	}{[]ViewInfo{}}
	for _, n := range all {
		info := ViewInfo{Name: n.Name, View: string(n.View), OnDemand: n.OnDemand}
		if n.Err != nil {
			info.Problem = printable(n.Err.Error())
		}
		out.Views = append(out.Views, info)
	}
	return answerJSON(w, out)
}

func answerJSON(w http.ResponseWriter, v any) error {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false) // people read URLs of it
	if err := enc.Encode(v); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(body.Bytes()) // a client that is gone needs no answer
	return nil
}

var frontPage = template.Must(template.New("front").Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Axle</title>
</head>
<body>
<h1>Axle</h1>
<p>A package index for pip and uv. Wheels that are not there yet are built from source when they are fetched; the same inputs
never build twice.</p>
<pre>pip install --index-url {{.}}simple/ NAME</pre>
<p><a href="simple/">Projects with something stored</a>, <a href="api/v1/views">views</a>, <a href="api/v1/builds">builds under way</a>, <a href="metrics">metrics</a></p>
</body>
</html>
`))

func (s *site) front(w http.ResponseWriter, r *http.Request, _ func(string) string) error {
	var b strings.Builder
	if err := frontPage.Execute(&b, absolute(r)); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, b.String()) // a client that is gone needs no answer
	return nil
}
