"""What is forwarded to a subscriber, seen packet by packet."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

import pytest
from livekit.protocol import models, rtc

from lknb.server import downlink
from lknb.server.app import Server
from lknb.wire.h264 import depacketize_h264, h264_dimensions
from lknb.wire.rtcp import Bye, Nack, Pli, ReceiverReport, ReportBlock, SenderReport, TransportFeedback
from lknb.wire.rtp import build_rtp, pack_extensions
from lknb.wire.vp8 import (
    build_vp8_descriptor,
    depacketize_vp8,
    is_vp8_keyframe,
    parse_vp8_descriptor,
    vp8_dimensions,
)
from tests.kit.poll import TIME_FACTOR, wait_until
from tests.server.conftest import Call, Join
from tests.server.feed import DELTA_BODY, KEY_BODY, assert_unbroken, camera, feed_marker, feeding, vp8, vp8_size


async def test_a_stream_begins_with_a_key_frame_and_is_unbroken_over_every_wrap(join: Join) -> None:
    track = camera()
    alice = await join("alice", track)
    async with feeding(alice, track):
        await wait_until(lambda: alice.reports)
        bob = await join("bob")
        ssrc = await bob.receiving(track.sid)
        await wait_until(lambda: len(bob.media(ssrc)) > 80, what=lambda: len(bob.media(ssrc)))
    views = bob.media(ssrc)
    assert vp8_dimensions(depacketize_vp8(views[0].payload)[1]) == (320, 64)
    assert all(view.extension_profile == 0 and view.payload_type == 96 for view in views)
    assert_unbroken(bob, ssrc)
    assert ssrc not in track.ssrcs.values()


async def test_the_best_live_layer_is_forwarded_and_layers_change_without_a_seam(call: Call) -> None:
    track, alice, bob = await call("q", "h", "f")
    async with feeding(alice, track) as feed:
        ssrc = await bob.receiving(track.sid)
        await wait_until(lambda: bob.media(ssrc) and bob.media(ssrc)[-1].payload[-1] == 2, what="the top layer")
        for quality, tag in ((0, 0), (2, 2), (1, 1), (2, 2)):
            await bob.request(track_setting=rtc.UpdateTrackSettings(track_sids=[track.sid], quality=quality))  # type: ignore[arg-type]
            await wait_until(lambda tag=tag: bob.media(ssrc)[-1].payload[-1] == tag, what=f"layer {tag}")
        feed.rids = ["q"]
        await wait_until(lambda: bob.media(ssrc)[-1].payload[-1] == 0, what="the fall to the layer that is left")
        feed.rids = ["q", "h", "f"]
        await wait_until(lambda: bob.media(ssrc)[-1].payload[-1] == 2, what="the climb back")
    assert_unbroken(bob, ssrc)
    payloads = [view.payload for view in bob.media(ssrc)]
    changes = [after for before, after in itertools.pairwise(payloads) if before[-1] != after[-1]]
    assert len(changes) >= 5
    assert all(map(is_vp8_keyframe, changes)), "a layer began with a picture that needs others"


async def test_a_layer_that_says_goodbye_is_left_with_the_next_picture(call: Call) -> None:
    track, alice, bob = await call("q", "h", "f")
    async with feeding(alice, track) as feed:
        ssrc = await bob.receiving(track.sid)
        await wait_until(lambda: bob.media(ssrc) and bob.media(ssrc)[-1].payload[-1] == 2, what="the top layer")
        # so slow that nobody would know from the pictures that two layers have ended
        feed.rids, feed.interval_s = ["q"], 0.2
        alice.report(Bye((track.ssrcs["h"], 4711, track.ssrcs["f"])))
        count = len(bob.media(ssrc))
        before = feed.picture
        await wait_until(lambda: bob.media(ssrc)[-1].payload[-1] == 0, what="the layer that is left")
        assert feed.picture - before <= 3
        assert {view.payload[-1] for view in bob.media(ssrc)[count:]} <= {0, 2}, "layer 1 has said goodbye, too"
        feed.rids, feed.interval_s = ["q", "h", "f"], 0.02
        await wait_until(lambda: bob.media(ssrc)[-1].payload[-1] == 2, what="the climb back")
    assert_unbroken(bob, ssrc)


async def test_size_and_pause_decide_too(call: Call) -> None:
    track, alice, bob = await call("q", "h", "f")
    async with feeding(alice, track):
        ssrc = await bob.receiving(track.sid)
        await wait_until(lambda: bob.media(ssrc) and bob.media(ssrc)[-1].payload[-1] == 2)
        await bob.request(track_setting=rtc.UpdateTrackSettings(track_sids=[track.sid], width=300, height=170))
        await wait_until(lambda: bob.media(ssrc)[-1].payload[-1] == 0, what="the smallest layer")
        await bob.request(track_setting=rtc.UpdateTrackSettings(track_sids=[track.sid], disabled=True))
        await wait_until(lambda: vp8_size(bob, ssrc) == (8, 8), what="the closing frames")
        count, offers = len(bob.media(ssrc)), len(bob.all("answer"))
        sent = feed_marker(alice)
        await wait_until(lambda: feed_marker(alice) > sent)
        assert len(bob.media(ssrc)) == count
        await bob.request(track_setting=rtc.UpdateTrackSettings(track_sids=[track.sid], quality=2))  # type: ignore[arg-type]
        await wait_until(lambda: bob.media(ssrc)[-1].payload[-1] == 2)
        assert len(bob.all("answer")) == offers, "pausing negotiated"
    assert_unbroken(bob, ssrc)


async def test_nothing_of_a_muted_track_is_forwarded_and_it_ends_with_tiny_key_frames(call: Call) -> None:
    track, alice, bob = await call()
    async with feeding(alice, track):
        ssrc = await bob.receiving(track.sid)
        await wait_until(lambda: bob.media(ssrc))
        await alice.request(mute=rtc.MuteTrackRequest(sid=track.sid, muted=True))
        muted = await bob.wait_for("update", lambda m: any(t.muted for p in m.participants for t in p.tracks))
        assert muted.participants[0].identity == "alice"
        await wait_until(lambda: vp8_size(bob, ssrc) == (8, 8), what="the closing frames")
        count, feedback = len(bob.media(ssrc)), feed_marker(alice)
        await wait_until(lambda: feed_marker(alice) > feedback + 4)
        assert len(bob.media(ssrc)) == count
        await alice.request(mute=rtc.MuteTrackRequest(sid=track.sid, muted=False))
        await wait_until(lambda: len(bob.media(ssrc)) > count + 10)
        assert vp8_dimensions(depacketize_vp8(bob.media(ssrc)[count].payload)[1]) == (320, 64)
    assert_unbroken(bob, ssrc)


async def test_a_picture_that_stands_still_is_asked_for_after_an_unmute(call: Call) -> None:
    track, alice, bob = await call("q", "h", "f")
    async with feeding(alice, track) as feed:
        ssrc = await bob.receiving(track.sid)
        await wait_until(lambda: bob.media(ssrc) and bob.media(ssrc)[-1].payload[-1] == 2, what="the top layer")
        feed.paused = True
        await alice.request(mute=rtc.MuteTrackRequest(sid=track.sid, muted=True))
        await wait_until(lambda: vp8_size(bob, ssrc) == (8, 8), what="the closing frames")
        asked = len(alice.reports)
        await alice.request(mute=rtc.MuteTrackRequest(sid=track.sid, muted=False))
        top = track.ssrcs["f"]
        await wait_until(lambda: any(isinstance(r, Pli) and r.media_ssrc == top for r in alice.reports[asked:]))
        feed.paused = False
        await wait_until(lambda: bob.media(ssrc)[-1].payload[-1] == 2, what="the top layer again")
    assert_unbroken(bob, ssrc)


async def test_an_h264_stream_ends_with_a_tiny_picture_too(call: Call) -> None:
    track, alice, bob = await call(codec="h264")
    ssrc = await bob.receiving(track.sid)
    idr = b"\x65" + bytes(30)
    sequence = 0

    def send() -> bool:
        nonlocal sequence
        alice.send(track, sequence, sequence * 3000, idr if sequence % 2 == 0 else b"\x41" + bytes(30))
        sequence += 1
        return bool(bob.media(ssrc))

    await wait_until(send)
    assert bob.media(ssrc)[0].payload == idr
    assert bob.media(ssrc)[0].payload_type == 102
    await alice.request(mute=rtc.MuteTrackRequest(sid=track.sid, muted=True))
    await wait_until(lambda: len(bob.media(ssrc)[-1].payload) > 40)
    assert h264_dimensions(depacketize_h264(bob.media(ssrc)[-1].payload)) == (2, 2)


async def test_padding_is_dropped_and_its_numbers_closed(call: Call) -> None:
    track, alice, bob = await call()
    ssrc = await bob.receiving(track.sid)
    state = {"sequence": 10}

    def send() -> bool:
        number = state["sequence"]
        alice.send(track, number, number * 3000, vp8(number, key=number == 10 or not bob.media(ssrc)))
        for extra in range(1, 4):
            alice.send_padding(track, number + extra, number * 3000)
        state["sequence"] += 4
        return len(bob.media(ssrc)) > 10

    await wait_until(send)
    assert all(view.payload_start < view.payload_end for view in bob.media(ssrc))
    assert_unbroken(bob, ssrc)


async def test_a_lost_packet_is_sent_again_to_the_subscriber_and_asked_for_at_the_publisher(call: Call) -> None:
    track, alice, bob = await call()
    async with feeding(alice, track) as feed:
        ssrc = await bob.receiving(track.sid)
        await wait_until(lambda: len(bob.media(ssrc)) > 5)
        # bob has the packet already, so that SRTP refuses its second coming as a replay: that is how it is seen here
        refused = bob.transport.counters.undecryptable
        bob.report(Nack(1, ssrc, (bob.media(ssrc)[3].sequence_number,)))
        await wait_until(lambda: bob.transport.counters.undecryptable == refused + 1)
        feed.sequence[""] += 2  # two packets vanish between alice and the server
        asked = await wait_until(lambda: [r for r in alice.reports if isinstance(r, Nack)])
        assert asked[0].media_ssrc == track.ssrcs[""]
        assert len(asked[0].lost) == 2


async def test_a_packet_that_does_not_come_any_more_is_answered_with_a_key_frame(call: Call) -> None:
    """Decoders wait for it; libwebrtc's ask for a key frame after three seconds only."""
    track, alice, bob = await call()
    async with feeding(alice, track) as feed:
        ssrc = await bob.receiving(track.sid)
        await wait_until(lambda: len(bob.media(ssrc)) > 20)
        before = sum(isinstance(r, Pli) for r in alice.reports)
        feed.sequence[""] += 1
        began = asyncio.get_running_loop().time()
        await wait_until(lambda: sum(isinstance(r, Pli) for r in alice.reports) > before)
        assert asyncio.get_running_loop().time() - began < 1.5 * TIME_FACTOR
        # once: what is lost before a key frame is nobody's concern
        keyframes = feed.keyframes
        marker = feed_marker(alice)
        await wait_until(lambda: feed_marker(alice) > marker + 40)
        assert feed.keyframes <= keyframes + 1
        assert sum(isinstance(r, Pli) for r in alice.reports) == before + 1


