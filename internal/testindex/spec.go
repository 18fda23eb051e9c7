// Package testindex is other people's part of a test: a package index on loopback (Index) and generated sdists and wheels to put in
// it (Sdist, Wheel).
//
//	up := testindex.New(t)
//	up.Add(testindex.Spec{Name: "helper", Version: "1.0", Marker: "one"})
//	up.Add(testindex.Spec{Name: "demo", Version: "2.0", BuildRequires: []string{"helper"}, See: []string{"helper"}})
//	… up.URL is what a client takes as its --index-url
//
// A wheel built from demo's sdist holds demo.py with MARKER and SEEN == {"helper": "one"}: which build requirement was used shows.
// Equal Specs give equal bytes. Only tests import this package; a wrong Spec panics.
package testindex

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Backend is how an sdist is built.
type Backend string

const (
	// InTree (the default) carries its own PEP 517 backend, of the standard library alone: no build requirements, no network, milliseconds.
	InTree Backend = "intree"
	// Setuptools has a pyproject.toml naming setuptools.build_meta, which it requires.
	Setuptools Backend = "setuptools"
	// Legacy has a setup.py and no pyproject.toml: PEP 518's defaults apply.
	Legacy Backend = "legacy"
)

// Spec says what a generated sdist is and what building it does. Name and Version are required; every other zero field means
// nothing special. Fields marked (intree) are ignored by the other backends.
type Spec struct {
	Name, Version string
	Backend       Backend

	// Marker is the value of MARKER in the sdist's one module, Module(Name)+".py", which a patch may change.
	Marker string
	// Files are added to the sdist, by path below its top folder, and replace generated ones of the same path. What lies below
	// wheel/ is put into the wheel (intree).
	Files map[string]string
	// Ext adds a C file, _<module>.c, whose module has a function marker(), and makes the wheel one for this platform.
	Ext bool
	// Dir is the folder of the sdist in which the project lies, "" for its top.
	Dir string
	// Zip makes the sdist a .zip.
	Zip bool

	// BuildRequires is build-system.requires (setuptools is added for that backend; without effect for Legacy).
	BuildRequires []string
	// DynamicRequires is what get_requires_for_build_wheel returns (intree).
	DynamicRequires []string
	// See names modules that the build imports; the wheel's module tells their MARKER in its dict SEEN (intree). Config settings are
	// told there too, under "config_settings".
	See []string

	// MetadataVersion is that of PKG-INFO and METADATA, "2.4" when empty. One below 2.2 makes a PKG-INFO without requirements, as old
	// tools wrote it: only the hook knows them.
	MetadataVersion string
	// Dynamic is PKG-INFO's list of fields that a build may change; a listed Requires-Dist or Provides-Extra is not given in PKG-INFO.
	Dynamic        []string
	Requires       []string
	Extras         []string
	RequiresPython string
	// WheelRequires, where not nil, is what the wheel's METADATA says in place of Requires (intree): a broken promise.
	WheelRequires []string
	// WheelVersion, where not empty, is the version that the wheel claims (intree).
	WheelVersion string

	// NoPrepare leaves out the hook prepare_metadata_for_build_wheel (intree).
	NoPrepare bool
	// OnRequires, OnPrepare and OnBuild are Python sources that the hook runs (intree) with os, sys and the dict seen in scope; what
	// OnBuild puts in seen (strings, lists, dicts) ends up in SEEN.
	OnRequires, OnPrepare, OnBuild string
	// PrepareSleep and BuildSleep are waited in the hooks (intree).
	PrepareSleep, BuildSleep time.Duration
	// FailPrepare (intree) and FailBuild make the hook fail with this text.
	FailPrepare, FailBuild string

	// Tags and Build are those of Wheel's filename: "py3-none-any" and none when empty. Sdist ignores them.
	Tags, Build string
}

// when is the time of every generated file, and the base of upload times.
var when = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

var separators = regexp.MustCompile(`[-_.]+`)

// normal is PEP 503's form of a name. It stands here, not taken from internal/dist, so that dist's mistakes show against this index.
func normal(name string) string { return strings.ToLower(separators.ReplaceAllString(name, "-")) }

// Module is the name of the module that a project's wheel holds, and the first part of its wheel's filename.
func Module(name string) string { return strings.ReplaceAll(normal(name), "-", "_") }

