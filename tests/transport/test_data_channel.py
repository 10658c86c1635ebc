from __future__ import annotations

import asyncio
import os
import random

import pytest

from lknb.errors import LimitExceeded
from lknb.transport.data_channel import MAX_REMOTE_CHANNELS
from lknb.transport.error import TransportError
from tests.kit.poll import wait_until
from tests.transport.pair import connected_pair, open_pair


@pytest.mark.parametrize("client_setup", ["active", "passive"])
async def test_channels_made_before_the_start_open_on_both_sides(client_setup: str) -> None:
    async with open_pair() as pair:
        events: list[str] = []
        reliable = pair.client.peer.create_data_channel("_reliable")
        lossy = pair.client.peer.create_data_channel("_lossy", ordered=False, max_retransmits=0)
        ours = pair.server.peer.create_data_channel("from the server")
        for channel in (reliable, lossy, ours):
            channel.on_open = lambda label=channel.label: events.append(label)
            with pytest.raises(TransportError, match="not open"):
                channel.send(b"too early")
        await pair.connect(sctp=True, client_setup=client_setup)  # type: ignore[arg-type]
        await wait_until(lambda: len(pair.server.channels) == 2 and len(pair.client.channels) == 1)
        await wait_until(lambda: sorted(events) == ["_lossy", "_reliable", "from the server"])
        by_label = {channel.label: channel for channel in pair.server.channels}
        assert (by_label["_reliable"].ordered, by_label["_reliable"].max_retransmits) == (True, None)
        assert (by_label["_lossy"].ordered, by_label["_lossy"].max_retransmits) == (False, 0)
        # RFC 8832 section 6: even ids for the DTLS client
        ids = [channel._channel.id for channel in (reliable, lossy)]
        assert ids == ([0, 2] if client_setup == "active" else [1, 3])
        # both ways over each
        pair.client.listen(reliable)
        pair.client.listen(lossy)
        for channel in (reliable, lossy, *pair.server.channels):
            assert channel.is_open
            channel.send(b"\x00hello")
        await wait_until(lambda: len(pair.server.messages) == 2 and len(pair.client.messages) == 2)
        assert sorted(pair.server.messages) == [("_lossy", b"\x00hello"), ("_reliable", b"\x00hello")]


async def test_sctp_may_start_later_than_dtls() -> None:
    async with connected_pair() as pair:
        channel = pair.client.peer.create_data_channel("later")
        await asyncio.gather(pair.client.peer.start_sctp(5000, 262_144), pair.server.peer.start_sctp(5000, 262_144))
        await wait_until(lambda: channel.is_open and pair.server.channels)
        channel.send(b"x")
        await wait_until(lambda: pair.server.messages == [("later", b"x")])


async def test_sctp_asked_for_while_connecting_starts_with_the_rest() -> None:
    async with open_pair() as pair:
        channel = pair.client.peer.create_data_channel("c")
        await pair.gather()
        starting = [asyncio.ensure_future(coroutine) for coroutine in pair.starting()]
        await pair.client.peer.start_sctp(5000, 65_536)
        await pair.server.peer.start_sctp(5000, 65_536)
        await asyncio.gather(*starting)
        await wait_until(lambda: channel.is_open)


async def test_messages_of_all_sizes_arrive_whole_and_in_order() -> None:
    async with open_pair() as pair:
        channel = pair.client.peer.create_data_channel("_reliable")
        await pair.connect(sctp=True)
        await wait_until(lambda: channel.is_open)
        rng = random.Random(1)
        sizes = [0, 1, 1199, 1200, 1201, 15_000, 60_000, 64_000, 262_144]
        sent = [rng.randbytes(size) for size in sizes * 2] + [os.urandom(8) for _ in range(200)]
        for message in sent:
            channel.send(message)
        assert channel.buffered_amount_bytes > 0
        await wait_until(lambda: len(pair.server.messages) == len(sent), 20.0)
        assert [message for _, message in pair.server.messages] == sent
        assert channel.buffered_amount_bytes == 0


async def test_text_messages_of_a_peer_arrive_as_utf8() -> None:
    async with open_pair() as pair:
        channel = pair.client.peer.create_data_channel("_reliable")
        await pair.connect(sctp=True)
        await wait_until(lambda: channel.is_open)
        for text in ("grüß", ""):
            channel._channel.send(text)
        await wait_until(lambda: len(pair.server.messages) == 2)
        assert [message for _, message in pair.server.messages] == ["grüß".encode(), b""]


async def test_a_message_above_the_limit_is_refused_and_the_channel_lives() -> None:
    async with open_pair() as pair:
        channel = pair.client.peer.create_data_channel("_reliable")
        await pair.gather()
        server, client = pair.locals()
        await asyncio.gather(
            pair.server.peer.start(client, setup="passive", sctp_port=5000, max_message_size=65_536),
            pair.client.peer.start(server, setup="active", sctp_port=5000, max_message_size=65_536),
        )
        await wait_until(lambda: channel.is_open)
        for size in (65_537, 300_000):
            with pytest.raises(LimitExceeded):
                channel.send(bytes(size))
        channel.send(bytes(65_536))
        await wait_until(lambda: [len(m) for _, m in pair.server.messages] == [65_536])


