// Package index is what pip, uv and people see of Axle over HTTP: pages, files, promises, failures and a small API.
//
//	s := &index.Server{Catalog: catalog, Names: names, Builder: builder, Registry: registry, Hosts: hosts}
//	http.Serve(public, s.Handler())    // for clients
//	http.Serve(loopback, s.Private())  // for the builder's own resolver
//
// The routes:
//
//	/simple/…                               the name "default"; JSON (PEP 691) or HTML (PEP 503)
//	/view/<name or @digest>/simple/…        any view
//	/view/<…>/cached/simple/…               hits only: what is not built is not there
//	/files/<sha256>/<filename>[.metadata]   a wheel that a record names; immutable
//	/view/@<digest>/promise/<filename>[.metadata]  builds, waits, answers with the wheel itself
//	/failed/<project>/<version>/<log>       422 with the reason and the last lines of the log
//	/api/v1/builds                          GET: what is under way; POST: have things built
//	/api/v1/builds/<project>/<version>/log  a build under way, by server-sent events
//	/api/v1/views, /api/v1/logs/<project>/<version>/<log>, /api/v1/checks/<project>/<version>
//	/api/v1/{explain,dependents,key}/<project>[/<version>]  why it is a hit or a miss; what was built with it; its digests
//	/healthz /readyz /metrics /robots.txt /
//
// What it promises: a page runs nothing and writes nothing; only a GET of a promise, or POST /api/v1/builds, makes anybody build, and a
// client that hangs up cancels nothing; no byte of a file is sent before its hash was proven; every error is an RFC 9457 problem. All
// links are relative, so a proxy may put any prefix in front.
//
// Nothing here keeps state about clients but a count of the metadata that each has being found out (index/asks), and for some minutes
// which those were (index/early): a wait that outlives one request lives in the URL (index/hops), so any number of frontends may answer
// for each other.
package index

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/python-wheel-build/axle/index/asks"
	"github.com/python-wheel-build/axle/index/early"
	"github.com/python-wheel-build/axle/index/hops"
	"github.com/python-wheel-build/axle/index/live"
	"github.com/python-wheel-build/axle/index/pages"
	"github.com/python-wheel-build/axle/index/rights"
	"github.com/python-wheel-build/axle/index/why"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/names"
)

// Builder makes what is not there yet. Work is shared by everybody who asks for it and lives on when they leave.
type Builder interface {
	// Ensure gives the record of the wheel, built where there is none. The end of ctx ends the wait and never the build; the error
	// is then resolver.ErrPending.
	Ensure(ctx context.Context, a resolver.Ask) (resolver.Record, error)
	// Metadata gives the core metadata without building the wheel, where that is possible; waiting is as with Ensure.
	Metadata(ctx context.Context, a resolver.Ask) (resolver.Promised, error)
	// Check builds the inputs of the record, which is the hit of the ask, once more and says whether that gives the same wheel. The
	// record stays; waiting is as with Ensure.
	Check(ctx context.Context, a resolver.Ask, r resolver.Record) (resolver.Check, error)
	live.Builder // what is under way
}

// Server answers. Catalog, Names and Builder are required; no field is changed after the first call of a method.
type Server struct {
	Catalog *resolver.Catalog
	Names   *names.Names
	Builder Builder
	// Rights say who may read and have things built; zero, everybody may read and programs on this machine may order builds.
	Rights rights.Rights
	// Registry gets this package's counters, and /metrics serves all it holds; nil is a new one.
	Registry *prometheus.Registry
	// Hosts are the names, without a port, that a request's Host may have, beside localhost, 127.0.0.1 and ::1. A web page whose
	// own name was pointed here (DNS rebinding) gets nothing so.
	Hosts []string
	// Early is how many builds may be under way at once that a client, by what it resolved, is going to ask for, and has not yet; with 0
	// a build begins when somebody asks for it and not before.
	Early int
	// Log is told of internal errors, whose text clients don't see; nil tells nobody.
	Log *slog.Logger
	// Now is the clock that waits are stamped with; nil is time.Now.
	Now func() time.Time
	// Hold is how long a request may be kept open without an answer; 0 is 14 s, which suits pip (it gives up after 15 s) and uv. Other
	// values are for tests.
	Hold time.Duration

	once      sync.Once
	public    http.Handler
	private   http.Handler
	pages     pages.Cache
	asks      *asks.Asks
	followers atomic.Int32
	lookups   *prometheus.CounterVec
	told      *prometheus.CounterVec
}

// Handler is for clients. Requests whose Host is not one of Hosts are refused.
func (s *Server) Handler() http.Handler {
	s.once.Do(s.init)
	return s.public
}

