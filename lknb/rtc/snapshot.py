"""One picture of a remote track."""

from __future__ import annotations

import asyncio
import contextlib

import numpy as np
from numpy.typing import NDArray

from lknb.codec.pixel import to_array
from lknb.errors import DisconnectedError, TrackError
from lknb.rtc.argument import check_seconds
from lknb.rtc.enumeration import TrackKind
from lknb.rtc.frame_reader import FrameReader
from lknb.rtc.track_flow import ReadableTrack, Size, check_size
from lknb.rtc.video_stream import Picture, PictureDecoder

_GROWTH_S = 2.0
"""How long a server may take to switch to a larger layer: it waits for a key frame, asks the publisher of a large layer for
one a second at most, so that this second may have just begun, and LiveKit thinks 0.1 s before it asks."""
_ENOUGH = 0.8
"""Of the area that is expected: publishers round the sizes of their layers."""


async def take_snapshot(
    track: ReadableTrack, timeout: float = 5.0, *, size: Size | None = None, expected: Size | None = None
) -> NDArray[np.uint8]:
    """The next picture of a track as an array of shape (height, width, 3), dtype uint8, RGB.

    `size` in pixels is what is enough, None for all there is; with adaptive stream the server is asked for no more. While
    the pictures are smaller than `expected`, as they are when only a small view asked for them so far, it waits for larger
    ones, up to two seconds.

    Raises `TrackError` when none comes within `timeout` seconds, when the track ends, and for a track that is no video;
    TypeError and ValueError for a timeout or a size that is none.
    """
    if track.kind != TrackKind.KIND_VIDEO:
        raise TrackError(f"there is no picture of {track!r}")
    check_seconds("timeout", timeout)
    reader = FrameReader(track, PictureDecoder(), kept=1, size=check_size(size))
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout
    try:
        async with asyncio.timeout_at(end):
            await reader.open()
            picture = await reader.read()
        if picture is not None and expected is not None:
            picture = await _grow(reader, picture, expected, min(end, loop.time() + _GROWTH_S))
    except TimeoutError:
        hint = "is it muted, or its publisher gone?"
        raise TrackError(f"no picture of track {track.sid} came within {timeout:g} s: {hint}") from None
    except DisconnectedError as error:
        raise TrackError(f"there is no picture: {error.message}") from error
    finally:
        reader.close()
    if picture is None:
        raise TrackError(f"track {track.sid} ended before a picture came")
    return to_array(picture.picture, "rgb24")


async def _grow(reader: FrameReader[Picture], picture: Picture, expected: Size, end: float) -> Picture:
    """The first picture that is as large as expected, else the last one before `end` (of the loop's clock)."""
    enough = expected[0] * expected[1] * _ENOUGH
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(end):
            while picture.picture.width * picture.picture.height < enough:
                larger = await reader.read()
                if larger is None:
                    break
                picture = larger
    return picture
