// Package arch holds the shape of the code to what DESIGN.md says of it: who may import whom, what libraries leave to the command, and
// how large a package and a file may grow. It has tests only.
package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/python-wheel-build/axle/resolver/view/config"
)

const module = "github.com/python-wheel-build/axle"

// layers are the arrows: a folder imports what lies below it, skipping allowed, and never its neighbour.
var layers = [][]string{{"cmd"}, {"index", "builder"}, {"resolver"}, {"cas"}, {"internal"}}

// helpers are packages for tests, which nothing else imports.
var helpers = []string{"builder/sandbox/sandboxtest", "cas/castest", "internal/testindex", "internal/testtools"}

// reserved are imports that only some packages may have.
var reserved = []struct {
	path string // or anything below it
	by   []string
	why  string
}{
	{"github.com/labstack/echo", []string{"index"}, "HTTP routing stays in one package"},
	{"github.com/minio/minio-go", []string{"cas/s3", "internal/testtools"}, "S3 is spoken in one package"},
	{"log", []string{"cmd/axle"}, "a library returns errors; the command logs"},
	{"log/slog", []string{"cmd/axle", "index"}, "a library returns errors; the command and the HTTP edge log"},
	{"os/signal", []string{"cmd/axle"}, "signals are the command's"},
	{"flag", []string{"cmd/axle"}, "flags are the command's"},
	{"testing", helpers, "tests lie in _test.go files and in the helpers that only they import"},
}

// commandOnly are names by which a library would print, end the process or read the environment.
var commandOnly = []string{"os.Getenv", "os.LookupEnv", "os.Environ", "os.ExpandEnv", "os.Exit", "os.Stdin", "os.Stdout", "os.Stderr",
	"fmt.Print", "fmt.Printf", "fmt.Println"}

const (
	maxPackage  = 1650 // lines that hold code, tests aside: what a package explains in comments is not held against it
	maxFile     = 450  // lines in all
	maxTestFile = 500
)

// layer is a package's place from the top, -1 where its top folder has none. path is relative to the module.
func layer(path string) int {
	top, _, _ := strings.Cut(path, "/")
	return slices.IndexFunc(layers, func(folders []string) bool { return slices.Contains(folders, top) })
}

// command is the folder of the command that a package below cmd belongs to.
func command(pkg string) string {
	parts := strings.SplitN(pkg, "/", 3)
	return strings.Join(parts[:min(len(parts), 2)], "/")
}

// wrongImport says why the package must not import that, "" where it may. pkg is relative to the module, imported as in the source.
func wrongImport(pkg, imported string) string {
	for _, r := range reserved {
		if (imported == r.path || strings.HasPrefix(imported, r.path+"/") && r.path != "log") && !slices.Contains(r.by, pkg) {
			return fmt.Sprintf("only %s may: %s", strings.Join(r.by, " and "), r.why)
		}
	}
	own, ok := strings.CutPrefix(imported, module+"/")
	if !ok {
		return ""
	}
	if slices.Contains(helpers, own) && !slices.Contains(helpers, pkg) {
		return "that package is for tests"
	}
	from, to := layer(pkg), layer(own)
	sameTop := strings.Split(pkg, "/")[0] == strings.Split(own, "/")[0]
	switch {
	case from < 0 || to < 0:
		return "its top folder has no place among the layers: give it one here and in DESIGN.md"
	case to == 0 && !(sameTop && strings.Count(own, "/") > 1 && command(own) == command(pkg)):
		return "a command is imported by nobody"
	case to < from:
		return "the arrows go down only"
	case to == from && !sameTop:
		return "the two are neighbours; what they share is a word of resolver"
	}
	return ""
}

// problems reads the Go files below root, whatever their build tags, and says what is wrong with them; packages is what it read.
func problems(root string) (found, packages []string, err error) {
	code := map[string]int{} // by package
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		source, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		limit := maxFile
		if strings.HasSuffix(rel, "_test.go") {
			limit = maxTestFile
		}
		if n := strings.Count(string(source), "\n"); n > limit {
			found = append(found, fmt.Sprintf("%s has %d lines; %d is the most: it holds more than one thought", rel, n, limit))
		}
		if limit == maxTestFile {
			return nil
		}
		pkg := path.Dir(rel)
		code[pkg] += linesOfCode(source)
		wrong, err := wrongFile(rel, source)
		found = append(found, wrong...)
		return err
	})
	for pkg, n := range code {
		packages = append(packages, pkg)
		if n > maxPackage {
			found = append(found, fmt.Sprintf("package %s has %d lines of code; %d is the most: it holds more than one noun", pkg, n, maxPackage))
		}
	}
	slices.Sort(packages)
	return found, packages, err
}

