package index

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/python-wheel-build/axle/index/pages"
	"github.com/python-wheel-build/axle/index/simple"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/names"
	"github.com/python-wheel-build/axle/resolver/source"
	"github.com/python-wheel-build/axle/resolver/view"
)

// slash redirects /simple to /simple/, so that relative links work.
func slash(w http.ResponseWriter, r *http.Request, _ func(string) string) error {
	moved(w, "simple/")
	return nil
}

// moved redirects for good. Location stays relative (http.Redirect would make it absolute): a proxy may have put a prefix in front.
func moved(w http.ResponseWriter, location string) {
	w.Header().Set("Location", location)
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusMovedPermanently)
}

// view is the one that the path names.
func (s *site) view(ctx context.Context, param func(string) string) (names.Name, error) {
	name := param("view")
	if name == "" {
		name = "default"
	}
	v, err := s.Names.Get(ctx, name)
	v.OnDemand = v.OnDemand || s.private // a flight that began goes on, whatever has become of the names
	if errors.Is(err, fs.ErrNotExist) {
		return v, &Problem{Type: typeNoSuchThing, Status: http.StatusNotFound, Title: "no such view",
			Detail: fmt.Sprintf("there is no view %s; /api/v1/views lists their names", printable(name))}
	}
	return v, err
}

// project is the one that the path names, and whether it was in normal form.
func project(param func(string) string) (dist.Project, bool, error) {
	p, err := dist.ParseProject(param("project"))
	if err != nil {
		return "", false, &Problem{Type: typeNoSuchThing, Status: http.StatusNotFound, Title: "no such project", Detail: printable(err.Error())}
	}
	return p, string(p) == param("project"), nil
}

// negotiate chooses the type of a page.
func negotiate(r *http.Request) (string, error) {
	contentType, ok := simple.Negotiate(strings.Join(r.Header.Values("Accept"), ","))
	if !ok {
		return "", &Problem{Type: typeUnacceptable, Status: http.StatusNotAcceptable, Title: "not acceptable",
			Detail: "pages are there as " + simple.TypeJSON + ", " + simple.TypeHTML + " and " + simple.TypeLegacy}
	}
	return contentType, nil
}

// root lists the projects that anything is stored of; where nothing is built, those of which the view has a hit. It is no list of
// what can be had: on demand that is all of upstream.
func (s *site) root(w http.ResponseWriter, r *http.Request, param func(string) string) error {
	contentType, err := negotiate(r)
	if err != nil {
		return err
	}
	name, err := s.view(r.Context(), param)
	if err != nil {
		return err
	}
	q := pages.Key{View: name.View.Digest(), Promises: name.OnDemand && r.URL.Path != "/view/"+param("view")+"/cached/simple/", ContentType: contentType}
	page, err := s.pages.Get(r.Context(), q, s.Catalog.Store.Changes, func(ctx context.Context) (pages.Page, error) {
		projects, err := s.projects(ctx, name.View, q.Promises)
		list := simple.Root{Projects: make([]string, len(projects))}
		for i, p := range projects {
			list.Projects[i] = string(p)
		}
		return list, err
	})
	if err != nil {
		return err
	}
	page.Serve(w, r)
	return nil
}

// projects are all of which anything is stored where promises are made, else those with a hit in the view; sorted.
func (s *site) projects(ctx context.Context, v *view.View, promises bool) ([]dist.Project, error) {
	if promises {
		return s.Catalog.Projects(ctx)
	}
	hits, err := s.Catalog.Holds(ctx, v)
	if err != nil {
		return nil, err
	}
	all := make([]dist.Project, 0, len(hits))
	for _, rec := range hits {
		all = append(all, rec.Project)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// page lists what a view has of a project: hits, and where it builds on demand a promise for each other version.
func (s *site) page(w http.ResponseWriter, r *http.Request, param func(string) string, cached bool) error {
	contentType, err := negotiate(r)
	if err != nil {
		return err
	}
	p, normal, err := project(param)
	if err != nil {
		return err
	}
	switch slash := strings.HasSuffix(r.URL.Path, "/"); {
	case !slash:
		moved(w, string(p)+"/")
		return nil
	case !normal:
		moved(w, "../"+string(p)+"/")
		return nil
	}
	name, err := s.view(r.Context(), param)
	if err != nil {
		return err
	}
	q := pages.Key{View: name.View.Digest(), Promises: name.OnDemand && !cached, Project: p, Root: up(r), ContentType: contentType}
	page, err := s.pages.Get(r.Context(), q, s.Catalog.Store.Changes, func(ctx context.Context) (pages.Page, error) {
		answers, err := s.Catalog.Page(ctx, name.View, p)
		list := simple.Page{Project: string(p), Files: files(name.View, answers, q.Root, q.Promises)}
		if err == nil && len(list.Files) == 0 {
			// An empty page would keep a client with several indexes from looking at the next one.
			err = fs.ErrNotExist
		}
		return list, err
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &Problem{Type: typeNoSuchThing, Status: http.StatusNotFound, Title: "no such project",
			Detail: fmt.Sprintf("%s has nothing of %s", printable(name.Name), p)}
	case err != nil:
		note(r, err)
		return err
	}
	page.Serve(w, r)
	return nil
}

// files are a page's lines; root leads from the page to the server's root.
func files(v *view.View, answers []resolver.Answer, root string, promises bool) []simple.File {
	out := make([]simple.File, 0, len(answers))
	for _, a := range answers {
		f := simple.File{Version: a.Source.Version.String(), Uploaded: a.Source.Uploaded, RequiresPython: a.Source.RequiresPython,
			Yanked: a.Source.Yanked, YankedReason: a.Source.YankedReason, Metadata: true}
		switch rec := a.Record; {
		case rec != nil:
			f.Filename = rec.Listed(v.Changes(rec.Project, rec.Version))
			f.URL = root + filePath(v, *rec)
			f.SHA256, f.MetadataSHA256 = rec.Wheel.Encoded(), rec.Metadata.Encoded()
			f.Size = rec.Size()
			f.RequiresPython = rec.RequiresPython
			if f.Uploaded.IsZero() {
				f.Uploaded = rec.When
			}
		case promises:
			f.Filename = promiseName(v, a.Source)
			f.URL = root + "view/@" + strings.TrimPrefix(string(v.Digest()), "sha256:") + "/promise/" + url.PathEscape(f.Filename)
		default:
			continue
		}
		out = append(out, f)
	}
	return out
}

// filePath is where a record's wheel is served, below the root, by the name that the view gives it.
func filePath(v *view.View, rec resolver.Record) string {
	return "files/" + rec.Wheel.Encoded() + "/" + url.PathEscape(rec.Listed(v.Changes(rec.Project, rec.Version)))
}

// promiseName is the name under which a wheel is listed that is not built yet. Its build tag is made of everything that decides what
// will be built, so that a client's cache never takes another promise's wheel for this one's (uv's cache goes by the filename).
func promiseName(v *view.View, s source.Source) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n%s\n%s\n", v.Digest(), s.How.Index, s.How.Filename, s.Listed())
	build := fmt.Sprintf("%d_%s", v.Changes(s.Project, s.Version), hex.EncodeToString(h.Sum(nil))[:16])
	return dist.FormatWheelName(s.Project, s.Version, build, v.Target.PromiseTags())
}