async def test_buffered_low_is_told() -> None:
    async with open_pair() as pair:
        channel = pair.client.peer.create_data_channel("_reliable")
        await pair.connect(sctp=True)
        await wait_until(lambda: channel.is_open)
        low: list[int] = []
        channel.buffered_low_threshold_bytes = 60_000
        channel.on_buffered_low = lambda: low.append(channel.buffered_amount_bytes)
        for _ in range(5):
            channel.send(bytes(50_000))
        await wait_until(lambda: low)
        assert low[0] <= channel.buffered_low_threshold_bytes == 60_000


async def test_close_of_one_channel_closes_it_on_both_sides() -> None:
    async with open_pair() as pair:
        channel = pair.client.peer.create_data_channel("one")
        other = pair.client.peer.create_data_channel("two")
        await pair.connect(sctp=True)
        await wait_until(lambda: channel.is_open and len(pair.server.channels) == 2)
        closed: list[str] = []
        channel.on_close = lambda: closed.append("ours")
        remote = next(c for c in pair.server.channels if c.label == "one")
        remote.on_close = lambda: closed.append("theirs")
        channel.close()
        channel.close()
        await wait_until(lambda: sorted(closed) == ["ours", "theirs"])
        with pytest.raises(TransportError, match="not open"):
            channel.send(b"x")
        other.send(b"alive")
        await wait_until(lambda: pair.server.messages == [("two", b"alive")])


async def test_close_of_the_transport_closes_the_channels_on_both_sides() -> None:
    async with open_pair() as pair:
        opened = pair.client.peer.create_data_channel("open")
        await pair.connect(sctp=True)
        await wait_until(lambda: opened.is_open and pair.server.channels)
        closed: list[str] = []
        opened.on_close = lambda: closed.append("ours")
        pair.server.channels[0].on_close = lambda: closed.append("theirs")
        await pair.client.peer.close()
        await wait_until(lambda: sorted(closed) == ["ours", "theirs"])
        with pytest.raises(TransportError):
            pair.client.peer.create_data_channel("after")


async def test_a_failing_handler_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with open_pair() as pair:
        channel = pair.client.peer.create_data_channel("_reliable")
        await pair.connect(sctp=True)
        await wait_until(lambda: channel.is_open and pair.server.channels)
        remote = pair.server.channels[0]

        def fail(message: bytes) -> None:
            raise RuntimeError("a fault of the caller")

        remote.on_message = fail
        channel.send(b"1")
        await wait_until(lambda: "a fault of the caller" in caplog.text)
        pair.server.listen(remote)
        channel.send(b"2")
        await wait_until(lambda: pair.server.messages == [("_reliable", b"2")])


async def test_a_peer_opens_only_so_many_channels() -> None:
    async with open_pair() as pair:
        channels = [pair.client.peer.create_data_channel(str(i)) for i in range(MAX_REMOTE_CHANNELS + 3)]
        await pair.connect(sctp=True)
        await wait_until(lambda: sum(channel.is_closed for channel in channels) == 3)
        assert len(pair.server.channels) == MAX_REMOTE_CHANNELS
        await pair.exchange()


async def test_messages_survive_loss_on_the_way() -> None:
    async with open_pair() as pair:
        channel = pair.client.peer.create_data_channel("_reliable")
        await pair.connect(sctp=True)
        await wait_until(lambda: channel.is_open)
        rng = random.Random(3)
        handler = pair.mux._socket._on_datagram
        pair.mux._socket._on_datagram = lambda *args: None if rng.random() < 0.05 else handler(*args)
        sent = [rng.randbytes(3_000) for _ in range(60)]
        for message in sent:
            channel.send(message)
        await wait_until(lambda: len(pair.server.messages) == len(sent), 30.0)
        assert [message for _, message in pair.server.messages] == sent


async def test_what_sctp_trips_over_is_dropped_and_the_transport_lives() -> None:
    async with open_pair() as pair:
        channel = pair.client.peer.create_data_channel("_reliable")
        await pair.connect(sctp=True)
        await wait_until(lambda: channel.is_open)
        association = pair.client.peer._sctp
        assert association is not None
        # DATA_CHANNEL_OPEN for a stream that is open (an assert in aiortc), and one with a label that is not UTF-8
        for stream, label in ((channel._channel.id, b"again"), (500, b"\xff\xfe")):
            message = bytes([3, 0, 0, 0, 0, 0, 0, 0]) + len(label).to_bytes(2, "big") + b"\0\0" + label
            await association._send(stream, 50, message)  # type: ignore[arg-type]
        await wait_until(lambda: pair.server.peer.counters.data_errors >= 2)
        channel.send(b"alive")
        await wait_until(lambda: pair.server.messages == [("_reliable", b"alive")])
        await pair.exchange()


async def test_a_peer_that_ignores_the_window_loses_its_association() -> None:
    async with open_pair() as pair:
        channel = pair.client.peer.create_data_channel("_reliable")
        await pair.connect(sctp=True)
        await wait_until(lambda: channel.is_open)
        association = pair.client.peer._sctp
        theirs = pair.server.peer._sctp
        assert association is not None
        assert theirs is not None
        # as if so much of messages that never ended were stored already
        theirs._advertised_rwnd = -1_000_000
        sending = asyncio.ensure_future(association._send(channel._channel.id, 53, bytes(200_000)))  # type: ignore[arg-type]
        await wait_until(lambda: theirs.state == "closed" and channel.is_closed)
        await sending
        await pair.exchange()
