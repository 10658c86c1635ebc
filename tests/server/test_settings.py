"""Settings, wishes and permissions as a client may send them: fast, absurd, about nobody."""

from __future__ import annotations

import asyncio
import time

import pytest
from livekit.protocol import models, rtc

from lknb import limits
from lknb.server import subscriber
from lknb.server.app import Server
from lknb.server.participant import Participant
from lknb.wire.rtcp import Pli
from lknb.wire.vp8 import depacketize_vp8, vp8_dimensions
from tests.kit.poll import wait_until
from tests.kit.raw import RawClient, RawTrack
from tests.server.conftest import Join
from tests.server.feed import assert_unbroken, camera, feed_marker, feeding, vp8_size


def settings(*sids: str, **fields: object) -> rtc.UpdateTrackSettings:
    return rtc.UpdateTrackSettings(track_sids=sids, **fields)  # type: ignore[arg-type]


def of(server: Server, client: RawClient) -> Participant:
    return server.registry.rooms["room"].participants[client.sid]


async def test_a_track_that_becomes_visible_has_a_key_frame_within_300_ms(join: Join) -> None:
    track = camera()
    alice, bob = await join("alice", track), await join("bob")
    took_ms = []
    async with feeding(alice, track):
        ssrc = await bob.receiving(track.sid)
        await wait_until(lambda: bob.media(ssrc))
        for _ in range(5):
            await bob.request(track_setting=settings(track.sid, disabled=True))
            await wait_until(lambda: vp8_size(bob, ssrc) == (8, 8), what="the closing frames")
            feedback = feed_marker(alice)
            await wait_until(lambda seen=feedback: feed_marker(alice) > seen + 8)
            count, began = len(bob.media(ssrc)), time.monotonic()
            await bob.request(track_setting=settings(track.sid, quality=2))
            first = await wait_until(lambda seen=count: bob.media(ssrc)[seen:], interval_s=0.002)
            took_ms.append((time.monotonic() - began) * 1000)
            assert vp8_dimensions(depacketize_vp8(first[0].payload)[1]) == (320, 64)
    assert sorted(took_ms)[2] < 150, took_ms
    assert max(took_ms) < 600, took_ms
    assert_unbroken(bob, ssrc)


async def test_ten_thousand_toggles_cost_little_and_nobody_else_notices(join: Join, server: Server) -> None:
    track = camera("q", "h", "f")
    alice, bob, carol = await join("alice", track), await join("bob"), await join("carol")
    async with feeding(alice, track) as feed:
        ssrc, other = await bob.receiving(track.sid), await carol.receiving(track.sid)
        await wait_until(lambda: bob.media(ssrc) and carol.media(other))
        plis = len([r for r in alice.reports if isinstance(r, Pli)])
        count, sent, began = len(carol.media(other)), feed.picture, time.monotonic()
        for number in range(10_000):
            await bob.request(
                track_setting=settings(track.sid, disabled=number % 2 == 0, quality=number % 3, fps=number % 31)
            )
        await bob.request(track_setting=settings(track.sid, quality=0))
        await bob.request(ping=1)
        await wait_until(lambda: bob.all("pong"), 40, what="everything to be read")
        took_s = time.monotonic() - began
        pictures = (feed.picture - sent) & 0x7FFF
        assert abs(len(carol.media(other)) - count - pictures) < 5, "somebody else noticed"
        assert_unbroken(carol, other)
        # the last word counts
        await wait_until(lambda: bob.media(ssrc)[-1].payload[-1] == 0, what="the layer asked for last")
        asked = len([r for r in alice.reports if isinstance(r, Pli)]) - plis
        assert asked < 10 + 4 * took_s, (asked, took_s)
        assert len(bob.media(ssrc)) < 300 * took_s, "closing frames for every toggle"
        assert len(alice.all("subscribed_quality_update")) < 50 * took_s
    assert bob.close_code is None
    assert_unbroken(bob, ssrc)


