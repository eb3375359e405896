"""Starts whole pipelines of real processes for tests and reads back what they archived.

A Pipeline runs kvpipe-monitor on a config in a directory of its own, on free ports, so tests can run beside each other.
Nothing here sleeps to hope: wait_for() polls a condition until a deadline, stretched under sanitizers by KVPIPE_SLOW.
"""
import collections
import glob
import json
import os
import re
import secrets
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

import yaml

B = os.environ.get("B", "build")
SLOW = float(os.environ.get("KVPIPE_SLOW", "1"))
Packet = collections.namedtuple("Packet", "track pts_ms hash key size")

failures = []
# The line that opens a report of a sanitizer (tests/run --asan), or says that there is none.
SANITIZER = re.compile(r"^.*(?:ERROR: \w+Sanitizer|Sanitizer: failed|Sanitizer has encountered|runtime error:).*$", re.M)


def check(condition, text):
    """One claim. Failed ones are printed and make finish() exit non-zero."""
    if condition:
        print("ok   %s" % text, flush=True)
    else:
        failures.append(text)
        print("FAIL %s" % text, flush=True)
    return condition


def finish():
    sys.exit(1 if failures else 0)


def wait_for(what, condition, seconds, every=0.1):
    """Polls until condition() is true (returned) or the time is up (raises with `what`)."""
    end = time.monotonic() + seconds * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError("%s did not happen within %d s" % (what, seconds * SLOW))
        time.sleep(every)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def program(name):
    return os.path.abspath("%s/bin/%s" % (B, name))