def vp8_rest(picture: int, part: int) -> bytes:
    """A later packet of a picture."""
    return build_vp8_descriptor(start_of_frame=False, picture_id=picture, tl0_index=0) + bytes([part]) * 50


async def test_a_key_frame_whose_first_packet_comes_last_is_whole(call: Call) -> None:
    """It was lost, and came once more: what had come of the picture by then, nobody would send again."""
    track, alice, bob = await call()
    ssrc = await bob.receiving(track.sid)
    alice.send(track, 9, 3000, vp8(1, key=False))
    for number in (11, 12):
        alice.send(track, number, 6000, vp8_rest(2, number))
    alice.send_padding(track, 13, 6000)
    alice.send(track, 14, 9000, vp8(3, key=False))
    await wait_until(lambda: any(10 in r.lost for r in alice.reports if isinstance(r, Nack)))
    assert not bob.media(ssrc)
    alice.send(track, 10, 6000, vp8(2, key=True))
    alice.send(track, 15, 12_000, vp8(4, key=False))
    views = await wait_until(lambda: bob.media(ssrc) if len(bob.media(ssrc)) == 5 else None)
    assert is_vp8_keyframe(views[0].payload)
    assert [view.payload[-1] for view in views[1:3]] == [11, 12]
    numbers = [(view.sequence_number - views[0].sequence_number) & 0xFFFF for view in views]
    assert numbers == [0, 1, 2, 3, 4]
    assert len({view.timestamp for view in views[:3]}) == 1


