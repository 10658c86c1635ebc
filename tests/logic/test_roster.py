"""Who is in a room, from what a server says."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livekit.protocol import models, rtc

from lknb.logic import roster_event as event
from lknb.logic.roster import Roster

State = models.ParticipantInfo.State


def person(
    identity: str,
    *tracks: models.TrackInfo,
    sid: str = "",
    version: int = 1,
    state: models.ParticipantInfo.State = State.ACTIVE,
    **fields: Any,
) -> models.ParticipantInfo:
    return models.ParticipantInfo(
        sid=sid or f"PA_{identity}", identity=identity, version=version, state=state, tracks=tracks, **fields
    )


def track(sid: str, **fields: Any) -> models.TrackInfo:
    return models.TrackInfo(sid=sid, **fields)


def joined(*others: models.ParticipantInfo, **room: Any) -> Roster:
    roster = Roster()
    me = person("me", sid="PA_me")
    roster.join(rtc.JoinResponse(room=models.Room(sid="RM_1", **room), participant=me, other_participants=others))
    return roster


def names(events: Iterable[object]) -> list[str]:
    return [type(each).__name__ for each in events]


def signal(**fields: Any) -> rtc.SignalResponse:
    return rtc.SignalResponse(**fields)


class TestComingAndGoing:
    def test_nobody_who_was_there_at_the_join_is_announced(self) -> None:
        bob = person("bob", track("TR_1"))
        roster = joined(bob)
        assert set(roster.remote) == {"bob"}
        assert roster.update([bob]) == []

    def test_a_newcomer_is_connected_then_active_then_publishes(self) -> None:
        roster = joined()
        assert names(roster.update([person("bob", state=State.JOINING)])) == ["ParticipantConnected"]
        assert names(roster.update([person("bob", version=2, state=State.JOINED)])) == []
        assert names(roster.update([person("bob", track("TR_1"), version=3)])) == [
            "ParticipantActive",
            "TrackPublished",
        ]

    def test_a_newcomer_with_tracks_comes_before_them(self) -> None:
        roster = joined()
        events = roster.update([person("bob", track("TR_1"), track("TR_2"))])
        assert names(events) == ["ParticipantConnected", "ParticipantActive", "TrackPublished", "TrackPublished"]

    def test_somebody_joining_while_we_did_becomes_active_later(self) -> None:
        roster = joined(person("bob", state=State.JOINED))
        assert names(roster.update([person("bob", version=2)])) == ["ParticipantActive"]

    def test_whoever_leaves_loses_the_tracks_first(self) -> None:
        roster = joined(person("bob", track("TR_1")))
        gone = person(
            "bob", version=2, state=State.DISCONNECTED, disconnect_reason=models.DisconnectReason.ROOM_DELETED
        )
        events = roster.update([gone])
        assert names(events) == ["TrackUnpublished", "ParticipantDisconnected"]
        assert isinstance(events[1], event.ParticipantDisconnected)
        assert events[1].member.info.disconnect_reason == models.DisconnectReason.ROOM_DELETED
        assert roster.remote == {}

    def test_a_disconnected_participant_without_identity_is_found_by_its_sid(self) -> None:
        roster = joined(person("bob"))
        info = models.ParticipantInfo(sid="PA_bob", version=2, state=State.DISCONNECTED)
        assert names(roster.update([info])) == ["ParticipantDisconnected"]

    def test_a_stranger_who_left_is_not_news(self) -> None:
        assert joined().update([person("bob", state=State.DISCONNECTED)]) == []

    def test_an_identity_with_another_sid_left_and_came_again(self) -> None:
        roster = joined(person("bob", track("TR_1"), sid="PA_old", version=9))
        events = roster.update([person("bob", track("TR_2"), sid="PA_new")])
        assert names(events) == [
            "TrackUnpublished", "ParticipantDisconnected", "ParticipantConnected", "ParticipantActive", "TrackPublished",
        ]  # fmt: skip
        assert roster.remote["bob"].sid == "PA_new"

    def test_the_late_goodbye_of_an_old_sid_does_not_touch_the_new_one(self) -> None:
        roster = joined(person("bob", sid="PA_old"))
        roster.update([person("bob", sid="PA_new")])
        assert roster.update([person("bob", sid="PA_old", version=2, state=State.DISCONNECTED)]) == []
        assert roster.update([person("bob", sid="PA_old", version=1)]) == []
        assert roster.remote["bob"].sid == "PA_new"

    def test_whoever_left_does_not_come_back_by_a_late_update(self) -> None:
        roster = joined(person("bob", version=3))
        roster.update([person("bob", version=5, state=State.DISCONNECTED)])
        assert roster.update([person("bob", version=4)]) == []
        assert roster.remote == {}

    def test_hidden_participants_are_not_there(self) -> None:
        hidden = models.ParticipantPermission(hidden=True)
        roster = joined(person("ghost", permission=hidden))
        assert roster.remote == {}
        assert roster.update([person("spy", permission=hidden)]) == []
        roster.update([person("bob")])
        assert names(roster.update([person("bob", version=2, permission=hidden)])) == ["ParticipantDisconnected"]

    def test_somebody_with_our_identity_is_not_a_remote_participant(self) -> None:
        roster = joined()
        assert roster.update([person("me", sid="PA_other")]) == []
        assert roster.remote == {}


class TestChanges:
    def test_an_older_version_changes_nothing(self) -> None:
        roster = joined(person("bob", version=5, metadata="new"))
        assert roster.update([person("bob", version=4, metadata="old")]) == []
        assert roster.remote["bob"].info.metadata == "new"

    def test_the_same_version_is_taken(self) -> None:
        roster = joined(person("bob", version=5))
        assert names(roster.update([person("bob", version=5, name="Bob")])) == ["NameChanged"]

    def test_metadata_name_attributes_and_permissions(self) -> None:
        roster = joined(person("bob", name="Bob", metadata="a", attributes={"x": "1", "y": "2"}))
        permission = models.ParticipantPermission(can_publish=True)
        events = roster.update(
            [person("bob", version=2, name="Bo", metadata="b", attributes={"x": "3", "z": "4"}, permission=permission)]
        )
        bob = roster.remote["bob"]
        assert events == [
            event.PermissionsChanged(bob),
            event.MetadataChanged(bob, "a", "b"),
            event.NameChanged(bob, "Bob", "Bo"),
            event.AttributesChanged(bob, {"x": "3", "y": "", "z": "4"}),
        ]

    def test_our_own_changes_are_told(self) -> None:
        roster = joined()
        assert roster.local is not None
        events = roster.update([person("me", sid="PA_me", version=2, name="Me")])
        assert events == [event.NameChanged(roster.local, "", "Me")]
        assert roster.update([person("me", sid="PA_me", version=1, name="Nobody")]) == []

    def test_tracks_come_go_and_are_muted(self) -> None:
        roster = joined(person("bob", track("TR_1"), track("TR_2", muted=True)))
        events = roster.update([person("bob", track("TR_1", muted=True), track("TR_3"), version=2)])
        assert names(events) == ["TrackUnpublished", "TrackMuted", "TrackPublished"]
        assert set(roster.remote["bob"].tracks) == {"TR_1", "TR_3"}
        events = roster.update([person("bob", track("TR_1"), track("TR_3"), version=3)])
        assert names(events) == ["TrackUnmuted"]

    def test_whoever_holds_a_track_sees_its_present(self) -> None:
        roster = joined(person("bob", track("TR_1")))
        held = roster.remote["bob"].tracks["TR_1"]
        roster.update([person("bob", track("TR_1", mime_type="video/VP8", width=640), version=2)])
        assert (held.info.mime_type, held.info.width) == ("video/VP8", 640)

    def test_room_updates(self) -> None:
        roster = joined(metadata="a")
        update = rtc.RoomUpdate(room=models.Room(metadata="b", active_recording=True, num_participants=3))
        assert roster.handle(signal(room_update=update)) == [
            event.RoomMetadataChanged("a", "b"), event.RecordingChanged(True), event.RoomUpdated(),
        ]  # fmt: skip
        assert (roster.room.num_participants, roster.room.sid) == (3, "RM_1")
        assert roster.handle(signal(room_update=update)) == [event.RoomUpdated()]


class TestSpeakers:
    def speak(self, roster: Roster, *speakers: tuple[str, float, bool]) -> list[event.RosterEvent]:
        infos = [models.SpeakerInfo(sid=sid, level=level, active=active) for sid, level, active in speakers]
        return roster.handle(signal(speakers_changed=rtc.SpeakersChanged(speakers=infos)))

    def test_deltas_are_merged_and_sorted_by_level(self) -> None:
        roster = joined(person("bob"), person("eve"))
        self.speak(roster, ("PA_bob", 0.25, True))
        events = self.speak(roster, ("PA_eve", 0.5, True), ("PA_me", 0.125, True))
        assert [member.identity for member in roster.speakers] == ["eve", "bob", "me"]
        assert names(events) == ["SpeakingChanged", "SpeakingChanged", "SpeakersChanged"]
        events = self.speak(roster, ("PA_eve", 0.0, False))
        assert events == [
            event.SpeakingChanged(roster.remote["eve"]), event.SpeakersChanged(tuple(roster.speakers)),
        ]  # fmt: skip
        assert [member.identity for member in roster.speakers] == ["bob", "me"]

    def test_a_louder_voice_is_no_new_speaker(self) -> None:
        roster = joined(person("bob"))
        self.speak(roster, ("PA_bob", 0.25, True))
        assert names(self.speak(roster, ("PA_bob", 0.5, True))) == ["SpeakersChanged"]
        assert roster.remote["bob"].audio_level == 0.5

    def test_a_speaker_who_leaves_speaks_no_more(self) -> None:
        roster = joined(person("bob"))
        self.speak(roster, ("PA_bob", 0.25, True), ("PA_nobody", 1.0, True))
        events = roster.update([person("bob", version=2, state=State.DISCONNECTED)])
        assert names(events) == ["SpeakingChanged", "SpeakersChanged", "ParticipantDisconnected"]
        assert roster.speakers == []


class TestSubscriptions:
    def test_quality_is_told_when_it_changes(self) -> None:
        roster = joined(person("bob"))
        update = rtc.ConnectionQualityInfo(participant_sid="PA_bob", quality=models.ConnectionQuality.GOOD)
        message = signal(connection_quality=rtc.ConnectionQualityUpdate(updates=[update]))
        assert roster.handle(message) == [event.QualityChanged(roster.remote["bob"], models.ConnectionQuality.GOOD)]
        assert roster.handle(message) == []

    def test_stream_states(self) -> None:
        roster = joined(person("bob", track("TR_1")))
        paused = rtc.StreamStateInfo(participant_sid="PA_bob", track_sid="TR_1", state=rtc.StreamState.PAUSED)
        message = signal(stream_state_update=rtc.StreamStateUpdate(stream_states=[paused]))
        assert names(roster.handle(message)) == ["StreamStateChanged"]
        assert roster.remote["bob"].tracks["TR_1"].paused
        assert roster.handle(message) == []

    def test_permissions_and_failures(self) -> None:
        roster = joined(person("bob", track("TR_1")))
        update = rtc.SubscriptionPermissionUpdate(participant_sid="PA_bob", track_sid="TR_1", allowed=False)
        assert names(roster.handle(signal(subscription_permission_update=update))) == ["SubscriptionPermissionChanged"]
        assert roster.handle(signal(subscription_permission_update=update)) == []
        failure = rtc.SubscriptionResponse(track_sid="TR_1", err=models.SubscriptionError.SE_CODEC_UNSUPPORTED)
        assert roster.handle(signal(subscription_response=failure)) == [
            event.SubscriptionFailed(roster.remote["bob"], "TR_1", models.SubscriptionError.SE_CODEC_UNSUPPORTED)
        ]
        unknown = rtc.SubscriptionResponse(track_sid="TR_9", err=models.SubscriptionError.SE_TRACK_NOTFOUND)
        assert roster.handle(signal(subscription_response=unknown)) == []


class TestOurOwnTracks:
    def test_the_servers_echo_does_not_say_whether_we_are_muted(self) -> None:
        roster = joined()
        entry, _ = roster.add_local_track(track("TR_1", muted=False))
        echo = person("me", track("TR_1", muted=True, mime_type="audio/opus"), sid="PA_me", version=2)
        assert roster.update([echo]) == []
        assert (entry.info.muted, entry.info.mime_type) == (False, "audio/opus")

    def test_the_server_may_ask_to_mute_and_may_end_a_track(self) -> None:
        roster = joined()
        entry, _ = roster.add_local_track(track("TR_1"))
        asked = roster.handle(signal(mute=rtc.MuteTrackRequest(sid="TR_1", muted=True)))
        assert asked == [event.LocalTrackMuteAsked(entry, True)]
        ended = roster.handle(signal(track_unpublished=rtc.TrackUnpublishedResponse(track_sid="TR_1")))
        assert ended == [event.LocalTrackEnded(entry)]
        assert roster.remove_local_track("TR_1") is None

    def test_what_comes_before_we_know_the_sid_is_kept(self) -> None:
        roster = joined()
        subscribed = signal(track_subscribed=rtc.TrackSubscribed(track_sid="TR_1"))
        assert roster.handle(subscribed) == []
        assert roster.handle(signal(track_subscribed=rtc.TrackSubscribed(track_sid="TR_2"))) == []
        entry, early = roster.add_local_track(track("TR_1"))
        assert early == [event.LocalTrackSubscribed(entry)]
        assert roster.handle(subscribed) == [event.LocalTrackSubscribed(entry)]

    def test_other_messages_are_not_about_the_roster(self) -> None:
        assert joined().handle(signal(pong=3)) == []
        assert joined().handle(signal()) == []


def fold(told: list[event.RosterEvent], people: dict[str, set[str]]) -> None:
    """What somebody knows who only hears the events."""
    for each in told:
        match each:
            case event.ParticipantConnected():
                assert each.member.identity not in people
                people[each.member.identity] = set()
            case event.ParticipantDisconnected():
                assert people.pop(each.member.identity) == set()
            case event.TrackPublished():
                assert each.track.sid not in people[each.member.identity]
                people[each.member.identity].add(each.track.sid)
            case event.TrackUnpublished():
                people[each.member.identity].remove(each.track.sid)


@st.composite
def histories(draw: st.DrawFn) -> list[models.ParticipantInfo]:
    """What a server says over time: sessions of a few identities, one after the other, each with rising versions."""
    infos = []
    for identity in draw(st.lists(st.sampled_from(["ann", "bob", "eve"]), max_size=6)):
        sid = f"PA_{len(infos)}"
        for version in range(1, draw(st.integers(1, 4)) + 1):
            sids = draw(st.sets(st.sampled_from(["TR_1", "TR_2", "TR_3"])))
            infos.append(person(identity, *[track(each) for each in sorted(sids)], sid=sid, version=version))
        if draw(st.booleans()):
            infos.append(person(identity, sid=sid, version=5, state=State.DISCONNECTED))
    return infos


def present(roster: Roster) -> dict[str, set[str]]:
    return {identity: set(member.tracks) for identity, member in roster.remote.items()}


@given(histories())
@settings(max_examples=200, deadline=None)
def test_whoever_hears_all_events_knows_the_roster(history: list[models.ParticipantInfo]) -> None:
    roster, heard, truth = joined(), {}, {}
    for info in history:
        fold(roster.update([info]), heard)
        truth[info.identity] = {each.sid for each in info.tracks}
        if info.state == State.DISCONNECTED:
            del truth[info.identity]
        assert heard == present(roster) == truth


@given(histories(), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_repeated_and_late_updates_of_one_session_change_nothing(
    history: list[models.ParticipantInfo], chance: random.Random
) -> None:
    """Late infos of sessions that are over, and older versions of those that are not."""
    plain, troubled, heard = joined(), joined(), {}
    said: list[models.ParticipantInfo] = []
    for info in history:
        plain.update([info])
        fold(troubled.update([info]), heard)
        said.append(info)
        # versions the server has gone past: of this session or of one it has ended
        late = [old for old in said if old.sid != info.sid or old.version < info.version]
        live = {member.sid for member in plain.remote.values()}
        over = [old for old in late if old.sid not in live or old.sid == info.sid]
        for old in chance.sample(over, min(2, len(over))):
            fold(troubled.update([old]), heard)
        assert present(troubled) == present(plain) == heard


@pytest.mark.parametrize("count", [300])
def test_the_memory_of_those_who_left_is_bounded(count: int) -> None:
    roster = joined()
    for number in range(count):
        roster.update([person("bob", sid=f"PA_{number}")])
        roster.update([person("bob", sid=f"PA_{number}", version=2, state=State.DISCONNECTED)])
    assert len(roster._departed) == 256
