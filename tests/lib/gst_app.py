#!/usr/bin/python3
"""gst_app.py SCENE FILE: a program that gives kvpipesink the access units of an H.264 file by hand, as sources do on their bad days.

Its stream has the scene's name. Prints "eos" when the element posted EOS, its warnings and errors as they come.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst

import mkv_file

MS = Gst.MSECOND
SCENES = {}


def scene(function):
    SCENES[function.__name__] = function
    return function


class Source:
    """A pad that this program pushes into kvpipesink's request pad."""

    def __init__(self, sink, kind, caps, start=0):
        self.pad = Gst.Pad.new("src", Gst.PadDirection.SRC)
        self.pad.set_active(True)
        self.pad.link(sink.request_pad_simple(kind + "_%u"))
        self.pad.push_event(Gst.Event.new_stream_start(kind))
        if caps:
            self.caps(caps)
            self.segment(start)

    def caps(self, caps):
        self.pad.push_event(Gst.Event.new_caps(Gst.Caps.from_string(caps)))

    def segment(self, start):
        segment = Gst.Segment()
        segment.init(Gst.Format.TIME)
        segment.start = start * MS
        self.pad.push_event(Gst.Event.new_segment(segment))

    def push(self, payload, key=True, pts=None, dts=None):
        buffer = Gst.Buffer.new_wrapped(payload)
        if pts is not None:
            buffer.pts = pts * MS
        if dts is not None:
            buffer.dts = dts * MS
        if not key:
            buffer.set_flags(Gst.BufferFlags.DELTA_UNIT)
        return self.pad.push(buffer)

    def end(self):
        self.pad.push_event(Gst.Event.new_eos())


class App:
    def __init__(self, name, path):
        self.sink = Gst.ElementFactory.make("kvpipesink")
        self.sink.set_property("stream-name", name)
        self.pipeline = Gst.Pipeline.new()
        self.pipeline.add(self.sink)
        self.record, self.frames = mkv_file.video_of(path)

    def start(self):
        self.pipeline.set_state(Gst.State.PLAYING)

    def video(self, start=0, record=None):
        return Source(self.sink, "video", avc(record or self.record), start)

    def push_all(self, source, frames=None):
        for ms, key, payload in frames or self.frames:
            source.push(payload, key, ms)

    def stop(self):
        """Waits for EOS or an error, says what was on the bus."""
        bus = self.pipeline.get_bus()
        while True:
            m = bus.timed_pop_filtered(60 * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR | Gst.MessageType.WARNING)
            if m is None:
                print("nothing for a minute", flush=True)
            elif m.type == Gst.MessageType.EOS:
                print("eos", flush=True)
            elif m.type == Gst.MessageType.ERROR:
                print("ERROR: %s (%s)" % (m.parse_error()[0].message, m.parse_error()[1]), flush=True)
            else:
                print("WARNING: %s" % m.parse_warning()[0].message, flush=True)
                continue
            self.pipeline.set_state(Gst.State.NULL)
            return


def avc(record):
    return "video/x-h264,stream-format=avc,alignment=au,codec_data=(buffer)%s" % record.hex()


def metadata(name, value, persist):
    s = Gst.Structure.new_empty("kvs-add-metadata")
    s.set_value("name", name)
    s.set_value("value", value)
    s.set_value("persist", persist)
    return Gst.Event.new_custom(Gst.EventType.CUSTOM_DOWNSTREAM, s)


@scene
def tags(app):
    """Metadata before the first frame, in the 2nd fragment, from the 3rd on, taken out in the 5th; a fragment is 1 s."""
    app.start()
    v = app.video()
    v.pad.push_event(metadata("first", "of all", False))
    starts = 0
    for ms, key, payload in app.frames:
        v.push(payload, key, ms)
        starts += key
        if key and starts == 2:
            v.pad.push_event(metadata("door", "open", False))
        if key and starts == 3:
            app.sink.send_event(metadata("guard", "on", True))
        if key and starts == 5:
            v.pad.push_event(metadata("guard", "", True))
            v.pad.push_event(metadata("AWS_mine", "no", False))
    v.end()
    app.stop()


