"""A room, and our place in it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, TypeVar

from livekit.protocol import rtc

from lknb.core.client import CoreClient
from lknb.errors import ConnectError, CoreError, DisconnectedError, LknbError
from lknb.logic.member import Member
from lknb.logic.room_state import RECONNECTING, RoomChange, RoomState, RoomStateMachine, announcements
from lknb.logic.roster import Roster
from lknb.rtc.announcer import Announcer
from lknb.rtc.core_room import CoreRoom
from lknb.rtc.data_announcer import tell_data
from lknb.rtc.display import display_view
from lknb.rtc.enumeration import (
    ConnectionState,
    DisconnectReason,
    TrackKind,
    TrackSource,
)
from lknb.rtc.local_participant import LocalParticipant
from lknb.rtc.option import RoomOptions, connect_options
from lknb.rtc.participant import Participant, RemoteParticipant
from lknb.rtc.room_info import RoomInfo, RtcStats
from lknb.rtc.track import RemoteTrack
from lknb.rtc.track_list import TrackList
from lknb.rtc.way_in import WayIn

logger = logging.getLogger(__name__)

T = TypeVar("T")

_DISCONNECT_TIMEOUT_S = 3.0
_WAIT_TIMEOUT_S = 10.0


class Room(RoomInfo):
    """A LiveKit room.

    Everything happens on the event loop that runs `connect()`; handlers are called there. A connected room stays
    connected until `disconnect()`, the end of an `async with`, or the end of the process, whether a variable holds it or not.
    A room can be connected again after it was left.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """`loop` is taken for compatibility with `livekit.rtc` and not used."""
        super().__init__()
        self._machine = RoomStateMachine()
        self._announcer = Announcer(self)
        self._core: CoreRoom | None = None
        self._auto_subscribe = True
        self._local_participant: LocalParticipant | None = None
        self._remote_participants: dict[str, RemoteParticipant] = {}
        self._active_speakers: list[Participant] = []
        self._joining: asyncio.Future[Any] | None = None
        self._leaving: asyncio.Future[None] | None = None
        self._way_in: WayIn | None = None
        self._conditions: dict[asyncio.Future[Any], Callable[[], Any]] = {}
        self._handlers: Mapping[str, Callable[[Mapping[str, Any], list[bytes]], None]] = {
            "signal": lambda _, buffers: self._take_signal(rtc.SignalResponse.FromString(buffers[0])),
            "track_subscribed": lambda header, _: self._announcer.subscribed(header["track_sid"]),
            "track_unsubscribed": lambda header, _: self._announcer.unsubscribed(header["track_sid"]),
            "sight": lambda header, _: self._announcer.seen(header),
            "data": lambda header, buffers: tell_data(self, buffers[0], reliable=header["reliable"]),
            "state": lambda header, _: self._follow(RoomState(header["state"])),
            "disconnected": lambda header, _: self._finish(_reason(header.get("reason", 0)), header.get("message", "")),
        }

    async def connect(self, url: str, token: str, options: RoomOptions | None = None) -> None:
        """Join the room that `token` is for, on the server at `url` (`ws://`, `wss://`, `http://` or `https://`).

        Raises ConnectError, whose `kind` says why. When cancelled, everything is taken back.
        """
        options = options if options is not None else RoomOptions()
        if options.e2ee is not None or options.encryption is not None:
            raise ConnectError("end-to-end encryption is not supported", "unsupported")
        if not self._machine.can(RoomChange.CONNECT):
            raise ConnectError(f"this room is {self._machine.state.value} already", "bad_request")
        self._machine.handle(RoomChange.CONNECT)
        loop = asyncio.get_running_loop()
        self._expect_sid()
        try:
            core = CoreRoom.open(CoreClient.shared(), loop, self._receive, self._core_lost)
            try:
                response = await self._join(core, url, token, options)
                self._way_in = WayIn(url, lambda: token, options, loop)
                self._begin(core, response, options)
            except BaseException:
                # the core may have joined already when the cancellation came
                core.abandon()
                raise
        except BaseException as error:
            self._machine.handle(RoomChange.CLOSED)
            self._fail_sid("the room was not joined")
            if isinstance(error, CoreError | DisconnectedError):
                raise ConnectError(error.message) from error
            raise

    async def disconnect(self, *, reason: DisconnectReason | int = DisconnectReason.CLIENT_INITIATED) -> None:
        """Leave the room, or give up joining it. Harmless when that has happened already."""
        if self._joining is not None:
            self._joining.cancel()
        elif self._leaving is not None:
            await asyncio.shield(self._leaving)
        elif self._core is not None:
            await self._leave(self._core, _reason(reason))

    async def switch_active_device(self, kind: str, device_id: str) -> None:
        """See `LocalParticipant.switch_active_device` (livekit-client has it on the room)."""
        await self.local_participant.switch_active_device(kind, device_id)

    def get_active_device(self, kind: str) -> str:
        """See `LocalParticipant.get_active_device`."""
        return self.local_participant.get_active_device(kind)

    async def wait_for_track(
        self, identity: str, *, kind: int = TrackKind.KIND_VIDEO, timeout: float | None = _WAIT_TIMEOUT_S
    ) -> RemoteTrack:
        """The first track of this kind that is subscribed of a participant, as soon as there is one.

        `timeout` is in seconds, None for no limit. Raises TimeoutError, and DisconnectedError when the room is left first.
        """

        def subscribed() -> RemoteTrack | None:
            participant = self._remote_participants.get(identity)
            publications = participant.track_publications.values() if participant is not None else ()
            return next((p.track for p in publications if p.track is not None and p.kind == kind), None)

        try:
            return await self.wait_until(subscribed, timeout=timeout)
        except TimeoutError:
            raise TimeoutError(self._why_no_track(identity, kind, timeout)) from None

    def _why_no_track(self, identity: str, kind: int, timeout: float | None) -> str:
        what = "video" if kind == TrackKind.KIND_VIDEO else "audio"
        participant = self._remote_participants.get(identity)
        if participant is None:
            there = ", ".join(self._remote_participants) or "nobody else"
            reason = f"{identity!r} is not in the room ({there} is)"
        elif any(publication.kind == kind for publication in participant.track_publications.values()):
            reason = f"{identity!r} publishes {what}, but it is not subscribed: see set_subscribed() of the publication"
        else:
            reason = f"{identity!r} publishes no {what}"
        return f"no {what} track within {timeout:g} s: {reason}"

    async def wait_until(self, condition: Callable[[], T | None], *, timeout: float | None = _WAIT_TIMEOUT_S) -> T:
        """Wait until `condition()` is true, and give what it returned. It is looked at now and after each event.

        `timeout` is in seconds, None for no limit. Raises TimeoutError, and DisconnectedError when the room is left first.
        """
        value = condition()
        if value:
            return value
        arrived: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._conditions[arrived] = condition
        try:
            met: T = await self._until(arrived, timeout, "the condition was not met")
            return met
        finally:
            del self._conditions[arrived]

    async def get_rtc_stats(self) -> RtcStats:
        """What was counted of all tracks, in the form of `livekit.rtc`; see `lknb.rtc.stats`.

        With one peer connection for both directions everything is in `publisher_stats`, as there. Raises DisconnectedError
        when the room is not connected.
        """
        from lknb.rtc.stats_report import report_room

        ok, _ = await self._require_core().request("stats", {"track_sid": None})
        return RtcStats(*report_room(ok))

    async def __aenter__(self) -> Room:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.disconnect()

    def isconnected(self) -> bool:
        """Whether we are in the room, also while the connection is being restored."""
        return self._core is not None

    @property
    def connection_state(self) -> ConnectionState:
        """Connected, reconnecting or disconnected."""
        return _as_seen(self._machine.state)

    @property
    def local_participant(self) -> LocalParticipant:
        """Ourselves. Raises DisconnectedError before the first `connect()`."""
        if self._local_participant is None:
            raise DisconnectedError("there is no local participant before connect()")
        return self._local_participant

    @property
    def remote_participants(self) -> Mapping[str, RemoteParticipant]:
        """Everybody else, by identity."""
        return self._remote_participants

    @property
    def active_speakers(self) -> list[Participant]:
        """Who speaks now, loudest first; ourselves included."""
        return list(self._active_speakers) if self._core is not None else []

    def tracks(
        self,
        sources: Iterable[TrackSource | int] | TrackSource | int | None = None,
        *,
        only_subscribed: bool = False,
        with_placeholder: Iterable[TrackSource | int] = (),
    ) -> TrackList:
        """What everybody publishes from these sources (None: all), as a list that stays up to date (`useTracks`).

        `only_subscribed` leaves out what has no track yet; participants without a track from one of the sources in
        `with_placeholder` are listed with a reference that has no publication. Raises ValueError for what is no source.
        """
        return TrackList(self, sources, only_subscribed=only_subscribed, with_placeholder=with_placeholder)

    def __repr__(self) -> str:
        return (
            f"rtc.Room(sid={self._roster.room.sid or 'unknown'}, name={self.name}, metadata={self.metadata}, "
            f"connection_state={self.connection_state.name})"
        )

    def _ipython_display_(self) -> None:
        display_view("room", self)

    async def _join(self, core: CoreRoom, url: str, token: str, options: RoomOptions) -> rtc.JoinResponse:
        header = {"url": url, "token": token, "options": connect_options(options)}
        self._joining = asyncio.ensure_future(core.request("connect", header))
        try:
            _, buffers = await self._joining
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise ConnectError("disconnect() was called before the room was joined", "cancelled") from None
        finally:
            self._joining = None
        return rtc.JoinResponse.FromString(buffers[0])

    def _begin(self, core: CoreRoom, response: rtc.JoinResponse, options: RoomOptions) -> None:
        self._core = core
        core.room = self
        self._auto_subscribe = options.auto_subscribe
        self._roster = Roster()
        self._roster.join(response)
        self._active_speakers = []
        self._remote_participants = {}
        for member in self._roster.remote.values():
            self._add_participant(member)
        if self._roster.local is not None:
            self._local_participant = LocalParticipant(
                self._roster.local, core, self._roster, self._tell, self._announcer.tell
            )
        self._resolve_sid()
        self._change(RoomChange.JOINED)
        core.start()

    async def _leave(self, core: CoreRoom, reason: DisconnectReason) -> None:
        self._leaving = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(_DISCONNECT_TIMEOUT_S):
                await core.request("disconnect", {"reason": int(reason)})
        except (LknbError, TimeoutError) as error:
            logger.info("the room was left without a word: %s", error)
        finally:
            self._finish(reason, by_us=True)
            self._leaving.set_result(None)
            self._leaving = None
        await self.local_participant._wait_released()

    def _finish(self, reason: DisconnectReason, message: str = "", *, by_us: bool = False) -> None:
        """We are not in the room any more."""
        core, self._core = self._core, None
        if core is None:
            return
        core.close()
        said = message or f"the room was left: {reason.name}"
        local = self.local_participant
        local._member.info.disconnect_reason = int(reason)  # type: ignore[assignment]
        for participant in self._remote_participants.values():
            for publication in participant.track_publications.values():
                if publication.track is not None:
                    publication.track._end()
        self._fail_sid(said)
        if by_us:
            # as livekit.rtc: who leaves hears of its own tracks first, who is sent away after that
            local._end(said)
        before = self._machine.state
        self._announce(before, self._machine.handle(RoomChange.CLOSED), reason)
        local._end(said)
        for participant in self._remote_participants.values():
            participant._end(said)
        self._fail_waits(said)

    def _core_lost(self) -> None:
        logger.error("the room core process has died; the room is left")
        self._finish(DisconnectReason.UNKNOWN_REASON, "the room core process has died")

    def _receive(self, header: Mapping[str, Any], buffers: list[bytes]) -> None:
        handler = self._handlers.get(header.get("event", ""))
        if handler is None:
            return
        try:
            handler(header, buffers)
        except Exception:
            # one message that went wrong must not cost the room the ones that follow
            logger.exception("the event %s of the room core could not be handled", header.get("event"))
        self._look()

    def _take_signal(self, message: rtc.SignalResponse) -> None:
        match message.WhichOneof("message"):
            case "request_response":
                self.local_participant._settle_request(message.request_response)
            case "refresh_token":
                self._tell("token_refreshed")
            case _:
                self._announcer.tell(self._roster.handle(message))

    def _follow(self, state: RoomState) -> None:
        before = self._machine.state
        # the end comes with its reason, as an event of its own
        if state is not RoomState.DISCONNECTED and self._machine.follow(state):
            self._announce(before, state)

    def _change(self, change: RoomChange) -> None:
        before = self._machine.state
        self._announce(before, self._machine.handle(change))

    def _announce(self, before: RoomState, after: RoomState, reason: DisconnectReason | None = None) -> None:
        arguments = {"connection_state_changed": (_as_seen(after),), "disconnected": (reason,)}
        for name in announcements(before, after):
            self._tell(name, *arguments.get(name, ()))

    def _tell(self, event: Any, *args: Any) -> None:
        super()._tell(event, *args)
        self._look()

    def _look(self) -> None:
        for arrived, condition in list(self._conditions.items()):
            if arrived.done():
                continue
            try:
                value = condition()
            except Exception as error:
                arrived.set_exception(error)
            else:
                if value:
                    arrived.set_result(value)

    def _add_participant(self, member: Member) -> RemoteParticipant:
        participant = RemoteParticipant(
            member, self._require_core(), auto_subscribe=self._auto_subscribe, on_wish=self._announcer.wished
        )
        self._remote_participants[participant.identity] = participant
        return participant

    def _everybody(self) -> list[Participant]:
        """Everybody in the room, ourselves first; nobody once it is left."""
        if self._core is None or self._local_participant is None:
            return []
        return [self._local_participant, *self._remote_participants.values()]

    def _find(self, identity: str) -> Participant | None:
        local = self._local_participant
        return local if local is not None and local.identity == identity else self._remote_participants.get(identity)

    def _require_core(self) -> CoreRoom:
        if self._core is None:
            raise DisconnectedError("the room is not connected")
        return self._core

    def _room_updated(self) -> None:
        self._resolve_sid()
        self._tell("room_updated")


def _reason(number: int) -> DisconnectReason:
    return DisconnectReason.of(number, DisconnectReason.UNKNOWN_REASON)


def _as_seen(state: RoomState) -> ConnectionState:
    if state in RECONNECTING:
        return ConnectionState.CONN_RECONNECTING
    return ConnectionState.CONN_CONNECTED if state is RoomState.CONNECTED else ConnectionState.CONN_DISCONNECTED
