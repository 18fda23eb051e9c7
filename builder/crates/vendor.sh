# Runs in the sandbox: `locate`, then, with the network, `fetch` and `resolve`, where needed. The other arguments are manifests below
# /build/src; /axle/in/features/n has the features that the build turns on of number n.
# /build/locks gets for it: n.path, where the lock is below src; n, its text; n.made, where the source has none; n.metadata, what `resolve`
# gave.
# It ends with 101 where cargo refused.
set -e
stage=$1
shift
if [ "$stage" = locate ]; then
	# Not in the build's own folder: cargo may have to write a lock, and what a hook left there must not be read.
	cp -a /axle/tree/src /build/src
	mkdir /build/cargo /build/config /build/empty /build/home /build/locks /build/vendor
fi
# Cargo reads .cargo/config.toml from the working folder upwards and from CARGO_HOME: the registry's, in /.cargo, is all there is.
cd /build/empty
n=0
for manifest; do
	if [ "$stage" = locate ]; then
		root=$(cargo locate-project --workspace --message-format plain --manifest-path "$manifest")
		lock=${root%/*}/Cargo.lock
		printf %s "${lock#/build/src/}" >"/build/locks/$n.path"
		kept=/axle/in/locks/${lock#/build/src/}
		if [ ! -e "$lock" ]; then
			echo >"/build/locks/$n.made"
			if [ -e "$kept" ]; then
				echo "axle: the source has no ${lock#/build/src/}: using the one that was made before"
				cp "$kept" "$lock"
			fi
		fi
	elif [ "$stage" = resolve ]; then
		if [ -e "/axle/in/features/$n" ]; then
			echo "axle: looking for crates that $(cat "/axle/in/features/$n") bring in"
			cargo metadata --locked --format-version 1 --manifest-path "$manifest" --features "$(cat "/axle/in/features/$n")" >/build/metadata
			mv /build/metadata "/build/locks/$n.metadata"
		fi
		n=$((n + 1))
		continue
	else
		lock=/build/src/$(cat "/build/locks/$n.path")
		if [ ! -e "$lock" ]; then
			echo "axle: the source has no ${lock#/build/src/}: making one of the newest crates that fit"
			cargo generate-lockfile --manifest-path "$manifest"
		fi
	fi
	if [ -e "$lock" ]; then
		cp "$lock" "/build/locks/$n"
	fi
	n=$((n + 1))
done
if [ "$stage" != fetch ]; then
	exit
fi
first=$1
shift
for manifest; do # each becomes an option
	shift
	set -- "$@" --sync "$manifest"
done
cargo vendor --locked --versioned-dirs --respect-source-config --manifest-path "$first" "$@" /build/vendor >/build/config/config.toml
