#!/usr/bin/python3
"""deploy/examples/encoder-python with one rule of the contract broken: broken_encoder.py VARIANT -c ... -i ...

BROKEN says which rule of `kvpipe conform` must notice each, and by what words.
"""
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../deploy/examples/encoder-python"))

# variant: (rule, what the verdict says)
BROKEN = {
    "mute-hello": ("question", "not answered by a Hello"),
    "no-heartbeats": ("heartbeat", "0 heartbeats"),
    "resumes-twice": ("resume", "a second Resume"),
    "no-fence": ("fenced", r"not answered by Close\(FENCED\)"),
    "skips-holes": ("jump", "frame 4 after frame 1"),
    "dedupes": ("twice", "no Hello"),
    "any-vector": ("foreign", "another vector was taken"),
    "any-format": ("format", "no Hello"),
    "deaf-to-frames": ("lost-frame", "a frame that did not come"),
    "deaf-to-opens": ("lost-open", "whose Open did not come"),
    "dies-of-garbage": ("bad-bytes", "the process ended"),
    "new-name": ("restart", "not the same instance"),
    "no-word": ("leaving", "no Close.DRAINING"),
    "answers-itself": ("asks-below", "before the answer from below"),
    "acks-itself": ("hands-acks-up", "nothing was acked below"),
    "forgets-backlog": ("hands-acks-up", "lacks the backlog"),
    "same-number": ("new-number", "not greater"),
    "forgets": ("sends-again", "came again|is next"),
    "any-answer": ("stale-answer", "older vector"),
    "no-credit": ("credit", "beyond position|4 from below, 8 goes up"),
    "other-times": ("one-to-one", "another pts_ns"),
    "swallows-gaps": ("gap", "out of a Gap|that would come|is next"),
    "keeps-fence": ("fenced-below", "not passed up"),
    "never-ends": ("ended", "not passed down"),
    "deaf-below": ("beats-below", "no new Open"),
    "patient": ("silence", "another instance is there"),
    "asks-nobody": ("asks-strangers", "not answered by an empty Hello"),
    "delta-first": ("key-first", "no key frame"),
    "touches": ("untouched", "do not come out as they went in"),
}


def main():
    variant = sys.argv.pop(1)
    import encoder
    pb = encoder.pb

    class Broken(encoder.Encoder):
        def is_(self, name):
            return variant == name

        def hello(self, link):
            if not self.is_("mute-hello") or not link.said_hello:
                super().hello(link)

        def beat(self):
            if not self.is_("no-heartbeats"):
                super().beat()

        def on_resume(self, peer, m):
            s = self.owned(peer, m)
            asking = s and s.state == "asking"
            super().on_resume(peer, m)
            if asking and self.is_("resumes-twice"):
                s.link.send(resume=pb.Resume(stream=s.name, vector=pb.Vector(n=s.vector), positions=self.acked(s)))

        def on_open(self, link, m):
            if self.is_("no-fence"):
                self.greatest[m.stream] = []
            super().on_open(link, m)
            if self.is_("answers-itself"):
                link.send(resume=pb.Resume(stream=m.stream, vector=m.vector, positions=[pb.Position(track=1, credit=8)]))

        def on_item(self, link, m, first, last, payload):
            s = self.streams.get(m.stream)
            t = s and s.tracks.get(m.track)
            if t and self.is_("skips-holes") and first > t.next:
                t.next = first
                t.sent = t.high = first
            if t and self.is_("dedupes") and first < t.next:
                return
            if s and self.is_("any-vector"):
                m.vector.CopyFrom(pb.Vector(n=s.vector))
            if t and self.is_("any-format") and payload is not None:
                t.format.number = m.format
            super().on_item(link, m, first, last, payload)

        def on_heartbeat_above(self, link, m):
            opens = any(list(x.vector.n) > self.greatest.get(x.stream, []) for x in m.sessions)
            if not self.is_("deaf-to-opens" if opens else "deaf-to-frames"):
                super().on_heartbeat_above(link, m)

        def decode(self, parts):
            try:
                return super().decode(parts)
            except encoder.Refused:
                if self.is_("dies-of-garbage"):
                    os._exit(1)
                raise

        def put(self, s, t, item):
            if self.is_("other-times") and not item.gap:
                item.message.pts_ns += 1000
            if self.is_("delta-first") and not item.gap:
                item.message.key = False
            if self.is_("touches") and not item.gap:
                item.payload = bytes(item.payload) + b"\0"
            super().put(s, t, item)
            if self.is_("acks-itself"):
                t.acked = t.high
                s.link.send(ack=pb.Ack(stream=s.name, vector=pb.Vector(n=s.vector), positions=self.acked(s)))

        def take_ack(self, s, at, backlog):
            super().take_ack(s, at, (0, 0) if self.is_("forgets-backlog") else backlog)

        def open_below(self, s, peer=None):
            if self.is_("same-number") and s.g:
                s.g -= 1
            if self.is_("forgets"):
                for t in s.tracks.values():
                    t.window.clear()
            super().open_below(s, peer)

        def owned(self, peer, m):
            s = self.streams.get(m.stream)
            return s if s and self.is_("any-answer") else super().owned(peer, m)

        def forget(self, s, at):
            super().forget(s, at)
            if self.is_("no-credit"):
                for t in s.tracks.values():
                    t.limit += 100

        def take(self, s, t, m, payload):
            if payload is not None or not self.is_("swallows-gaps"):
                super().take(s, t, m, payload)

        def on_close_below(self, peer, m):
            if not (self.is_("keeps-fence") and m.reason == pb.CLOSE_FENCED):
                super().on_close_below(peer, m)

        def on_close_above(self, link, m):
            if not (self.is_("never-ends") and m.reason == pb.CLOSE_ENDED):
                super().on_close_above(link, m)

        def lacks(self, s, session):
            return False if self.is_("deaf-below") else super().lacks(s, session)

        def tick(self):
            if self.is_("patient"):
                self.heard = {i: self.ticked for i in self.heard}
            super().tick()

        def receive_below(self, parts):
            if parts[0] in self.by_id or not self.is_("asks-nobody") or self.decode(parts[1:])[0] == "hello":
                super().receive_below(parts)

        def run(self):
            if self.is_("new-name"):
                self.instance = "encoder-%d" % random.getrandbits(40)
            if self.is_("no-word"):
                for link in self.links:
                    link.send_all, link.send = link.send, lambda link=link, **body: "close" in body or link.send_all(**body)
            super().run()

    encoder.main(Broken)


if __name__ == "__main__":
    main()
