#!/bin/sh
# Makes build/media/street.mp4, the demo's real camera video: a street scene from Debian's package opencv-doc, as H.264.
# Idempotent. When the package (96 MB) cannot be had in 3 minutes, a synthetic clip takes its place, and this says so.
set -eu

dir=${1:-build/media}
out=$dir/street.mp4
[ -s "$out" ] && exit 0
command -v ffmpeg >/dev/null 2>&1 || {
    echo "sample-media: no ffmpeg; run deploy/install-deps.sh first" >&2
    exit 1
}
mkdir -p "$dir"
work=$(mktemp -d)
download=""
trap 'if [ -n "$download" ]; then kill "$download" 2>/dev/null || true; fi; rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# No B-frames and a key frame every 2 s: what a camera sends. The name appears when the file is whole.
encode() {
    ffmpeg -nostdin -v error "$@" -an -c:v libx264 -preset veryfast -pix_fmt yuv420p -bf 0 \
        -force_key_frames 'expr:gte(t,n_forced*2)' -movflags +faststart -f mp4 -y "$out.new" &&
        mv "$out.new" "$out"
}

# A line now and then while apt-get downloads. Images often come without package lists.
fetch() {
    root=""
    [ "$(id -u)" -eq 0 ] || root="sudo -n"
    (cd "$work" && chmod 755 . && { apt-cache show opencv-doc || $root timeout 60 apt-get update -qq; } >apt.log 2>&1
        exec timeout 180 apt-get -o Acquire::http::Timeout=15 -o Acquire::Retries=1 \
        download opencv-doc >apt.log 2>&1) &
    download=$!
    seconds=0
    while kill -0 "$download" 2>/dev/null; do
        sleep 1
        seconds=$((seconds + 1))
        [ $((seconds % 5)) -ne 0 ] || echo "sample-media: $(du -sm "$work" | cut -f 1) of about 96 MB"
    done
    wait "$download" || {
        download=""
        reason=$(tail -n 1 "$work/apt.log")
        return 1
    }
    download=""
}

real() {
    echo "sample-media: fetching a real street scene for the demo, once (96 MB, Debian package opencv-doc)"
    fetch || return 1
    dpkg-deb --fsys-tarfile "$work"/opencv-doc_*.deb | tar -x -C "$work" --wildcards '*/vtest.avi*' || return 1
    clip=$(find "$work" -name 'vtest.avi*' | head -n 1)
    [ -n "$clip" ] || return 1
    case $clip in *.gz) gzip -d "$clip" && clip=${clip%.gz} ;; esac
    encode -i "$clip"
}

reason="no such clip in it"
if real; then
    echo "sample-media: $out is there"
else
    echo "sample-media: no opencv-doc (${reason:-too slow}): making a synthetic street.mp4" >&2
    encode -f lavfi -i testsrc2=size=768x576:rate=10:duration=60
fi