// wrongFile says what a file that is no test imports and calls without being allowed to.
func wrongFile(rel string, source []byte) (found []string, err error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, rel, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	pkg := path.Dir(rel)
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		if why := wrongImport(pkg, imported); why != "" {
			found = append(found, fmt.Sprintf("%s imports %s: %s", fset.Position(spec.Pos()), imported, why))
		}
	}
	if layer(pkg) == 0 || slices.Contains(helpers, pkg) {
		return found, nil
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if of, ok := s.X.(*ast.Ident); ok && slices.Contains(commandOnly, of.Name+"."+s.Sel.Name) {
				found = append(found, fmt.Sprintf("%s uses %s.%s, which is for commands", fset.Position(s.Pos()), of.Name, s.Sel.Name))
			}
		}
		return true
	})
	return found, nil
}

// linesOfCode counts the lines that hold anything but comments and space.
func linesOfCode(source []byte) int {
	fset := token.NewFileSet()
	file := fset.AddFile("", -1, len(source))
	var s scanner.Scanner
	s.Init(file, source, nil, 0)
	lines := map[int]bool{}
	for {
		pos, tok, text := s.Scan()
		if tok == token.EOF {
			return len(lines)
		}
		if tok == token.SEMICOLON && text == "\n" {
			continue // put there by the scanner
		}
		for i := range 1 + strings.Count(text, "\n") { // a raw string is as long as it is
			lines[file.Line(pos)+i] = true
		}
	}
}

func TestShape(t *testing.T) {
	found, packages, err := problems("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		t.Error(f)
	}
	for _, p := range []string{"cmd/axle", "index", "index/simple", "builder", "builder/sandbox", "resolver", "resolver/view", "cas", "cas/s3", "internal/dist"} {
		if !slices.Contains(packages, p) {
			t.Errorf("package %s was not found: was the right folder read?", p)
		}
	}
	for _, p := range packages {
		if layer(p) < 0 {
			t.Errorf("package %s has no place among the layers", p)
		}
	}
}

func TestWrongImport(t *testing.T) {
	for _, test := range []struct{ pkg, imported, want string }{
		// the arrows
		{"index", module + "/builder", "neighbours"},
		{"builder", module + "/index", "neighbours"},
		{"builder/pep517", module + "/index/simple", "neighbours"},
		{"resolver", module + "/builder", "go down only"},
		{"resolver/view", module + "/index", "go down only"},
		{"cas", module + "/resolver", "go down only"},
		{"cas/disk", module + "/resolver/view", "go down only"},
		{"internal/dist", module + "/cas", "go down only"},
		{"builder", module + "/cmd/axle", "by nobody"},
		{"cmd/axle", module + "/cmd/other", "by nobody"},
		{"cmd/axle", module + "/cmd/other/part", "by nobody"},
		{"cmd/axle/part", module + "/cmd/axle", "by nobody"},
		{"util", module + "/cas", "no place"},
		{"cas", module + "/util", "no place"},
		// who may use what
		{"index/simple", "github.com/labstack/echo/v4", "only index may"},
		{"builder", "github.com/labstack/echo/v4/middleware", "only index may"},
		{"cas", "github.com/minio/minio-go/v7", "only cas/s3"},
		{"cmd/axle", "github.com/minio/minio-go/v7/pkg/credentials", "only cas/s3"},
		{"builder", "log", "the command logs"},
		{"builder", "log/slog", "the HTTP edge log"},
		{"index/simple", "log/slog", "the HTTP edge log"},
		{"index", "log", "the command logs"},
		{"resolver", "os/signal", "only cmd/axle may"},
		{"cas/disk", "flag", "only cmd/axle may"},
		{"resolver", "testing", "_test.go"},
		{"cas", module + "/cas/castest", "for tests"},
		{"cmd/axle", module + "/internal/testtools", "for tests"},
		// and what is right
		{"cmd/axle", module + "/index", ""},
		{"cmd/axle", module + "/cmd/axle/part", ""},
		{"cmd/axle/part", module + "/cmd/axle/other", ""},
		{"cmd/axle", module + "/cas/s3", ""},
		{"cmd/axle", "log/slog", ""},
		{"cmd/axle", "os/signal", ""},
		{"index", module + "/resolver/view", ""},
		{"index", module + "/cas", ""},
		{"index", module + "/index/simple", ""},
		{"index", "github.com/labstack/echo/v4", ""},
		{"index", "log/slog", ""},
		{"builder/sandbox", module + "/resolver/environ", ""},
		{"builder", module + "/internal/version", ""},
		{"resolver/view", module + "/resolver/environ", ""},
		{"cas/s3", "github.com/minio/minio-go/v7/pkg/credentials", ""},
		{"cas/castest", "testing", ""},
		{"cas/castest", module + "/internal/testtools", ""},
		{"internal/dist", module + "/internal/version", ""},
		{"internal/dist", "strings", ""},
		{"internal/dist", "logger.example/log", ""},
	} {
		got := wrongImport(test.pkg, test.imported)
		if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s importing %s: got %q, want %q in it", test.pkg, test.imported, got, test.want)
		}
	}
}

