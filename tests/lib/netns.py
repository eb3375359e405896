"""A host of its own: a network namespace behind a wire that loses, delays, narrows or stands still.

The wire is a pair of TUN devices, one in the namespace, and a thread that carries packets between them: tc netem is not in
every kernel. Needs root and /dev/net/tun; Host() raises Unable where it cannot be made.
"""
import collections
import fcntl
import os
import random
import select
import struct
import subprocess
import threading
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
QUEUE_BYTES = 200000  # what a router would hold


class Unable(Exception):
    pass


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
            self.ip("netns", "add", self.name)
            near, far = "kva" + tag, "kvb" + tag
            self.fds = [self.tun(near), self.tun(far)]
            self.ip("link", "set", far, "netns", self.name)
            self.ip("addr", "add", self.here, "peer", self.address, "dev", near)
            self.ip("link", "set", near, "up")
            self.ip("-n", self.name, "addr", "add", self.address, "peer", self.here, "dev", far)
            self.ip("-n", self.name, "link", "set", far, "up")
            self.ip("-n", self.name, "link", "set", "lo", "up")
        except (OSError, subprocess.CalledProcessError) as e:
            self.close()
            raise Unable(getattr(e, "stderr", "") or str(e))
        self.thread = threading.Thread(target=self.carry, daemon=True)
        self.thread.start()

    def ip(self, *command):
        subprocess.run(["ip", *command], check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

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
