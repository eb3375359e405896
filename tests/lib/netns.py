"""Hosts of their own: network namespaces.

A Host is behind a wire that loses, delays, narrows or stands still: a pair of TUN devices, one in the namespace, and a thread that
carries packets between them (tc netem is not in every kernel). A Lan is several hosts on one switch, with names, and somebody
who listens on every cable. Both need root and raise Unable where they cannot be made.
"""
import collections
import fcntl
import os
import random
import select
import shutil
import struct
import subprocess
import sys
import threading
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
QUEUE_BYTES = 200000  # what a router would hold


class Unable(Exception):
    pass


def ip(*command):
    subprocess.run(["ip", *command], check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


class Host:
    """.address is the far end, .here the near one. Knobs, for each direction: .loss (0 to 1), .delay_s, .rate (bytes a second or None)."""

    def __init__(self):
        self.loss, self.delay_s, self.rate = 0.0, 0.0, None
        tag = "%x" % (os.getpid() & 0xfffff)
        self.name = "kv-" + tag
        net = "10.%d.%d." % (64 + (os.getpid() >> 8 & 63), os.getpid() & 255)
        self.address, self.here = net + "2", net + "1"
        self.fds, self.running = [], True
        try:
            ip("netns", "add", self.name)
            near, far = "kva" + tag, "kvb" + tag
            self.fds = [self.tun(near), self.tun(far)]
            ip("link", "set", far, "netns", self.name)
            ip("addr", "add", self.here, "peer", self.address, "dev", near)
            ip("link", "set", near, "up")
            ip("-n", self.name, "addr", "add", self.address, "peer", self.here, "dev", far)
            ip("-n", self.name, "link", "set", far, "up")
            ip("-n", self.name, "link", "set", "lo", "up")
        except (OSError, subprocess.CalledProcessError) as e:
            self.close()
            raise Unable(getattr(e, "stderr", "") or str(e))
        self.thread = threading.Thread(target=self.carry, daemon=True)
        self.thread.start()

    def tun(self, name):
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
        return fd

    def inside(self, *command):
        return ["ip", "netns", "exec", self.name, *command]

    def carry(self):
        dice = random.Random(1)
        queues = [collections.deque(), collections.deque()]  # of (when it arrives, packet)
        waiting, free_at = [0, 0], [0.0, 0.0]
        while self.running:
            due = min((q[0][0] for q in queues if q), default=time.monotonic() + 0.05)
            ready = select.select(self.fds, [], [], max(0, min(0.05, due - time.monotonic())))[0]
            now = time.monotonic()
            for way, fd in enumerate(self.fds):
                if fd in ready:
                    packet = os.read(fd, 65536)
                    if dice.random() < self.loss or waiting[way] + len(packet) > QUEUE_BYTES:
                        continue
                    free_at[way] = max(free_at[way], now) + (len(packet) / self.rate if self.rate else 0)
                    queues[way].append((free_at[way] + self.delay_s, packet))
                    waiting[way] += len(packet)
            for way, queue in enumerate(queues):
                while queue and queue[0][0] <= now:
                    packet = queue.popleft()[1]
                    waiting[way] -= len(packet)
                    try:
                        os.write(self.fds[1 - way], packet)
                    except OSError:
                        pass  # as a wire does

    def close(self):
        self.running = False
        if hasattr(self, "thread"):
            self.thread.join(2)
        for fd in self.fds:
            os.close(fd)  # the devices go with them
        self.fds = []
        subprocess.run(["ip", "netns", "del", self.name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


# Run inside the switch: every packet that goes over a cable, as it is, into the file.
SNIFFER = """
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
s.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
print("listening", flush=True)
with open(sys.argv[1], "wb", 1 << 20) as out:
    while True:
        packet, (device, *_) = s.recvfrom(65536)
        if device.startswith("port"):
            out.write(packet)
            out.flush()
"""


class Lan:
    """.address: {host: its IPv4 address}. The hosts know each other by the names that name() gave."""

    def __init__(self, hosts):
        self.tag = "kvl%x-" % (os.getpid() & 0xfffff)
        self.switch = self.tag + "switch"
        self.address = {h: "10.77.0.%d" % (i + 1) for i, h in enumerate(hosts)}
        self.sniffer = None
        try:
            ip("netns", "add", self.switch)
            ip("-n", self.switch, "link", "add", "br0", "type", "bridge")
            ip("-n", self.switch, "link", "set", "br0", "up")
            for i, host in enumerate(hosts):
                self.plug(i, host)
        except (OSError, subprocess.CalledProcessError) as e:
            self.close()
            raise Unable(getattr(e, "stderr", "") or str(e))
        self.name({h: [h] for h in hosts})

    def plug(self, i, host):
        ns = self.tag + host
        ip("netns", "add", ns)
        ip("-n", self.switch, "link", "add", "port%d" % i, "type", "veth", "peer", "name", "eth0", "netns", ns)
        ip("-n", self.switch, "link", "set", "port%d" % i, "master", "br0", "up")
        ip("-n", ns, "addr", "add", self.address[host] + "/24", "dev", "eth0")
        ip("-n", ns, "link", "set", "eth0", "up")
        ip("-n", ns, "link", "set", "lo", "up")
        os.makedirs("/etc/netns/" + ns)

    def name(self, names):
        """{name: [hosts]}: what each name leads to from now on."""
        lines = ["127.0.0.1 localhost"] + ["%s %s" % (self.address[h], n) for n, hosts in names.items() for h in hosts]
        for host in self.address:  # in place: a process that runs has this very file as its /etc/hosts
            with open("/etc/netns/%s%s/hosts" % (self.tag, host), "w") as f:
                f.write("\n".join(lines) + "\n")

    def inside(self, host, *command):
        return ["ip", "netns", "exec", self.tag + host, *command]

    def listen(self, path):
        """Begins to keep every packet in a file."""
        self.sniffer = subprocess.Popen(self.inside("switch", sys.executable, "-c", SNIFFER, path), stdout=subprocess.PIPE)
        self.sniffer.stdout.readline()

    def close(self):
        if self.sniffer:
            self.sniffer.kill()
            self.sniffer.wait()
        for ns in [self.tag + h for h in self.address] + [self.switch]:
            subprocess.run(["ip", "netns", "del", ns], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            shutil.rmtree("/etc/netns/" + ns, ignore_errors=True)
