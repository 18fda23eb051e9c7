# Runs in the sandbox, without the network: do these locks fit their manifests, and are the crates that they name all there?
set -e
cd /build/empty
for manifest; do
	cargo fetch --locked --manifest-path "$manifest"
done
