"""What tests of the monitor share: a small stream, its processes, the commands, and scenes."""
import os
import re
import subprocess
import sys
import time

import kv


def good(**more):
    return dict(kv.stream_of_test("good", width=320, height=240, rate=15, audio=False), video={"keyframe_ms": 1000, "bitrate_kbps": 200}, **more)


def kvpipe(*args):
    p = subprocess.run([kv.program("kvpipe")] + list(args), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20)
    return p.returncode, p.stdout


def whole(pipe, name="good"):
    pts = [p.pts_ms for p in pipe.packets(name)]
    steps = [b - a for a, b in zip(pts, pts[1:])]
    kv.check(pts and all(60 <= s <= 73 for s in steps) and pipe.gaps(name) == [], "%s: no frame is missing (%d)" % (name, len(pts)))


def stage(pipe, instance):
    return next((s for s in (pipe.status() or {"stages": []})["stages"] if s["instance"] == instance), {})


def script(pipe, name, body):
    path = "%s/%s" % (pipe.dir, name)
    with open(path, "w") as f:
        f.write("#!/bin/sh\n" + body)
    os.chmod(path, 0o755)
    return path


def processes_of(pipe):
    """Every process whose command line names this pipeline's config."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                line = f.read()
            with open("/proc/%s/stat" % pid) as f:
                state = f.read().rpartition(")")[2].split()[0]
            if pipe.path.encode() in line and state != "Z":
                found.append((int(pid), line.split(b"\0")[0].decode()))
        except OSError:
            pass
    return found


def stages(pipe):
    return {i: p for i, p in pipe.pids().items() if not i.startswith("monitor")}


def check_order(text, stages, what):
    """The stages ended one after the other. A stage that takes long is not waited for by the next: then only that all ended is known."""
    found = re.findall(r"T(\d+):(\d+):([\d.]+)Z \S kvpipe-(\w+) stage\.(drain|end) ", text)
    at = [int(h) * 3600 + int(m) * 60 + float(s) for h, m, s, _, _ in found]
    ends = [s for _, _, _, s, w in found if w == "end"]
    quick = at and (at[-1] - at[0]) % 86400 < 0.9
    kv.check(ends == stages if quick else sorted(ends) == sorted(stages), "%s: %s%s" % (what, ends, "" if quick else " (slowly)"))


def start_with_logs(pipe):
    """As kvpipe run does: a log file for each process."""
    os.makedirs(pipe.run + "/log")
    os.environ["KVPIPE_LOG_DIR"] = pipe.run + "/log"
    pipe.start()
    del os.environ["KVPIPE_LOG_DIR"]


def kill_monitor(pipe):
    pipe.monitor.kill()
    pipe.monitor.wait()


def new_monitor(pipe):
    """Starts it; returns what it logged up to being ready."""
    path = pipe.dir + "/monitor.log"
    size = os.path.getsize(path)
    pipe.start()
    kv.wait_for("a new monitor that serves", lambda: (pipe.status() or {}).get("ready"), 30)
    with open(path) as f:
        f.seek(size)
        return f.read()


def play(*scenes):
    """Runs the scenes that the command line names, else all, and ends the program."""
    for scene in scenes:
        if len(sys.argv) == 1 or scene.__name__ in sys.argv[1:]:
            started = time.monotonic()
            print("---- %s" % scene.__name__, flush=True)
            try:
                scene()
            except TimeoutError as e:
                kv.check(False, "%s: %s" % (scene.__name__, e))
            print("     %s took %.1f s" % (scene.__name__, time.monotonic() - started), flush=True)
    kv.finish()
