// Package pyyaml reads YAML 1.1 as Python's yaml.safe_load does, so that a settings file means to Axle what it means to fromager, and
// refuses by file and line what a settings file does not need.
package pyyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// MaxSize bounds one file, in bytes; a settings file that a person writes has a few kilobytes.
const MaxSize = 1 << 20

// File is one YAML file. Every error of its methods starts with file:line.
type File struct {
	// Name stands before the line in errors.
	Name string
}

// Errorf is an error at a node.
func (f File) Errorf(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %w", f.Name, n.Line, fmt.Errorf(format, args...))
}

var yamlErrorLine = regexp.MustCompile(`^yaml: line ([0-9]+): `)

// Parse returns the only document's root, nil when there is nothing but comments.
func (f File) Parse(b []byte) (*yaml.Node, error) {
	if len(b) > MaxSize {
		return nil, fmt.Errorf("%s: larger than %d bytes: that is no settings file", f.Name, MaxSize)
	}
	if !utf8.Valid(b) {
		return nil, fmt.Errorf("%s: not UTF-8: save it as UTF-8", f.Name)
	}
	dec := yaml.NewDecoder(bytes.NewReader(b))
	var doc, next yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, f.syntax(err)
	}
	if err := dec.Decode(&next); err == nil {
		return nil, f.Errorf(&next, "a second YAML document: keep one document per file")
	} else if !errors.Is(err, io.EOF) {
		return nil, f.syntax(err)
	}
	root := doc.Content[0]
	if err := f.check(root); err != nil {
		return nil, err
	}
	if root.Kind == yaml.ScalarNode && root.Value == "" && plain(root) {
		return nil, nil
	}
	return root, nil
}

func (f File) syntax(err error) error {
	text := err.Error()
	if m := yamlErrorLine.FindStringSubmatch(text); m != nil {
		return fmt.Errorf("%s:%s: not YAML: %s", f.Name, m[1], text[len(m[0]):])
	}
	return fmt.Errorf("%s: not YAML: %s", f.Name, strings.TrimPrefix(text, "yaml: "))
}

// check refuses, anywhere in the tree, what the rest then need not think of: anchors, aliases, tags, merge keys, duplicate keys
// and keys that are not strings.
func (f File) check(n *yaml.Node) error {
	switch {
	case n.Kind == yaml.AliasNode, n.Anchor != "":
		return f.Errorf(n, "YAML anchors and aliases are not supported: write the value out")
	case n.Style&yaml.TaggedStyle != 0:
		return f.Errorf(n, "the YAML tag %s is not supported: quote the value where it is a string", n.Tag)
	}
	if n.Kind == yaml.MappingNode {
		seen := map[string]int{}
		for i := 0; i < len(n.Content); i += 2 {
			key := n.Content[i]
			switch {
			case key.Kind != yaml.ScalarNode:
				return f.Errorf(key, "a key must be a string")
			case plain(key) && key.Value == "<<":
				return f.Errorf(key, "the merge key << is not supported: write the keys out")
			case plain(key) && ReadsAs(key.Value) != String:
				return f.Errorf(key, "key %s reads as %s in YAML: quote it", key.Value, ReadsAs(key.Value))
			case seen[key.Value] != 0:
				return f.Errorf(key, "key %q stands here twice, first in line %d: keep one", key.Value, seen[key.Value])
			}
			seen[key.Value] = key.Line
		}
	}
	for _, c := range n.Content {
		if err := f.check(c); err != nil {
			return err
		}
	}
	return nil
}

// Each calls do for every key of a mapping in the file's order.
func (f File) Each(n *yaml.Node, what string, do func(key, value *yaml.Node) error) error {
	if n.Kind != yaml.MappingNode {
		return f.Errorf(n, "%s must be a mapping (key: value); for none leave it out or write {}", what)
	}
	for i := 0; i < len(n.Content); i += 2 {
		if err := do(n.Content[i], n.Content[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// Fields is Each with a known set of keys: any other is refused by name.
func (f File) Fields(n *yaml.Node, what string, known map[string]func(*yaml.Node) error) error {
	return f.Each(n, what, func(key, value *yaml.Node) error {
		do := known[key.Value]
		if do == nil {
			return f.Errorf(key, "unknown key %q in %s; supported: %s", key.Value, what,
				strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
		return do(value)
	})
}

// Text is a scalar that is a string.
func (f File) Text(n *yaml.Node, what string) (string, error) {
	if n.Kind != yaml.ScalarNode {
		return "", f.Errorf(n, "%s must be a string", what)
	}
	if plain(n) {
		if as := ReadsAs(n.Value); as != String {
			return "", f.Errorf(n, "%s: %s reads as %s in YAML: quote it", what, shown(n.Value), as)
		}
	}
	if strings.ContainsRune(n.Value, 0) {
		return "", f.Errorf(n, "%s: holds a NUL byte", what)
	}
	return n.Value, nil
}

// Texts is a list of such strings.
func (f File) Texts(n *yaml.Node, what string) ([]string, error) {
	if n.Kind != yaml.SequenceNode {
		return nil, f.Errorf(n, "%s must be a list of strings; for none leave it out or write []", what)
	}
	list := make([]string, 0, len(n.Content))
	for _, item := range n.Content {
		s, err := f.Text(item, what)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// Flag is a boolean as PyYAML reads one.
func (f File) Flag(n *yaml.Node, what string) (bool, error) {
	if n.Kind != yaml.ScalarNode || !plain(n) || !boolean.MatchString(n.Value) {
		return false, f.Errorf(n, "%s must be true or false, without quotes", what)
	}
	return isTrue(n.Value), nil
}

func plain(n *yaml.Node) bool {
	return n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
}

func shown(s string) string {
	if s == "" {
		return "an empty value"
	}
	return s
}
