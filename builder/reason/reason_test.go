package reason

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// TestFailed: what tools print on a machine that lacks something, as they print it, and which of it is named.
func TestFailed(t *testing.T) {
	for _, c := range []struct{ name, log, what, next string }{
		// The network.
		{"meson's wrap", `WARNING: failed to download with error: could not get https://download.example.org/nope-1.tar.gz; is the internet available?. Trying after a delay...
<urlopen error [Errno -3] Temporary failure in name resolution>
ERROR: Subproject nope2 is buildable: NO

meson.build:2:0: ERROR: could not get https://download.example.org/nope-1.tar.gz; is the internet available?

A full log can be found at /build/meson/meson-logs/meson-log.txt
`, "needs the network (download.example.org)", "patch it to use what is in the sdist"},
		{"meson's git", `Cloning into 'x'...
fatal: unable to access 'https://git.example.org/x.git/': Could not resolve host: git.example.org
ERROR: Subproject x is buildable: NO

meson.build:2:0: ERROR: Git command failed: ['/usr/bin/git', 'clone', 'https://git.example.org/x.git', 'x']
`, "needs the network (git.example.org)", ""},
		{"CMake's download", `[1/9] Performing download step (download, verify and extract) for 'x-populate'
-- Downloading...
CMake Error at x-subbuild/x-populate-prefix/src/x-populate-stamp/download-x-populate.cmake:163 (message):
  Each download failed!

    error: downloading 'https://download.example.org/x.tar.gz' failed
          status_code: 6
          status_string: "Couldn't resolve host name"
          log:
          --- LOG BEGIN ---
          Could not resolve host: download.example.org

  Closing connection 0

FAILED: x-populate-prefix/src/x-populate-stamp/x-populate-download
ninja: build stopped: subcommand failed.

CMake Error at /usr/share/cmake-3.25/Modules/FetchContent.cmake:1616 (message):
  Build step for x failed: 1
Call Stack (most recent call first):
  CMakeLists.txt:5 (FetchContent_MakeAvailable)
`, "needs the network (download.example.org)", ""},
		{"CMake's git", `Cloning into 'x-src'...
fatal: unable to access 'https://git.example.org/x.git/': Could not resolve host: git.example.org
-- Had to git clone more than once: 3 times.
CMake Error at x-subbuild/x-populate-prefix/tmp/x-populate-gitclone.cmake:39 (message):
  Failed to clone repository: 'https://git.example.org/x.git'


CMake Error at /usr/share/cmake-3.25/Modules/FetchContent.cmake:1616 (message):
  Build step for x failed: 1
`, "needs the network (git.example.org)", ""},
		{"urllib, which names no host", `See https://packaging.example.org/license for details.
Downloading https://download.example.org/x.tgz
Traceback (most recent call last):
  File "<string>", line 3, in <module>
socket.gaierror: [Errno -3] Temporary failure in name resolution

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
urllib.error.URLError: <urlopen error [Errno -3] Temporary failure in name resolution>
`, "needs the network (download.example.org)", ""},
		{"urllib, and nobody says what", "See https://packaging.example.org/license for details.\nurllib.error.URLError: <urlopen error [Errno -3] Temporary failure in name resolution>\n", "needs the network, which", ""},
		{"requests", `requests.exceptions.ConnectionError: HTTPSConnectionPool(host='download.example.org', port=443): Max retries exceeded with url: /x.tgz (Caused by NameResolutionError("HTTPSConnection(host='download.example.org', port=443): Failed to resolve 'download.example.org' ([Errno -3] Temporary failure in name resolution)"))`,
			"needs the network (download.example.org)", ""},
		{"git over ssh", "ssh: Could not resolve hostname git.example.org: Temporary failure in name resolution\nfatal: Could not read from remote repository.\n", "needs the network (git.example.org)", ""},
		{"curl", "curl: (6) Could not resolve host: download.example.org\n", "needs the network (download.example.org)", ""},
		{"wget", "wget: unable to resolve host address ‘download.example.org’\n", "needs the network (download.example.org)", ""},
		{"npm", "npm error request to https://npm.example.org/nope failed, reason: getaddrinfo EAI_AGAIN npm.example.org\n", "needs the network (npm.example.org)", ""},
		{"go", "go: example.org/b@v1.0.0: Get \"https://proxy.example.org/b\": dial tcp: lookup proxy.example.org: Temporary failure in name resolution\n", "needs the network (proxy.example.org)", ""},
		{"pip", "ERROR: Could not find a version that satisfies the requirement nope (from versions: none)\nERROR: No matching distribution found for nope\n", "installs nope while it is built", "add nope to its build requirements (project_override"},
		{"cargo", "error: no matching package named `nope` found\nlocation searched: crates.io index\n", "needs the crate nope", "maturin"},

		// Headers and libraries.
		{"a header", `building '_x' extension
gcc -Wall -fPIC -Iinclude -c x.c -o build/x.o
x.c:1:10: fatal error: nope/foo.h: No such file or directory
    1 | #include <nope/foo.h>
      |          ^~~~~~~~~~~~
compilation terminated.
error: command '/usr/bin/gcc' failed with exit code 1
`, "needs the header nope/foo.h", "`apt-file find nope/foo.h`"},
		{"a header in its own quotes", "b.c:1:10: fatal error: nope.h: No such file or directory\n    1 | #include \"nope.h\"\n      |          ^~~~~~~~\ncompilation terminated.\n", "needs the header nope.h", "if it is a file of the source's own"},
		{"clang's", "x.c:1:10: fatal error: 'nope/foo.h' file not found\n", "needs the header nope/foo.h", ""},
		{"Python's", "x.c:1:10: fatal error: Python.h: No such file or directory\n", "needs the header Python.h", "development files of the view's Python"},
		{"a library", "gcc -shared x.o -o x.so -lnope \n/usr/bin/ld: cannot find -lnope: No such file or directory\ncollect2: error: ld returned 1 exit status\n", "needs the system library nope:", "libnope.so"},
		{"loading one", `OSError: libhdf5.so: cannot open shared object file: No such file or directory
`, "needs the system library libhdf5.so", "libhdf5.so"},
		{"pkg-config", "Package libnope was not found in the pkg-config search path.\nPerhaps you should add the directory containing `libnope.pc'\nPackage 'libnope', required by 'virtual:world', not found\n\nPackage libother was not found in the pkg-config search path.\n",
			"needs the system library libnope (by pkg-config)", "libnope.pc"},
		{"pkg-config asked by a program", "Trying pkg-config --exists nopeclient\nCommand 'pkg-config --exists nopeclient' returned non-zero exit status 1.\nException: Can not find valid pkg-config name.\nSpecify CFLAGS\n", "needs the system library nopeclient", ""},
		{"meson's dependency", "Run-time dependency nope-lib found: NO  (tried pkg-config and cmake)\n\nmeson.build:2:4: ERROR: Dependency \"nope-lib\" not found (tried pkg-config and cmake)\n", "needs the system library nope-lib (by pkg-config)", "nope-lib.pc"},
		{"meson's library", "meson.build:3:3: ERROR: C shared or static library 'nopelib' not found\n", "needs the system library nopelib", ""},
		{"meson's header", "meson.build:3:3: ERROR: C header 'nope/foo.h' not found\n", "needs the header nope/foo.h", ""},
		{"CMake's package, broken into lines", `-- Could NOT find TIFF (missing: TIFF_LIBRARY TIFF_INCLUDE_DIR) 
CMake Error at CMakeLists.txt:3 (find_package):
  By not providing "FindNope.cmake" in CMAKE_MODULE_PATH this project has
  asked CMake to find a package configuration file provided by "Nope", but
  CMake did not find one.

  Could not find a package configuration file provided by "Nope" with any of
  the following names:

    NopeConfig.cmake

-- Configuring incomplete, errors occurred!
subprocess.CalledProcessError: Command '['cmake', '.']' returned non-zero exit status 1.
`, "needs Nope (by CMake's find_package)", "apt-cache search nope"},
		{"CMake's module", `CMake Error at /usr/share/cmake-3.25/Modules/FindPackageHandleStandardArgs.cmake:230 (message):
  Could NOT find Boost (missing: Boost_INCLUDE_DIR)
Call Stack (most recent call first):
`, "needs Boost", ""},
		{"CMake's version", `CMake Error at /usr/share/cmake-3.25/Modules/FindPackageHandleStandardArgs.cmake:230 (message):
  Could NOT find ZLIB: Found unsuitable version "1.2.13", but required is at
  least "99" (found /usr/lib/x86_64-linux-gnu/libz.so)
Call Stack (most recent call first):
`, `needs another version of a system library (ZLIB: Found unsuitable version "1.2.13", but required is at least "99")`, ""},
		{"CMake's pkg-config", `-- Checking for modules 'libnope>=2;libother'
--   Package 'libnope', required by 'virtual:world', not found
--   Package 'libother', required by 'virtual:world', not found
CMake Error at /usr/share/cmake-3.25/Modules/FindPkgConfig.cmake:607 (message):
  A required package was not found
Call Stack (most recent call first):
`, "needs the system library libnope (by pkg-config)", ""},
		{"CMake's library", "CMake Error at CMakeLists.txt:3 (find_library):\n  Could not find NOPE_LIB using the following names: nopelib\n\n\n", "needs the system library nopelib", ""},
		{"what is no probe", "--   Package 'liboptional', required by 'virtual:world', not found\nCMake Error at CMakeLists.txt:46 (message):\n  LLVM CMake export states LLVM version is 14, only 22\n  is supported.\n\n", "LLVM CMake export states LLVM version is 14, only 22 is supported.", ""},

		// Compilers and other programs.
		{"meson's Fortran", "meson.build:1:0: ERROR: Unknown compiler(s): [['gfortran'], ['flang-new'], ['flang']]\nThe following exception(s) were encountered:\nRunning `gfortran --help` gave \"[Errno 2] No such file or directory: 'gfortran'\"\n", "needs a Fortran compiler", "install one"},
		{"CMake's Fortran", "CMake Error at CMakeLists.txt:2 (project):\n  No CMAKE_Fortran_COMPILER could be found.\n\n", "needs a Fortran compiler", ""},
		{"CMake's CUDA", "CMake Error at /usr/share/cmake-3.25/Modules/CMakeDetermineCUDACompiler.cmake:180 (message):\n  Failed to find nvcc.\n\n", "needs a CUDA compiler", "cuda: DIR"},
		{"setuptools' C", "building '_demo' extension\nx86_64-linux-gnu-gcc -c demo.c -o demo.o \nerror: command 'x86_64-linux-gnu-gcc' failed: No such file or directory\n", "needs a C compiler", ""},
		{"setuptools' Rust", "error: can't find Rust compiler\n", "needs a Rust compiler", "paths: {rust: DIR}"},
		{"CMake's ninja", "CMake Error: CMake was unable to find a build program corresponding to \"Ninja\".  CMAKE_MAKE_PROGRAM is not set.\nCMake Error: CMAKE_C_COMPILER not set, after EnableLanguage\n", "needs the program that CMake's generator Ninja runs", ""},
		{"a shell's program", "sh: 1: autoreconf: not found\n", "needs the program autoreconf", "bin/autoreconf"},
		{"bash's", "bash: line 1: swig: command not found\n", "needs the program swig", ""},
		{"make's", "bison x.y\nmake: bison: No such file or directory\nmake: *** [mk:2: all] Error 127\n", "needs the program bison", ""},
		{"meson's", "Program swig found: NO\n\nmeson.build:2:0: ERROR: Program 'swig' not found or not executable\n", "needs the program swig", ""},
		{"Python's", `Traceback (most recent call last):
  File "/usr/lib/python3.11/subprocess.py", line 1950, in _execute_child
    raise child_exception_type(errno_num, err_msg, err_filename)
FileNotFoundError: [Errno 2] No such file or directory: 'swig'
`, "needs the program swig", ""},
		{"a file that is no program", "Traceback (most recent call last):\n  File \"<string>\", line 1, in <module>\nFileNotFoundError: [Errno 2] No such file or directory: 'requirements.txt'\n", "FileNotFoundError: [Errno 2] No such file or directory: 'requirements.txt'", ""},
		{"a config program", "ConfigurationError: Could not run curl-config: [Errno 2] No such file or directory: 'curl-config'\n", "needs the program curl-config", ""},
		{"another", "Error: pg_config executable not found.\n", "needs the program pg_config", ""},
		{"any program", "proj executable not found. Please set the PROJ_DIR variable.\n", "needs the program proj", ""},

		// Versions.
		{"a newer Rust", "error: rustc 1.95.0 is not supported by the following package:\n  a@0.1.0 requires rustc 1.200\n", "needs a newer Rust", "paths: {rust: DIR}"},
		{"a newer edition", "Caused by:\n  this version of Cargo is older than the `2030` edition, and only supports `2015`, `2018`.\n", "needs a newer Rust", ""},
		{"a newer CMake", "CMake Error at CMakeLists.txt:1 (cmake_minimum_required):\n  CMake 3.99 or higher is required.  You are running version 3.25.1\n\n", "needs a newer tool (CMake 3.99 or higher is required. You are running version 3.25.1)", ""},
		{"an older CMake", "CMake Error at CMakeLists.txt:1 (cmake_minimum_required):\n  Compatibility with CMake < 3.5 has been removed from CMake.\n\n", "is written for a CMake older than 3.5", "CMAKE_POLICY_VERSION_MINIMUM: '3.5'"},
		{"a newer meson", "meson.build:1:36: ERROR: Meson version is 1.12.1 but project requires >=99\n", "needs a newer tool", ""},
		{"a newer compiler", "gcc: error: unrecognized command-line option ‘-std=c++99’; did you mean ‘-std=c++2a’?\n", "needs a newer compiler (for -std=c++99)", ""},
		{"another Python", "RuntimeError: Cannot install on Python version 3.11.7; only versions >=3.12,<3.14 are supported.\n", "does not take the view's Python", "another Python"},
		{"an older setuptools", "error in x setup command: use_2to3 is invalid.\n", "needs an older setuptools", "setuptools<58"},
		{"pkg_resources", "ModuleNotFoundError: No module named 'pkg_resources'\n", "needs an older setuptools (for pkg_resources)", "setuptools<82"},

		// Python.
		{"a module", "ModuleNotFoundError: No module named 'nope_build.x'\n", "needs the Python module nope_build.x to be built and does not declare it", "update_build_requires"},
		{"its own module", "ModuleNotFoundError: No module named 'my_demo'\n", "imports itself (my_demo)", "backend-path"},
		{"a checkout", "fatal: not a git repository (or any of the parent directories): .git\n", "needs git and a checkout", ""},
		{"a version from git", "LookupError: setuptools-scm was unable to detect version for /build/src.\n", "needs git and a checkout", ""},

		// Which of many.
		{"a probe of configure", "checking for foo.h\nconftest.c:1:10: fatal error: foo.h: No such file or directory\nchecking for bar... no\nx.c:1:1: error: expected ';'\n", "x.c:1:1: error: expected ';'", ""},
		{"a probe of setuptools", "gcc -c /tmp/probe.c -o /tmp/probe.o \n/tmp/probe.c:1:10: fatal error: foo.h: No such file or directory\ngcc -c x.c -o x.o \nx.c:1:1: error: expected ';'\nerror: command 'gcc' failed with exit code 1\n", "x.c:1:1: error: expected ';'", ""},
		{"an import that is made good", "Traceback (most recent call last):\nModuleNotFoundError: No module named 'tomllib'\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\nModuleNotFoundError: No module named 'tomli'\n", "needs the Python module tomli ", ""},
		{"an import that was made good before", "ModuleNotFoundError: No module named 'speedup'\nrunning build_ext\nbuilding '_x' extension\ngcc -c x.c -o x.o \nx.c:1:10: fatal error: foo.h: No such file or directory\n", "needs the header foo.h", ""},
		{"two at once", "FAILED: a.o \ngcc -c a.c -o a.o \na.c:1:10: fatal error: a.h: No such file or directory\nFAILED: b.o \ngcc -c b.c -o b.o \nb.c:1:10: fatal error: b.h: No such file or directory\nninja: build stopped: subcommand failed.\n", "needs the header a.h", ""},
		{"the hook before", "x.c:1:10: fatal error: foo.h: No such file or directory\naxle: running the backend (build) with nothing\nValueError: no\n", "ValueError: no", ""},
		{"colours", "\x1b[31mx.c:1:10: \x1b[0mfatal error: foo.h: No such file or directory\n", "needs the header foo.h", ""},
		{"nothing known", "one\nTraceback (most recent call last):\n  File\nValueError: the last\n  word\n", "ValueError: the last", ""},
		{"no exception", "one\nthe last word\n\n", "the last word", ""},
		{"nothing", "", "", ""},
	} {
		var s Scanner
		// In pieces, as a pipe gives them.
		for rest := c.log; rest != ""; {
			n := min(len(rest), 1+len(rest)%7)
			_, _ = s.Write([]byte(rest[:n]))
			rest = rest[n:]
		}
		got := s.Failed(Build{Project: "my-demo", Version: "1.0"})
		if !strings.HasPrefix(got.String(), c.what) || c.next != "" && !strings.Contains(got.Next, c.next) || (c.what == "") != (got.What == "") {
			t.Errorf("%s: %+v, want %q, %q", c.name, got, c.what, c.next)
		}
	}
}

