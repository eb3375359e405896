"""Writes Matroska files with any times and payloads, out of the video of a real file: what no muxer would make."""
import subprocess

import kv
from matroska import UNKNOWN, avc_track, block, ebml, element, ident, number


def video_of(path):
    """Its configuration record and its frames: [(ms, key, payload)]."""
    with open(path, "rb") as f:
        data = f.read()
    at = data.index(b"avcC")
    record = data[at + 4:at - 4 + int.from_bytes(data[at - 4:at], "big")]
    raw = subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-i", path, "-map", "0:v", "-c", "copy", "-f", "data", "-"],
                         stdout=subprocess.PIPE, check=True).stdout
    frames, at = [], 0
    for p in kv.by_track(kv.packets(path))[0]:
        frames.append((round(p.pts_ms), p.key, raw[at:at + p.size]))
        at += p.size
    return record, frames


def write(path, record, frames, width=320, height=240):
    """Each frame in a Cluster of its own, which is what lets times go anywhere."""
    with open(path, "wb") as f:
        f.write(ebml(4) + ident("Segment") + UNKNOWN)
        f.write(element("Info", number("TimecodeScale", 1000000)) + element("Tracks", avc_track(record, width, height)))
        for ms, key, payload in frames:
            f.write(element("Cluster", number("Timecode", ms) + block(1, 0, payload, key)))
    return path


def filler(size):
    """A NAL unit that decoders pass over, of so many bytes with its length."""
    return (size - 4).to_bytes(4, "big") + b"\x0c" + b"\xff" * (size - 6) + b"\x80"
