#!/bin/sh
# What a merge request's job does with Axle: publish the branch's view without a name, tell what it changes and rebuilds, and have
# everything that is needed built in it; the name goes on serving what it serves. When the request is merged, --merge points the name to the
# view, if nothing that the name has would be lost.
#
#   merge-request.sh CONFIG NAME REQUIREMENTS [WHY]      prints the view's @digest and its index URLs
#   merge-request.sh --merge CONFIG NAME REQUIREMENTS [WHY]
#
# AXLE_STORE and AXLE_SERVER say where, AXLE is the program. The environment is that of NAME's present view, so any machine will do.
set -eu
axle=${AXLE:-axle}
merge=
if [ "${1-}" = --merge ]; then
	merge=1
	shift
fi
config=$1 name=$2 requirements=$3 why=${4-}

published=$($axle view publish --config "$config" --on "$name" --why "$why")
view=$(echo "$published" | head -n 1)
if [ -n "$merge" ]; then
	$axle view promote "$view" --as "$name" --require-complete --requirement "$requirements" --why "$why"
	exit
fi
echo "$published"
$axle view diff "$name" "$view" >&2 || [ $? -eq 1 ]
$axle plan --config "$config" --on "$name" --against "$name" >&2
sed -e 's/#.*//' -e '/^ *$/d' "$requirements" | xargs $axle build --view "$view" >&2
