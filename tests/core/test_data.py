from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from livekit.protocol import models

from lknb.core import data
from lknb.core.data import DataLink
from lknb.errors import LimitExceeded, PublishDataError
from lknb.transport.error import TransportError


class FakeChannel:
    """A data channel that the test opens, drains and breaks."""

    def __init__(self, label: str, **options: object) -> None:
        self.label = label
        self.options = options
        self.sent: list[bytes] = []
        self.is_open = False
        self.buffered_amount_bytes = 0
        self.buffered_low_threshold_bytes = 0
        self.closed = False
        self.error: Exception | None = None
        self.on_open: Callable[[], None] | None = None
        self.on_close: Callable[[], None] | None = None
        self.on_buffered_low: Callable[[], None] | None = None
        self.on_message: Callable[[bytes], None] | None = None

    def open(self) -> None:
        self.is_open = True
        self.on_open()

    def drain(self) -> None:
        self.buffered_amount_bytes = 0
        self.on_buffered_low()

    def send(self, packet: bytes) -> None:
        if self.error is not None:
            raise self.error
        self.sent.append(packet)
        self.buffered_amount_bytes += len(packet)

    def close(self) -> None:
        self.closed = True


class Side:
    def __init__(self, *, opened: bool = True) -> None:
        self.received: list[tuple[bool, bytes]] = []
        self.channels: dict[str, FakeChannel] = {}
        self.link = DataLink(lambda reliable, packet: self.received.append((reliable, packet)))
        self.link.create_channels(self)  # type: ignore[arg-type]
        if opened:
            for channel in self.channels.values():
                channel.open()

    def create_data_channel(self, label: str, **options: object) -> FakeChannel:
        channel = self.channels[label] = FakeChannel(label, **options)
        return channel

    @property
    def reliable(self) -> FakeChannel:
        return self.channels["_reliable"]

    @property
    def lossy(self) -> FakeChannel:
        return self.channels["_lossy"]


def packet(payload: bytes = b"x", **fields: object) -> bytes:
    return models.DataPacket(user=models.UserPacket(payload=payload), **fields).SerializeToString()  # type: ignore[arg-type]


def sequences(channel: FakeChannel) -> list[int]:
    return [models.DataPacket.FromString(sent).sequence for sent in channel.sent]


async def test_channels_are_those_of_livekit():
    side = Side()
    assert side.reliable.options == {"ordered": True}
    assert side.lossy.options == {"ordered": False, "max_retransmits": 0}


async def test_reliable_packets_are_numbered_and_lossy_ones_are_not():
    side = Side()
    for _ in range(3):
        await side.link.send(packet(), reliable=True)
        await side.link.send(packet(), reliable=False)
    assert sequences(side.reliable) == [1, 2, 3]
    assert sequences(side.lossy) == [0, 0, 0]


async def test_sending_waits_for_the_channel_and_keeps_the_order():
    side = Side(opened=False)
    sends = [asyncio.create_task(side.link.send(packet(bytes([n])), reliable=True)) for n in range(5)]
    await asyncio.sleep(0)
    assert side.reliable.sent == []
    side.reliable.open()
    await asyncio.gather(*sends)
    assert sequences(side.reliable) == [1, 2, 3, 4, 5]
    assert [models.DataPacket.FromString(sent).user.payload for sent in side.reliable.sent] == [
        bytes([n]) for n in range(5)
    ]


async def test_a_channel_that_never_opens_is_an_error(monkeypatch):
    monkeypatch.setattr(data, "OPEN_TIMEOUT_S", 0.05)
    side = Side(opened=False)
    with pytest.raises(PublishDataError, match="did not open"):
        await side.link.send(packet(), reliable=True)


async def test_a_slow_network_holds_reliable_packets_back():
    side = Side()
    side.reliable.buffered_amount_bytes = data.RELIABLE_BUFFER_BYTES + 1
    sending = asyncio.create_task(side.link.send(packet(), reliable=True))
    await asyncio.sleep(0.01)
    assert not sending.done()
    side.reliable.drain()
    await sending
    assert sequences(side.reliable) == [1]