async def test_a_key_frame_of_which_too_much_has_passed_is_not_begun_with(join: Join) -> None:
    track = camera()
    alice = await join("alice", track)
    alice.send(track, 9, 3000, vp8(1, key=False))
    for number in (11, 12):
        alice.send(track, number, 6000, vp8_rest(2, number))
    await wait_until(lambda: any(10 in r.lost for r in alice.reports if isinstance(r, Nack)))
    bob = await join("bob")
    ssrc = await bob.receiving(track.sid)
    alice.send(track, 13, 9000, vp8(3, key=False))
    asked = sum(isinstance(r, Pli) for r in alice.reports)
    alice.send(track, 10, 6000, vp8(2, key=True))
    await wait_until(lambda: sum(isinstance(r, Pli) for r in alice.reports) > asked)
    assert not bob.media(ssrc)
    alice.send(track, 14, 12_000, vp8(4, key=True))
    await wait_until(lambda: bob.media(ssrc))
    assert_unbroken(bob, ssrc)


async def test_key_frame_requests_are_throttled_upstream(call: Call) -> None:
    track, alice, bob = await call()
    async with feeding(alice, track):
        ssrc = await bob.receiving(track.sid)
        await wait_until(lambda: len(bob.media(ssrc)) > 20)
        before, began = sum(isinstance(r, Pli) for r in alice.reports), asyncio.get_running_loop().time()
        for _ in range(500):
            bob.report(Pli(1, ssrc))
        feedback = feed_marker(alice)
        await wait_until(lambda: feed_marker(alice) > feedback + 10)
        passed_s = asyncio.get_running_loop().time() - began
        # three at once, then two a second
        assert 0 < sum(isinstance(r, Pli) for r in alice.reports) - before <= 4 + 2 * passed_s


