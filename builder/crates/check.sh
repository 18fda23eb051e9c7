# Runs in the sandbox, without the network: do these locks fit their manifests, and are the crates that they name all there, and those that
# the features of /axle/in/features bring in?
set -e
cd /build/empty
n=0
for manifest; do
	cargo fetch --locked --manifest-path "$manifest"
	if [ -e "/axle/in/features/$n" ]; then
		cargo metadata --locked --format-version 1 --manifest-path "$manifest" --features "$(cat "/axle/in/features/$n")" >/build/metadata
	fi
	n=$((n + 1))
done