func TestReaders(t *testing.T) {
	var s Scanner
	_, _ = s.Write([]byte("LookupError: setuptools-scm was unable to detect version for /build/src.\n"))
	b := Build{Project: "demo", Version: "1.7.0", Requires: []string{"setuptools", "setuptools-scm"}}
	const set = "set env: {SETUPTOOLS_SCM_PRETEND_VERSION: '1.7.0'} in the project's settings"
	if got := s.Failed(b); got.What != "reads its version from git, and an sdist is no checkout" || got.Next != set {
		t.Errorf("%+v", got)
	}
	if got := Mismatch("demo", "1.6.0+fallback", b); got.What != "is of demo 1.6.0+fallback where demo 1.7.0 was wanted" || !strings.Contains(got.Next, set) {
		t.Errorf("%+v", got)
	}
	if got := Mismatch("demo", "1.6", Build{Project: "demo", Version: "1.7.0"}); got.Next != "patch the version in the source" {
		t.Errorf("%+v", got)
	}
	if got := Mismatch("unknown", "0.0.0", Build{Project: "demo", Version: "1.0", Requires: []string{"setuptools"}}); !strings.Contains(got.Next, "setuptools>=61") {
		t.Errorf("%+v", got)
	}
	if got := Mismatch("other", "1.7.0", b); !strings.Contains(got.Next, "name") || strings.Contains(got.Next, "SCM") {
		t.Errorf("%+v", got)
	}
}

