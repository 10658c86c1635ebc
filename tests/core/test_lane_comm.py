"""Lanes over the comm: the core's side, with the kernel's end of the link played by the test."""

import asyncio

import pytest
import pytest_asyncio

from lknb.core import lane as lane_module
from lknb.core import lane_comm, lane_end
from lknb.core.lane import LaneServer
from lknb.core.lane_comm import CommPort, CommTurns
from lknb.core.lane_flow import COMM_WINDOW_FRAMES
from lknb.core.message import MAX_BUFFERS, decode_message, encode_message
from lknb.errors import CoreError, TrackError, WireError
from tests.core.test_lane import JUNK, Clock, Track
from tests.kit.poll import wait_until

HELLO = {"type": "hello", "lane": "comm", "codecs": ["vp8"]}


class Kernel:
    """A lane server, its one track, and what the kernel would have got."""

    def __init__(self):
        self.clock = Clock()
        self.track = Track()
        self.tracks = {(1, "TR_cam"): self.track}
        self.events = []
        self.held_bytes = 0
        self.viewed = []
        self.server = LaneServer(
            lambda room, sid: self.tracks.get((room, sid)),
            on_event=lambda header, buffers: self.events.append((header, buffers)),
            on_views=lambda room, sid: self.viewed.append((room, sid)),
            held_bytes=lambda: self.held_bytes,
            clock=self.clock,
        )

    def open(self, view="view-1", hello=True):
        lane = self.server.open_comm(1, "video", "TR_cam", view)
        if hello:
            self.say(lane, HELLO)
        return lane

    def say(self, lane, *headers):
        self.server.receive_comm(lane, [encode_message(header) for header in headers])

    def heard(self, lane):
        """Headers of the messages for the page, and the closing of its lane."""
        heard = []
        for header, buffers in self.events:
            if header["event"] == "lanes_down":
                said = zip(header["lanes"], buffers, strict=True)
                heard += [decode_message(buffer)[0] for to, buffer in said if to == lane]
            elif header["event"] == "lane_closed" and header["lane"] == lane:
                heard.append(header["code"])
        return heard

    async def settled(self, lane):
        """As `heard`, once all that is under way has come: two turns."""
        await asyncio.sleep(3 * lane_comm.TURN_S)
        return self.heard(lane)

    def told(self, kind):
        return [header[kind] for header, _ in self.events if header.get("type") == kind]


@pytest_asyncio.fixture
async def kernel():
    kernel = Kernel()
    yield kernel
    await kernel.server.close()


async def test_the_frames_of_a_track_go_to_the_page_once_it_has_said_hello(kernel):
    lane = kernel.open(hello=False)
    kernel.track.send(keyframe=True)
    assert await kernel.settled(lane) == [], "somebody on the way may not know the lane yet"
    assert [header["type"] for header, _ in kernel.events] == ["state", "size"]
    kernel.say(lane, HELLO)
    assert [header["type"] for header in await kernel.settled(lane)] == ["open", "config", "chunk"]
    assert kernel.told("lane") == ["comm"]
    kernel.say(lane, {"type": "ack", "sequence": 0})
    assert kernel.told("state")[-1] == "playing"
    (size,) = [header for header, _ in kernel.events if header.get("type") == "size"]
    assert (size["width"], size["height"], size["view"]) == (640, 480, "view-1")
    kernel.server.close_comm(lane)
    assert kernel.heard(lane)[-1] == 1000
    assert kernel.told("lane") == ["comm", ""]
    assert not kernel.track.sinks


async def test_a_page_that_does_not_ack_gets_no_more_than_the_window(kernel):
    lane = kernel.open()
    kernel.track.send(keyframe=True)
    for _ in range(100):
        kernel.clock.now += 0.033
        kernel.track.send()
    chunks = [header for header in await kernel.settled(lane) if header["type"] == "chunk"]
    assert len(chunks) == COMM_WINDOW_FRAMES
    kernel.clock.now += 1
    kernel.track.send(keyframe=True)
    assert len([header for header in await kernel.settled(lane) if header["type"] == "chunk"]) == len(chunks)
    kernel.say(lane, {"type": "ack", "sequence": len(chunks) - 1})
    kernel.track.send(keyframe=True)
    assert (await kernel.settled(lane))[-1]["sequence"] == len(chunks)


async def test_a_link_that_is_full_counts_as_behind(kernel):
    lane = kernel.open()
    kernel.track.send(keyframe=True)
    kernel.held_bytes = 2 * 1024 * 1024
    kernel.track.send()
    assert (await kernel.settled(lane))[-1]["sequence"] == 0


