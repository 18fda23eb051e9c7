package reason

import "regexp"

// pattern is one message of a tool. Its first group is the subject.
type pattern struct {
	has string // what the line must hold for the expression to be tried: logs are long
	re  *regexp.Regexp
	say func(subject string, b Build) (what, next string) // nil: nobody knows better than the message itself
	// stops: who prints it ends with it.
	stops bool
	// fetch: about the network; where the message names no host, the one last said to be asked is meant.
	fetch bool
	// quiet: it adds nothing to what was said before.
	quiet bool
	// own takes the place of this pattern where the subject seems to be the source's own.
	own *pattern
}

func in(has, re string, say func(string, Build) (string, string)) pattern {
	return pattern{has: has, re: regexp.MustCompile(re), say: say}
}

func stop(has, re string, say func(string, Build) (string, string)) pattern {
	p := in(has, re, say)
	p.stops = true
	return p
}

func net(p pattern) pattern {
	p.fetch = true
	return p
}

// leftOuts are the words by which builds say that they go on without an extension that could not be made.
var leftOuts = []*regexp.Regexp{
	regexp.MustCompile(`building extension "([^"]+)" failed`), // setuptools, of one that is optional
	regexp.MustCompile(`(?i)\b(?:failed to build|could not build|unable to build|cannot build) (?:the )?(?:optional |C |Cython |Rust )+extensions?\b()`),
	regexp.MustCompile(`(?i)\bextensions? (?:module )?(?:\S+ )?(?:could not|can ?not|can't) be (?:compiled|built)\b()`),
	regexp.MustCompile(`(?i)\b(?:compiling|building|compilation of|build of) (?:the )?(?:optional |C |Cython |Rust )+extensions? (?:\S+ )?failed\b()`),
	regexp.MustCompile(`(?i)\b(?:speedups?|C extensions?) (?:are|is) not (?:enabled|available)\b()`),
	regexp.MustCompile(`(?i)\bplain[- ]python (?:build|installation) succeeded\b()`),
	regexp.MustCompile(`(?i)\bforcing --without-(\w+)`),
	regexp.MustCompile(`(?i)\bcython (?:is )?not (?:available|installed|found)\b.*\bpure\b()`),
	regexp.MustCompile(`(?i)\bfalling back to (?:a )?pure[- ]python\b()`),
	regexp.MustCompile(`(?i)\b(?:retrying|trying again) without (?:the )?(?:C |Cython |Rust )extensions?\b()`),
}

const (
	name  = `([\w.+-]{1,100})`
	named = `['"‘“]([\w./+-]{1,100})['"’”]`
)

var ownHeader = &pattern{say: generatedHeader}

