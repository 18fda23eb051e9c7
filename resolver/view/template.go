package view

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Values of environment variables may refer to others, as fromager's do: ${NAME}, $NAME, ${NAME:-default}, and $$ for a dollar.
//
// A reference is known when the view is made (a declared variable of the server, or one that stands above), with the version
// (__version__), or only in the sandbox. What is known late stays in the value as ${NAME}; a value with such a reference is a template, in
// which each $ of the text is doubled.

// versionVariable is the version that is built.
const versionVariable = "__version__"

// sandboxVariables have their values in the sandbox: a recipe names them, since their values are the builder's own and follow from its name.
var sandboxVariables = []string{"CMAKE_BUILD_PARALLEL_LEVEL", "HOME", "MAKEFLAGS", "MAX_JOBS", "PATH", "TMPDIR", "VIRTUAL_ENV"}

var (
	withDefault = regexp.MustCompile(`\$\{([A-Za-z0-9_]+):-([^}:]*)\}`)
	reference   = regexp.MustCompile(`\$(?:(\$)|([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\}|)`)
)

// expansion is a value as far as it is known.
type expansion struct {
	text     string // plain, or a template
	template bool
}

func (e expansion) asTemplate() string {
	if e.template {
		return e.text
	}
	return escape(e.text)
}

func escape(s string) string { return strings.ReplaceAll(s, "$", "$$") }

// expand replaces the references of a value. A default is used where a variable is not known, and from then on in this value, as fromager
// does it.
func expand(value string, known map[string]expansion) (expansion, error) {
	if strings.Contains(value, "$(") {
		return expansion{}, fmt.Errorf("%q: $(command) is not supported: a value is text", value)
	}
	defaults := map[string]expansion{}
	var with []string
	for _, at := range withDefault.FindAllStringSubmatchIndex(value, -1) {
		if at[0] > 0 && value[at[0]-1] == '$' {
			continue // of $${…} the first dollar makes text of the second
		}
		name := value[at[2]:at[3]]
		if _, ok := defaults[name]; !ok {
			defaults[name] = expansion{text: value[at[4]:at[5]]}
		}
		with = append(with, value[at[0]:at[1]])
	}
	for _, one := range with {
		name, _, _ := strings.Cut(one[2:], ":-")
		value = strings.ReplaceAll(value, one, "${"+name+"}")
	}
	var out strings.Builder
	template := false
	var refused error
	last := 0
	for _, at := range reference.FindAllStringSubmatchIndex(value, -1) {
		out.WriteString(escape(value[last:at[0]]))
		last = at[1]
		if at[2] >= 0 {
			out.WriteString("$$")
			continue
		}
		var name string
		switch {
		case at[4] >= 0:
			name = value[at[4]:at[5]]
		case at[6] >= 0:
			name = value[at[6]:at[7]]
		default:
			return expansion{}, fmt.Errorf("%q: a $ that begins no ${NAME}; for a dollar write $$", value)
		}
		got, ok := known[name]
		if !ok {
			got, ok = defaults[name]
		}
		if !ok && refused == nil {
			refused = fmt.Errorf("%q: %s is not known: declare it in the view (`environment: env: [%s]`) and set it where axle starts, or give a default: ${%s:-…}", value, name, name, name)
		}
		template = template || got.template
		out.WriteString(got.asTemplate())
	}
	if refused != nil {
		return expansion{}, refused
	}
	out.WriteString(escape(value[last:]))
	if template {
		return expansion{out.String(), true}, nil
	}
	return expansion{text: strings.ReplaceAll(out.String(), "$$", "$")}, nil
}

// known are the references that a view's values may hold before its own variables add to them.
func known(environment map[string]string) map[string]expansion {
	all := map[string]expansion{}
	for name, value := range environment {
		if variable, ok := strings.CutPrefix(name, "env:"); ok {
			all[variable] = expansion{text: value}
		}
	}
	for _, name := range append(slices.Clone(sandboxVariables), versionVariable) {
		all[name] = expansion{"${" + name + "}", true}
	}
	return all
}

// Fill replaces the references to these variables in a template (see Settings.Templates). Others stay.
func Fill(template string, values map[string]string) string {
	return fill(template, values).text
}

func fill(template string, values map[string]string) expansion {
	scope := map[string]expansion{}
	for _, name := range append(slices.Clone(sandboxVariables), versionVariable) {
		scope[name] = expansion{"${" + name + "}", true}
	}
	for name, value := range values {
		scope[name] = expansion{text: value}
	}
	e, err := expand(template, scope)
	if err != nil {
		return expansion{text: template} // it was expanded before, when the view was made
	}
	return e
}

// variable is one entry of an `env` mapping, in its place.
type variable struct {
	name, value string
	refuse      func(error) error // puts the place in the file to an error
}

// chain expands variables in order, each of which may refer to those before it.
func chain(vars []variable, known map[string]expansion) (plain, templates map[string]string, err error) {
	if len(vars) == 0 {
		return nil, nil, nil
	}
	known = maps.Clone(known)
	plain, templates = map[string]string{}, map[string]string{}
	for _, v := range vars {
		e, err := expand(v.value, known)
		if err != nil {
			return nil, nil, v.refuse(err)
		}
		known[v.name] = e
		delete(plain, v.name)
		delete(templates, v.name)
		if e.template {
			templates[v.name] = e.text
		} else {
			plain[v.name] = e.text
		}
	}
	if len(templates) == 0 {
		templates = nil
	}
	return plain, templates, nil
}