func TestLeftOut(t *testing.T) {
	for _, c := range []struct{ name, log, what string }{
		{"setuptools", `building '_demo' extension
gcc -c demo.c -o build/demo.o
demo.c:1:10: fatal error: nope/foo.h: No such file or directory
compilation terminated.
warning: build_ext: building extension "_demo" failed: command '/usr/bin/gcc' failed with exit code 1

running install_lib
`, "left out its compiled extension _demo, which needs the header nope/foo.h"},
		{"without a compiler", "building '_demo' extension\nnogcc -c demo.c -o demo.o \nwarning: build_ext: building extension \"_demo\" failed: command 'gcc' failed: No such file or directory\n", "left out its compiled extension _demo, which needs a C compiler"},
		{"in its own words", "x.c:1:10: fatal error: foo.h: No such file or directory\nWARNING: The C extension could not be compiled, speedups are not enabled.\nPlain-Python build succeeded.\n", "left out its compiled extension, which needs the header foo.h"},
		{"for a flag", "libyaml is not found or a compiler error: forcing --without-libyaml\n", "left out its compiled extension libyaml"},
		{"a build that says nothing", "running build_ext\nskipping the extension, as asked\nx.c:1:10: fatal error: foo.h: No such file or directory\n", ""},
		{"before the hook that counts", "WARNING: The C extension could not be compiled\naxle: running the backend (build) with nothing\n", ""},
	} {
		var s Scanner
		_, _ = s.Write([]byte(c.log))
		got := s.LeftOut(Build{})
		if !strings.HasPrefix(got.What, c.what) || (c.what == "") != (got.What == "") || got.What != "" && !strings.Contains(got.Next, "extensions: optional") {
			t.Errorf("%s: %+v, want %q", c.name, got, c.what)
		}
	}
}