async def test_who_waits_comes_before_who_comes_when_there_is_room_again():
    side = Side()
    side.reliable.buffered_amount_bytes = data.RELIABLE_BUFFER_BYTES + 1
    first = asyncio.create_task(side.link.send(packet(b"first"), reliable=True))
    await asyncio.sleep(0.01)
    side.reliable.drain()
    await side.link.send(packet(b"second"), reliable=True)
    await first
    payloads = [models.DataPacket.FromString(sent).user.payload for sent in side.reliable.sent]
    assert payloads == [b"first", b"second"]


async def test_a_cancelled_send_takes_no_number():
    side = Side()
    side.reliable.buffered_amount_bytes = data.RELIABLE_BUFFER_BYTES + 1
    sending = asyncio.create_task(side.link.send(packet(), reliable=True))
    await asyncio.sleep(0.01)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    side.reliable.drain()
    await side.link.send(packet(), reliable=True)
    assert sequences(side.reliable) == [1]


async def test_lossy_packets_are_dropped_and_counted_when_too_much_waits():
    side = Side()
    side.lossy.buffered_amount_bytes = data.LOSSY_BUFFER_BYTES + 1
    await side.link.send(packet(), reliable=False)
    assert side.lossy.sent == []
    assert side.link.lossy_dropped == 1


async def test_the_limit_is_exact():
    side = Side()
    overhead = len(packet(bytes(60_000))) - 60_000
    await side.link.send(packet(bytes(64_000 - overhead)), reliable=False)
    with pytest.raises(PublishDataError, match="64000"):
        await side.link.send(packet(bytes(64_001 - overhead)), reliable=False)


@pytest.mark.parametrize("error", [TransportError("not open"), LimitExceeded("too large")])
async def test_a_channel_that_refuses_is_an_error_and_takes_no_number(error):
    side = Side()
    side.reliable.error = error
    with pytest.raises(PublishDataError):
        await side.link.send(packet(), reliable=True)
    side.reliable.error = None
    await side.link.send(packet(), reliable=True)
    assert sequences(side.reliable) == [1]


@pytest.mark.parametrize("opened", [False, True])
async def test_leaving_fails_whoever_waits(opened):
    side = Side(opened=opened)
    side.reliable.buffered_amount_bytes = data.RELIABLE_BUFFER_BYTES + 1
    sends = [asyncio.create_task(side.link.send(packet(), reliable=True)) for _ in range(2)]
    await asyncio.sleep(0.01)
    side.link.close()
    for result in await asyncio.gather(*sends, return_exceptions=True):
        assert isinstance(result, PublishDataError)


async def test_reliable_packets_are_received_once():
    side = Side()
    from_server = FakeChannel("_reliable")
    side.link.adopt(from_server)  # type: ignore[arg-type]
    for sequence in (1, 2, 2, 1, 3):
        from_server.on_message(packet(bytes([sequence]), sequence=sequence, participant_sid="PA_1"))
    side.reliable.on_message(packet(b"again", sequence=3, participant_sid="PA_1"))
    from_server.on_message(packet(b"other", sequence=1, participant_sid="PA_2"))
    for _ in range(2):
        from_server.on_message(packet(b"api"))
    payloads = [models.DataPacket.FromString(raw).user.payload for _, raw in side.received]
    assert payloads == [b"\1", b"\2", b"\3", b"other", b"api", b"api"]
    assert all(reliable for reliable, _ in side.received)


async def test_lossy_packets_pass_as_they_are_and_rubbish_does_not_harm():
    side = Side()
    lossy = FakeChannel("_lossy")
    side.link.adopt(lossy)  # type: ignore[arg-type]
    for _ in range(2):
        lossy.on_message(packet(sequence=5, participant_sid="PA_1"))
    side.reliable.on_message(b"\xff\xff\xff")
    assert [reliable for reliable, _ in side.received] == [False, False]


async def test_foreign_channels_are_closed():
    side = Side()
    foreign, data_track = FakeChannel("chat"), FakeChannel("_data_track")
    side.link.adopt(foreign)  # type: ignore[arg-type]
    side.link.adopt(data_track)  # type: ignore[arg-type]
    assert (foreign.closed, data_track.closed) == (True, False)


async def test_the_memory_of_senders_is_bounded(monkeypatch):
    monkeypatch.setattr(data, "_SENDERS_REMEMBERED", 10)
    side = Side()
    for n in range(50):
        side.reliable.on_message(packet(sequence=1, participant_sid=f"PA_{n}"))
    assert len(side.link._last_seen) == 10
    assert len(side.received) == 50
