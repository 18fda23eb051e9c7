package reason

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// override is where build requirements are added.
const override = "(project_override: update_build_requires in its settings)"

// find is how a person finds the package that has a file. Which one it is can't be known here.
func find(file string) string {
	return fmt.Sprintf("install the system package that has it (`apt-file find %s` or `dnf provides '*/%s'` names it), then send axle serve SIGHUP", file, path.Base(file))
}

func needsNetwork(host string, _ Build) (string, string) {
	what := "needs the network, which no build has"
	if host = strings.Trim(host, ".:"); host != "" {
		what = "needs the network (" + host + "), which no build has"
	}
	return what, "patch it to use what is in the sdist, add what it fetches to its build requirements, or install on the machine the library that it fetches for want of it"
}

func installsItself(project string, _ Build) (string, string) {
	return "installs " + project + " while it is built, which needs the network", "add " + project + " to its build requirements " + override
}

func needsCrate(crate string, _ Build) (string, string) {
	return "needs the crate " + crate + ", which was not fetched before the build",
		"crates are fetched for each Cargo.toml that pyproject.toml or setup.py names, else for the nearest, with the features of dependencies that pyproject.toml " +
			"gives for it: name both by a patch to pyproject.toml, e.g. as tool.maturin.manifest-path and tool.maturin.features"
}

func needsHeader(header string, _ Build) (string, string) {
	if header == "Python.h" {
		return "needs the header Python.h", "install the development files of the view's Python, then send axle serve SIGHUP"
	}
	return "needs the header " + header, find(header) + "; or, if a Python project ships it, add that to its build requirements " + override
}

func generatedHeader(header string, b Build) (string, string) {
	what, next := needsHeader(header, b)
	return what, "if it is a file of the source's own, see in the log what should have made it, or patch it in; else " + next
}

func needsSource(file string, _ Build) (string, string) {
	return "needs the file " + file + ", which the sdist hasn't got", "where a .pyx file makes it, add Cython to its build requirements " + override + "; else patch it in"
}

func needsPxd(file string, _ Build) (string, string) {
	return "needs the Cython declarations " + file, "add the Python project that ships them to its build requirements " + override
}

func needsLibrary(library string, _ Build) (string, string) {
	library = strings.TrimPrefix(library, ":")
	file := library
	if !strings.Contains(file, ".so") && !strings.HasSuffix(file, ".a") {
		file = "lib" + strings.TrimPrefix(strings.ToLower(library), "lib") + ".so"
	}
	return "needs the system library " + library, find(file)
}

func needsPackage(pc string, _ Build) (string, string) {
	return "needs the system library " + pc + " (by pkg-config)", find(pc + ".pc")
}

func needsCMakePackage(pkg string, _ Build) (string, string) {
	return "needs " + pkg + " (by CMake's find_package)", fmt.Sprintf("install the system package with its development files (`apt-cache search %s` or `dnf search %s` may find it), "+
		"then send axle serve SIGHUP; or, if a Python project ships it, add that to its build requirements "+override, strings.ToLower(pkg), strings.ToLower(pkg))
}

func needsOtherVersion(text string, _ Build) (string, string) {
	return "needs another version of a system library (" + text + ")", "install that version on the machine and send axle serve SIGHUP, or build a version of the project that takes the one that is there"
}

// compilers tells the language by a compiler's name, without what stands before its last dash and without a version.
var compilers = map[string]string{
	"cc": "C", "gcc": "C", "clang": "C", "icx": "C", "c++": "C++", "g++": "C++", "clang++": "C++", "gfortran": "Fortran", "flang": "Fortran", "f95": "Fortran",
	"f77": "Fortran", "g77": "Fortran", "ifort": "Fortran", "ifx": "Fortran", "nvcc": "CUDA", "rustc": "Rust", "cargo": "Rust", "go": "Go", "javac": "Java",
}

func needsProgram(program string, b Build) (string, string) {
	base := path.Base(program)
	short := strings.TrimRight(base, "-.0123456789")
	for _, n := range []string{base, short, short[strings.LastIndexByte(short, '-')+1:]} {
		if language, ok := compilers[n]; ok {
			return needsCompiler(language, b)
		}
	}
	if base == "git" {
		return needsGit("", b)
	}
	return "needs the program " + base, find("bin/"+base) + "; or, if a Python project brings it, add that to its build requirements " + override
}

func needsCompiler(language string, _ Build) (string, string) {
	next := "install one on the machine, then send axle serve SIGHUP"
	switch language {
	case "CXX":
		language = "C++"
	case "Rust":
		next = "declare a toolchain in the configuration (`environment: paths: {rust: DIR}`, where DIR/bin has cargo and rustc), then send axle serve SIGHUP"
	case "CUDA":
		next = "install the CUDA toolkit, or declare its folder in the configuration (`environment: paths: {cuda: DIR}`) and CUDA_HOME: /opt/axle/cuda in the project's env"
	}
	return "needs a " + language + " compiler", next
}