func TestLine(t *testing.T) {
	for in, want := range map[string]string{"": "", " a\n\tb\r\n": "a b", "a\x1b[31mb\u202ec\x00": "a [31mb c", "caf\xe9": "caf\uFFFD", "0123456789 x": "0123456789 …"} {
		if got := Line(in, 10); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// A line and a message without end, and as many as there may be: what is kept is bounded.
func TestBounded(t *testing.T) {
	var s Scanner
	for range 1000 {
		_, _ = s.Write([]byte(strings.Repeat("x", 10<<10)))
	}
	_, _ = s.Write([]byte("\nCMake Error at x:1 (message):\n"))
	for range 10000 {
		_, _ = s.Write([]byte("  Could NOT find " + strings.Repeat("y", 1000) + "\n"))
	}
	if len(s.line) > maxLine || s.block.text.Len() > 2*maxLine+10 {
		t.Errorf("%d, %d", len(s.line), s.block.text.Len())
	}
	if got := s.Failed(Build{}); len(got.String()) > 4<<10 {
		t.Errorf("%d", len(got.String()))
	}
}

func FuzzScanner(f *testing.F) {
	f.Add("CMake Error at x (message):\n  Could NOT find X\nx.c:1: fatal error: a.h: No such file or directory\n 1 | #include \"a.h\"\n", 3)
	f.Add("Traceback (most recent call last):\n in _execute_child\nFileNotFoundError: [Errno 2] No such file or directory: 'swig'\nbuilding extension \"x\" failed", 1)
	f.Add("Downloading https://a.b/c\r\x1b[0m\nTemporary failure in name resolution", 100)
	f.Fuzz(func(t *testing.T, log string, size int) {
		size = max(1, size)
		var s, whole Scanner
		for rest := log; rest != ""; {
			n := min(len(rest), size)
			_, _ = s.Write([]byte(rest[:n]))
			rest = rest[n:]
		}
		_, _ = whole.Write([]byte(log))
		b := Build{Project: "demo", Version: "1.0", Requires: []string{"pbr"}}
		if whole.Failed(b) != s.Failed(b) || whole.LeftOut(b) != s.LeftOut(b) {
			t.Fatalf("in pieces of %d %v, whole %v", size, s.Failed(b), whole.Failed(b))
		}
		for _, text := range []string{s.Failed(b).String(), s.LeftOut(b).String()} {
			if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) || len(text) > 4<<10 {
				t.Fatalf("%q", text)
			}
		}
	})
}
