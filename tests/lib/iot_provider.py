"""An AWS IoT credentials provider that misbehaves by script: temporary keys for a device that shows its certificate (mutual TLS).

    provider = IotProvider(folder, keys, life_s=8)   # adds a fault_endpoint.Key to `keys` with each answer
    provider.script = lambda n: {"status": 403}      # what the n-th request (from 1) gets; {} behaves

Scripts:
  status: N, message: TEXT    that refusal
  text: BYTES                 200 with this body
  half: True                  half of the body that is announced, and the end
  slow: S                     the answer comes byte by byte in S seconds
  hang: S                     nothing comes for S seconds, then the end
  over: S                     credentials that ended S seconds ago
  plain: True                 no TLS at all
"""
import email.utils
import json
import socket
import ssl
import subprocess
import threading
import time

from fault_endpoint import Key


class IotProvider:
    def __init__(self, folder, keys, life_s, script=lambda n: {}):
        self.folder, self.keys, self.life_s, self.script = folder, keys, life_s, script
        self.asked, self.requests, self.port = 0, [], 0
        for name in ("server", "device"):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
                            "-subj", "/CN=" + name, "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "%s/%s.key" % (folder, name),
                            "-out", "%s/%s.pem" % (folder, name)], check=True, capture_output=True)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(folder + "/server.pem", folder + "/server.key")
        self.tls.load_verify_locations(folder + "/device.pem")
        self.tls.verify_mode = ssl.CERT_REQUIRED
        self.open()

    def open(self):
        """Listens, at the same port after close()."""
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=16)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, args=(self.listener,), daemon=True).start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def conf(self):
        """The section endpoint.credentials."""
        return {"type": "iot", "iot_endpoint": "127.0.0.1:%d" % self.port, "iot_cert": self.folder + "/device.pem",
                "iot_key": self.folder + "/device.key", "iot_ca": self.folder + "/server.pem", "iot_role_alias": "Uploads",
                "iot_thing": "cam-1"}

    def serve(self, listener):
        while True:
            try:
                c, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.answer, args=(c,), daemon=True).start()

    def answer(self, c):
        self.asked += 1
        s = self.script(self.asked)
        try:
            if s.get("plain"):
                with c:
                    c.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                return
            with self.tls.wrap_socket(c, server_side=True) as t, t.makefile("rb") as reader:
                lines = []
                while not lines or lines[-1]:
                    lines.append(reader.readline().decode().strip())
                self.requests.append(lines)
                if "hang" in s:
                    time.sleep(s["hang"])
                    return
                self.send(t, s)
        except OSError:
            pass

    def send(self, t, s):
        status = s.get("status", 200)
        body = s.get("text") or (json.dumps({"message": s.get("message", "by script")}) if status != 200 else self.credentials(s)).encode()
        head = "HTTP/1.1 %d X\r\nDate: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (
            status, email.utils.formatdate(usegmt=True), len(body))
        data = head.encode() + (body[:len(body) // 2] if s.get("half") else body)
        for i in range(len(data)) if "slow" in s else ():
            t.sendall(data[i:i + 1])
            time.sleep(s["slow"] / len(data))
        if "slow" not in s:
            t.sendall(data)

    def credentials(self, s):
        ends = int(time.time()) + (-s["over"] if "over" in s else self.life_s)
        name = "ASIAIOT%d" % self.asked
        key = Key("not-in-the-log-%d" % self.asked, "token-not-in-the-log-%d" % self.asked, ends)
        if not s.get("half"):
            self.keys[name] = key
        return json.dumps({"credentials": {"accessKeyId": name, "secretAccessKey": key.secret, "sessionToken": key.token,
                                           "expiration": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ends))}})