async def test_lanes_take_turns_together_within_one_budget(kernel):
    """With many lanes open, messages of a lane go together; none is lost or changes its place."""
    lanes = [kernel.open(f"view-{number}") for number in range(20)]
    kernel.events.clear()
    began = asyncio.get_running_loop().time()
    for index in range(10):
        kernel.track.send(keyframe=not index)
        await asyncio.sleep(0.005)
    await wait_until(lambda: all(len(kernel.heard(lane)) == 11 for lane in lanes))
    elapsed_s = asyncio.get_running_loop().time() - began
    turns = [set(header["lanes"]) for header, _ in kernel.events if header["event"] == "lanes_down"]
    # what the kernel makes of a turn is one message for each lane
    assert sum(map(len, turns)) <= 2 * len(lanes) + elapsed_s * lane_comm.MESSAGES_PER_S
    assert sum(map(len, turns)) < 10 * len(lanes), "one for each frame"
    for lane in lanes:
        assert [header["sequence"] for header in kernel.heard(lane)[1:]] == list(range(10))


async def test_a_lane_alone_does_not_wait_and_several_do_for_one_turn(kernel):
    one, two = kernel.open("one"), kernel.open("two")
    await kernel.settled(one)
    kernel.clock.now += 1
    kernel.track.send(keyframe=True)
    await asyncio.sleep(0)
    await asyncio.sleep(0.001)
    sent = [header["lanes"] for header, _ in kernel.events if header["event"] == "lanes_down"]
    assert set(sent[-1]) == {one, two}, "in one message of the link, and at once"
    count = len(sent)
    began = asyncio.get_running_loop().time()
    for _ in range(3):
        kernel.track.send()
    await wait_until(lambda: kernel.heard(one)[-1]["sequence"] == 3, interval_s=0.001)
    assert asyncio.get_running_loop().time() - began >= lane_comm.TURN_S * 0.9
    sent = [header["lanes"] for header, _ in kernel.events if header["event"] == "lanes_down"]
    assert [sorted(lanes) for lanes in sent[count:]] == [sorted([one, two] * 3)]


async def test_what_is_said_at_once_is_bounded():
    emitted = []
    turns = CommTurns(lambda lanes, messages: emitted.append((lanes, sum(map(len, messages)))), lambda: 0.0)
    ports = [
        CommPort(name, lambda code, reason: None, turns=turns, held_bytes=lambda: 0, clock=lambda: 0.0) for name in "ab"
    ]
    for port in ports:
        for _ in range(5):
            port.send({"type": "chunk"}, [bytes(300_000)])
        for _ in range(MAX_BUFFERS):
            port.send({"type": "ping"})
    turns.send(*ports)
    assert [lane for lanes, _ in emitted for lane in lanes] == ["a"] * (5 + MAX_BUFFERS) + ["b"] * (5 + MAX_BUFFERS)
    assert all(len(lanes) <= MAX_BUFFERS and size <= lane_comm.BYTES_AT_ONCE for lanes, size in emitted)
    count = len(emitted)
    turns.send(*ports)
    assert len(emitted) == count


@pytest.mark.parametrize("data", JUNK, ids=range(len(JUNK)))
async def test_junk_closes_its_own_lane_only(kernel, data):
    bad, good = kernel.open("bad"), kernel.open("good")
    kernel.server.receive_comm(bad, [data, data])
    assert kernel.heard(bad)[-1] == 1008
    kernel.track.send(keyframe=True)
    assert (await kernel.settled(good))[-1]["type"] == "chunk"
    assert kernel.heard(bad)[-1] == 1008


@pytest.mark.parametrize(
    "messages",
    [
        [encode_message({**HELLO, "lane": "direct"})],
        [encode_message({**HELLO, "lane": ["comm"]})],
        [encode_message({"type": "hello", "codecs": []})],
        [bytes(lane_end.MESSAGE_BYTES + 1)],
        [encode_message({"type": "ack", "sequence": 0})],
        [encode_message({"type": "pong"})] * (lane_end.UPWARD_MESSAGES_AT_ONCE + 1),
    ],
    ids=["another way", "no name", "nameless", "too large", "impossible ack", "a flood"],
)
async def test_what_no_page_of_ours_says_closes_the_lane(kernel, messages):
    lane = kernel.open(hello=False)
    kernel.server.receive_comm(lane, messages)
    assert kernel.heard(lane)[-1] == 1008
    assert not kernel.track.sinks


async def test_a_lane_that_is_not_there_swallows_everything(kernel):
    kernel.server.receive_comm("nobody", [b"junk"] * 1000)
    kernel.server.close_comm("nobody")
    lane = kernel.open()
    kernel.server.close_comm(lane)
    kernel.server.close_comm(lane)
    kernel.say(lane, HELLO)
    assert kernel.heard(lane).count(1000) == 1