// Private is for the resolver of the builder itself, on a listener that nobody else reaches: the same routes without the check of Host,
// and a wait lasts as long as its request. The flight it asks for stands in the request's context (resolver.WithAsker); an error
// answered to its question for a page or metadata is noted there, since the resolver in between makes mere text of it. A project that
// nobody knows is no error: resolvers can do without. A flight's questions are never bounded.
func (s *Server) Private() http.Handler {
	s.once.Do(s.init)
	return s.private
}

func (s *Server) init() {
	if s.Registry == nil {
		s.Registry = prometheus.NewRegistry()
	}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if s.Hold == 0 {
		s.Hold = hops.DefaultHold
	}
	s.asks = asks.New(s.Builder.Metadata)
	starts := early.New(s.Early, s.Builder.Ensure)
	s.lookups = counter(s.Registry, "axle_lookups_total",
		"Questions for one version: files, promises and their metadata. Each visit of a waiting client counts.", "result", "hit", "miss", "unknown")
	s.told = counter(s.Registry, "axle_metadata_total",
		"Core metadata handed out: from a wheel (built), the sdist (static), an upstream wheel (upstream) or the build backend's hook (prepared).",
		"how", "static", "upstream", "prepared", "built")
	s.public = s.checkHost((&site{Server: s, starts: starts}).routes())
	s.private = (&site{Server: s, private: true}).routes()
}

func counter(r *prometheus.Registry, name, help, label string, values ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	r.MustRegister(c)
	for _, v := range values {
		c.WithLabelValues(v) // there from the start, at 0: a rate over an absent series is no rate
	}
	return c
}

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// site is the server as one kind of visitor sees it.
type site struct {
	*Server
	private bool
	starts  *early.Starts // nil for a visitor for whom nothing is begun early
}

// handler answers, or returns an error before anything was written.
type handler func(w http.ResponseWriter, r *http.Request, param func(string) string) error

func (s *site) routes() http.Handler {
	e := echo.New()
	e.HTTPErrorHandler = func(err error, c echo.Context) { s.answerError(c.Response().Writer, c.Request(), err) }
	route := func(path string, h handler) {
		// The writer below echo's own has io.ReaderFrom, without which files are not sent by sendfile (four times the CPU).
		f := func(c echo.Context) error {
			if err := s.mayRead(c.Request(), path, c.Param); err != nil {
				return err
			}
			return h(c.Response().Writer, c.Request(), c.Param)
		}
		e.GET(path, f)
		e.HEAD(path, f)
	}
	for _, prefix := range []string{"", "/view/:view", "/view/:view/cached"} {
		cached := prefix == "/view/:view/cached"
		route(prefix+"/simple", slash)
		route(prefix+"/simple/", s.root)
		for _, end := range []string{"", "/"} {
			route(prefix+"/simple/:project"+end, func(w http.ResponseWriter, r *http.Request, param func(string) string) error {
				return s.page(w, r, param, cached)
			})
		}
	}
	route("/view/:view/promise/:file", s.promise)
	route("/files/:sha256/:file", s.file)
	route("/failed/:project/:version/:log", s.failed)
	route("/api/v1/logs/:project/:version/:log", s.log)
	route("/api/v1/checks/:project/:version", s.checks)
	route("/api/v1/views", s.views)
	for _, end := range []string{"", "/:version"} {
		route("/api/v1/explain/:project"+end, s.why(why.Explain, false))
		route("/api/v1/dependents/:project"+end, s.why(why.ListDependents, true))
		route("/api/v1/key/:project"+end, s.why(why.KeyOf, false))
	}
	route("/api/v1/builds", s.underWay)
	route("/api/v1/builds/:project/:version/log", s.follow)
	e.POST("/api/v1/builds", func(c echo.Context) error { return s.builds(c.Response().Writer, c.Request()) })
	route("/healthz", func(w http.ResponseWriter, _ *http.Request, _ func(string) string) error { return text(w, "ok\n") })
	route("/readyz", s.ready)
	metrics := promhttp.HandlerFor(s.Registry, promhttp.HandlerOpts{})
	route("/metrics", func(w http.ResponseWriter, r *http.Request, _ func(string) string) error {
		metrics.ServeHTTP(w, r)
		return nil
	})
	route("/robots.txt", func(w http.ResponseWriter, _ *http.Request, _ func(string) string) error {
		return text(w, "User-agent: *\nDisallow: /\n") // a crawler that follows promises would build the world
	})
	route("/", s.front)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r, err := plain(r)
		if err != nil {
			s.answerError(w, r, err)
			return
		}
		e.ServeHTTP(w, r)
	})
}
