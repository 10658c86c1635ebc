"""What can be set when joining a room and when publishing a track.

In `livekit.rtc` most of these are protobuf messages: they take keyword arguments, and their fields, nested ones included,
can be set one by one afterwards. So do these; a field that does not exist raises AttributeError or TypeError. Of the
methods of messages they have those that people use: `CopyFrom` and `HasField`.
"""

from __future__ import annotations

import copy
from dataclasses import Field, dataclass, field, fields
from typing import Any, Self

from lknb.rtc.argument import as_member, check_flag, check_kind, check_text
from lknb.rtc.enumeration import (
    ContinualGatheringPolicy,
    DegradationPreference,
    IceTransportType,
    TrackSource,
    VideoCodec,
    VideoEncoderBackend,
)


class Message:
    """What the options below have of a protobuf message."""

    __slots__ = ()

    def __post_init__(self) -> None:
        # None leaves a field as it is when it is not given
        unset = [each.name for each in _fields(self) if getattr(self, each.name) is None and each.default is not None]
        if unset:
            plain = type(self)()
            for name in unset:
                setattr(self, name, getattr(plain, name))

    def CopyFrom(self, other: Self) -> None:
        """Take over all fields of another one, which is not shared afterwards. Raises TypeError for another class."""
        if type(other) is not type(self):
            raise TypeError(f"expected {type(self).__name__} to copy from, got {type(other).__name__}")
        for name, value in ((each.name, getattr(other, each.name)) for each in _fields(self)):
            setattr(self, name, copy.deepcopy(value))

    def HasField(self, name: str) -> bool:
        """Whether a field was set to something else than its default. Raises ValueError for one that does not exist."""
        if name not in (each.name for each in _fields(self)):
            raise ValueError(f"{type(self).__name__} has no field {name!r}")
        return bool(getattr(self, name) != getattr(type(self)(), name))


def _fields(message: Any) -> tuple[Field[Any], ...]:
    return fields(message)


@dataclass(slots=True)
class VideoEncoding(Message):
    """The limits of the highest layer; 0 leaves one to LiveKit's preset for the size of the source."""

    max_bitrate: int = 0
    """Bits per second."""
    max_framerate: float = 0.0
    """Frames per second."""


@dataclass(slots=True)
class AudioEncoding(Message):
    """The limit of an audio track; 0 leaves it to the preset."""

    max_bitrate: int = 0
    """Bits per second."""


@dataclass(slots=True)
class TrackPublishOptions(Message):
    """How to publish a track.

    `source` unset is SOURCE_UNKNOWN, and user interfaces then do not show a video as a camera. `simulcast`, `dtx` and `red`
    unset (None) are LiveKit's defaults: video in up to three layers by its size, Opus with discontinuous transmission.
    `scalability_mode`, `preconnect_buffer`, `video_encoder`, `red` and `degradation_preference` are taken and have no
    effect: lknb encodes VP8 and H264 in software, without redundancy.
    """

    video_encoding: VideoEncoding = field(default_factory=VideoEncoding)
    audio_encoding: AudioEncoding = field(default_factory=AudioEncoding)
    video_codec: VideoCodec | int = VideoCodec.VP8
    dtx: bool | None = None
    red: bool | None = None
    simulcast: bool | None = None
    source: TrackSource | int = TrackSource.SOURCE_UNKNOWN
    stream: str = ""
    """Tracks with the same stream name are played in step by receivers."""
    preconnect_buffer: bool = False
    scalability_mode: str = ""
    video_encoder: VideoEncoderBackend | int = VideoEncoderBackend.ENCODER_BACKEND_AUTO
    degradation_preference: DegradationPreference | int = DegradationPreference.BALANCED


@dataclass(slots=True)
class ParticipantTrackPermission(Message):
    """Which of our tracks one participant may subscribe to: all, or those listed."""

    participant_identity: str = ""
    allow_all: bool = False
    allowed_track_sids: list[str] = field(default_factory=list)


@dataclass(slots=True)
class IceServer(Message):
    """A STUN or TURN server."""

    urls: list[str] = field(default_factory=list)
    username: str = ""
    password: str = field(default="", repr=False)


@dataclass
class RtcConfiguration:
    """How peers are connected. Empty `ice_servers` leave them to the server."""

    ice_transport_type: IceTransportType | int = IceTransportType.TRANSPORT_ALL
    continual_gathering_policy: ContinualGatheringPolicy | int = ContinualGatheringPolicy.GATHER_CONTINUALLY
    ice_servers: list[IceServer] = field(default_factory=list)


@dataclass
class RoomOptions:
    """How to join a room."""

    auto_subscribe: bool = True
    """Receive every track as it is published."""
    dynacast: bool = False
    """Stop encoding layers that nobody watches."""
    e2ee: object | None = None
    """Not supported: a room with anything but None here is not joined."""
    encryption: object | None = None
    """Not supported: a room with anything but None here is not joined."""
    rtc_config: RtcConfiguration | None = None
    connect_timeout: float | None = None
    """Seconds for each attempt to connect the signalling; None is 5."""
    single_peer_connection: bool | None = None
    """One peer connection for both directions. None tries it and falls back to two; False asks for two."""
    data_stream: object | None = None
    """Options of incoming data streams; no effect."""
    adaptive_stream: bool = False
    """Have the server pause what nobody sees or reads, and send the rest no larger than it is shown (livekit-client)."""


def check_publish_options(options: Any) -> None:
    """Raise TypeError or ValueError for what is no `TrackPublishOptions`, and for a field that cannot be what it is.

    Limits and codecs are those of `lknb.rtc.source.Encoding`.
    """
    check_kind("options", options, TrackPublishOptions)
    check_kind("video_encoding", options.video_encoding, VideoEncoding)
    check_kind("audio_encoding", options.audio_encoding, AudioEncoding)
    for name in ("dtx", "red", "simulcast", "preconnect_buffer"):
        flag = getattr(options, name)
        if flag is not None:
            check_flag(name, flag)
    check_text("stream", options.stream)
    check_text("scalability_mode", options.scalability_mode)
    as_member("source", options.source, TrackSource)
    as_member("video_encoder", options.video_encoder, VideoEncoderBackend)
    as_member("degradation_preference", options.degradation_preference, DegradationPreference)


def connect_options(options: RoomOptions) -> dict[str, Any]:
    """The options as the core takes them."""
    config = options.rtc_config if options.rtc_config is not None else RtcConfiguration()
    return {
        "auto_subscribe": options.auto_subscribe,
        "adaptive_stream": options.adaptive_stream,
        "dynacast": options.dynacast,
        "single_peer_connection": options.single_peer_connection,
        "connect_timeout_s": options.connect_timeout,
        "ice_servers": [
            {"urls": list(server.urls), "username": server.username, "credential": server.password}
            for server in config.ice_servers
        ],
        "relay_only": config.ice_transport_type == IceTransportType.TRANSPORT_RELAY,
    }
