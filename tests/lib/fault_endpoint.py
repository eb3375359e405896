"""A Kinesis Video Streams endpoint that misbehaves by script, checks signatures by itself and records what it saw.

Raw sockets and own parsers of HTTP, chunks and Matroska, so that it can do on the wire what no library would. One thread a
connection. What it acked as PERSISTED is in .archive, in order: that, and only that, is archived.

    endpoint = FaultEndpoint({"AKID": "secret"})
    endpoint.script = lambda n: {"error": 5000}      # what the n-th PutMedia (from 1) gets; {} behaves

Scripts:
  status: N, type: NAME       that answer in place of 200
  close: True                 200, then the end of the connection
  never_read: S               200, then nothing is read for S seconds, then the end
  never_ack: S                everything is read, nothing acked, nothing archived; the answer ends S seconds after the body
  idle: S                     the same, with IDLE acks
  reset: K                    TCP reset in the middle of the K-th fragment
  max_age: S                  ERROR ack 4003 and the end for the first fragment that ends S seconds after the request began
  error: ID                   ERROR ack for the K-th fragment (at: K, default 1) and the end
  acks: split, bunched, repeated, shuffled, malformed, oversized

The keys map an access key to its secret, or to a Key: temporary ones, whose token must be sent and which end, and what is sent
with them then. A request whose time is more than 15 minutes off is answered as the service does, with its Date (.date()).
"""
import calendar
import collections
import email.utils
import hashlib
import hmac
import json
import re
import socket
import struct
import threading
import time
import urllib.parse

Fragment = collections.namedtuple("Fragment", "timecode payloads request")
Key = collections.namedtuple("Key", "secret token expires")
WINDOW_S = 900
CLUSTER, TIMECODE, SIMPLE_BLOCK, TAGS = 0x1F43B675, 0xE7, 0xA3, 0x1254C367
UNKNOWN = -1
CODES = {4000: "STREAM_READ_ERROR", 4001: "MAX_FRAGMENT_SIZE_REACHED", 4002: "MAX_FRAGMENT_DURATION_REACHED",
         4003: "MAX_CONNECTION_DURATION_REACHED", 4004: "FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS",
         4005: "MORE_THAN_ALLOWED_TRACKS_FOUND", 4006: "INVALID_MKV_DATA", 4007: "INVALID_PRODUCER_TIMESTAMP",
         4008: "STREAM_NOT_ACTIVE", 4009: "FRAGMENT_METADATA_LIMIT_REACHED", 4010: "TRACK_NUMBER_MISMATCH",
         4011: "FRAMES_MISSING_FOR_TRACK", 4012: "INVALID_FRAGMENT_METADATA", 4500: "KMS_KEY_ACCESS_DENIED",
         4501: "KMS_KEY_DISABLED", 4502: "KMS_KEY_VALIDATION_ERROR", 4503: "KMS_KEY_UNAVAILABLE",
         4504: "KMS_KEY_INVALID_USAGE", 4505: "KMS_KEY_INVALID_STATE", 4506: "KMS_KEY_NOT_FOUND", 5000: "INTERNAL_ERROR",
         5001: "ARCHIVAL_ERROR"}