// Sdist generates the sdist of s: its filename as PEP 625 has it, and its bytes.
func Sdist(s Spec) (filename string, data []byte) {
	if s.Name == "" || s.Version == "" {
		panic("testindex: a Spec needs Name and Version")
	}
	files := map[string]string{
		"PKG-INFO":             pkgInfo(s),
		Module(s.Name) + ".py": fmt.Sprintf("MARKER = %s\n", quote(s.Marker)),
	}
	if s.Ext {
		files["_"+Module(s.Name)+".c"] = extension(s)
	}
	switch s.Backend {
	case InTree, "":
		inTree(s, files)
	case Setuptools, Legacy:
		files["setup.py"] = setupPy(s)
		if s.Backend == Setuptools {
			files["pyproject.toml"] = pyproject(append([]string{"setuptools"}, s.BuildRequires...), "setuptools.build_meta", "")
		}
	default:
		panic("testindex: no backend " + string(s.Backend))
	}
	for name, text := range s.Files {
		files[name] = text
	}
	if s.Dir != "" {
		below := map[string]string{"PKG-INFO": files["PKG-INFO"]}
		for name, text := range files {
			below[s.Dir+"/"+name] = text
		}
		files = below
	}
	top := Module(s.Name) + "-" + s.Version
	if s.Zip {
		return top + ".zip", zipped(top+"/", files)
	}
	return top + ".tar.gz", tarred(top+"/", files)
}

// Wheel generates the wheel of s without building anything: what the in-tree backend would make of it, with an empty SEEN.
func Wheel(s Spec) (filename string, data []byte) {
	tags, version := or(s.Tags, "py3-none-any"), or(s.WheelVersion, s.Version)
	files := map[string]string{Module(s.Name) + ".py": fmt.Sprintf("MARKER = %s\nSEEN = {}\n", quote(s.Marker))}
	for name, text := range s.Files {
		if rest, ok := strings.CutPrefix(name, "wheel/"); ok {
			files[rest] = text
		}
	}
	info := Module(s.Name) + "-" + version + ".dist-info/"
	files[info+"METADATA"] = string(WheelMetadata(s))
	wheel := fmt.Sprintf("Wheel-Version: 1.0\nGenerator: testindex\nRoot-Is-Purelib: %t\n", strings.HasSuffix(tags, "-none-any"))
	for _, tag := range expand(tags) {
		wheel += "Tag: " + tag + "\n"
	}
	name := Module(s.Name) + "-" + version
	if s.Build != "" {
		wheel += "Build: " + s.Build + "\n"
		name += "-" + s.Build
	}
	files[info+"WHEEL"] = wheel
	files[info+"RECORD"] = record(files) + info + "RECORD,,\n"
	return name + "-" + tags + ".whl", zipped("", files)
}

// WheelMetadata is the METADATA of Wheel(s), and of the wheel that the in-tree backend builds of Sdist(s).
func WheelMetadata(s Spec) []byte {
	requires := s.Requires
	if s.WheelRequires != nil {
		requires = s.WheelRequires
	}
	return []byte(metadata(s, or(s.WheelVersion, s.Version), requires, s.Extras, nil))
}

func pkgInfo(s Spec) string {
	requires, extras := s.Requires, s.Extras
	switch v := or(s.MetadataVersion, "2.4"); v {
	case "1.0", "1.1", "1.2", "2.0", "2.1":
		requires, extras = nil, nil
	}
	for _, field := range s.Dynamic {
		switch strings.ToLower(field) {
		case "requires-dist":
			requires = nil
		case "provides-extra":
			extras = nil
		}
	}
	return metadata(s, s.Version, requires, extras, s.Dynamic)
}

func metadata(s Spec, version string, requires, extras, dynamic []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Metadata-Version: %s\nName: %s\nVersion: %s\n", or(s.MetadataVersion, "2.4"), s.Name, version)
	if s.RequiresPython != "" {
		fmt.Fprintf(&b, "Requires-Python: %s\n", s.RequiresPython)
	}
	for _, line := range []struct {
		field  string
		values []string
	}{{"Requires-Dist", requires}, {"Provides-Extra", extras}, {"Dynamic", dynamic}} {
		for _, v := range line.values {
			fmt.Fprintf(&b, "%s: %s\n", line.field, v)
		}
	}
	b.WriteString("\n")
	return b.String()
}

func expand(tags string) (all []string) {
	part := strings.Split(tags, "-")
	if len(part) != 3 {
		panic("testindex: tags are python-abi-platform, not " + tags)
	}
	for _, python := range strings.Split(part[0], ".") {
		for _, abi := range strings.Split(part[1], ".") {
			for _, platform := range strings.Split(part[2], ".") {
				all = append(all, python+"-"+abi+"-"+platform)
			}
		}
	}
	return all
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// quote writes a string that is the same in JSON, Python, TOML and C for the texts that tests use.
func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}
