import gc
import json
import weakref

import comm
import ipywidgets
import pytest
from ipywidgets.widgets.widget import _instances

from lknb.errors import CoreError, DisconnectedError, TrackError, WireError
from lknb.rtc import display
from lknb.widgets import VideoView
from lknb.widgets.hardened import WIDGET_MIME_TYPE
from lknb.widgets.video_view import STATES, video_view_of
from tests.widgets.conftest import RecordedTrack

pytestmark = pytest.mark.usefixtures("recorded_comms")

HELLO = {"type": "hello", "client": "page-1", "hello": 1, "origin": "http://127.0.0.1:8888"}
TICKET = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def track():
    return RecordedTrack()


@pytest.fixture
def view(track):
    return VideoView(track)


def tell(view, **header):
    (handler,) = view.track.client.listeners.values()
    buffers = [header.pop("png")] if "png" in header else []
    handler({"event": "view", **header}, buffers)


def test_a_page_that_says_hello_gets_a_ticket_for_this_view_and_its_origin(view, track):
    view.comm.arrive(HELLO)
    ((request, future),) = track.client.requests
    ((kind, room, name),) = track.client.listeners
    assert (kind, room) == ("view", 3)
    assert request == {
        "op": "lane_ticket",
        "room": 3,
        "kind": "video",
        "track_sid": "TR_cam",
        "origin": "http://127.0.0.1:8888",
        "view": name,
    }
    assert view.comm.custom == []
    future.set_result(({"port": 4711, "ticket": TICKET}, []))
    assert view.comm.custom == [{"type": "ticket", "client": "page-1", "hello": 1, "port": 4711, "ticket": TICKET}]


def test_each_page_and_each_reload_gets_its_own_ticket(view, track):
    for client, hello in (("page-1", 1), ("page-2", 1), ("page-1", 2)):
        view.comm.arrive({**HELLO, "client": client, "hello": hello})
    for number, (_, future) in enumerate(track.client.requests):
        future.set_result(({"port": 1, "ticket": str(number)}, []))
    answers = [(answer["client"], answer["hello"], answer["ticket"]) for answer in view.comm.custom]
    assert answers == [("page-1", 1, "0"), ("page-2", 1, "1"), ("page-1", 2, "2")]


def test_the_ticket_is_in_no_trait_no_repr_and_no_output(view, track):
    view.comm.arrive(HELLO)
    track.client.requests[0][1].set_result(({"port": 4711, "ticket": TICKET}, []))
    seen = json.dumps(ipywidgets.Widget.get_manager_state()) + repr(view) + json.dumps(view._repr_mimebundle_())
    assert TICKET not in seen
    assert TICKET not in repr(vars(view))


@pytest.mark.parametrize(
    "content",
    [
        {"type": "hello"},
        {**HELLO, "client": ""},
        {**HELLO, "client": "x" * 65},
        {**HELLO, "client": 1},
        {**HELLO, "hello": "1"},
        {**HELLO, "hello": True},
        {**HELLO, "hello": float("nan")},
        {**HELLO, "origin": None},
        {**HELLO, "origin": "x" * 513},
        {"type": "error"},
        {"type": "error", "detail": 1},
        {"type": "error", "detail": "x" * 1001},
        {"type": ["hello"]},
        {"type": "lane", "port": 1},
        {},
        [],
        "hello",
        None,
        7,
    ],
)
def test_junk_from_a_page_is_dropped(view, track, content):
    view.comm.arrive(content, [bytes(10)])
    assert track.client.requests == []
    assert view.comm.custom == []
    assert view.state == "connecting"


def test_messages_of_a_users_own_reach_the_users_handler(view):
    seen = []
    view.on_msg(lambda widget, content, buffers: seen.append(content))
    view.comm.arrive({"mine": 1})
    assert seen == [{"mine": 1}]


@pytest.mark.parametrize(
    ("error", "alive", "answer", "state"),
    [
        (TrackError("this video track is not there"), True, "ended", "ended"),
        (DisconnectedError("gone"), True, "ended", "ended"),
        (CoreError("the room core process is gone\nTraceback"), False, "ended", "ended"),
        (CoreError("cannot listen: no file descriptors\nmore"), True, "refused", "error"),
        (WireError("a lane needs the origin of its page"), True, "refused", "error"),
    ],
)
def test_a_refused_page_is_told_why(view, track, error, alive, answer, state):
    track.client.alive = alive
    view.comm.arrive(HELLO)
    track.client.requests[0][1].set_exception(error)
    (said,) = view.comm.custom
    assert (said["type"], said["client"], said["hello"]) == (answer, "page-1", 1)
    assert "\n" not in said["detail"]
    assert "Traceback" not in said["detail"]
    assert view.state == state
    assert bool(view.error) == (state == "error")


def test_a_track_in_no_room_is_shown_as_ended():
    class Ended(RecordedTrack):
        @property
        def room_handle(self):
            raise DisconnectedError("track 'camera' is in no room")

    view = VideoView(Ended())
    assert view.state == "ended"
    view.comm.arrive(HELLO)
    assert view.comm.custom[0]["type"] == "ended"
    view.close()


def test_the_state_follows_the_core(view):
    seen = []
    view.observe(lambda change: seen.append(change["new"]), "state")
    for state in ("waiting", "playing", "muted", "playing", "ended", "connecting"):
        tell(view, type="state", state=state)
    assert seen == ["waiting", "playing", "muted", "playing", "ended"]


