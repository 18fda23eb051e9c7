# Runs in the sandbox that has the network. Arguments are manifests below /build/src. It ends with 101 where cargo refused.
set -e
# Not in the build's own folder: cargo may have to write a lock, and what a hook left there must not be read.
cp -a /axle/tree/src /build/src
mkdir /build/cargo /build/config /build/empty /build/home /build/locks /build/vendor
# Cargo reads .cargo/config.toml from the working folder upwards and from CARGO_HOME. Neither has one.
cd /build/empty
n=0
more=
for manifest; do
	root=$(cargo locate-project --workspace --message-format plain --manifest-path "$manifest")
	lock=${root%/*}/Cargo.lock
	if [ ! -e "$lock" ]; then
		echo "axle: the source has no ${lock#/build/src/}: making one of the newest crates that fit"
		cargo generate-lockfile --manifest-path "$manifest"
		cp "$lock" "/build/locks/$n"
	fi
	n=$((n + 1))
done
first=$1
shift
for manifest; do # each becomes an option
	shift
	set -- "$@" --sync "$manifest"
done
cargo vendor --locked --versioned-dirs --manifest-path "$first" "$@" /build/vendor >/build/config/config.toml
