package index

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/python-wheel-build/axle/index/rights"
	"github.com/python-wheel-build/axle/resolver/names"
	"github.com/python-wheel-build/axle/resolver/tokens"
)

// maxPath is more than any wheel's URL needs: two names of 255 bytes and a digest.
const maxPath = 1024

// plain gives the request with a path that means the same to everybody: no hidden slash, no empty segment, nothing unprintable. The router then
// works on the decoded path.
func plain(r *http.Request) (*http.Request, error) {
	p := r.URL.Path
	nowhere := func(why string) (*http.Request, error) {
		return r, &Problem{Status: http.StatusNotFound, Title: "no such page", Detail: why}
	}
	switch {
	case len(p) > maxPath:
		return nowhere(fmt.Sprintf("the path is longer than %d bytes", maxPath))
	case !strings.HasPrefix(p, "/"):
		return nowhere("the path doesn't start with a slash")
	case !utf8.ValidString(p) || strings.ContainsFunc(p, func(c rune) bool { return !unicode.IsPrint(c) }) || strings.ContainsRune(p, '\\'):
		return r, &Problem{Status: http.StatusBadRequest, Title: "bad path", Detail: "the path holds a backslash, a control character or invalid UTF-8"}
	case strings.Contains(strings.ToLower(r.URL.RawPath), "%2f"):
		return nowhere("no name here holds a slash")
	}
	segments := strings.Split(p[1:], "/")
	for i, s := range segments {
		if s == "" && i < len(segments)-1 {
			return nowhere("the path has an empty segment")
		}
	}
	if r.URL.RawPath == "" {
		return r, nil
	}
	u := *r.URL
	u.RawPath = ""
	clean := *r
	clean.URL = &u
	return &clean, nil
}

// up leads from the request's page to the root, relative, since a proxy may have put a prefix in front.
func up(r *http.Request) string { return strings.Repeat("../", strings.Count(r.URL.Path, "/")-1) }

// absolute is the server's address as the client spelled it, for texts that are read away from their page.
func absolute(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	return (&url.URL{Scheme: scheme, Host: r.Host, Path: "/"}).String()
}

// local are the hosts that always mean this machine to the one who asks.
var local = []string{"localhost", "127.0.0.1", "::1"}

func (s *Server) checkHost(next http.Handler) http.Handler {
	names := slices.Concat(local, s.Hosts)
	for i, name := range names {
		names[i] = strings.ToLower(name)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Probes ask by address, and these two tell nothing.
		if r.URL.Path != "/healthz" && r.URL.Path != "/readyz" {
			host, err := hostname(r.Host)
			if err != nil {
				s.answerError(w, r, &Problem{Status: http.StatusBadRequest, Title: "bad Host header", Detail: printable(err.Error())})
				return
			}
			if !slices.Contains(names, host) {
				s.answerError(w, r, &Problem{Status: http.StatusMisdirectedRequest, Title: "not a name of this server", Detail: fmt.Sprintf(
					"this server answers to %s, not to %s; if that name is yours, start the server with --host %[2]s as well",
					strings.Join(names, ", "), printable(host))})
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// hostname is the host of "host", "host:port" or "[address]:port", in lower case.
func hostname(hostport string) (string, error) {
	host := hostport
	if h, port, err := net.SplitHostPort(hostport); err == nil {
		if strings.Trim(port, "0123456789") != "" {
			return "", fmt.Errorf("the port of %q is no number", hostport)
		}
		host = h
	} else if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	if host == "" {
		return "", fmt.Errorf("%q names no host", hostport)
	}
	return strings.ToLower(host), nil
}

// mayBuild refuses whoever may not begin work in the view, once tokens exist.
func (s *site) mayBuild(r *http.Request, name names.Name) error {
	if s.private {
		return nil
	}
	_, err := s.Rights.Check(r, tokens.Build, name.Under)
	return err
}

// mayOrder refuses who may order nothing: web pages of other origins; once tokens exist who has none, and until then everybody but
// programs on this machine.
func (s *site) mayOrder(r *http.Request) error {
	t, err := s.Rights.Who(r)
	if err != nil {
		return err
	}
	if t.ID == "" {
		return rights.Here(r)
	}
	return rights.SameOrigin(r)
}

// mayRead refuses whoever may not read what the route is about, where readers need a token.
func (s *site) mayRead(r *http.Request, route string, param func(string) string) error {
	switch {
	case s.private || !s.Rights.Read, route == "/healthz", route == "/readyz", route == "/robots.txt":
		return nil
	case !strings.Contains(route, "/simple") && !strings.HasPrefix(route, "/view/"):
		return s.Rights.MayRead(r, nil)
	}
	name, err := s.view(r.Context(), param)
	if err != nil {
		name.Under = []string{} // that there is no such view is told to those who may read it all
	}
	return s.Rights.MayRead(r, append([]string{}, name.Under...))
}