@pytest.mark.parametrize(
    ("fields", "layer"),
    [
        ({"width": 4_294_967_295, "height": 4_294_967_295}, 2),
        ({"width": 1, "height": 1}, 0),
        ({"width": 1, "height": 0}, 0),
        ({"width": 0, "height": 180, "quality": 1}, 1),
        ({"quality": 2, "fps": 4_294_967_295}, 2),
        ({"quality": 77}, 2),
        ({"quality": -5}, 0),
        ({"quality": 1, "priority": 4_294_967_295}, 1),
    ],
)
async def test_absurd_settings_have_the_nearest_meaning(join: Join, fields: dict[str, int], layer: int) -> None:
    track = camera("q", "h", "f")
    alice, bob = await join("alice", track), await join("bob")
    async with feeding(alice, track):
        ssrc = await bob.receiving(track.sid)
        away = 1 if layer != 1 else 0
        await bob.request(track_setting=settings(track.sid, quality=away))
        await wait_until(lambda: bob.media(ssrc) and bob.media(ssrc)[-1].payload[-1] == away)
        await bob.request(track_setting=settings(track.sid, **fields))
        await wait_until(lambda: bob.media(ssrc)[-1].payload[-1] == layer, what=lambda: bob.media(ssrc)[-1].payload[-1])
    assert_unbroken(bob, ssrc)


async def test_quality_off_is_nothing_at_all(join: Join) -> None:
    track = camera("q", "h", "f")
    alice, bob = await join("alice", track), await join("bob")
    async with feeding(alice, track):
        ssrc = await bob.receiving(track.sid)
        await wait_until(lambda: bob.media(ssrc))
        await bob.request(track_setting=settings(track.sid, quality=models.VideoQuality.OFF))
        await wait_until(lambda: vp8_size(bob, ssrc) == (8, 8), what="the closing frames")
        await alice.wait_for("subscribed_quality_update", lambda m: not any(q.enabled for q in m.subscribed_qualities))


async def test_settings_and_wishes_for_tracks_that_are_not_there_are_bounded_and_forgotten(
    join: Join, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriber, "UNKNOWN_S", 0.5)
    track = camera("q", "h", "f")
    alice, bob = await join("alice", track), await join("bob")
    foreign = RawTrack("cam", "vp8")
    await join("eve", foreign, room="elsewhere")
    books = of(server, bob).subscriber
    many = [f"TR_{number}" for number in range(3 * limits.UNKNOWN_TRACKS)]
    await bob.request(track_setting=settings(foreign.sid, "", "x" * 100_000, *many, track.sid, quality=0))
    await bob.request(subscription=rtc.UpdateSubscription(track_sids=[foreign.sid, *many], subscribe=True))
    refusal = await bob.wait_for("subscription_response", lambda m: m.track_sid == foreign.sid)
    assert refusal.err == models.SubscriptionError.SE_TRACK_NOTFOUND
    await wait_until(lambda: not books._unknown)
    assert (books._wishes, set(books._settings)) == ({}, {track.sid})
    assert len(bob.all("subscription_response")) <= limits.UNKNOWN_TRACKS
    async with feeding(alice, track):
        ssrc = await bob.receiving(track.sid)
        await wait_until(lambda: bob.media(ssrc))
    assert {view.payload[-1] for view in bob.media(ssrc)} == {0}, "what was said of a real track among them was lost"


async def test_what_was_said_of_a_track_goes_with_it_or_with_its_publisher(join: Join, server: Server) -> None:
    first, second = RawTrack("cam", "vp8"), RawTrack("cam2", "vp8")
    alice, dave = await join("alice", first), await join("dave", second)
    bob = await join("bob")
    books = of(server, bob).subscriber
    for track in (first, second):
        await bob.request(track_setting=settings(track.sid, quality=0))
        await bob.request(subscription=rtc.UpdateSubscription(track_sids=[track.sid], subscribe=True))
    await wait_until(lambda: len(books._settings) == len(books._wishes) == 2)
    await alice.unpublish(first)
    await wait_until(lambda: set(books._settings) == set(books._wishes) == {second.sid})
    await dave.request(leave=rtc.LeaveRequest())
    await wait_until(lambda: not (books._settings or books._wishes or books._told or books._unknown))
    assert server.registry.rooms["room"].tracks == {}


async def test_settings_that_come_before_their_track_hold(join: Join) -> None:
    track = camera("q", "h", "f")
    alice = await join("alice", track)
    bob = await join("bob", auto_subscribe=False)
    await bob.request(track_setting=settings(track.sid, quality=0))
    await bob.request(subscription=rtc.UpdateSubscription(track_sids=[track.sid], subscribe=True))
    async with feeding(alice, track):
        ssrc = await bob.receiving(track.sid)
        await wait_until(lambda: len(bob.media(ssrc)) > 20)
    assert {view.payload[-1] for view in bob.media(ssrc)} == {0}


