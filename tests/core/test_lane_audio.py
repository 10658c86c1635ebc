"""What one page gets of a room's sound, over a way that the test plays."""

import pytest

from lknb.core.lane_audio import AudioLanes
from lknb.core.lane_audio_flow import ACK_TIMEOUT_S, QUEUE_S, AudioFlow
from lknb.core.lane_audio_session import LINK_BYTES
from lknb.core.lane_ticket import Grant
from lknb.core.message import MAX_BUFFERS
from lknb.errors import TrackError, WireError
from lknb.wire.frame import EncodedFrame


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


class Track:
    kind = "audio"
    codec = "opus"

    def __init__(self, sid, participant_sid="PA_a"):
        self.sid = sid
        self.participant_sid = participant_sid
        self.muted = False
        self.sinks = []
        self.timestamp = 0

    def attach(self, sink, *, keyframe=True):
        self.sinks.append(sink)

    def detach(self, sink):
        self.sinks.remove(sink)

    def request_keyframe(self):
        raise AssertionError("sound has no key frames")

    def send(self, data=b"opus", **about):
        frame = EncodedFrame("opus", data, self.timestamp, **about)
        self.timestamp += 960
        for sink in list(self.sinks):
            sink(frame)


class Port:
    def __init__(self, name="direct"):
        self.name = name
        self.waiting_bytes = 0
        self.sent = []

    def send(self, header, buffers=()):
        self.sent.append((header, list(buffers)))

    async def close(self, code, reason):
        raise AssertionError("a session leaves its lane open")


class Bench:
    def __init__(self):
        self.clock = Clock()
        self.rooms = {1: [Track("TR_a"), Track("TR_b", "PA_b")]}
        self.told = []
        self.lanes = AudioLanes(
            self.rooms.get, tell=lambda grant, header, _: self.told.append((grant.view, header)), clock=self.clock
        )

    @property
    def tracks(self):
        return self.rooms[1]

    def open(self, name="direct", view="view-1"):
        port = Port(name)
        grant = Grant(1, "audio", "", view, "http://127.0.0.1:8888")
        self.lanes.check(grant)
        session = self.lanes.open(grant, port)
        session.handle({"type": "hello", "lane": name}, [])
        return session, port

    def states(self):
        assert all(header["type"] == "state" for _, header in self.told)
        return [header["state"] for _, header in self.told]


@pytest.fixture
def bench():
    return Bench()


def sounds(port):
    return [(header, buffers) for header, buffers in port.sent if header["type"] == "sound"]


def listed(port):
    return [header["tracks"] for header, _ in port.sent if header["type"] == "tracks"]


def test_a_page_gets_every_packet_of_every_track_as_it_is(bench):
    _, port = bench.open()
    a, b = bench.tracks
    a.send(b"one")
    b.send(b"two")
    a.send(b"three")
    assert port.sent == [
        ({"type": "tracks", "tracks": [[0, "TR_a", "PA_a", False], [1, "TR_b", "PA_b", False]]}, []),
        ({"type": "sound", "sequence": 0, "packets": [[0, 0]]}, [b"one"]),
        ({"type": "sound", "sequence": 1, "packets": [[1, 0]]}, [b"two"]),
        ({"type": "sound", "sequence": 2, "packets": [[0, 20_000]]}, [b"three"]),
    ]


def test_over_the_comm_packets_of_all_tracks_travel_together(bench):
    _, port = bench.open("comm")
    for _ in range(30):
        for track in bench.tracks:
            track.send()
        bench.clock.now += 0.02
    messages = sounds(port)
    # the first at once, then all of three turns, one each 60 ms
    assert [len(buffers) for _, buffers in messages] == [1] + [6] * 9


def test_a_bundle_that_nothing_closes_goes_all_the_same(bench):
    session, port = bench.open("comm")
    bench.tracks[0].send(b"first")
    bench.tracks[0].send(b"last")
    session.refresh()
    assert [buffers for _, buffers in sounds(port)] == [[b"first"]]
    bench.clock.now += 0.1
    session.refresh()
    assert [buffers for _, buffers in sounds(port)] == [[b"first"], [b"last"]]


def test_a_bundle_is_no_larger_than_a_message_may_be(bench):
    _, port = bench.open("comm")
    for _ in range(MAX_BUFFERS + 2):
        bench.tracks[0].send()
    assert [len(buffers) for _, buffers in sounds(port)] == [1, MAX_BUFFERS]


def test_tracks_that_come_and_go_are_followed(bench):
    session, port = bench.open()
    gone, stays = bench.tracks
    late = Track("TR_c", "PA_a")
    bench.rooms[1] = [stays, late]
    session.refresh()
    session.refresh()
    assert gone.sinks == []
    late.send(b"late")
    assert listed(port)[1:] == [[[1, "TR_b", "PA_b", False], [2, "TR_c", "PA_a", False]]], "told once"
    assert sounds(port)[-1][0]["packets"] == [[2, 0]]
    # subscribed anew, it is the same track in another shape
    again = Track("TR_b", "PA_b")
    bench.rooms[1] = [again, late]
    session.refresh()
    assert (len(stays.sinks), len(again.sinks)) == (0, 1)


