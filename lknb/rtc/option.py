"""What can be set when joining a room and when publishing a track.

In `livekit.rtc` most of these are protobuf messages: they take keyword arguments, and their fields, nested ones included,
can be set one by one afterwards. So do these; a field that does not exist raises AttributeError or TypeError.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lknb.rtc.enumeration import (
    ContinualGatheringPolicy,
    DegradationPreference,
    IceTransportType,
    TrackSource,
    VideoCodec,
    VideoEncoderBackend,
)


@dataclass(slots=True)
class VideoEncoding:
    """The limits of the highest layer; 0 leaves one to LiveKit's preset for the size of the source."""

    max_bitrate: int = 0
    """Bits per second."""
    max_framerate: float = 0.0
    """Frames per second."""


@dataclass(slots=True)
class AudioEncoding:
    """The limit of an audio track; 0 leaves it to the preset."""

    max_bitrate: int = 0
    """Bits per second."""


@dataclass(slots=True)
class TrackPublishOptions:
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
class ParticipantTrackPermission:
    """Which of our tracks one participant may subscribe to: all, or those listed."""

    participant_identity: str = ""
    allow_all: bool = False
    allowed_track_sids: list[str] = field(default_factory=list)


@dataclass(slots=True)
class IceServer:
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
