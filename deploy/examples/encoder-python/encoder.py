#!/usr/bin/python3
"""An encoder for kvpipe in one file of Python: raw video in, H.264 out, whatever makes the H.264.

Written from proto/README.md and link.proto alone; the numbers of sections in the comments are those of that page. Replace COMMAND
by your own encoder: it reads raw pictures from its standard input and writes FLV to its output, one frame for each picture at once.
Needs python3-zmq, python3-protobuf and protoc (protobuf-compiler). Start it as the monitor does, see README.md beside this file.
"""
import argparse
import collections
import hashlib
import os
import queue
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

import zmq
import zmq.auth
import zmq.utils.monitor
import zmq.utils.z85

COMMAND = ("gst-launch-1.0 -q fdsrc fd=0 ! rawvideoparse format={format} width={width} height={height} framerate={rate}/1 "
           "! videoconvert ! x264enc tune=zerolatency speed-preset=ultrafast bframes=0 key-int-max={gop} bitrate=1000 "
           "! video/x-h264,profile=baseline ! h264parse ! flvmux streamable=true ! fdsink fd=1 sync=false")
HEARTBEAT_S, SILENCE_S, STRIKES, BROKEN_STRIKES = 0.25, 1.0, 2, 6  # 13
CREDIT_RAW, CREDIT_CODED, HEADER_MAX, NUMBER_MAX = 8, 128, 1 << 20, 2**63 - 1  # 12, 14
FRAGMENT_NS = 10**9  # at least so long between two starts (11)
STREAM = re.compile(r"[A-Za-z0-9_.-]{1,256}\Z")


def load_proto():
    """link_pb2, made from the contract's link.proto."""
    here = os.path.dirname(os.path.abspath(__file__))
    for where in (os.environ.get("KVPIPE_PROTO"), here + "/../../../proto", here + "/../../proto", "/usr/local/share/doc/kvpipe/proto", "/usr/share/doc/kvpipe/proto"):
        if where and os.path.exists(where + "/link.proto"):
            out = tempfile.mkdtemp()
            subprocess.run(["protoc", "--python_out=" + out, "-I", where, where + "/link.proto"], check=True)
            sys.path.insert(0, out)
            import link_pb2
            return link_pb2
    sys.exit("encoder.py: link.proto is nowhere to be found; set KVPIPE_PROTO to its folder")


pb = load_proto()
RAW = (pb.CODEC_RAW_VIDEO, pb.CODEC_RAW_AUDIO)


def log(text, *args):
    print("%s encoder.py " % time.strftime("%FT%TZ", time.gmtime()) + text % args, file=sys.stderr, flush=True)


class Refused(Exception):
    """A message that is against the contract: counted, logged, left out (2)."""


# ---- one picture in, one frame out ----

