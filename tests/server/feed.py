"""Pictures of a raw client, and what is seen of them at another."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator

from lknb.wire.rtcp import Pli, TransportFeedback
from lknb.wire.vp8 import build_vp8_descriptor, depacketize_vp8, parse_vp8_descriptor, vp8_dimensions
from tests.kit.raw import RawClient, RawTrack

KEY_BODY = bytes.fromhex("1002009d012a40014000") + bytes(40)  # the head of a 320x64 key frame
DELTA_BODY = b"\x11" + bytes(60)


def vp8(picture: int, *, key: bool, tl0: int = 0, tag: int = 0) -> bytes:
    """A one-packet picture; `tag` marks it."""
    head = build_vp8_descriptor(start_of_frame=True, picture_id=picture, tl0_index=tl0)
    return head + (KEY_BODY if key else DELTA_BODY) + bytes([tag])


def camera(*rids: str, codec: str = "vp8") -> RawTrack:
    return RawTrack("cam", codec, rids)


class Feed:
    """Sends pictures of some layers until it is stopped; a key frame first and whenever one is asked for."""

    def __init__(self, client: RawClient, track: RawTrack, *rids: str, interval_s: float = 0.02) -> None:
        self.client, self.track, self.interval_s = client, track, interval_s
        self.rids = list(rids or track.rids or ("",))
        self.sequence = dict.fromkeys(track.ssrcs, 65_500)
        self.timestamp = 4_294_900_000
        self.picture = 32_760
        self.keyframes = 0
        self.paused = False

    async def run(self) -> None:
        wanted = set(self.rids)
        seen = 0
        while True:
            for report in self.client.reports[seen:]:
                if isinstance(report, Pli):
                    wanted |= {rid for rid, ssrc in self.track.ssrcs.items() if ssrc == report.media_ssrc}
            seen = len(self.client.reports)
            self.timestamp = (self.timestamp + int(90_000 * self.interval_s)) & 0xFFFFFFFF
            self.picture = (self.picture + 1) & 0x7FFF
            for rid in self.rids if not self.paused else ():
                tag = 0 if not rid else "qhf".index(rid)
                key = rid in wanted
                self.keyframes += key
                wanted.discard(rid)
                payload = vp8((self.picture + 1000 * tag) & 0x7FFF, key=key, tl0=self.picture & 0xFF, tag=tag)
                self.client.send(self.track, self.sequence[rid], self.timestamp, payload, rid=rid)
                self.sequence[rid] += 1
            await asyncio.sleep(self.interval_s)


@contextlib.asynccontextmanager
async def feeding(client: RawClient, track: RawTrack, *rids: str) -> AsyncIterator[Feed]:
    feed = Feed(client, track, *rids)
    task = asyncio.create_task(feed.run())
    yield feed
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def assert_unbroken(client: RawClient, ssrc: int) -> None:
    """Contiguous sequence numbers, rising timestamps, rising picture ids."""
    views = client.media(ssrc)
    for before, after in itertools.pairwise(views):
        assert (after.sequence_number - before.sequence_number) & 0xFFFF == 1
        assert 0 < (after.timestamp - before.timestamp) & 0xFFFFFFFF < 1 << 31
        first, second = parse_vp8_descriptor(before.payload), parse_vp8_descriptor(after.payload)
        assert first.picture_id is not None
        assert second.picture_id is not None
        assert 0 < (second.picture_id - first.picture_id) & 0x7FFF < 0x4000


def feed_marker(client: RawClient) -> int:
    """Transport feedback so far: proof that the server went on receiving."""
    return sum(isinstance(report, TransportFeedback) for report in client.reports)


def vp8_size(client: RawClient, ssrc: int) -> tuple[int, int] | None:
    views = client.media(ssrc)
    try:
        return vp8_dimensions(depacketize_vp8(views[-1].payload)[1]) if views else None
    except ValueError:
        return None
