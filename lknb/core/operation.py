"""What the kernel can ask the core for: the table of operations, and the rooms they act on."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from typing import Any

from google.protobuf.message import DecodeError
from livekit.protocol import models, rtc

from lknb.core.capture import Captures
from lknb.core.dispatch import Notice, Reply, Request
from lknb.core.feed import Feed
from lknb.core.lane import LaneServer
from lknb.core.lane_audio import AudioLanes
from lknb.core.link import KernelLink
from lknb.core.message import Header
from lknb.core.options import ConnectOptions
from lknb.core.reader import KernelReader
from lknb.core.session import RoomSession
from lknb.core.source.page import PageSource
from lknb.core.sourcing import Sourcing
from lknb.core.track import EncodedTrack, RemoteTrack
from lknb.errors import CoreError, DisconnectedError, PublishDataError, TrackError
from lknb.logic.audience import Viewer
from lknb.logic.track_setting import Dimensions

logger = logging.getLogger(__name__)

_FORWARDED = frozenset(
    {
        "update_layers",
        "subscription_permission",
        "simulate",
        "update_metadata",
        "update_audio_track",
        "update_video_track",
        "publish_data_track_request",
        "unpublish_data_track_request",
        "update_data_subscription",
        "store_data_blob_request",
        "get_data_blob_request",
    }
)
"""Requests of the kernel that go to the server as they are; the others have operations of their own."""


class RoomCore:
    """All rooms of one kernel, and with them its sources and its lanes."""

    def __init__(self, link: KernelLink) -> None:
        self._link = link
        self._rooms: dict[int, RoomSession] = {}
        self._readers: dict[tuple[int, str], KernelReader] = {}
        self._attached: dict[tuple[int, str], dict[int, Viewer]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        sound = AudioLanes(
            self._audio_tracks,
            tell=lambda grant, header, buffers: self._lanes.tell(grant, header, buffers),
            clock=time.monotonic,
        )
        self._captures = Captures(
            lambda handle: handle in self._rooms,
            link.send,
            self._mute_capture,
            lambda handle, view: self._lanes.link(handle, view),
        )
        self._sourcing = Sourcing(link.send, self._captures, self._end_feed)
        self._lanes = LaneServer(
            self._find_track,
            kinds={"audio": sound, "capture": self._captures},
            on_event=link.send,
            on_views=self._look,
            held_bytes=lambda: link.waiting_bytes,
        )
        self.requests: dict[str, Request] = {
            "connect": self._connect,
            "disconnect": self._disconnect,
            "signal": self._signal,
            "publish": self._publish,
            "unpublish": self._unpublish,
            "mute": self._mute,
            "data": self._send_data,
            "read": self._read,
            "attach": self._attach,
            "track_setting": self._set_track,
            "track_subscription": self._subscribe_track,
            "stats": self._stats,
            "lane_ticket": self._lane_ticket,
            "lane_open": self._lane_open,
            **self._sourcing.requests,
        }
        self.notices: dict[str, Notice] = {
            "keyframe": self._keyframe,
            "lane_up": self._lane_up,
            "lane_close": self._lane_close,
            "own_page": self._fill_own_page,
            "tell_tabs": self._tell_tabs,
            **self._sourcing.notices,
        }

    async def close(self) -> None:
        """Leave all rooms, stop all sources."""
        for reader in self._readers.values():
            reader.close()
        leaving = [session.disconnect() for session in self._rooms.values()]
        await asyncio.gather(*leaving, *self._ending, self._lanes.close(), return_exceptions=True)
        self._sourcing.close()
        self._captures.close()

    # ------------------------------------------------------------------ rooms

    async def _connect(self, header: Header, buffers: list[bytes]) -> Reply:
        handle = header["room"]
        if handle in self._rooms:
            raise CoreError(f"there is a room with handle {handle} already")
        session = self._rooms[handle] = RoomSession(
            handle, self._link.send, lambda: self._lost(handle), lambda sid: self._viewers(handle, sid)
        )
        try:
            options = ConnectOptions.parse(header.get("options") or {})
            join, single = await session.connect(header["url"], header["token"], options)
        except BaseException:
            self._rooms.pop(handle, None)
            raise
        return Reply(
            {"single_peer_connection": single},
            (join.SerializeToString(),),
            undo=functools.partial(self._leave, handle, models.DisconnectReason.CLIENT_INITIATED),
        )

    async def _disconnect(self, header: Header, buffers: list[bytes]) -> Reply:
        await self._leave(header["room"], header.get("reason", models.DisconnectReason.CLIENT_INITIATED))
        return Reply()

    async def _leave(self, handle: int, reason: int) -> None:
        session = self._forget(handle)
        if session is not None:
            await session.disconnect(reason)

    def _lost(self, handle: int) -> None:
        """A room ended by itself; it may still be closing when the core ends."""
        session = self._forget(handle)
        if session is not None:
            ending = asyncio.create_task(session.disconnect(), name="lost room")
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    def _forget(self, handle: int) -> RoomSession | None:
        for key in [key for key in self._readers if key[0] == handle]:
            self._readers.pop(key).close()
        self._attached = {key: views for key, views in self._attached.items() if key[0] != handle}
        session = self._rooms.pop(handle, None)
        self._captures.forget_room(handle)
        self._lanes.refresh()
        return session

    async def _signal(self, header: Header, buffers: list[bytes]) -> Reply:
        request = _parse(rtc.SignalRequest, buffers)
        kind = request.WhichOneof("message")
        if kind not in _FORWARDED:
            raise CoreError(f"a signal request {kind!r} is not forwarded")
        self._room(header).send(request)
        return Reply()

    async def _send_data(self, header: Header, buffers: list[bytes]) -> Reply:
        if len(buffers) != 1:
            raise PublishDataError("a data request carries one packet")
        await self._room(header).send_data(buffers[0], reliable=bool(header["reliable"]))
        return Reply()

    async def _stats(self, header: Header, buffers: list[bytes]) -> Reply:
        stats = self._room(header).stats()
        sid = header.get("track_sid")
        if sid is None:
            return Reply(stats)
        track = stats["received"].get(sid) or stats["sent"].get(sid)
        if track is None:
            raise TrackError(f"track {sid} is neither received nor sent")
        return Reply({"streams": track if isinstance(track, list) else [track]})

    # ------------------------------------------------------------------ tracks

    async def _publish(self, header: Header, buffers: list[bytes]) -> Reply:
        session = self._room(header)
        request = _parse(rtc.AddTrackRequest, buffers)
        info = await session.publish(self._sourcing.feed(header), header["codec"].lower(), request)
        return Reply(
            {"sid": info.sid},
            (info.SerializeToString(),),
            undo=functools.partial(session.publishing.unpublish, info.sid),
        )

    async def _unpublish(self, header: Header, buffers: list[bytes]) -> Reply:
        await self._room(header).publishing.unpublish(header["sid"])
        return Reply()

    async def _mute(self, header: Header, buffers: list[bytes]) -> Reply:
        self._room(header).publishing.mute(header["sid"], bool(header["muted"]))
        return Reply()

    async def _read(self, header: Header, buffers: list[bytes]) -> Reply:
        handle, sid = header["room"], header["track_sid"]
        track = self._find_track(handle, sid) if header["on"] else None
        reader = self._readers.get((handle, sid))
        if reader is not None and reader.track is not track:
            reader.close()
            del self._readers[handle, sid]
            reader = None
        if header["on"]:
            if track is None:
                raise TrackError(f"track {sid} is not subscribed")
            if reader is None:
                reader = self._readers[handle, sid] = KernelReader(self._link, handle, track)
                reader.open()
            # on again is another size of the same reader
            reader.viewer = Viewer(_size(header))
        self._look(handle, sid)
        return Reply()

    async def _set_track(self, header: Header, buffers: list[bytes]) -> Reply:
        self._room(header).wishes.ask(
            header["track_sid"],
            enabled=header.get("enabled"),
            quality=header.get("quality"),
            dimensions=_size(header),
            fps=header.get("fps"),
            any_quality="quality" in header and header["quality"] is None,
        )
        return Reply()

    async def _subscribe_track(self, header: Header, buffers: list[bytes]) -> Reply:
        self._room(header).wishes.subscribe(header["track_sid"], bool(header["on"]))
        return Reply()

    async def _attach(self, header: Header, buffers: list[bytes]) -> Reply:
        handle, sid = header["room"], header["track_sid"]
        attached = self._attached.setdefault((handle, sid), {})
        if header["on"]:
            attached[header["view"]] = Viewer(_size(header), bool(header["visible"]))
        else:
            attached.pop(header["view"], None)
        if not attached:
            del self._attached[handle, sid]
        self._look(handle, sid)
        return Reply()

    def _look(self, handle: int, sid: str) -> None:
        """The views or readers of a track changed."""
        session = self._rooms.get(handle)
        if session is not None:
            session.wishes.look(sid)

    def _viewers(self, handle: int, sid: str) -> list[Viewer]:
        viewers = [
            Viewer(Dimensions(view.width * view.dpr, view.height * view.dpr), view.visible)
            for view in self._lanes.views(handle, sid)
        ]
        viewers += self._attached.get((handle, sid), {}).values()
        reader = self._readers.get((handle, sid))
        return [*viewers, reader.viewer] if reader is not None else viewers

    def _keyframe(self, header: Header, buffers: list[bytes]) -> None:
        track = self._find_track(header["room"], header["track_sid"])
        if track is not None:
            track.request_keyframe()

    async def _lane_ticket(self, header: Header, buffers: list[bytes]) -> Reply:
        port, ticket = await self._lanes.issue(*_lane_of(header), header["origin"])
        return Reply({"port": port, "ticket": ticket})

    async def _lane_open(self, header: Header, buffers: list[bytes]) -> Reply:
        return Reply({"lane": self._lanes.open_comm(*_lane_of(header))})

    def _lane_up(self, header: Header, buffers: list[bytes]) -> None:
        self._lanes.receive_comm(header["lane"], buffers)

    def _lane_close(self, header: Header, buffers: list[bytes]) -> None:
        self._lanes.close_comm(header["lane"])

    def _fill_own_page(self, header: Header, buffers: list[bytes]) -> None:
        style, script = buffers
        self._lanes.own_page.fill(style.decode(), script.decode())

    def _tell_tabs(self, header: Header, buffers: list[bytes]) -> None:
        self._captures.tell_tabs(header["room"], header["header"])

    def _audio_tracks(self, handle: int) -> list[RemoteTrack] | None:
        session = self._rooms.get(handle)
        return session.subscribing.audio_tracks() if session is not None else None

    def _find_track(self, handle: int, sid: str) -> EncodedTrack | None:
        session = self._rooms.get(handle)
        if session is None:
            return None
        return session.publication(sid) or session.track(sid)

    # ------------------------------------------------------------------ sources in rooms

    def _mute_capture(self, handle: int, source: PageSource, on: bool) -> bool:
        session, feed = self._rooms.get(handle), self._sourcing.feed_of(source.capture)
        return session is not None and feed is not None and session.mute_feed(feed, not on)

    def _end_feed(self, feed: Feed) -> None:
        for session in self._rooms.values():
            session.end_feed(feed)

    # ------------------------------------------------------------------ lookups

    def _room(self, header: Header) -> RoomSession:
        session = self._rooms.get(header["room"])
        if session is None:
            raise DisconnectedError("the room is not connected")
        return session


def _lane_of(header: Header) -> tuple[int, str, str, str]:
    return header["room"], header["kind"], header["track_sid"], header["view"]


def _size(header: Header) -> Dimensions | None:
    """The size a request names, in pixels."""
    width, height = header.get("width"), header.get("height")
    return Dimensions(width, height) if width is not None and height is not None else None


def _parse(kind: type[Any], buffers: list[bytes]) -> Any:
    """The one protobuf message of a request."""
    if len(buffers) != 1:
        raise CoreError(f"a {kind.__name__} is expected in one buffer")
    try:
        return kind.FromString(buffers[0])
    except DecodeError as error:
        raise CoreError(f"the request holds no {kind.__name__}") from error
