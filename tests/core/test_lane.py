import asyncio
import json
import struct
import zlib
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from lknb.core import lane_end, lane_flow, lane_message, lane_session
from lknb.core.lane import PROTOCOL, TICKET_PREFIX, LaneServer
from lknb.core.lane_flow import LaneFlow
from lknb.core.lane_message import Picture, Visible, parse_upward
from lknb.core.lane_ticket import TICKET_LIFETIME_S, TICKETS, Grant, TicketBook
from lknb.core.message import decode_message, encode_message
from lknb.errors import CoreError, TrackError, WireError
from lknb.wire.frame import EncodedFrame
from tests.kit.poll import wait_until

ORIGIN = "http://127.0.0.1:8888"
GRANT = Grant(1, "video", "TR_cam", "view-1", ORIGIN)


class Track:
    """An `EncodedTrack` that the test plays."""

    kind = "video"
    codec = "vp8"

    def __init__(self, sid="TR_cam"):
        self.sid = sid
        self.muted = False
        self.sinks = []
        self.keyframe_requests = 0

    def attach(self, sink, *, keyframe=True):
        self.sinks.append(sink)

    def detach(self, sink):
        self.sinks.remove(sink)

    def request_keyframe(self):
        self.keyframe_requests += 1

    def send(self, *, keyframe=False, data=b"frame", width=640, height=480, at=0, codec="vp8"):
        for sink in list(self.sinks):
            sink(EncodedFrame(codec, data, at, keyframe, timestamp_us=at, width=width, height=height))


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


class Bench:
    """A lane server, its one track, and pages that connect to it."""

    def __init__(self):
        self.clock = Clock()
        self.track = Track()
        self.tracks = {(1, "TR_cam"): self.track}
        self.events = []
        self.server = LaneServer(
            lambda room, sid: self.tracks.get((room, sid)),
            on_event=lambda header, buffers: self.events.append((header, buffers)),
            clock=self.clock,
        )
        self.http = aiohttp.ClientSession()

    async def close(self):
        await self.http.close()
        await self.server.close()

    async def issue(self, view="view-1", origin=ORIGIN):
        return await self.server.issue(1, "video", "TR_cam", view, origin)

    async def dial(self, port, ticket, origin=ORIGIN, headers=(), protocols=(PROTOCOL,)):
        return await self.http.ws_connect(
            f"ws://127.0.0.1:{port}/",
            protocols=(*protocols, TICKET_PREFIX + ticket),
            origin=origin,
            headers=dict(headers),
            autoping=True,
        )

    async def refused(self, port, ticket, **arguments):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            await self.dial(port, ticket, **arguments)
        return refusal.value.status

    @asynccontextmanager
    async def page(self, view="view-1"):
        sinks = len(self.track.sinks)
        socket = await self.dial(*await self.issue(view))
        await wait_until(lambda: len(self.track.sinks) == sinks + 1)
        page = Page(socket)
        assert await page.hear() == ({"type": "open"},)
        try:
            yield page
        finally:
            await socket.close()
            await wait_until(lambda: len(self.server.views(1, "TR_cam")) <= sinks)

    def states(self, view="view-1"):
        return [h["state"] for h, _ in self.events if h.get("type") == "state" and h["view"] == view]


class Page:
    def __init__(self, socket):
        self.socket = socket

    async def say(self, header, *buffers):
        await self.socket.send_bytes(encode_message(header, buffers))

    async def hear(self):
        message = await self.socket.receive(timeout=5)
        assert message.type is aiohttp.WSMsgType.BINARY, message
        header, buffers = decode_message(message.data)
        return (header, *buffers)

    async def chunk(self):
        while True:
            message = await self.hear()
            if message[0]["type"] == "chunk":
                return message

    async def closed(self):
        """The code the core closes with, whatever it sends before."""
        while (await self.socket.receive(timeout=5)).type is aiohttp.WSMsgType.BINARY:
            pass
        return self.socket.close_code


@pytest_asyncio.fixture
async def bench():
    bench = Bench()
    yield bench
    await bench.close()


def png(width=4, height=3, filler=0):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"tEXt", bytes(filler)) + chunk(b"IEND", b"")


# -- tickets


