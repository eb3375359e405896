#!/usr/bin/python3
"""Makes a broken stage of a good one: saboteur.py STAGE VARIANT PROGRAM -c FILE -i NAME starts PROGRAM behind itself and spoils the
messages on the link below a capture or muxer, or above an uploader.

BROKEN says which rule of `kvpipe conform` must notice each variant, and by what words.
"""
import collections
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import yaml
import zmq

# (stage, variant): (rule, what the verdict says)
BROKEN = {
    ("capture", "opens-nothing"): ("begins", "not followed by an Open"),
    ("capture", "long-vector"): ("opens", "a vector of 3 numbers"),
    ("capture", "skips"): ("frames", "but 10 is next"),
    ("capture", "stands-still"): ("frames", "does not rise"),
    ("capture", "no-format"): ("begins", "was not announced"),
    ("capture", "no-heartbeats"): ("heartbeat", "0 heartbeats"),
    ("capture", "greedy"): ("credit", "beyond position"),
    ("capture", "other-copy"): ("again", "not sent again as it was"),
    ("capture", "any-answer"): ("stale-answer", "beyond position"),
    ("capture", "deaf-to-beats"): ("beats-below", "no new Open"),
    ("capture", "patient"): ("silence", "is silent, another instance is there"),
    ("capture", "deaf-to-leaving"): ("draining", "leaves, another instance is there"),
    ("capture", "dies-of-garbage"): ("bad-bytes", "the process ended"),
    ("capture", "deaf-to-fences"): ("fenced", "no Open with an epoch above"),
    ("capture", "same-epoch"): ("restart", "epoch 5 after epoch 5|not greater"),
    ("uploader", "below-base"): ("base", "a base of 100: Resume says 0"),
    ("uploader", "no-gaps"): ("gap", "were sent, only those below [01] were acked"),
    ("uploader", "old-epoch"): ("epoch", "a new epoch begins at 1"),
    ("uploader", "forgetful"): ("durable", "takes a vector that it had taken|after kill -9 it has 0"),
    ("muxer", "no-cluster"): ("pieces", "begins with other than Tags or Cluster"),
    ("muxer", "new-header"): ("same-header", "another segment header"),
}