async def test_permissions_that_name_nobody_change_nothing_and_the_last_for_somebody_counts(
    join: Join, server: Server
) -> None:
    track = camera()
    alice, bob, carol = await join("alice", track), await join("bob"), await join("carol")
    Rule = rtc.TrackPermission

    async def permit(*rules: rtc.TrackPermission) -> None:
        number = len(alice.all("pong"))
        await alice.request(subscription_permission=rtc.SubscriptionPermission(track_permissions=rules))
        await alice.request(ping=1)
        await wait_until(lambda: len(alice.all("pong")) > number)

    def subscribed() -> set[str]:
        room = server.registry.rooms["room"]
        return {room.participants[sid].identity for sid in room.tracks[track.sid].subscriptions}

    await wait_until(lambda: subscribed() == {"bob", "carol"})
    await permit(Rule(participant_identity="bob", all_tracks=True), Rule(all_tracks=True))
    assert subscribed() == {"bob", "carol"}
    await permit(Rule(participant_sid="PA_nobody", all_tracks=True), Rule(participant_sid=carol.sid, all_tracks=True))
    assert subscribed() == {"carol"}
    await permit(
        Rule(participant_identity="bob", all_tracks=True),
        Rule(participant_identity="bob", track_sids=["TR_other"]),
        *(Rule(participant_identity=f"nobody-{number}", all_tracks=True) for number in range(5_000)),
    )
    assert subscribed() == set()
    await permit(Rule(participant_identity="bob", track_sids=[track.sid]))
    assert subscribed() == {"bob"}
    # a list of tracks does not cover later ones, all of them does
    later = RawTrack("cam2", "vp8")
    await alice.publish(later)
    told = await bob.wait_for("subscription_permission_update", lambda m: m.track_sid == later.sid)
    assert not told.allowed
    assert [u.allowed for u in carol.all("subscription_permission_update") if u.track_sid == track.sid] == [True, False]


async def test_a_setting_of_an_audio_track_pauses_it_for_one_only(join: Join) -> None:
    voice = RawTrack("mic", "opus")
    alice, bob, carol = await join("alice", voice), await join("bob"), await join("carol")
    ssrc, other = await bob.receiving(voice.sid), await carol.receiving(voice.sid)
    number = 0

    def talk(until: object) -> object:
        nonlocal number
        alice.send(voice, number, number * 960, b"\xf8" + bytes(20))
        number += 1
        return until() if callable(until) else until

    await wait_until(lambda: talk(lambda: len(bob.media(ssrc)) > 3 and len(carol.media(other)) > 3))
    await bob.request(track_setting=settings(voice.sid, disabled=True, quality=0))
    await bob.request(ping=1)
    await bob.wait_for("pong")
    await asyncio.sleep(0)
    count, more = len(bob.media(ssrc)), len(carol.media(other))
    await wait_until(lambda: talk(lambda: len(carol.media(other)) > more + 20))
    assert len(bob.media(ssrc)) <= count + 2
    await bob.request(track_setting=settings(voice.sid, quality=models.VideoQuality.OFF))  # means nothing for sound
    await wait_until(lambda: talk(lambda: len(bob.media(ssrc)) > count + 10))


async def test_who_speaks_already_is_told_with_the_subscription_and_taken_back_with_it(join: Join) -> None:
    voice = RawTrack("mic", "opus")
    alice = await join("alice", voice)
    bob = await join("bob", auto_subscribe=False)
    number = 0

    def talk(until: object) -> object:
        nonlocal number
        alice.send(voice, number, number * 960, b"\xf8" + bytes(20), level=10)
        number += 1
        return until() if callable(until) else until

    def heard() -> list[bool]:
        return [s.active for m in bob.all("speakers_changed") for s in m.speakers if s.sid == alice.sid]

    speaking = lambda: any(s.active for m in alice.all("speakers_changed") for s in m.speakers)  # noqa: E731
    await wait_until(lambda: talk(speaking))
    assert heard() == []
    await bob.request(subscription=rtc.UpdateSubscription(track_sids=[voice.sid], subscribe=True))
    await wait_until(lambda: talk(lambda: heard() == [True]), what=heard)
    await bob.request(subscription=rtc.UpdateSubscription(track_sids=[voice.sid], subscribe=False))
    await wait_until(lambda: talk(lambda: heard()[-1:] == [False]), what=heard)
