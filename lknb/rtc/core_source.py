"""What the handles of sources that run in the room core have in common."""

from __future__ import annotations

import contextlib
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lknb.errors import CoreError, MediaError
from lknb.rtc.argument import is_number
from lknb.rtc.source import Encoding, Kind, OpenSource, frame_layers

if TYPE_CHECKING:
    from lknb.core.client import CoreClient


class RunningSource(ABC):
    """A source of the core, open once for each publication. Making one touches no process."""

    def __init__(self, kind: Kind, type: str) -> None:
        self.kind: Kind = kind
        self._type = type
        self._open: dict[int, CoreClient] = {}
        self.duration: float | None = None
        """Seconds; known of a media file once it is published, None for what has no end."""

    async def open(self, client: CoreClient, encoding: Encoding) -> OpenSource:
        """See `MediaSource`. Raises `MediaError`, `CoreError`."""
        handle = client.next_handle()
        client.listen(("source", handle), lambda header, buffers: self._hear(header))
        request = {"op": "source_open", "source": handle, "kind": self.kind, "type": self._type}
        try:
            reply, _ = await client.request({**request, **self._parameters(client, encoding)})
        except BaseException:
            client.unlisten(("source", handle))
            raise
        self._open[handle] = client
        self.duration = reply.get("duration_s")
        return OpenSource(
            handle,
            self.kind,
            reply["codec"],
            reply.get("width", 0),
            reply.get("height", 0),
            frame_layers(reply),
            bool(reply.get("stereo", False)),
        )

    async def release(self, handle: int) -> None:
        """See `MediaSource`."""
        client = self._open.pop(handle, None)
        if client is not None:
            client.unlisten(("source", handle))
            with contextlib.suppress(CoreError, MediaError):
                await client.request({"op": "source_close", "source": handle})

    async def _control(self, action: str, **parameters: Any) -> None:
        """Change the source wherever it is open."""
        for handle, client in list(self._open.items()):
            await client.request({"op": "source_control", "source": handle, "action": action, **parameters})

    @abstractmethod
    def _parameters(self, client: CoreClient, encoding: Encoding) -> dict[str, Any]:
        """What the core is told besides the kind and the type."""

    def _hear(self, header: Mapping[str, Any]) -> None:  # noqa: B027  (most have nothing to hear)
        """An event of the core about one of our handles, on the thread of the link."""


def check_number(what: str, number: float) -> None:
    """Raise `MediaError` unless it is a finite number: only such can be told to the core."""
    if not is_number(number) or not math.isfinite(number):
        raise MediaError(f"{what} is a finite number, not {number!r}")


def video_parameters(encoding: Encoding) -> dict[str, Any]:
    """What the core's video sources are told of an encoding."""
    return {
        "codec": encoding.codec,
        "simulcast": encoding.simulcast,
        "max_bitrate_bps": encoding.max_bitrate_bps,
        "max_fps": encoding.max_fps,
    }


def audio_parameters(encoding: Encoding) -> dict[str, Any]:
    """What the core's audio sources are told of an encoding."""
    return {"max_bitrate_bps": encoding.max_bitrate_bps, "dtx": encoding.dtx}
