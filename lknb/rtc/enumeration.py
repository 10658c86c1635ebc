"""The enumerations of `livekit.rtc`: the same names and numbers, as `IntEnum`s that also know `.Name()` and `.Value()`.

`livekit.rtc` has protobuf enum wrappers there, whose values are plain ints. Some of them differ from the enumerations of
the signalling protocol (`livekit.protocol`), which count track kinds from 0 and stream states the other way; the functions
at the end translate.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, nonmember
from typing import TypeVar

from livekit.protocol import models

E = TypeVar("E", bound="ProtoEnum")


class ProtoEnum(IntEnum):
    """An IntEnum with the methods of a protobuf enum wrapper."""

    ValueType = nonmember(int)

    @classmethod
    def Name(cls, number: int) -> str:
        """The name of a value. Raises ValueError for a number that is none."""
        return cls(number).name

    @classmethod
    def Value(cls: type[E], name: str) -> E:
        """The value of a name. Raises ValueError for a name that is none."""
        try:
            return cls[name]
        except KeyError:
            raise ValueError(f"{cls.__name__} has no value {name!r}") from None

    @classmethod
    def keys(cls) -> list[str]:
        """All names."""
        return list(cls.__members__)

    @classmethod
    def values(cls: type[E]) -> list[E]:
        """All values."""
        return list(cls)

    @classmethod
    def items(cls: type[E]) -> list[tuple[str, E]]:
        """All pairs of name and value."""
        return [(value.name, value) for value in cls]

    @classmethod
    def of(cls: type[E], number: int, default: E) -> E:
        """The value of a number, or `default` for one this version does not know yet."""
        try:
            return cls(number)
        except ValueError:
            return default


class ConnectionState(ProtoEnum):
    """Whether a room is connected, as its user sees it."""

    CONN_DISCONNECTED = 0
    CONN_CONNECTED = 1
    CONN_RECONNECTING = 2


class ConnectionQuality(ProtoEnum):
    """How good a participant's connection is; unknown until the server has said something."""

    QUALITY_UNKNOWN = -1
    QUALITY_POOR = 0
    QUALITY_GOOD = 1
    QUALITY_EXCELLENT = 2
    QUALITY_LOST = 3


class DisconnectReason(ProtoEnum):
    """Why a room or a participant is gone. The numbers are those of the protocol."""

    UNKNOWN_REASON = 0
    CLIENT_INITIATED = 1
    DUPLICATE_IDENTITY = 2
    SERVER_SHUTDOWN = 3
    PARTICIPANT_REMOVED = 4
    ROOM_DELETED = 5
    STATE_MISMATCH = 6
    JOIN_FAILURE = 7
    MIGRATION = 8
    SIGNAL_CLOSE = 9
    ROOM_CLOSED = 10
    USER_UNAVAILABLE = 11
    USER_REJECTED = 12
    SIP_TRUNK_FAILURE = 13
    CONNECTION_TIMEOUT = 14
    MEDIA_FAILURE = 15
    AGENT_ERROR = 16


class DataPacketKind(ProtoEnum):
    """Whether a data packet is repeated until it arrives. (The protocol counts the other way.)"""

    KIND_LOSSY = 0
    KIND_RELIABLE = 1


class IceTransportType(ProtoEnum):
    """Which ICE candidates may be used."""

    TRANSPORT_RELAY = 0
    TRANSPORT_NOHOST = 1
    TRANSPORT_ALL = 2


class ContinualGatheringPolicy(ProtoEnum):
    """Whether ICE candidates are looked for again after the first time."""

    GATHER_ONCE = 0
    GATHER_CONTINUALLY = 1


class ParticipantKind(ProtoEnum):
    """What kind of client a participant is."""

    PARTICIPANT_KIND_STANDARD = 0
    PARTICIPANT_KIND_INGRESS = 1
    PARTICIPANT_KIND_EGRESS = 2
    PARTICIPANT_KIND_SIP = 3
    PARTICIPANT_KIND_AGENT = 4
    PARTICIPANT_KIND_CONNECTOR = 5
    PARTICIPANT_KIND_BRIDGE = 6


class ParticipantKindDetail(ProtoEnum):
    """More about the kind. The numbers are those of the protocol."""

    PARTICIPANT_KIND_DETAIL_CLOUD_AGENT = 0
    PARTICIPANT_KIND_DETAIL_FORWARDED = 1
    PARTICIPANT_KIND_DETAIL_CONNECTOR_WHATSAPP = 2
    PARTICIPANT_KIND_DETAIL_CONNECTOR_TWILIO = 3
    PARTICIPANT_KIND_DETAIL_BRIDGE_RTSP = 4
    PARTICIPANT_KIND_DETAIL_SIMULATION = 5


