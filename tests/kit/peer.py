"""One participant behind any client, and the evidence it gives.

A `Peer` is the same for every client: subclasses only carry calls ("publish_video", {...}) to where the client lives,
a child process or a page. So a row of the interop matrix is written once and runs with any pair of clients.
"""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from tests.kit.poll import wait_until

Colour = tuple[int, int, int]
# Chromium encodes a canvas by BT.709 and the wheel decodes by BT.601: that alone moves a channel by up to 30 steps
COLOUR_TOLERANCE = 40


def is_near(colour: Colour, other: Colour, tolerance: int = COLOUR_TOLERANCE) -> bool:
    """Whether two colours are the same after a codec."""
    return all(abs(a - b) <= tolerance for a, b in zip(colour, other, strict=True))


@dataclass(frozen=True, slots=True)
class Event:
    """Something the client told its user, under the names of livekit.rtc. `at_s` orders events of one peer."""

    name: str
    at_s: float = 0.0
    participant: str = ""
    track_sid: str = ""
    payload: bytes = b""
    topic: str = ""
    reliable: bool | None = None
    speakers: tuple[str, ...] = ()
    text: str = ""


@dataclass(frozen=True, slots=True)
class VideoReport:
    """What the reader of the last `track_subscribed` event of a track decoded, and what the client's stats say."""

    subscription: int
    """Which `track_subscribed` event of this track it was, from 1."""
    frames: int
    closing_frames: int
    width: int
    height: int
    colour: Colour
    """Mean of the middle of the last picture, RGB 0..255."""
    codec: str
    """Of the stream received, from the stats: "vp8", "h264" ... """
    ssrc: int


@dataclass(frozen=True, slots=True)
class AudioReport:
    """What the reader of the last `track_subscribed` event of a track heard in the last moments."""

    subscription: int
    frames: int
    peak_hz: float
    level: float
    """RMS, 0..1."""
    codec: str
    ssrc: int


@dataclass(frozen=True, slots=True)
class Layer:
    """One encoding a browser sends, from its stats."""

    rid: str
    width: int
    height: int
    frames_sent: int
    bytes_sent: int
    active: bool
    limited_by: str
    """Why it is smaller than asked for: "none", "cpu", "bandwidth", "other"."""
    codec: str


@dataclass(frozen=True, slots=True)
class Inbound:
    """What a browser has counted of one stream it receives, from its stats."""

    bytes_received: int
    packets_received: int
    packets_lost: int
    frames_received: int
    frames_decoded: int
    frames_dropped: int
    key_frames_decoded: int
    freeze_count: int
    freezes_s: float
    pli_count: int
    nack_count: int
    concealed_samples: int


@dataclass(frozen=True, slots=True)
class TrackState:
    """A remote track as the client shows it."""

    participant: str
    muted: bool
    codec: str


