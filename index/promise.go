package index

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"time"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/index/asks"
	"github.com/python-wheel-build/axle/index/early"
	"github.com/python-wheel-build/axle/index/hops"
	"github.com/python-wheel-build/axle/internal/dist"
	"github.com/python-wheel-build/axle/internal/version"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/names"
	"github.com/python-wheel-build/axle/resolver/source"
)

// promise answers for a wheel that a page promised, or for its metadata: at once for a hit, else after somebody built it. Of the URL,
// only view, project and version are used.
func (s *site) promise(w http.ResponseWriter, r *http.Request, param func(string) string) error {
	start := time.Now()
	name, err := s.view(r.Context(), param)
	if err != nil {
		return err
	}
	wheel, metadata, err := wheelName(param)
	if err != nil {
		return err
	}
	visit, err := hops.Parse(r.URL.Query())
	if err != nil {
		return &Problem{Status: http.StatusBadRequest, Title: "bad query", Detail: printable(err.Error())}
	}
	ctx := r.Context()
	if !s.private {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, start.Add(s.Hold))
		defer cancel()
	}
	asked := question{name, wheel.Project, wheel.Version, metadata}
	send, err := s.keep(ctx, r, asked)
	if err == nil {
		err = send(w)
	}
	return s.goOn(w, r, asked, visit, start, ctx, err)
}

// question is what a promise's URL asks.
type question struct {
	name     names.Name
	project  dist.Project
	version  version.Version
	metadata bool
}

// sender writes an answer that is known to be good. It returns an error only before it has written anything.
type sender func(http.ResponseWriter) error

// keep keeps a promise: it gives the answer as soon as there is one.
func (s *site) keep(ctx context.Context, r *http.Request, q question) (sender, error) {
	v := q.name.View
	a, err := s.Catalog.Lookup(ctx, v, q.project, q.version)
	switch {
	case errors.Is(err, source.ErrNone):
		s.lookups.WithLabelValues("unknown").Inc()
		return nil, err
	case err != nil:
		return nil, err
	case a.Record != nil:
		s.lookups.WithLabelValues("hit").Inc()
	default:
		s.lookups.WithLabelValues("miss").Inc()
		if !q.name.OnDemand {
			return nil, &Problem{Type: typeNotOnDemand, Status: http.StatusForbidden, Title: "not built, and not built on demand",
				Detail: fmt.Sprintf("%s %s is not there in view %s, and that view only serves what is", q.project, q.version, printable(q.name.Name))}
		}
		if err := s.mayBuild(r, q.name); err != nil {
			return nil, err
		}
	}
	if r.Method == http.MethodHead {
		return func(w http.ResponseWriter) error { // no length: it isn't known before there is a wheel
			contentType := wheelType
			if q.metadata {
				contentType = metadataType
			}
			w.Header().Set("Content-Type", contentType)
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(http.StatusOK)
			return nil
		}, nil
	}
	ask := resolver.Ask{View: v, Project: q.project, Version: q.version}
	if asker := resolver.AskerOf(ctx); asker != nil {
		ask.Retry = asker.Retry
	}
	client := early.NewClient(asks.Client(r), r.UserAgent(), v.Digest())
	if q.metadata {
		send, err := s.metadata(ctx, r, a, ask)
		if err == nil && a.Record == nil {
			s.starts.Told(client, q.project, q.version)
		}
		return send, err
	}
	defer s.starts.Fetch(client, v, q.project)()
	rec := a.Record
	if rec == nil {
		built, err := s.Builder.Ensure(ctx, ask)
		if err != nil {
			return nil, err
		}
		rec = &built
	}
	if err := s.kept(ctx, a, ask, *rec); err != nil {
		return nil, err
	}
	return func(w http.ResponseWriter) error { return s.sendWheel(w, r, *rec) }, nil
}

func (s *site) metadata(ctx context.Context, r *http.Request, a resolver.Answer, ask resolver.Ask) (sender, error) {
	promised := resolver.Promised{How: "built"}
	var body []byte
	var err error
	if a.Record != nil {
		body, err = s.metadataBytes(r, *a.Record)
	} else if promised, err = s.promised(ctx, r, a, ask); err == nil {
		body, err = s.Catalog.Store.Bytes(ctx, promised.Blob, maxMetadata)
	}
	if err != nil {
		return nil, gone(err)
	}
	return func(w http.ResponseWriter) error {
		s.told.WithLabelValues(promised.How).Inc()
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Type", metadataType)
		h.Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write(body) // a client that is gone needs no answer
		return nil
	}, nil
}