class ParticipantState(ProtoEnum):
    """How far a participant has come. The numbers are those of the protocol."""

    PARTICIPANT_STATE_JOINING = 0
    PARTICIPANT_STATE_JOINED = 1
    PARTICIPANT_STATE_ACTIVE = 2
    PARTICIPANT_STATE_DISCONNECTED = 3


class TrackKind(ProtoEnum):
    """Sound or picture."""

    KIND_UNKNOWN = 0
    KIND_AUDIO = 1
    KIND_VIDEO = 2


class TrackSource(ProtoEnum):
    """What a track shows or plays. The numbers are those of the protocol."""

    SOURCE_UNKNOWN = 0
    SOURCE_CAMERA = 1
    SOURCE_MICROPHONE = 2
    SOURCE_SCREENSHARE = 3
    SOURCE_SCREENSHARE_AUDIO = 4


class StreamState(ProtoEnum):
    """Whether the server lets a subscribed track through."""

    STATE_UNKNOWN = 0
    STATE_ACTIVE = 1
    STATE_PAUSED = 2


class VideoQuality(ProtoEnum):
    """Layers of a simulcast track: LOW is rid q, MEDIUM h, HIGH f. The numbers are those of the protocol."""

    VIDEO_QUALITY_LOW = 0
    VIDEO_QUALITY_MEDIUM = 1
    VIDEO_QUALITY_HIGH = 2


class VideoCodec(ProtoEnum):
    """Video codecs LiveKit knows. lknb encodes VP8 and H264."""

    VP8 = 0
    H264 = 1
    AV1 = 2
    VP9 = 3
    H265 = 4


class VideoEncoderBackend(ProtoEnum):
    """Which encoder is wished for. lknb encodes in software, whatever is asked."""

    ENCODER_BACKEND_AUTO = 0
    ENCODER_BACKEND_SOFTWARE = 1
    ENCODER_BACKEND_HARDWARE = 2
    ENCODER_BACKEND_NVENC = 3
    ENCODER_BACKEND_VAAPI = 4
    ENCODER_BACKEND_VIDEOTOOLBOX = 5
    ENCODER_BACKEND_PRE_ENCODED = 6


class DegradationPreference(ProtoEnum):
    """What to give up first when bandwidth is short."""

    BALANCED = 0
    MAINTAIN_FRAMERATE = 1
    MAINTAIN_RESOLUTION = 2
    MAINTAIN_FRAMERATE_AND_RESOLUTION = 4


class EncryptionType(ProtoEnum):
    """How the frames of a track are encrypted end to end. The numbers are those of the protocol."""

    NONE = 0
    GCM = 1
    CUSTOM = 2


_KIND_OF_PROTOCOL: Mapping[int, ParticipantKind] = {
    models.ParticipantInfo.Kind.STANDARD: ParticipantKind.PARTICIPANT_KIND_STANDARD,
    models.ParticipantInfo.Kind.INGRESS: ParticipantKind.PARTICIPANT_KIND_INGRESS,
    models.ParticipantInfo.Kind.EGRESS: ParticipantKind.PARTICIPANT_KIND_EGRESS,
    models.ParticipantInfo.Kind.SIP: ParticipantKind.PARTICIPANT_KIND_SIP,
    models.ParticipantInfo.Kind.AGENT: ParticipantKind.PARTICIPANT_KIND_AGENT,
    models.ParticipantInfo.Kind.CONNECTOR: ParticipantKind.PARTICIPANT_KIND_CONNECTOR,
    models.ParticipantInfo.Kind.BRIDGE: ParticipantKind.PARTICIPANT_KIND_BRIDGE,
}


def participant_kind(number: int) -> ParticipantKind:
    """From `models.ParticipantInfo.Kind`; a kind this version does not know is a standard participant."""
    return _KIND_OF_PROTOCOL.get(number, ParticipantKind.PARTICIPANT_KIND_STANDARD)


_KIND_OF_TRACK: Mapping[int, TrackKind] = {
    models.TrackType.AUDIO: TrackKind.KIND_AUDIO,
    models.TrackType.VIDEO: TrackKind.KIND_VIDEO,
}


def track_kind(number: int) -> TrackKind:
    """From `models.TrackType`, where audio is 0 and video 1."""
    return _KIND_OF_TRACK.get(number, TrackKind.KIND_UNKNOWN)