def test_a_muted_track_leaves_no_tail(bench):
    session, port = bench.open("comm")
    a, b = bench.tracks
    b.send(b"0")
    a.send(b"a")
    b.send(b"b")
    a.muted = True
    session.refresh()
    assert listed(port)[-1][0] == [0, "TR_a", "PA_a", True]
    a.send(b"late")
    bench.clock.now += 0.1
    session.refresh()
    assert [buffers for _, buffers in sounds(port)] == [[b"0"], [b"b"]], "what waited of it is dropped"
    a.muted = False
    session.refresh()
    a.send(b"again")
    bench.clock.now += 0.1
    session.refresh()
    assert sounds(port)[-1][1] == [b"again"]


def test_marks_of_lost_packets_are_not_sent(bench):
    _, port = bench.open()
    bench.tracks[0].send(b"", concealed=True)
    bench.tracks[0].send()
    assert [header["packets"] for header, _ in sounds(port)] == [[[0, 20_000]]]


def test_a_blocked_page_gets_nothing_until_it_plays(bench):
    session, port = bench.open()
    session.handle({"type": "sound", "state": "blocked"}, [])
    bench.tracks[0].send()
    assert sounds(port) == []
    session.handle({"type": "sound", "state": "playing"}, [])
    bench.tracks[0].send()
    assert len(sounds(port)) == 1
    assert bench.states() == ["waiting", "blocked", "playing"]


def test_two_pages_say_what_the_luckier_one_has(bench):
    one, _ = bench.open()
    one.handle({"type": "sound", "state": "playing"}, [])
    two, _ = bench.open()
    two.handle({"type": "sound", "state": "blocked"}, [])
    one.closed()
    two.closed()
    assert bench.states() == ["waiting", "playing", "blocked", "connecting"]
    assert [track.sinks for track in bench.tracks] == [[], []]


def test_a_room_that_was_left_ends_it(bench):
    session, port = bench.open()
    tracks = bench.rooms.pop(1)
    session.refresh()
    session.refresh()
    session.handle({"type": "sound", "state": "playing"}, [])
    assert port.sent[-1] == ({"type": "ended"}, [])
    assert [track.sinks for track in tracks] == [[], []]
    assert bench.states() == ["waiting", "ended"]
    with pytest.raises(TrackError):
        bench.lanes.check(session.grant)


def test_what_cannot_leave_within_half_a_second_is_dropped(bench):
    _, port = bench.open()
    track = bench.tracks[0]

    def speak(seconds):
        before = len(sounds(port))
        for _ in range(round(seconds * 50)):
            track.send(bytes(80))
            bench.clock.now += 0.02
        return len(sounds(port)) - before

    assert speak(1) == 50
    port.waiting_bytes = 1_000
    assert speak(1) == 50, "a moment's worth is no queue"
    port.waiting_bytes = 10_000
    assert speak(1) == 0, "more than was sent in half a second: some of it is older"
    port.waiting_bytes = 0
    assert speak(1) == 50


def test_others_may_use_the_link_to_the_kernel(bench):
    _, port = bench.open("comm")
    port.waiting_bytes = LINK_BYTES - 1_000
    for _ in range(10):
        bench.tracks[0].send()
        bench.clock.now += 0.02
    assert len(sounds(port)) == 4


def test_a_page_that_acknowledges_nothing_gets_only_a_question_now_and_then(bench):
    session, port = bench.open()
    for _ in range(int((ACK_TIMEOUT_S + 5) * 50)):
        bench.tracks[0].send()
        bench.clock.now += 0.02
    sent = len(sounds(port))
    assert ACK_TIMEOUT_S * 50 <= sent <= ACK_TIMEOUT_S * 50 + 6
    session.handle({"type": "ack", "sequence": 3}, [])
    for _ in range(50):
        bench.tracks[0].send()
        bench.clock.now += 0.02
    assert len(sounds(port)) == sent + 50


def test_a_pause_is_no_silence_of_the_page(bench):
    session, port = bench.open()
    bench.tracks[0].send()
    session.handle({"type": "ack", "sequence": 0}, [])
    bench.clock.now += 100
    for _ in range(3):
        bench.tracks[0].send()
    assert len(sounds(port)) == 4


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"type": "keyframe"},
        {"type": "ack"},
        {"type": "ack", "sequence": True},
        {"type": "ack", "sequence": 0},
        {"type": "ack", "sequence": -2},
        {"type": "ack", "sequence": "0"},
        {"type": "sound"},
        {"type": "sound", "state": "loud"},
        {"type": "sound", "state": ["playing"]},
        {"type": ["ack"]},
    ],
)
def test_what_no_page_of_ours_says_is_refused(bench, header):
    session, _ = bench.open()
    with pytest.raises(WireError):
        session.handle(header, [])


def test_the_queue_is_measured_in_time():
    flow = AudioFlow(0.0)
    assert flow.offer(100, waiting_bytes=0, now=0.0) == 0
    assert flow.offer(100, waiting_bytes=100, now=QUEUE_S) == 1
    assert flow.offer(100, waiting_bytes=200, now=QUEUE_S + 0.01) is None
    assert flow.in_flight == 2
    flow.acknowledge(1, 1.0)
    assert flow.in_flight == 0