@scene
def timeless(app):
    """No time stamp at all."""
    app.sink.set_property("framerate", 20)
    app.start()
    v = app.video()
    for _, key, payload in app.frames:
        v.push(payload, key)
    v.end()
    app.stop()


@scene
def shifted(app):
    """Times begin at a segment that starts late, decode times before it, and there are holes in the data."""
    app.start()
    v = app.video(start=100000)
    for n, (ms, key, payload) in enumerate(app.frames):
        if n == 10:
            v.pad.push_event(Gst.Event.new_gap((100000 + ms) * MS, 10 * MS))
            v.pad.push(Gst.Buffer.new())
        v.push(payload, key, 100000 + ms, 99900 + ms)
    v.end()
    app.stop()


@scene
def flushed(app):
    """A flush in the middle; what was put stays."""
    app.start()
    v = app.video()
    half = len(app.frames) // 2
    app.push_all(v, app.frames[:half])
    v.pad.push_event(Gst.Event.new_flush_start())
    v.pad.push_event(Gst.Event.new_flush_stop(True))
    v.segment(0)
    app.push_all(v, app.frames[half:])
    v.end()
    app.stop()


@scene
def changed(app):
    """The picture's size changes in the middle; the frames are another file's there."""
    record, frames = mkv_file.video_of(sys.argv[3])
    app.start()
    v = app.video()
    app.push_all(v)
    v.caps(avc(record))
    last = app.frames[-1][0] + 50
    app.push_all(v, [(last + ms, key, payload) for ms, key, payload in frames])
    v.end()
    app.stop()


@scene
def late(app):
    """Sound says what it is when 1 s of pictures has come."""
    app.start()
    v = app.video()
    a = Source(app.sink, "audio", None)
    for n, (ms, key, payload) in enumerate(app.frames):
        if n == 20:
            a.caps("audio/x-alaw,rate=8000,channels=1")
            a.segment(0)
        v.push(payload, key, ms)
        if n >= 20:
            a.push(bytes([0xD5]) * 400, pts=ms)
    v.end()
    a.end()
    app.stop()


@scene
def silent(app):
    """Sound never says what it is before storage-size is full."""
    app.sink.set_property("storage-size", 1)
    app.sink.set_property("streaming-type", 2)
    app.start()
    v = app.video()
    a = Source(app.sink, "audio", None)
    filler = mkv_file.filler(100000)
    for ms, key, payload in app.frames:
        v.push(payload + filler, key, ms)
    a.caps("audio/x-alaw,rate=8000,channels=1")
    a.segment(0)
    a.push(bytes([0xD5]) * 400, pts=app.frames[-1][0])
    v.end()
    a.end()
    app.stop()


@scene
def mute(app):
    """Sound never says what it is, and the pictures end soon."""
    app.start()
    v = app.video()
    Source(app.sink, "audio", None)
    app.push_all(v)
    v.end()
    app.stop()


@scene
def again(app):
    """Another file follows after EOS, without a flush, as concat gives it."""
    app.start()
    v = app.video()
    for _ in range(2):
        v.pad.push_event(Gst.Event.new_stream_start("next"))
        v.caps(avc(app.record))
        v.segment(0)
        app.push_all(v)
        v.end()
    app.stop()


@scene
def twice(app):
    """Played to its end, stopped, and played again by the same element."""
    for _ in range(2):
        app.start()
        v = app.video()
        app.push_all(v)
        v.end()
        app.stop()
        app.sink.release_request_pad(v.pad.get_peer())


@scene
def hostile(app):
    """Caps without configuration, then one that is none."""
    app.start()
    v = Source(app.sink, "video", "video/x-h264,stream-format=avc,alignment=au")
    app.stop()
    app.start()
    v.caps(avc(b"\1\2\3"))
    app.push_all(v)
    app.stop()


Gst.init(None)
SCENES[sys.argv[1]](App(sys.argv[1], sys.argv[2]))
