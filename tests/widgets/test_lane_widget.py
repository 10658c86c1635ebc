"""Lanes over the comm: the kernel's side, between a core and a page that the test plays."""

import gc

import pytest

from lknb.errors import CoreError
from lknb.widgets import VideoView, comm_lane
from tests.widgets.conftest import RecordedTrack

pytestmark = pytest.mark.usefixtures("recorded_comms")

HELLO = {"type": "hello", "client": "page-1", "hello": 1, "origin": "http://127.0.0.1:8888", "lane": "comm"}


@pytest.fixture
def track():
    return RecordedTrack()


@pytest.fixture
def view(track):
    return VideoView(track)


def open_lane(view, lane="lane-1", client="page-1"):
    view.comm.arrive({**HELLO, "client": client})
    request, future = view.track.client.requests[-1]
    assert request["op"] == "lane_open"
    future.set_result(({"lane": lane}, []))
    return lane


def core_says(view, lane, *messages):
    core_says_at_once(view, *((lane, message) for message in messages))


def core_says_at_once(view, *messages):
    handler = view.track.client.listeners["lanes",]
    handler({"event": "lanes_down", "lanes": [lane for lane, _ in messages]}, [message for _, message in messages])


def view_listener(view):
    """What hears the events of the core about the view, and the view's name."""
    ((key, handler),) = [(key, handler) for key, handler in view.track.client.listeners.items() if key[0] == "view"]
    return handler, key[2]


def core_closes(view, lane):
    handler, name = view_listener(view)
    handler(
        {"event": "lane_closed", "room": 3, "view": name, "lane": lane, "code": 1008, "reason": "not a message"}, []
    )


def said(view):
    """Custom messages to the pages, with their buffers."""
    return [
        (data["content"], buffers)
        for kind, data, buffers in view.comm.published
        if kind == "comm_msg" and data["method"] == "custom"
    ]


def test_a_page_gets_a_lane_over_the_comm(view, track):
    open_lane(view)
    ((request, _),) = track.client.requests
    _, view_name = view_listener(view)
    assert request == {"op": "lane_open", "room": 3, "kind": "video", "track_sid": "TR_cam", "view": view_name}
    answer = {"type": "comm", "client": "page-1", "hello": 1, "lane": "lane-1", "kernel": comm_lane.KERNEL}
    assert view.comm.custom == [answer]


def test_messages_go_down_and_up_as_they_are(view, track):
    open_lane(view)
    core_says(view, "lane-1", b"one", b"two")
    assert said(view)[1] == ({"type": "down", "client": "page-1", "lane": "lane-1"}, [b"one", b"two"])
    view.comm.arrive({"type": "up", "client": "page-1", "lanes": ["lane-1", "lane-1"]}, [memoryview(b"a"), b"b"])
    up = {"op": "lane_up", "lane": "lane-1"}
    assert track.client.posts == [(up, [b"a"]), (up, [b"b"])]
    assert all(type(buffers[0]) is bytes for _, buffers in track.client.posts)


def test_what_several_lanes_say_at_once_goes_to_each(view, track):
    other = VideoView(track)
    open_lane(view)
    other.comm.arrive({**HELLO, "client": "page-1b"})
    track.client.requests[-1][1].set_result(({"lane": "lane-2"}, []))
    core_says_at_once(view, ("lane-1", b"a"), ("lane-2", b"x"), ("lane-9", b"?"), ("lane-1", b"b"))
    assert said(view)[1:] == [({"type": "down", "client": "page-1", "lane": "lane-1"}, [b"a", b"b"])]
    assert said(other)[1:] == [({"type": "down", "client": "page-1b", "lane": "lane-2"}, [b"x"])]


def test_one_message_carries_those_of_other_widgets_of_the_page(view, track):
    other = VideoView(RecordedTrack())
    open_lane(view)
    open_lane(other, "lane-2", "page-1b")
    view.comm.arrive({"type": "up", "client": "page-1", "lanes": ["lane-2", "lane-1"]}, [b"other's", b"mine"])
    assert other.track.client.posts == [({"op": "lane_up", "lane": "lane-2"}, [b"other's"])]
    assert track.client.posts == [({"op": "lane_up", "lane": "lane-1"}, [b"mine"])]


