#!/bin/sh
# deb.sh VERSION: build/kvpipe_VERSION_ARCH.deb of what `make install` lays down, with systemd units and a config to begin with.
set -eu
version=$1
root=build/deb/root
rm -rf build/deb
make --no-print-directory install DESTDIR="$root" PREFIX=/usr SYSTEMD=/lib/systemd/system
install -D -m 640 deploy/debian.yaml "$root/etc/kvpipe/pipeline.yaml"
find "$root/usr/share/man" -type f -exec gzip -9n {} +
find "$root/usr/bin" -type f -exec strip {} +

# dpkg-shlibdeps wants a debian/control beside it; which packages have the libraries comes from dpkg.
mkdir -p build/deb/debian "$root/DEBIAN"
echo "Source: kvpipe" >build/deb/debian/control
depends=$(cd build/deb && dpkg-shlibdeps -O root/usr/bin/* 2>/dev/null | sed 's/^shlibs:Depends=//')
cat >"$root/DEBIAN/control" <<END
Package: kvpipe
Version: $version
Architecture: $(dpkg --print-architecture)
Maintainer: kvpipe maintainers
Section: video
Priority: optional
Depends: $depends, adduser, ca-certificates, gstreamer1.0-plugins-base, gstreamer1.0-plugins-good, gstreamer1.0-plugins-bad, gstreamer1.0-plugins-ugly
Recommends: gstreamer1.0-libav, gstreamer1.0-tools
Description: camera video to Amazon Kinesis Video Streams, as processes that may die
 Carries the video of cameras to Kinesis Video Streams, or to its own endpoint on this machine, as a pipeline of small
 processes. Any of them behind the camera may be killed at any moment: no frame is lost and none is archived twice.
END
echo /etc/kvpipe/pipeline.yaml >"$root/DEBIAN/conffiles"
cat >"$root/DEBIAN/postinst" <<'END'
#!/bin/sh
set -e
if [ "$1" = configure ]; then
    getent passwd kvpipe >/dev/null || adduser --system --group --home /var/lib/kvpipe --no-create-home kvpipe >/dev/null
    chgrp kvpipe /etc/kvpipe/pipeline.yaml
    if [ -d /run/systemd/system ]; then
        systemctl daemon-reload
        [ -z "$2" ] || systemctl try-restart kvpipe.target
    fi
    [ -n "$2" ] || echo "kvpipe: edit /etc/kvpipe/pipeline.yaml, then: systemctl enable --now kvpipe.target 'kvpipe-*.service'"
fi
END
cat >"$root/DEBIAN/prerm" <<'END'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
    systemctl disable --now kvpipe.target 'kvpipe-*.service'
fi
END
chmod 755 "$root/DEBIAN/postinst" "$root/DEBIAN/prerm"
dpkg-deb --root-owner-group --build "$root" build >/dev/null
echo "build/kvpipe_${version}_$(dpkg --print-architecture).deb"
