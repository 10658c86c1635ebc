"""Sources of encoded media in the core process.

    encoded.py    the contract: what the core may do with a source
    registry.py   `open_source(type, kind, parameters)`
    frames.py     "frames": encoded by the kernel, handed through
    pattern.py    "pattern": a moving test picture
    painter.py    the picture of the pattern
    tone.py       "tone": a sine, steady or in beeps
    file.py       "file": any media PyAV opens, passed through or encoded again
    player.py     one open media file: its reading thread and its clock
    pace.py       when the next frame is due

All but "frames" run by themselves in daemon threads, so a busy kernel does not stop them; they encode with `codec`. A
sink is called from such a thread: the core hops onto its loop.
"""

from __future__ import annotations

from lknb.core.source.encoded import EncodedSource, Sink, describe_source
from lknb.core.source.frames import FrameSource
from lknb.core.source.registry import open_source

__all__ = ["EncodedSource", "FrameSource", "Sink", "describe_source", "open_source"]