// TestProblems plants one of each kind in a tree, so that the walk itself is known to see them.
func TestProblems(t *testing.T) {
	root := t.TempDir()
	for name, source := range map[string]string{
		"builder/a.go":           "package builder\n\nimport _ \"" + module + "/index\"\n",
		"cas/a_other.go":         "//go:build never\n\npackage cas\n\nimport \"os\"\n\nvar home = os.Getenv(\"HOME\")\n",
		"cmd/axle/a.go":          "package main\n\nimport \"os\"\n\nvar home = os.Getenv(\"HOME\")\n",
		"cas/a_test.go":          "package cas\n\nimport _ \"" + module + "/builder\"\n" + strings.Repeat("\n", maxTestFile),
		"resolver/long.go":       "package resolver\n" + strings.Repeat("// A comment.\n\n", maxFile/2),
		"index/raw.go":           "package index\n\nconst text = `" + strings.Repeat("\n", maxFile-10) + "`\n",
		"index/more.go":          "package index\n\nvar (\n" + strings.Repeat("\t_ = 0 // said\n", 440) + ")\n",
		"index/still.go":         "package index\n\nvar (\n" + strings.Repeat("\t_ = 0\n", 440) + ")\n",
		"index/last.go":          "package index\n\nvar (\n" + strings.Repeat("\t_ = 0\n", 400) + ")\n",
		"index/testdata/skip.go": "no Go at all",
		".tools/skip.go":         "no Go at all",
	} {
		name = filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(source), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, _, err := problems(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"builder/a.go:3:8 imports " + module + "/index: the two are neighbours",
		"cas/a_other.go:7:12 uses os.Getenv",
		"cas/a_test.go has 503 lines",
		"resolver/long.go has 451 lines",
		// raw.go 442, more.go and still.go 443 each, last.go 403
		"package index has 1731 lines of code",
	} {
		i := slices.IndexFunc(got, func(s string) bool { return strings.HasPrefix(s, want) })
		if i < 0 {
			t.Errorf("not found: %s", want)
			continue
		}
		got = slices.Delete(got, i, i+1)
	}
	for _, more := range got {
		t.Errorf("found besides: %s", more)
	}
}

// TestDependencies holds DESIGN.md to an argument for each module and tool that go.mod names.
func TestDependencies(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	design, err := os.ReadFile("../../DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	direct := 0 // and tools; both stand indented in blocks
	for line := range strings.Lines(string(mod)) {
		listed, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "\t")
		if !ok || strings.HasSuffix(listed, "// indirect") {
			continue
		}
		direct++
		name, _, _ := strings.Cut(listed, " ")
		if !strings.Contains(string(design), "`"+name+"`") {
			t.Errorf("DESIGN.md does not argue for `%s`: say in a line what it is for, or do without it", name)
		}
	}
	if direct < 10 {
		t.Errorf("only %d direct dependencies found: is go.mod written in another way now?", direct)
	}
}

// TestReadmeConfig reads the configuration that the README shows, and holds the README to all keys that there are.
func TestReadmeConfig(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "```yaml\n")
	example, _, ok := strings.Cut(rest, "```\n")
	if !ok {
		t.Fatal("README.md shows no configuration: ```yaml is missing")
	}
	file := filepath.Join(t.TempDir(), "axle.yaml")
	read := func(text string) error {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := config.Read(file)
		return err
	}
	if err := read(example); err != nil {
		t.Errorf("the README's configuration is refused: %v", err)
	}
	for _, odd := range []string{"views: {v: {odd: 1}}", "views: {v: {environment: {odd: 1}}}"} {
		err := read(odd)
		if err == nil {
			t.Fatalf("%s was not refused", odd)
		}
		_, keys, ok := strings.Cut(err.Error(), "supported: ")
		if !ok {
			t.Fatalf("%v: it does not list the supported keys", err)
		}
		for key := range strings.SplitSeq(keys, ", ") {
			if !strings.Contains(example, key+":") {
				t.Errorf("the README's configuration does not show the key %s", key)
			}
		}
	}
}
