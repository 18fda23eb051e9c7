// Package rights decides who may have something built, by the token that a request brings (RFC 7617, RFC 6750).
package rights

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/python-wheel-build/axle/resolver/tokens"
)

// Denied is a request that may not do what it asks for.
type Denied struct {
	// Status is 401 where a token would help, and 403 where the one that was brought doesn't.
	Status int
	Detail string
}

func (d *Denied) Error() string { return d.Detail }

// Challenge is what a 401 says about how to log in. pip and uv take user and password out of the index's URL or netrc.
const Challenge = `Basic realm="axle", charset="UTF-8"`

// Rights are those of a server. The zero Rights knows no token: then nobody is asked for one.
type Rights struct {
	Tokens *tokens.Tokens
	// Read says that reading needs a token, too.
	Read bool
}

// Check is a *Denied where the request may not do what the scope is for in a view that is known under these names. While no token was ever
// made for the store, everybody may. It gives the token that was good for it, with that the zero Token.
func (s Rights) Check(r *http.Request, scope string, under []string) (tokens.Token, error) {
	t, err := s.Who(r)
	if err == nil && t.ID != "" && !t.May(scope, under) {
		err = &Denied{http.StatusForbidden, denial(t, scope, under)}
	}
	return t, err
}

// MayRead is a *Denied where reading needs a token that the request hasn't got. under is nil for what belongs to no view: then any token for
// readers will do, since files and logs are found by their digests only.
func (s Rights) MayRead(r *http.Request, under []string) error {
	if !s.Read {
		return nil
	}
	t, err := s.Who(r)
	switch {
	case err != nil:
		return err
	case t.ID == "":
		return &Denied{http.StatusUnauthorized, "this server serves nobody without a token, and none was made for its store: `axle token create --scope read` makes one"}
	case under == nil && t.Has(tokens.Read), t.May(tokens.Read, under):
		return nil
	}
	return &Denied{http.StatusForbidden, denial(t, tokens.Read, under)}
}

// Who is the token that a request brings, the zero Token while none was ever made for the store; else a *Denied where there is no good one.
func (s Rights) Who(r *http.Request) (tokens.Token, error) {
	if s.Tokens == nil {
		return tokens.Token{}, nil
	}
	any, err := s.Tokens.Any(r.Context())
	if err != nil || !any {
		return tokens.Token{}, err
	}
	secret := secretOf(r)
	if secret == "" {
		return tokens.Token{}, &Denied{http.StatusUnauthorized, "this needs a token: give it as the password of the index's URL, in netrc, or to axle's commands as AXLE_TOKEN"}
	}
	t, err := s.Tokens.Find(r.Context(), secret)
	if known := why(err); known != nil {
		err = &Denied{http.StatusUnauthorized, known.Error() + ": `axle token create` makes another"}
	}
	return t, err
}

// why is the reason for which a token is good for nothing, without the text around it, which may repeat a part of the secret.
func why(err error) error {
	for _, known := range []error{tokens.ErrUnknown, tokens.ErrEnded, tokens.ErrRevoked} {
		if errors.Is(err, known) {
			return known
		}
	}
	return nil
}

func denial(t tokens.Token, scope string, under []string) string {
	what := "a view without a name"
	if len(under) > 0 {
		what = "the view " + strings.Join(under, ", ")
	}
	good := "every view"
	if len(t.Names) > 0 {
		good = strings.Join(t.Names, ", ")
	}
	return fmt.Sprintf("the token %s is good for %s of %s, not for %s of %s", t.ID, strings.Join(t.Scopes, ", "), good, scope, what)
}

// secretOf is the token that a request brings: the password of Basic, whoever the user, or a Bearer's.
func secretOf(r *http.Request) string {
	if _, password, ok := r.BasicAuth(); ok {
		return password
	}
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(rest)
	}
	return ""
}

// Here is a *Denied unless a program on this machine asks, directly: other machines may not, whoever they come through, nor web pages.
func Here(r *http.Request) error {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	refuse := func(why string) error {
		return &Denied{http.StatusForbidden, why + ", and while no token was made for the store builds are ordered on the server's own machine only; run the command " +
			"there, make a token with `axle token create`, or just install: fetching a wheel that isn't built yet builds it"}
	}
	switch {
	case err != nil || !from.Addr().Unmap().IsLoopback():
		return refuse("the request comes from another machine")
	case r.Header.Get("Forwarded") != "" || r.Header.Get("X-Forwarded-For") != "":
		return refuse("the request came through a proxy")
	}
	return SameOrigin(r)
}

// SameOrigin is a *Denied for a request that a web page of another origin sends.
func SameOrigin(r *http.Request) error {
	if origin := r.Header.Get("Origin"); origin != "" {
		if u, err := url.Parse(origin); err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host) {
			return &Denied{http.StatusForbidden, "the request comes from a web page of another origin"}
		}
	}
	return nil
}
