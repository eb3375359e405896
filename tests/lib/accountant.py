"""The frame accountant: captured = archived + counted gaps, each number once and in order, by stream, track, time and payload.

What was captured is told by its source where that is known (of_file, of_pattern), else by a Tap on capture's link, which
sees every number that capture gave away. What became of it is told by the archive's files and the uploader's ledger.
check() compares them both ways: no entry without a gap, no gap without an entry.

    with kv.Pipeline(streams) as pipe:
        tap = accountant.Tap(pipe)
        pipe.start() ... pipe.stop()
        accountant.check(pipe, "film", accountant.of_file(path))
        accountant.check(pipe, "camera", tap.of("camera"))
"""
import collections
import hashlib
import re
import socket
import struct
import threading

import fake_muxer
import kv

# hash is None where the payload is made on the way (an encoder), pts_ms where the source tells no time.
Item = collections.namedtuple("Item", "epoch number pts_ms hash")
# tracks: {index from 0: [Item]}; absolute: the times are wall clock, else they may be shifted by one offset.
Captured = collections.namedtuple("Captured", "tracks absolute")

LOST_WITH_CAPTURE = "capture_restarted"


def of_file(path):
    """What a file source without loop captures: the file's packets."""
    tracks = kv.by_track(kv.packets(path))
    return Captured({t: [Item(None, n, p.pts_ms, p.hash) for n, p in enumerate(found)] for t, found in tracks.items()}, False)


def of_pattern(frames, rate):
    """The pictures of a test source; its sound is judged by its own steps."""
    return Captured({0: [Item(None, n, n * 1000 / rate, None) for n in range(frames)]}, False)


def with_lengths(payload):
    """An access unit of a byte stream as the archive keeps it: a length in front of each NAL unit."""
    units = [u.rstrip(b"\0") for u in re.split(b"\0\0\1", payload)]
    return b"".join(struct.pack(">I", len(u)) + u for u in units if u)


class Tap:
    """Sits between capture and encoder, passes every byte on and notes what capture sent. Give it to a Pipeline before its start."""

    def __init__(self, pipe):
        self.pb = fake_muxer.compile_proto(pipe.dir)
        self.upstream = pipe.run + "/sockets/capture.sock"
        self.address = pipe.dir + "/tap.sock"
        self.lock = threading.Lock()
        self.items = collections.defaultdict(dict)  # (stream, track) -> {(epoch, number): Item, or None for a gap}
        self.formats = {}
        self.twice = []  # numbers that came again with other content
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.address)
        self.listener.listen(16)
        pipe.rewrite(encoder={"connect": "ipc://" + self.address})
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                down, _ = self.listener.accept()
            except OSError:
                return
            up = socket.socket(socket.AF_UNIX)
            try:
                up.connect(self.upstream)
            except OSError:  # capture is not there: the encoder tries again
                down.close()
                continue
            threading.Thread(target=self.copy, args=(up, down, Zmtp(self.note)), daemon=True).start()
            threading.Thread(target=self.copy, args=(down, up, None), daemon=True).start()

    def copy(self, source, sink, reader):
        """Notes first, then passes on: nothing can be archived that is not noted."""
        try:
            while True:
                data = source.recv(1 << 20)
                if not data:
                    break
                if reader:
                    reader.feed(data)
                sink.sendall(data)
        except OSError:
            pass
        for s in (source, sink):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def note(self, parts):
        e = self.pb.Envelope.FromString(parts[0])
        with self.lock:
            if e.HasField("open"):
                for t in e.open.tracks:
                    self.formats[e.open.stream, t.track] = t.format
            elif e.HasField("frame"):
                self.note_frame(e.frame, parts[1])
            elif e.HasField("gap"):
                for n in range(e.gap.first, e.gap.last + 1):
                    self.items[e.gap.stream, e.gap.track][e.gap.vector.n[0], n] = None

    def note_frame(self, f, payload):
        key = f.stream, f.track
        if f.HasField("new_format"):
            self.formats[key] = f.new_format
        form = self.formats[key]
        raw = form.codec in (self.pb.CODEC_RAW_VIDEO, self.pb.CODEC_RAW_AUDIO)
        if form.layout == "annexb":
            payload = with_lengths(payload)
        item = Item(f.vector.n[0], f.seq, f.pts_ns / 1e6, None if raw else hashlib.sha256(payload).hexdigest())
        old = self.items[key].get((item.epoch, item.number))
        if old and old != item:
            self.twice.append((key, item.epoch, item.number))
        self.items[key][item.epoch, item.number] = item

    def of(self, stream):
        with self.lock:
            tracks = {}
            for (name, track), items in self.items.items():
                if name == stream:
                    tracks[track - 1] = [items[k] or Item(k[0], k[1], None, None) for k in sorted(items)]
            return Captured(tracks, True)

    def given(self, stream):
        """How many numbers capture gave away, as frames or as gaps."""
        return sum(len(t) for t in self.of(stream).tracks.values())

    def close(self):
        self.listener.close()


