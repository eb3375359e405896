"""A kvpipe-server in a folder of its own, on a free port, and clients of it."""
import configparser
import json
import os
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import warnings

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.exceptions
import yaml

import kv

REGION = "us-west-2"
warnings.filterwarnings("ignore")


class Server:
    """`server` adds to the section of that name, `keys` is the text of the keys file (None: the server makes one)."""

    def __init__(self, keys=None, files=None, run=True, host="127.0.0.1", **server):
        self.folder = tempfile.mkdtemp(prefix="kvpipe-test-")
        self.port, self.starts, self.process = kv.free_port(), 0, None
        self.keys_path = self.folder + "/run/keys"
        os.makedirs(self.folder + "/run")
        for name, text in dict(files or {}, **({"run/keys": keys} if keys else {})).items():
            with open("%s/%s" % (self.folder, name), "w", opener=lambda p, f: os.open(p, f, 0o600)) as f:
                f.write(text)
        self.host, self.conf = host, {"run": self.folder + "/run", "server": dict({"enabled": True}, **server)}
        self.scheme = "https" if server.get("tls") or server.get("tls_cert") else "http"
        self.ca = server.get("tls_cert") or (self.folder + "/run/tls/cert.pem" if server.get("tls") else None)
        self.path = self.folder + "/server.yaml"
        self.listen_at(self.port)
        if run:
            self.start()

    def listen_at(self, port):
        self.port = port
        self.conf["server"]["listen"] = "%s:%d" % (self.host, port)
        with open(self.path, "w") as f:
            yaml.safe_dump(self.conf, f)

    @property
    def url(self):
        return "%s://127.0.0.1:%d" % (self.scheme, self.port)

    def log(self):
        if not os.path.exists(self.folder + "/log"):
            return ""
        with open(self.folder + "/log", errors="replace") as f:
            return f.read()

    def start(self):
        self.starts += 1
        for attempt in range(5):
            with open(self.folder + "/log", "ab") as log:
                self.process = subprocess.Popen([kv.program("kvpipe-server"), "-c", self.path], stdout=log, stderr=log)
            kv.wait_for("the server", lambda: self.process.poll() is not None or self.log().count("stage.ready") == self.starts, 20, 0.02)
            if self.process.poll() is None:
                return self
            if "in use" not in self.log():
                break
            self.listen_at(kv.free_port())  # another test took it meanwhile
        raise RuntimeError("the server ended: " + self.log()[-2000:])

    def refused(self):
        """Runs a server that must not start; what it said."""
        done = subprocess.run([kv.program("kvpipe-server"), "-c", self.path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=20 * kv.SLOW)
        return done.returncode, done.stdout

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def stop(self):
        """Ends it. One that does not end well, or has ended by itself, is a failure."""
        if self.process:
            self.process.send_signal(signal.SIGTERM)  # nothing once it has ended
            if self.process.wait(20 * kv.SLOW) or kv.SANITIZER.search(self.log()):
                kv.check(False, "the server ends well when told to: exit %d" % self.process.returncode)
            self.process = None

    def close(self):
        """Stops it and removes the folder; with failures its log is shown."""
        try:
            self.stop()
        finally:
            if self.process and self.process.poll() is None:
                self.kill()
            if kv.failures:
                print("---- the server's log\n" + self.log()[-4000:])
            subprocess.run(["rm", "-rf", self.folder])

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind:
            print("---- the server's log\n" + self.log()[-4000:])
        self.close()

    def credentials(self, profile="default"):
        return credentials_of(self.keys_path, profile)

    def pair(self, profile="default"):
        """(access key, secret)"""
        k = self.credentials(profile)
        return k.access_key, k.secret_key

    def client(self, service="kinesisvideo", profile="default", credentials=None, **config):
        return client_of(service, self.url, credentials or self.credentials(profile), self.ca, **config)

    def signed(self, path, body, credentials=None, method="POST", service="kinesisvideo", **headers):
        """Headers of a request signed by botocore."""
        request = botocore.awsrequest.AWSRequest(method, self.url + path, data=body, headers=dict({"Content-Type": "application/json"}, **headers))
        botocore.auth.SigV4Auth(credentials or self.credentials(), service, REGION).add_auth(request)
        return dict(request.headers.items())

    def post(self, path, body, headers):
        """(status, headers, body) of a request as it is given."""
        request = urllib.request.Request(self.url + path, body, headers, method="POST")
        try:
            with urllib.request.urlopen(request, context=self.tls_context(), timeout=30) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as e:
            return e.code, e.headers, e.read()

    def tls_context(self, cert=None, key=None):
        if not self.ca:
            return None
        context = ssl.create_default_context(cafile=self.ca)
        if cert:
            context.load_cert_chain(cert, key)
        return context

    def call(self, operation, credentials=None, **arguments):
        """A call that Debian's botocore does not know, signed by it all the same. Times stay numbers. Refusals raise as botocore's do."""
        path = "/" + (operation if operation in ("TagResource", "UntagResource", "ListTagsForResource") else operation[0].lower() + operation[1:])
        body = json.dumps(arguments).encode()
        status, headers, text = self.post(path, body, self.signed(path, body, credentials))
        if status != 200:
            raise botocore.exceptions.ClientError({"Error": {"Code": headers["x-amzn-ErrorType"], "Message": json.loads(text)["Message"]},
                                                   "ResponseMetadata": {"HTTPStatusCode": status}}, operation)
        return json.loads(text or b"{}")

    def connect(self):
        """A plain or TLS socket to it."""
        s = socket.create_connection(("127.0.0.1", self.port), 20)
        return self.tls_context().wrap_socket(s, server_hostname="127.0.0.1") if self.ca else s


def credentials_of(path, profile="default"):
    c = configparser.ConfigParser()
    c.read(path)
    return botocore.credentials.Credentials(c[profile]["aws_access_key_id"], c[profile]["aws_secret_access_key"],
                                            c[profile].get("aws_session_token"))


def client_of(service, url, k, ca=None, **config):
    """boto3's client of the endpoint at a URL, with the credentials k. It asks once, and leaves what is valid to the endpoint."""
    return boto3.session.Session().client(
        service, endpoint_url=url, region_name=REGION, verify=ca, aws_access_key_id=k.access_key,
        aws_secret_access_key=k.secret_key, aws_session_token=k.token,
        config=botocore.config.Config(**dict({"retries": {"max_attempts": 0}, "parameter_validation": False}, **config)))


def error_of(call, *args, **kwargs):
    """'NAME STATUS' of the refusal, 'accepted' without one."""
    try:
        call(*args, **kwargs)
        return "accepted"
    except botocore.exceptions.ClientError as e:
        return "%s %d" % (e.response["Error"]["Code"], e.response["ResponseMetadata"]["HTTPStatusCode"])


def same(got, want, what):
    kv.check(got == want, what if got == want else "%s: %r, expected %r" % (what, got, want))


def refused(name, status, call, *args, **kwargs):
    got = error_of(call, *args, **kwargs)
    shown = {k: v for k, v in kwargs.items() if k not in ("EdgeConfig", "credentials")}
    kv.check(got == "%s %d" % (name, status), "%s %s: %s" % (getattr(call, "__name__", "call"), shown or args or "", got))


def certificates(folder, *devices, days=2):
    """A CA and a certificate of it for each device, as devices get them: FOLDER/ca.pem, NAME.pem, NAME.key."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *curve, "-days", str(days), "-subj", "/CN=devices", "-keyout", folder + "/ca.key", "-out", folder + "/ca.pem")
    for name in devices:
        openssl("req", *curve, "-subj", "/CN=" + name, "-keyout", "%s/%s.key" % (folder, name), "-out", "%s/%s.csr" % (folder, name))
        openssl("x509", "-req", "-in", "%s/%s.csr" % (folder, name), "-CA", folder + "/ca.pem", "-CAkey", folder + "/ca.key", "-CAcreateserial",
                "-days", str(days), "-out", "%s/%s.pem" % (folder, name))


def now_s():
    return int(time.time())
