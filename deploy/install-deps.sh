#!/bin/sh
# Installs the Debian/Ubuntu packages that kvpipe needs to build, run and test. Idempotent; asks for nothing.
# What is already there costs one dpkg-query; apt runs only for what is missing.
set -eu

packages="
build-essential gcc clang make pkg-config git ca-certificates clang-format libclang-rt-14-dev libfuzzer-14-dev
libevent-dev libzmq3-dev libprotobuf-c-dev protobuf-c-compiler protobuf-compiler
libcurl4-openssl-dev libssl-dev libjansson-dev libcyaml-dev libyaml-dev libsqlite3-dev node-llhttp
libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev gstreamer1.0-plugins-base gstreamer1.0-plugins-good
gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav gstreamer1.0-tools
check libsubunit-dev libgstrtspserver-1.0-dev ffmpeg mkvtoolnix
python3 python3-yaml python3-boto3 python3-botocore python3-zmq python3-protobuf openssl curl
"

missing=""
for p in $packages; do
    dpkg-query -W -f '${Status}\n' "$p" 2>/dev/null | grep -q '^install ok installed$' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

command -v apt-get >/dev/null 2>&1 || {
    echo "install-deps: no apt-get here; install by hand:$missing" >&2
    exit 1
}
sudo=""
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || {
        echo "install-deps: run as root, or install sudo; missing:$missing" >&2
        exit 1
    }
    sudo="sudo"
fi
count=$(echo "$missing" | wc -w)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "install-deps: installing $count packages (some minutes on a fresh machine)"
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
# shellcheck disable=SC2086
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing >"$log" 2>&1 || {
    tail -n 30 "$log" >&2
    echo "install-deps: apt-get failed; its last lines are above" >&2
    exit 1
}
echo "install-deps: done"