class Saboteur:
    def __init__(self, stage, variant, program, options):
        self.stage, self.variant, self.count = stage, variant, 0
        self.vectors, self.epoch, self.beats, self.sent = {}, None, {}, collections.Counter()
        self.context = zmq.Context()
        self.context.setsockopt(zmq.LINGER, 0)
        out = tempfile.mkdtemp()
        subprocess.run(["protoc", "--python_out=" + out, "-Iproto", "proto/link.proto"], check=True)
        sys.path.insert(0, out)
        import link_pb2
        shutil.rmtree(out)
        self.pb = link_pb2
        file = options[options.index("-c") + 1]
        inner = "ipc://%s/inner.sock" % os.path.dirname(file)
        with open(file) as f:
            conf = yaml.safe_load(f)
        conf[stage]["connect" if stage == "uploader" else "listen"] = inner
        with open(file + ".inner", "w") as f:
            yaml.safe_dump(conf, f)
        options[options.index("-c") + 1] = file + ".inner"
        if variant == "forgetful":
            shutil.rmtree(os.environ["KVPIPE_RUN"] + "/spool", ignore_errors=True)
        self.router = self.context.socket(zmq.ROUTER)
        self.router.bind(inner if stage == "uploader" else os.environ["KVPIPE_LISTEN"])
        self.there = os.environ["KVPIPE_CONNECT"] if stage == "uploader" else inner
        self.dealers = {}  # routing id of the router's peer: its own connection to the other side
        self.poller = zmq.Poller()
        self.poller.register(self.router, zmq.POLLIN)
        libc = ctypes.CDLL(None)
        self.child = subprocess.Popen([program, *options], preexec_fn=lambda: libc.prctl(1, signal.SIGKILL))  # PR_SET_PDEATHSIG

    def dealer(self, peer):
        if peer not in self.dealers:
            self.dealers[peer] = self.context.socket(zmq.DEALER)
            self.dealers[peer].connect(self.there)
            self.poller.register(self.dealers[peer], zmq.POLLIN)
        return self.dealers[peer]

    # ---- what is spoilt; each returns the messages that go on ----

    def vector(self, v, down):
        """What the kit is shown in place of the stage's vector, and back."""
        if self.variant == "long-vector" and down and len(v.n) == 2:
            v.n.append(1)
        elif self.variant == "long-vector" and not down and len(v.n) == 3:
            del v.n[2]
        elif self.variant == "same-epoch" and len(v.n):
            if down:
                self.epoch, v.n[0] = v.n[0], 5
            else:
                v.n[0] = self.epoch or 5

    def vectors_in(self, m):
        for x in [m] + list(getattr(m, "sessions", [])):
            if hasattr(x, "vector"):
                yield x.vector

    def down(self, kind, m, parts, peer):
        v = self.variant
        if (v == "opens-nothing" and kind == "open") or (v == "no-heartbeats" and kind == "heartbeat"):
            return []
        if kind == "open":
            self.vectors[m.stream] = m.vector.SerializeToString()
        for x in self.vectors_in(m):
            self.vector(x, True)
        if kind == "frame":
            self.count += 1
            if v == "skips" and m.seq == 10:
                return []
            if v == "stands-still":
                m.dts_ns = 1700000000 * 10**9
            if v == "no-format":
                m.ClearField("new_format")
            if v == "other-copy":
                parts[1] = parts[1][:-4] + self.count.to_bytes(4, "big")
            if v == "no-cluster" and parts[1][:4] == b"\x1f\x43\xb6\x75":
                parts[1] = b"\xec\x80" + parts[1]
            if v == "new-header" and m.HasField("new_format"):
                m.new_format.segment += b"\xec\x81" + bytes([self.count % 256])
        return [m]

    def up(self, kind, m, parts, peer):
        v = self.variant
        if kind in ("resume", "ack") and v == "any-answer" and m.stream in self.vectors:
            m.vector.ParseFromString(self.vectors[m.stream])
        for x in self.vectors_in(m):
            self.vector(x, False)
        if v == "greedy":
            for x in ([m] if kind in ("resume", "ack") else m.sessions if kind == "heartbeat" else []):
                for p in x.positions if kind != "heartbeat" else x.acked:
                    p.credit += 50
        if kind == "close" and ((v == "deaf-to-leaving" and m.reason == self.pb.CLOSE_DRAINING) or
                                (v == "deaf-to-fences" and m.reason == self.pb.CLOSE_FENCED)):
            return []
        if kind == "heartbeat" and v == "deaf-to-beats":
            if not m.sessions and self.vectors:
                return []
        if kind == "heartbeat" and v == "patient":
            self.beats[peer] = m.SerializeToString()
        return [m]

    def uploader_up(self, kind, m):
        v = self.variant
        if kind == "resume" and v == "below-base":
            m.positions[0].next = 0
        if kind == "resume" and v == "old-epoch":
            m.positions[0].next += 1
        return [m]

    def pass_on(self, parts, down, peer):
        e = self.pb.Envelope()
        try:
            e.ParseFromString(parts[0])
            kind = e.WhichOneof("body")
            if kind is None:
                raise ValueError
        except Exception:
            if self.variant == "dies-of-garbage":
                os._exit(1)
            return [parts]
        m = getattr(e, kind)
        if self.stage == "uploader":
            if down and self.variant == "no-gaps" and kind == "gap":
                return []
            kept = [m] if down else self.uploader_up(kind, m)
        else:
            kept = (self.down if down else self.up)(kind, m, parts, peer)
        return [[e.SerializeToString()] + parts[1:] for _ in kept]

    def run(self):
        beat = 0
        while self.child.poll() is None:
            for socket in dict(self.poller.poll(50)):
                while True:
                    try:
                        parts = socket.recv_multipart(zmq.NOBLOCK)
                    except zmq.Again:
                        break
                    if socket is self.router:
                        for out in self.pass_on(parts[1:], False, parts[0]):
                            self.dealer(parts[0]).send_multipart(out)
                    else:
                        peer = next(p for p, d in self.dealers.items() if d is socket)
                        for out in self.pass_on(parts, True, peer):
                            self.router.send_multipart([peer] + out)
            if self.beats and time.monotonic() - beat > 0.2:  # for those that are silent
                beat = time.monotonic()
                for peer, m in self.beats.items():
                    self.dealer(peer).send(self.pb.Envelope(heartbeat=self.pb.Heartbeat.FromString(m)).SerializeToString())


def main():
    stage, variant, program, *options = sys.argv[1:]
    s = Saboteur(stage, variant, program, options)
    signal.signal(signal.SIGTERM, lambda *_: s.child.terminate())
    s.run()
    sys.exit(s.child.returncode)


if __name__ == "__main__":
    main()
