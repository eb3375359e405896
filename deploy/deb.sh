#!/bin/sh
# deb.sh VERSION: $B/kvpipe_VERSION_ARCH.deb of what `make install` lays down, with systemd units, a config to begin with, and the
# scripts of deploy/debian/. B is the build directory.
set -eu
version=$1 B=${B:-build}
root=$B/deb/root
docs=$root/usr/share/doc/kvpipe
libraries=/usr/lib/$(dpkg-architecture -q DEB_HOST_MULTIARCH)
rm -rf "$B/deb"
make --no-print-directory B="$B" install DESTDIR="$root" PREFIX=/usr LIBDIR="$libraries" SYSTEMD=/lib/systemd/system
install -D -m 640 deploy/debian/pipeline.yaml "$root/etc/kvpipe/pipeline.yaml"
find "$root/usr/share/man" -type f -exec gzip -9n {} +
find "$root/usr/bin" -type f -exec strip {} +
find "$root$libraries" -name '*.so*' -type f -exec strip --strip-unneeded {} +
strip --strip-debug "$root$libraries/libkvpipe.a"
rm "$docs/LICENSE"
install -m 644 deploy/debian/copyright "$docs/copyright"
install -D -m 644 deploy/debian/lintian-overrides "$root/usr/share/lintian/overrides/kvpipe"

contact="kvpipe maintainers <maintainers@kvpipe.example>"
when=$(git log -1 --format=%cD 2>/dev/null) || when=$(date -R)
printf 'kvpipe (%s) bookworm; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- %s  %s\n' "$version" "$contact" "$when" |
    gzip -9n >"$docs/changelog.gz"

# dpkg-shlibdeps wants a debian/control beside it; which packages have the libraries comes from dpkg.
mkdir -p "$B/deb/debian" "$root/DEBIAN"
echo "Source: kvpipe" >"$B/deb/debian/control"
depends=$(cd "$B/deb" && dpkg-shlibdeps -O $(find root -type f \( -path "*/bin/*" -o -name "*.so*" \)) 2>/dev/null | sed 's/^shlibs:Depends=//')
cat >"$root/DEBIAN/control" <<END
Package: kvpipe
Version: $version
Architecture: $(dpkg --print-architecture)
Maintainer: $contact
Installed-Size: $(du -sk --exclude=DEBIAN "$root" | cut -f 1)
Section: video
Priority: optional
Depends: $depends, adduser, ca-certificates, gstreamer1.0-plugins-base, gstreamer1.0-plugins-good, gstreamer1.0-plugins-bad, gstreamer1.0-plugins-ugly
Recommends: gstreamer1.0-libav, gstreamer1.0-tools
Description: camera video to Amazon Kinesis Video Streams
 Carries the video of cameras to Kinesis Video Streams, or to its own endpoint
 on this machine, as a pipeline of small processes. Any of them behind the
 camera may be killed at any moment: no frame is lost, none is archived twice.
END
echo /etc/kvpipe/pipeline.yaml >"$root/DEBIAN/conffiles"
echo "libkvpipe 0 kvpipe" >"$root/DEBIAN/shlibs"
echo "activate-noawait ldconfig" >"$root/DEBIAN/triggers"
install -m 755 deploy/debian/postinst deploy/debian/prerm deploy/debian/postrm "$root/DEBIAN"
(cd "$root" && find usr lib -type f -exec md5sum {} +) >"$root/DEBIAN/md5sums"
dpkg-deb --root-owner-group --build "$root" "$B" >/dev/null
echo "$B/kvpipe_${version}_$(dpkg --print-architecture).deb"