func needsGenerator(generator string, _ Build) (string, string) {
	return "needs the program that CMake's generator " + generator + " runs", "install it on the machine and send axle serve SIGHUP, or add a Python project that brings it to its build requirements " + override
}

func needsNewerRust(text string, _ Build) (string, string) {
	return "needs a newer Rust (" + text + ")", "declare a newer toolchain in the configuration (`environment: paths: {rust: DIR}`), then send axle serve SIGHUP"
}

func needsNewerTool(text string, _ Build) (string, string) {
	return "needs a newer tool (" + text + ")", "update it on the machine, then send axle serve SIGHUP; or add it to its build requirements in the version wanted " + override
}

func needsOlderCMake(version string, _ Build) (string, string) {
	return "is written for a CMake older than " + version, "set env: {CMAKE_POLICY_VERSION_MINIMUM: '" + version + "'} in the project's settings"
}

func needsNewerCompiler(option string, _ Build) (string, string) {
	return "needs a newer compiler (for " + option + ")", "install one and name it by CC and CXX in the project's env, then send axle serve SIGHUP"
}

func otherPython(text string, _ Build) (string, string) {
	return "does not take the view's Python (" + text + ")", "build it in a view with another Python, or ask for another version of the project"
}

func needsOlderSetuptools(what string, _ Build) (string, string) {
	return "needs an older setuptools (for " + what + ")", "constrain it in the view's constraints (`setuptools<82` has pkg_resources, `setuptools<58` has use_2to3), or patch the project"
}

func needsCommand(command string, _ Build) (string, string) {
	return "needs the setuptools command " + command, "add the Python project that brings it to its build requirements " + override
}

func needsModule(module string, b Build) (string, string) {
	top, _, _ := strings.Cut(module, ".")
	if strings.ReplaceAll(strings.ToLower(top), "_", "-") == b.Project {
		return "imports itself (" + module + ") to be built", `patch that away, or let it be found by backend-path = ["."] in [build-system] of pyproject.toml`
	}
	return "needs the Python module " + module + " to be built and does not declare it",
		"add the project that has it to its build requirements " + override + "; if it lies in the sdist itself, let it be found by backend-path in pyproject.toml"
}

// scmReaders are tools that read a version from git, and the variables that tell it to them instead.
var scmReaders = []struct{ project, variable string }{
	{"setuptools-scm", "SETUPTOOLS_SCM_PRETEND_VERSION"}, {"vcs-versioning", "SETUPTOOLS_SCM_PRETEND_VERSION"}, {"hatch-vcs", "SETUPTOOLS_SCM_PRETEND_VERSION"},
	{"pbr", "PBR_VERSION"}, {"pdm-backend", "PDM_BUILD_SCM_VERSION"}, {"poetry-dynamic-versioning", "POETRY_DYNAMIC_VERSIONING_BYPASS"},
}

// pretend gives the variable that tells the version to a reader among the requirements, "" where there is none.
func pretend(b Build) string {
	for _, r := range scmReaders {
		if slices.Contains(b.Requires, r.project) {
			return r.variable
		}
	}
	return ""
}

func needsGit(_ string, b Build) (string, string) {
	if v := pretend(b); v != "" {
		return "reads its version from git, and an sdist is no checkout", "set env: {" + v + ": '" + b.Version + "'} in the project's settings"
	}
	return "needs git and a checkout, and an sdist is none", "patch out what it asks git for, its version as a rule"
}

// Mismatch says that a wheel or its metadata is of another project or version than the build was started for. What begins with its verb.
func Mismatch(project, version string, b Build) Reason {
	r := Reason{What: fmt.Sprintf("is of %s %s where %s %s was wanted", project, version, b.Project, b.Version)}
	v := pretend(b)
	switch {
	case project == "unknown" && slices.Contains(b.Requires, "setuptools"):
		r.What += ", since setuptools found no name (before 61 it reads none in pyproject.toml)"
		r.Next = "have it built with setuptools>=61 " + override
	case project != b.Project:
		r.Next = "patch the project's name in the source, or have the index serve the sdist under its own"
	case v != "":
		r.Next = "it reads its version from git, and an sdist is no checkout: set env: {" + v + ": '" + b.Version + "'} in the project's settings"
	default:
		r.Next = "patch the version in the source"
	}
	r.What, r.Next = Line(r.What, maxText), Line(r.Next, maxText)
	return r
}
