"""A remote track whose encoded frames a test sends."""

from __future__ import annotations

import threading
from typing import Any

from lknb.codec.audio_encoder import FRAME_SAMPLES, AudioEncoder, Samples
from lknb.codec.clock import now_us
from lknb.codec.video_encoder import VideoEncoder
from lknb.core.source.frames import frame_header
from lknb.core.source.painter import Painter
from lknb.errors import DisconnectedError
from lknb.rtc.enumeration import TrackKind
from lknb.rtc.event_emitter import EventEmitter
from lknb.wire.frame import EncodedFrame
from tests.rtc.scripted_core import ScriptedCore


class FakeTrack(EventEmitter[str]):
    """What `RemoteVideoTrack` and `RemoteAudioTrack` are to whoever reads them."""

    def __init__(self, core: ScriptedCore, kind: TrackKind = TrackKind.KIND_VIDEO, sid: str = "TR_1") -> None:
        super().__init__()
        self.core = core
        self.kind = kind
        self.sid = sid
        self.ended = False

    @property
    def room_handle(self) -> int:
        if self.ended:
            raise DisconnectedError("the track is in no room")
        return 1

    @property
    def client(self) -> Any:
        if self.ended:
            raise DisconnectedError("the track is in no room")
        return self.core

    @property
    def read_requests(self) -> list[bool]:
        """Which `read` requests came for it, on or off."""
        return [header["on"] for header in self.core.sent("read") if header["track_sid"] == self.sid]

    @property
    def flowing(self) -> bool:
        return ("track", 1, self.sid) in self.core.listeners

    def send(self, frame: EncodedFrame | None) -> None:
        """A frame from the core, on a thread of its own as in life. Nothing when nobody listens."""
        handler = self.core.listeners.get(("track", 1, self.sid))
        if handler is None or frame is None:
            return
        header = {"event": "frame", "room": 1, "track_sid": self.sid, **frame_header(frame)}
        thread = threading.Thread(target=handler, args=(header, [frame.data]))
        thread.start()
        thread.join()

    def end(self) -> None:
        self.ended = True
        self.emit("ended")

    def __repr__(self) -> str:
        return f"FakeTrack({self.sid})"


class Camera:
    """Numbered pictures of one colour, encoded."""

    def __init__(self, codec: str = "vp8", width: int = 64, height: int = 48) -> None:
        self._encoder = VideoEncoder(codec, width, height, bitrate_bps=300_000)
        self._size = width, height
        self._index = 0

    def frame(self, color: str = "#808080", *, keyframe: bool = False) -> EncodedFrame | None:
        picture = Painter(*self._size, color).paint(0, 0)
        self._index += 1
        return self._encoder.encode(picture, now_us(), keyframe)


class Microphone:
    """Sound, encoded, in steps of 20 ms."""

    def __init__(self, channels: int = 1) -> None:
        self._encoder = AudioEncoder(channels)
        self._next_us = now_us()

    def frames(self, sound: Samples) -> list[EncodedFrame]:
        pieces = sound.reshape(-1, FRAME_SAMPLES, sound.shape[1])
        return [frame for piece in pieces if (frame := self._encoder.encode(piece, self.tick())) is not None]

    def tick(self, pieces: int = 1) -> int:
        """Let time pass; returns when it began."""
        began = self._next_us
        self._next_us += pieces * 20_000
        return began
