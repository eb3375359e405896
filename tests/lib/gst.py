"""GStreamer lines with kvpipesink, as people type them, beside a Pipeline of kv."""
import glob
import os
import re
import shlex
import signal
import subprocess
import sys

import kv

PLUGINS = os.path.abspath(kv.B + "/gstreamer-1.0")


def sanitizers():
    """What must be loaded in front when the plugin was built with sanitizers and the program was not."""
    out = subprocess.run(["ldd", PLUGINS + "/libgstkvpipe.so"], stdout=subprocess.PIPE, text=True).stdout
    return " ".join(line.split()[2] for line in out.splitlines() if "libasan" in line or "libubsan" in line)


def env(run=None, **more):
    """Of a program that is to find the plugin, and the pipeline whose folder is `run`."""
    found = dict(os.environ, GST_PLUGIN_PATH=PLUGINS, GST_REGISTRY=os.path.abspath(kv.B + "/gst-registry"), GST_DEBUG_NO_COLOR="1", GST_DEBUG="kvpipesink:4")
    found.update(more)
    found.pop("KVPIPE_RUN", None)
    if run:
        found["KVPIPE_RUN"] = run
    if sanitizers():
        found["LD_PRELOAD"] = sanitizers()
        # Programs and plugins of others leave what they had: reports() tells those that are of ours.
        found["ASAN_OPTIONS"] = re.sub("exitcode=[0-9]+", "exitcode=0", found.get("ASAN_OPTIONS", ""))
    return found


def reports(output):
    """A sanitizer's reports: of every error, and of leaks that our code made."""
    leaks = [part for part in re.split("\n\n", output) if re.match(r"\s*(Direct|Indirect) leak", part) and "kvpipe" in part]
    errors = [m.group() for m in kv.SANITIZER.finditer(output) if "LeakSanitizer" not in m.group()]
    return errors + leaks


def external(name, **more):
    return dict({"name": name, "source": {"type": "external"}}, **more)


class Program:
    """A process whose output is kept; ended at the latest when the `with` ends."""

    def __init__(self, pipe, command, run=None, **more):
        self.path = "%s/program-%d.log" % (pipe.dir, len(glob.glob(pipe.dir + "/program-*.log")))
        with open(self.path, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=env(run or pipe.run, **more))

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for report in reports(self.output()):
            kv.check(False, "no report of a sanitizer: %s" % report[:3000])
        if kind or kv.failures:
            print("---- %s\n%s" % (" ".join(self.process.args), self.output()[-5000:]))

    def output(self):
        with open(self.path, errors="replace") as f:
            return f.read()

    def wait_said(self, text, seconds=30):
        return kv.wait_for("\"%s\" from the program" % text, lambda: text in self.output(), seconds)

    def frames(self):
        """How many it gave to the library, in all its streams, by its own account."""
        return sum(map(int, re.findall(r"stream ends: (\d+) frames", self.output())))

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)

    def wait(self, seconds=60):
        """Returns the exit code."""
        return kv.wait_for("the program's end", lambda: (self.process.poll() is not None) and [self.process.poll()], seconds)[0]


def launch(pipe, line, *options, **more):
    """gst-launch-1.0 with a line as it stands in a shell."""
    return Program(pipe, ["gst-launch-1.0", *options, *shlex.split(line)], **more)


def app(pipe, scene, *arguments, **more):
    """A scene of tests/lib/gst_app.py."""
    return Program(pipe, [sys.executable, os.path.abspath("tests/lib/gst_app.py"), scene, *arguments], **more)
