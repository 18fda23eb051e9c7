package upstream

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"unicode"
)

// Netrc is a netrc file: host -> user and password. The zero value knows none.
type Netrc struct{ hosts map[string]login }

type login struct{ user, password string }

// ParseNetrc reads the format of ftp(1), with comments and quoted values as Python's netrc module reads them. Of two entries for one
// machine the last counts. A "default" entry is read and not used: it would send a password to whatever host a page points to.
// Errors name the line and never show what stands there.
func ParseNetrc(r io.Reader) (Netrc, error) {
	s := netrcScanner{in: bufio.NewReader(io.LimitReader(r, 1<<20)), line: 1}
	n := Netrc{hosts: map[string]login{}}
	host, entry, open := "", login{}, false
	keep := func() {
		if open && host != "" && entry != (login{}) {
			n.hosts[host] = entry
		}
		host, entry, open = "", login{}, false
	}
	for {
		word, err := s.word(true)
		if errors.Is(err, io.EOF) {
			keep()
			return n, nil
		}
		if err != nil {
			return Netrc{}, err
		}
		at := s.line
		var into *string
		var account string
		switch word {
		case "machine":
			keep()
			open, into = true, &host
		case "default":
			keep()
			open = true
			continue
		case "macdef": // a name, and lines up to an empty one
			keep()
			if err := s.skipMacro(); err != nil {
				return Netrc{}, err
			}
			continue
		case "login", "user":
			into = &entry.user
		case "password":
			into = &entry.password
		case "account":
			into = &account
		default:
			return Netrc{}, fmt.Errorf("netrc line %d: neither machine, default, login, password, account nor macdef: put values with spaces or # in double quotes", at)
		}
		if !open {
			return Netrc{}, fmt.Errorf("netrc line %d: %s before any machine: begin with the line \"machine HOST\"", at, word)
		}
		if *into, err = s.word(false); errors.Is(err, io.EOF) {
			return Netrc{}, fmt.Errorf("netrc line %d: nothing after %s: write its value behind it", at, word)
		} else if err != nil {
			return Netrc{}, err
		}
		if into == &host {
			host = lower(host)
		}
		if account != "" && entry.user == "" {
			entry.user = account
		}
	}
}

// Credentials is the entry for a URL's host, with the port if an entry has one. It fits [Client].Credentials.
func (n Netrc) Credentials(u *url.URL) (user, password string, ok bool) {
	entry, ok := n.hosts[lower(u.Host)]
	if !ok {
		entry, ok = n.hosts[lower(u.Hostname())]
	}
	return entry.user, entry.password, ok
}

// netrcScanner cuts a netrc file into words.
type netrcScanner struct {
	in   *bufio.Reader
	line int // of the word just read
	next int // lines ended since
}

// word is the next word. A # begins a comment only where a keyword may stand: passwords begin with it too.
func (s *netrcScanner) word(comments bool) (string, error) {
	s.line, s.next = s.line+s.next, 0
	for {
		r, _, err := s.in.ReadRune()
		switch {
		case err != nil:
			return "", err
		case r == '\n':
			s.line++
		case unicode.IsSpace(r):
		case r == '#' && comments:
			_, err := s.in.ReadString('\n')
			if err != nil {
				return "", err
			}
			s.line++
		default:
			return s.rest(r)
		}
	}
}

// rest is the word that begins with r.
func (s *netrcScanner) rest(r rune) (string, error) {
	var b strings.Builder
	quoted := r == '"'
	if quoted {
		var err error
		if r, _, err = s.in.ReadRune(); err != nil {
			return "", s.unclosed()
		}
	}
	for {
		switch {
		case quoted && r == '"', !quoted && unicode.IsSpace(r):
			if r == '\n' {
				s.next++
			}
			return b.String(), nil
		case r == '\\':
			escaped, _, err := s.in.ReadRune()
			if err != nil {
				return "", s.unclosed()
			}
			r = escaped
		}
		if r == '\n' {
			s.next++
		}
		b.WriteRune(r)
		var err error
		if r, _, err = s.in.ReadRune(); err != nil {
			if quoted {
				return "", s.unclosed()
			}
			return b.String(), nil
		}
	}
}

func (s *netrcScanner) unclosed() error {
	return fmt.Errorf("netrc line %d: a quote or backslash without its end: close it", s.line)
}

// skipMacro passes over a macro: its lines end at an empty one or at the end of the file.
func (s *netrcScanner) skipMacro() error {
	for {
		line, err := s.in.ReadString('\n')
		s.line, s.next = s.line+s.next, 1
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if strings.TrimSpace(line) == "" {
			return nil
		}
	}
}