class Peer(ABC):
    """A participant. `async with` opens and closes the client; `connect` joins a room."""

    kind: str
    """Which client: "wheel", "livekit-client", "lknb"."""

    def __init__(self, identity: str) -> None:
        self.identity = identity

    @abstractmethod
    async def call(self, operation: str, **arguments: Any) -> Any:
        """Run one operation in the client. AssertionError with the client's words when it fails."""

    @abstractmethod
    async def open(self) -> None: ...

    @abstractmethod
    async def close(self) -> None: ...

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def connect(
        self,
        url: str,
        token: str,
        *,
        single_peer_connection: bool,
        auto_subscribe: bool = True,
        dynacast: bool = False,
    ) -> str:
        """Join; the participant's sid. `single_peer_connection` is `/rtc/v1`, else `/rtc` with two connections."""
        reply = await self.call(
            "connect",
            url=url,
            token=token,
            single_peer_connection=single_peer_connection,
            auto_subscribe=auto_subscribe,
            dynacast=dynacast,
        )
        return str(reply["sid"])

    async def disconnect(self) -> None:
        await self.call("disconnect")

    async def publish_video(
        self,
        colour: Colour,
        *,
        width: int = 640,
        height: int = 360,
        frame_rate: int = 20,
        simulcast: bool = False,
        codec: str = "vp8",
    ) -> str:
        """A camera track of one colour, a small white square moving along its top; the track's sid."""
        return str(
            await self.call(
                "publish_video",
                colour=list(colour),
                width=width,
                height=height,
                frame_rate=frame_rate,
                simulcast=simulcast,
                codec=codec,
            )
        )

    async def publish_audio(self, frequency_hz: float = 440.0) -> str:
        """A microphone track with a tone; the track's sid."""
        return str(await self.call("publish_audio", frequency_hz=frequency_hz))

    async def set_colour(self, track_sid: str, colour: Colour) -> None:
        await self.call("set_colour", track_sid=track_sid, colour=list(colour))

    async def publish_again(self, track_sid: str) -> str:
        """End a publication and publish its track anew at once, without simulcast, as VP8; its new sid. It goes on showing
        what it showed, under `set_colour` no longer."""
        return str(await self.call("publish_again", track_sid=track_sid))

    async def unpublish(self, track_sid: str) -> None:
        await self.call("unpublish", track_sid=track_sid)

    async def set_muted(self, track_sid: str, muted: bool) -> None:
        await self.call("set_muted", track_sid=track_sid, muted=muted)

    async def set_subscribed(self, track_sid: str, subscribed: bool) -> None:
        await self.call("set_subscribed", track_sid=track_sid, subscribed=subscribed)

    async def set_video_quality(self, track_sid: str, quality: str) -> None:
        """`quality`: "low", "medium" or "high"."""
        await self.call("set_video_quality", track_sid=track_sid, quality=quality)

    async def set_track_permissions(
        self, tracks: dict[str, list[str] | None] | None = None, *, everybody: bool = False
    ) -> None:
        """Who may subscribe to what: the sids each identity may have, None for all of them."""
        await self.call("set_track_permissions", everybody=everybody, tracks=tracks or {})

    async def media_bytes(self) -> int:
        """Bytes of media received so far, by the client's stats: all connections, all tracks, headers included."""
        return int(await self.call("media_bytes"))

    async def send_data(self, payload: bytes, *, reliable: bool, topic: str = "", to: tuple[str, ...] = ()) -> None:
        text = base64.b64encode(payload).decode()
        await self.call("send_data", payload=text, reliable=reliable, topic=topic, to=list(to))

    async def describe(self, metadata: str, name: str, attributes: dict[str, str]) -> None:
        """Say this of oneself."""
        await self.call("describe", metadata=metadata, name=name, attributes=attributes)

    async def log(self) -> list[list[Any]]:
        """Everything the room told, in order (`tests/kit/event_log.py`); wheel and lknb only."""
        return list(await self.call("log"))

    async def participants(self) -> list[str]:
        """Identities of the others."""
        return list(await self.call("participants"))

    async def tracks(self) -> dict[str, TrackState]:
        """Remote publications by sid."""
        return {sid: TrackState(**state) for sid, state in (await self.call("tracks")).items()}

    async def events(self, name: str = "", **expected: Any) -> list[Event]:
        """What happened so far, in order: of this name and with these values, when given."""
        events = [_event(raw) for raw in await self.call("events")]
        return [
            event
            for event in events
            if name in ("", event.name) and all(getattr(event, key) == value for key, value in expected.items())
        ]

    async def wait_event(self, name: str, *, count: int = 1, deadline_s: float = 10.0, **expected: Any) -> Event:
        """The `count`th event of this name and these values, awaited."""

        async def happened() -> Event | None:
            events = await self.events(name, **expected)
            return events[count - 1] if len(events) >= count else None

        return await wait_until(happened, deadline_s, what=f"{self.kind} {self.identity}: {count} x {name} {expected}")

    async def video(self, track_sid: str) -> VideoReport | None:
        """Evidence of a subscribed video track; None when there is no reader."""
        raw = await self.call("video", track_sid=track_sid)
        return None if raw is None else VideoReport(**{**raw, "colour": tuple(raw["colour"])})

    async def audio(self, track_sid: str) -> AudioReport | None:
        """Evidence of a subscribed audio track; None when there is no reader."""
        raw = await self.call("audio", track_sid=track_sid)
        return None if raw is None else AudioReport(**raw)

    async def loudness(self, track_sid: str) -> list[float]:
        """RMS, 0 to 1, of each 10 ms heard of an audio track so far; official wheel and lknb.rtc."""
        return list(await self.call("loudness", track_sid=track_sid))

    async def wait_video(
        self, track_sid: str, accept: Callable[[VideoReport], bool], deadline_s: float = 15.0
    ) -> VideoReport:
        """The first report that is accepted, once the stats know the stream. AssertionError shows the last one."""
        last: VideoReport | None = None

        async def accepted() -> VideoReport | None:
            nonlocal last
            last = await self.video(track_sid)
            return last if last is not None and last.codec and accept(last) else None

        return await wait_until(
            accepted, deadline_s, what=lambda: f"{self.kind} {self.identity} sees {last}", interval_s=0.03
        )

    async def wait_audio(
        self, track_sid: str, accept: Callable[[AudioReport], bool], deadline_s: float = 15.0
    ) -> AudioReport:
        """The first report that is accepted, once the stats know the stream. AssertionError shows the last one."""
        last: AudioReport | None = None

        async def accepted() -> AudioReport | None:
            nonlocal last
            last = await self.audio(track_sid)
            return last if last is not None and last.codec and accept(last) else None

        return await wait_until(
            accepted, deadline_s, what=lambda: f"{self.kind} {self.identity} hears {last}", interval_s=0.03
        )


def _event(raw: dict[str, Any]) -> Event:
    known = {key: value for key, value in raw.items() if key not in ("payload", "speakers")}
    return Event(**known, payload=base64.b64decode(raw.get("payload", "")), speakers=tuple(raw.get("speakers", ())))
