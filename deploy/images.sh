#!/bin/sh
# images.sh VERSION: builds kvpipe-PROCESS:VERSION for each process and says how big each is over its base image.
# BUILD_OPTIONS goes to docker build (e.g. --network=host).
set -eu
version=$1
base=debian:bookworm-slim
size() { docker image inspect -f '{{.Size}}' "$1"; }
for p in capture encoder muxer uploader monitor server cli; do
    # shellcheck disable=SC2086
    docker build -q ${BUILD_OPTIONS:-} -f deploy/Dockerfile --target $p -t "kvpipe-$p:$version" . >/dev/null
    echo "kvpipe-$p:$version $(($(size "kvpipe-$p:$version") / 1000000)) MB, $((($(size "kvpipe-$p:$version") - $(size $base)) / 1000000)) MB more than $base"
done
