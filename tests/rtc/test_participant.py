"""What is known of a participant."""

from __future__ import annotations

import datetime

import pytest
from livekit.protocol import models

from lknb.logic.member import Member
from lknb.rtc.enumeration import (
    ConnectionQuality,
    DisconnectReason,
    ParticipantKind,
    ParticipantKindDetail,
    ParticipantState,
    TrackKind,
    TrackSource,
    participant_kind,
    track_kind,
)
from lknb.rtc.participant import Participant, RemoteParticipant
from tests.rtc.scripted_core import State, audio, person, video

Kind = models.ParticipantInfo.Kind


def remote(info: models.ParticipantInfo) -> RemoteParticipant:
    return RemoteParticipant(Member.of(info), None, auto_subscribe=True)  # type: ignore[arg-type]


def test_a_participant_with_everything() -> None:
    info = person(
        "bob", name="Bob", metadata="m", attributes={"a": "b"}, kind=Kind.AGENT, state=State.JOINED,
        joined_at=1_700_000_000, joined_at_ms=1_700_000_000_123, disconnect_reason=models.DisconnectReason.ROOM_DELETED,
        permission=models.ParticipantPermission(can_publish=True),
    )  # fmt: skip
    info.kind_details.extend([0, 99])
    bob = remote(info)
    assert (bob.sid, bob.identity, bob.name, bob.metadata, bob.attributes) == ("PA_bob", "bob", "Bob", "m", {"a": "b"})
    assert bob.kind == ParticipantKind.PARTICIPANT_KIND_AGENT
    assert bob.kind_details == [ParticipantKindDetail.PARTICIPANT_KIND_DETAIL_CLOUD_AGENT]
    assert bob.state == ParticipantState.PARTICIPANT_STATE_JOINED
    assert bob.joined_at == datetime.datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=datetime.UTC)
    assert bob.disconnect_reason == DisconnectReason.ROOM_DELETED
    assert bob.permissions.can_publish
    bob.attributes["a"] = "changed"
    assert bob.attributes == {"a": "b"}


def test_a_participant_of_whom_little_is_known() -> None:
    bob = remote(person("bob"))
    assert (bob.joined_at, bob.disconnect_reason, bob.last_spoke_at) == (None, None, None)
    assert (bob.is_speaking, bob.audio_level) == (False, 0.0)
    assert bob.connection_quality == ConnectionQuality.QUALITY_UNKNOWN


def test_publications_are_found_by_source() -> None:
    camera = models.TrackSource.CAMERA
    bob = remote(person("bob", audio("TR_a"), video("TR_1", source=camera), video("TR_2", source=camera)))
    found = bob.get_track_publication(TrackSource.SOURCE_CAMERA)
    assert found is bob.track_publications["TR_1"]
    assert bob.get_track_publication(TrackSource.SOURCE_MICROPHONE) is None


def test_nobody_is_just_a_participant() -> None:
    with pytest.raises(TypeError):
        Participant(Member.of(person("bob")))  # type: ignore[abstract]


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (Kind.STANDARD, "STANDARD"), (Kind.INGRESS, "INGRESS"), (Kind.EGRESS, "EGRESS"), (Kind.SIP, "SIP"),
        (Kind.AGENT, "AGENT"), (Kind.CONNECTOR, "CONNECTOR"), (Kind.BRIDGE, "BRIDGE"), (5, "STANDARD"),
    ],
)  # fmt: skip
def test_kinds_are_numbered_otherwise_in_the_protocol(number: int, kind: str) -> None:
    assert participant_kind(number).name == f"PARTICIPANT_KIND_{kind}"


def test_kinds_of_tracks_are_numbered_otherwise_in_the_protocol() -> None:
    assert track_kind(models.TrackType.AUDIO) == TrackKind.KIND_AUDIO
    assert track_kind(models.TrackType.VIDEO) == TrackKind.KIND_VIDEO
    assert track_kind(models.TrackType.DATA) == TrackKind.KIND_UNKNOWN
