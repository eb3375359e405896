"""Matroska for tests, apart from the product's own code: a writer of what producers send, and a strict reader of what
GetMedia answers, which follows the states of the Java stream parser: tags, Cluster, tags, once a document."""
import re
import struct

MASTERS = {0x1A45DFA3: "EBML", 0x18538067: "Segment", 0x1549A966: "Info", 0x1654AE6B: "Tracks", 0xAE: "TrackEntry",
           0xE0: "Video", 0xE1: "Audio", 0x1F43B675: "Cluster", 0x1254C367: "Tags", 0x7373: "Tag", 0x63C0: "Targets",
           0x67C8: "SimpleTag", 0xA0: "BlockGroup"}
LEAVES = {0x4286: "EBMLVersion", 0x42F7: "EBMLReadVersion", 0x42F2: "EBMLMaxIDLength", 0x42F3: "EBMLMaxSizeLength",
          0x4282: "DocType", 0x4287: "DocTypeVersion", 0x4285: "DocTypeReadVersion", 0x2AD7B1: "TimecodeScale",
          0x73A4: "SegmentUID", 0x4D80: "MuxingApp", 0x5741: "WritingApp", 0x7BA9: "Title", 0xD7: "TrackNumber",
          0x73C5: "TrackUID", 0x83: "TrackType", 0x9C: "FlagLacing", 0x23E383: "DefaultDuration", 0x536E: "Name",
          0x86: "CodecID", 0x63A2: "CodecPrivate", 0xB0: "PixelWidth", 0xBA: "PixelHeight", 0x2EB524: "ColourSpace", 0xB5: "SamplingFrequency",
          0x9F: "Channels", 0x6264: "BitDepth", 0xE7: "Timecode", 0xA3: "SimpleBlock", 0xA1: "Block",
          0x9B: "BlockDuration", 0xFB: "ReferenceBlock", 0x45A3: "TagName", 0x4487: "TagString", 0xEC: "Void"}
IDS = {name: number for number, name in [*MASTERS.items(), *LEAVES.items()]}
PARENT = {"EBML": None, "Segment": None, "Info": "Segment", "Tracks": "Segment", "Cluster": "Segment", "Tags": "Segment",
          "TrackEntry": "Tracks", "Video": "TrackEntry", "Audio": "TrackEntry", "Tag": "Tags", "Targets": "Tag",
          "SimpleTag": "Tag", "BlockGroup": "Cluster"}


# ---- writing ----
def size_of(n, width=None):
    width = width or next(w for w in range(1, 9) if n < (1 << (7 * w)) - 1)
    return (n | 1 << (7 * width)).to_bytes(width, "big")


