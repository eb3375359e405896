"""Real sample media for tests: taken from Debian packages; what is made of it stays in build/media."""
import os
import subprocess

DIR = os.path.abspath("build/media")


def run(*command, **kw):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **kw).stdout


def package_file(package, name):
    """The file `name` of an installed Debian package."""
    return next(path for path in run("dpkg", "-L", package).split("\n") if os.path.basename(path) == name)


def made(name, *ffmpeg):
    """build/media/NAME, made by ffmpeg once; written whole or not at all."""
    path = os.path.join(DIR, name)
    if not os.path.exists(path):
        os.makedirs(DIR, exist_ok=True)
        part = os.path.join(DIR, "part%d-%s" % (os.getpid(), name))
        run("ffmpeg", "-v", "error", "-nostdin", "-y", *ffmpeg, part)
        os.replace(part, path)
    return path


def short():
    """1.2 s of 320x240 H.264 High + AAC, as its camera app wrote it."""
    return package_file("python3-imageio", "realshort.mp4")


def bird(bframes=0, suffix="mp4", seconds=None):
    """14 s of a real 1280x720 recording as H.264 + AAC, key frame every 2 s (or looped to so many seconds)."""
    source = package_file("python3-imageio", "cockatoo.mp4")
    name = "bird-%d-%s.%s" % (bframes, seconds or "all", suffix)
    loop = ["-stream_loop", "-1"] if seconds else []
    length = ["-t", str(seconds)] if seconds else []
    return made(name, *loop, "-i", source, *length, "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p",
                "-bf", str(bframes), "-g", "40", "-keyint_min", "40", "-sc_threshold", "0", "-flags", "+cgop",
                "-b:v", "1500k", "-c:a", "aac", "-ar", "48000", "-b:a", "96k")


def small(seconds=8, rate=15):
    """A light stream for tests with many of them: 320x240 of the same recording."""
    source = package_file("python3-imageio", "cockatoo.mp4")
    return made("small-%d-%d.mp4" % (seconds, rate), "-stream_loop", "-1", "-i", source, "-t", str(seconds), "-vf",
                "scale=320:240", "-r", str(rate), "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-bf",
                "0", "-g", str(rate), "-sc_threshold", "0", "-b:v", "300k", "-c:a", "aac", "-ar", "48000", "-b:a", "48k")
