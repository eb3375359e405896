#!/bin/sh
# Installs the Debian 12 packages that kvpipe needs to build, run and test; with the word "run" not what only tests need, with
# "build" only those to build it, and what images are made of. Idempotent; asks for nothing.
# What is already there costs one dpkg-query; apt runs only for what is missing.
set -eu

build="
gcc libc6-dev make pkg-config ca-certificates
libevent-dev libzmq3-dev libprotobuf-c-dev protobuf-c-compiler protobuf-compiler
libcurl4-openssl-dev libssl-dev libjansson-dev zlib1g-dev libyaml-dev libsqlite3-dev libsystemd-dev libseccomp-dev node-llhttp
libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev gstreamer1.0-plugins-base gstreamer1.0-plugins-good
gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly
"
packages="
$build
build-essential git clang clang-format libclang-rt-14-dev libfuzzer-14-dev
gstreamer1.0-libav gstreamer1.0-tools
check libsubunit-dev libgstrtspserver-1.0-dev ffmpeg mkvtoolnix
python3 python3-yaml python3-boto3 python3-botocore python3-zmq python3-protobuf
python3-imageio openssl curl iproute2
"
tests="prometheus python3-jsonschema awscli chromium gstreamer1.0-x python3-gi gir1.2-gstreamer-1.0
debootstrap systemd-container lintian"
# Any node and npm on PATH will do: Debian's come with four hundred small packages.
if ! command -v node >/dev/null 2>&1 || ! command -v npm >/dev/null 2>&1; then
    tests="$tests nodejs npm"
fi
case ${1:-} in
build) packages=$build ;;
run) ;;
*) packages="$packages $tests" ;;
esac

# shellcheck disable=SC2086
present=" $(dpkg-query -W -f '${Package}:${Status}\n' $packages 2>/dev/null |
    sed -n 's/:install ok installed$//p' | tr '\n' ' ') "
missing=""
for p in $packages; do
    case $present in *" $p "*) ;; *) missing="$missing $p" ;; esac
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
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# A line now and then from apt's own count of its progress.
progress() {
    before=""
    while sleep 10 >/dev/null 2>&1; do
        now=$(sed -n 's/^dlstatus:[^:]*:\([0-9]*\).*/downloading, \1 %/p; s/^pmstatus:[^:]*:\([0-9]*\).*/installing, \1 %/p' \
            "$log" | tail -n 1)
        [ "$now" = "$before" ] || echo "install-deps: $now"
        before=$now
    done
}

# Another apt (a machine's first minutes) is waited for.
apt() {
    $sudo env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l apt-get -q -o APT::Status-Fd=1 -o DPkg::Lock::Timeout=300 \
        -o Acquire::Retries=3 "$@" >"$log" 2>&1 </dev/null || {
        grep -v -E '^(dl|pm)status:' "$log" | tail -n 30 >&2
        echo "install-deps: apt-get $1 failed; its last lines are above" >&2
        return 1
    }
}

echo "install-deps: installing $(echo "$missing" | wc -w) packages (on a fresh machine: 400 MB to download, minutes)"
apt update
progress &
teller=$!
trap 'kill "$teller" 2>/dev/null || true; rm -f "$log"' EXIT
# shellcheck disable=SC2086
apt install -y --no-install-recommends $missing
# The tests start a Prometheus of their own; the package's service is not left on its port.
case $missing in *" prometheus"*) $sudo systemctl disable --now prometheus >/dev/null 2>&1 || true ;; esac
echo "install-deps: done"
