"""What reaches an official client is what it asked for: counted where the server writes packets, and by the client's stats."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from livekit.protocol import models, rtc

from lknb.server import session
from lknb.server.app import Server
from lknb.server.config import ServerConfig
from lknb.server.participant import Participant
from lknb.server.subscription import Subscription
from tests.interop.conftest import MODES, OpenPeer
from tests.interop.row import BLUE, RED
from tests.kit.chromium import ChromiumPeer
from tests.kit.peer import Peer, is_near
from tests.kit.poll import TIME_FACTOR, wait_until
from tests.kit.together import side_by_side
from tests.kit.token import API_KEY, API_SECRET, make_token

NEGOTIATION = frozenset({"offer", "answer", "media_sections_requirement"})
GOES_ON_PACKETS = 20
"""So many more to somebody else, a second of 20 pictures: what was stopped would have come meanwhile."""


@dataclass
class Ledger:
    """A server in this process, and what it sent to whom: each call has a room and names of its own."""

    server: Server
    packets: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By (subscriber, track sid)."""
    size: Counter[tuple[str, str]] = field(default_factory=Counter)
    last_at: dict[tuple[str, str], float] = field(default_factory=dict)
    messages: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By (participant, kind of message)."""
    asked_at: dict[tuple[str, str], float] = field(default_factory=dict)
    """When a request came last, by (participant, kind of request). What goes out is timed from here: when a client of a busy
    machine comes to ask is not the server's doing."""
    told_layers: list[tuple[float, set[int]]] = field(default_factory=list)
    """When publishers were told which qualities anybody wants."""

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.server.port}"

    async def connect(self, peer: Peer, mode: str, **options: bool) -> None:
        await peer.connect(self.url, make_token(peer.identity, mode), single_peer_connection=MODES[mode], **options)

    def negotiations(self, identity: str) -> int:
        return sum(count for (who, kind), count in self.messages.items() if who == identity and kind in NEGOTIATION)


@pytest_asyncio.fixture
async def ledger(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ledger]:
    """Counting begins below everything that decides: at the call that encrypts and sends."""
    config = ServerConfig(keys={API_KEY: API_SECRET}, port=0)
    book = Ledger(Server(config))
    start, send, handle = Subscription.start, Participant.send, session.handle

    def counted_start(self: Subscription, payload_type: int, send_packet: Callable[[bytes], None], now: float) -> None:
        key = (self.subscriber.participant.identity, self.publication.sid)

        def counted(packet: bytes) -> None:
            book.packets[key] += 1
            book.size[key] += len(packet)
            book.last_at[key] = time.monotonic()
            send_packet(packet)

        start(self, payload_type, counted, now)

    def counted_send(self: Participant, message: rtc.SignalResponse) -> None:
        book.messages[self.identity, message.WhichOneof("message") or ""] += 1
        if message.HasField("subscribed_quality_update"):
            qualities = message.subscribed_quality_update.subscribed_qualities
            book.told_layers.append((time.monotonic(), {it.quality for it in qualities if it.enabled}))
        send(self, message)

    async def timed_handle(participant: Participant, request: rtc.SignalRequest) -> None:
        book.asked_at[participant.identity, request.WhichOneof("message") or ""] = time.monotonic()
        await handle(participant, request)

    monkeypatch.setattr(Subscription, "start", counted_start)
    monkeypatch.setattr(Participant, "send", counted_send)
    monkeypatch.setattr(session, "handle", timed_handle)
    await book.server.start()
    yield book
    await book.server.close()


async def three(open_peer: OpenPeer, mode: str, *kinds: str) -> list[Peer]:
    """Alice, Bob and Carol, on these clients."""
    names = ("alice", "bob", "carol")
    return await asyncio.gather(*(open_peer(kind, f"{name}-{mode}") for kind, name in zip(kinds, names, strict=True)))


@pytest.mark.interop("auto_subscribe off: bytes of unasked tracks")
@pytest.mark.parametrize("kind", ["wheel", "livekit-client"])
async def test_not_a_byte_of_an_unasked_track_arrives(
    kind: str, ledger: Ledger, open_peer: OpenPeer, subtests: pytest.Subtests, request: pytest.FixtureRequest
) -> None:
    await side_by_side(subtests, {mode: ask_for_one(kind, mode, ledger, open_peer, request) for mode in MODES})


