"""`RoomAudio` and `AudioView` in the kernel, on a scripted core and with comms that stay in the test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import ipywidgets
import pytest
import traitlets

from lknb.core.client import CoreClient
from lknb.errors import DisconnectedError, MediaError, TrackError
from lknb.rtc.playback import playback_of
from lknb.rtc.room import Room
from lknb.widgets import AudioView, RoomAudio, VideoView, room_audio_of
from lknb.widgets.audio_view import audio_view_of
from tests.kit.poll import wait_until
from tests.rtc.scripted_core import ScriptedCore, person, turn
from tests.widgets.room import SHOWN_HOSTILE, listeners, studio

pytestmark = pytest.mark.usefixtures("recorded_comms")

HELLO = {"type": "hello", "client": "page-1", "hello": 1, "origin": "http://127.0.0.1:8888"}


@pytest.fixture
def core(monkeypatch: pytest.MonkeyPatch) -> ScriptedCore:
    fake = ScriptedCore()
    fake.respond["lane_ticket"] = lambda header, buffers: ({"port": 4711, "ticket": "secret"}, [])
    monkeypatch.setattr(CoreClient, "shared", lambda: fake)
    return fake


@pytest.fixture
async def room(core: ScriptedCore) -> AsyncIterator[Room]:
    made = await studio(core)
    for sid in ("TR_a", "TR_e"):
        core.tell("track_subscribed", track_sid=sid)
    await turn()
    yield made
    await made.disconnect()


def track(room: Room, sid: str = "TR_a", identity: str = "bob") -> Any:
    return room.remote_participants[identity].track_publications[sid].track


async def tell(core: ScriptedCore, audio: RoomAudio, state: str, handle: int = 1) -> None:
    handler = core.listeners["view", handle, audio._view]
    core._on_thread(lambda: handler({"event": "view", "type": "state", "state": state}, []))
    await turn()


def test_there_is_one_for_a_room_that_was_never_joined() -> None:
    room = Room()
    audio = RoomAudio(room)
    assert RoomAudio(room) is audio
    audio.comm.arrive(HELLO)
    assert audio.comm.custom[-1]["type"] == "ended"
    audio.close()


async def test_there_is_one_for_a_room(room: Room) -> None:
    audio = RoomAudio(room, volume=0.5)
    assert RoomAudio(room) is audio
    assert room_audio_of(room) is audio
    assert (audio.room, audio.volume) == (room, 0.5)
    assert RoomAudio(room, volume=0.25, muted=True) is audio
    assert (audio.volume, audio.muted) == (0.25, True)
    assert playback_of(room) is audio
    audio.close()
    audio.close()
    assert RoomAudio(room) is not audio
    with pytest.raises(traitlets.TraitError):
        RoomAudio(room).volume = 1.5


async def test_a_page_gets_a_ticket_for_all_sound_of_the_room(core: ScriptedCore, room: Room) -> None:
    audio = RoomAudio(room)
    audio.comm.arrive(HELLO)
    (asked,) = core.sent("lane_ticket")
    assert {name: asked[name] for name in ("room", "kind", "track_sid", "view")} == {
        "room": 1, "kind": "audio", "track_sid": "", "view": audio._view,
    }  # fmt: skip
    assert audio.comm.custom[-1]["ticket"] == "secret"
    synced = json.dumps(audio.get_state(), default=str)
    assert "secret" not in synced


async def test_what_pages_say_is_in_traits_and_an_event(core: ScriptedCore, room: Room) -> None:
    audio, heard = RoomAudio(room), []
    room.on("audio_playback_status_changed", heard.append)
    assert room.can_playback_audio is True
    for state, playing, blocked in (
        ("waiting", False, False),
        ("blocked", False, True),
        ("playing", True, False),
        ("blocked", False, True),
        ("connecting", False, False),
    ):
        await tell(core, audio, state)
        assert (audio.playing, audio.blocked, room.can_playback_audio) == (playing, blocked, not blocked)
    assert heard == [False, True, False, True]
    audio.comm.arrive({"type": "error", "client": "page-1", "detail": "No sound here."})
    assert audio.error == "No sound here."
    await tell(core, audio, "playing")
    assert audio.error == ""
    audio.comm.arrive({"type": "error", "client": "page-2", "detail": "No sound here."})
    assert audio.error == "", "another page plays"


async def test_start_audio_asks_the_pages_and_says_when_they_want_a_click(
    core: ScriptedCore, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    await room.start_audio()
    audio = RoomAudio(room)
    await room.start_audio()
    assert audio.comm.custom == [{"type": "again"}]
    await tell(core, audio, "blocked")
    starting = asyncio.create_task(room.start_audio())
    await wait_until(lambda: audio.comm.custom[-1] == {"type": "resume"})
    await tell(core, audio, "playing")
    await starting
    await tell(core, audio, "blocked")
    monkeypatch.setattr("lknb.widgets.room_audio.START_TIMEOUT_S", 0.05)
    with pytest.raises(MediaError, match="Click to hear"):
        await room.start_audio()
    starting = asyncio.create_task(room.start_audio())
    await turn()
    await room.disconnect()
    with pytest.raises(DisconnectedError):
        await starting


async def test_volumes_go_to_pages_by_the_sid_somebody_has_now(core: ScriptedCore, room: Room) -> None:
    audio = RoomAudio(room)
    audio.set_volume("bob", 0.5)
    audio.set_volume(room.remote_participants["eve"], 0)
    audio.set_volume("zoe", 0.25)
    assert audio._volumes == {"PA_bob": 0.5, "PA_eve": 0.0}
    core.update(person("zoe", sid="PA_zoe2", name="Zoe"))
    await turn()
    assert audio._volumes == {"PA_bob": 0.5, "PA_eve": 0.0, "PA_zoe2": 0.25}
    assert [audio.volume_of(name) for name in ("bob", "eve", "somebody")] == [0.5, 0.0, 1.0]
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="0 to 1"):
            audio.set_volume("bob", wrong)


async def test_views_of_the_room_carry_its_name_and_nothing_else_of_it(room: Room) -> None:
    audio = RoomAudio(room)
    views = [AudioView(track(room)), AudioView(track(room, "TR_e", "eve"))]
    assert [view._audio for view in views] == [audio.model_id] * 2
    assert audio._audio == audio.model_id
    # from the first moment: a page makes its model of it at once
    kind, data, _ = audio.comm.published[0]
    assert (kind, data["state"]["_audio"]) == ("comm_open", audio.model_id)
    assert views[1].name == SHOWN_HOSTILE


async def test_a_view_alone_has_a_sound_made_which_goes_with_the_room(core: ScriptedCore, room: Room) -> None:
    view = AudioView(track(room))
    made = playback_of(room)
    assert isinstance(made, RoomAudio)
    assert view._audio == made.model_id
    await room.disconnect()
    assert made.comm is None
    assert listeners(room) == 0


async def test_one_that_was_asked_for_outlives_the_connection(core: ScriptedCore) -> None:
    room = await studio(core)
    audio = RoomAudio(room)
    await tell(core, audio, "playing")
    await room.disconnect()
    assert audio.comm is not None
    await room.connect("ws://somewhere", "token")
    assert audio.comm.custom == [{"type": "again"}] * 2
    assert ("view", 1, audio._view) not in core.listeners
    await tell(core, audio, "playing", handle=2)
    assert audio.playing
    audio.close()
    assert [key for key in core.listeners if key[0] == "view"] == []  # type: ignore[index]
    await room.disconnect()


async def test_an_audio_view_sets_the_volume_of_its_participant(room: Room) -> None:
    RoomAudio(room).set_volume("bob", 0.5)
    view = audio_view_of(track(room))
    assert audio_view_of(track(room)) is view
    assert view.volume == 0.5
    view.volume = 0.25
    assert RoomAudio(room)._volumes == {"PA_bob": 0.25}
    view.muted = True
    assert RoomAudio(room).volume_of("bob") == 0
    view.muted = False
    assert RoomAudio(room).volume_of("bob") == 0.25
    assert repr(view) == "AudioView('Bob')"
    view.close()
    assert audio_view_of(track(room)) is not view


async def test_it_shows_audio_tracks_of_others_only(room: Room) -> None:
    for wrong in (None, "TR_a", room):
        with pytest.raises(TrackError, match="audio track"):
            AudioView(wrong)
    with pytest.raises(TrackError):
        VideoView(track(room))


async def test_a_view_of_a_track_that_has_ended_is_silent_and_no_error(room: Room) -> None:
    ended = track(room)
    await room.disconnect()
    view = AudioView(ended)
    assert view._audio == ""
    view.volume = 0.5


async def test_closing_lets_go_of_everything(core: ScriptedCore, room: Room) -> None:
    before, widgets = listeners(room), len(ipywidgets.widgets.widget._instances)
    for _ in range(3):
        RoomAudio(room).close()
        view = AudioView(track(room))
        view.close()
        RoomAudio(room).close()
    assert listeners(room) == before
    assert len(ipywidgets.widgets.widget._instances) == widgets
    assert [key for key in core.listeners if key[0] == "view"] == []  # type: ignore[index]


async def test_its_repr_is_stable_and_so_is_what_a_cell_shows(room: Room) -> None:
    audio = RoomAudio(room)
    assert repr(audio) == "RoomAudio('studio')"
    data, _ = audio._repr_mimebundle_()
    assert set(data) == {"text/plain", "application/vnd.jupyter.widget-view+json"}
