"""Sources that run by themselves in the room core, where a busy cell does not stop them: here are their handles."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import TYPE_CHECKING, Any

from lknb.errors import MediaError
from lknb.rtc.core_source import RunningSource, audio_parameters, check_number, video_parameters
from lknb.rtc.media_file import MediaFile
from lknb.rtc.source import Encoding

if TYPE_CHECKING:
    from lknb.core.client import CoreClient

__all__ = ["MediaFile", "TestPattern", "Tone"]


class TestPattern(RunningSource):
    """A moving test picture: colour bars, a bar that crosses them, the frame number and the time.

    With `color`, "#rrggbb" or (r, g, b) from 0 to 255, all pictures are of that one colour. `fps` is 1 to 60. Raises
    `MediaError` for what is no number; a wrong size, rate or colour is told when it is published.
    """

    __test__ = False  # not for pytest, whatever the name says

    def __init__(
        self, width: int = 1280, height: int = 720, fps: float = 30.0, *, color: str | Sequence[int] | None = None
    ) -> None:
        super().__init__("video", "pattern")
        check_number("a rate of pictures", fps)
        try:
            self.width, self.height = index(width), index(height)
        except TypeError:
            raise MediaError(f"a test pattern has whole numbers of pixels, not {width!r} x {height!r}") from None
        self.fps = fps
        self.color = color

    def _parameters(self, client: CoreClient, encoding: Encoding) -> dict[str, Any]:
        color = self.color if self.color is None or isinstance(self.color, str) else [int(part) for part in self.color]
        return {
            "width": self.width,
            "height": self.height,
            "fps": self.fps,
            "color": color,
            **video_parameters(encoding),
        }

    def __repr__(self) -> str:
        color = "" if self.color is None else f", color={self.color!r}"
        return f"rtc.TestPattern(width={self.width}, height={self.height}, fps={self.fps:g}{color})"


class Tone(RunningSource):
    """A sine tone of `frequency_hz` and `volume` (0 to 1 of full scale).

    With `beep_every_s` above 0 it sounds for `beep_s` seconds each time that many have passed; all tones of a machine
    beep at once. Raises `MediaError` for what is no number; one out of range is told when it is published.
    """

    def __init__(
        self, frequency_hz: float = 440.0, *, volume: float = 0.2, beep_every_s: float = 0.0, beep_s: float = 0.2
    ) -> None:
        super().__init__("audio", "tone")
        for what, number in (
            ("a frequency", frequency_hz),
            ("a volume", volume),
            ("a beep", beep_s),
            ("the time between beeps", beep_every_s),
        ):
            check_number(what, number)
        self.frequency_hz = frequency_hz
        self.volume = volume
        self.beep_every_s = beep_every_s
        self.beep_s = beep_s

    async def set_volume(self, volume: float) -> None:
        """Change the volume, also while it sounds. Raises `MediaError` outside 0 to 1, `CoreError`."""
        check_number("a volume", volume)
        if not 0 <= volume <= 1:
            raise MediaError(f"a volume is 0 to 1, not {volume}")
        self.volume = volume
        await self._control("volume", volume=volume)

    def _parameters(self, client: CoreClient, encoding: Encoding) -> dict[str, Any]:
        return {
            "frequency_hz": self.frequency_hz,
            "volume": self.volume,
            "beep_every_s": self.beep_every_s,
            "beep_s": self.beep_s,
            **audio_parameters(encoding),
        }

    def __repr__(self) -> str:
        beeps = f", beep_every_s={self.beep_every_s:g}" if self.beep_every_s else ""
        return f"rtc.Tone({self.frequency_hz:g}, volume={self.volume:g}{beeps})"