async def test_feedback_names_foreign_streams_in_vain(call: Call) -> None:
    track, alice, bob = await call()
    async with feeding(alice, track):
        ssrc = await bob.receiving(track.sid)
        await wait_until(lambda: bob.media(ssrc))
        bob.report(Bye((track.ssrcs[""], ssrc)), Pli(1, 12345), Nack(1, track.ssrcs[""], (1, 2, 3)))
        count = len(bob.media(ssrc))
        await wait_until(lambda: len(bob.media(ssrc)) > count + 10)


async def test_sender_reports_carry_the_publishers_clock_in_our_timestamps(call: Call) -> None:
    track, alice, bob = await call()
    async with feeding(alice, track) as feed:
        ssrc = await bob.receiving(track.sid)
        await wait_until(lambda: bob.media(ssrc))
        ntp = 0xE0000000 << 32
        alice.report(SenderReport(track.ssrcs[""], ntp, feed.timestamp, 1, 1))
        reports = await wait_until(lambda: [r for r in bob.reports if isinstance(r, SenderReport) and r.ssrc == ssrc])
        passed_s = (reports[0].ntp_time - ntp) / (1 << 32)
        assert 0 <= passed_s < 10
        newest = bob.media(ssrc)[-1].timestamp
        ahead_s = ((newest - reports[0].rtp_timestamp + (1 << 31)) % (1 << 32) - (1 << 31)) / 90_000
        assert abs(ahead_s) < 5


