package upstream

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func temp(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// Each host sees its own credentials or none, whoever sends us there.
func TestCredentialsStayHome(t *testing.T) {
	type seen struct{ user, password, referer string }
	var home, away []seen
	note := func(to *[]seen, r *http.Request) {
		user, password, _ := r.BasicAuth()
		*to = append(*to, seen{user, password, r.Referer()})
	}
	other := serve(t, func(w http.ResponseWriter, r *http.Request) {
		note(&away, r)
		answerPage(w)
	})
	index := serve(t, func(w http.ResponseWriter, r *http.Request) {
		note(&home, r)
		switch r.URL.Path {
		case "/simple/away/":
			v := *other
			v.User = url.UserPassword("from", "redirect")
			http.Redirect(w, r, v.JoinPath("x/").String(), http.StatusFound)
		case "/simple/loop/":
			http.Redirect(w, r, "/simple/loop/", http.StatusFound)
		case "/simple/home/":
			http.Redirect(w, r, "/y/", http.StatusMovedPermanently)
		default:
			answerPage(w)
		}
	})
	simple := index.JoinPath("simple/")
	simple.User = url.UserPassword("bob", "hunter2")

	c, _, _ := client(t)
	files, err := c.Project(t.Context(), simple, project(t, "away"))
	if err != nil || files[0].URL != other.JoinPath("x/foo-1.tar.gz").String() {
		t.Fatalf("%v, %v", files, err)
	}
	if home[0].user != "bob" || home[0].password != "hunter2" || away[0] != (seen{}) {
		t.Fatalf("home saw %v, the other %v", home, away)
	}
	files, err = c.Project(t.Context(), simple, project(t, "home"))
	if err != nil || files[0].URL != index.JoinPath("y/foo-1.tar.gz").String() {
		t.Fatalf("%v, %v", files, err)
	}
	// A file of that origin is asked for with them too, though its address has none.
	if err := c.Fetch(t.Context(), files[0], temp(t)); err != nil {
		t.Fatal(err)
	}
	for i, s := range home[1:] {
		if s.user != "bob" || s.password != "hunter2" || s.referer != "" {
			t.Errorf("request %d at home: %v", i+1, s)
		}
	}
	if _, err := c.Project(t.Context(), simple, project(t, "loop")); err == nil || !strings.Contains(err.Error(), "more than 10 redirects") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a loop gives %v", err)
	}

	// So is everything after a Login, whose address is handed in without them.
	home = nil
	c, _, _ = client(t)
	if err := c.Login(simple); err != nil {
		t.Fatal(err)
	}
	if err := c.Fetch(t.Context(), files[0], temp(t)); err != nil || home[0].user != "bob" {
		t.Errorf("after a Login: %v, %v", home, err)
	}

	// The other host's own entry of netrc is used there, and only there.
	netrc, err := ParseNetrc(strings.NewReader("machine " + other.Host + " login ann password secret"))
	if err != nil {
		t.Fatal(err)
	}
	home, away = nil, nil
	c, _, _ = client(t)
	c.Credentials = netrc.Credentials
	if _, err := c.Project(t.Context(), index.JoinPath("simple/"), project(t, "away")); err != nil {
		t.Fatal(err)
	}
	if home[0] != (seen{}) || away[0] != (seen{user: "ann", password: "secret"}) {
		t.Errorf("home saw %v, the other %v", home, away)
	}
}

func TestRedirectsThatAreRefused(t *testing.T) {
	plainHTTP := serve(t, func(w http.ResponseWriter, r *http.Request) { t.Error("followed") })
	for _, to := range []string{plainHTTP.String(), "ftp://127.0.0.1/x", "file:///etc/passwd", "https:///x"} {
		s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusTemporaryRedirect)
		}))
		t.Cleanup(s.Close)
		u, err := url.Parse(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		c, _, waits := client(t)
		c.HTTP = s.Client()
		_, err = c.Project(t.Context(), u, project(t, "foo"))
		var down *DownError
		if err == nil || errors.As(err, &down) || len(*waits) > 0 || !strings.Contains(err.Error(), "redirect") {
			t.Errorf("%s: %v after %v", to, err, *waits)
		}
	}
}

// The error of a request that a redirect sent elsewhere shows nothing of that address: it may hold a signature.
func TestRedirectedErrorShowsNoSecret(t *testing.T) {
	dead := serve(t, func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) })
	index := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, dead.String()+"/x?signature=hunter2", http.StatusFound)
	})
	c, _, _ := client(t)
	err := c.Fetch(t.Context(), File{URL: index.JoinPath("f").String()}, temp(t))
	var down *DownError
	if !errors.As(err, &down) || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), index.Host) {
		t.Errorf("%v", err)
	}
	if c.isDown(index) != nil || c.isDown(dead) == nil {
		t.Error("it is the other host that is down")
	}
}
