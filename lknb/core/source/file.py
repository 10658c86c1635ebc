"""Media files: the handles that play pictures and sound of one file share its clock and its reading thread."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from lknb.core.source.encoded import EncodedSource, Kind
from lknb.core.source.file_audio import open_audio
from lknb.core.source.file_video import open_video
from lknb.core.source.player import MediaPlayer

DEFAULT_MAX_HEIGHT = 720

_open_players: dict[int, _Shared] = {}
_opening = threading.Lock()


class _Shared:
    """A player, and how many sources it has."""

    def __init__(self, player: MediaPlayer) -> None:
        self.player = player
        self.users = 0


def open_file(kind: Kind, parameters: Mapping[str, Any]) -> EncodedSource:
    """The pictures or the sound of a media file.

    `file` is a number the kernel has chosen for the open file: sources with the same one play in step. `path`,
    `loop`, `paused`, `position_s`, `passthrough`, `format` and `options` are the player's, and count when the first
    source of the file is opened. For pictures that are encoded again: `codec`, `simulcast`, `max_height` (720),
    `max_bitrate_bps`, `max_fps`; for sound `max_bitrate_bps`, `dtx`. Blocks. Raises `MediaError`.
    """
    return _open(kind, **parameters)


def _open(
    kind: Kind,
    *,
    file: int,
    codec: str = "vp8",
    simulcast: bool = True,
    max_height: int = DEFAULT_MAX_HEIGHT,
    max_bitrate_bps: int | None = None,
    max_fps: float | None = None,
    dtx: bool = False,
    **player: Any,
) -> EncodedSource:
    with _opening:
        shared = _open_players.get(file)
        if shared is None:
            shared = _open_players[file] = _Shared(MediaPlayer(**player))
        shared.users += 1

    def on_stopped() -> None:
        _release(file, shared)

    try:
        if kind == "audio":
            return open_audio(shared.player, on_stopped, max_bitrate_bps=max_bitrate_bps, dtx=dtx)
        return open_video(
            shared.player,
            on_stopped,
            codec=codec,
            simulcast=simulcast,
            max_height=max_height,
            max_bitrate_bps=max_bitrate_bps,
            max_fps=max_fps,
        )
    except Exception:
        on_stopped()
        raise


def _release(file: int, shared: _Shared) -> None:
    with _opening:
        shared.users -= 1
        if shared.users:
            return
        if _open_players.get(file) is shared:
            del _open_players[file]
    shared.player.close()