// promised gives a promise's metadata. What is remembered, or what the source itself says, is told at once; for a job clients from
// outside wait for a place.
func (s *site) promised(ctx context.Context, r *http.Request, a resolver.Answer, ask resolver.Ask) (resolver.Promised, error) {
	if resolver.AskerOf(ctx) != nil {
		return s.Builder.Metadata(ctx, ask)
	}
	p, err := s.Catalog.Promised(ctx, ask.View, a)
	if !errors.Is(err, fs.ErrNotExist) {
		return p, err
	}
	return s.asks.Ask(ctx, asks.Client(r), ask)
}

// kept compares a wheel's METADATA with what was promised before it was built: a client resolved with that, and must not go on with
// what it resolved where it isn't so. Whether this visit or an earlier one had it built makes no difference.
func (s *site) kept(ctx context.Context, a resolver.Answer, ask resolver.Ask, rec resolver.Record) error {
	promised, err := s.Catalog.Promised(ctx, ask.View, a)
	if err := ctx.Err(); err != nil {
		return err
	}
	if err != nil || promised.How == "built" || promised.Blob == rec.Metadata {
		return nil // nobody was promised anything, or just this
	}
	var parsed [2]dist.Metadata
	for i, d := range []cas.Digest{promised.Blob, rec.Metadata} {
		body, err := s.Catalog.Store.Bytes(ctx, d, maxMetadata)
		if errors.Is(err, fs.ErrNotExist) {
			return gone(err)
		}
		if err != nil {
			return err
		}
		if parsed[i], err = dist.ParseMetadata(body); err != nil {
			return fmt.Errorf("metadata %s of %s %s: %w", d, ask.Project, ask.Version, err)
		}
	}
	if same, difference := parsed[0].SameRequirements(parsed[1]); !same {
		return &Problem{Type: typeBroken, Status: http.StatusUnprocessableEntity, Title: "the wheel needs something else than was promised", Detail: fmt.Sprintf(
			"%s %s was built, but its metadata are not what its source said: %s; the wheel is there, and the project's page now tells the truth: run the command again",
			ask.Project, ask.Version, printable(difference))}
	}
	return nil
}

// goOn ends a visit that may have had no result: it tells the error, or how to go on waiting.
func (s *site) goOn(w http.ResponseWriter, r *http.Request, q question, visit hops.Hop, start time.Time, held context.Context, err error) error {
	if err == nil || r.Context().Err() != nil { // answered, or nobody there
		return nil
	}
	if errors.Is(err, resolver.ErrPending) || held.Err() != nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)) {
		return s.wait(w, r, visit, start)
	}
	if q.metadata {
		note(r, err)
	}
	// uv follows ten redirects and takes the next one for the answer, so at the last hop the failure is told here.
	if f, ok := failureOf(err); ok && visit.N < hops.Last && !s.private {
		redirect(w, up(r)+logPath("failed", f))
		return nil
	}
	return err
}

// note tells the flight that a request is for, if it is for one, why it gets no answer. What a flight itself hung up on is no reason.
func note(r *http.Request, err error) {
	if asker := resolver.AskerOf(r.Context()); asker != nil && r.Context().Err() == nil {
		asker.Note(err)
	}
}

// wait tells a client to come again.
func (s *site) wait(w http.ResponseWriter, r *http.Request, visit hops.Hop, start time.Time) error {
	arrived := s.now().Add(-time.Since(start)) // by the clock that hops are stamped with
	for {
		step := visit.Next(arrived, arrived.Add(time.Since(start)), s.Hold)
		switch {
		case step.Hold > 0: // the builder gave up early: an answer now would spend one of the client's few tries
			select {
			case <-time.After(step.Hold):
			case <-r.Context().Done():
				return nil
			}
		case step.RetryAfter > 0:
			return &Problem{Type: typePending, Status: http.StatusServiceUnavailable, Title: "still being built",
				Detail: "ask again: the work goes on meanwhile", retryAfter: step.RetryAfter}
		default:
			redirect(w, url.PathEscape(path.Base(r.URL.Path))+"?"+step.Next.Query())
			return nil
		}
	}
}

// redirect sends a client on for this time; location is relative.
func redirect(w http.ResponseWriter, location string) {
	h := w.Header()
	h.Set("Location", location)
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusTemporaryRedirect)
}
