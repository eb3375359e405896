"""kvpipe-server on a free port and in a directory of its own, for tests of its API."""
import configparser
import os
import shutil
import signal
import subprocess
import tempfile

import boto3
import botocore.config
import yaml

import kv

REGION = "us-west-2"


class Server:
    def __init__(self, limits=None, **keys):
        """limits: server.limits of the config; keys: others of its map `server`."""
        self.dir = tempfile.mkdtemp(prefix="kvpipe-server-")
        self.limits, self.keys, self.process = limits or {}, keys, None
        self.start()

    def start(self, port=None):
        for _ in range(5):  # another test may have taken the port meanwhile
            self.port = port or kv.free_port()
            self.conf = self.dir + "/kvpipe.yaml"
            with open(self.conf, "w") as f:
                yaml.safe_dump({"run": self.dir + "/run", "server": {
                    "enabled": True, "listen": "127.0.0.1:%d" % self.port, "data": self.dir + "/archive",
                    "keys": self.dir + "/keys", "limits": self.limits, **self.keys}}, f)
            log_from = os.path.getsize(self.dir + "/log") if os.path.exists(self.dir + "/log") else 0
            with open(self.dir + "/log", "ab") as log:
                self.process = subprocess.Popen([kv.program("kvpipe-server"), "-c", self.conf], stdout=log, stderr=log)

            def ready():
                with open(self.dir + "/log", "rb") as log:
                    log.seek(log_from)
                    return b"server.ready" in log.read() or self.process.poll() is not None
            kv.wait_for("the server's start", ready, 20, 0.02)
            if self.process.poll() is None:
                break
        self.url = "http://127.0.0.1:%d" % self.port
        c = configparser.ConfigParser()
        c.read(self.dir + "/keys")
        section = c[c.sections()[0]]
        self.access, self.secret = section["aws_access_key_id"], section["aws_secret_access_key"]

    def client(self, service):
        return boto3.session.Session().client(
            service, endpoint_url=self.url, region_name=REGION, aws_access_key_id=self.access,
            aws_secret_access_key=self.secret, config=botocore.config.Config(retries={"max_attempts": 0}))

    def log(self):
        with open(self.dir + "/log", errors="replace") as log:
            return log.read()

    def stop(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)
        return self.process.wait(20 * kv.SLOW)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        code = self.stop() if self.process.poll() is None else self.process.returncode
        if kind or code:
            print(self.log()[-3000:])
        shutil.rmtree(self.dir, ignore_errors=True)
        assert kind or code == 0, "the server ended with %d" % code
