"""Writes Matroska files with any times and payloads, out of the video of a real file: what no muxer would make."""
import subprocess

import kv
from fake_muxer import UNKNOWN, element, uint


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
    track = (uint("D7", 1) + uint("73C5", 1) + uint("83", 1) + element("86", b"V_MPEG4/ISO/AVC") + element("63A2", record) +
             element("E0", uint("B0", width) + uint("BA", height)))
    with open(path, "wb") as f:
        f.write(element("1A45DFA3", uint("4286", 1) + uint("42F7", 1) + uint("42F2", 4) + uint("42F3", 8) + element("4282", b"matroska") +
                        uint("4287", 4) + uint("4285", 2)))
        f.write(bytes.fromhex("18538067") + UNKNOWN)
        f.write(element("1549A966", uint("2AD7B1", 1000000)) + element("1654AE6B", element("AE", track)))
        for ms, key, payload in frames:
            block = b"\x81\0\0" + (b"\x80" if key else b"\0") + payload
            f.write(element("1F43B675", uint("E7", ms) + element("A3", block)))
    return path


def filler(size):
    """A NAL unit that decoders pass over, of so many bytes with its length."""
    return (size - 4).to_bytes(4, "big") + b"\x0c" + b"\xff" * (size - 6) + b"\x80"
