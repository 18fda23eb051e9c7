package dist

import (
	"fmt"
	"strings"
)

// Tag is one compatibility tag (PEP 425), in lower case.
type Tag struct{ Python, ABI, Platform string }

// String is the tag as filenames have it: "cp311-cp311-linux_x86_64".
func (t Tag) String() string { return t.Python + "-" + t.ABI + "-" + t.Platform }

// maxTags bounds what one compressed set may expand to; wheels on PyPI have a few dozen at most.
const maxTags = 1024

// ParseTags expands a compressed tag set such as "py2.py3-none-any", in the order written and without repeats.
func ParseTags(s string) ([]Tag, error) {
	pythons, rest, _ := strings.Cut(s, "-")
	abis, platforms, _ := strings.Cut(rest, "-")
	var sets [3][]string
	count := 1
	for i, set := range []string{pythons, abis, platforms} {
		sets[i] = strings.Split(strings.ToLower(set), ".")
		count *= len(sets[i])
		for j, tag := range sets[i] {
			if !isTag(tag) || i == 0 && '0' <= tag[0] && tag[0] <= '9' {
				return nil, fmt.Errorf("tags %q: %q is not the name of a %s", s, strings.Split(set, ".")[j], []string{"Python", "ABI", "platform"}[i])
			}
		}
	}
	if count > maxTags {
		return nil, fmt.Errorf("tags %.60q… stand for %d tags: more than %d are not read", s, count, maxTags)
	}
	tags := make([]Tag, 0, count)
	seen := make(map[Tag]bool, count)
	for _, python := range sets[0] {
		for _, abi := range sets[1] {
			for _, platform := range sets[2] {
				if t := (Tag{python, abi, platform}); !seen[t] {
					seen[t] = true
					tags = append(tags, t)
				}
			}
		}
	}
	return tags, nil
}

func isTag(s string) bool {
	for i := 0; i < len(s); i++ {
		if !alphanumeric(s[i]) && s[i] != '_' {
			return false
		}
	}
	return s != ""
}
