"""Lanes: websockets the core serves on the loopback interface, so that a page gets video past the kernel.

The kernel runs the user's cells: while one computes, nothing that passes through the kernel moves. The core has nothing
else to do. The page opens the websocket in a Worker, where no table being rendered delays it either.

One binary websocket frame holds one message (`lknb.core.message`).

    core -> page   {"type": "config", codec, width, height}      before the first frame, and when one of them changes
                   {"type": "chunk", sequence, timestamp_us, keyframe} [data]
                   {"type": "muted", muted}
                   {"type": "ended"}                             the page sends its last picture and closes
    page -> core   {"type": "hello", codecs}
                   {"type": "ack", sequence}                     cumulative
                   {"type": "keyframe"}                          the decoder cannot go on
                   {"type": "visible", width, height, dpr, visible}
                   {"type": "picture", width, height, unseen} [png]    for the saved notebook

The ticket travels in the list of subprotocols: it is in no URL, hence in no log and in no error text of the browser.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from aiohttp import WSCloseCode, web

from lknb.core.lane_message import MESSAGE_BYTES, Picture, Visible
from lknb.core.lane_session import LaneSession
from lknb.core.lane_ticket import Grant, TicketBook
from lknb.errors import CoreError, TrackError

if TYPE_CHECKING:
    from lknb.core.track import EncodedTrack

logger = logging.getLogger(__name__)

PROTOCOL = "lknb.lane.1"
TICKET_PREFIX = "lknb.ticket."
LANES = 64
"""Open at once; more are refused."""
REFRESH_S = 0.1
_HEARTBEAT_S = 20.0
_CLOSE_S = 1.0
# from what says least about a view to what says most; a view shown by two pages says what the luckier one has
_STATES = ("connecting", "ended", "waiting", "muted", "playing")


class LaneServer:
    """Serves the video tracks of one core to the pages that hold a ticket.

    `tracks(room handle, track sid)` gives the track as it is now, or None. `on_event(header, buffers)` gets what the
    kernel is to know, as messages of the link:

        {"event": "view", "room", "track_sid", "view", "type": "state", "state"}
            connecting (no page has a lane), waiting, playing, muted, ended
        {"event": "view", "room", "track_sid", "view", "type": "picture", "width", "height", "unseen"}
            [png]

    `on_views(room handle, track sid)` is called when `views` gives something else. `clock` gives monotonic seconds.
    All methods belong to the thread of one event loop.
    """

    def __init__(
        self,
        tracks: Callable[[int, str], EncodedTrack | None],
        *,
        on_event: Callable[[dict[str, Any], list[bytes]], None] | None = None,
        on_views: Callable[[int, str], None] = lambda room, track_sid: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tracks = tracks
        self._on_event = on_event
        self._on_views = on_views
        self._clock = clock
        self._tickets = TicketBook()
        self._sessions: set[LaneSession] = set()
        self._told: dict[tuple[int, str, str], str] = {}
        self._starting: asyncio.Task[int] | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._runner: web.AppRunner | None = None
        self._closed = False

    async def issue(self, room: int, track_sid: str, view: str, origin: str) -> tuple[int, str]:
        """`(port, ticket)` for one page of the widget `view`, whose `location.origin` is `origin`.

        Starts to listen at the first call. Raises `TrackError` when the room has no such video track, `WireError` for
        arguments no page of ours would send, `CoreError` when no port can be had.
        """
        grant = Grant(room, track_sid, view, origin)
        track = self._tracks(room, track_sid)
        if track is None or track.kind != "video":
            raise TrackError("this video track is not there: it has ended, or is not subscribed")
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        try:
            port = await asyncio.shield(self._starting)
        except OSError as error:
            self._starting = None
            raise CoreError(f"the room core cannot listen for pages on 127.0.0.1: {error}") from error
        if self._closed:
            raise CoreError("the room core is closing")
        return port, self._tickets.issue(grant, self._clock())

    def refresh(self) -> None:
        """Look at all tracks again, because one was muted or has ended. It is also done ten times a second."""
        for session in list(self._sessions):
            session.refresh(self._tracks(session.grant.room, session.grant.track_sid))

    def views(self, room: int, track_sid: str) -> list[Visible]:
        """How large each page shows this track now; for adaptive stream."""
        return [session.visible for session in self._of_track(room, track_sid)]

    async def close(self) -> None:
        """Close all lanes (1001) and the port. Tickets that are out open nothing any more."""
        self._closed = True
        if self._starting is not None:
            # a failed start has nothing to close and was reported by `issue`
            await asyncio.wait([self._starting])
        if self._refreshing is not None:
            self._refreshing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._refreshing
        sessions = list(self._sessions)
        if sessions:
            closing = (session.close(WSCloseCode.GOING_AWAY, "the room core is closing") for session in sessions)
            await asyncio.gather(*closing, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _start(self) -> int:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        # no access log: a lane is as private as what it shows
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=_CLOSE_S)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        port: int = self._runner.addresses[0][1]
        return port

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        grant = self._admit(request)
        if grant is None:
            return web.Response(status=403, text="A lane opens with a fresh ticket only.\n")
        track = self._tracks(grant.room, grant.track_sid)
        if track is None or len(self._sessions) >= LANES or self._closed:
            return web.Response(status=503, text="No lane can be opened now.\n")
        socket = web.WebSocketResponse(
            protocols=(PROTOCOL,), max_msg_size=MESSAGE_BYTES, heartbeat=_HEARTBEAT_S, compress=False, timeout=_CLOSE_S
        )
        await socket.prepare(request)
        session = LaneSession(
            grant,
            socket,
            request.transport,
            clock=self._clock,
            on_state=lambda: self._tell_state(grant),
            on_picture=lambda picture: self._tell_picture(grant, picture),
            on_visible=lambda: self._on_views(grant.room, grant.track_sid),
        )
        self._sessions.add(session)
        self._on_views(grant.room, grant.track_sid)
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._keep_refreshing())
        self._tell_state(grant)
        try:
            await session.run(track)
        finally:
            self._sessions.discard(session)
            self._on_views(grant.room, grant.track_sid)
            self._tell_state(grant)
        return socket

    def _admit(self, request: web.Request) -> Grant | None:
        """What the request's ticket grants; it is used up even when nothing."""
        offered = [name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
        tickets = [name.removeprefix(TICKET_PREFIX) for name in offered if name.startswith(TICKET_PREFIX)]
        if len(tickets) != 1:
            return None
        grant = self._tickets.redeem(tickets[0], request.headers.get("Origin", ""), self._clock())
        upgrade = request.method == "GET" and request.headers.get("Upgrade", "").lower() == "websocket"
        return grant if upgrade and PROTOCOL in offered else None

    async def _keep_refreshing(self) -> None:
        while self._sessions:
            await asyncio.sleep(REFRESH_S)
            try:
                self.refresh()
            except Exception:
                # one track's fault must not stop every other lane
                logger.exception("a lane could not follow its track")
        self._refreshing = None

    def _of_track(self, room: int, track_sid: str) -> Iterable[LaneSession]:
        return (it for it in self._sessions if (it.grant.room, it.grant.track_sid) == (room, track_sid))

    def _tell_state(self, grant: Grant) -> None:
        states = [it.state for it in self._of_track(grant.room, grant.track_sid) if it.grant.view == grant.view]
        state = max(states, key=_STATES.index, default="connecting")
        view = (grant.room, grant.track_sid, grant.view)
        if self._told.get(view, "connecting") == state:
            return
        if state == "connecting":
            del self._told[view]
        else:
            self._told[view] = state
        self._tell(grant, {"type": "state", "state": state})

    def _tell_picture(self, grant: Grant, picture: Picture) -> None:
        about = {"width": picture.width, "height": picture.height, "unseen": picture.unseen}
        self._tell(grant, {"type": "picture", **about}, picture.png)

    def _tell(self, grant: Grant, header: dict[str, Any], *buffers: bytes) -> None:
        if self._on_event is not None:
            event = {"event": "view", "room": grant.room, "track_sid": grant.track_sid, "view": grant.view}
            self._on_event({**event, **header}, list(buffers))
