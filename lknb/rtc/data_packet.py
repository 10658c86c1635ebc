"""Data packets: what the user sends and gets, to and from the protocol's DataPacket."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from livekit.protocol import models

from lknb.rtc.enumeration import DataPacketKind
from lknb.rtc.participant import RemoteParticipant


@dataclass
class DataPacket:
    """Data from somebody in the room, or from the server's API."""

    data: bytes
    kind: DataPacketKind
    participant: RemoteParticipant | None
    """Who sent it; None when it came through the server's API."""
    topic: str | None = None


@dataclass
class SipDTMF:
    """A key pressed on a telephone."""

    code: int
    digit: str
    participant: RemoteParticipant | None = None


@dataclass
class TranscriptionSegment:
    """Some words of a transcription; a later segment of the same id replaces it until `final`. Times in milliseconds."""

    id: str
    text: str
    start_time: int
    end_time: int
    language: str
    final: bool


@dataclass
class Transcription:
    """What was said on a track of a participant."""

    participant_identity: str
    track_sid: str
    segments: list[TranscriptionSegment] = field(default_factory=list)


def build_user_packet(
    payload: bytes | bytearray | memoryview | str, reliable: bool, destinations: Iterable[str], topic: str
) -> models.DataPacket:
    """The packet of `publish_data`."""
    data = payload.encode() if isinstance(payload, str) else bytes(payload)
    return models.DataPacket(
        kind=models.DataPacket.Kind.RELIABLE if reliable else models.DataPacket.Kind.LOSSY,
        destination_identities=destinations,
        user=models.UserPacket(payload=data, topic=topic),
    )


def build_dtmf_packet(code: int, digit: str) -> models.DataPacket:
    """The packet of `publish_dtmf`."""
    return models.DataPacket(sip_dtmf=models.SipDTMF(code=code, digit=digit))


def build_transcription_packet(transcription: Transcription) -> models.DataPacket:
    """The packet of `publish_transcription`."""
    packet = models.DataPacket()
    packet.transcription.transcribed_participant_identity = transcription.participant_identity
    packet.transcription.track_id = transcription.track_sid
    for segment in transcription.segments:
        packet.transcription.segments.add(
            id=segment.id,
            text=segment.text,
            start_time=segment.start_time,
            end_time=segment.end_time,
            language=segment.language,
            final=segment.final,
        )
    return packet


def read_segments(transcription: models.Transcription) -> list[TranscriptionSegment]:
    """The segments of a received transcription."""
    return [
        TranscriptionSegment(
            id=segment.id,
            text=segment.text,
            start_time=segment.start_time,
            end_time=segment.end_time,
            language=segment.language,
            final=segment.final,
        )
        for segment in transcription.segments
    ]