async def test_there_is_no_lane_for_what_is_not_there(kernel):
    with pytest.raises(TrackError):
        kernel.server.open_comm(2, "video", "TR_cam", "v")
    with pytest.raises(TrackError):
        kernel.server.open_comm(1, "audio", "", "v")
    for arguments in ((1, "video", "TR_cam", ""), (1, "smell", "", "v"), ("1", "video", "TR_cam", "v")):
        with pytest.raises(WireError):
            kernel.server.open_comm(*arguments)
    assert kernel.events == []


async def test_lanes_are_bounded(kernel):
    lanes = [kernel.open(f"view-{number}") for number in range(lane_module.LANES)]
    with pytest.raises(CoreError):
        kernel.open("late")
    kernel.server.close_comm(lanes[0])
    kernel.open("instead")


async def test_a_silent_page_is_asked_and_given_up_when_it_does_not_answer(kernel, monkeypatch):
    monkeypatch.setattr(lane_module, "REFRESH_S", 0.001)
    there, gone = kernel.open("there"), kernel.open("gone")
    for _ in range(4):
        kernel.clock.now += lane_comm.PING_AFTER_S
        await wait_until(lambda: kernel.heard(there)[-1] == {"type": "ping"})
        kernel.say(there, {"type": "pong"})
        kernel.track.muted = not kernel.track.muted
        await wait_until(lambda: kernel.heard(there)[-1]["type"] == "muted")
    assert kernel.heard(gone)[-1] == 1001
    assert [header for header in kernel.heard(gone) if header == {"type": "ping"}] != []
    assert len(kernel.server.views(1, "TR_cam")) == 1


async def test_those_of_before_are_asked_when_a_page_comes_and_given_up_when_only_others_answer(kernel, monkeypatch):
    monkeypatch.setattr(lane_module, "REFRESH_S", 0.001)

    async def looked_at(lane):
        kernel.track.muted = not kernel.track.muted
        await wait_until(lambda: kernel.heard(lane)[-1] == {"type": "muted", "muted": kernel.track.muted})

    gone, there, elsewhere = kernel.open(), kernel.open(), kernel.open("view-2")
    kernel.clock.now += 1
    kernel.say(elsewhere, {"type": "pong"})
    new = kernel.open()
    await wait_until(lambda: kernel.heard(gone)[-1] == kernel.heard(there)[-1] == {"type": "ping"})
    assert {"type": "ping"} not in kernel.heard(elsewhere) + kernel.heard(new)
    kernel.say(there, {"type": "pong"})
    # a kernel in which a cell runs may hear nobody
    kernel.clock.now += lane_comm.DOUBTED_S + 5
    await looked_at(new)
    assert kernel.heard(gone)[-1] != 1001
    kernel.say(new, {"type": "pong"})
    await wait_until(lambda: kernel.heard(gone)[-1] == 1001)
    await looked_at(there)
    assert 1001 not in kernel.heard(there) + kernel.heard(elsewhere) + kernel.heard(new)


async def test_the_end_of_a_track_and_of_the_core(kernel):
    lane = kernel.open()
    kernel.tracks.clear()
    kernel.server.refresh()
    assert (await kernel.settled(lane))[-1] == {"type": "ended"}
    kernel.tracks[1, "TR_cam"] = kernel.track
    other = kernel.open("view-2")
    await kernel.server.close()
    assert kernel.heard(other)[-1] == kernel.heard(lane)[-1] == 1001
    with pytest.raises(CoreError):
        kernel.open()


async def test_views_are_told_when_pages_come_look_and_go(kernel):
    lane = kernel.open()
    assert kernel.viewed == [(1, "TR_cam")]
    visible = {"type": "visible", "width": 10, "height": 20, "dpr": 1, "visible": False}
    kernel.say(lane, visible, visible)
    assert len(kernel.viewed) == 2
    kernel.server.close_comm(lane)
    assert len(kernel.viewed) == 3
    assert kernel.server.views(1, "TR_cam") == []


async def test_the_best_way_of_a_view_is_told(kernel):
    one, two = kernel.open(), kernel.open()
    assert kernel.told("lane") == ["comm"]
    kernel.server.close_comm(one)
    assert kernel.told("lane") == ["comm"]
    kernel.server.close_comm(two)
    assert kernel.told("lane") == ["comm", ""]


async def test_nothing_is_sent_after_the_end():
    emitted = []
    turns = CommTurns(lambda lanes, messages: emitted.extend(messages), lambda: 0.0)
    port = CommPort("lane", lambda code, reason: None, turns=turns, held_bytes=lambda: 0, clock=lambda: 0.0)
    port.hear()
    port.send({"n": 1})
    port.send({"n": 2})
    assert port.waiting_bytes > 0
    await port.close(1000, "")
    port.send({"n": 3})
    await port.close(1000, "")
    await asyncio.sleep(2 * lane_comm.TURN_S)
    assert [decode_message(data)[0]["n"] for data in emitted] == [1, 2]
    assert port.waiting_bytes == 0
