"""A producer as the stock ones are on the wire, written from the description of their traffic and of the API, with nothing
but Python's own library: every control call on a connection of its own, the order and case of headers, a start timestamp
whose milliseconds lack their zeros, Expect: 100-continue, a body signed as empty, Matroska of unknown sizes, the end of the
last fragment as a tag, and the terminating chunk held back until the last PERSISTED."""
import collections
import datetime
import hashlib
import hmac
import json
import re
import socket

import matroska

REGION = "us-west-2"
AGENT = "AWS-SDK-KVS/3.5.0 GCC/12.2.0 Linux/6.1 x86_64 kvssink"
ACK_MOST_BYTES = 1024
EMPTY = hashlib.sha256(b"").hexdigest()


class ProtocolError(Exception):
    pass


def sign(keys, path, headers, signed, payload_hash):
    """The Authorization of a POST over the headers named in `signed`, Signature Version 4."""
    date = headers["X-Amz-Date"]
    lower = {k.lower(): v for k, v in headers.items()}
    names = ";".join(sorted(signed))
    canonical = "\n".join(["POST", path, "", *("%s:%s" % (n, lower[n].strip()) for n in sorted(signed)), "", names, payload_hash])
    scope = "%s/%s/kinesisvideo/aws4_request" % (date[:8], REGION)
    text = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + keys[1]).encode()
    for part in (date[:8], REGION, "kinesisvideo", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s" % (keys[0], scope, names, signature)


class Wire:
    """One connection and what was read of it and not used."""

    def __init__(self, host, port, tls=None):
        self.socket = socket.create_connection((host, port), 20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname=host)
        self.data = b""

    def more(self):
        got = self.socket.recv(65536)
        if not got:
            raise ProtocolError("the endpoint closed the connection")
        self.data += got

    def line(self):
        while b"\r\n" not in self.data:
            self.more()
        line, self.data = self.data.split(b"\r\n", 1)
        return line.decode()

    def exactly(self, n):
        while len(self.data) < n:
            self.more()
        out, self.data = self.data[:n], self.data[n:]
        return out

    def answer(self):
        version, status, *_ = self.line().split(" ", 2)
        if version != "HTTP/1.1":
            raise ProtocolError("answer in %s" % version)
        headers = {}
        while True:
            line = self.line()
            if not line:
                return int(status), headers
            name, value = line.split(":", 1)
            headers[name.lower()] = value.strip()

    def send_head(self, path, headers):
        self.socket.sendall(("POST %s HTTP/1.1\r\n" % path + "".join("%s: %s\r\n" % h for h in headers) + "\r\n").encode())

    def close(self):
        self.socket.close()


class Producer:
    def __init__(self, url, keys, stream, token=None):
        """keys: (access key, secret key); url: the control plane's, used verbatim."""
        self.control, self.keys, self.stream, self.token = url, keys, stream, token
        self.endpoint = None
        self.calls = []  # paths, in order

    @staticmethod
    def address(url):
        host, port = re.match(r"http://([^:/]+):(\d+)$", url).groups()
        return host, int(port)

    def now(self):
        return datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")

    def call(self, path, body):
        """A control call. Returns the status and the JSON."""
        self.calls.append(path)
        host, port = self.address(self.control)
        text = json.dumps(body, indent=4).encode()
        h = {"Host": host, "Accept": "*/*", "Authorization": None, "content-length": str(len(text)),
             "content-type": "application/json", "user-agent": AGENT, "X-Amz-Date": self.now()}
        signed = ["host", "user-agent", "x-amz-date"]
        if self.token:
            h["x-amz-security-token"] = self.token
            signed.append("x-amz-security-token")
        h["Authorization"] = sign(self.keys, path, h, signed, hashlib.sha256(text).hexdigest())
        wire = Wire(host, port)
        wire.send_head(path, h.items())
        wire.socket.sendall(text)
        status, headers = wire.answer()
        answer = wire.exactly(int(headers["content-length"]))
        wire.close()
        return status, json.loads(answer) if answer else {}

    def prepare(self, retention_hours=2, tags=None):
        """describeStream, createStream on 404, tagStream with tags, getDataEndpoint."""
        status, answer = self.call("/describeStream", {"StreamName": self.stream})
        if status == 404:
            status, answer = self.call("/createStream", {"DeviceName": "stock", "StreamName": self.stream,
                                                         "MediaType": "video/h264",
                                                         "DataRetentionInHours": retention_hours})
            if status != 200 or not answer["StreamARN"]:
                raise ProtocolError("createStream: %d %s" % (status, answer))
            arn = answer["StreamARN"]
        elif status == 200 and answer["StreamInfo"]["Status"] == "ACTIVE":
            arn = answer["StreamInfo"]["StreamARN"]
        else:
            raise ProtocolError("describeStream: %d %s" % (status, answer))
        if tags:
            status, answer = self.call("/tagStream", {"StreamARN": arn, "Tags": tags})
            if status != 200:
                raise ProtocolError("tagStream: %d %s" % (status, answer))
        status, answer = self.call("/getDataEndpoint", {"StreamName": self.stream, "APIName": "PUT_MEDIA"})
        if status != 200:
            raise ProtocolError("getDataEndpoint: %d %s" % (status, answer))
        self.endpoint = answer["DataEndpoint"]

    def put(self, start_ms, timecodes="ABSOLUTE", kind="kvssink"):
        self.calls.append("/putMedia")
        return Session(self, start_ms, timecodes, kind)


class Session:
    """One PutMedia. kind: what is signed, by kvssink or by the C producer."""

    def __init__(self, producer, start_ms, timecodes, kind):
        host, port = producer.address(producer.endpoint)
        self.wire = Wire(host, port)
        h = {"Host": host, "Accept": "*/*", "Authorization": None, "connection": "keep-alive", "transfer-encoding": "chunked",
             "user-agent": AGENT, "X-Amz-Date": producer.now(), "x-amzn-fragment-acknowledgment-required": "1",
             "x-amzn-fragment-timecode-type": timecodes,
             "x-amzn-producer-start-timestamp": "%d.%d" % (start_ms // 1000, start_ms % 1000),
             "x-amzn-stream-name": producer.stream, "Expect": "100-continue"}
        signed = [n.lower() for n in h if n.lower().startswith("x-amz")] + ["host", "user-agent"]
        if kind == "c":
            signed += ["connection", "transfer-encoding"]
        h["Authorization"] = sign(producer.keys, "/putMedia", h, signed, EMPTY)
        self.wire.send_head("/putMedia", h.items())
        status, _ = self.wire.answer()
        if status != 100:
            raise ProtocolError("no leave to send the body, but %d instead" % status)
        self.status, self.headers = self.wire.answer()
        if self.status != 200 or self.headers.get("transfer-encoding") != "chunked":
            raise ProtocolError("PutMedia: %d %s" % (self.status, self.headers))
        self.acks, self.over = [], False
        self.stage = collections.defaultdict(str)  # of each fragment number

    def send(self, data):
        """A chunk of the body, as libcurl cuts it."""
        for at in range(0, len(data), 16372):
            piece = data[at:at + 16372]
            self.wire.socket.sendall(b"%x\r\n" % len(piece) + piece + b"\r\n")
        return self

    def ack(self):
        """The next ack, checked as strictly as the C parser would; None when the answer ends."""
        n = int(self.wire.line(), 16)
        data = self.wire.exactly(n)
        self.wire.exactly(2)
        if not n:
            self.over = True
            return None
        if n > ACK_MOST_BYTES or not data.endswith(b"\n") or data.count(b"{") != 1 or data.count(b"}") != 1:
            raise ProtocolError("not one flat ack in a chunk: %r" % data)
        ack = json.loads(data)
        event, fragment = ack.get("EventType"), ack.get("FragmentNumber", "")
        if event not in ("BUFFERING", "RECEIVED", "PERSISTED", "ERROR", "IDLE"):
            raise ProtocolError("ack %r" % ack)
        if event == "ERROR" and not isinstance(ack.get("ErrorId"), int):
            raise ProtocolError("an ERROR ack without its id: %r" % ack)
        if event in ("BUFFERING", "RECEIVED", "PERSISTED"):
            follows = {"BUFFERING": "", "RECEIVED": "BUFFERING", "PERSISTED": "RECEIVED"}[event]
            if not re.match(r"^\d{1,128}$", fragment) or not isinstance(ack.get("FragmentTimecode"), int):
                raise ProtocolError("ack %r" % ack)
            if self.stage[fragment] != follows:
                raise ProtocolError("%s after %r for %s" % (event, self.stage[fragment], fragment))
            self.stage[fragment] = event
        self.acks.append(ack)
        return ack

    def wait(self, event, timecode=None):
        while True:
            a = self.ack()
            if a is None:
                raise ProtocolError("the answer ended before %s of %s: %s" % (event, timecode, self.acks))
            if a["EventType"] == event and timecode in (None, a.get("FragmentTimecode")):
                return a

    def stop(self, last_timecode):
        """The end of the stream: the tag, the last PERSISTED, then the terminating chunk. Returns all acks."""
        self.send(matroska.tags(("AWS_KINESISVIDEO_END_OF_FRAGMENT", "")))
        if not any(a["EventType"] == "PERSISTED" and a["FragmentTimecode"] == last_timecode for a in self.acks):
            self.wait("PERSISTED", last_timecode)
        self.wire.socket.sendall(b"0\r\n\r\n")
        while self.ack():
            pass
        self.wire.close()
        return self.acks

    def rest(self):
        """All acks until the answer ends."""
        while not self.over and self.ack():
            pass
        self.wire.close()
        return self.acks

    def numbers(self, event="PERSISTED"):
        return [a["FragmentNumber"] for a in self.acks if a["EventType"] == event]
