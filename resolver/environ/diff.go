package environ

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// perComponent is how many lines Diff spends on one component.
const perComponent = 8

// Diff says in words what changed from a to b, for people: a line each, packages
// first, at most a few per component and then "and N more". Equal sets give none.
func Diff(a, b Set) []string {
	names := map[string]bool{}
	for name := range a {
		names[name] = true
	}
	for name := range b {
		names[name] = true
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		old, had := a[name]
		now, has := b[name]
		var lines []string
		switch {
		case !had:
			lines = []string{"added"}
		case !has:
			lines = []string{"removed"}
		case old.Value == now.Value:
			continue
		case old.Text == nil || now.Text == nil:
			lines = []string{change("", fmt.Sprintf("%q", old.Value), fmt.Sprintf("%q", now.Value))}
		default:
			lines = diffText(string(old.Text), string(now.Text))
		}
		more := len(lines) - perComponent
		if more > 0 {
			lines = lines[:perComponent]
		}
		for _, line := range lines {
			out = append(out, name+": "+line)
		}
		if more > 0 {
			out = append(out, fmt.Sprintf("%s: and %d more", name, more))
		}
	}
	return out
}

func diffText(a, b string) []string {
	old, now := facts(a), facts(b)
	keys := map[string]bool{}
	for k := range old {
		keys[k] = true
	}
	for k := range now {
		keys[k] = true
	}
	var packages, words, files []string
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		was, had := old[key]
		is, has := now[key]
		if was == is && had == has {
			continue
		}
		pkg, isPackage := strings.CutPrefix(key, "package ")
		switch {
		case isPackage && !had:
			packages = append(packages, fmt.Sprintf("%s %s added", pkg, is))
		case isPackage && !has:
			packages = append(packages, fmt.Sprintf("%s %s removed", pkg, was))
		case isPackage:
			packages = append(packages, change(pkg, was, is))
		case !isFile(key):
			words = append(words, change(short(key), short(was), short(is)))
		case !had:
			files = append(files, key+" added")
		case !has:
			files = append(files, key+" removed")
		default:
			files = append(files, key+" changed")
		}
	}
	return slices.Concat(packages, words, files)
}

func change(what, was, is string) string {
	if was == "" {
		was = "nothing"
	}
	if is == "" {
		is = "nothing"
	}
	return strings.TrimPrefix(fmt.Sprintf("%s %s -> %s", what, was, is), " ")
}

// short is a line of what a hook gave, which may be anything.
func short(s string) string {
	const most = 80
	if len(s) > most {
		s = s[:most] + "…"
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

func isFile(key string) bool { return strings.HasPrefix(key, "/") || strings.HasPrefix(key, `"`) }

// facts splits a component's text into what a line is about and what it says. Of
// a package installed in several versions it says all.
func facts(text string) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		cut := strings.IndexByte(line, ' ')
		switch {
		case strings.HasPrefix(line, `"`):
			if q, err := strconv.QuotedPrefix(line); err == nil {
				cut = len(q)
			}
		case strings.HasPrefix(line, "package "):
			if i := strings.IndexByte(line[len("package "):], ' '); i >= 0 {
				cut = len("package ") + i
			}
		}
		if cut < 0 {
			cut = len(line)
		}
		key, value := line[:cut], strings.TrimPrefix(line[cut:], " ")
		if had, ok := m[key]; ok {
			value = had + ", " + value
		}
		m[key] = value
	}
	return m
}
