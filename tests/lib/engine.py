"""A Docker Engine of the test's own, with debian:bookworm-slim made by debootstrap where nothing can be pulled.

Engine() raises Unable, with the reason, where none can run. What it makes is kept in /var/cache/kvpipe-engine for the next run.
"""
import os
import shutil
import subprocess
import tempfile

import debian_root
import kv

BASE = "debian:bookworm-slim"


class Unable(Exception):
    pass


class Engine:
    def __init__(self):
        if os.geteuid() != 0:
            raise Unable("not root")
        for tool in ("dockerd", "docker", "docker-compose", "debootstrap"):
            if not shutil.which(tool):
                raise Unable("no %s" % tool)
        self.data = "/var/cache/kvpipe-engine"  # not in build/, which make searches
        self.dir = tempfile.mkdtemp(prefix="kvpipe-engine-")  # a socket's path must be short
        os.makedirs(self.data, exist_ok=True)
        self.env = dict(os.environ, DOCKER_HOST="unix://%s/sock" % self.dir, COMPOSE_PROJECT_NAME="kvpipe-test")
        self.log = open(self.dir + "/log", "ab")
        self.process = subprocess.Popen(["dockerd", "--data-root", self.data, "--exec-root", self.dir + "/exec", "-p", self.dir + "/pid", "-H",
                                         self.env["DOCKER_HOST"], "--iptables=false", "--ip6tables=false", "--bip=172.29.0.1/16"],
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT)
        try:
            kv.wait_for("the Engine's answer", lambda: self.process.poll() is not None or self.answers(), 30)
        except TimeoutError:
            pass
        if not self.answers():
            with open(self.dir + "/log", errors="replace") as f:
                last = f.read().splitlines()[-1:]
            self.close()
            raise Unable("dockerd does not run: %s" % (last or ["it said nothing"])[0])

    def answers(self):
        return self.run("docker", "version", check=False).returncode == 0

    def run(self, *command, check=True, **more):
        done = subprocess.run(command, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
        if check and done.returncode:
            raise RuntimeError("%s: %s" % (" ".join(command), done.stdout[-3000:]))
        return done

    def base(self):
        if self.run("docker", "image", "inspect", BASE, check=False).returncode == 0:
            return
        self.run("docker", "import", debian_root.base(), BASE)

    def volume(self, name):
        return "%s/volumes/kvpipe-test_%s/_data" % (self.data, name)

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)