def ident(name):
    n = IDS[name]
    return n.to_bytes((n.bit_length() + 7) // 8, "big")


def element(name, body):
    return ident(name) + size_of(len(body)) + body


def number(name, n):
    return element(name, n.to_bytes(max(1, (n.bit_length() + 7) // 8), "big"))


UNKNOWN = b"\x01" + b"\xff" * 7


def ebml(version):
    return element("EBML", number("EBMLVersion", 1) + number("EBMLReadVersion", 1) + number("EBMLMaxIDLength", 4) +
                   number("EBMLMaxSizeLength", 8) + element("DocType", b"matroska") + number("DocTypeVersion", version) +
                   number("DocTypeReadVersion", 2))


def head(tracks, scale_ns=1000000, app=b"stock"):
    """EBML head, Segment of unknown size, Info and the TrackEntry elements `tracks`."""
    info = element("Info", element("SegmentUID", bytes(range(16))) + number("TimecodeScale", scale_ns) +
                   element("Title", app) + element("MuxingApp", app) + element("WritingApp", app))
    return ebml(2) + ident("Segment") + UNKNOWN + info + element("Tracks", b"".join(tracks))


def track(n=1):
    """A track of raw pictures, 384 bytes each."""
    return element("TrackEntry", number("TrackNumber", n) + number("TrackUID", n) + number("TrackType", 1) +
                   element("CodecID", b"V_UNCOMPRESSED") + element("Video", number("PixelWidth", 16) + number("PixelHeight", 16) +
                           element("ColourSpace", b"I420")))


def avc_track(record, width, height):
    """Track 1, H.264 with this configuration record."""
    return element("TrackEntry", number("TrackNumber", 1) + number("TrackUID", 1) + number("TrackType", 1) +
                   element("CodecID", b"V_MPEG4/ISO/AVC") + element("CodecPrivate", record) +
                   element("Video", number("PixelWidth", width) + number("PixelHeight", height)))


def block(track_number, relative, payload, key=True):
    return element("SimpleBlock", size_of(track_number, 1) + struct.pack(">hB", relative, 0x80 if key else 0) + payload)


def cluster(timecode, *blocks):
    return ident("Cluster") + UNKNOWN + number("Timecode", timecode) + b"".join(blocks)


def tags(*pairs):
    simple = b"".join(element("SimpleTag", element("TagName", n.encode()) + element("TagString", v.encode())) for n, v in pairs)
    return element("Tags", element("Tag", simple))


# ---- reading ----
class Malformed(Exception):
    pass


def vint(data, at, keep_marker):
    if at >= len(data) or not data[at]:
        raise Malformed("no element at byte %d" % at)
    width = 8 - data[at].bit_length() + 1
    if at + width > len(data):
        raise Malformed("cut at byte %d" % at)
    n = int.from_bytes(data[at:at + width], "big")
    return n if keep_marker else n & ((1 << (7 * width)) - 1), width, not keep_marker and n == (1 << (7 * width + 1)) - 1


def events(data, strict=True):
    """(depth, name, start, body or None for a master) of each element in order. Wrong places and sizes that do not add up
    are errors, and so are elements that readers do not know, unless it is not strict."""
    at, open_ = 0, []  # open_: (name, end or None for unknown)
    while at < len(data):
        while open_ and open_[-1][1] is not None and at >= open_[-1][1]:
            if at > open_[-1][1]:
                raise Malformed("%s runs over its end by %d bytes" % (open_[-1][0], at - open_[-1][1]))
            open_.pop()
        start = at
        element_id, width, _ = vint(data, at, True)
        at += width
        size, width, unknown = vint(data, at, False)
        at += width
        name = MASTERS.get(element_id) or LEAVES.get(element_id)
        if not name and not strict:
            name = "%X" % element_id
        if not name:
            raise Malformed("element %X at byte %d is none that a reader knows" % (element_id, start))
        if name in PARENT:
            while open_ and open_[-1][0] != PARENT[name]:
                if open_[-1][1] is not None:
                    raise Malformed("%s inside %s" % (name, open_[-1][0]))
                open_.pop()
        if not unknown and (at + size > len(data) or any(end is not None and at + size > end for _, end in open_)):
            raise Malformed("%s at byte %d is longer than what holds it" % (name, start))
        if element_id in MASTERS:
            yield len(open_), name, start, None
            open_.append((name, None if unknown else at + size))
        else:
            if unknown:
                raise Malformed("%s of unknown size" % name)
            yield len(open_), name, start, data[at:at + size]
            at += size
    if any(end is not None and end != at for _, end in open_):
        raise Malformed("the answer ends inside %s" % open_[-1][0])


class Chunk:
    """One document: its producer's head, one fragment at most, and tags by place."""

    def __init__(self):
        self.before, self.behind, self.blocks, self.tracks, self.names = [], [], [], [], []
        self.timecode = self.scale = None
        self.state, self.start, self.raw = "EBML", 0, b""

    def tag(self, name):
        values = [v for n, v in self.before + self.behind if n == name]
        return values[-1] if values else None

    @property
    def number(self):
        return self.tag("AWS_KINESISVIDEO_FRAGMENT_NUMBER")

    def own_tags(self):
        return [t for t in self.before + self.behind if not t[0].startswith("AWS_KINESISVIDEO_") or t[0] in (
            "AWS_KINESISVIDEO_NOTIFICATION", "AWS_KINESISVIDEO_IMAGE_GENERATION", "AWS_KINESISVIDEO_IMAGE_PREFIX")]


def read_chunks(data):
    """The documents of an answer. Enforces their order: EBML, Segment, Info, Tracks, Tags*, Cluster, Tags*."""
    out, chunk, name = [], None, ""
    for depth, kind, start, body in events(data):
        if kind == "EBML":
            if depth:
                raise Malformed("EBML in the middle of a document")
            chunk = Chunk()
            chunk.start = start
            out.append(chunk)
        elif chunk is None:
            raise Malformed("%s before EBML" % kind)
        step = {"Segment": ("EBML", "Segment"), "Info": ("Segment", "Info"), "Tracks": ("Info", "Tracks"),
                "Cluster": ("Tracks", "Cluster")}.get(kind)
        if step:
            if chunk.state != step[0]:
                raise Malformed("%s after %s" % (kind, chunk.state))
            chunk.state = step[1]
        elif kind == "Tags" and chunk.state not in ("Info", "Tracks", "Cluster"):
            raise Malformed("Tags after %s" % chunk.state)
        if kind == "TimecodeScale":
            chunk.scale = int.from_bytes(body, "big")
        elif kind == "CodecID":
            chunk.tracks.append(body.decode())
        elif kind == "Timecode":
            chunk.timecode = int.from_bytes(body, "big")
        elif kind in ("SimpleBlock", "Block"):
            chunk.blocks.append((body[0] & 0x7F, struct.unpack(">h", body[1:3])[0], body[3] & 0x80 != 0, body[4:]))
        elif kind == "TagName":
            name = body.decode()
        elif kind == "TagString":
            (chunk.behind if chunk.state == "Cluster" else chunk.before).append((name, body.decode()))
    for c, after in zip(out, [*(c.start for c in out[1:]), len(data)]):
        c.raw = data[c.start:after]
    return out


def source(path):
    """What a file of another muxer holds, cut at the key frames of its first track: TrackEntry elements, and a list of
    (timecode in ms, [(track, ms behind it, payload, key)])."""
    tracks, leaves, blocks, at, codecs = [], {}, [], 0, ("TrackNumber", "TrackUID", "TrackType", "CodecID", "CodecPrivate")

    def entry():
        own = b"".join(element(n, leaves[n]) for n in codecs if n in leaves)
        for name, parts in (("Video", ("PixelWidth", "PixelHeight")), ("Audio", ("SamplingFrequency", "Channels"))):
            if parts[0] in leaves:
                own += element(name, b"".join(element(n, leaves[n]) for n in parts))
        return element("TrackEntry", own)
    with open(path, "rb") as f:
        data = f.read()
    for _, kind, _, body in events(data, strict=False):
        if kind == "TrackEntry" or kind == "Cluster":
            if leaves.get("CodecID"):
                tracks.append(entry())
            leaves = {}
        elif kind == "Timecode":
            at = int.from_bytes(body, "big")
        elif kind in ("SimpleBlock", "Block"):
            blocks.append((body[0] & 0x7F, at + struct.unpack(">h", body[1:3])[0], body[4:], body[3] & 0x80 != 0))
        elif body is not None:
            leaves[kind] = body
    fragments = []
    for number_, time, payload, key in sorted(blocks, key=lambda b: b[1]):
        if not fragments or (number_ == 1 and key and any(b[0] == 1 for b in fragments[-1][1])):
            fragments.append((time, []))
        fragments[-1][1].append((number_, time - fragments[-1][0], payload, key))
    return tracks, fragments


TIME = re.compile(r"^\d{10}\.\d{3}$")


def check_get_media(data):
    """The chunks of a GetMedia answer, with each rule of their layout checked."""
    chunks, last = read_chunks(data), ""
    for c in chunks:
        where = "chunk %s" % c.number
        before, behind = dict(c.before), dict(c.behind)
        if not re.match(r"^\d{47}$", before.get("AWS_KINESISVIDEO_FRAGMENT_NUMBER", "")):
            raise Malformed("%s: no fragment number in front of its Cluster" % where)
        for name in ("AWS_KINESISVIDEO_SERVER_TIMESTAMP", "AWS_KINESISVIDEO_PRODUCER_TIMESTAMP"):
            if not TIME.match(before.get(name, "")):
                raise Malformed("%s: %s is %r" % (where, name, before.get(name)))
        if c.state != "Cluster" or c.timecode is None or not c.blocks:
            raise Malformed("%s: no Cluster with frames" % where)
        if not behind.get("AWS_KINESISVIDEO_MILLIS_BEHIND_NOW", "").isdigit():
            raise Malformed("%s: no MILLIS_BEHIND_NOW behind its Cluster" % where)
        if not re.match(r"^[a-zA-Z0-9_.\-]{1,128}$", behind.get("AWS_KINESISVIDEO_CONTINUATION_TOKEN", "")):
            raise Malformed("%s: no CONTINUATION_TOKEN behind its Cluster" % where)
        if [n for n, _ in c.before + c.behind if n == "AWS_KINESISVIDEO_END_OF_FRAGMENT"]:
            raise Malformed("%s: END_OF_FRAGMENT is for the endpoint only" % where)
        if not c.number > last:
            raise Malformed("%s follows %s" % (where, last))
        last = c.number
    return chunks