def test_what_one_page_cannot_show_is_no_error_while_another_plays(view):
    tell(view, type="state", state="playing")
    view.comm.arrive({"type": "error", "client": "page-2", "detail": "No WebCodecs."})
    assert (view.state, view.error) == ("playing", "")
    tell(view, type="state", state="connecting")
    view.comm.arrive({"type": "error", "client": "page-2", "detail": "No WebCodecs."})
    assert (view.state, view.error) == ("error", "No WebCodecs.")
    tell(view, type="state", state="waiting")
    assert (view.state, view.error) == ("waiting", "")


def test_muted_and_ended_follow_the_track_also_without_a_page(view, track):
    track.muted = True
    track.tell("muted")
    assert view.muted
    track.muted = False
    track.tell("unmuted")
    assert not view.muted
    track.tell("ended")
    assert view.state == "ended"


def test_traits_are_small_and_synced_ones_hold_no_state_of_the_lane(view):
    own = set(view.keys) - set(ipywidgets.DOMWidget().keys) - {"_esm", "_css", "_code", "_anywidget_id"}
    assert own == {"track_sid", "name", "width", "height", "fit", "mirror", "stats", "_audio", "_turn", "_about"}
    assert (view.track_sid, view.name, view.width, view.height) == ("TR_cam", "camera", 320, 180)
    assert isinstance(VideoView._esm, str)
    for name in ("track_sid", "width", "height", "muted", "state", "error"):
        with pytest.raises(Exception, match="read-only"):
            setattr(view, name, getattr(view, name))
    with pytest.raises(Exception, match="contain"):
        view.fit = "stretch"


def test_the_states_are_those_the_page_and_the_core_know():
    from lknb.core.lane_video import _STATES

    assert set(_STATES) < set(STATES)


def test_the_repr_is_stable(view, track):
    assert repr(view) == "VideoView('camera')"
    tell(view, type="state", state="playing")
    assert repr(view) == "VideoView('camera')"
    view.close()
    assert repr(view) == "VideoView('camera')"


def test_the_label_is_the_participants_unless_another_is_given():
    track = RecordedTrack(participant_name="Alice")
    assert VideoView(track).name == "Alice"
    assert VideoView(track, name="Left").name == "Left"
    assert VideoView(track, name="").name == ""
    assert VideoView(RecordedTrack(participant_name="")).name == "camera"


def test_a_hostile_name_is_made_visible():
    name = VideoView(RecordedTrack(participant_name="ecila\u202eAlice\x00" + "x" * 1000)).name
    assert name.startswith("ecila\N{REPLACEMENT CHARACTER}Alice\N{REPLACEMENT CHARACTER}xxx")
    assert len(name) == 80


@pytest.mark.parametrize(("width", "usual"), [(0, "640px"), (160, "320px"), (480, "480px"), (1920, "640px")])
def test_the_usual_width_is_that_of_the_track_within_bounds(width, usual):
    assert VideoView(RecordedTrack(width=width, height=width)).layout.width == usual


def test_a_layout_of_the_users_is_kept_and_stays_open():
    layout = ipywidgets.Layout(width="50%")
    view = VideoView(RecordedTrack(), layout=layout, fit="cover", mirror=True)
    assert (view.layout.width, view.fit, view.mirror) == ("50%", "cover", True)
    view.close()
    assert layout.comm is not None


def test_the_bundle_has_the_widget_and_once_there_is_one_the_picture(view):
    data, _ = view._repr_mimebundle_()
    assert data == {
        "text/plain": "VideoView('camera')",
        WIDGET_MIME_TYPE: {"version_major": 2, "version_minor": 0, "model_id": view.model_id},
    }
    tell(view, type="picture", width=4, height=3, unseen=False, png=b"\x89PNG")
    assert view.last_picture == b"\x89PNG"
    assert view._repr_mimebundle_()[0]["image/png"] == "iVBORw=="


def test_in_a_box_with_observers_and_links(view):
    toggle = ipywidgets.Checkbox()
    ipywidgets.link((toggle, "value"), (view, "mirror"))
    box = ipywidgets.HBox([view])
    toggle.value = True
    assert view.mirror
    assert box.children == (view,)


def test_a_track_shows_itself_by_one_view_for_all_cells(track, monkeypatch):
    first = video_view_of(track)
    assert video_view_of(track) is first
    assert video_view_of(RecordedTrack()) is not first
    first.close()
    assert video_view_of(track) is not first
    assert display._factories["video"] is video_view_of


def test_close_lets_go_of_everything_and_is_harmless_twice(view, track):
    opened, layout = view.comm, view.layout
    view.close()
    view.close()
    assert track.client.listeners == {}
    assert track.handlers == []
    assert [kind for kind, *_ in opened.published][-1] == "comm_close"
    assert layout.comm is None
    opened.arrive(HELLO)
    assert track.client.requests == []


def test_an_answer_after_close_is_nothing(view, track):
    view.comm.arrive(HELLO)
    opened = view.comm
    view.close()
    track.client.requests[0][1].set_result(({"port": 1, "ticket": TICKET}, []))
    tell_late = view._handle_core_event
    tell_late({"event": "view", "type": "state", "state": "playing"}, [])
    assert opened.custom == []
    assert view.state == "connecting"


def test_two_hundred_views_leave_nothing(track):
    gc.collect()
    widgets, comms = len(_instances), len(comm.get_comm_manager().comms)
    gone = []
    for _ in range(200):
        view = VideoView(track)
        view.comm.arrive(HELLO)
        tell(view, type="state", state="playing")
        gone.append(weakref.ref(view))
        view.close()
        track.client.requests.clear()
    del view
    gc.collect()
    assert [ref for ref in gone if ref() is not None] == []
    assert len(_instances) == widgets
    assert len(comm.get_comm_manager().comms) == comms
    assert track.client.listeners == {}
    assert track.handlers == []