async def ask_for_one(
    kind: str, mode: str, ledger: Ledger, open_peer: OpenPeer, request: pytest.FixtureRequest
) -> None:
    alice, bob, carol = await three(open_peer, mode, "wheel", kind, "wheel")
    await ledger.connect(alice, mode)
    await ledger.connect(bob, mode, auto_subscribe=False)
    await ledger.connect(carol, mode)
    red, blue = await alice.publish_video(RED), await alice.publish_video(BLUE)
    voice = await alice.publish_audio()
    for sid in (red, blue):
        await carol.wait_video(sid, lambda report: report.frames >= 20)
    assert {sid: state.participant for sid, state in (await bob.tracks()).items()} == {
        red: alice.identity, blue: alice.identity, voice: alice.identity,
    }  # fmt: skip
    assert [key for key in ledger.packets if key[0] == bob.identity] == []
    assert await bob.media_bytes() == 0
    assert await bob.events("track_subscribed") == []
    await bob.set_subscribed(red, True)
    seen = await bob.wait_video(red, lambda report: report.frames >= 20)
    assert is_near(seen.colour, RED)
    assert [key for key in ledger.packets if key[0] == bob.identity] == [(bob.identity, red)]
    assert ledger.size[bob.identity, red] > 0
    assert [event.track_sid for event in await bob.events("track_subscribed")] == [red]
    received, sent = await bob.media_bytes(), ledger.size[bob.identity, red]
    evidence = f"{mode}: 0 bytes before, then {sent} sent of the one asked for and {received} received, of the others 0"
    request.node.user_properties.append(("evidence", evidence))


@pytest.mark.interop("setEnabled: bytes stop for one subscriber, nothing is negotiated")
@pytest.mark.parametrize("mode", MODES)
async def test_a_disabled_track_stops_for_one_subscriber_and_without_negotiation(
    mode: str, ledger: Ledger, open_peer: OpenPeer, request: pytest.FixtureRequest
) -> None:
    alice, bob, carol = await three(open_peer, mode, "wheel", "livekit-client", "wheel")
    assert isinstance(bob, ChromiumPeer)
    for peer in (alice, bob, carol):
        await ledger.connect(peer, mode)
    camera, voice = await alice.publish_video(RED), await alice.publish_audio()
    for peer in (bob, carol):
        await peer.wait_video(camera, lambda report: report.frames > 5)
        await peer.wait_audio(voice, lambda report: report.level > 0.05)
    negotiations = ledger.negotiations(bob.identity)
    for sid in (camera, voice):
        await bob.set_enabled(sid, False)
    before = {key: ledger.packets[key] for key in list(ledger.packets)}

    def carol_goes_on() -> bool:
        keys = [(carol.identity, sid) for sid in (camera, voice)]
        return all(ledger.packets[key] > before[key] + GOES_ON_PACKETS for key in keys)

    await wait_until(carol_goes_on)
    asked = ledger.asked_at[bob.identity, "track_setting"]
    stopped_ms = max(ledger.last_at[bob.identity, sid] - asked for sid in (camera, voice)) * 1000
    assert stopped_ms < 500 * TIME_FACTOR, "packets went on"
    received, heard = await bob.inbound(camera), await bob.media_bytes()
    before = {key: ledger.packets[key] for key in list(ledger.packets)}
    await wait_until(carol_goes_on)
    for sid in (camera, voice):
        assert ledger.packets[bob.identity, sid] == before[bob.identity, sid]
    assert await bob.media_bytes() == heard
    assert (await bob.inbound(camera)).bytes_received == received.bytes_received
    await bob.set_enabled(voice, True)
    shown_ms = await bob.time_picture("set_enabled", camera, 360, enabled=True)
    await bob.wait_audio(voice, lambda report: report.level > 0.05)
    assert ledger.negotiations(bob.identity) == negotiations
    assert await bob.events("track_unsubscribed") == []
    assert shown_ms < 1000 * TIME_FACTOR
    evidence = f"last packet {stopped_ms:.0f} ms after setEnabled(false) came, a picture {shown_ms:.0f} ms after true"
    request.node.user_properties.append(("evidence", evidence))


