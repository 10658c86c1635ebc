"""Data packets between participants (LiveKit: participant.go onReceivedDataMessage, room.go onDataMessage)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError
from livekit.protocol import models

from lknb import limits

if TYPE_CHECKING:
    from lknb.server.participant import Participant
    from lknb.server.room import Room

logger = logging.getLogger(__name__)

ENVELOPE_BYTES = 2048  # clients count the payload, not the DataPacket around it
RELIABLE, LOSSY, DATA_TRACK = "_reliable", "_lossy", "_data_track"


def receive(sender: Participant, label: str, raw: bytes) -> None:
    """One message that came on a participant's data channel: checked, stamped with who sent it, passed on.

    A sender without the grant, or a packet that is no DataPacket, is ignored: the channel goes on.
    """
    if sender.gone or label not in (RELIABLE, LOSSY) or not sender.info.permission.can_publish_data:
        return
    if len(raw) > limits.DATA_PACKET_BYTES + ENVELOPE_BYTES:
        logger.debug("%s: data packet of %d bytes refused", sender.sid, len(raw))
        return
    try:
        packet = models.DataPacket.FromString(raw)
    except DecodeError:
        logger.debug("%s: not a data packet", sender.sid)
        return
    if packet.WhichOneof("value") is None:
        return
    packet.participant_sid = sender.sid
    packet.participant_identity = sender.identity
    # the channel is the source of truth: the Rust SDK puts an enum of its own here
    packet.kind = models.DataPacket.Kind.LOSSY if label == LOSSY else models.DataPacket.Kind.RELIABLE
    if packet.WhichOneof("value") == "user":
        packet.user.participant_sid = sender.sid
        packet.user.participant_identity = sender.identity
        if not packet.destination_identities:
            packet.destination_identities.extend(packet.user.destination_identities)
    elif packet.WhichOneof("value") == "transcription" and not sender.is_agent:
        return
    if label == RELIABLE and packet.sequence:
        # a resumed client replays what it cannot know arrived
        if packet.sequence <= sender.last_reliable_sequence:
            return
        sender.last_reliable_sequence = packet.sequence
    sender.room.send_data(packet, label, sender)


def route(room: Room, packet: models.DataPacket, label: str, sender: Participant | None) -> None:
    """Deliver a stamped packet to its destinations, or to everybody but its sender."""
    identities = set(packet.destination_identities)
    sids = set(packet.user.destination_sids) if packet.WhichOneof("value") == "user" else set()
    raw = packet.SerializeToString()
    for participant in list(room.participants.values()):
        if participant is sender:
            continue
        if (identities or sids) and participant.identity not in identities and participant.sid not in sids:
            continue
        if packet.WhichOneof("value") == "metrics" and not participant.info.permission.can_subscribe_metrics:
            continue
        participant.peer.send_data(label, raw)