// patterns are tried in this order; the first that fits a line is taken.
var patterns = func() []pattern {
	header := in("fatal error:", `fatal error: '?([\w./+-]{1,200}\.(?:h|hh|hpp|hxx|H|inc|mod)|[\w./+-]{1,200}/[\w.+-]+)'?(?:: No such file or directory| file not found)`, needsHeader)
	header.own = ownHeader
	return []pattern{
		// Somebody who knows better than the compiler whose command failed.
		stop("ould not find", `(?i)could not find (?:an? |the )?(?:local |working |usable )?([\w+.-]+) (?:installation|library|libraries|headers?|development files)\b`, needsLibrary),
		stop("headers or library files could not be found for", `headers or library files could not be found for ([\w+-]+)`, needsLibrary),
		stop("Unable to load dependency", `Unable to load dependency ([\w.+-]+)`, needsLibrary),

		// The network.
		net(stop("is the internet available", `ERROR: .*could not get (?:https?|ftp)://([\w.-]+)`, needsNetwork)),
		net(in("is the internet available", `could not get (?:https?|ftp)://([\w.-]+)`, needsNetwork)),
		net(stop("Could not resolve host", `CMake Error.*Could not resolve host(?:name)?:? ([\w.-]+)`, needsNetwork)),
		net(stop("ERROR: Git command failed", `ERROR: Git command failed: .*'\w+://([\w.-]+)`, needsNetwork)),
		net(stop("Failed to clone repository", `CMake Error.*Failed to clone repository: '?\w+://([\w.-]+)`, needsNetwork)),
		net(stop("resolve host", `CMake Error.*[Cc]ouldn't resolve host`, needsNetwork)),
		net(stop("download", `CMake Error.* downloading '\w+://([\w.-]+)`, needsNetwork)),
		net(in("Could not resolve host", `Could not resolve host(?:name)?:? ([\w.-]+)`, needsNetwork)),
		net(in("resolve host", `unable to resolve host address .([\w.-]+).`, needsNetwork)),
		net(in("Failed to resolve '", `Failed to resolve '([\w.-]+)'`, needsNetwork)),
		net(in("ConnectionPool(host='", `ConnectionPool\(host='([\w.-]+)'.*(?:Max retries|resol|timed out|unreachable)`, needsNetwork)),
		net(in("getaddrinfo E", `getaddrinfo (?:EAI_AGAIN|ENOTFOUND) ([\w.-]+)`, needsNetwork)),
		net(in("dial tcp", `dial tcp: lookup ([\w.-]+)`, needsNetwork)),
		net(in("UnknownHostException", `UnknownHostException: ([\w.-]+)`, needsNetwork)),
		net(in("name resolution", `Temporary failure in name resolution`, needsNetwork)),
		net(in("Name or service not known", `Name or service not known`, needsNetwork)),
		net(in("resolve host name", `Couldn't resolve host name`, needsNetwork)),
		net(in("failed to lookup address", `failed to lookup address information`, needsNetwork)),
		net(in("Network is unreachable", `Network is unreachable`, needsNetwork)),
		stop("satisfies the requirement", `Could not find a version that satisfies the requirement ([\w.-]+)`, installsItself),
		stop("suitable distribution for Requirement", `Could not find suitable distribution for Requirement.parse\('([\w.-]+)`, installsItself),
		stop("no matching package named", "no matching package named `([\\w-]+)` found", needsCrate),

		// Compilers.
		stop("Unknown compiler(s)", `Unknown compiler\(s\): \[+'?([\w.+-]+)`, needsProgram),
		stop("_COMPILER could be found", `No CMAKE_(\w+)_COMPILER could be found`, needsCompiler),
		stop("Could not find compiler set in environment variable", `Could not find compiler set in environment variable \w+:\s+([\w./+-]+)`, needsProgram),
		stop("Failed to find nvcc", `Failed to find (nvcc)`, needsProgram),
		stop("CUDA_HOME", `(CUDA)_HOME environment variable is not set`, needsCompiler),
		stop("Rust compiler", `can't find (Rust) compiler`, needsCompiler),
		stop("Rust package manager, is not installed", `(Rust) package manager, is not installed`, needsCompiler),
		stop("failed: No such file or directory", `command '?([\w./+-]+)'? failed: No such file or directory`, needsProgram),
		in("unable to execute", `unable to execute '?([\w./+-]+)'?: No such file`, needsProgram),
		stop("no acceptable C", `no acceptable (C|C\+\+) compiler found`, needsCompiler),
		stop("Fortran compiler", `[Nn]o (Fortran) compiler found`, needsCompiler),

		// Too old or too new.
		stop("requires rustc", `(requires rustc \S+)`, needsNewerRust),
		stop("is not supported by the following package", `(rustc \S+ is not supported)`, needsNewerRust),
		stop("edition20", "(feature `edition20\\d\\d` is required)", needsNewerRust),
		stop("this version of Cargo is older", "(this version of Cargo is older than the `\\d+` edition)", needsNewerRust),
		stop("lock file version", "(lock file version `?\\d+`? (?:was found|requires)[^.]*)", needsNewerRust),
		stop("or higher is required", `(CMake \S+ or higher is required\. +You are running version \S+)`, needsNewerTool),
		stop("but project requires", `(Meson version is \S+ but project requires \S+)`, needsNewerTool),
		stop("has been removed from CMake", `Compatibility with CMake < (\S+) has been removed`, needsOlderCMake),
		in("unrecognized command", `unrecognized command[- ]line option ['‘](-std=[\w+]+)`, needsNewerCompiler),
		stop("ython", `^(?:started: )?(?:\w+\.)*(?:RuntimeError|SystemExit|ImportError|Exception|NotImplementedError|EnvironmentError): (.*[Pp]ython.*(?:requires?|required|supported|support|or later|or newer|version).*\d\.\d.*)`, otherPython),
		in("equires Python", `^((?:\S+ ){0,3}requires Python [<>=~]* ?\d\.\d.*)`, otherPython),

		// Python.
		stop("No module named", `^(?:started: )?ModuleNotFoundError: No module named '(distutils|pkg_resources|setuptools\.[\w.]+)`, needsOlderSetuptools),
		stop("use_2to3", `(use_2to3) is invalid`, needsOlderSetuptools),
		stop("invalid command", `error: invalid command '(test|upload|register|bdist_wininst|bdist_msi)'`, needsOlderSetuptools),
		stop("invalid command", `error: invalid command '(\w+)'`, needsCommand),
		stop("setuptools", `^AttributeError: module '((?:setuptools|distutils|pkg_resources)[\w.]*)' has no attribute`, needsOlderSetuptools),
		stop("setuptools", `^ImportError: cannot import name '\w+' from '((?:setuptools|distutils|pkg_resources)[\w.]*)'`, needsOlderSetuptools),
		stop("No module named", `(?:ModuleNotFoundError|ImportError): No module named '?([\w.]+)`, needsModule),
		stop("No module named", `\bpython[\d.]*: No module named ([\w.]+)`, needsModule),
		stop("is missing modules", `ERROR: \S+ is missing modules: ([\w.]+)`, needsModule),
		stop("BackendUnavailable", `BackendUnavailable: Cannot import '([\w.]+)'`, needsModule),
		stop("unable to detect version", `unable to detect version`, needsGit),
		stop("Versioning for this project requires", `Versioning for this project requires`, needsGit),
		in("not a git repository", `not a git repository`, needsGit),

		// Programs.
		stop("started: FileNotFoundError", `started: FileNotFoundError: .*No such file or directory: '([\w.+-]+|/[\w./+-]+)'`, needsProgram),
		stop("not found or not executable", `ERROR: Program(?:s)? `+named+`.*not found`, needsProgram),
		stop("ERROR: Program", `ERROR: Program(?:s)? `+named+`.*not found`, needsProgram),
		stop("unable to find a build program corresponding to", `find a build program corresponding to "([\w ]+)"`, needsGenerator),
		stop("(find_program)", `\(find_program\):.*using the following names: ([\w.+-]+)`, needsProgram),
		stop("executable not found", `\b([\w.+-]+) executable not found`, needsProgram),
		in("config", `(?i)(?:could not|can ?not|can't|unable to) (?:find|run|execute|locate) ([\w.-]+[-_]config)\b`, needsProgram),
		in("config", `\b([\w.-]+[-_]config): (?:command )?not found`, needsProgram),
		in("config", `(?i)^(?:\S+ )?([\w.-]+[-_]config) (?:was )?not found`, needsProgram),
		in("-config", `Provide a path to ([\w.]+-config)`, needsProgram),
		in("not found", `(?:sh|configure|line \d+|: \d+): ([\w.+/-]+): (?:command )?not found`, needsProgram),
		in("make", `^g?make(?:\[\d+\])?: ([\w.+-]+): No such file or directory`, needsProgram),
		in("/env:", `/env: ['‘]([\w.+-]+)['’]: No such file`, needsProgram),

		// Libraries and what they are declared by.
		stop("Could not find a package configuration file provided by", `CMake Error.*package configuration file provided by "([\w.+:-]+)"`, needsCMakePackage),
		stop("Found unsuitable version", `CMake Error.*Could NOT find (\w+: Found unsuitable version "[^"]*", but required is (?:at least|exact version) "[^"]*")`, needsOtherVersion),
		stop("Could NOT find", `CMake Error.*Could NOT find ([\w.+-]+)`, needsCMakePackage),
		stop("(find_library)", `\(find_library\):.*using the following names: ([\w.+-]+)`, needsLibrary),
		stop("using the following files", `\(find_(?:path|file)\):.*using the following files: ([\w./+-]+)`, needsHeader),
		stop("packages were not found", `CMake Error.*required packages were not found: - ([\w.+-]+)`, needsPackage),
		stop("ERROR: Dependency", `ERROR: Dependency `+named+` (?:is required but )?not found`, needsPackage),
		stop("ERROR: Dependency", `ERROR: Dependency lookup for ([\w.+-]+) with method`, needsPackage),
		stop("ERROR: Invalid version", `ERROR: (Invalid version, need .*)`, needsOtherVersion),
		stop("library '", `ERROR: \S+ (?:shared or static |shared |static )?library '([\w.+-]+)' not found`, needsLibrary),
		stop("header '", `ERROR: \S+ header '([\w./+-]+)' not found`, needsHeader),
		in("in the pkg-config search path", `Package '?([\w.+-]+?)'? was not found in the pkg-config`, needsPackage),
		in("not found", `Package '([\w.+-]+)'(?:, required by '[^']*',)? not found`, needsPackage),
		in("No package '", `No package '([\w.+-]+)' found`, needsPackage),
		in("pkg-config", `pkg-config (?:--\S+ )*([\w.+-]+)(?: .*)?' returned non-zero exit status`, needsPackage),
		in("cannot open shared object file", `\b(lib[\w.+-]+\.so[\d.]*): cannot open shared object file`, needsLibrary),
		in("cannot find -l", `cannot find -l:?([\w.+-]+)`, needsLibrary),
		in("unable to find library -l", `unable to find library -l([\w.+-]+)`, needsLibrary),
		header,
		in(": No such file or directory", `(?:cc|gcc|g\+\+|cc1|cc1plus|clang|c\+\+)(?:-[\d.]+)?: (?:fatal )?error: ([\w./+-]+\.(?:c|cc|cpp|cxx|C)): No such file`, needsSource),
		in(".pxd", `'([\w./]+\.pxd)' not found`, needsPxd),

		{has: "A required package was not found", re: regexp.MustCompile(`^CMake Error`), quiet: true}, // pkg-config has said which
		// What names nothing known, but says more than an exit code.
		stop("CMake Error", `^CMake Error[^:]*(?::\d+ \(\w+\))?: *(.*)`, nil),
		stop("ERROR: ", `\bmeson\.build:\d+:\d+: (ERROR: .*)`, nil),
		stop("configure: error: ", `configure: error: (.*)`, nil),
		in("error: ", `^\S+:\d+:(?:\d+:)? (?:fatal )?error: `, nil),
	}
}()