def test_a_ticket_opens_one_lane_once():
    book = TicketBook()
    ticket = book.issue(GRANT, 0.0)
    assert len(ticket) == 32
    int(ticket, 16)
    assert book.redeem(ticket, ORIGIN, 1.0) == GRANT
    assert book.redeem(ticket, ORIGIN, 1.0) is None


def test_a_ticket_expires():
    book = TicketBook()
    early, late = book.issue(GRANT, 0.0), book.issue(GRANT, 0.0)
    assert book.redeem(early, ORIGIN, TICKET_LIFETIME_S - 0.001) == GRANT
    assert book.redeem(late, ORIGIN, TICKET_LIFETIME_S) is None
    assert len(book) == 0


def test_a_ticket_shown_by_another_origin_is_used_up():
    book = TicketBook()
    ticket = book.issue(GRANT, 0.0)
    assert book.redeem(ticket, "http://127.0.0.1:8889", 1.0) is None
    assert book.redeem(ticket, ORIGIN, 1.0) is None


@pytest.mark.parametrize("ticket", ["", "x", "0" * 32, "\udcff", "é" * 16])
def test_no_made_up_ticket_opens_anything(ticket):
    book = TicketBook()
    book.issue(GRANT, 0.0)
    assert book.redeem(ticket, ORIGIN, 1.0) is None
    assert len(book) == 1


def test_tickets_are_bounded_and_the_oldest_goes():
    book = TicketBook()
    tickets = [book.issue(GRANT, 0.0) for _ in range(TICKETS + 1)]
    assert len(set(tickets)) == len(tickets)
    assert len(book) == TICKETS
    assert book.redeem(tickets[0], ORIGIN, 0.0) is None
    assert book.redeem(tickets[1], ORIGIN, 0.0) == GRANT


@pytest.mark.parametrize(
    "values",
    [
        (1.5, "video", "TR", "v", ORIGIN),
        (True, "video", "TR", "v", ORIGIN),
        (1, "video", "", "v", ORIGIN),
        (1, "video", "TR x", "v", ORIGIN),
        (1, "video", "TR", "v" * 129, ORIGIN),
        (1, "video", "TR", None, ORIGIN),
        (1, "video", "TR", "v", "null"),
        (1, "video", "TR", "v", ""),
        (1, "video", "TR", "v", "http://a/path"),
        (1, "video", "TR", "v", "http://" + "a" * 256),
        (1, "audio", "TR", "v", ORIGIN),
        (1, "audio", "", "", ORIGIN),
        (1, "smell", "", "v", ORIGIN),
        (1, ["video"], "TR", "v", ORIGIN),
    ],
)
def test_a_grant_names_proper_things(values):
    with pytest.raises(WireError):
        Grant(*values)


# -- flow


def sent(flow, frames, now=0.0):
    return [flow.offer(keyframe=key, waiting_bytes=0, now=now) for key in frames]


def test_a_lane_begins_with_a_key_frame():
    assert sent(LaneFlow(0.0), [False, False, True, False]) == [None, None, 0, 1]


def test_a_full_window_drops_up_to_the_next_key_frame_and_asks_once():
    flow = LaneFlow(0.0)
    window = lane_flow.WINDOW_FRAMES
    assert sent(flow, [True] + [False] * (window - 1)) == list(range(window))
    assert sent(flow, [False, True, False], 1.0) == [None] * 3
    assert not flow.keyframe_due(1.0), "asked while the page could not take it"
    flow.acknowledge(window - 1, 1.0)
    assert flow.keyframe_due(1.0)
    assert not flow.keyframe_due(1.4)
    assert flow.keyframe_due(1.5), "not asked again when none came"
    assert sent(flow, [False, True, False], 1.6) == [None, window, window + 1]
    assert not flow.keyframe_due(9.0)


def test_the_window_counts_frames_sent_so_drops_cannot_lock_it():
    flow = LaneFlow(0.0)
    sent(flow, [True] + [False] * 500)
    assert flow.in_flight == lane_flow.WINDOW_FRAMES
    flow.acknowledge(lane_flow.WINDOW_FRAMES - 1, 0.1)
    assert sent(flow, [True], 0.1) == [lane_flow.WINDOW_FRAMES]


