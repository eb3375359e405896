#!/bin/sh
# Makes build/media/street.mp4, the demo's real camera video: a street scene from Debian's package opencv-doc, as H.264.
# Idempotent. Without the package (no network) a synthetic clip takes its place, and this says so.
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
trap 'rm -rf "$work"' EXIT

# No B-frames and a key frame every 2 s: what a camera sends. The name appears when the file is whole.
encode() {
    ffmpeg -nostdin -v error "$@" -an -c:v libx264 -preset veryfast -pix_fmt yuv420p -bf 0 \
        -force_key_frames 'expr:gte(t,n_forced*2)' -movflags +faststart -f mp4 -y "$out.new" &&
        mv "$out.new" "$out"
}

real() {
    (cd "$work" && chmod 755 . && apt-get download opencv-doc >apt.log 2>&1) || {
        reason=$(tail -n 1 "$work/apt.log" 2>/dev/null || true)
        return 1
    }
    dpkg -x "$work"/opencv-doc_*.deb "$work/x" || return 1
    clip=$(find "$work/x" -name 'vtest.avi*' | head -n 1)
    [ -n "$clip" ] || return 1
    case $clip in *.gz) gzip -d "$clip" && clip=${clip%.gz} ;; esac
    encode -i "$clip"
}

reason="no such clip in it"
if real; then
    echo "sample-media: $out made from opencv-doc's vtest.avi"
else
    echo "sample-media: Debian package opencv-doc is not to be had ($reason): making a synthetic street.mp4" >&2
    encode -f lavfi -i testsrc2=size=768x576:rate=10:duration=60
fi