class Coder:
    """COMMAND as a process, with a thread that feeds it and one that reads FLV from it."""

    def __init__(self, track, wake):
        f = track.format
        self.pending = collections.deque()  # what went in and has not come out: frames, and gaps in their places
        self.config, self.frames, self.pictures = None, queue.Queue(), queue.Queue()
        command = COMMAND.format(format=f.layout.lower(), width=f.width, height=f.height, rate=round(f.rate_num / (f.rate_den or 1)) or 25,
                                 gop=2 * round(f.rate_num / (f.rate_den or 1)) or 50)
        self.process = subprocess.Popen(command.split(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for work in (self.feed, self.read):
            threading.Thread(target=work, args=(wake,), daemon=True).start()

    def feed(self, wake):
        try:
            while (picture := self.pictures.get()) is not None:
                self.process.stdin.write(picture)
                self.process.stdin.flush()
            self.process.stdin.close()
        except OSError:
            pass  # it ended: read() tells

    def read(self, wake):
        out = self.process.stdout
        out.read(13)
        while len(head := out.read(11)) == 11:
            body = out.read(int.from_bytes(head[1:4], "big"))
            out.read(4)
            if head[0] == 9 and body[1] == 0:
                self.config = bytes(body[5:])  # avcC
            elif head[0] == 9 and body[1] == 1:
                self.frames.put((body[0] >> 4 == 1, body[5:]))
                wake()
        self.frames.put(None)
        wake()

    def close(self):
        self.pictures.put(None)
        self.process.kill()
        self.process.wait()


# ---- one stream in its session ----

class Item:
    """A frame, or a gap in the place of seq to last."""

    def __init__(self, message, payload=None, **changes):
        self.gap = payload is None
        self.seq, self.last = (message.first, message.last) if self.gap and hasattr(message, "first") else (message.seq, message.seq)
        self.reason = getattr(message, "reason", 0)
        self.message, self.payload, self.format = message, payload, None
        vars(self).update(changes)
        self.dts = 0 if self.gap else message.dts_ns


class Track:
    def __init__(self, opened):
        self.number, self.format, self.base = opened.track, opened.format, getattr(opened, "from")
        self.next = 0                  # wanted from above
        self.window = collections.deque()  # put out and not acked
        self.low = self.high = 0       # of the window: the first number held, the one after the last
        self.sent = self.acked = self.limit = 0
        self.told = self.sent_at_beat = 0
        self.announced = None          # number of the format that the session below knows
        self.coder, self.out_format, self.formats = None, None, 0
        self.fragment = 0

    def raw(self):
        return self.format.codec in RAW

    def credit(self):
        return CREDIT_RAW if self.raw() else CREDIT_CODED


class Stream:
    def __init__(self, name, link, message):
        self.name, self.link, self.vector = name, link, list(message.vector.n)
        self.tracks = {t.track: Track(t) for t in message.tracks}
        self.state = "asking"          # asking, open, broken: towards above
        self.owner, self.g, self.opened = None, 0, False  # towards below
        self.strikes_up = self.strikes_down = 0
        self.fenced_said = self.ended = False
        self.backlog = (0, 0)

    def below(self):
        return self.vector + [self.g]

    def close(self):
        for t in self.tracks.values():
            if t.coder:
                t.coder.close()
                t.coder = None


# ---- ends of links ----

class Link:
    """A DEALER to one upstream address (2, 17)."""

    def __init__(self, encoder, address):
        self.address, self.connection, self.up, self.said_hello, self.strikes = address, 0, False, False, 0
        self.socket = encoder.context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 100)
        self.socket.setsockopt(zmq.SNDHWM, 0)
        self.socket.setsockopt(zmq.RCVHWM, 0)
        self.socket.setsockopt(zmq.RECONNECT_IVL, 50)
        self.socket.setsockopt(zmq.MAXMSGSIZE, 64 << 20)
        if encoder.keys and address.startswith("tcp://"):
            self.socket.curve_publickey, self.socket.curve_secretkey = zmq.auth.load_certificate(encoder.keys + "/encoder.secret")
            self.socket.curve_serverkey = zmq.auth.load_certificate(encoder.keys + "/capture.pub")[0]
        self.monitor = self.socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED |
                                                      zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL)
        self.socket.connect(address)

    def send(self, **body):
        if self.up:
            self.socket.send(pb.Envelope(**body).SerializeToString())


Peer = collections.namedtuple("Peer", "id instance incarnation")


