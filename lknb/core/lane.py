"""Lanes: how pages get media past the kernel, and the core hears of what they see.

The kernel runs the user's cells: while one computes, nothing that passes through the kernel's loop moves. The core has
nothing else to do. A page opens a websocket to the port the core serves on the loopback interface, either itself or through
the proxy of the notebook's server, in a Worker, where no table being rendered delays it. Where neither can be had the same
messages travel through the comm of the widget, which works everywhere (`lane_comm`).

One binary websocket frame, or one buffer of a comm message, holds one message (`lknb.core.message`). On every lane:

    core -> page   {"type": "open"}                              first of all: somebody is there, not just a proxy
                   {"type": "ping"}                              on the comm, to a page that may be gone
    page -> core   {"type": "hello", lane, ...}                  first of all: which way it took, "direct", "proxy" or "comm"
                   {"type": "pong"}

On a lane of kind "video":

    core -> page   {"type": "config", codec, width, height}      before the first frame, and when one of them changes
                   {"type": "chunk", sequence, timestamp_us, keyframe} [data]
                   {"type": "muted", muted}
                   {"type": "ended"}                             the page sends its last picture and closes
    page -> core   {"type": "hello", lane, codecs}
                   {"type": "ack", sequence}                     cumulative
                   {"type": "keyframe"}                          the decoder cannot go on
                   {"type": "visible", width, height, dpr, visible}
                   {"type": "picture", width, height, unseen} [png]    for the saved notebook

On a lane of kind "audio": see `lane_audio_session`.

The same port serves one page of our own, for browsers whose notebook may not use cameras (`lane_page`).

The ticket travels in the list of subprotocols: it is in no URL, hence in no log and in no error text of the browser. The
proxy of the notebook's server hands list and `Origin` on as they are; what else it says about its client is not looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aiohttp import web

from lknb.core.lane_comm import CommPort, CommTurns
from lknb.core.lane_end import MESSAGE_BYTES, LaneEnd
from lknb.core.lane_message import Visible
from lknb.core.lane_page import PATH, OwnPage, origin_of
from lknb.core.lane_port import GOING_AWAY, LANE_NAMES, NORMAL, NOT_ALLOWED, LaneKind
from lknb.core.lane_ticket import COMM_ORIGIN, LINK_LIFETIME_S, OWN_ORIGIN, Grant, TicketBook
from lknb.core.lane_video import VideoLanes
from lknb.core.lane_websocket import WebSocketPort
from lknb.core.message import encode_message
from lknb.errors import CoreError, LknbError, TrackError, WireError

if TYPE_CHECKING:
    from lknb.core.track import EncodedTrack

logger = logging.getLogger(__name__)

PROTOCOL = "lknb.lane.1"
TICKET_PREFIX = "lknb.ticket."
LANES = 64
"""Open at once, on all carriers; more are refused."""
REFRESH_S = 0.1
_HEARTBEAT_S = 20.0
_CLOSE_S = 1.0


class LaneServer:
    """The lanes of one core, to pages that hold a ticket or come by the kernel.

    `tracks(room handle, track sid)` gives the track as it is now, or None. `kinds` has what lanes of other kinds than
    "video" are for. `on_event(header, buffers)` gets what the kernel is to know, as messages of the link:

        {"event": "view", "room", "track_sid", "view", "type": ...}
            as `VideoLanes` tells it, and of every kind {"type": "lane", "lane"}: the best way any page has, "" for none
        {"event": "lanes_down", "lanes"} [encoded messages]
            each for the page at the other end of the comm lane at its place in `lanes`
        {"event": "lane_closed", "room", "view", "lane", "code", "reason"}
            this comm lane is closed

    `on_views(room handle, track sid)` is called when `views` of that track gives something else, `held_bytes()` says how
    much the link to the kernel holds. `clock` gives monotonic seconds. All methods belong to the thread of one event loop.
    """

    def __init__(
        self,
        tracks: Callable[[int, str], EncodedTrack | None],
        *,
        kinds: Mapping[str, LaneKind] | None = None,
        on_event: Callable[[dict[str, Any], list[bytes]], None] = lambda header, buffers: None,
        on_views: Callable[[int, str], None] = lambda room, track_sid: None,
        held_bytes: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_event = on_event
        self._held_bytes = held_bytes
        self._clock = clock
        self._videos = VideoLanes(tracks, tell=self.tell, on_views=on_views, clock=clock)
        self._kinds: dict[str, LaneKind] = {"video": self._videos, **(kinds or {})}
        self._tickets = TicketBook()
        self.own_page = OwnPage()
        self._ends: set[LaneEnd] = set()
        self._comms: dict[str, tuple[LaneEnd, CommPort]] = {}
        self._turns = CommTurns(
            lambda lanes, messages: on_event({"event": "lanes_down", "lanes": lanes}, messages), clock
        )
        self._told: dict[tuple[int, str], str] = {}
        self._starting: asyncio.Task[int] | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._runner: web.AppRunner | None = None
        self._closed = False

    # ------------------------------------------------------------------ what the kernel asks for

    async def issue(self, room: int, kind: str, track_sid: str, view: str, origin: str) -> tuple[int, str]:
        """`(port, ticket)` for one page of the widget `view`, whose `location.origin` is `origin`.

        Starts to listen at the first call. Raises `TrackError` when the room has no such video track, `WireError` for
        arguments no page of ours would send, `CoreError` when no port can be had.
        """
        grant = self._checked(room, kind, track_sid, view, origin)
        try:
            port = await asyncio.shield(self._listen())
        except OSError as error:
            self._starting = None
            raise CoreError(f"the room core cannot listen for pages on 127.0.0.1: {error}") from error
        if self._closed:
            raise CoreError("the room core is closing")
        return port, self._tickets.issue(grant, self._clock())

    def link(self, room: int, view: str) -> tuple[int, str] | None:
        """`(port, ticket)` for our own page, to capture for a room, within `LINK_LIFETIME_S`. None when the port is not open
        yet, or cannot be had: ask again."""
        if self._closed:
            return None
        listening = self._listen()
        if not listening.done():
            return None
        if listening.cancelled() or listening.exception() is not None:
            self._starting = None
            return None
        grant = Grant(room, "capture", "", view, OWN_ORIGIN)
        return listening.result(), self._tickets.issue(grant, self._clock(), LINK_LIFETIME_S)

    def open_comm(self, room: int, kind: str, track_sid: str, view: str) -> str:
        """Open a lane to one page of the widget `view` through its comm; what it is called from now on.

        Raises as `issue`, and `CoreError` when there are too many.
        """
        grant = self._checked(room, kind, track_sid, view, COMM_ORIGIN)
        if self._closed or len(self._ends) >= LANES:
            raise CoreError(f"the room core has {LANES} lanes to pages open, and no more")
        lane = secrets.token_hex(8)

        def closed(code: int, reason: str) -> None:
            del self._comms[lane]
            self._end(end)
            about = {"room": room, "view": view, "lane": lane, "code": code, "reason": reason}
            self._on_event({"event": "lane_closed", **about}, [])

        port = CommPort(
            lane,
            closed,
            turns=self._turns,
            held_bytes=self._held_bytes,
            clock=self._clock,
        )
        end = self._begin(grant, port)
        # whose page may be the one that is reloaded
        for before, its_port in self._comms.values():
            if (before.grant.room, before.grant.view) == (room, view):
                its_port.ask()
        self._comms[lane] = end, port
        return lane

    def receive_comm(self, lane: str, messages: Sequence[bytes]) -> None:
        """Encoded messages of the page at the end of a comm lane; of one that is closed they are dropped."""
        for message in messages:
            end, port = self._comms.get(lane, (None, None))
            if end is None or port is None:
                return
            port.hear()
            try:
                end.receive(message)
            except WireError as error:
                logger.warning("a page's lane is closed: %s", error)
                port.end(NOT_ALLOWED, "not a message of this lane")

    def close_comm(self, lane: str) -> None:
        """The page has left, or its widget is closed. Harmless for a lane that is not there."""
        if lane in self._comms:
            self._comms[lane][1].end(NORMAL, "the page has left")

    # ------------------------------------------------------------------ for the core

    def tell(self, grant: Grant, header: dict[str, Any], buffers: list[bytes]) -> None:
        """Tell the kernel something about a view."""
        event = {"event": "view", "room": grant.room, "track_sid": grant.track_sid, "view": grant.view}
        self._on_event({**event, **header}, buffers)

    def refresh(self) -> None:
        """Look at all rooms again, because a track was muted or has ended. It is also done ten times a second."""
        for end in list(self._ends):
            if end not in self._ends:
                continue
            try:
                end.session.refresh()
            except Exception:
                # one track's fault must not stop every other lane
                logger.exception("a lane could not follow its room")

    def views(self, room: int, track_sid: str) -> list[Visible]:
        """How large each page shows this track now; for adaptive stream."""
        return self._videos.views(room, track_sid)

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
        closing = [end.port.close(GOING_AWAY, "the room core is closing") for end in self._ends]
        await asyncio.gather(*closing, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    # ------------------------------------------------------------------ websockets

    def _listen(self) -> asyncio.Task[int]:
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        return self._starting

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
        if request.path == PATH:
            return self.own_page.answer(request)
        grant = self._admit(request)
        if grant is None:
            return web.Response(status=403, text="A lane opens with a fresh ticket only.\n")
        if len(self._ends) >= LANES or self._closed:
            return web.Response(status=503, text="No lane can be opened now.\n")
        socket = web.WebSocketResponse(
            protocols=(PROTOCOL,), max_msg_size=MESSAGE_BYTES, heartbeat=_HEARTBEAT_S, compress=False, timeout=_CLOSE_S
        )
        await socket.prepare(request)
        if not self._is_there(grant):
            # it was when the ticket was issued: the page is to ask again, and not to think that this way leads nowhere
            await socket.send_bytes(encode_message({"type": "open"}))
            await socket.close(code=NORMAL, message=b"what the lane is for is gone")
            return socket
        port = WebSocketPort(socket, request.transport)
        end = self._begin(grant, port)
        try:
            await port.run(end.receive)
        finally:
            self._end(end)
        return socket

    def _admit(self, request: web.Request) -> Grant | None:
        """What the request's ticket grants; it is used up even when nothing."""
        offered = [name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
        tickets = [name.removeprefix(TICKET_PREFIX) for name in offered if name.startswith(TICKET_PREFIX)]
        if len(tickets) != 1:
            return None
        grant = self._tickets.redeem(tickets[0], origin_of(request), self._clock())
        upgrade = request.method == "GET" and request.headers.get("Upgrade", "").lower() == "websocket"
        return grant if upgrade and PROTOCOL in offered else None

    def _is_there(self, grant: Grant) -> bool:
        try:
            self._kinds[grant.kind].check(grant)
        except LknbError:
            return False
        return True

    # ------------------------------------------------------------------ lanes on any carrier

    def _checked(self, room: int, kind: str, track_sid: str, view: str, origin: str) -> Grant:
        grant = Grant(room, kind, track_sid, view, origin)
        if kind not in self._kinds:
            raise TrackError(f"this room core has no lanes for {kind}")
        self._kinds[kind].check(grant)
        return grant

    def _begin(self, grant: Grant, port: WebSocketPort | CommPort) -> LaneEnd:
        port.send({"type": "open"})
        session = self._kinds[grant.kind].open(grant, port)
        end = LaneEnd(grant, port, session, clock=self._clock, on_hello=lambda header: self._greet(end, port, header))
        self._ends.add(end)
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._keep_refreshing())
        return end

    def _end(self, end: LaneEnd) -> None:
        self._ends.discard(end)
        end.session.closed()
        self._tell_lane(end.grant)

    def _greet(self, end: LaneEnd, port: WebSocketPort | CommPort, header: Mapping[str, Any]) -> None:
        name = header.get("lane")
        possible = LANE_NAMES[:2] if isinstance(port, WebSocketPort) else LANE_NAMES[2:]
        if name not in possible:
            raise WireError("a hello that names no way it can have come by")
        port.name = name
        end.greeted = True
        self._tell_lane(end.grant)

    async def _keep_refreshing(self) -> None:
        while self._ends:
            await asyncio.sleep(REFRESH_S)
            self.refresh()
            heard_at = max((port.heard_at for _, port in self._comms.values()), default=0.0)
            for _, port in list(self._comms.values()):
                if not port.watch(heard_at):
                    port.end(GOING_AWAY, "the page does not answer")
        self._refreshing = None

    def _tell_lane(self, grant: Grant) -> None:
        view = (grant.room, grant.view)
        names = [it.port.name for it in self._ends if (it.grant.room, it.grant.view) == view and it.greeted]
        best = min(names, key=LANE_NAMES.index, default="")
        if best == self._told.get(view, ""):
            return
        self._told[view] = best
        if not best:
            del self._told[view]
        self.tell(grant, {"type": "lane", "lane": best}, [])
