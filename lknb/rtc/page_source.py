"""A camera, a microphone or a screen of the page, as a source to publish."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from lknb.errors import MediaDevicesError
from lknb.rtc.argument import check_flag, check_kind, check_text, check_whole, is_number
from lknb.rtc.core_source import RunningSource
from lknb.rtc.device_bridge import choose_page
from lknb.rtc.source import Encoding

if TYPE_CHECKING:
    from lknb.core.client import CoreClient

Device: TypeAlias = Literal["camera", "microphone", "screen", "screen_audio"]


@dataclass(slots=True)
class VideoCaptureOptions:
    """What to ask of a camera; the browser gives what comes nearest. An empty `device_id` leaves the choice to it."""

    device_id: str = ""
    width: int = 1280
    height: int = 720
    fps: float = 30.0


@dataclass(slots=True)
class AudioCaptureOptions:
    """What to ask of a microphone. An empty `device_id` leaves the choice to the browser."""

    device_id: str = ""
    echo_cancellation: bool = True
    noise_suppression: bool = True
    auto_gain_control: bool = True


@dataclass(slots=True)
class ScreenShareCaptureOptions:
    """What to ask of a screen, a window or a tab; `audio` is the sound of it, where the browser offers that."""

    audio: bool = False
    width: int = 1920
    height: int = 1080
    fps: float = 30.0


def check_capture(options: Any, kind: type) -> None:
    """Raise TypeError or ValueError for what is not options of this kind, and for a field that cannot be asked for."""
    check_kind("capture", options, kind)
    for name, value in ((each.name, getattr(options, each.name)) for each in fields(options)):
        if name == "device_id":
            check_text(name, value)
        elif name in ("width", "height"):
            check_whole(name, value, 1)
        elif name == "fps":
            if not is_number(value) or not 0 < value < math.inf:
                raise ValueError(f"fps is a number above 0, not {value!r}")
        else:
            check_flag(name, value)


CaptureOptions: TypeAlias = VideoCaptureOptions | AudioCaptureOptions | ScreenShareCaptureOptions


class PageSource(RunningSource):
    """`on_ended(source)` is called when the page has the device no more, `on_fault(source, error)` when it was unplugged, or
    could not be taken again after a mute, and `on_device(source, device_id)` when it is another one than before; all on the
    thread of the link."""

    def __init__(
        self,
        device: Device,
        room: int,
        options: CaptureOptions,
        *,
        any_codec: bool = True,
        client: str = "",
        on_ended: Callable[[PageSource], None],
        on_fault: Callable[[PageSource, MediaDevicesError], None],
        on_device: Callable[[PageSource, str], None],
    ) -> None:
        """`client` is the page to ask, empty for the newest. With `any_codec` the browser's cheapest is taken, and not
        that of the publish options."""
        super().__init__("video" if device in ("camera", "screen") else "audio", "page")
        self.device: Device = device
        self._room = room
        self._options = options
        self._any_codec = any_codec
        self.client = client
        self.ended: str | None = None
        """Why the page has the device no more; None while it has."""
        self._on_ended = on_ended
        self._on_fault = on_fault
        self._on_device = on_device

    async def acquire(self) -> None:
        """Have the page take the device again, after a mute. Raises `MediaDevicesError`."""
        await self._control("acquire")

    async def switch(self, device_id: str) -> None:
        """Go on with another device of the kind. Raises `MediaDevicesError`."""
        await self._control("switch", device_id=device_id)

    def _parameters(self, client: CoreClient, encoding: Encoding) -> dict[str, Any]:
        choice = choose_page(client, self._room, self.device)
        options = self._options
        return {
            "room": self._room,
            "wait_s": choice.wait_s,
            "able": choice.able,
            "client": self.client,
            "device": self.device,
            "device_id": getattr(options, "device_id", ""),
            "constraints": _constraints(options),
            "codec": None if self._any_codec or self.kind == "audio" else encoding.codec,
            "simulcast": encoding.simulcast,
            "max_bitrate_bps": encoding.max_bitrate_bps,
            "max_fps": encoding.max_fps,
            "dtx": encoding.dtx,
        }

    def _hear(self, header: Mapping[str, Any]) -> None:
        if header.get("event") == "source_ended":
            self.ended = header.get("error") or ""
            self._on_ended(self)
        elif header.get("event") == "source_fault":
            self._on_fault(self, MediaDevicesError(header["message"], header["kind"], header["reason"]))
        elif header.get("event") == "source_device":
            self._on_device(self, header["device_id"])

    def __repr__(self) -> str:
        return f"rtc.PageSource({self.device!r})"


def _constraints(options: CaptureOptions) -> dict[str, Any]:
    if isinstance(options, AudioCaptureOptions):
        return {
            "echo_cancellation": options.echo_cancellation,
            "noise_suppression": options.noise_suppression,
            "auto_gain_control": options.auto_gain_control,
        }
    asked = {"width": int(options.width), "height": int(options.height), "fps": float(options.fps)}
    return {**asked, "audio": options.audio} if isinstance(options, ScreenShareCaptureOptions) else asked