class Encoder:
    def __init__(self, instance, connect, listen, keys):
        self.instance, self.incarnation, self.keys = instance, random.getrandbits(63) + 1, keys
        self.context = zmq.Context()
        self.streams, self.greatest = {}, {}
        self.peers, self.heard, self.usable = {}, {}, set()  # by instance
        self.by_id, self.ticked, self.beaten, self.refused, self.leaving = {}, time.monotonic(), 0, 0, False
        self.wake_read, self.wake_write = os.pipe()
        self.zap = None
        self.router = self.context.socket(zmq.ROUTER)
        self.router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self.router.setsockopt(zmq.LINGER, 100)
        self.router.setsockopt(zmq.SNDHWM, 0)
        self.router.setsockopt(zmq.RCVHWM, 0)
        if keys and listen.startswith("tcp://"):
            self.serve_keys()
        self.router.bind(listen)
        self.links = [Link(self, a) for a in connect.split()]

    # ---- keys (2): without an answer to these questions libzmq lets in any key ----

    def serve_keys(self):
        self.zap = self.context.socket(zmq.REP)
        self.zap.bind("inproc://zeromq.zap.01")
        self.router.curve_secretkey = zmq.auth.load_certificate(self.keys + "/encoder.secret")[1]
        self.router.curve_server = True
        self.router.zap_domain = b"encoder"

    def on_key(self):
        version, request, _, address, _, _, key = self.zap.recv_multipart()
        known = [n for n in os.listdir(self.keys) if re.match(r"muxer(\..+)?\.pub\Z", n) and
                 zmq.utils.z85.decode(zmq.auth.load_certificate(self.keys + "/" + n)[0]) == key]
        if not known:
            log("key_refused from=%s", address.decode())
        self.zap.send_multipart([version, request, b"200" if known else b"400", b"", b"", b""])

    # ---- below: the outlet (6) ----

    def send_down(self, peer, payload=None, **body):
        try:
            self.router.send_multipart([peer.id, pb.Envelope(**body).SerializeToString()] + ([] if payload is None else [payload]), zmq.NOBLOCK)
        except zmq.Again:
            return False
        except zmq.ZMQError:
            self.usable.discard(peer.instance)
            return False
        return True

    def choose(self, s):
        """The usable instance with the greatest hash."""
        name = max(self.usable, key=lambda i: hashlib.sha1((s.name + "\xff" + i).encode()).digest(), default=None)
        return self.peers.get(name)

    def open_below(self, s, peer=None):
        s.owner = peer or self.choose(s)
        s.opened = False
        if not s.owner:
            return
        s.g += 1  # rule 3
        s.strikes_down = 0
        tracks = []
        for t in s.tracks.values():
            tracks.append(pb.Track(track=t.number, format=t.out_format or self.guess(t), video=t.format.width > 0))
            setattr(tracks[-1], "from", max(t.base, t.acked))
        self.send_down(s.owner, open=pb.Open(stream=s.name, vector=pb.Vector(n=s.below()), tracks=tracks))

    def guess(self, t):
        """What will come of a track, as far as it is known before its first frame."""
        if t.format.codec != pb.CODEC_RAW_VIDEO:
            return t.format
        return pb.Format(number=1, codec=pb.CODEC_H264, layout="annexb", width=t.format.width, height=t.format.height,
                         rate_num=t.format.rate_num, rate_den=t.format.rate_den)

    def owned(self, peer, m):
        """The stream that an answer is for: exact vector, from the owner (rule 6)."""
        s = self.streams.get(m.stream)
        return s if s and s.owner and s.owner.id == peer.id and list(m.vector.n) == s.below() else None

    @staticmethod
    def positions(s, m):
        at = {p.track: p for p in m}
        if set(at) != set(s.tracks) or len(at) != len(m) or any(p.next > NUMBER_MAX or p.credit > NUMBER_MAX for p in m):
            raise Refused("positions that do not fit the tracks")
        return at

    def on_hello_below(self, peer_id, m):
        if m.version != 1 or not m.instance:
            raise Refused("Hello of version %d" % m.version)
        peer = Peer(peer_id, m.instance, m.incarnation)
        old = self.peers.get(m.instance)
        if old:
            self.by_id.pop(old.id, None)
        self.peers[m.instance] = self.by_id[peer_id] = peer
        self.heard[m.instance] = time.monotonic()
        self.usable.add(m.instance)
        for s in list(self.streams.values()):
            if s.owner is None or s.owner.instance == m.instance:
                self.open_below(s, peer if s.owner else None)

    def on_resume(self, peer, m):
        s = self.owned(peer, m)
        if not s or s.opened:
            return
        at = self.positions(s, m.positions)
        if s.state == "open" and any(p.next < s.tracks[n].low or p.next > s.tracks[n].high for n, p in at.items()):
            log("stream=%s: the log below wants what is not held any more", s.name)
            s.state = "broken"
            self.hello(s.link)
            return
        s.opened = True
        for n, p in at.items():
            t = s.tracks[n]
            if s.state == "asking":
                t.next = t.low = t.high = p.next
            t.sent, t.announced, t.told = p.next, None, p.next
        first = s.state == "asking"
        s.state = "open" if first else s.state
        self.forget(s, at)
        if first:
            s.link.send(resume=pb.Resume(stream=s.name, vector=pb.Vector(n=s.vector), positions=self.acked(s)))
        self.pump(s)

    def forget(self, s, at):
        for n, p in at.items():
            t = s.tracks[n]
            t.acked, t.limit = max(t.acked, p.next), p.next + min(p.credit, 65536)
            while t.window and t.window[0].last < p.next:
                t.window.popleft()
            t.low = max(t.low, p.next)

    def on_ack(self, peer, m):
        s = self.owned(peer, m)
        if s and s.opened and s.state == "open":
            self.take_ack(s, self.positions(s, m.positions), (m.backlog_ms, m.backlog_bytes))

    def take_ack(self, s, at, backlog):
        if any(p.next > s.tracks[n].sent for n, p in at.items()):
            raise Refused("an Ack of what was not sent")
        before = [(t.acked, t.limit) for t in s.tracks.values()], s.backlog
        self.forget(s, at)
        s.backlog = backlog
        if ([(t.acked, t.limit) for t in s.tracks.values()], s.backlog) != before:
            s.link.send(ack=pb.Ack(stream=s.name, vector=pb.Vector(n=s.vector), positions=self.acked(s), backlog_ms=backlog[0],
                                   backlog_bytes=backlog[1]))
        self.pump(s)

    def acked(self, s):
        return [pb.Position(track=t.number, next=t.acked, credit=min(t.credit(), t.limit - t.acked)) for t in s.tracks.values()]

    def pump(self, s):
        """Sends what the credit allows, the earliest of all tracks first."""
        while s.opened and s.owner:
            ready = []
            for t in s.tracks.values():
                item = next((i for i in t.window if i.last >= t.sent), None)
                if item and (item.gap or item.seq < t.limit):
                    ready.append((item.dts, t.number, item))
            if not ready:
                break
            _, number, item = min(ready, key=lambda r: r[:2])
            if not self.send_item(s, s.tracks[number], item):
                return
        if s.ended and s.opened and s.owner and all(t.sent == t.high and not (t.coder and t.coder.pending) for t in s.tracks.values()):
            self.send_down(s.owner, close=pb.Close(stream=s.name, vector=pb.Vector(n=s.below()), reason=pb.CLOSE_ENDED))

    def send_item(self, s, t, item):
        vector = pb.Vector(n=s.below())
        if item.gap:
            ok = self.send_down(s.owner, gap=pb.Gap(stream=s.name, vector=vector, track=t.number, first=max(item.seq, t.sent),
                                                    last=item.last, reason=item.reason))
        else:
            f = pb.Frame()
            f.CopyFrom(item.message)
            f.vector.CopyFrom(vector)
            f.format = item.format.number
            f.ClearField("new_format")
            if t.announced != item.format.number:
                f.new_format.CopyFrom(item.format)
            ok = self.send_down(s.owner, item.payload, frame=f)
            t.announced = item.format.number if ok else t.announced
        if ok:
            t.sent = item.last + 1
        return ok

    def lacks(self, s, session):
        """Rule 8, seen from the outlet."""
        if session is None:
            return True
        has = {p.track: p.next for p in session.positions}
        if not has:
            return s.opened
        if not s.opened:
            return True
        lacking = False
        for t in s.tracks.values():
            lacking |= has.get(t.number, 0) < t.sent_at_beat and has.get(t.number) == t.told
            t.told = has.get(t.number)
        return lacking

    def on_heartbeat_below(self, peer, m):
        if m.incarnation != peer.incarnation:
            raise Refused("a heartbeat of another incarnation")
        if peer.instance not in self.usable:
            self.usable.add(peer.instance)
        for s in list(self.streams.values()):
            if s.owner is None:
                self.open_below(s)
                continue
            if s.owner.id != peer.id:
                continue
            mine = next((x for x in m.sessions if x.stream == s.name and list(x.vector.n) == s.below()), None)
            s.strikes_down = s.strikes_down + 1 if self.lacks(s, mine) else 0
            if s.strikes_down >= STRIKES:
                self.open_below(s, peer)
            elif mine and mine.acked and s.opened and s.state == "open":
                self.take_ack(s, self.positions(s, mine.acked), s.backlog)

    def on_close_below(self, peer, m):
        if m.reason == pb.CLOSE_DRAINING:
            self.leave(peer.instance)
        elif m.reason == pb.CLOSE_FENCED:
            s = self.owned(peer, m)
            if s:
                s.link.send(close=pb.Close(stream=s.name, vector=pb.Vector(n=s.vector), reason=pb.CLOSE_FENCED, greatest=m.greatest))
                self.drop(s)
        else:
            raise Refused("a Close that does not go up")

    def leave(self, instance):
        self.usable.discard(instance)
        for s in self.streams.values():
            if s.owner and s.owner.instance == instance:
                self.open_below(s)

    def receive_below(self, parts):
        peer = self.by_id.get(parts[0])
        kind, m, _ = self.decode(parts[1:])
        if kind == "hello":
            self.on_hello_below(parts[0], m)
        elif not peer:  # who are you?
            self.send_down(Peer(parts[0], "", 0), hello=pb.Hello(version=1, incarnation=self.incarnation))
        else:
            self.heard[peer.instance] = time.monotonic()
            handler = {"resume": self.on_resume, "ack": self.on_ack, "heartbeat": self.on_heartbeat_below, "close": self.on_close_below}.get(kind)
            if not handler:
                raise Refused("%s does not go up" % kind)
            handler(peer, m)

    # ---- above: the inlet (7) ----

    def hello(self, link):
        """Asks for a new Open of every stream: all sessions of the link are over (rule 7)."""
        for s in self.streams.values():
            if s.link is link and s.state != "broken":
                self.break_session(s)
        link.strikes = 0
        link.said_hello = True
        link.send(hello=pb.Hello(version=1, instance=self.instance, incarnation=self.incarnation, connection=link.connection))

    def break_session(self, s):
        s.state = "broken"
        s.close()

    def drop(self, s):
        s.close()
        self.streams.pop(s.name, None)

    def on_open(self, link, m):
        vector = list(m.vector.n)
        if not 2 <= len(vector) <= 7 or not 1 <= len(m.tracks) <= 3 or {t.track for t in m.tracks} - {1, 2, 3} or \
                len({t.track for t in m.tracks}) != len(m.tracks):
            raise Refused("Open with a vector or tracks out of range")
        if vector <= self.greatest.get(m.stream, []):
            self.send_fenced(link, m)
            return
        self.greatest[m.stream] = vector
        old = self.streams.get(m.stream)
        s = Stream(m.stream, link, m)
        if old:
            self.drop(old)
        self.streams[m.stream] = s
        self.open_below(s, old.owner if old and old.owner and old.owner.instance in self.usable else None)  # rule 4: ask the log

    def send_fenced(self, link, m):
        link.send(close=pb.Close(stream=m.stream, vector=m.vector, reason=pb.CLOSE_FENCED, greatest=pb.Vector(n=self.greatest[m.stream])))

    def on_item(self, link, m, first, last, payload):
        s = self.streams.get(m.stream)
        if not s or s.link is not link or list(m.vector.n) != s.vector:  # rule 6
            if s and not s.fenced_said and list(m.vector.n) < self.greatest[m.stream]:
                s.fenced_said = True
                self.send_fenced(link, m)
            return
        if s.state != "open":
            return
        t = s.tracks.get(m.track)
        if payload is not None and t and m.HasField("new_format") and m.new_format.number == m.format:
            if t.format != m.new_format and t.coder:
                t.coder.close()
                t.coder = None
            t.format = m.new_format
        if not t or first != t.next or last < first or (payload is not None and t.format.number != m.format):  # rule 7
            log("stream=%s: number %d came, not as announced or not the next", s.name, first)
            self.hello(link)
            return
        t.next = last + 1
        s.ended = False
        self.take(s, t, m, payload)

    def on_heartbeat_above(self, link, m):
        unknown = again = False
        for x in m.sessions:
            s = self.streams.get(x.stream)
            if list(x.vector.n) < self.greatest.get(x.stream, []):
                continue
            if not s or s.link is not link or list(x.vector.n) != s.vector:
                unknown = True
                continue
            lacking = s.state == "broken" or (s.state == "open" and any(
                p.track in s.tracks and s.tracks[p.track].next < p.next for p in x.positions))
            s.strikes_up = s.strikes_up + 1 if lacking else 0
            again |= s.strikes_up >= (BROKEN_STRIKES if s.state == "broken" else STRIKES)
        link.strikes = link.strikes + 1 if unknown else 0
        if again or link.strikes >= STRIKES:
            for s in self.streams.values():
                s.strikes_up = 0
            self.hello(link)

    def on_close_above(self, link, m):
        if m.reason not in (pb.CLOSE_MOVED, pb.CLOSE_ENDED):
            raise Refused("a Close that does not go down")
        s = self.streams.get(m.stream)
        if not s or s.link is not link or list(m.vector.n) != s.vector:
            return
        if m.reason == pb.CLOSE_MOVED:
            self.drop(s)
        elif s.state == "open":
            s.ended = True
            self.pump(s)

    def receive_above(self, link, parts):
        kind, m, payload = self.decode(parts)
        if kind == "hello":
            if m.version != 1:
                raise Refused("a question of version %d" % m.version)
            self.hello(link)
        elif not link.said_hello:
            pass  # of a connection before
        elif kind == "open":
            self.on_open(link, m)
        elif kind == "frame":
            self.on_item(link, m, m.seq, m.seq, payload)
        elif kind == "gap":
            self.on_item(link, m, m.first, m.last, None)
        elif kind == "heartbeat":
            self.on_heartbeat_above(link, m)
        elif kind == "close":
            self.on_close_above(link, m)
        else:
            raise Refused("%s does not go down" % kind)

    def decode(self, parts):
        if not parts or len(parts) > 2 or len(parts[0]) > HEADER_MAX:
            raise Refused("no header, too long a one, or too many parts")
        e = pb.Envelope()
        try:
            e.ParseFromString(parts[0])
        except Exception:
            raise Refused("bytes that are no message")
        kind = e.WhichOneof("body")
        if kind is None or (kind == "frame") != (len(parts) == 2):
            raise Refused("an empty message, or a payload where none goes")
        m = getattr(e, kind)
        if hasattr(m, "stream") and not (STREAM.match(m.stream) or (kind == "close" and m.reason == pb.CLOSE_DRAINING)):
            raise Refused("a stream name that is none")
        if kind == "gap" and not m.first <= m.last < NUMBER_MAX or kind == "frame" and (m.seq > NUMBER_MAX or m.HasField("ref")):
            raise Refused("numbers out of range")
        return kind, m, parts[1] if len(parts) == 2 else None

    # ---- what an encoder does (16) ----

    def take(self, s, t, m, payload):
        if payload is not None and not t.raw():
            self.put(s, t, Item(m, payload, format=t.format))  # coded already: as it is
        elif payload is not None and t.format.codec == pb.CODEC_RAW_VIDEO:
            if not t.coder:
                t.coder = Coder(t, lambda: os.write(self.wake_write, b"!"))
                t.out_format = None
            t.coder.pending.append(Item(m, payload))
            t.coder.pictures.put(payload)
        else:
            gap = Item(m) if payload is None else Item(m, reason=pb.GAP_FORMAT)  # raw sound: this encoder has no use for it
            if t.coder and t.coder.pending:
                t.coder.pending.append(gap)
            else:
                self.put(s, t, gap)

    def put(self, s, t, item):
        t.window.append(item)
        t.high = item.last + 1
        self.pump(s)

    def collect(self, s, t):
        """What the coder has made, and the gaps between."""
        while t.coder and s.state == "open":
            while t.coder.pending and t.coder.pending[0].gap:
                self.put(s, t, t.coder.pending.popleft())
            try:
                made = t.coder.frames.get_nowait()
            except queue.Empty:
                return
            if made is None or not t.coder.pending:
                log("stream=%s: the encoder ended; its session begins anew", s.name)
                self.break_session(s)  # heartbeats no longer list it, so it is opened again
                return
            self.put(s, t, self.coded(t, t.coder.pending.popleft(), *made))

    def coded(self, t, item, key, payload):
        if not t.out_format or t.out_format.config != t.coder.config:
            t.formats += 1
            t.out_format = pb.Format(number=t.formats, codec=pb.CODEC_H264, layout="avcc", width=t.format.width, height=t.format.height,
                                     rate_num=t.format.rate_num, rate_den=t.format.rate_den, config=t.coder.config)
        f = pb.Frame()
        f.CopyFrom(item.message)
        f.key, f.previous_fragment_ns = key, 0
        if key and (not t.fragment or f.pts_ns - t.fragment >= FRAGMENT_NS):
            f.previous_fragment_ns, t.fragment = t.fragment, f.pts_ns
        f.fragment_ns = t.fragment
        return Item(f, payload, format=t.out_format)

    # ---- the loop ----

    def beat(self):
        for link in self.links:
            if link.said_hello:
                sessions = []
                for s in self.streams.values():
                    if s.link is link and s.state != "broken":
                        x = pb.SessionPosition(stream=s.name, vector=pb.Vector(n=s.vector))
                        if s.state == "open":
                            x.positions.extend(pb.Position(track=t.number, next=t.next) for t in s.tracks.values())
                            x.acked.extend(self.acked(s))
                        sessions.append(x)
                link.send(heartbeat=pb.Heartbeat(incarnation=self.incarnation, sessions=sessions))
        for peer in list(self.by_id.values()):
            if peer.instance in self.usable:
                sessions = []
                for s in self.streams.values():
                    if s.owner and s.owner.id == peer.id:
                        x = pb.SessionPosition(stream=s.name, vector=pb.Vector(n=s.below()))
                        for t in s.tracks.values() if s.opened else ():
                            x.positions.add(track=t.number, next=t.sent)
                            t.sent_at_beat = t.sent
                        sessions.append(x)
                self.send_down(peer, heartbeat=pb.Heartbeat(incarnation=self.incarnation, sessions=sessions))
        for s in list(self.streams.values()):
            self.pump(s)  # also what could not be sent, and Close(ENDED) once more

    def tick(self):
        now = time.monotonic()
        if now - self.ticked > SILENCE_S / 2:  # this process stood still itself
            self.heard = {i: now for i in self.heard}
        self.ticked = now
        for instance in [i for i in self.usable if now - self.heard[i] > SILENCE_S]:
            log("peer=%s is silent", instance)
            self.leave(instance)
        for s in [s for s in self.streams.values() if s.owner and s.owner.instance not in self.usable]:
            self.open_below(s)
        if now - self.beaten >= HEARTBEAT_S:
            self.beaten = now
            self.beat()

    def on_connection(self, link):
        event = zmq.utils.monitor.recv_monitor_message(link.monitor)["event"]
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            link.up = True
            link.connection += 1
            self.hello(link)
        elif event == zmq.EVENT_DISCONNECTED:
            link.up = link.said_hello = False
            for s in self.streams.values():
                if s.link is link:
                    self.break_session(s)
        else:
            sys.exit("encoder.py: %s refuses the keys of %s" % (link.address, self.keys))  # and to be started again is a new try

    def read(self, socket, receive):
        """Everything that waits there, but not for ever."""
        for _ in range(256):
            try:
                parts = socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                receive(parts)
            except Refused as why:
                self.refused += 1
                if self.refused <= 20:
                    log("refused: %s", why)

    def run(self):
        poller = zmq.Poller()
        for socket in [self.router, self.wake_read] + [x for link in self.links for x in (link.socket, link.monitor)] + ([self.zap] if self.zap else []):
            poller.register(socket, zmq.POLLIN)
        while not self.leaving:
            ready = dict(poller.poll(50))
            if self.wake_read in ready:
                os.read(self.wake_read, 65536)
                for s in list(self.streams.values()):
                    for t in list(s.tracks.values()):
                        self.collect(s, t)
            if self.zap in ready:
                self.on_key()
            for link in self.links:
                if link.monitor in ready:
                    self.on_connection(link)
                if link.socket in ready:
                    self.read(link.socket, lambda parts: self.receive_above(link, parts))
            if self.router in ready:
                self.read(self.router, self.receive_below)
            self.tick()
        for link in self.links:
            link.send(close=pb.Close(reason=pb.CLOSE_DRAINING))
            link.monitor.close()
            link.socket.disable_monitor()
            link.socket.close()
        for s in list(self.streams.values()):
            self.drop(s)
        self.context.destroy(linger=100)


def main(kind=Encoder):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("-i", "--instance", default="encoder-python-1", help="name of this process, the same after a restart")
    p.add_argument("-c", "--config", help="given by the monitor; not read: the addresses are in KVPIPE_CONNECT and KVPIPE_LISTEN")
    p.add_argument("--connect", default=os.environ.get("KVPIPE_CONNECT"), help="addresses of the stage above")
    p.add_argument("--listen", default=os.environ.get("KVPIPE_LISTEN"), help="address for the stage below")
    p.add_argument("--keys", default=os.environ.get("KVPIPE_KEYS") or None, help="folder of keys for tcp:// (kvpipe keys init)")
    a = p.parse_args()
    if not a.connect or not a.listen:
        p.error("expected --connect and --listen")
    encoder = kind(a.instance, a.connect, a.listen, a.keys)
    signal.signal(signal.SIGTERM, lambda *_: setattr(encoder, "leaving", True))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    encoder.run()


if __name__ == "__main__":
    main()
