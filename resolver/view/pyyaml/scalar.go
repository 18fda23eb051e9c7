package pyyaml

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// What a plain scalar is to a reader of YAML 1.1. The patterns are those of the types' pages at yaml.org as Python's yaml.safe_load has
// them, which is what fromager reads its settings with: 012 is ten, 12:30 is 750, and 1e3 (without a dot) is text.
var (
	boolean = regexp.MustCompile(`^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$`)
	null    = regexp.MustCompile(`^(?:~|null|Null|NULL)?$`)
	integer = regexp.MustCompile(`^[-+]?(?:0b[01_]+|0[0-7_]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|[1-9][0-9_]*(?::[0-5]?[0-9])+)$`)
	float   = regexp.MustCompile(`^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?` +
		`|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$`)
	date = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$|^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}` +
		`(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::[0-9]{2})?))?$`)
)

// What a scalar can be, in the words of an error.
const (
	String  = "a string"
	Boolean = "a boolean"
	Null    = "null"
	Number  = "a number"
	Date    = "a date"
)

// ReadsAs says what a plain scalar is, in the words of an error.
func ReadsAs(s string) string {
	switch {
	case boolean.MatchString(s):
		return Boolean
	case null.MatchString(s):
		return Null
	case integer.MatchString(s), float.MatchString(s):
		return Number
	case date.MatchString(s):
		return Date
	case s == "=" || s == "<<":
		return "an operator"
	}
	return String
}

// KindOf is ReadsAs of a node that need not be plain.
func KindOf(n *yaml.Node) string {
	switch {
	case n.Kind != yaml.ScalarNode:
		return "no scalar"
	case !plain(n):
		return String
	}
	return ReadsAs(n.Value)
}

func isTrue(s string) bool {
	switch strings.ToLower(s) {
	case "true", "yes", "on":
		return true
	}
	return false
}

// Stringified is a scalar as fromager makes a string of it for an environment variable: a boolean is 1 or 0, a number what Python
// prints of it, and text loses the white space around it. Nothing and dates are refused, as fromager does.
func (f File) Stringified(n *yaml.Node, what string) (string, error) {
	if n.Kind != yaml.ScalarNode {
		return "", f.Errorf(n, "%s must be a string, a number or a boolean", what)
	}
	switch kind := KindOf(n); kind {
	case String:
		s, err := f.Text(n, what)
		return strings.TrimFunc(s, pythonSpace), err
	case Boolean:
		if isTrue(n.Value) {
			return "1", nil
		}
		return "0", nil
	case Number:
		s, err := pythonNumber(n.Value)
		if err != nil {
			return "", f.Errorf(n, "%s: %s: %w", what, n.Value, err)
		}
		return s, nil
	default:
		return "", f.Errorf(n, "%s: %s reads as %s in YAML: quote it", what, shown(n.Value), kind)
	}
}

// pythonSpace is what str.strip takes away.
func pythonSpace(r rune) bool { return unicode.IsSpace(r) || '\x1c' <= r && r <= '\x1f' }

// maxDigits is what Python's int() takes before it refuses for its own safety.
const maxDigits = 4300

// pythonNumber is str() of the number that a plain scalar is.
func pythonNumber(s string) (string, error) {
	isFloat := !integer.MatchString(s)
	text := strings.ReplaceAll(s, "_", "")
	sign := ""
	if rest, ok := strings.CutPrefix(text, "-"); ok {
		sign, text = "-", rest
	}
	text = strings.TrimPrefix(text, "+")
	if isFloat {
		f, err := pythonFloat(strings.ToLower(text))
		if sign != "" {
			f = -f
		}
		return printFloat(f), err
	}
	n, err := pythonInt(text)
	if err != nil {
		return "", err
	}
	if sign != "" {
		n.Neg(n)
	}
	return n.String(), nil
}

func pythonInt(text string) (*big.Int, error) {
	if len(text) > maxDigits {
		return nil, fmt.Errorf("a number of more than %d digits", maxDigits)
	}
	n := new(big.Int)
	parse := func(digits string, base int) (*big.Int, error) {
		if _, ok := n.SetString(digits, base); !ok {
			return nil, errors.New("not a number")
		}
		return n, nil
	}
	switch {
	case text == "0":
		return n, nil
	case strings.HasPrefix(text, "0b"):
		return parse(text[2:], 2)
	case strings.HasPrefix(text, "0x"):
		return parse(text[2:], 16)
	case strings.HasPrefix(text, "0"):
		return parse(text, 8)
	case !strings.Contains(text, ":"):
		return parse(text, 10)
	}
	for part := range strings.SplitSeq(text, ":") { // base 60
		digit, ok := new(big.Int).SetString(part, 10)
		if !ok {
			return nil, errors.New("not a number")
		}
		n.Add(n.Mul(n, big.NewInt(60)), digit)
	}
	return n, nil
}

func pythonFloat(text string) (float64, error) {
	switch {
	case text == ".inf":
		return math.Inf(1), nil
	case text == ".nan":
		return math.NaN(), nil
	case !strings.Contains(text, ":"):
		f, err := strconv.ParseFloat(text, 64)
		if errors.Is(err, strconv.ErrRange) { // Python gives infinity, as ParseFloat does
			err = nil
		}
		return f, err
	}
	parts := strings.Split(text, ":")
	sum, base := 0.0, 1.0
	for i := len(parts) - 1; i >= 0; i-- {
		f, err := strconv.ParseFloat(parts[i], 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return 0, err
		}
		sum += f * base
		base *= 60
	}
	return sum, nil
}

// printFloat is Python's repr of a float: the shortest digits that read back, with an exponent below 1e-4 and from 1e16 on.
func printFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 0):
		return strings.ToLower(strings.TrimPrefix(fmt.Sprint(f), "+"))
	}
	scientific := strconv.FormatFloat(f, 'e', -1, 64)
	_, exponent, _ := strings.Cut(scientific, "e")
	if e, err := strconv.Atoi(exponent); err == nil && (e < -4 || e >= 16) {
		return scientific
	}
	fixed := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(fixed, ".") {
		fixed += ".0"
	}
	return fixed
}
