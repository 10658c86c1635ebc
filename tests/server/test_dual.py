"""The two connections of `/rtc`: what the server offers, and what it makes of the answer."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import aiohttp
import pytest
from livekit.protocol import models, rtc

from lknb.logic.negotiation import Negotiation, SectionPlan
from lknb.transport.ice_full import FullIceTransport
from lknb.transport.peer import PeerTransport
from lknb.wire.sdp import Codec, MediaSection, SessionDescription, build_sdp, parse_sdp
from tests.kit.poll import wait_until
from tests.kit.raw import CODECS, RawTrack
from tests.kit.token import make_token
from tests.server.conftest import Join

SE_CODEC_UNSUPPORTED = models.SubscriptionError.SE_CODEC_UNSUPPORTED


def changed_directly(descriptions: Sequence[SessionDescription]) -> list[str]:
    """The sections in which a track takes the place of another from one description to the next."""
    changed = []
    for before, after in pairwise(descriptions):
        there = {section.mid: section.msid for section in before.media if section.msid}
        changed += [it.mid for it in after.media if it.msid and it.msid != there.get(it.mid, it.msid)]
    return changed


class DualSubscriber:
    """Answers every offer by hand; `plan` decides about each section."""

    def __init__(self, url: str, plan: Callable[[MediaSection], SectionPlan]) -> None:
        self.url, self.plan = url, plan
        self.transport = PeerTransport(FullIceTransport(controlling=False))
        self.signals: list[rtc.SignalResponse] = []
        self.offers: list[SessionDescription] = []
        self._negotiation = Negotiation(secrets.randbits(60))
        self._session = aiohttp.ClientSession()
        self._task: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        await self.transport.gather()
        self.socket = await self._session.ws_connect(
            f"{self.url}/rtc?auto_subscribe=1&protocol=16&sdk=python",
            headers={"Authorization": f"Bearer {make_token('bob', 'room')}"},
        )
        self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for message in self.socket:
            response = rtc.SignalResponse.FromString(message.data)
            self.signals.append(response)
            if response.WhichOneof("message") == "offer":
                offer = parse_sdp(response.offer.sdp)
                self.offers.append(offer)
                answer = self._negotiation.create_answer(offer, self.plan, self.transport.local("active"))
                description = rtc.SessionDescription(type="answer", sdp=build_sdp(answer), id=response.offer.id)
                await self.request(answer=description)

    async def request(self, **fields: object) -> None:
        await self.socket.send_bytes(rtc.SignalRequest(**fields).SerializeToString())  # type: ignore[arg-type]

    def refusals(self) -> list[str]:
        found = [s.subscription_response for s in self.signals if s.WhichOneof("message") == "subscription_response"]
        assert all(refusal.err == SE_CODEC_UNSUPPORTED for refusal in found)
        return [refusal.track_sid for refusal in found]

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await self.socket.close()
        await self._session.close()
        await self.transport.close()


def receive(section: MediaSection) -> SectionPlan:
    return SectionPlan("recvonly", section.codecs)


def receive_vp8_only(section: MediaSection) -> SectionPlan:
    return SectionPlan("recvonly", [codec for codec in section.codecs if codec.name.lower() == "vp8"])


@pytest.fixture
async def subscriber(url: str) -> AsyncIterator[DualSubscriber]:
    client = DualSubscriber(url, receive)
    yield client
    await client.close()


async def test_a_section_the_client_refuses_is_a_codec_it_cannot_decode(join: Join, subscriber: DualSubscriber) -> None:
    first, second = RawTrack("cam", "h264"), RawTrack("cam2", "vp8")
    alice = await join("alice", first, second)
    subscriber.plan = receive_vp8_only
    await subscriber.connect()
    await wait_until(lambda: subscriber.refusals() == [first.sid], what=subscriber.refusals)
    # what comes later in that codec is refused at once, and the section stays refused in every further offer
    third, fourth = RawTrack("cam3", "h264"), RawTrack("cam4", "vp8")
    await alice.publish(third)
    await wait_until(lambda: subscriber.refusals() == [first.sid, third.sid], what=subscriber.refusals)
    await alice.publish(fourth)
    await wait_until(lambda: len([s for s in subscriber.offers[-1].media if not s.rejected]) == 3)
    sections = {s.mid: s for s in subscriber.offers[-1].media}
    refused = [s.mid for s in subscriber.offers[0].media if any(c.name == "H264" for c in s.codecs)]
    assert [sections[mid].rejected for mid in refused] == [True]
    # asked for again it is said again
    await subscriber.request(subscription=rtc.UpdateSubscription(track_sids=[first.sid], subscribe=True))
    await wait_until(lambda: subscriber.refusals() == [first.sid, third.sid, first.sid], what=subscriber.refusals)


@pytest.mark.parametrize(
    ("fmtp", "profile"),
    [
        ("packetization-mode=1;profile-level-id=640c1f;x-secret=1;sprop-parameter-sets=Z2QAH6zZQ", "640c1f"),
        ("packetization-mode=1; profile-level-id=42E01F", "42e01f"),
        ("packetization-mode=1;profile-level-id=zzz", "42e01f"),
        ("packetization-mode=1", "42e01f"),
    ],
)
async def test_of_a_publishers_h264_only_the_profile_is_offered_to_others(
    join: Join, subscriber: DualSubscriber, fmtp: str, profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec: Codec = replace(CODECS["h264"], fmtp=fmtp)
    monkeypatch.setitem(CODECS, "h264", codec)
    await join("alice", RawTrack("cam", "h264"))
    await subscriber.connect()
    await wait_until(lambda: subscriber.offers)
    offered = [codec.fmtp for s in subscriber.offers[0].media for codec in s.codecs if codec.name == "H264"]
    assert offered == [f"level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={profile}"]


async def test_a_section_changes_from_track_to_track_by_way_of_none(join: Join, subscriber: DualSubscriber) -> None:
    """libwebrtc tells of a track where none was before: of one that takes the place of another it says nothing."""
    tracks = [RawTrack("cam", "vp8"), RawTrack("cam2", "vp8", name="second")]
    await join("alice", *tracks)
    await subscriber.connect()
    sids = [track.sid for track in tracks]

    def offered() -> list[str]:
        return [section.msid[1] for section in subscriber.offers[-1].media if section.msid]

    await wait_until(lambda: subscriber.offers and sorted(offered()) == sorted(sids))
    await subscriber.request(subscription=rtc.UpdateSubscription(track_sids=sids[1:], subscribe=False))
    await wait_until(lambda: offered() == sids[:1])
    for gone, come in (sids, sids[::-1]) * 3:
        await subscriber.request(subscription=rtc.UpdateSubscription(track_sids=[gone], subscribe=False))
        await subscriber.request(subscription=rtc.UpdateSubscription(track_sids=[come], subscribe=True))
        await wait_until(lambda come=come: offered() == [come], what=offered)
    assert changed_directly(subscriber.offers) == []
    # a section that was empty is used again, but for those of a track that was there before
    assert len(subscriber.offers[-1].media) <= 1 + 2 * 4
