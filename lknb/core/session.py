"""One room, from connect to disconnect: its signalling, its peer connections, and what the kernel hears of it."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any

from livekit.protocol import models, rtc

from lknb.core.address import ServerAddress
from lknb.core.connection import Connection, ConnectionSettings
from lknb.core.data import DataLink
from lknb.core.feed import Feed
from lknb.core.join import Joined, Joiner
from lknb.core.message import Buffer
from lknb.core.options import ConnectOptions
from lknb.core.publication import Publication
from lknb.core.publishing import Publishing
from lknb.core.refusal import leave_error
from lknb.core.signal import SignalSocket
from lknb.core.subscribing import Subscribing
from lknb.core.track import RemoteTrack
from lknb.core.track_wishes import TrackWishes
from lknb.errors import ConnectError, DisconnectedError
from lknb.logic.audience import Viewer
from lknb.logic.room_state import RoomChange, RoomState, RoomStateMachine
from lknb.transport.error import TransportError

logger = logging.getLogger(__name__)

Reason = models.DisconnectReason
Emit = Callable[[Mapping[str, Any], Sequence[Buffer]], None]

_UNFORWARDED = frozenset({"answer", "offer", "trickle", "media_sections_requirement", "pong", "pong_resp", "join"})
"""Responses that are the core's own business."""

_LEAVE_GRACE_S = 0.5


