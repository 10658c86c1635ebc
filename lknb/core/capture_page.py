"""One page that captures, across the lanes it has one after the other."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from lknb.codec.layer import plan_layers
from lknb.core.capture_message import (
    DEFAULT_SPEAKER,
    Click,
    DevicesChanged,
    Done,
    Ended,
    Failed,
    Hello,
    Lost,
    Media,
    Said,
    Speaker,
    Using,
)
from lknb.core.source.encoded import Kind
from lknb.core.source.page import PageClock, PageSource
from lknb.errors import FrameError, MediaDevicesError

if TYPE_CHECKING:
    from lknb.core.lane_ticket import Grant

logger = logging.getLogger(__name__)

GRACE_S = 3.0
"""A page that changes its lane is back within this; one that is not was closed or reloaded, and its devices with it."""
VIDEO_CODECS = ("h264", "vp8")
"""In the order of preference: browsers encode H264 at a third of the cost."""
_SPEECH_BPS = 24_000

_requests = itertools.count(1)
"""Of all pages: one that is forgotten and comes back may still answer what it was asked before."""


class DownwardLane(Protocol):
    """What a page needs of its lane."""

    @property
    def opened_at(self) -> float:
        """On the monotonic clock, in seconds."""

    def send(self, header: Mapping[str, Any]) -> None: ...


@dataclass(frozen=True, slots=True)
class Wish:
    """What of a device is wanted, and how it is to be encoded. None leaves it to the presets."""

    device: str
    device_id: str = ""
    codec: str | None = None
    simulcast: bool = True
    max_bitrate_bps: int | None = None
    max_fps: float | None = None
    dtx: bool = True
    constraints: Mapping[str, Any] = field(default_factory=dict)
    """For the page: width, height, fps, echo_cancellation, noise_suppression, auto_gain_control."""

    @property
    def kind(self) -> Kind:
        return "video" if self.device in ("camera", "screen") else "audio"


class PageListener(Protocol):
    """Who hears what pages have to tell."""

    def clicked(self, page: CapturePage, click: Click) -> None:
        """The person pressed a button."""

    def failed(self, page: CapturePage, source: PageSource, error: MediaDevicesError) -> None:
        """A device that was captured is gone, or cannot be taken again."""

    def uses(self, capture: int, device_id: str) -> None:
        """Which device it is that is captured."""

    def speaker_changed(self, page: CapturePage) -> None:
        """The page is heard on another loudspeaker."""

    def devices_changed(self, page: CapturePage) -> None:
        """The page has other devices than before."""

    def gone(self, page: CapturePage) -> None:
        """The page was closed."""


class CapturePage:
    """What one page captures. `client` is its name for itself, `grant` that of its lanes. Belongs to the event loop."""

    def __init__(self, client: str, grant: Grant, listener: PageListener) -> None:
        self.client = client
        self.grant = grant
        self.codecs: tuple[str, ...] = ()
        self.able = True
        self.speaker = DEFAULT_SPEAKER
        self.sources: dict[int, PageSource] = {}
        self._opening: set[int] = set()
        self._listener = listener
        self._lane: DownwardLane | None = None
        self._clock = PageClock()
        self._answers: dict[int, tuple[asyncio.Future[Done], str]] = {}
        self._loop = asyncio.get_running_loop()
        self._grace: asyncio.TimerHandle | None = None

    @property
    def present(self) -> bool:
        """Whether it has a lane."""
        return self._lane is not None

    def source_of(self, device: str) -> PageSource | None:
        """What it captures of a device, if anything."""
        return next((source for source in self.sources.values() if source.device == device), None)

    # ------------------------------------------------------------------ the lane

    def connect(self, lane: DownwardLane, hello: Hello) -> None:
        """The page has a lane, its first or another one."""
        if self._lane is not None and lane.opened_at < self._lane.opened_at:
            # it was given up for the present one, before its hello had come
            return
        self._lane = lane
        self.codecs = hello.codecs
        self.able = hello.able
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None
        for capture, source in list(self.sources.items()):
            if capture in hello.captures:
                source.resume()
            else:
                self._end(capture, "the page does not capture it any more")
        # one that is being opened is known soon: a page may change to a better lane meanwhile
        for capture in hello.captures - self.sources.keys() - self._opening:
            self.tell({"type": "close", "capture": capture})

    def disconnect(self, lane: DownwardLane, *, left: bool = False) -> None:
        """This lane is closed. Another one may be in use already, or come; none does when the page has `left`."""
        if self._lane is not lane:
            return
        if left:
            self.close()
            return
        self._lane = None
        self._fail_answers("the page's connection broke meanwhile")
        self._grace = self._loop.call_later(GRACE_S, self.close)

    def close(self) -> None:
        """The page is gone for good."""
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None
        self._lane = None
        self._fail_answers("the page was closed meanwhile")
        for capture in list(self.sources):
            self._end(capture, "the page that captured it was closed or reloaded")
        self._listener.gone(self)

    def handle(self, message: Said) -> None:
        """A message of the page, after its hello. What is about nothing we know is left aside: it came too late."""
        match message:
            case Media(chunks=chunks):
                for chunk in chunks:
                    source = self.sources.get(chunk.capture)
                    if source is not None:
                        source.push(chunk)
            case Done(request):
                answer, _ = self._answers.get(request, (None, ""))
                if answer is not None and not answer.done():
                    answer.set_result(message)
            case Failed(request, reason, detail):
                answer, device = self._answers.get(request, (None, ""))
                if answer is not None and not answer.done():
                    answer.set_exception(MediaDevicesError(detail, device, reason))
            case Ended(capture, detail):
                self._end(capture, detail)
            case Lost(capture, reason, detail):
                source = self.sources.get(capture)
                if source is not None:
                    self._listener.failed(self, source, MediaDevicesError(detail, source.device, reason))
            case Using(capture, device_id):
                if capture in self.sources or capture in self._opening:
                    self._listener.uses(capture, device_id)
            case Speaker(device_id):
                self.speaker = device_id
                self._listener.speaker_changed(self)
            case DevicesChanged():
                self._listener.devices_changed(self)
            case Click():
                self._listener.clicked(self, message)

    # ------------------------------------------------------------------ commands

    def tell(self, header: Mapping[str, Any]) -> None:
        if self._lane is not None:
            self._lane.send(header)

    def ask(self, header: Mapping[str, Any]) -> asyncio.Future[Done]:
        """The page's answer; it may take as long as a person takes. Its error is a `MediaDevicesError`."""
        answer: asyncio.Future[Done] = self._loop.create_future()
        device = str(header.get("device") or self._device_of(header.get("capture")))
        if self._lane is None:
            answer.set_exception(
                MediaDevicesError("the page is not connected: try again in a moment", device, "closed")
            )
            return answer
        request = next(_requests)
        self._answers[request] = (answer, device)
        answer.add_done_callback(lambda _: self._answers.pop(request, None))
        self._lane.send({**header, "request": request})
        return answer

    def ask_later(self, header: Mapping[str, Any]) -> None:
        if self._lane is not None:
            self.ask(header).add_done_callback(lambda answer: self._answered(header["capture"], answer))

    def release(self, capture: int) -> None:
        if self.sources.pop(capture, None) is not None:
            self.tell({"type": "close", "capture": capture})

    async def open(self, capture: int, wish: Wish) -> PageSource:
        """Have the page take a device, and a source of it. Raises `MediaDevicesError`; nothing stays open then, nor when
        cancelled."""
        codec = self._choose_codec(wish)
        asked = {"type": "take", "capture": capture, "device": wish.device, "device_id": wish.device_id}
        self._opening.add(capture)
        try:
            done = await self.ask({**asked, "constraints": dict(wish.constraints)})
            source = self._make_source(capture, wish, codec, done)
        except BaseException:
            self.tell({"type": "close", "capture": capture})
            raise
        finally:
            self._opening.discard(capture)
        self.sources[capture] = source
        return source

    # ------------------------------------------------------------------ steps

    def _choose_codec(self, wish: Wish) -> str:
        wanted = ("opus",) if wish.kind == "audio" else (wish.codec,) if wish.codec else VIDEO_CODECS
        codec = next((codec for codec in wanted if codec in self.codecs), None)
        if codec is None:
            name = " or ".join(wanted).upper()
            raise MediaDevicesError(
                f"the page's browser cannot encode {name}: open the notebook in a current Chrome or Edge, "
                "or publish a source of the kernel (VideoSource, MediaFile)",
                wish.device,
                "unsupported",
            )
        return codec

    def _make_source(self, capture: int, wish: Wish, codec: str, done: Done) -> PageSource:
        about: dict[str, Any] = {"device": wish.device, "kind": wish.kind, "codec": codec}
        if wish.kind == "audio":
            encode = {"bitrate_bps": wish.max_bitrate_bps or _SPEECH_BPS, "dtx": wish.dtx}
            return PageSource(capture, self, self._clock, encode=encode, **about)
        try:
            layers = plan_layers(
                done.width,
                done.height,
                simulcast=wish.simulcast,
                screencast=wish.device == "screen",
                max_bitrate_bps=wish.max_bitrate_bps,
                max_fps=wish.max_fps,
            )
        except (FrameError, ZeroDivisionError) as error:
            raise MediaDevicesError(
                f"the page's {wish.device} gives pictures of {done.width}x{done.height}", wish.device
            ) from error
        return PageSource(capture, self, self._clock, layers=layers, **about)

    def _device_of(self, capture: Any) -> str:
        source = self.sources.get(capture)
        return source.device if source is not None else "devices"

    def _end(self, capture: int, reason: str) -> None:
        source = self.sources.pop(capture, None)
        if source is not None:
            source.end(reason)

    def _answered(self, capture: int, answer: asyncio.Future[Done]) -> None:
        if answer.cancelled() or answer.exception() is None:
            return
        error, source = answer.exception(), self.sources.get(capture)
        if source is not None and isinstance(error, MediaDevicesError) and error.reason != "closed":
            self._listener.failed(self, source, error)

    def _fail_answers(self, reason: str) -> None:
        for answer, device in list(self._answers.values()):
            if not answer.done():
                answer.set_exception(MediaDevicesError(reason, device, "closed"))