async def test_a_place_on_the_clock_that_was_guessed_for_a_layer_is_told_as_soon_as_it_is_known(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    # none comes by the clock but the first
    monkeypatch.setattr(downlink, "REPORT_INTERVAL_S", 1_000.0)
    track, alice, bob = await call("q", "h")

    def reports(ssrc: int) -> list[SenderReport]:
        return [report for report in bob.reports if isinstance(report, SenderReport) and report.ssrc == ssrc]

    async with feeding(alice, track, "q") as feed:
        ssrc = await bob.receiving(track.sid)
        await wait_until(lambda: bob.media(ssrc))
        ntp = 0xE0000000 << 32
        alice.report(SenderReport(track.ssrcs["q"], ntp, feed.timestamp, 1, 1))
        await wait_until(lambda: reports(ssrc))
        # another clock than that of the low layer, of which no report has come
        feed.rids = ["q", "h"]
        await wait_until(lambda: bob.media(ssrc)[-1].payload[-1] == 1, what="the layer above")
        assert len(reports(ssrc)) == 1
        alice.report(SenderReport(track.ssrcs["h"], ntp, feed.timestamp, 1, 1))
        await wait_until(lambda: len(reports(ssrc)) == 2)
    newest, report = bob.media(ssrc)[-1], reports(ssrc)[1]
    passed_s = (report.ntp_time - ntp) / (1 << 32)
    ahead_s = ((newest.timestamp - report.rtp_timestamp + (1 << 31)) % (1 << 32) - (1 << 31)) / 90_000
    assert 0 <= passed_s < 10
    assert abs(ahead_s) < 5


async def test_a_change_to_a_layer_that_comes_later_does_not_move_pictures_in_time(call: Call) -> None:
    behind = {"q": 0, "h": 1, "f": 4}
    track, alice, bob = await call(*behind)
    ssrc = await bob.receiving(track.sid)
    wanted, numbers, seen = set(behind), itertools.count(10), 0

    async def send_picture() -> None:
        nonlocal seen
        wanted.update(
            r for r in behind for p in alice.reports[seen:] if isinstance(p, Pli) and p.media_ssrc == track.ssrcs[r]
        )
        seen = len(alice.reports)
        newest = next(numbers)
        for tag, (rid, lag) in enumerate(behind.items()):
            number = newest - lag
            payload = vp8(number, key=rid in wanted, tl0=number & 0xFF, tag=tag)
            wanted.discard(rid)
            alice.send(track, number, 3_000 * number, payload[:-1] + number.to_bytes(4, "big") + payload[-1:], rid=rid)
        await asyncio.sleep(0.01)

    async def send_until(condition: Callable[[], object]) -> None:
        async def is_true() -> bool:
            await send_picture()
            return bool(condition())

        await wait_until(is_true)

    await send_until(lambda: bob.media(ssrc) and bob.media(ssrc)[-1].payload[-1] == 2)
    alice.report(*(SenderReport(track.ssrcs[rid], 0xE0000000 << 32, 3_000, 1, 1) for rid in behind))
    await send_until(lambda: any(isinstance(report, SenderReport) and report.ssrc == ssrc for report in bob.reports))
    moved = []
    for quality in (0, 2, 1, 2, 0, 1, 0, 2):
        await bob.request(track_setting=rtc.UpdateTrackSettings(track_sids=[track.sid], quality=quality))  # type: ignore[arg-type]
        await send_until(lambda quality=quality: bob.media(ssrc)[-1].payload[-1] == quality)
        count = len(bob.media(ssrc))
        await send_until(lambda count=count: len(bob.media(ssrc)) > count + 10)
        view = bob.media(ssrc)[-1]
        moved.append((view.timestamp - 3_000 * int.from_bytes(view.payload[-5:-1], "big")) & 0xFFFFFFFF)
    assert len(set(moved)) == 1, moved
    assert_unbroken(bob, ssrc)


async def test_the_publisher_gets_transport_feedback_about_all_its_packets(join: Join) -> None:
    track = camera()
    alice = await join("alice", track)
    async with feeding(alice, track):
        feedback = await wait_until(
            lambda: len(found := [r for r in alice.reports if isinstance(r, TransportFeedback)]) > 5 and found
        )
    numbers = [r.base_sequence_number + i for r in feedback for i, at in enumerate(r.packets) if at is not None]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert all(r.media_ssrc in track.ssrcs.values() for r in feedback)


async def test_a_revoked_subscription_stops_within_100_ms_and_comes_back(join: Join) -> None:
    track = camera()
    alice = await join("alice", track)
    bob, carol = await join("bob"), await join("carol")
    async with feeding(alice, track):
        ssrc = await bob.receiving(track.sid)
        other = await carol.receiving(track.sid)
        await wait_until(lambda: bob.media(ssrc) and carol.media(other))
        only_carol = rtc.SubscriptionPermission(
            track_permissions=[rtc.TrackPermission(participant_identity="carol", all_tracks=True)]
        )
        await alice.request(subscription_permission=only_carol)
        told = await bob.wait_for("subscription_permission_update", lambda m: not m.allowed)
        assert told.track_sid == track.sid
        await wait_until(lambda: vp8_size(bob, ssrc) == (8, 8))
        count, more = len(bob.media(ssrc)), len(carol.media(other))
        await wait_until(lambda: len(carol.media(other)) > more + 20)
        assert len(bob.media(ssrc)) == count
        await alice.request(subscription_permission=rtc.SubscriptionPermission(all_participants=True))
        await bob.wait_for("subscription_permission_update", lambda m: m.allowed, after=len(bob.signals) - 1)
        again = await wait_until(lambda: (s := bob.ssrc_of(track.sid)) and s != ssrc and s)
        await wait_until(lambda: bob.media(again))


async def test_not_a_byte_of_an_unasked_track_without_auto_subscribe(join: Join, server: Server) -> None:
    track = camera()
    alice = await join("alice", track)
    bob = await join("bob", auto_subscribe=False)
    async with feeding(alice, track):
        await bob.wait_for(
            "update",
            lambda m: any(p.sid == bob.sid and p.state == models.ParticipantInfo.ACTIVE for p in m.participants),
        )
        feedback = feed_marker(alice)
        await wait_until(lambda: feed_marker(alice) > feedback + 5)
        assert bob.packets == []
        await bob.request(subscription=rtc.UpdateSubscription(track_sids=[track.sid], subscribe=True))
        ssrc = await bob.receiving(track.sid)
        await wait_until(lambda: bob.media(ssrc))
        await bob.request(subscription=rtc.UpdateSubscription(track_sids=[track.sid], subscribe=False))
        await wait_until(lambda: any(isinstance(r, Bye) and ssrc in r.sources for r in bob.reports))
        count, feedback = len(bob.packets), feed_marker(alice)
        await wait_until(lambda: feed_marker(alice) > feedback + 5)
        assert len(bob.packets) <= count + 5


async def test_dynacast_tells_the_publisher_what_is_wanted_raising_at_once_and_lowering_later(call: Call) -> None:
    track, alice, bob = await call("q", "h", "f")

    def enabled(message: rtc.SubscribedQualityUpdate) -> list[bool]:
        return [quality.enabled for quality in message.subscribed_qualities]

    async with feeding(alice, track):
        await alice.wait_for("subscribed_quality_update", lambda m: enabled(m) == [True, True, True])
        await alice.wait_for("track_subscribed", lambda m: m.track_sid == track.sid)
        await bob.request(track_setting=rtc.UpdateTrackSettings(track_sids=[track.sid], quality=0))  # type: ignore[arg-type]
        await alice.wait_for("subscribed_quality_update", lambda m: enabled(m) == [True, False, False])
        number = len(alice.signals)
        await bob.request(track_setting=rtc.UpdateTrackSettings(track_sids=[track.sid], quality=1))  # type: ignore[arg-type]
        await alice.wait_for("subscribed_quality_update", lambda m: enabled(m) == [True, True, False], after=number)


@pytest.mark.parametrize("hostile", [b"", b"\x80", b"\xff" * 40, bytes(1200), b"\x90\x60" + b"\xff" * 30])
async def test_hostile_packets_of_a_publisher_are_dropped_and_nobody_notices(call: Call, hostile: bytes) -> None:
    track, alice, bob = await call()
    async with feeding(alice, track):
        ssrc = await bob.receiving(track.sid)
        await wait_until(lambda: bob.media(ssrc))
        for _ in range(20):
            alice.transport.send_rtp(hostile)
        count = len(bob.media(ssrc))
        await wait_until(lambda: len(bob.media(ssrc)) > count + 20)
    assert_unbroken(bob, ssrc)


async def test_an_active_stream_and_a_lossy_path_are_told(call: Call, server: Server) -> None:
    track, alice, bob = await call()
    async with feeding(alice, track):
        ssrc = await bob.receiving(track.sid)
        await wait_until(lambda: len(bob.media(ssrc)) > 10)
        active = await bob.wait_for("stream_state_update")
        assert (active.stream_states[0].track_sid, active.stream_states[0].state) == (track.sid, rtc.StreamState.ACTIVE)
        room = server.registry.rooms["room"]
        room.quality._due = 0.0
        both = await bob.wait_for("connection_quality")
        assert {u.participant_sid for u in both.updates} == {alice.sid, bob.sid}
        assert {u.quality for u in both.updates} == {models.ConnectionQuality.EXCELLENT}
        number = len(bob.signals)
        bob.report(ReceiverReport(1, (ReportBlock(ssrc, 128, 60, 0, 0, 0, 0),)))
        await wait_until(lambda: room.participants[bob.sid].subscriber.subscriptions[track.sid]._lost == 60)
        room.quality._due = 0.0
        worse = await bob.wait_for("connection_quality", after=number)
        assert [(u.participant_sid, u.quality) for u in worse.updates] == [(bob.sid, models.ConnectionQuality.POOR)]


async def test_a_lower_frame_rate_drops_temporal_layers_without_a_hole(call: Call) -> None:
    track, alice, bob = await call()
    ssrc = await bob.receiving(track.sid)
    number = 0

    def picture() -> None:
        nonlocal number
        layer = (0, 2, 1, 2)[number % 4]
        key = number % 40 == 0
        head = build_vp8_descriptor(
            start_of_frame=True,
            picture_id=number,
            tl0_index=number // 4,
            temporal_id=0 if key else layer,
            sync=layer > 0,
        )
        alice.send(track, number, number * 2812, head + (KEY_BODY if key else DELTA_BODY) + bytes([layer]))
        number += 1

    def layers(count: int) -> set[int]:
        return {parse_vp8_descriptor(view.payload).temporal_id for view in bob.media(ssrc)[-count:]}

    def sees(expected: set[int]) -> Callable[[], bool]:
        def check() -> bool:
            picture()
            return len(bob.media(ssrc)) > 40 and layers(16) == expected

        return check

    await wait_until(sees({0, 1, 2}), interval_s=1 / 32)
    await bob.request(track_setting=rtc.UpdateTrackSettings(track_sids=[track.sid], fps=1, quality=2))  # type: ignore[arg-type]
    await wait_until(sees({0}), 20, interval_s=1 / 32)
    await bob.request(track_setting=rtc.UpdateTrackSettings(track_sids=[track.sid], quality=2))  # type: ignore[arg-type]
    await wait_until(sees({0, 1, 2}), interval_s=1 / 32)
    assert_unbroken(bob, ssrc)
    ids = [parse_vp8_descriptor(view.payload).picture_id or 0 for view in bob.media(ssrc)]
    assert all((after - before) & 0x7FFF == 1 for before, after in itertools.pairwise(ids))


async def test_an_ssrc_that_changes_its_payload_type_floods_nobody(call: Call) -> None:
    track, alice, bob = await call()
    async with feeding(alice, track) as feed:
        ssrc = await bob.receiving(track.sid)
        await wait_until(lambda: bob.media(ssrc))
        updates = len(bob.all("update"))
        for number in range(300):
            packet = build_rtp(
                payload_type=(96, 100)[number % 2], marker=False, sequence_number=feed.sequence[""] + 5000 + number,
                timestamp=0, ssrc=12_345 + number % 2, payload=b"\x10\x01", extensions=pack_extensions([(1, b"cam")]),
            )  # fmt: skip
            alice.transport.send_rtp(packet)
        count = len(bob.media(ssrc))
        await wait_until(lambda: len(bob.media(ssrc)) > count + 20)
        assert len(bob.all("update")) - updates < 10


async def test_a_layer_that_was_switched_off_on_request_is_back_at_once(call: Call) -> None:
    track, alice, bob = await call()
    async with feeding(alice, track) as feed:
        ssrc = await bob.receiving(track.sid)
        await wait_until(lambda: bob.media(ssrc))
        await bob.request(track_setting=rtc.UpdateTrackSettings(track_sids=[track.sid], disabled=True))
        await alice.wait_for("subscribed_quality_update", lambda m: not any(q.enabled for q in m.subscribed_qualities))
        feed.paused = True
        feedback = len(alice.reports)
        await wait_until(lambda: len(alice.reports) > feedback + 2, 10)  # a good while without a packet
        count = len(bob.media(ssrc))
        feed.paused = False
        began = asyncio.get_running_loop().time()
        await bob.request(track_setting=rtc.UpdateTrackSettings(track_sids=[track.sid], quality=2))  # type: ignore[arg-type]
        await wait_until(lambda: len(bob.media(ssrc)) > count)
        assert asyncio.get_running_loop().time() - began < 1.5
