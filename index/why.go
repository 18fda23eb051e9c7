package index

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"

	"github.com/python-wheel-build/axle/index/pick"
	"github.com/python-wheel-build/axle/index/why"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/names"
)

// pick chooses what a requirement means today, as package pick does.
func (s *site) pick(ctx context.Context, name names.Name, want dist.Requirement) (version.Version, error) {
	answers, err := s.Catalog.Page(ctx, name.View, want.Project)
	if errors.Is(err, fs.ErrNotExist) {
		return version.Version{}, missing("no such project", fmt.Sprintf("no index of view %s has %s", name.Name, want.Project))
	}
	if err != nil {
		return version.Version{}, err
	}
	v, err := pick.Version(name.View, want, answers)
	if errors.Is(err, pick.ErrNone) {
		err = missing("no such version", err.Error())
	}
	return v, err
}

func missing(title, detail string) error {
	return &Problem{Type: typeNoSuchThing, Status: http.StatusNotFound, Title: title, Detail: printable(detail)}
}

// why answers a question about one version, or several: read-only, like a page.
func (s *site) why(ask func(context.Context, why.Ask) (any, error), several bool) handler {
	return func(w http.ResponseWriter, r *http.Request, param func(string) string) error {
		q := r.URL.Query()
		name, err := s.view(r.Context(), func(string) string { return q.Get("view") })
		if err != nil {
			return err
		}
		a := why.Ask{Catalog: s.Catalog, View: name.View, Direct: q.Get("direct") == "1",
			Log: func(rec resolver.Record) string {
				return absolute(r) + "api/v1/" + logPath("logs", resolver.Failure{Project: rec.Project, Version: rec.Version, Log: rec.Log})
			},
			File: func(rec resolver.Record) string { return absolute(r) + filePath(name.View, rec) },
		}
		p, _, err := project(param)
		if err != nil {
			return err
		}
		if a.Which, a.Version, err = why.Which(p, param("version"), q.Get("specifier")); err != nil {
			return &Problem{Status: http.StatusBadRequest, Title: "bad version", Detail: printable(err.Error())}
		}
		if a.Version.IsZero() && !several {
			if a.Version, err = s.pick(r.Context(), name, a.Which); err != nil {
				return err
			}
		}
		if against := q.Get("against"); against != "" {
			other, err := s.view(r.Context(), func(string) string { return against })
			if err != nil {
				return err
			}
			a.Against = other.View
		}
		answer, err := ask(r.Context(), a)
		if errors.Is(err, why.ErrNoRecipe) {
			return missing("no recipe yet", err.Error())
		}
		if err != nil {
			return err
		}
		return answerJSON(w, answer)
	}
}