class Zmtp:
    """Takes the bytes of one direction of a ZMTP 3 connection, gives whole messages."""

    def __init__(self, on_message):
        self.data, self.at, self.greeted, self.parts, self.on_message = bytearray(), 0, False, [], on_message

    def feed(self, data):
        self.data += data
        if not self.greeted:
            if len(self.data) < 64:
                return
            self.at, self.greeted = 64, True
        while self.frame():
            pass
        del self.data[:self.at]
        self.at = 0

    def frame(self):
        d, at = self.data, self.at
        if len(d) < at + 2:
            return False
        flags, head = d[at], 9 if d[at] & 2 else 2
        if len(d) < at + head:
            return False
        size = struct.unpack_from(">Q", d, at + 1)[0] if flags & 2 else d[at + 1]
        if len(d) < at + head + size:
            return False
        self.at = at + head + size
        if not flags & 4:  # a command is ZeroMQ's own
            self.parts.append(bytes(d[at + head:self.at]))
            if not flags & 1:
                self.on_message(self.parts)
                self.parts = []
        return True


# ---- the comparison ----

def overlaps(entries):
    """Numbers that two entries of one track and epoch name."""
    spans = sorted((g.get("epoch"), g["first"], g["last"]) for g in entries if g["count"])
    return [(a, b) for a, b in zip(spans, spans[1:]) if a[0] == b[0] and b[1] <= a[2]]


def explained(item, entries):
    """True when the ledger says that this number is not in the archive."""
    for g in entries:
        if item.epoch is not None and g.get("epoch") != item.epoch:
            continue
        if g["count"] and g["first"] <= item.number <= g["last"]:
            return True
        if g["reason"] == LOST_WITH_CAPTURE and item.number >= g["first"]:
            return True
    return False


def wrong_count(items, want, found, entries):
    counted = sum(g["count"] for g in entries)
    uncounted = sum(1 for i in items for g in entries if g["reason"] == LOST_WITH_CAPTURE and
                    i.epoch in (None, g["epoch"]) and i.number >= g["first"])
    twice = overlaps(entries)
    wrong = ["in the ledger twice: %s" % twice[:2]] if twice else []
    if counted + uncounted != len(items) - len(want):
        wrong.append("the ledger counts %d, %d of which were captured" % (counted + uncounted, len(items) - len(want)))
    if len(found) != len(want):
        wrong.append("%d more archived than captured" % (len(found) - len(want)))
    return wrong


def wrong_content(want, found, absolute):
    pairs = list(zip(want, found))
    wrong = ["payload of %d.%d" % i[:2] if i.epoch else "payload of %d" % i.number for i, p in pairs if i.hash and i.hash != p.hash]
    timed = [(i, p) for i, p in pairs if i.pts_ms is not None]
    offset = 0 if absolute or not timed else timed[0][1].pts_ms - timed[0][0].pts_ms
    for i, p in timed:
        off = p.pts_ms - i.pts_ms - offset
        if abs(off) > 1.5:
            wrong.append("time of number %d by %.1f ms" % (i.number, off))
    return wrong[:3]


def check(pipe, stream, captured, extra=()):
    """Judges one stream of a pipeline that has come to rest. Returns the entries of its ledger. Tracks in `extra` are in the
    archive though `captured` does not tell of them."""
    entries = pipe.gaps(stream)
    archived = kv.by_track(pipe.packets(stream))
    tracks = sorted(set(archived) - set(extra))
    kv.check(tracks == sorted(captured.tracks), "%s: tracks %s are archived" % (stream, tracks))
    for track, items in sorted(captured.tracks.items()):
        own = [g for g in entries if g["track"] == track + 1]
        want, found = [i for i in items if not explained(i, own)], archived.get(track, [])
        wrong = wrong_count(items, want, found, own) + wrong_content(want, found, captured.absolute)
        kv.check(not wrong, "%s track %d: %d captured = %d archived + %d gaps, each once, in order %s" %
                 (stream, track, len(items), len(found), len(items) - len(want), wrong or ""))
    return entries


def check_begun_again(pipe, stream, own):
    """Judges a file or pattern (`own`) whose capture was killed once: the epoch that this ended, as far as the ledger says, and the
    whole of the one after. The ledger must know of nothing else."""
    entries = pipe.gaps(stream)
    first = entries[0]["epoch"] if entries else None
    twice = {t: [i._replace(epoch=e, pts_ms=None) for e in (first, first and first + 1) for i in items] for t, items in own.tracks.items()}
    entries = check(pipe, stream, Captured(twice, False))
    kv.check({g["reason"] for g in entries} == {LOST_WITH_CAPTURE} and not sum(g["count"] for g in entries) and
             len(entries) == len(own.tracks), "%s: the ledger knows of capture's death and of no loss besides" % stream)
