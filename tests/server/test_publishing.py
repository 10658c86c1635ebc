"""Which section of an offer belongs to which announced track."""

from __future__ import annotations

from dataclasses import replace

from tests.kit.poll import wait_until
from tests.kit.raw import RawClient, RawTrack
from tests.server.conftest import Join


def listed(client: RawClient, other: RawClient) -> list[str]:
    """The names of the tracks of somebody else, as the newest update has them."""
    updates = [info for update in client.all("update") for info in update.participants if info.sid == other.sid]
    return [track.name for track in updates[-1].tracks] if updates else []


async def announce(client: RawClient, *tracks: RawTrack) -> None:
    """AddTrack of all, before any of their sections is offered."""
    for track in tracks:
        await client.request(add_track=track.request())
        track.sid = await client.published(track)
    client._order += [(track.mid, track.kind, track.plan()) for track in tracks]


async def test_a_track_that_is_published_again_has_another_id_in_the_description(join: Join) -> None:
    """As browsers do: an id that a sender of the connection has, also one that rests, is not given to another."""
    bob, alice = await join("bob"), await join("alice")
    first = RawTrack("7", "vp8", name="first")
    await alice.publish(first)
    await wait_until(lambda: listed(bob, alice) == ["first"])
    again = replace(first, mid="8", name="again", shown="another id", sid="")
    await alice.unpublish(first)
    # the section of the first still names it, though nothing is sent there
    await alice.request(add_track=again.request())
    alice._order.append((again.mid, again.kind, again.plan()))
    await alice.offer()
    await wait_until(lambda: listed(bob, alice) == ["again"], what=lambda: listed(bob, alice))


async def test_a_track_that_was_given_up_does_not_take_its_place(join: Join) -> None:
    bob, alice = await join("bob"), await join("alice")
    first = RawTrack("7", "vp8", name="first")
    await alice.publish(first)
    given_up, again = RawTrack("-", "vp8", name="given up"), replace(first, mid="8", name="again", shown="another id")
    for track in (given_up, again):
        await alice.request(add_track=track.request())
    alice._order.append((again.mid, again.kind, again.plan()))
    await alice.offer()
    await wait_until(lambda: listed(bob, alice) == ["first", "again"], what=lambda: listed(bob, alice))


async def test_a_section_with_a_new_id_leaves_the_others_to_those_who_name_them(join: Join) -> None:
    bob, alice = await join("bob"), await join("alice")
    tracks = [
        RawTrack("7", "vp8", name="one", shown="an id"),
        RawTrack("8", "vp8", name="two"),
        RawTrack("9", "opus", name="three", shown="another"),
        RawTrack("10", "vp8", name="four", shown="a third"),
    ]
    # announced in another order than they are offered in
    await announce(alice, *[tracks[1], tracks[2], tracks[0], tracks[3]])
    alice._order[-4:] = [(track.mid, track.kind, track.plan()) for track in tracks]
    await alice.offer()
    await wait_until(lambda: len(listed(bob, alice)) == 4, what=lambda: listed(bob, alice))
    infos = [info for update in bob.all("update") for info in update.participants if info.sid == alice.sid][-1].tracks
    assert {info.name: info.mid for info in infos} == {track.name: track.mid for track in tracks}


async def test_a_section_that_names_a_track_waits_until_it_is_announced(join: Join) -> None:
    bob, alice = await join("bob"), await join("alice")
    early = RawTrack("7", "vp8", name="early")
    alice._order.append((early.mid, early.kind, early.plan()))
    await alice.offer()
    await wait_until(lambda: alice.answer is not None and alice.answer.section("7") is not None)
    assert listed(bob, alice) == []
    await alice.request(add_track=early.request())
    await wait_until(lambda: listed(bob, alice) == ["early"])