def test_a_lane_that_is_not_there_is_told_once_in_each_message(view, track):
    view.comm.arrive({"type": "up", "client": "page-1", "lanes": ["lane-9"] * 3}, [b"x"] * 3)
    assert view.comm.custom == [{"type": "closed", "client": "page-1", "lane": "lane-9"}]
    assert track.client.posts == []


@pytest.mark.parametrize(
    "content",
    [
        {"type": "up", "lanes": ["lane-1"]},
        {"type": "up", "client": "page-1"},
        {"type": "up", "client": "page-1", "lanes": "lane-1"},
        {"type": "up", "client": "page-1", "lanes": []},
        {"type": "up", "client": "page-1", "lanes": ["lane-1", "lane-1"]},
        {"type": "up", "client": "page-1", "lanes": [1]},
        {"type": "up", "client": "page-1", "lanes": ["x" * 33]},
        {"type": "bye", "client": "page-1", "lane": ["lane-1"]},
        {"type": "bye", "client": "page-1"},
    ],
)
def test_junk_of_a_page_is_dropped(view, track, content):
    open_lane(view)
    view.comm.arrive(content, [b"x"])
    assert track.client.posts == []
    assert len(view.comm.custom) == 1


def test_too_many_messages_in_one_are_dropped(view, track):
    open_lane(view)
    view.comm.arrive({"type": "up", "client": "page-1", "lanes": ["lane-1"] * 65}, [b"x"] * 65)
    assert track.client.posts == []


def test_a_lane_the_core_closes_is_told_to_its_page_and_forgotten(view, track):
    open_lane(view)
    core_closes(view, "lane-1")
    assert view.comm.custom[-1] == {"type": "closed", "client": "page-1", "lane": "lane-1"}
    core_says(view, "lane-1", b"late")
    assert len(view.comm.custom) == 2
    assert comm_lane.open_lane("lane-1") is None
    view.close()
    assert track.client.posts == []


def test_a_page_that_says_bye_closes_its_own_lane(view, track):
    open_lane(view)
    open_lane(view, "lane-2", "page-2")
    view.comm.arrive({"type": "bye", "client": "page-1", "lane": "lane-1"})
    assert track.client.posts == [({"op": "lane_close", "lane": "lane-1"}, [])]
    core_says(view, "lane-2", b"x")
    assert view.comm.custom[-1]["lane"] == "lane-2"


def test_a_view_that_is_closed_closes_its_lanes_in_the_core(view, track):
    open_lane(view)
    view.comm.arrive({**HELLO, "client": "page-2"})
    opened = view.comm
    view.close()
    assert track.client.posts == [({"op": "lane_close", "lane": "lane-1"}, [])]
    track.client.requests[-1][1].set_result(({"lane": "lane-2"}, []))
    assert track.client.posts[-1] == ({"op": "lane_close", "lane": "lane-2"}, []), "opened for nobody"
    assert len(opened.custom) == 1


def test_a_core_that_dies_closes_its_lanes_only(view, track):
    other = VideoView(RecordedTrack())
    open_lane(view)
    open_lane(other, "lane-2")
    track.client.die()
    assert view.comm.custom[-1] == {"type": "closed", "client": "page-1", "lane": "lane-1"}
    assert len(other.comm.custom) == 1
    assert len(track.client.death_handlers) == 1


def test_a_refused_lane_is_told(view, track):
    view.comm.arrive(HELLO)
    track.client.requests[0][1].set_exception(CoreError("the room core has 64 lanes open"))
    assert view.comm.custom == [
        {"type": "refused", "client": "page-1", "hello": 1, "detail": "the room core has 64 lanes open"}
    ]


def test_the_way_of_the_best_page_is_a_trait(view):
    handler, _ = view_listener(view)
    assert view.lane == ""
    for name in ("comm", "direct", ""):
        handler({"event": "view", "type": "lane", "lane": name}, [])
        assert view.lane == name
    assert "lane" not in view.keys
    with pytest.raises(Exception, match="read-only"):
        view.lane = "direct"


def test_closed_views_leave_no_lane(track):
    for number in range(50):
        view = VideoView(track)
        open_lane(view, f"lane-{number}")
        view.close()
    gc.collect()
    assert comm_lane._open == {}