@pytest.mark.interop("size, frame rate and dynacast of a livekit-client camera")
@pytest.mark.parametrize("mode", MODES)
async def test_size_and_rate_decide_and_the_publisher_sends_what_somebody_wants(
    mode: str, ledger: Ledger, open_peer: OpenPeer, request: pytest.FixtureRequest
) -> None:
    alice, bob = await asyncio.gather(*(open_peer("livekit-client", name) for name in ("alice", "bob")))
    assert isinstance(alice, ChromiumPeer)
    assert isinstance(bob, ChromiumPeer)
    await ledger.connect(alice, mode, dynacast=True)
    await ledger.connect(bob, mode)
    camera = await alice.publish_camera(width=1280, height=720)
    await bob.wait_video(camera, lambda report: report.height == 720, 30)
    await bob.time_picture("set_video_dimensions", camera, 180, width=320, height=180)
    lowered = ledger.asked_at[bob.identity, "track_setting"]

    async def sent() -> dict[str, int]:
        return {rid: layer.frames_sent for rid, layer in (await alice.layers(camera)).items() if layer.active}

    async def only_the_lowest() -> bool:
        return set(await sent()) == {"q"}

    await wait_until(only_the_lowest, 15, interval_s=0.1)
    told, layers = ledger.told_layers[-1]
    assert layers == {models.VideoQuality.LOW}
    off_after_s = told - lowered
    assert off_after_s > 3, "layers were taken away at once"
    back_ms = await bob.time_picture("set_video_dimensions", camera, 720, width=1280, height=720)
    assert back_ms < 2000 * TIME_FACTOR
    back_to_medium_ms = await bob.time_picture("set_video_dimensions", camera, 360, width=640, height=360)
    await bob.set_video_fps(camera, 5)

    async def rate() -> float:
        first, began = (await bob.inbound(camera)).frames_decoded, time.monotonic()
        await asyncio.sleep(1.5)
        return ((await bob.inbound(camera)).frames_decoded - first) / (time.monotonic() - began)

    rates = [await rate()]
    while len(rates) < 8 and not 1 < rates[-1] < 9:
        rates.append(await rate())
    assert 1 < rates[-1] < 9, rates
    inbound = await bob.inbound(camera)
    assert (inbound.pli_count, inbound.packets_lost) == (0, 0)
    evidence = (
        f"layers off {off_after_s:.1f} s after the last wish, 720p back in {back_ms:.0f} ms, 360p in {back_to_medium_ms:.0f} ms,"
        f" {rates[-1]:.1f} fps of 20 when 5 were asked for"
    )
    request.node.user_properties.append(("evidence", evidence))


@pytest.mark.interop("subscription permissions: revoked media stops")
@pytest.mark.parametrize("kind", ["wheel", "livekit-client"])
async def test_revoked_media_stops_at_once_and_comes_back(
    kind: str, ledger: Ledger, open_peer: OpenPeer, subtests: pytest.Subtests, request: pytest.FixtureRequest
) -> None:
    await side_by_side(subtests, {mode: revoke(kind, mode, ledger, open_peer, request) for mode in MODES})


async def revoke(kind: str, mode: str, ledger: Ledger, open_peer: OpenPeer, request: pytest.FixtureRequest) -> None:
    alice, bob, carol = await three(open_peer, mode, kind, "livekit-client", "wheel")
    for peer in (alice, bob, carol):
        await ledger.connect(peer, mode)
    camera, voice = await alice.publish_video(RED), await alice.publish_audio()
    for peer in (bob, carol):
        await peer.wait_video(camera, lambda report: report.frames > 5)
        await peer.wait_audio(voice, lambda report: report.level > 0.05)

    async def others_go_on(*keys: tuple[str, str]) -> None:
        before = dict(ledger.packets)
        await wait_until(lambda: all(ledger.packets[key] > before[key] + GOES_ON_PACKETS for key in keys))

    def last_at() -> float:
        sids = (camera, voice, second)
        return max(at for (_, sid), at in ledger.last_at.items() if sid in sids)

    # one of two tracks for bob, everything for carol
    await alice.set_track_permissions({bob.identity: [voice], carol.identity: None})
    await others_go_on((carol.identity, camera), (carol.identity, voice), (bob.identity, voice))
    asked = ledger.asked_at[alice.identity, "subscription_permission"]
    stopped_ms = (ledger.last_at[bob.identity, camera] - asked) * 1000
    assert stopped_ms < 100 * TIME_FACTOR * 5, "wide, as the machine may be busy: it is one call"
    sent = ledger.packets[bob.identity, camera]
    await others_go_on((carol.identity, camera), (bob.identity, voice))
    assert ledger.packets[bob.identity, camera] == sent
    await bob.wait_event("track_unsubscribed", track_sid=camera)
    await bob.wait_event("track_subscription_permission_changed", track_sid=camera)
    # a list does not cover what comes later, "all" does
    second = await alice.publish_video(BLUE)
    await carol.wait_video(second, lambda report: is_near(report.colour, BLUE))
    assert (bob.identity, second) not in ledger.packets
    # nobody at all, then everybody again
    await alice.set_track_permissions({})
    await bob.wait_event("track_unsubscribed", track_sid=voice)  # the wheel has no event for it
    await wait_until(lambda: time.monotonic() - last_at() > 0.5, what="silence")
    await alice.set_track_permissions(everybody=True)
    for peer in (bob, carol):
        await peer.wait_video(camera, lambda report: report.frames > 5 and is_near(report.colour, RED))
        await peer.wait_audio(voice, lambda report: report.level > 0.05)
        await peer.wait_video(second, lambda report: is_near(report.colour, BLUE))
    request.node.user_properties.append(("evidence", f"{mode}: last packet {stopped_ms:.0f} ms after the request came"))