class Pipeline:
    def __init__(self, streams, keep=False, bad_on_purpose=False, **sections):
        """`streams` as in the config; `sections` add to or replace top-level keys of it."""
        self.dir = tempfile.mkdtemp(prefix="kvpipe-test-")
        self.run = self.dir + "/run"
        self.server_port, self.status_port = free_port(), free_port()
        self.keep, self.bad_on_purpose, self.monitor = keep, bad_on_purpose, None
        self.sanitizers_said = set()
        self.conf = {
            "run": self.run,
            "server": {"listen": "127.0.0.1:%d" % self.server_port},
            "monitor": {"listen": "127.0.0.1:%d" % self.status_port},
            "streams": streams,
        }
        if SLOW > 1:
            self.conf["link"] = {"heartbeat_ms": 500, "silence_ms": 4000}
        self.rewrite(**sections)

    def rewrite(self, **sections):
        """Adds to or replaces top-level keys of the config and writes it. What runs does not notice."""
        for key, value in sections.items():
            if isinstance(value, dict):
                self.conf.setdefault(key, {}).update(value)
            else:
                self.conf[key] = value
        self.path = self.dir + "/pipeline.yaml"
        with open(self.path + ".new", "w") as f:
            yaml.safe_dump(self.conf, f, sort_keys=False)
        os.replace(self.path + ".new", self.path)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.stop()
        if kind or failures:
            self.show_logs()
            if "KVPIPE_KEEP" in os.environ:  # a folder: what a failed test leaves goes there
                print("kept: %s" % shutil.move(self.dir, os.environ["KVPIPE_KEEP"]))
        if not self.keep:
            shutil.rmtree(self.dir, ignore_errors=True)

    def endpoint_at(self, port):
        """Sends the uploader to this port of the machine, a proxy's in front of the server, with keys made for it. Before start()."""
        os.makedirs(self.run)
        keys = self.run + "/keys"
        with open(keys, "w") as f:
            os.chmod(f.fileno(), 0o600)
            f.write("[default]\naws_access_key_id = AKIATESTSOFKVPIPE000\naws_secret_access_key = %s\n" % secrets.token_hex(20))
        self.rewrite(endpoint={"url": "http://127.0.0.1:%d" % port, "credentials": {"profile": "default", "profile_file": keys}})

    def start(self):
        check_first = subprocess.run([program("kvpipe"), "check", self.path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if check_first.returncode and not self.bad_on_purpose:
            raise ValueError("the test's own config: " + check_first.stdout)
        self.output = open(self.dir + "/monitor.log", "ab")
        self.monitor = subprocess.Popen([program("kvpipe-monitor"), "-c", self.path], stdout=self.output,
                                        stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        return self

    def stop(self):
        """SIGTERM to the monitor: drains. Returns the seconds it took. Whatever is left is killed by pid."""
        started = time.monotonic()
        if self.monitor and self.monitor.poll() is None:
            self.monitor.send_signal(signal.SIGTERM)
            try:
                self.monitor.wait(15 * SLOW)
            except subprocess.TimeoutExpired:
                self.monitor.kill()
                self.monitor.wait()
        took = time.monotonic() - started
        for pid in self.pids().values():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.monitor = None
        self.check_sanitizers()
        return took

    def check_sanitizers(self):
        """Fails the test with the text of each new sanitizer report in a log of this run."""
        for path in self.log_paths() + glob.glob(self.run + "/log/*.log.1"):
            with open(path, errors="replace") as f:
                text = f.read()
            for report in SANITIZER.finditer(text):
                if report.group() not in self.sanitizers_said:
                    self.sanitizers_said.add(report.group())
                    check(False, "no sanitizer report in %s" % os.path.basename(path))
                    print(text[report.start():report.start() + 5000], flush=True)

    def pids(self):
        """{instance: pid} of what runs now (locked pid files)."""
        found = {}
        for path in glob.glob(self.run + "/pids/*.pid"):
            try:
                pid = int(open(path).read().split()[0])
                with open("/proc/%d/cmdline" % pid, "rb") as f:
                    if self.path.encode() in f.read() and not path.endswith("/monitor.pid"):
                        found[os.path.basename(path)[:-4]] = pid
            except (OSError, ValueError, IndexError):
                pass
        return found

    def pid(self, stage):
        """The pid of a stage's first process, or None."""
        for instance, pid in sorted(self.pids().items()):
            if instance == stage or instance.startswith(stage + "-"):
                return pid
        return None

    def kill(self, stage, sig=signal.SIGKILL):
        pid = wait_for("a running " + stage, lambda: self.pid(stage), 20)
        os.kill(pid, sig)
        return pid

    def status(self):
        """The monitor's JSON, or None while it is not there."""
        try:
            with urllib.request.urlopen("http://127.0.0.1:%d/status" % self.status_port, timeout=5) as r:
                return json.load(r)
        except (OSError, ValueError):
            return None

    def log_paths(self):
        own = self.dir + "/monitor.log"
        return sorted(glob.glob(self.run + "/log/*.log")) + ([own] if os.path.exists(own) else [])

    def logs(self):
        text = ""
        for path in self.log_paths():
            with open(path, errors="replace") as f:
                text += f.read()
        return text

    def show_logs(self):
        for path in self.log_paths():
            with open(path, errors="replace") as f:
                lines = f.read().splitlines()
            print("---- %s (last lines)" % os.path.basename(path))
            print("\n".join(lines[-40:]))

    # ---- what was archived ----

    def files(self, stream):
        """The archive's Matroska files of a stream, oldest first."""
        return sorted(glob.glob("%s/archive/%s-[0-9]*/*.mkv" % (self.run, stream)))

    def spool_files(self, stream):
        return sorted(glob.glob("%s/spool/%s/*.mkv" % (self.run, stream)))

    def packets(self, stream):
        """Every packet in the archive of a stream, in the order it is stored. A file may lack a track that others have, so that
        ffprobe counts otherwise there."""
        files = self.files(stream)
        if len(files) < 2:
            return [p for path in files for p in packets(path)]
        all_kinds = [kinds(path) for path in files]
        most = max(all_kinds, key=len)
        return [p._replace(track=most.index(own[p.track]) if own != most and own[p.track] in most else p.track)
                for path, own in zip(files, all_kinds) for p in packets(path)]

    def wait_packets(self, stream, count, seconds):
        """Waits until `count` packets of a stream are archived; returns them all."""
        def enough():
            found = self.packets(stream)
            return found if len(found) >= count else None
        return wait_for("%d packets of %s in the archive" % (count, stream), enough, seconds, 0.5)

    def gaps(self, stream):
        """The entries of the uploader's gap ledger."""
        try:
            with open("%s/spool/%s/gaps.log" % (self.run, stream)) as f:
                return [json.loads(line) for line in f if line.strip()]
        except FileNotFoundError:
            return []


def kinds(path):
    """video or audio, for each track of a file."""
    return subprocess.run(["ffprobe", "-v", "quiet", "-show_entries", "stream=codec_type", "-of", "csv=p=0", path],
                          stdout=subprocess.PIPE, text=True).stdout.split()


def packets(path):
    """Packets of a media file by ffprobe: track, pts in ms, SHA-256 of the payload, key flag."""
    out = subprocess.run(["ffprobe", "-v", "quiet", "-show_packets", "-show_data_hash", "sha256", "-of", "json",
                          "-show_entries", "packet=stream_index,pts_time,data_hash,flags,size", path],
                         stdout=subprocess.PIPE, text=True).stdout
    found = []
    for p in json.loads(out or "{}").get("packets", []):
        found.append(Packet(p["stream_index"], round(float(p.get("pts_time", "nan")) * 1000, 3) if "pts_time" in p else None,
                            p["data_hash"].split(":")[1], "K" in p.get("flags", ""), int(p["size"])))
    return found


def slices(path):
    """For each video packet of an H.264 file: per slice whether it is the first of its picture."""
    stream = subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-i", path, "-map", "0:v", "-c", "copy", "-bsf:v",
                             "h264_mp4toannexb,h264_metadata=aud=insert", "-f", "h264", "-"],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    found = []
    for nal in re.split(b"\0\0\1", stream)[1:]:
        if nal[0] & 31 == 9:  # put in front of each packet
            found.append([])
        elif nal[0] & 31 in (1, 5):
            found[-1].append(nal[1] & 0x80 != 0)  # first_mb_in_slice is 0
    return [packet for packet in found if packet]  # some have a delimiter of their own


def by_track(found):
    tracks = collections.defaultdict(list)
    for p in found:
        tracks[p.track].append(p)
    return tracks


def clean(path):
    """What ffprobe has to complain about; empty when nothing."""
    return subprocess.run(["ffprobe", "-v", "error", "-show_packets", path], stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True).stderr.strip()


def cost(pid):
    """What a process holds: RSS in bytes, threads, open files."""
    with open("/proc/%d/status" % pid) as f:
        rss = next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmRSS:"))
    return rss, len(os.listdir("/proc/%d/task" % pid)), len(os.listdir("/proc/%d/fd" % pid))


def quarters(costs):
    """The second quarter and the last."""
    quarter = max(len(costs) // 4, 1)
    return costs[quarter:2 * quarter] or costs[:1], costs[-quarter:]


def growth(costs):
    """How much cost()s over time grew, each by itself: from the median of the second quarter to that of the last."""
    early, late = quarters(costs)
    return [statistics.median(b) - statistics.median(a) for a, b in zip(zip(*early), zip(*late))]


def rising(values):
    return all(a < b for a, b in zip(values, values[1:]))


def stream_of_test(name, **source):
    return {"name": name, "source": dict({"type": "test"}, **source)}
