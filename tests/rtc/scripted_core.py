"""A core in this process, with the face of `CoreClient`, that does what a test tells it to."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import itertools
import threading
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Any

from google.protobuf.message import Message
from livekit.protocol import models, rtc

from lknb.errors import CoreError, LknbError

State = models.ParticipantInfo.State
Answer = tuple[dict[str, Any], list[bytes]]
Responder = Callable[[Mapping[str, Any], Sequence[bytes]], Answer | Awaitable[Answer]]


def person(
    identity: str,
    *tracks: models.TrackInfo,
    sid: str = "",
    version: int = 1,
    state: models.ParticipantInfo.State = State.ACTIVE,
    **fields: Any,
) -> models.ParticipantInfo:
    return models.ParticipantInfo(
        sid=sid or f"PA_{identity}", identity=identity, version=version, state=state, tracks=tracks, **fields
    )


def video(sid: str, **fields: Any) -> models.TrackInfo:
    """A track in three layers, as servers since 1.10 tell it: without `simulcast`."""
    fields.setdefault("width", 1280)
    fields.setdefault("height", 720)
    layers = [
        models.VideoLayer(quality=quality, width=320 << quality, height=180 << quality)  # type: ignore[arg-type]
        for quality in range(3)
    ]
    codec = models.SimulcastCodecInfo(mime_type="video/vp8", layers=layers)
    return models.TrackInfo(sid=sid, type=models.TrackType.VIDEO, codecs=[codec], **fields)


def audio(sid: str, **fields: Any) -> models.TrackInfo:
    return models.TrackInfo(sid=sid, type=models.TrackType.AUDIO, **fields)


class ScriptedCore:
    """Answers requests by `respond[op]` (an empty reply where there is none) and remembers them in `requests`."""

    pid = 0

    def __init__(self) -> None:
        self.alive = True
        self.requests: list[tuple[dict[str, Any], list[bytes]]] = []
        self.cancelled: list[str] = []
        self.join = rtc.JoinResponse(
            room=models.Room(sid="RM_1", name="studio"), participant=person("me", state=State.JOINED)
        )
        self.listeners: dict[Hashable, Callable[[dict[str, Any], list[bytes]], None]] = {}
        self.respond: dict[str, Responder] = {
            "connect": lambda header, buffers: ({}, [self.join.SerializeToString()]),
            "publish": self._publish,
        }
        self._death: list[Callable[[], None]] = []
        self._handles = itertools.count(1)
        self._tracks = itertools.count(1)

    # the face of CoreClient

    def next_handle(self) -> int:
        return next(self._handles)

    async def request(self, header: Mapping[str, Any], buffers: Sequence[bytes] = ()) -> Answer:
        if not self.alive:
            raise CoreError("the room core is gone")
        try:
            answer = self._answer(header, buffers)
            # as with the real one: the reply wakes the caller in a later turn of the loop
            await asyncio.sleep(0)
            return await answer if inspect.isawaitable(answer) else answer
        except asyncio.CancelledError:
            self.cancelled.append(header["op"])
            raise

    def request_threadsafe(
        self, header: Mapping[str, Any], buffers: Sequence[bytes] = ()
    ) -> concurrent.futures.Future[Answer]:
        future: concurrent.futures.Future[Answer] = concurrent.futures.Future()
        try:
            answer = self._answer(header, buffers)
            assert not inspect.isawaitable(answer)
            future.set_result(answer)
        except LknbError as error:
            future.set_exception(error)
        return future

    def post(self, header: Mapping[str, Any], buffers: Sequence[bytes] = ()) -> bool:
        self.requests.append((dict(header), list(buffers)))
        return True

    def listen(self, key: Hashable, handler: Callable[[dict[str, Any], list[bytes]], None]) -> None:
        self.listeners[key] = handler

    def unlisten(self, key: Hashable) -> None:
        self.listeners.pop(key, None)

    def on_death(self, handler: Callable[[], None]) -> None:
        self._death.append(handler)

    # what tests do with it

    def tell(self, event: str, *messages: Message, room: int = 1, **header: Any) -> None:
        """An event, on a thread of its own as in life."""
        handler = self.listeners.get(("room", room))
        if handler is not None:
            buffers = [message.SerializeToString() for message in messages]
            self._on_thread(lambda: handler({"event": event, "room": room, **header}, buffers))

    def signal(self, room: int = 1, **message: Any) -> None:
        self.tell("signal", rtc.SignalResponse(**message), room=room)

    def update(self, *people: models.ParticipantInfo, room: int = 1) -> None:
        self.signal(room, update=rtc.ParticipantUpdate(participants=people))

    def die(self) -> None:
        self.alive = False
        for handler in self._death:
            self._on_thread(handler)

    def sent(self, op: str) -> list[dict[str, Any]]:
        """The headers of all requests for this operation."""
        return [header for header, _ in self.requests if header["op"] == op]

    def signals(self, name: str) -> list[Any]:
        """The messages of this kind sent to the server."""
        messages = [
            rtc.SignalRequest.FromString(buffers[0]) for header, buffers in self.requests if header["op"] == "signal"
        ]
        return [getattr(message, name) for message in messages if message.WhichOneof("message") == name]

    def _answer(self, header: Mapping[str, Any], buffers: Sequence[bytes]) -> Answer | Awaitable[Answer]:
        self.requests.append((dict(header), list(buffers)))
        responder = self.respond.get(header["op"])
        return ({}, []) if responder is None else responder(header, buffers)

    def _publish(self, header: Mapping[str, Any], buffers: Sequence[bytes]) -> Answer:
        asked = rtc.AddTrackRequest.FromString(buffers[0])
        info = models.TrackInfo(
            sid=f"TR_{next(self._tracks)}", type=asked.type, name=asked.name, source=asked.source, muted=asked.muted
        )
        return {"sid": info.sid}, [info.SerializeToString()]

    @staticmethod
    def _on_thread(function: Callable[[], object]) -> None:
        thread = threading.Thread(target=function)
        thread.start()
        thread.join()


async def turn(times: int = 5) -> None:
    """Let the loop turn, so that what is under way arrives."""
    for _ in range(times):
        await asyncio.sleep(0)
