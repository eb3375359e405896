#!/bin/sh
# image-root.sh PROCESS DIR SUMS: lays the program, its GStreamer plugins and every library these need into DIR, as they lie in /.
# Libraries that the base image has as they are here are left out; SUMS is what sha256sum says of the base's.
set -eu
process=$1 dir=$2 sums=$3
case $process in cli) program=build/bin/kvpipe ;; *) program=build/bin/kvpipe-$process ;; esac
plugins=/usr/lib/$(gcc -print-multiarch)/gstreamer-1.0

# Elements that the process may ask for; an image with more: add the plugin's name and the package in install-deps.sh.
raw="coreelements app typefindfunctions videoconvertscale videorate audioconvert audioresample audiorate"
case $process in
capture) wanted="$raw playback videotestsrc audiotestsrc rtsp rtp rtpmanager udp tcp isomp4 matroska mpegtsdemux audioparsers
    videoparsersbad video4linux2 libcamera alsa jpeg" ;;
encoder) wanted="$raw videoparsersbad audioparsers x264 openh264 voaacenc video4linux2 va nvcodec qsv" ;;
# The pictures on the status page are made by a process of the command.
monitor) wanted="coreelements app typefindfunctions playback videoconvertscale videoparsersbad openh264 jpeg" ;;
*) wanted="" ;;
esac
[ "$process" = monitor ] && program="$program build/bin/kvpipe"

put() { # a file; what lies in /lib goes to /usr/lib, since /lib is a link in the image
    to=$dir/usr/${1#/}
    case $1 in /usr/*) to=$dir$1 ;; esac
    mkdir -p "$(dirname "$to")"
    cp -n "$(readlink -f "$1")" "$to"
}
libraries() { # the closure of these files
    ldd "$@" 2>/dev/null | awk '$2 == "=>" && $3 ~ /^\// {print $3}' | sort -u
}

mkdir -p "$dir/usr/bin"
# shellcheck disable=SC2086
for file in $program; do
    strip -g -o "$dir/usr/bin/${file##*/}" "$file"
done
files=$program
for name in $wanted; do
    [ -e "$plugins/libgst$name.so" ] || continue
    put "$plugins/libgst$name.so"
    files="$files $plugins/libgst$name.so"
done
[ -z "$wanted" ] || {
    scanner=$(dirname "$plugins")/gstreamer1.0/gstreamer-1.0/gst-plugin-scanner
    put "$scanner"
    files="$files $scanner"
}
# shellcheck disable=SC2086
for library in $(libraries $files); do
    sha256sum "$(readlink -f "$library")" | grep -qxFf - "$sums" || put "$library"
done
