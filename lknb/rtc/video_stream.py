"""Pictures of a remote track, decoded."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lknb.codec.clock import now_us
from lknb.codec.video_decoder import VideoDecoder
from lknb.rtc.argument import as_member, check_whole
from lknb.rtc.enumeration import TrackKind, TrackSource
from lknb.rtc.frame_reader import FrameReader
from lknb.rtc.media_stream import MediaStream, ReadableParticipant
from lknb.rtc.track_flow import ReadableTrack, Size, check_size
from lknb.rtc.video_buffer_type import VideoBufferType, VideoRotation
from lknb.rtc.video_frame import VideoFrame
from lknb.wire.frame import EncodedFrame

if TYPE_CHECKING:
    import av

_REST_AFTER_S = 5.0
_US_PER_S = 1_000_000


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture, and when it was captured, in microseconds of the monotonic clock."""

    picture: av.VideoFrame
    timestamp_us: int


class PictureDecoder:
    """Decodes the pictures of a track, whose codec may change."""

    def __init__(self) -> None:
        self._decoder: VideoDecoder | None = None

    @property
    def needs_keyframe(self) -> bool:
        return self._decoder is None or self._decoder.needs_keyframe

    def push(self, frame: EncodedFrame) -> Iterable[Picture]:
        """The picture of a frame, if there is one. Raises `MediaError`."""
        if self._decoder is None or self._decoder.codec != frame.codec:
            self._decoder = VideoDecoder(frame.codec)
        picture = self._decoder.decode(frame)
        return () if picture is None else (Picture(picture, frame.timestamp_us),)

    def restart(self) -> None:
        """Frames were left out: go on with a key frame."""
        self._decoder = None


@dataclass
class VideoFrameEvent:
    """A picture that was received."""

    frame: VideoFrame
    timestamp_us: int
    """When it was captured: the sender's clock, brought onto the monotonic clock of this machine, in microseconds."""
    rotation: VideoRotation
    metadata: Any = None
    """Not received: always None."""

    @property
    def age(self) -> float:
        """Seconds since it was captured, what the network takes on average not counted: how far behind the reader
        is."""
        return max(0.0, (now_us() - self.timestamp_us) / _US_PER_S)


class VideoStream(MediaStream[Picture, VideoFrameEvent]):
    """`async for event in VideoStream(track): event.frame.to_ndarray()`.

    The newest picture wins: whoever reads slowly gets fewer pictures, never old ones. `capacity` is how many wait at
    most, 0 stands for one. `format` is the type of the frames, None is I420. `size` is the (width, height) in pixels that is
    enough: with adaptive stream a smaller simulcast layer may come then. When nobody reads for 5 seconds, decoding rests.
    """

    _kind = TrackKind.KIND_VIDEO

    def __init__(
        self,
        track: ReadableTrack | None,
        loop: asyncio.AbstractEventLoop | None = None,
        capacity: int = 0,
        format: VideoBufferType | int | None = None,
        *,
        participant: ReadableParticipant | None = None,
        track_source: TrackSource | int | None = None,
        size: Size | None = None,
    ) -> None:
        """`loop` has no effect: the stream belongs to whoever iterates it. Raises `TrackError` for a track that is no
        video, TypeError and ValueError for a capacity, a format or a size that is none."""
        super().__init__(track, participant, track_source)
        check_whole("capacity", capacity, 0)
        self._kept = max(1, capacity)
        self._format = as_member("format", format, VideoBufferType) if format is not None else None
        self._size = check_size(size)

    @classmethod
    def from_track(
        cls,
        *,
        track: ReadableTrack,
        loop: asyncio.AbstractEventLoop | None = None,
        format: VideoBufferType | int | None = None,
        capacity: int = 0,
    ) -> VideoStream:
        """The pictures of a track."""
        return cls(track, loop, capacity, format)

    @classmethod
    def from_participant(
        cls,
        *,
        participant: ReadableParticipant,
        track_source: TrackSource | int,
        loop: asyncio.AbstractEventLoop | None = None,
        format: VideoBufferType | int | None = None,
        capacity: int = 0,
    ) -> VideoStream:
        """The pictures of whatever track a participant has from this source, now and later."""
        return cls(None, loop, capacity, format, participant=participant, track_source=track_source)

    def __aiter__(self) -> VideoStream:
        return self

    def _new_reader(self, track: ReadableTrack) -> FrameReader[Picture]:
        return FrameReader(track, PictureDecoder(), kept=self._kept, rest_after_s=_REST_AFTER_S, size=self._size)

    def _event(self, result: Picture) -> VideoFrameEvent:
        kind = self._format if self._format is not None else VideoBufferType.I420
        frame = VideoFrame._from_picture(result.picture, kind)
        return VideoFrameEvent(frame, result.timestamp_us, VideoRotation.VIDEO_ROTATION_0)
