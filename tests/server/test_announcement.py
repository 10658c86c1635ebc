"""What is told of a participant that changes all the time."""

from __future__ import annotations

import asyncio

from livekit.protocol import rtc

from lknb import limits
from lknb.server.app import Server
from tests.kit.poll import wait_until
from tests.kit.raw import RawClient, RawTrack
from tests.server.conftest import Join


def states(client: RawClient, track: RawTrack) -> list[bool]:
    """The mute states a client was told of, in order."""
    updates = client.all("update")
    return [t.muted for u in updates for p in u.participants for t in p.tracks if t.sid == track.sid]


async def test_large_metadata_and_a_mute_a_hundred_times_a_second_flood_nobody(join: Join) -> None:
    track = RawTrack("cam", "vp8")
    alice, bob = await join("alice", track), await join("bob")
    metadata = "x" * limits.METADATA_BYTES
    await alice.request(update_metadata=rtc.UpdateParticipantMetadata(metadata=metadata))
    await bob.wait_for("update", lambda m: any(p.metadata == metadata for p in m.participants))
    before, began = len(bob.all("update")), asyncio.get_running_loop().time()
    for number in range(201):
        await alice.request(mute=rtc.MuteTrackRequest(sid=track.sid, muted=number % 2 == 0))
        await asyncio.sleep(0.01)
    await wait_until(lambda: states(bob, track)[-1], what="the last word")
    passed_s = asyncio.get_running_loop().time() - began
    told = sum(update.ByteSize() for update in bob.all("update")[before:])
    assert told < limits.ANNOUNCED_BYTES_PER_S * (passed_s + 2), (told, passed_s)
    # somebody who joins now knows as much
    carol = await join("carol")
    assert [p.tracks[0].muted for p in carol.join.other_participants if p.identity == "alice"] == [True]


async def test_a_small_participant_is_told_of_every_change_at_once(join: Join) -> None:
    track = RawTrack("cam", "vp8")
    alice, bob = await join("alice", track), await join("bob")
    await bob.receiving(track.sid)
    number = len(states(bob, track))
    wanted = [n % 2 == 0 for n in range(20)]
    for muted in wanted:
        await alice.request(mute=rtc.MuteTrackRequest(sid=track.sid, muted=muted))
    await wait_until(lambda: len(states(bob, track)) >= number + 20)
    assert states(bob, track)[number:] == wanted


async def test_a_track_published_while_updates_wait_is_told_before_it_is_offered(join: Join, server: Server) -> None:
    alice, bob = await join("alice"), await join("bob")
    metadata = "x" * limits.METADATA_BYTES
    for number in range(4):
        await alice.request(update_metadata=rtc.UpdateParticipantMetadata(metadata=f"{number}{metadata[1:]}"))
    await bob.wait_for("update", lambda m: any(p.metadata for p in m.participants))
    track = RawTrack("cam", "vp8")
    await alice.publish(track)
    await bob.receiving(track.sid)
    kinds = [
        "told" if any(t.sid == track.sid for p in s.update.participants for t in p.tracks) else "offered"
        for s in bob.signals
        if s.WhichOneof("message") == "update" or track.sid in s.answer.mid_to_track_id.values()
        if s.WhichOneof("message") == "answer"
        or any(t.sid == track.sid for p in s.update.participants for t in p.tracks)
    ]
    assert kinds[0] == "told"
    assert "offered" in kinds
