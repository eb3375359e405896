"""A camera over RTSP for tests, and a proxy in front of it that has all its bad days.

RTSP with its media on the same TCP connection, as capture asks for it.
"""
import os
import re
import subprocess

import kv
import proxy


class Camera:
    """tests/lib/rtsp_camera on .port; `what` as there."""

    def __init__(self, what="test"):
        self.port = kv.free_port()
        self.process = subprocess.Popen([os.path.abspath(kv.B + "/tests/rtsp_camera"), str(self.port), what],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if self.process.stdout.readline().strip() != "ready":
            raise OSError("the RTSP camera did not start")

    def stop(self):
        self.process.kill()
        self.process.wait()


class CameraProxy(proxy.Proxy):
    """A proxy that speaks RTSP.

    .muted     True: connections fall silent for good without an end, and so do new ones
    .refusals  {method: "454 Session Not Found"}: these requests are answered so and do not reach the camera
    .rewrite   a function of an SDP (bytes to bytes) for each DESCRIBE answer, or None
    .rewritten how many answers it made
    """

    def __init__(self, target, port=0):
        self.muted, self.refusals, self.rewrite, self.rewritten = False, {}, None, 0
        self.describing = {}  # client: what came of the answer so far
        self.silent = set()  # clients
        super().__init__(target, port)

    def touch(self, data, up, client):
        if self.muted:
            self.silent.add(client)
        if client in self.silent:
            return b""
        return self.request(data, client) if up else self.response(data, client)

    def request(self, data, client):
        method = data.split(b" ", 1)[0].decode("latin-1")
        number = re.search(rb"\r\nCSeq: *(\d+)", data, re.I)
        if method in self.refusals and number:
            client.write(b"RTSP/1.0 %s\r\nCSeq: %s\r\n\r\n" % (self.refusals[method].encode(), number.group(1)))
            return b""
        if method == "DESCRIBE" and self.rewrite:
            self.describing[client] = b""
        return data

    def response(self, data, client):
        if client not in self.describing:
            return data
        self.describing[client] += data
        head, blank, body = self.describing[client].partition(b"\r\n\r\n")
        length = re.search(rb"\r\nContent-Length: *(\d+)", head, re.I)
        if not blank or (length and len(body) < int(length.group(1))):
            return b""
        del self.describing[client]
        if not length or not self.rewrite:
            return head + blank + body
        self.rewritten += 1
        body = self.rewrite(body)
        head = re.sub(rb"(\r\nContent-Length: *)\d+", lambda m: m.group(1) + b"%d" % len(body), head, flags=re.I)
        return head + blank + body
