"""A muxer written in Python from the link's contract, and a process starter, for tests that feed the uploader alone.

Keeps every item, sends within the credit, opens anew on every Hello. One video track, fragments of 25 frames; every payload
carries its number as #00000042#.
"""
import random
import struct
import subprocess
import sys
import time

import zmq
from kv import program, wait_for
from matroska import UNKNOWN, avc_track, block, cluster, ebml, element, ident, number, tags

FPS, SIZE = 25, 1500
AVCC = bytes.fromhex("0142c01effe1000967" "42c01ed90141fb" "01000468" "ce3c80")
SEGMENT = (ebml(4) + ident("Segment") + UNKNOWN +
           element("Info", number("TimecodeScale", 1000000) + element("MuxingApp", b"test") + element("WritingApp", b"test")) +
           element("Tracks", avc_track(AVCC, 64, 64)))


def compile_proto(where):
    subprocess.check_call(["protoc", "--python_out=" + where, "-Iproto", "proto/link.proto"])
    sys.path.insert(0, where)
    import link_pb2
    return link_pb2


class Muxer:
    """An outlet by the book for one stream: keeps everything, sends within the credit, opens anew on every Hello."""

    def __init__(self, pb, address, stream, start_ms):
        self.pb, self.stream, self.start_ms = pb, stream, start_ms
        self.zmq = zmq.Context()
        self.socket = self.zmq.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.bind(address)
        self.epoch = int(time.time() * 1000)
        self.g = 0
        self.incarnation = random.getrandbits(63)
        self.peer = None
        self.opened = False
        self.next, self.acked, self.limit = 0, 0, 0
        self.items = []  # ("frame", at) or ("gap", last)
        self.ended = self.end_said = False
        self.beat = 0
        self.opens = 0
        self.tags = 0    # so many SimpleTags a fragment

    def vector(self):
        return self.pb.Vector(n=[self.epoch, 1, 1, self.g])

    def send(self, payload=None, **body):
        parts = [self.peer, self.pb.Envelope(**body).SerializeToString()]
        self.socket.send_multipart(parts + ([payload] if payload is not None else []))

    def format(self):
        return self.pb.Format(number=2, codec=self.pb.CODEC_H264, layout="avcc", width=64, height=64, segment=SEGMENT)

    def open(self):
        self.g += 1
        self.opens += 1
        self.opened = self.end_said = False
        track = self.pb.Track(track=1, format=self.format(), video=True)
        self.send(open=self.pb.Open(stream=self.stream, vector=self.vector(), tracks=[track]))

    def receive(self):
        while True:
            try:
                peer, header = self.socket.recv_multipart(zmq.NOBLOCK)[:2]
            except zmq.Again:
                return
            e = self.pb.Envelope.FromString(header)
            kind = e.WhichOneof("body")
            if kind == "hello":
                self.peer = peer
                self.open()
            elif kind in ("resume", "ack") and peer == self.peer and list(getattr(e, kind).vector.n) == list(self.vector().n):
                p = getattr(e, kind).positions[0]
                self.acked, self.limit = p.next, p.next + p.credit
                if kind == "resume":
                    self.next, self.opened, self.first = p.next, True, True
            elif kind == "close" and peer == self.peer:
                self.opened = False
            elif peer != self.peer and kind == "heartbeat":
                self.socket.send_multipart([peer, self.pb.Envelope(hello=self.pb.Hello(version=1)).SerializeToString()])

    def frame(self, seq):
        index = seq % FPS
        pts = self.start_ms + seq * 1000 // FPS
        start = self.start_ms + (seq - index) * 1000 // FPS
        piece = b""
        if index == 0:
            piece = self.tags_of(seq // FPS)
            piece += cluster(start)
        data = struct.pack(">I", SIZE - 4) + (b"\x65" if index == 0 else b"\x41") + b"#%08d#" % seq
        piece += block(1, pts - start, data.ljust(SIZE, b"\xaa"), index == 0)
        f = self.pb.Frame(stream=self.stream, vector=self.vector(), track=1, seq=seq, key=index == 0, pts_ns=pts * 10**6,
                          dts_ns=pts * 10**6, duration_ns=10**9 // FPS, fragment_ns=start * 10**6, format=2,
                          captured_ns=time.time_ns())
        if self.first:
            f.new_format.CopyFrom(self.format())
            self.first = False
        self.send(payload=piece, frame=f)

    def tags_of(self, fragment):
        """As muxer/mux.h: a segment's first fragment has its Tags in front, every other behind it, in front of the next."""
        owner = fragment - (fragment > 0)
        if not self.tags or fragment == 1:
            return b""
        return tags(*(("t%d" % i, "of-%06d" % owner) for i in range(self.tags)))

    def work(self):
        self.receive()
        if self.opened:
            while self.next < min(self.limit, len(self.items)):
                if self.items[self.next] == "gap":
                    self.send(gap=self.pb.Gap(stream=self.stream, vector=self.vector(), track=1, first=self.next, last=self.next,
                                              reason=self.pb.GAP_SOURCE))
                else:
                    self.frame(self.next)
                self.next += 1
            if self.ended and self.next == len(self.items) and not self.end_said:
                self.send(close=self.pb.Close(stream=self.stream, vector=self.vector(), reason=self.pb.CLOSE_ENDED))
                self.end_said = True
        if self.peer and time.monotonic() - self.beat > 0.2:
            self.beat = time.monotonic()
            session = self.pb.SessionPosition(stream=self.stream, vector=self.vector())
            if self.opened:
                session.positions.add(track=1, next=self.next)
            self.send(heartbeat=self.pb.Heartbeat(incarnation=self.incarnation, sessions=[session]))

    def forget(self):
        """What was acked is not kept any more, as by a capture: wanted again, it is a gap."""
        self.items[:self.acked] = ["gap"] * self.acked

    def run(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.work()
            time.sleep(0.005)

    def feed(self, frames, rate, gap=False):
        """Frames at so many a second."""
        for _ in range(frames):
            self.items.append("gap" if gap else "frame")
            self.run(1 / rate)

    def until(self, what, condition, seconds):
        def step():
            self.run(0.05)
            return condition()
        return wait_for(what, step, seconds, every=0)


class Process:
    def __init__(self, name, conf, log):
        self.command, self.log, self.p = [program("kvpipe-" + name), "-v", "-c", conf], log, None

    def start(self):
        self.p = subprocess.Popen(self.command, stdout=open(self.log, "ab"), stderr=subprocess.STDOUT)

    def stop(self, sig):
        started = time.monotonic()
        self.p.send_signal(sig)
        code = self.p.wait(20)
        return code, time.monotonic() - started
