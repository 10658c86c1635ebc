"""`AudioView`: a remote audio track in a cell."""

from __future__ import annotations

import weakref
from typing import Any

import traitlets
from ipywidgets import Layout

from lknb.errors import TrackError
from lknb.logic.label import visible_label
from lknb.rtc.track import RemoteAudioTrack
from lknb.widgets.esm import audio_code, audio_css, audio_esm
from lknb.widgets.hardened import HardenedWidget
from lknb.widgets.room_audio import audio_behind

_WIDTH = "320px"


class AudioView(HardenedWidget):
    """An audio track: whether it plays here, how loud it is, and how loud it shall be.

        AudioView(track)      # or just `track`, as the last line of a cell

    What is heard is the sound of the whole room, as with every view of it; `volume` and `muted` are about the participant
    of this track alone, and set the same as `RoomAudio.set_volume`.
    """

    _esm = audio_esm()
    _css = audio_css()
    _code = traitlets.Unicode(audio_code(), read_only=True).tag(sync=True)
    _audio = traitlets.Unicode(read_only=True).tag(sync=True)

    track_sid = traitlets.Unicode(read_only=True, help="Sid of the track, TR_...").tag(sync=True)
    name = traitlets.Unicode(help="Whose sound it is, or another label.").tag(sync=True)
    volume = traitlets.Float(1.0, min=0.0, max=1.0, help="How loud this participant is, 0 to 1.").tag(sync=True)
    muted = traitlets.Bool(False, help="Whether this participant is not heard here.").tag(sync=True)

    def __init__(self, track: RemoteAudioTrack, *, name: str | None = None, **traits: Any) -> None:
        if not isinstance(track, RemoteAudioTrack):
            raise TrackError(f"AudioView shows an audio track of somebody else, not {track!r}")
        self._track = track
        self._identity = track.participant_identity
        self._own_layout = "layout" not in traits
        if self._own_layout:
            traits["layout"] = Layout(width=_WIDTH)
        self.set_trait("track_sid", track.sid)
        audio = audio_behind(track)
        if audio is not None:
            self.set_trait("_audio", audio.model_id)
            traits.setdefault("volume", audio.volume_of(self._identity))
        super().__init__(name=visible_label(track.participant_name or track.name if name is None else name), **traits)
        self.observe(self._set_volume, ("volume", "muted"))

    @property
    def track(self) -> RemoteAudioTrack:
        """The track that is shown."""
        return self._track

    def __repr__(self) -> str:
        return f"AudioView({self.name!r})"

    def _set_volume(self, _: Any) -> None:
        audio = audio_behind(self._track)
        if audio is not None:
            audio.set_volume(self._identity, 0.0 if self.muted else self.volume)


_views: weakref.WeakKeyDictionary[RemoteAudioTrack, weakref.ref[AudioView]] = weakref.WeakKeyDictionary()


def audio_view_of(track: Any) -> AudioView:
    """The view an audio track shows itself with: one for all cells, so that running a cell again makes no second one."""
    known = _views.get(track)
    view = known() if known is not None else None
    if view is None or view.comm is None:
        view = AudioView(track)
        _views[track] = weakref.ref(view)
    return view
