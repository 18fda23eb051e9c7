package simple

import (
	"hash/maphash"
	"strconv"
	"strings"
	"sync/atomic"
)

// The types a page can be had in.
const (
	TypeJSON   = "application/vnd.pypi.simple.v1+json"
	TypeHTML   = "application/vnd.pypi.simple.v1+html"
	TypeLegacy = "text/html"
)

// maxRanges bounds what one Accept header can cost; pip and uv send three ranges, browsers about eight.
const (
	maxRanges = 64
	maxAccept = 4096
)

// offers in order of preference where a client names several types with the same weight. A wildcard means a client that doesn't know
// the JSON form, so it gets HTML first: see Negotiate.
var offers = [...]struct {
	name, latest string
	wild         int // preference among types matched by a wildcard only, lower is better
}{
	{TypeJSON, "application/vnd.pypi.simple.latest+json", 1},
	{TypeHTML, "application/vnd.pypi.simple.latest+html", 2},
	{TypeLegacy, "", 0},
}

// Negotiate chooses the content type for an Accept header by RFC 9110, section 12.5.1: for each type the most specific range counts, and
// the type with the highest weight wins. On equal weights a type that was named wins over one that a wildcard let in; then JSON
// comes before HTML, but text/html before all for wildcards only (PEP 691: a client that says nothing gets text/html). The `latest`
// aliases of PEP 691 are answered with the version they stand for.
//
// An empty header accepts everything. ok is false when the client accepts none of the types: answer 406. Of a header, the first 64
// ranges within its first 4 KiB count. A range that is not well formed is passed over.
func Negotiate(accept string) (contentType string, ok bool) {
	place := &negotiated[maphash.String(places, accept)%uint64(len(negotiated))]
	n := place.Load()
	if n == nil || n.accept != accept {
		n = &negotiation{accept: accept}
		n.contentType, n.ok = negotiate(accept)
		place.Store(n)
	}
	return n.contentType, n.ok
}

// negotiated are the last answers, each at the place that its header's hash gives: there are a handful of clients, and each sends the same
// every time.
var (
	negotiated [64]atomic.Pointer[negotiation]
	places     = maphash.MakeSeed()
)

type negotiation struct {
	accept, contentType string
	ok                  bool
}

func negotiate(accept string) (contentType string, ok bool) {
	if strings.TrimSpace(accept) == "" {
		return TypeLegacy, true
	}
	var weight [len(offers)]int // in thousandths
	var specific [len(offers)]int
	each(accept, func(rang string, q int) {
		for i, o := range offers {
			s := specificity(rang, o.name, o.latest)
			if s > specific[i] || (s > 0 && s == specific[i] && q > weight[i]) {
				specific[i], weight[i] = s, q
			}
		}
	})
	best := -1
	for i := range offers {
		if weight[i] == 0 {
			continue
		}
		if best < 0 || weight[i] > weight[best] || (weight[i] == weight[best] && preferred(i, best, specific[i], specific[best])) {
			best = i
		}
	}
	if best < 0 {
		return "", false
	}
	return offers[best].name, true
}

// preferred says whether offer i beats offer j of the same weight.
func preferred(i, j, si, sj int) bool {
	if si != sj {
		return si > sj
	}
	if si == exact {
		return i < j
	}
	return offers[i].wild < offers[j].wild
}

// How closely a range fits a type; 0 is not at all.
const (
	anything = 1 + iota
	subtype
	exact
)

func specificity(rang, name, latest string) int {
	switch {
	case rang == name || (latest != "" && rang == latest):
		return exact
	case rang == "*/*":
		return anything
	case strings.HasSuffix(rang, "/*") && strings.HasPrefix(name, rang[:len(rang)-1]):
		return subtype
	}
	return 0
}

// AcceptsGzip says whether an Accept-Encoding header (RFC 9110, section 12.5.3) allows gzip. Without a header it doesn't: a client that
// wants compression says so.
func AcceptsGzip(header string) bool {
	named, star := -1, -1
	each(header, func(coding string, q int) {
		switch coding {
		case "gzip", "x-gzip":
			named = max(named, q)
		case "*":
			star = max(star, q)
		}
	})
	if named >= 0 {
		return named > 0
	}
	return star > 0
}

// each calls do with every element of a weighted list, lower case and without its parameters, and its weight in thousandths.
func each(list string, do func(element string, q int)) {
	if len(list) > maxAccept {
		list = list[:maxAccept]
		if end := strings.LastIndexByte(list, ','); end >= 0 {
			list = list[:end] // half an element could be another one
		}
	}
	for n := 0; list != "" && n < maxRanges; n++ {
		var element string
		element, list = cut(list, ',')
		name, parameters := cut(element, ';')
		name = strings.ToLower(strings.Trim(name, " \t"))
		q, ok := 1000, name != ""
		for parameters != "" && ok {
			var parameter string
			parameter, parameters = cut(parameters, ';')
			key, value, _ := strings.Cut(strings.Trim(parameter, " \t"), "=")
			if strings.EqualFold(strings.TrimRight(key, " \t"), "q") {
				q, ok = weight(strings.TrimLeft(value, " \t"))
			}
		}
		if ok {
			do(name, q)
		}
	}
}

// cut splits s at the first sep that is not inside a quoted string.
func cut(s string, sep byte) (before, after string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quoted:
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == sep && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// weight reads a qvalue: 0 to 1 with at most three decimals.
func weight(s string) (thousandths int, ok bool) {
	if len(s) == 0 || len(s) > 5 || s[0] != '0' && s[0] != '1' || len(s) > 1 && s[1] != '.' {
		return 0, false
	}
	decimals := ""
	if len(s) > 2 {
		decimals = s[2:]
	}
	n, err := strconv.ParseUint((decimals + "000")[:3], 10, 16)
	if err != nil {
		return 0, false
	}
	q := int(s[0]-'0')*1000 + int(n)
	return q, q <= 1000
}
