"""An uploader alone, fed by a muxer written in Python, against a fault endpoint: one scene a fault, several at the same time."""
import collections
import concurrent.futures
import hashlib
import json
import os
import shutil
import signal
import struct
import tempfile
import time

import yaml
from fake_muxer import FPS, SIZE, Muxer, Process, compile_proto
from fault_endpoint import FaultEndpoint
from kv import SLOW, check, packets

KEYS = {"AKIDEXAMPLE": "not-in-the-log"}
AT_ONCE = 10


def payload_hash(seq):
    data = struct.pack(">I", SIZE - 4) + (b"\x65" if seq % FPS == 0 else b"\x41") + b"#%08d#" % seq
    return hashlib.sha256(data.ljust(SIZE, b"\xaa")).hexdigest()


class Scene:
    """script(n): see fault_endpoint. conf: more of the section `endpoint`. host: the name in its URL. during(scene): called when
    the feeding has begun, in the feeding thread. wrap: a command in front of the uploader's. prepare(scene): called before anything
    runs, to set these and .keys. skew_s: what the clock of the source is off by. spool: the config's section. may_repeat: so many frames
    may be archived twice."""

    def __init__(self, name, script=None, fragments=5, conf=None, absent=False, host="127.0.0.1", during=None, seconds=40, wrap=None,
                 gap_s=0, prepare=None, rate=400, skew_s=0, spool=None, may_repeat=0):
        self.name, self.script, self.fragments, self.conf = name, script or (lambda n: {}), fragments, conf or {}
        self.absent, self.host, self.during, self.seconds, self.wrap, self.gap_s = absent, host, during, seconds, wrap, gap_s
        self.prepare, self.rate, self.skew_s, self.keys = prepare, rate, skew_s, dict(KEYS)
        self.spool, self.may_repeat = spool or {}, may_repeat

    def play(self, pb):
        self.folder = tempfile.mkdtemp(prefix="kvpipe-scene-")
        self.run = self.folder + "/run"
        os.makedirs(self.run)
        self.start_ms = (int(time.time()) + self.skew_s) * 1000 - 60000
        if self.prepare:
            self.prepare(self)
        self.endpoint = FaultEndpoint(self.keys)
        self.port = self.endpoint.port
        self.endpoint.script = self.script
        if self.absent:
            self.endpoint.close()
        conf = self.folder + "/pipeline.yaml"
        with open(conf, "w") as f:
            yaml.safe_dump({"run": self.run, "endpoint": dict({"url": "http://%s:%d" % (self.host, self.port), "region": "us-west-2"}, **self.conf),
                            "server": {"enabled": False}, "spool": self.spool, "muxer": {"listen": "ipc://%s/muxer.sock" % self.run},
                            "streams": [{"name": "cam", "source": {"type": "test"}}]}, f)
        self.muxer = Muxer(pb, "ipc://%s/muxer.sock" % self.run, "cam", self.start_ms)
        self.uploader = Process("uploader", conf, self.folder + "/log")
        self.uploader.command = (self.wrap or []) + self.uploader.command
        try:
            self.feed()
        except TimeoutError as e:
            self.failed = str(e)
        finally:
            if self.uploader.p and self.uploader.p.poll() is None:
                self.uploader.stop(signal.SIGTERM)
            self.endpoint.close() if not self.absent else None
            self.muxer.socket.close()
            self.muxer.zmq.term()
        self.log = open(self.folder + "/log", errors="replace").read()
        return self

    failed = None
    mistimed = False  # signatures with a wrong time are part of the scene

    def feed(self):
        self.uploader.start()
        self.muxer.until("%s: the first Resume" % self.name, lambda: self.muxer.opened, 20)
        self.muxer.feed(FPS + 5, self.rate)
        if self.during:
            self.during(self)
        if self.gap_s:
            self.muxer.run(self.gap_s)
        self.muxer.feed(self.fragments * FPS - len(self.muxer.items), self.rate)
        self.muxer.ended = True
        self.muxer.until("%s: everything in the archive or the ledger" % self.name, lambda: self.settled() and self.muxer.end_said, self.seconds)
        self.muxer.run(0.3)

    def archived(self):
        known = {payload_hash(n): n for n in range(self.fragments * FPS)}
        with self.endpoint.lock:
            return [known.get(h, -1) for f in self.endpoint.archive for h in f.payloads]

    def ledger(self):
        try:
            with open(self.run + "/spool/cam/gaps.log") as f:
                return [json.loads(line) for line in f if line.endswith("\n")]
        except FileNotFoundError:
            return []

    def counted(self):
        return [n for g in self.ledger() if g["count"] for n in range(g["first"], g["last"] + 1)]

    def settled(self):
        return len(set(self.archived() + self.counted())) >= self.fragments * FPS

    def account(self):
        """The claims that hold for each scene."""
        count = collections.Counter(self.archived())
        lost = self.counted()
        again = sum(c - 1 for c in count.values() if c > 1)
        wrong = [n for n in range(self.fragments * FPS) if count[n] != (0 if n in lost else 1) and not (count[n] == 2 and again <= self.may_repeat)]
        ok = check(not self.failed and not wrong and not count[-1] and len(lost) == len(set(lost)),
                   "%s: %d frames captured = %d archived, each once, + %d counted%s%s" % (
                       self.name, self.fragments * FPS, sum(count.values()), len(lost),
                       "; wrong: %s" % wrong[:10] if wrong else "", "; " + self.failed if self.failed else ""))
        check(not self.endpoint.refused and (self.mistimed or not self.endpoint.mistimed),
              "%s: each of %d requests was signed right" % (self.name, len(self.endpoint.requests)))
        check("not-in-the-log" not in self.log, "%s: no secret in the log" % self.name)
        if not ok:
            print("\n".join(self.log.splitlines()[-30:]))
        return ok

    def kept_aside(self):
        """{name: packets} of the refused fragments on disk, by ffprobe."""
        folder = self.run + "/spool/cam/refused"
        return {n: len(packets(folder + "/" + n)) for n in sorted(os.listdir(folder))} if os.path.isdir(folder) else {}

    def said(self, text):
        return check(text in self.log, "%s: the log says \"%s\"" % (self.name, text))

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def play(scenes):
    """Plays all, some at a time; each is accounted for. Returns {name: scene}."""
    os.environ.update(AWS_ACCESS_KEY_ID="AKIDEXAMPLE", AWS_SECRET_ACCESS_KEY=KEYS["AKIDEXAMPLE"])
    with tempfile.TemporaryDirectory(prefix="kvpipe-proto-") as work:
        pb = compile_proto(work)
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            done = list(pool.map(lambda s: s.play(pb), scenes))
    for scene in done:
        scene.account()
    return {s.name: s for s in done}


def finish_scenes(done):
    for scene in done.values():
        scene.close()
