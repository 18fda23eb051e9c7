#!/bin/sh
# Gets nginx and wrk, which `make bench-serve` compares and measures with, into DIR/bin: links to this machine's own where it has them, else
# out of Debian's or Ubuntu's packages, unpacked and not installed. Installing would need root, start a server on port 80 and change the
# machine that builds see. Running it again does nothing.
set -eu
[ $# = 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
mkdir -p "$1/bin"
dir=$(cd "$1" && pwd)

works() { "$dir/bin/nginx" -v 2>/dev/null && { "$dir/bin/wrk" -v || :; } 2>/dev/null | grep -q wrk; }
{ works; } >/dev/null 2>&1 && exit

own_nginx=$(PATH="$PATH:/usr/sbin:/sbin" command -v nginx || :)
own_wrk=$(command -v wrk || :)
if [ -n "$own_nginx" ] && [ -n "$own_wrk" ]; then
	ln -sf "$own_nginx" "$dir/bin/nginx"
	ln -sf "$own_wrk" "$dir/bin/wrk"
	exit
fi
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
	echo "$0: nginx (found: ${own_nginx:-none}) and wrk (found: ${own_wrk:-none}) are needed on PATH, and there is no apt-get to get them with: install both" >&2
	exit 1
fi
echo "unpacking nginx and wrk of this system's package sources into $dir" >&2
rm -rf "$dir/unpacked" "$dir/debs" && mkdir -p "$dir/unpacked" "$dir/debs"
cd "$dir/debs"
get() { apt-get download -qq "$@" 2>"$dir/debs/log"; }
if ! get nginx wrk libluajit-5.1-2; then
	echo "apt-get has no lists of packages yet, or old ones; updating them (needs root)" >&2
	as_root=
	[ "$(id -u)" = 0 ] || as_root=sudo
	$as_root apt-get update -q >&2
	get nginx wrk libluajit-5.1-2 || { cat "$dir/debs/log" >&2; exit 1; }
fi
for deb in *.deb; do dpkg-deb -x "$deb" "$dir/unpacked"; done
cd "$dir" && rm -rf debs
libs=$(dirname "$(find "$dir/unpacked" -name 'libluajit-5.1.so*' | head -n 1)")
ln -sf ../unpacked/usr/sbin/nginx bin/nginx
rm -f bin/wrk
printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s/unpacked/usr/bin/wrk "$@"\n' "'$libs'" "'$dir'" >bin/wrk
chmod +x bin/wrk
works >/dev/null || { echo "$0: what was unpacked does not run: install nginx and wrk and try again" >&2; exit 1; }
