"""Sources of encoded media in the core process.

    encoded.py         the contract: what the core may do with a source
    registry.py        `open_source(type, kind, parameters)`
    frames.py          "frames": pictures encoded by the kernel, handed through; their form on the link
    samples.py         "samples": sound the kernel hands over ahead of time, encoded here when it is due
    threaded.py        what the sources that run by themselves have in common; pace.py when their next frame is due
    pattern.py         "pattern": a moving test picture; painter.py paints it
    page.py            "page": a camera, microphone or screen of a page, handed through as it was encoded there
    tone.py            "tone": a sine, steady or in beeps
    file.py            "file": any media PyAV opens. One file has
    player.py            a player, with its clock (media_clock.py), a thread that reads (reader.py),
    packet_queue.py      and a queue of packets for each of its
    file_playback.py     sources: file_video.py, file_audio.py; passthrough.py says what is sent as it is

All but "frames" and "page" run by themselves in daemon threads, so a busy kernel does not stop them; they encode with
`codec`. A sink is called from such a thread: the core hops onto its loop.
"""

from __future__ import annotations

from lknb.core.source.encoded import EncodedSource, Sink, describe_source
from lknb.core.source.frames import FrameSource
from lknb.core.source.registry import open_source
from lknb.core.source.samples import SampleSource

__all__ = ["EncodedSource", "FrameSource", "SampleSource", "Sink", "describe_source", "open_source"]
