"""From the data packets of others to the events users hear."""

from __future__ import annotations

from typing import TYPE_CHECKING

from livekit.protocol import models

from lknb.rtc.data_packet import DataPacket, SipDTMF, read_segments
from lknb.rtc.enumeration import DataPacketKind

if TYPE_CHECKING:
    from lknb.rtc.room import Room


def tell_data(room: Room, data: bytes, *, reliable: bool) -> None:
    """Tell one packet, as the core hands it on. Raises `google.protobuf.message.DecodeError` for what is none."""
    packet = models.DataPacket.FromString(data)
    participant = room._remote_participants.get(packet.participant_identity or packet.user.participant_identity)
    match packet.WhichOneof("value"):
        case "user":
            kind = DataPacketKind.KIND_RELIABLE if reliable else DataPacketKind.KIND_LOSSY
            received = DataPacket(packet.user.payload, kind, participant, packet.user.topic)
            room._tell("data_received", received)
            if participant is not None:
                participant._tell("data_received", received)
        case "sip_dtmf":
            room._tell("sip_dtmf_received", SipDTMF(packet.sip_dtmf.code, packet.sip_dtmf.digit, participant))
        case "transcription":
            said = packet.transcription
            speaker = room._find(said.transcribed_participant_identity)
            publication = speaker.track_publications.get(said.track_id) if speaker is not None else None
            room._tell("transcription_received", read_segments(said), speaker, publication)
