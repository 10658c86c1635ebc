"""What the kernel can ask the core for: the table of operations, and the rooms and sources they act on."""

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
from lknb.core.source import EncodedSource, FrameSource, describe_source, open_source
from lknb.core.source.frames import frame_from_header
from lknb.core.source.page import PageSource
from lknb.core.track import EncodedTrack, RemoteTrack
from lknb.errors import CoreError, DisconnectedError, MediaError, PublishDataError, TrackError, WireError
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
    """All rooms and sources of one kernel."""

    def __init__(self, link: KernelLink) -> None:
        self._link = link
        self._rooms: dict[int, RoomSession] = {}
        self._feeds: dict[int, Feed] = {}
        self._readers: dict[tuple[int, str], KernelReader] = {}
        self._attached: dict[tuple[int, str], dict[int, Viewer]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        sound = AudioLanes(
            self._audio_tracks,
            tell=lambda grant, header, buffers: self._lanes.tell(grant, header, buffers),
            clock=time.monotonic,
        )
        self._captures = Captures(lambda handle: handle in self._rooms, link.send, self._mute_capture)
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
            "source_open": self._open_source,
            "source_control": self._control_source,
            "source_close": self._close_source,
            "read": self._read,
            "attach": self._attach,
            "track_setting": self._set_track,
            "track_subscription": self._subscribe_track,
            "devices": self._devices,
            "stats": self._stats,
            "lane_ticket": self._lane_ticket,
            "lane_open": self._lane_open,
        }
        self.notices: dict[str, Notice] = {
            "frame": self._frame,
            "keyframe": self._keyframe,
            "lane_up": self._lane_up,
            "lane_close": self._lane_close,
        }

    async def close(self) -> None:
        """Leave all rooms, stop all sources."""
        for reader in self._readers.values():
            reader.close()
        leaving = [session.disconnect() for session in self._rooms.values()]
        await asyncio.gather(*leaving, *self._ending, self._lanes.close(), return_exceptions=True)
        for feed in self._feeds.values():
            feed.close()
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
        info = await session.publish(self._feed(header), header["codec"].lower(), request)
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

    def _audio_tracks(self, handle: int) -> list[RemoteTrack] | None:
        session = self._rooms.get(handle)
        return session.subscribing.audio_tracks() if session is not None else None

    def _find_track(self, handle: int, sid: str) -> EncodedTrack | None:
        session = self._rooms.get(handle)
        if session is None:
            return None
        return session.publication(sid) or session.track(sid)

    # ------------------------------------------------------------------ sources

    async def _open_source(self, header: Header, buffers: list[bytes]) -> Reply:
        handle, kind = header["source"], header["kind"]
        if handle in self._feeds:
            raise CoreError(f"there is a source with handle {handle} already")
        if header["type"] == "page":
            return self._keep_source(handle, await self._captures.open_source(handle, header))
        # a file is read to find out what is in it
        opening = asyncio.get_running_loop().run_in_executor(None, open_source, header["type"], kind, header)
        try:
            source = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_stop_opened)
            raise
        return self._keep_source(handle, source)

    def _keep_source(self, handle: int, source: EncodedSource) -> Reply:
        self._feeds[handle] = Feed(handle, source, lambda error: self._source_ended(handle, error))
        if isinstance(source, FrameSource):
            tell = {"source": handle}
            source.on_keyframe_request = lambda rid: self._link.send({"event": "keyframe_request", **tell, "rid": rid})
            source.on_control = lambda action, parameters: self._link.send(
                {"event": "source_control", **tell, "action": action, **parameters}
            )
        return Reply(describe_source(source), undo=functools.partial(self._drop_source, handle))

    async def _control_source(self, header: Header, buffers: list[bytes]) -> Reply:
        parameters = {name: value for name, value in header.items() if name not in ("op", "id", "source", "action")}
        source, action = self._feed(header).source, header["action"]
        if isinstance(source, PageSource) and action == "acquire":
            await source.acquire()
        elif isinstance(source, PageSource) and action == "switch":
            await source.switch(header["device_id"])
        else:
            return Reply(source.control(action, **parameters) or {})
        return Reply()

    async def _devices(self, header: Header, buffers: list[bytes]) -> Reply:
        return Reply({"devices": await self._captures.devices(header)})

    async def _close_source(self, header: Header, buffers: list[bytes]) -> Reply:
        await self._drop_source(header["source"])
        return Reply()

    async def _drop_source(self, handle: int) -> None:
        feed = self._feeds.pop(handle, None)
        if feed is not None:
            feed.close()

    def _frame(self, header: Header, buffers: list[bytes]) -> None:
        feed = self._feeds.get(header["source"])
        if feed is None or not isinstance(feed.source, FrameSource):
            return
        try:
            frame = frame_from_header(header, buffers[0] if buffers else b"")
        except WireError:
            logger.exception("a frame of the kernel cannot be read")
            return
        feed.source.push(frame)

    def _mute_capture(self, handle: int, source: PageSource, on: bool) -> bool:
        session, feed = self._rooms.get(handle), self._feeds.get(source.capture)
        return session is not None and feed is not None and session.mute_feed(feed, not on)

    def _source_ended(self, handle: int, error: str | None) -> None:
        feed = self._feeds.get(handle)
        if feed is not None and isinstance(feed.source, PageSource):
            # the page is gone, and the kernel may be busy: nobody is to look at a picture that stands still
            for session in self._rooms.values():
                session.end_feed(feed)
        self._link.send({"event": "source_ended", "source": handle, "error": error})

    # ------------------------------------------------------------------ lookups

    def _room(self, header: Header) -> RoomSession:
        session = self._rooms.get(header["room"])
        if session is None:
            raise DisconnectedError("the room is not connected")
        return session

    def _feed(self, header: Header) -> Feed:
        feed = self._feeds.get(header["source"])
        if feed is None:
            raise MediaError("the source is closed")
        return feed


def _lane_of(header: Header) -> tuple[int, str, str, str]:
    return header["room"], header["kind"], header["track_sid"], header["view"]


def _stop_opened(opening: asyncio.Future[EncodedSource]) -> None:
    """Nobody waits for this source any more."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().stop()


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