def signature_of(request, secret):
    """Signature Version 4 of a request, from its description: what the Authorization header must end with."""
    auth = request.headers["authorization"]
    scope = re.search(r"Credential=[^/]+/([^,]+)", auth).group(1)
    names = re.search(r"SignedHeaders=([^,]+)", auth).group(1)
    path, _, query = request.target.partition("?")
    pairs = sorted(p.partition("=")[::2] for p in query.split("&") if p)
    body_hash = hashlib.sha256(b"" if request.path == "/putMedia" else request.body).hexdigest()
    canonical = "\n".join([request.method, urllib.parse.quote(path, safe="/~-_."), "&".join("%s=%s" % p for p in pairs),
                           "".join("%s:%s\n" % (n, " ".join(request.headers[n].split())) for n in names.split(";")), names, body_hash])
    text = "\n".join(["AWS4-HMAC-SHA256", request.headers["x-amz-date"], scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = b"AWS4" + secret.encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


class Request:
    def __init__(self, method, target, headers):
        self.method, self.target, self.path, self.headers = method, target, target.partition("?")[0], headers
        self.body, self.at = b"", time.time()


def amz_time(text):
    return calendar.timegm(time.strptime(text, "%Y%m%dT%H%M%SZ"))


class Matroska:
    """Takes a PutMedia body in pieces; calls opened(timecode) and closed(timecode, payload hashes) for each Cluster."""

    def __init__(self, opened, closed):
        self.data, self.opened, self.closed, self.timecode, self.payloads = bytearray(), opened, closed, None, []

    def number(self, at, keep_marker):
        if at >= len(self.data) or not self.data[at]:
            return None, at
        width = 9 - self.data[at].bit_length()
        if at + width > len(self.data):
            return None, at
        raw = int.from_bytes(self.data[at:at + width], "big")
        if keep_marker:
            return raw, at + width
        value = raw & ((1 << 7 * width) - 1)
        return (UNKNOWN if value == (1 << 7 * width) - 1 else value), at + width

    def feed(self, data):
        self.data += data
        at = 0
        while True:
            ident, body = self.number(at, True)
            size, body = self.number(body, False) if ident is not None else (None, at)
            if size is None:
                break
            enters = ident in (0x18538067, CLUSTER)
            if ident in (CLUSTER, TAGS):
                self.end()
            if not enters:
                if body + size > len(self.data):
                    break
                if ident == TIMECODE:
                    self.timecode = int.from_bytes(self.data[body:body + size], "big")
                    self.opened(self.timecode)
                elif ident == SIMPLE_BLOCK:
                    self.payloads.append(hashlib.sha256(self.data[body + 4:body + size]).hexdigest())
                at = body + size
            else:
                at = body
        del self.data[:at]

    def end(self):
        if self.timecode is not None:
            self.closed(self.timecode, self.payloads)
        self.timecode, self.payloads = None, []


class FaultEndpoint:
    def __init__(self, keys, host="127.0.0.1", port=0):
        self.keys, self.lock, self.script = keys, threading.Lock(), lambda n: {}
        self.listener = socket.create_server((host, port), backlog=64)
        self.host, self.port = host, self.listener.getsockname()[1]
        self.data_url = None           # what GetDataEndpoint names; None: this one
        self.requests, self.refused = [], []  # every request; what the signature check refused
        self.mistimed, self.expired = [], []  # signed for another time; signed right, but with keys that had ended
        self.date = lambda: email.utils.formatdate(usegmt=True)  # None: no such header
        self.puts = 0
        self.archive = []              # Fragments, in the order of their PERSISTED acks
        self.connections = set()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def close(self):
        """As when the process dies: the listener goes and every connection is reset."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for c in list(self.connections):
            try:
                c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                c.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has ended meanwhile

    def serve(self):
        while True:
            try:
                c, _ = self.listener.accept()
            except OSError:
                return
            self.connections.add(c)
            threading.Thread(target=self.talk, args=(c,), daemon=True).start()

    def talk(self, c):
        try:
            with c, c.makefile("rb") as reader:
                while self.one(c, reader):
                    pass
        except (OSError, ValueError, IndexError):
            pass
        finally:
            self.connections.discard(c)

    def one(self, c, reader):
        line = reader.readline().split()
        if len(line) < 3:
            return False
        headers = {}
        while True:
            h = reader.readline().strip()
            if not h:
                break
            name, _, value = h.decode().partition(":")
            headers[name.lower()] = value.strip()
        r = Request(line[0].decode(), line[1].decode(), headers)
        if r.path != "/putMedia":
            r.body = reader.read(int(headers.get("content-length", "0")))
        with self.lock:
            self.requests.append(r)
        refusal = self.check(r)
        if refusal:
            return self.reply(c, *refusal)
        if r.path == "/putMedia":
            self.put_media(c, reader, r)
            return False
        return self.control(c, r)

    def check(self, r):
        """What to answer in place of serving the request, or None. Order as the service's: who, signature, time, token."""
        if "authorization" not in r.headers:
            return 403, {"message": "Missing Authentication Token"}, "MissingAuthenticationTokenException"
        name = re.search(r"Credential=([^/]+)/", r.headers["authorization"])
        key = self.keys.get(name and name.group(1))
        secret = key.secret if isinstance(key, Key) else key
        if not key or not r.headers["authorization"].endswith(signature_of(r, secret)):
            self.refused.append(r)
            return 403, {"message": "The signature does not match."}, "SignatureDoesNotMatch"
        r.key, r.signed_at = name.group(1), amz_time(r.headers["x-amz-date"])
        if abs(r.signed_at - r.at) > WINDOW_S:
            self.mistimed.append(r)
            return 403, {"message": "Signature expired or not yet current"}, "InvalidSignatureException"
        if isinstance(key, Key) and r.headers.get("x-amz-security-token") != key.token:
            self.refused.append(r)
            return 403, {"message": "The security token is invalid"}, "UnrecognizedClientException"
        if isinstance(key, Key) and r.at >= key.expires:
            self.expired.append(r)
            return 403, {"message": "The security token has expired"}, "ExpiredTokenException"
        return None

    def reply(self, c, status, body, error=None):
        text, date = json.dumps(body), self.date()
        c.sendall(("HTTP/1.1 %d X\r\nContent-Type: application/json\r\n%s%sContent-Length: %d\r\n\r\n%s" % (
            status, "x-amzn-ErrorType: %s\r\n" % error if error else "", "Date: %s\r\n" % date if date else "",
            len(text), text)).encode())
        return True

    def control(self, c, r):
        asked = json.loads(r.body or b"{}")
        if r.path == "/describeStream":
            return self.reply(c, 200, {"StreamInfo": {"Status": "ACTIVE", "DataRetentionInHours": 1}})
        if r.path == "/getDataEndpoint":
            return self.reply(c, 200, {"DataEndpoint": self.data_url or "http://%s" % r.headers["host"]})
        if r.path == "/listFragments":
            span = asked["FragmentSelector"]["TimestampRange"]
            with self.lock:
                found = [f.timecode for f in self.archive if span["StartTimestamp"] * 1000 - 1 <= f.timecode <= span["EndTimestamp"] * 1000 + 1]
            return self.reply(c, 200, {"Fragments": [{"FragmentNumber": str(t), "FragmentSizeInBytes": 1, "ProducerTimestamp": t / 1000,
                                                      "ServerTimestamp": t / 1000, "FragmentLengthInMilliseconds": 1000} for t in found]})
        return self.reply(c, 404, {"Message": "no such operation"}, "InvalidAction")

    def put_media(self, c, reader, request):
        with self.lock:
            self.puts += 1
            session = Session(self, c, request, self.script(self.puts))
        session.run(reader)


class Session:
    """One PutMedia request."""

    def __init__(self, endpoint, c, request, script):
        self.endpoint, self.c, self.request, self.script = endpoint, c, request, script
        self.count, self.held, self.over, self.began = 0, [], False, time.monotonic()

    def run(self, reader):
        s = self.script
        if "status" in s:
            self.endpoint.reply(self.c, s["status"], {"Message": "by script"}, s.get("type"))
            return
        self.c.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        if s.get("close"):
            return
        if "never_read" in s:
            time.sleep(s["never_read"])
            return
        if "idle" in s:
            threading.Thread(target=self.say_idle, args=(s["idle"],), daemon=True).start()
        media = Matroska(self.opened, self.closed)
        while not self.over:
            size = int(reader.readline(), 16)
            data = reader.read(size)
            reader.readline()
            if not size:
                media.end()
                break
            media.feed(data)
        time.sleep(s.get("never_ack", s.get("idle", 0)))
        if not self.over:
            self.flush()
            self.c.sendall(b"0\r\n\r\n")

    def say_idle(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                self.send(b'{"EventType":"IDLE"}\n')
            except OSError:
                return
            time.sleep(0.2)

    def send(self, text):
        if self.script.get("acks") == "split":
            for i in range(len(text)):
                self.c.sendall(b"1\r\n%s\r\n" % text[i:i + 1])
        else:
            self.c.sendall(b"%x\r\n%s\r\n" % (len(text), text))

    def ack(self, event, timecode, **more):
        o = dict({"EventType": event, "FragmentTimecode": timecode, "FragmentNumber": "9" * 40 + str(timecode % 10**7)}, **more)
        self.send(json.dumps(o, separators=(",", ":")).encode() + b"\n")

    def opened(self, timecode):
        self.count += 1
        s = self.script
        if "never_ack" in s or "idle" in s:
            return
        if s.get("reset") == self.count:
            self.c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.over = True
            self.c.close()
            raise OSError("reset by script")
        if s.get("acks") in (None, "split", "repeated"):
            self.ack("BUFFERING", timecode)
            if s.get("acks") == "repeated":
                self.ack("BUFFERING", timecode)

    def closed(self, timecode, payloads):
        s = self.script
        self.request.last_at = time.time()
        key = self.endpoint.keys[self.request.key]
        if isinstance(key, Key) and self.request.last_at >= key.expires:
            self.over = True
            self.c.close()
            raise OSError("the credentials of the request have ended")
        if self.over or "never_ack" in s or "idle" in s:
            return
        error = s.get("error")
        if "max_age" in s and time.monotonic() > self.began + s["max_age"]:
            error, s = 4003, dict(s, at=self.count)
        if error and s.get("at", 1) == self.count or s.get("refuse") == timecode:
            error = error or s["id"]
            self.ack("ERROR", timecode, ErrorId=error, ErrorCode=CODES.get(error, "UNHEARD_OF"))
            self.c.sendall(b"0\r\n\r\n")
            self.over = True
            return
        with self.endpoint.lock:
            self.endpoint.archive.append(Fragment(timecode, payloads, self.request))
        self.tell(timecode)

    def tell(self, timecode):
        how = self.script.get("acks")
        if how in ("bunched", "shuffled"):
            self.held.append(timecode)
            if len(self.held) == 3:
                self.flush()
            return
        if how == "malformed":
            for text in (b'{"EventType":"PERS\n', b"}}{\n", b'{"EventType":7}\n', b'[1,2]\n', b'{"FragmentTimecode":"x"}\n', b"\0\xff\n"):
                self.send(text)
        if how == "oversized":
            self.send(b'{"EventType":"BUFFERING","FragmentTimecode":%d,"Filler":"%s"}\n' % (timecode, b"x" * 100000))
        for _ in range(2 if how == "repeated" else 1):
            self.ack("RECEIVED", timecode)
            self.ack("PERSISTED", timecode)

    def flush(self):
        """Acks held back: all in one piece, or the newest first."""
        order = self.held[::-1] if self.script.get("acks") == "shuffled" else self.held
        text = b"".join(json.dumps({"EventType": e, "FragmentTimecode": t, "FragmentNumber": "1"}).encode() + b"\n"
                        for t in order for e in ("PERSISTED", "RECEIVED"))
        if text:
            self.c.sendall(b"%x\r\n%s\r\n" % (len(text), text))
        self.held = []
