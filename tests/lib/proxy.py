"""A TCP proxy on loopback that tests put in front of a server, to cut, stall, slow or fake what passes.

One thread and one event loop; the knobs may be turned from any thread at any time.
"""
import asyncio
import socket
import struct
import threading

CHUNK = 16384


class Proxy:
    """Listens on .port and passes everything to target (a port or a host, port pair) until told otherwise.

    .rate      bytes a second towards the server, for all connections together; None: as fast as it goes
    .stalled   True: nothing is read and nothing is passed, connections stay open
    .answer    bytes: each new connection gets these and is closed, when its first bytes have come; None: it is passed on
    """

    def __init__(self, target, port=0):
        self.target = ("127.0.0.1", target) if isinstance(target, int) else target
        self.rate, self.stalled, self.answer = None, False, None
        self.writers, self.responses, self.next_send = set(), set(), 0.0
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", port), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.server = None
        self.listen()

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    def listen(self):
        """Listens again after refuse()."""
        async def begin():
            self.server = await asyncio.start_server(self.accept, sock=self.listener)
        if self.listener is None:
            self.listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self.call(begin())

    def refuse(self):
        """New connections are refused; those that are there are reset."""
        async def end():
            self.server.close()
        self.call(end())
        self.listener = None
        self.reset()

    def reset(self):
        """Every connection ends with a TCP reset on both sides, whatever is on its way."""
        async def end():
            for writer in list(self.writers):
                abort(writer)
        self.call(end())

    def inject(self, data):
        """Writes bytes to every client that waits for more of a response, then resets its connection. Returns how many."""
        async def send():
            count = 0
            for writer in list(self.responses):
                try:
                    writer.write(data)
                    await asyncio.wait_for(writer.drain(), 1)
                except (OSError, RuntimeError, asyncio.TimeoutError):
                    continue  # this one has ended meanwhile
                writer.close()
                count += 1
            return count
        return self.call(send())

    def close(self):
        if self.listener:
            self.refuse()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)

    async def accept(self, reader, writer):
        self.connections += 1
        self.writers.add(writer)
        upstream = None
        try:
            if self.answer is not None:
                await reader.read(CHUNK)
                writer.write(self.answer)
                await writer.drain()
                return
            back, upstream = await asyncio.open_connection(*self.target)
            self.writers.add(upstream)
            self.responses.add(writer)
            done, pending = await asyncio.wait([asyncio.ensure_future(self.copy(reader, upstream, True, writer)),
                                                asyncio.ensure_future(self.copy(back, writer, False, writer))])
        except OSError:
            abort(writer)
        finally:
            for w in (writer, upstream):
                self.writers.discard(w)
                self.responses.discard(w)
                if w:
                    w.close()

    def touch(self, data, up, client):
        """What goes on of `data` from (`up`) or to a client; for those who know the protocol."""
        return data

    async def copy(self, reader, writer, paced, client):
        try:
            while True:
                data = await reader.read(CHUNK)
                while self.stalled:
                    await asyncio.sleep(0.02)
                if not data:
                    break
                if paced and self.rate:
                    self.next_send = max(self.next_send, self.loop.time()) + len(data) / self.rate
                    await asyncio.sleep(self.next_send - self.loop.time())
                writer.write(self.touch(data, paced, client))
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
        except (OSError, RuntimeError):
            abort(writer)


def abort(writer):
    """Closes with a reset in place of an orderly end."""
    sock = writer.get_extra_info("socket")
    if sock:
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
    writer.transport.abort()