def test_a_key_frame_is_not_sent_into_the_last_place_of_the_window():
    flow = LaneFlow(0.0)
    sent(flow, [True] + [False] * lane_flow.WINDOW_FRAMES)
    flow.acknowledge(0, 0.1)
    assert sent(flow, [True], 0.1) == [None]
    flow.acknowledge(lane_flow.WINDOW_FRAMES - lane_flow.WINDOW_FRAMES // 2, 0.2)
    assert sent(flow, [True], 0.2) == [lane_flow.WINDOW_FRAMES]


def test_a_full_socket_counts_as_behind():
    flow = LaneFlow(0.0)
    sent(flow, [True])
    assert flow.offer(keyframe=False, waiting_bytes=lane_flow.WINDOW_BYTES, now=0.0) == 1
    assert flow.offer(keyframe=False, waiting_bytes=lane_flow.WINDOW_BYTES + 1, now=0.0) is None
    assert flow.offer(keyframe=True, waiting_bytes=lane_flow.WINDOW_BYTES // 2 + 1, now=0.0) is None
    assert flow.offer(keyframe=True, waiting_bytes=lane_flow.WINDOW_BYTES // 2, now=0.0) == 2


def test_video_stops_after_two_seconds_without_an_ack_until_acks_return():
    flow = LaneFlow(0.0)
    assert sent(flow, [True, False], 10.0) == [0, 1]
    assert sent(flow, [False], 11.99) == [2]
    assert sent(flow, [False, True], 12.0) == [None, None]
    assert not flow.keyframe_due(15.0)
    flow.acknowledge(1, 15.0)
    assert flow.keyframe_due(15.0)
    assert sent(flow, [False, True], 15.0) == [None, 3]


def test_a_silent_page_gets_a_key_frame_now_and_then_for_what_was_lost():
    """Over a comm messages can be lost, with the last of a window all that would ever be acknowledged."""
    flow = LaneFlow(0.0)
    window = lane_flow.WINDOW_FRAMES
    sent(flow, [True] + [False] * window)
    assert sent(flow, [False, True], lane_flow.PROBE_S - 0.1) == [None, None]
    assert flow.keyframe_due(lane_flow.PROBE_S)
    assert sent(flow, [False, True, False, True], lane_flow.PROBE_S) == [None, window, None, None]
    assert flow.offer(keyframe=True, waiting_bytes=lane_flow.WINDOW_BYTES, now=2 * lane_flow.PROBE_S) is None
    assert sent(flow, [True, True], 2 * lane_flow.PROBE_S) == [window + 1, None]
    flow.acknowledge(window + 1, 10.1)
    assert sent(flow, [False, True, False], 10.2) == [None, window + 2, window + 3]


def test_a_slow_track_is_not_a_silent_page():
    flow = LaneFlow(0.0)
    for second in range(0, 60, 5):
        assert sent(flow, [True], float(second)) == [second // 5]
        flow.acknowledge(second // 5, second + 0.05)


def test_a_view_nobody_sees_is_paused_after_a_while_and_resumes_with_a_key_frame():
    flow = LaneFlow(0.0)
    sent(flow, [True])
    flow.acknowledge(0, 0.0)
    flow.show(visible=False, now=1.0)
    flow.show(visible=False, now=2.5)
    assert sent(flow, [False], 2.9) == [1]
    assert sent(flow, [False, True], 3.0) == [None, None]
    assert not flow.keyframe_due(3.0)
    flow.show(visible=True, now=4.0)
    assert flow.keyframe_due(4.0)
    assert sent(flow, [False, True], 4.1) == [None, 2]


def test_scrolling_past_a_view_does_not_stop_it():
    flow = LaneFlow(0.0)
    sent(flow, [True])
    flow.show(visible=False, now=1.0)
    flow.show(visible=True, now=1.5)
    assert sent(flow, [False], 1.9) == [1]


@pytest.mark.parametrize("sequence", [-1, 2, 3, 2**53])
def test_an_ack_of_what_was_never_sent_is_refused(sequence):
    flow = LaneFlow(0.0)
    sent(flow, [True, False])
    flow.acknowledge(0, 0.0)
    with pytest.raises(WireError):
        flow.acknowledge(sequence, 0.0)


def test_acks_never_go_backwards():
    flow = LaneFlow(0.0)
    sent(flow, [True, False, False])
    flow.acknowledge(2, 0.0)
    flow.acknowledge(2, 0.0)
    with pytest.raises(WireError):
        flow.acknowledge(1, 0.0)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 0.2), st.booleans()), max_size=120))
def test_whatever_the_page_does_it_decodes_what_it_gets(steps):
    """Every run of sequence numbers begins with a key frame, has no gap, and the window holds."""
    flow, now, next_sequence, broken = LaneFlow(0.0), 0.0, 0, True
    for keyframe, pause, ack in steps:
        now += pause
        sequence = flow.offer(keyframe=keyframe, waiting_bytes=0, now=now)
        if sequence is None:
            broken = True
            continue
        assert sequence == next_sequence
        assert keyframe or not broken
        broken = False
        next_sequence += 1
        assert flow.in_flight <= lane_flow.WINDOW_FRAMES + now // lane_flow.PROBE_S
        if ack:
            flow.acknowledge(sequence, now)


# -- what a page says


def upward(header, *buffers):
    return read(encode_message(header, buffers))


def read(data):
    return parse_upward(*decode_message(data))


def test_upward_messages_are_read():
    assert upward({"type": "ack", "sequence": 7}) == lane_message.Ack(7)
    assert upward({"type": "keyframe"}) == lane_message.KeyframeRequest()
    assert upward({"type": "hello", "codecs": ["vp8", "h264"]}) == lane_message.Hello(("vp8", "h264"))
    visible = {"type": "visible", "width": 320.5, "height": 180, "dpr": 2, "visible": True}
    assert upward(visible) == Visible(320.5, 180.0, 2.0, True)
    assert upward({"type": "picture", "width": 4, "height": 3, "unseen": False}, png()) == Picture(4, 3, png(), False)


VISIBLE = {"type": "visible", "width": 1, "height": 1, "dpr": 1, "visible": True}
JUNK = [
    b"",
    b"junk",
    bytes(64),
    encode_message({}),
    encode_message({"type": None}),
    encode_message({"type": ["ack"]}),
    encode_message({"type": "config"}),
    encode_message({"type": "ack"}),
    encode_message({"type": "ack", "sequence": 1.0}),
    encode_message({"type": "ack", "sequence": True}),
    encode_message({"type": "ack", "sequence": -1}),
    encode_message({"type": "ack", "sequence": 2**60}),
    encode_message({"type": "ack", "sequence": 0}, [b"x"]),
    encode_message({"type": "hello", "lane": "direct", "codecs": "vp8"}),
    encode_message({"type": "hello", "lane": "direct", "codecs": ["x"] * 33}),
    encode_message({"type": "hello", "lane": "direct", "codecs": ["x" * 65]}),
    encode_message({"type": "hello", "lane": "direct", "codecs": [1]}),
    encode_message({**VISIBLE, "visible": 1}),
    encode_message({**VISIBLE, "width": -1}),
    encode_message({**VISIBLE, "height": 1e9}),
    encode_message({**VISIBLE, "dpr": 0}),
    encode_message({**VISIBLE, "dpr": "2"}),
    encode_message({"type": "visible", "width": 1}),
    encode_message({"type": "picture", "width": 4, "height": 3, "unseen": False}),
    encode_message({"type": "picture", "width": 4, "height": 3, "unseen": False}, [b"GIF89a" + bytes(60)]),
    encode_message({"type": "picture", "width": 4, "height": 3}, [png()]),
    encode_message({"type": "picture", "width": 5, "height": 3, "unseen": False}, [png()]),
    encode_message({"type": "picture", "width": 4, "height": 3, "unseen": False}, [png(), png()]),
    encode_message({"type": "picture", "width": 2000, "height": 3, "unseen": False}, [png(2000, 3)]),
    encode_message(
        {"type": "picture", "width": 4, "height": 3, "unseen": False}, [png(filler=lane_message.PICTURE_BYTES)]
    ),
    encode_message({"type": "picture", "width": float(4), "height": 3, "unseen": False}, [png()]),
]


def not_a_number(field):
    text = json.dumps({**VISIBLE, field: float("nan")}).encode()
    return struct.pack(">III", 8 + len(text), len(text), 0) + text


JUNK += [not_a_number(field) for field in ("width", "height", "dpr")]


@pytest.mark.parametrize("data", JUNK, ids=range(len(JUNK)))
def test_junk_is_refused(data):
    with pytest.raises(WireError):
        read(data)


def test_the_largest_picture_passes():
    filler = lane_message.PICTURE_BYTES - len(png())
    assert (
        len(upward({"type": "picture", "width": 4, "height": 3, "unseen": False}, png(filler=filler)).png)
        == lane_message.PICTURE_BYTES
    )
    with pytest.raises(WireError):
        upward({"type": "picture", "width": 4, "height": 3, "unseen": False}, png(filler=filler + 1))


@given(st.binary(max_size=300))
def test_any_bytes_give_a_message_or_a_wire_error(data):
    try:
        read(data)
    except WireError:
        return


# -- the server


async def test_a_page_gets_the_track_from_its_next_key_frame_on(bench):
    async with bench.page() as page:
        bench.track.send()
        bench.track.send(keyframe=True, data=b"key", at=40)
        bench.track.send(data=b"delta", at=80)
        assert await page.hear() == ({"type": "config", "codec": "vp8", "width": 640, "height": 480},)
        key = {"type": "chunk", "sequence": 0, "timestamp_us": 40, "keyframe": True}
        assert await page.hear() == (key, b"key")
        assert await page.hear() == ({**key, "sequence": 1, "timestamp_us": 80, "keyframe": False}, b"delta")
        bench.track.send(keyframe=True)
        bench.track.send(keyframe=True, width=1280, height=720)
        assert (await page.hear())[0]["sequence"] == 2
        assert await page.hear() == ({"type": "config", "codec": "vp8", "width": 1280, "height": 720},)


async def test_a_ticket_is_refused_when_used_expired_foreign_or_missing(bench):
    port, ticket = await bench.issue()
    assert await bench.refused(port, "0" * 32) == 403
    assert await bench.refused(port, "") == 403
    socket = await bench.dial(port, ticket)
    assert socket.protocol == PROTOCOL
    assert await bench.refused(port, ticket) == 403, "used twice"
    await socket.close()

    _, ticket = await bench.issue()
    bench.clock.now += TICKET_LIFETIME_S
    assert await bench.refused(port, ticket) == 403, "expired"

    _, ticket = await bench.issue()
    assert await bench.refused(port, ticket, origin="http://evil.example") == 403
    assert await bench.refused(port, ticket) == 403, "a ticket that leaked is worth nothing"

    _, ticket = await bench.issue()
    assert await bench.refused(port, ticket, origin=None) == 403, "no origin at all"

    _, ticket = await bench.issue()
    assert await bench.refused(port, ticket, protocols=()) == 403
    assert not bench.track.sinks


async def test_a_forged_host_decides_nothing(bench):
    port, ticket = await bench.issue()
    assert await bench.refused(port, "0" * 32, headers={"Host": f"127.0.0.1:{port}"}) == 403
    assert await bench.refused(port, "0" * 32, headers={"Host": "localhost:8888"}) == 403
    socket = await bench.dial(port, ticket, headers={"Host": "hub.example"})
    await socket.close()


async def test_plain_requests_get_nothing_and_burn_the_ticket(bench):
    port, ticket = await bench.issue()
    headers = {"Sec-WebSocket-Protocol": f"{PROTOCOL}, {TICKET_PREFIX}{ticket}", "Origin": ORIGIN}
    for method, path in (("GET", "/"), ("POST", "/"), ("GET", "/lane/x")):
        async with bench.http.request(method, f"http://127.0.0.1:{port}{path}", headers=headers) as response:
            assert response.status == 403
            assert "Access-Control-Allow-Origin" not in response.headers
    assert await bench.refused(port, ticket) == 403


async def test_it_listens_on_loopback_only_and_only_once_asked(bench):
    assert bench.server._runner is None
    port, _ = await bench.issue()
    assert bench.server._runner.addresses == [("127.0.0.1", port)]
    assert (await asyncio.gather(bench.issue(), bench.issue()))[0][0] == port


async def test_there_is_no_ticket_for_what_is_not_there(bench):
    with pytest.raises(TrackError):
        await bench.server.issue(2, "video", "TR_cam", "v", ORIGIN)
    bench.track.kind = "audio"
    with pytest.raises(TrackError):
        await bench.issue()
    with pytest.raises(WireError):
        await bench.issue(origin="null")


async def test_a_track_that_goes_while_its_ticket_is_on_the_way_is_no_fault_of_the_way(bench):
    port, ticket = await bench.issue()
    track = bench.tracks.pop((1, "TR_cam"))
    socket = await bench.dial(port, ticket)
    assert await Page(socket).hear() == ({"type": "open"},)
    assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
    assert socket.close_code == 1000
    assert bench.events == []
    bench.tracks[1, "TR_cam"] = track
    async with bench.page():
        assert bench.states() == ["waiting"]


async def test_a_page_that_does_not_ack_gets_no_more_video_and_others_do(bench):
    async with bench.page("slow") as slow, bench.page("good") as good:
        bench.track.send(keyframe=True)
        for _ in range(lane_flow.WINDOW_FRAMES + 5):
            bench.track.send()
            header, _ = await good.chunk()
            await good.say({"type": "ack", "sequence": header["sequence"]})
            await wait_until(lambda: bench.states("good")[-1] == "playing")
        got = [(await slow.chunk())[0]["sequence"] for _ in range(lane_flow.WINDOW_FRAMES)]
        assert got == list(range(lane_flow.WINDOW_FRAMES))
        assert bench.track.keyframe_requests == 0, "asked for a key frame nobody could have taken"

        bench.clock.now += 10
        await slow.say({"type": "ack", "sequence": got[-1]})
        await wait_until(lambda: bench.track.keyframe_requests == 1)
        bench.track.send()
        bench.track.send(keyframe=True, data=b"again")
        assert await slow.chunk() == (
            {"type": "chunk", "sequence": len(got), "timestamp_us": 0, "keyframe": True},
            b"again",
        )


async def test_a_page_may_ask_for_a_key_frame_but_not_too_often(bench):
    async with bench.page() as page:
        bench.track.send(keyframe=True)
        await page.chunk()
        bench.clock.now += 1
        for _ in range(5):
            await page.say({"type": "keyframe"})
        await page.say({"type": "hello", "lane": "proxy", "codecs": ["vp8"]})
        await page.say({"type": "visible", "width": 10, "height": 20, "dpr": 1, "visible": True})
        await wait_until(lambda: bench.server.views(1, "TR_cam") == [Visible(10.0, 20.0, 1.0, True)])
        assert bench.track.keyframe_requests == 1
        bench.track.send()
        bench.track.send(keyframe=True, data=b"fresh")
        assert (await page.chunk())[1] == b"fresh"


async def test_mute_is_told_and_nothing_is_sent_until_a_key_frame_after_it(bench):
    async with bench.page() as page:
        bench.track.send(keyframe=True)
        await page.chunk()
        bench.track.muted = True
        assert await page.hear() == ({"type": "muted", "muted": True},)
        bench.track.send(keyframe=True)
        bench.clock.now += 1
        bench.track.muted = False
        bench.server.refresh()
        assert await page.hear() == ({"type": "muted", "muted": False},)
        assert bench.track.keyframe_requests == 1
        bench.track.send()
        bench.track.send(keyframe=True, data=b"new")
        header, data = await page.chunk()
        assert (header["sequence"], data) == (1, b"new")
        await page.say({"type": "ack", "sequence": 1})
        await wait_until(lambda: bench.states() == ["waiting", "muted", "waiting", "playing"])


async def test_a_page_that_comes_while_the_track_is_muted_is_told(bench):
    bench.track.muted = True
    async with bench.page() as page:
        assert await page.hear() == ({"type": "muted", "muted": True},)


async def test_the_end_of_a_track_is_told_and_the_last_picture_still_taken(bench):
    async with bench.page() as page:
        bench.tracks.clear()
        assert await page.hear() == ({"type": "ended"},)
        assert not bench.track.sinks
        await page.say({"type": "picture", "width": 4, "height": 3, "unseen": False}, png())
        await wait_until(lambda: bench.events[-1][0]["type"] == "picture")
    await wait_until(lambda: bench.states() == ["waiting", "ended", "connecting"])


async def test_a_page_that_stays_after_the_end_is_sent_away(bench, monkeypatch):
    monkeypatch.setattr(lane_session, "FAREWELL_S", 0.02)
    async with bench.page() as page:
        bench.tracks.clear()
        assert await page.closed() == 1000


async def test_a_track_that_is_replaced_is_followed(bench):
    async with bench.page() as page:
        bench.track.send(keyframe=True)
        await page.chunk()
        new = bench.tracks[1, "TR_cam"] = Track()
        await wait_until(lambda: new.sinks)
        assert not bench.track.sinks
        new.send()
        new.send(keyframe=True, data=b"new")
        assert (await page.chunk())[1] == b"new"
        bench.track = new


async def test_pictures_reach_the_kernel_with_the_view_they_are_of(bench):
    async with bench.page("view-9") as page:
        await page.say({"type": "picture", "width": 4, "height": 3, "unseen": False}, png())
        await wait_until(lambda: len(bench.events) == 2)
        header, buffers = bench.events[1]
        assert header == {
            "event": "view",
            "room": 1,
            "track_sid": "TR_cam",
            "view": "view-9",
            "type": "picture",
            "width": 4,
            "height": 3,
            "unseen": False,
        }
        assert buffers == [png()]


async def test_a_view_on_two_pages_is_playing_while_one_plays(bench):
    async with bench.page() as one:
        async with bench.page():
            bench.track.send(keyframe=True)
            await one.chunk()
            await one.say({"type": "ack", "sequence": 0})
            await wait_until(lambda: bench.states() == ["waiting", "playing"])
        await wait_until(lambda: len(bench.server.views(1, "TR_cam")) == 1)
        assert bench.states() == ["waiting", "playing"]
    await wait_until(lambda: bench.states()[-1] == "connecting")


@pytest.mark.parametrize("data", JUNK, ids=range(len(JUNK)))
async def test_junk_closes_its_own_lane_only(bench, data):
    async with bench.page("bad") as bad, bench.page("good") as good:
        await bad.socket.send_bytes(data)
        assert await bad.closed() in (1008, 1009)
        bench.track.send(keyframe=True)
        assert (await good.chunk())[0]["sequence"] == 0


@pytest.mark.parametrize(
    ("data", "code"),
    [(bytes(10 * 1024 * 1024), 1009), (bytes(lane_end.MESSAGE_BYTES + 1), 1009), ("text", 1003)],
    ids=["10 MiB", "one byte too much", "text"],
)
async def test_too_large_or_text_closes_the_lane(bench, data, code):
    async with bench.page() as page:
        # a lane that is closed before all of 10 MiB are through may end in a reset
        with suppress(ConnectionError):
            await (page.socket.send_str(data) if isinstance(data, str) else page.socket.send_bytes(data))
        assert await page.closed() in (code, 1006 if len(data) > 2**21 else code)
        await wait_until(lambda: not bench.track.sinks)


async def test_an_impossible_ack_closes_the_lane(bench):
    async with bench.page() as page:
        await page.say({"type": "ack", "sequence": 0})
        assert await page.closed() == 1008


async def test_a_flood_closes_the_lane(bench):
    async with bench.page() as page:
        for _ in range(lane_end.UPWARD_MESSAGES_AT_ONCE):
            await page.say({"type": "keyframe"})
        bench.track.send(keyframe=True)
        await page.chunk()
        await page.say({"type": "keyframe"})
        assert await page.closed() == 1008


async def test_what_a_page_has_said_meanwhile_is_no_flood(bench):
    """A camera and a microphone over the comm, in ten seconds of a cell that lets nothing through."""
    async with bench.page() as page:
        for _ in range(3):
            bench.clock.now += 10
            for _ in range(500):
                await page.say({"type": "keyframe"})
            bench.track.send(keyframe=True)
            await page.chunk()


async def test_close_sends_every_page_away_and_ends_the_tickets(bench):
    port, _ = await bench.issue()
    async with bench.page("a") as a, bench.page("b") as b:
        _, *codes = await asyncio.gather(bench.server.close(), a.closed(), b.closed())
        assert codes == [1001, 1001]
        assert not bench.track.sinks
        with pytest.raises(aiohttp.ClientConnectorError):
            await bench.dial(port, "0" * 32)
        with pytest.raises(CoreError):
            await bench.issue()


async def test_closing_a_server_that_never_listened_is_nothing():
    await LaneServer(lambda room, sid: None).close()
