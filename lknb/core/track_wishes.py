"""What the server is asked to send of each track of others: the user's wishes, merged with what adaptive stream sees.

It lives in the core, so that a view that is scrolled away pauses its track while a cell computes. Repeats are dropped, and
whatever changes faster than the server takes messages is told as it is by then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from livekit.protocol import models, rtc

from lknb.core.track import RemoteTrack
from lknb.errors import TrackError
from lknb.logic.allowance import Allowance
from lknb.logic.audience import Audience, Viewer
from lknb.logic.track_setting import Dimensions, TrackSetting

TOLD_AT_ONCE = 40
TOLD_PER_S = 40.0
"""A server closes the connection of a client that sends more than 100 messages a second for long."""


class _Wish:
    """What is wanted of one track."""

    def __init__(self) -> None:
        self.setting = TrackSetting()
        self.subscribe: bool | None = None
        """To be told yet."""
        self.asked = False
        """There is something to ask beyond what the server does by itself."""
        self.told: rtc.UpdateTrackSettings | None = None
        self.followed = False
        """It is received now."""
        self.audience: Audience | None = None
        """Of a track that adaptive stream follows, also while it is not subscribed: what was seen counts until then."""
        self.timer: asyncio.TimerHandle | None = None

    def cancel(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class TrackWishes:
    """The wishes of one room, by track sid. Everything runs on the event loop.

    `send(request)` tells the server, `emit(header)` the kernel; `find(sid)` is the participant and the info of a track that
    somebody publishes, `viewers(sid)` who looks at it.

    Event for the kernel: `{"event": "sight", room, track_sid, visible, width, height}`, what adaptive stream sees now, in
    device pixels; the size is None when somebody reads it at full size.
    """

    def __init__(
        self,
        room: int,
        send: Callable[[rtc.SignalRequest], None],
        emit: Callable[[Mapping[str, Any]], None],
        find: Callable[[str], tuple[str, models.TrackInfo] | None],
        viewers: Callable[[str], Iterable[Viewer]],
    ) -> None:
        self.adaptive = False
        """Whether views and readers decide what is paused, and how large the rest is."""
        self._room = room
        self._send = send
        self._emit = emit
        self._find = find
        self._viewers = viewers
        self._wishes: dict[str, _Wish] = {}
        self._untold: dict[str, None] = {}
        self._allowance = Allowance(TOLD_AT_ONCE, TOLD_PER_S)
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    # ------------------------------------------------------------------ what the user asks for

    def subscribe(self, sid: str, subscribe: bool) -> None:
        """Ask for the track, or for it no longer. Raises `TrackError` when nobody publishes it."""
        self._wish(sid).subscribe = subscribe
        self._touch(sid)

    def ask(
        self,
        sid: str,
        *,
        enabled: bool | None = None,
        quality: int | None = None,
        dimensions: Dimensions | None = None,
        fps: int | None = None,
        any_quality: bool = False,
    ) -> None:
        """Wishes that are new; those not named stay. With `any_quality` no quality in particular is wanted any more.

        Raises `TrackError` when nobody publishes the track.
        """
        wish = self._wish(sid)
        setting = wish.setting
        if enabled is not None:
            setting.set_enabled(enabled)
        if quality is not None or any_quality:
            setting.set_quality(quality)
        if dimensions is not None:
            setting.set_dimensions(dimensions)
        if fps is not None:
            setting.set_fps(fps)
        wish.asked = True
        self._touch(sid)

    # ------------------------------------------------------------------ what happens

    def follow(self, sid: str, track: RemoteTrack | None) -> None:
        """A track is received now, or (None) no longer. A server forgets what was asked of a subscription that ended."""
        wish = self._wishes.get(sid)
        if wish is not None:
            wish.cancel()
            wish.told = None
            wish.followed = track is not None
        if track is None:
            return
        if wish is not None and wish.asked:
            self._touch(sid)
        if self.adaptive and track.kind == "video":
            wish = self._wishes.setdefault(sid, _Wish())
            wish.followed = True
            if wish.audience is None:
                wish.audience = Audience(time.monotonic())
            self.look(sid)

    def look(self, sid: str) -> None:
        """The viewers of a track may be others now."""
        wish = self._wishes.get(sid)
        if wish is not None and wish.followed and wish.audience is not None:
            wish.audience.observe(self._viewers(sid), time.monotonic())
            self._settle(sid)

    def prune(self) -> None:
        """Forget the tracks that nobody publishes any more."""
        for sid in [sid for sid in self._wishes if self._find(sid) is None]:
            self._wishes.pop(sid).cancel()
            self._untold.pop(sid, None)

    def close(self) -> None:
        """The session is over."""
        for wish in self._wishes.values():
            wish.cancel()
        self._wishes.clear()
        self._untold.clear()
        if self._timer is not None:
            self._timer.cancel()

    # ------------------------------------------------------------------ steps

    def _wish(self, sid: str) -> _Wish:
        if self._find(sid) is None:
            raise TrackError(f"nobody in the room publishes a track {sid!r}")
        return self._wishes.setdefault(sid, _Wish())

    def _settle(self, sid: str) -> None:
        wish = self._wishes.get(sid)
        if wish is None or wish.audience is None:
            return
        if wish.audience.poll(time.monotonic()) and (sight := wish.audience.settled) is not None:
            wish.setting.set_shown(sight.size, visible=sight.visible)
            wish.asked = True
            size = sight.size
            shown = {"width": None, "height": None} if size is None else {"width": size.width, "height": size.height}
            self._emit({"event": "sight", "room": self._room, "track_sid": sid, "visible": sight.visible, **shown})
            self._touch(sid)
        self._settle_later(sid, wish)

    def _settle_later(self, sid: str, wish: _Wish) -> None:
        wish.cancel()
        due = wish.audience.deadline() if wish.audience is not None else None
        if due is not None:
            wish.timer = self._loop.call_later(max(0.0, due - time.monotonic()), self._settle, sid)

    def _touch(self, sid: str) -> None:
        self._untold[sid] = None
        if self._timer is None:
            self._tell()

    def _tell(self) -> None:
        self._timer = None
        while self._untold:
            now = time.monotonic()
            if not self._allowance.take(now):
                self._timer = self._loop.call_later(self._allowance.next_at(now) - now, self._tell)
                return
            sid = next(iter(self._untold))
            del self._untold[sid]
            self._tell_track(sid, self._wishes[sid])

    def _tell_track(self, sid: str, wish: _Wish) -> None:
        found = self._find(sid)
        if found is None:
            return
        participant_sid, info = found
        if wish.subscribe is not None:
            tracks = models.ParticipantTracks(participant_sid=participant_sid, track_sids=[sid])
            update = rtc.UpdateSubscription(track_sids=[sid], subscribe=wish.subscribe, participant_tracks=[tracks])
            self._send(rtc.SignalRequest(subscription=update))
            wish.subscribe = None
        if not wish.asked:
            return
        settings = wish.setting.request(info)
        if settings != wish.told:
            wish.told = settings
            self._send(rtc.SignalRequest(track_setting=settings))