class RoomSession:
    """A room of the kernel, by its handle. `emit(header, buffers)` sends the kernel an event.

    After `connect` has failed, or the room was left, a session is used up.
    """

    def __init__(
        self,
        handle: int,
        emit: Emit,
        on_ended: Callable[[], None],
        viewers: Callable[[str], Iterable[Viewer]] = lambda sid: (),
    ) -> None:
        """`on_ended` is called when the session is over without `disconnect`, before the kernel is told. `viewers(sid)` are
        those who look at a track; after a change call `wishes.look(sid)`."""
        self.handle = handle
        self._on_ended = on_ended
        self.refresh_token = ""
        self.subscribing = Subscribing(handle, self._emit_header, self._rtt_s, self._follow_track)
        self.wishes = TrackWishes(handle, self._send, self._emit_header, self.subscribing.published, viewers)
        self._emit = emit
        self._state = RoomStateMachine()
        self._loop = asyncio.get_running_loop()
        self._signal: SignalSocket | None = None
        self._connection: Connection | None = None
        self._publishing: Publishing | None = None
        self._sid = ""
        self._data: DataLink | None = None
        self._address: ServerAddress | None = None
        self._lost: asyncio.Future[ConnectError] = self._loop.create_future()
        self._unsent: list[rtc.SignalRequest] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._connecting: asyncio.Task[Any] | None = None
        self._releasing: asyncio.Task[None] | None = None
        self._leave_awaited: asyncio.TimerHandle | None = None
        self._responses: dict[str, Callable[[rtc.SignalResponse], None]] = {
            "answer": lambda message: self._live().publisher.handle_answer(message.answer),
            "offer": lambda message: self._live().handle_offer(message.offer),
            "trickle": lambda message: self._spawn(self._live().add_candidate(message.trickle)),
            "media_sections_requirement": lambda message: self._live().require_sections(
                message.media_sections_requirement
            ),
            "update": self._on_update,
            "track_published": lambda message: self.publishing.on_published(message.track_published),
            "request_response": lambda message: self.publishing.on_request_response(message.request_response),
            "mute": lambda message: self.publishing.on_muted(message.mute),
            "track_unpublished": lambda message: self.publishing.on_unpublished(message.track_unpublished.track_sid),
            "subscribed_quality_update": lambda message: self.publishing.on_qualities(
                message.subscribed_quality_update
            ),
            "refresh_token": self._on_refresh_token,
            "leave": self._on_leave,
        }

    @property
    def state(self) -> RoomState:
        return self._state.state

    @property
    def publishing(self) -> Publishing:
        """The tracks we send. Raises `DisconnectedError` when the room is not connected."""
        if self._publishing is None:
            raise DisconnectedError("the room is not connected")
        return self._publishing

    # ------------------------------------------------------------------ connect and disconnect

    async def connect(self, url: str, token: str, options: ConnectOptions) -> tuple[rtc.JoinResponse, bool]:
        """Join; the server's answer and whether it is a single peer connection, once media can flow.

        Raises `ConnectError`. Then, and when cancelled at any point, nothing stays open and the server is told.
        """
        self._connecting = asyncio.current_task()
        self.wishes.adaptive = options.adaptive_stream
        try:
            self._address = ServerAddress.parse(url)
            self._move(RoomChange.CONNECT)
            joined = await self._join(self._address, token, options)
            await self._connect_media(joined)
        except BaseException:
            await self._release_whatever_happens(Reason.CLIENT_INITIATED)
            raise
        finally:
            self._connecting = None
        self._move(RoomChange.JOINED)
        for request in self._unsent:
            joined.signal.send(request)
        self._unsent.clear()
        return joined.response, joined.connection.single

    async def disconnect(self, reason: int = Reason.CLIENT_INITIATED) -> None:
        """Leave the room, or give up joining it, and release everything. Idempotent; takes about a second at most."""
        if self._connecting is not None and self._connecting is not asyncio.current_task():
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        await self._release_whatever_happens(reason)

    async def _join(self, address: ServerAddress, token: str, options: ConnectOptions) -> Joined:
        def settings(data: DataLink) -> ConnectionSettings:
            return ConnectionSettings(
                loopback=address.is_loopback,
                cname=f"lknb-{secrets.token_hex(8)}",
                data=data,
                send=self._send_now,
                on_tracks=self.subscribing.update,
                on_failed=self._on_media_failed,
            )

        joined = await Joiner(address, token, options, settings, lambda: DataLink(self._on_data)).join()
        self._signal, self._connection, self._data = joined.signal, joined.connection, joined.data
        self._publishing = Publishing(joined.connection, self._send, dynacast=options.dynacast)
        self._sid = joined.response.participant.sid
        self._publishing.permission = joined.response.participant.permission
        self.subscribing.note_participants([joined.response.participant, *joined.response.other_participants])
        joined.signal.start(
            self._on_response,
            self._on_signal_lost,
            ping_interval_s=joined.response.ping_interval,
            ping_timeout_s=joined.response.ping_timeout,
        )
        return joined

    async def _connect_media(self, joined: Joined) -> None:
        await joined.connection.begin(joined.response)
        connected = asyncio.ensure_future(joined.connection.wait_connected())
        waits: set[asyncio.Future[Any]] = {connected, self._lost}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if self._lost.done():
                raise self._lost.result()
            connected.result()
        except TransportError as error:
            raise self._media_error(error.message) from error
        finally:
            connected.cancel()
            await asyncio.gather(connected, return_exceptions=True)

    async def _release_whatever_happens(self, reason: int) -> None:
        # a second cancellation must not leave half of it open: the task goes on by itself
        if self._releasing is None:
            self._releasing = asyncio.create_task(self._release(reason), name="leave room")
        await asyncio.shield(self._releasing)

    async def _release(self, reason: int) -> None:
        if self._leave_awaited is not None:
            self._leave_awaited.cancel()
        if self._state.can(RoomChange.CLOSED):
            self._move(RoomChange.CLOSED)
        self.wishes.close()
        self.subscribing.close()
        if self._publishing is not None:
            self._publishing.close()
        if self._data is not None:
            self._data.close()
        if self._signal is not None:
            self._signal.send(rtc.SignalRequest(leave=_leave_request(reason)))
            await self._signal.flush_and_close()
        if self._connection is not None:
            await self._connection.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._lost.cancel()

    # ------------------------------------------------------------------ what the kernel asks for

    def send(self, request: rtc.SignalRequest) -> None:
        """Send a request of the kernel as it is. Raises `DisconnectedError` when the room is not connected."""
        if self.state is RoomState.DISCONNECTED:
            raise DisconnectedError("the room is not connected")
        self._send(request)

    async def send_data(self, packet: bytes, *, reliable: bool) -> None:
        """Send a serialised `DataPacket`. Raises `PublishDataError` or `DisconnectedError`."""
        if self._data is None or self._connection is None or self.state is RoomState.DISCONNECTED:
            raise DisconnectedError("the room is not connected")
        try:
            await self._connection.wait_publisher()
        except TransportError as error:
            raise DisconnectedError(f"the room is not connected: {error.message}") from error
        await self._data.send(packet, reliable=reliable)

    async def publish(self, feed: Feed, codec: str, request: rtc.AddTrackRequest) -> models.TrackInfo:
        """Publish the frames of a source. Raises `PublishTrackError` or `DisconnectedError`."""
        return await self.publishing.publish(feed, codec, request)

    def track(self, sid: str) -> RemoteTrack | None:
        """A subscribed track of somebody else."""
        return self.subscribing.track(sid)

    def publication(self, sid: str) -> Publication | None:
        """A track of ours."""
        return self._publishing.publication(sid) if self._publishing is not None else None

    def mute_feed(self, feed: Feed, muted: bool) -> bool:
        """A button of a page: mute or unmute what is published of its device, and let the kernel follow as if the server
        had asked. Whether there is such a track."""
        sid = self._publishing.sid_of(feed) if self._publishing is not None else None
        if sid is None:
            return False
        self.publishing.mute(sid, muted)
        told = rtc.SignalResponse(mute=rtc.MuteTrackRequest(sid=sid, muted=muted))
        self._emit({"event": "signal", "room": self.handle}, (told.SerializeToString(),))
        return True

    def end_feed(self, feed: Feed) -> None:
        """The source of this feed is gone for good: whatever is published of it ends."""
        if self._publishing is not None:
            self._publishing.end_feed(feed)

    def stats(self) -> dict[str, Any]:
        """Figures of the session and of all its tracks."""
        return {
            "state": self.state.value,
            "single_peer_connection": self._connection is not None and self._connection.single,
            "signal_rtt_ms": self._signal.rtt_ms if self._signal is not None else 0,
            "lossy_dropped": self._data.lossy_dropped if self._data is not None else 0,
            "received": self.subscribing.stats(),
            "sent": self._publishing.stats() if self._publishing is not None else {},
        }

    # ------------------------------------------------------------------ what happens

    def _on_response(self, response: rtc.SignalResponse) -> None:
        kind = response.WhichOneof("message")
        if kind is None:
            return
        if kind not in _UNFORWARDED:
            self._emit({"event": "signal", "room": self.handle}, (response.SerializeToString(),))
        handler = self._responses.get(kind)
        if handler is not None and self._releasing is None:
            handler(response)

    def _on_update(self, response: rtc.SignalResponse) -> None:
        self.subscribing.note_participants(response.update.participants)
        for info in response.update.participants:
            if info.sid == self._sid and self._publishing is not None:
                self._publishing.permission = info.permission
        self.wishes.prune()

    def _follow_track(self, sid: str, track: RemoteTrack | None) -> None:
        self.wishes.follow(sid, track)

    def _on_refresh_token(self, response: rtc.SignalResponse) -> None:
        self.refresh_token = response.refresh_token

    def _on_leave(self, response: rtc.SignalResponse) -> None:
        leave = response.leave
        if self._address is not None:
            self._lose(leave.reason, leave_error(leave.reason, self._address))

    def _on_signal_lost(self, reason: str) -> None:
        self._lose(Reason.SIGNAL_CLOSE, ConnectError(reason, "unavailable"))

    def _on_media_failed(self, reason: str) -> None:
        if self.state is RoomState.CONNECTING:
            self._lose(Reason.CONNECTION_TIMEOUT, self._media_error(reason))
        elif self._leave_awaited is None:
            # a server that ends the session closes the peer connection and says leave at the same time
            error = ConnectError(reason, "media")
            self._leave_awaited = self._loop.call_later(_LEAVE_GRACE_S, self._lose, Reason.CONNECTION_TIMEOUT, error)

    def _lose(self, reason: int, error: ConnectError) -> None:
        """The session is over without the kernel having asked for it."""
        if self._releasing is not None:
            return
        if self.state is RoomState.CONNECTING:
            if not self._lost.done():
                self._lost.set_result(error)
            return
        self._releasing = asyncio.create_task(self._release(Reason.CLIENT_INITIATED), name="leave room")
        self._on_ended()
        self._emit({"event": "disconnected", "room": self.handle, "reason": reason, "message": error.message}, ())

    def _on_data(self, reliable: bool, packet: bytes) -> None:
        self._emit({"event": "data", "room": self.handle, "reliable": reliable}, (packet,))

    # ------------------------------------------------------------------ small things

    def _send(self, request: rtc.SignalRequest) -> None:
        """Send when connected; before that, or during a reconnection, keep it in order."""
        if self.state is RoomState.CONNECTED and self._signal is not None:
            self._signal.send(request)
        elif self.state is not RoomState.DISCONNECTED:
            self._unsent.append(request)

    def _send_now(self, request: rtc.SignalRequest) -> None:
        """Send what brings the connection about."""
        if self._signal is not None:
            self._signal.send(request)

    def _media_error(self, reason: str) -> ConnectError:
        return ConnectError(
            f"the room was joined, but media cannot reach {self._address}: {reason}. "
            "Check that UDP to the server's media ports is not blocked",
            "media",
        )

    def _live(self) -> Connection:
        if self._connection is None:
            raise DisconnectedError("the room is not connected")
        return self._connection

    def _rtt_s(self) -> float:
        return self._signal.rtt_ms / 1000 if self._signal is not None else 0.0

    def _emit_header(self, header: Mapping[str, Any]) -> None:
        self._emit(header, ())

    def _move(self, change: RoomChange) -> None:
        state = self._state.handle(change)
        self._emit({"event": "state", "room": self.handle, "state": state.value}, ())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _leave_request(reason: int) -> rtc.LeaveRequest:
    return rtc.LeaveRequest(
        reason=reason if reason in Reason.values() else Reason.CLIENT_INITIATED,  # type: ignore[arg-type]
        action=rtc.LeaveRequest.Action.DISCONNECT,
    )
