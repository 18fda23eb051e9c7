package upstream

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNetrc(t *testing.T) {
	text := `# my hosts
machine a.test login ann password s#cret # a comment
machine B.Test
	login bob
	password "with \"quotes\" and space"
	account staff

macdef init
machine never.test login x password y
cd /pub

machine c.test:8080 login carl password #hash
machine tokens.test password t0ken
machine staff.test account eve password p\ q
machine a.test login anna password last
machine nothing.test
default login anonymous password guest
`
	n, err := ParseNetrc(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		url, user, password string
		ok                  bool
	}{
		{"https://a.test/x", "anna", "last", true},
		{"https://A.TEST:444/x", "anna", "last", true},
		{"http://b.test", "bob", `with "quotes" and space`, true},
		{"https://c.test:8080", "carl", "#hash", true},
		{"https://c.test", "", "", false},
		{"https://tokens.test", "", "t0ken", true},
		{"https://staff.test", "eve", "p q", true},
		{"https://nothing.test", "", "", false},
		{"https://never.test", "", "", false},
		{"https://elsewhere.test", "", "", false},
		{"https://sub.a.test", "", "", false},
	} {
		u, err := url.Parse(test.url)
		if err != nil {
			t.Fatal(err)
		}
		if user, password, ok := n.Credentials(u); user != test.user || password != test.password || ok != test.ok {
			t.Errorf("%s: %q %q %v", test.url, user, password, ok)
		}
	}
	if _, _, ok := (Netrc{}).Credentials(&url.URL{Host: "a.test"}); ok {
		t.Error("the zero value knows somebody")
	}
}

func TestNetrcErrors(t *testing.T) {
	for text, want := range map[string]string{
		"machine":               "line 1: nothing after machine",
		"machine a.test\nlogin": "line 2: nothing after login",
		"\n\nlogin bob":         "line 3: login before any machine",
		"machine a.test password hunter2 is mine":     "line 1: neither machine",
		"machine a.test\npassword \"hunter2":          "line 2: a quote or backslash",
		"machine a.test\npassword hunter2\\":          "line 2: a quote or backslash",
		"macdef x\na\nb\n\n# c\nhunter2":              "line 6: neither machine",
		"machine a.test login \"x\ny\"\nhunter2 oops": "line 3: neither machine",
	} {
		_, err := ParseNetrc(strings.NewReader(text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func FuzzNetrc(f *testing.F) {
	f.Add([]byte("machine a.test login \"b c\" password d\\\\e\n"))
	f.Add([]byte("macdef x\ny\n\ndefault login a\nmachine h account z # c\n"))
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	f.Fuzz(func(t *testing.T, text []byte) {
		n, err := ParseNetrc(bytes.NewReader(text))
		if err != nil {
			return
		}
		var b strings.Builder
		for host, l := range n.hosts {
			fmt.Fprintf(&b, "machine \"%s\"\nlogin \"%s\" password \"%s\"\n", quote.Replace(host), quote.Replace(l.user), quote.Replace(l.password))
		}
		again, err := ParseNetrc(strings.NewReader(b.String()))
		if diff := cmp.Diff(n, again, cmp.AllowUnexported(Netrc{}, login{})); err != nil || diff != "" {
			t.Fatalf("%v\n%s", err, diff)
		}
	})
}
