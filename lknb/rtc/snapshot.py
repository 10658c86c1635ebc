"""One picture of a remote track."""

from __future__ import annotations

import asyncio

import numpy as np
from numpy.typing import NDArray

from lknb.codec.pixel import to_array
from lknb.errors import DisconnectedError, TrackError
from lknb.rtc.enumeration import TrackKind
from lknb.rtc.frame_reader import FrameReader
from lknb.rtc.track_flow import ReadableTrack, Size, check_size
from lknb.rtc.video_stream import PictureDecoder


async def take_snapshot(track: ReadableTrack, timeout: float = 5.0, *, size: Size | None = None) -> NDArray[np.uint8]:
    """The next picture of a track as an array of shape (height, width, 3), dtype uint8, RGB.

    `size` in pixels is what is enough, None for all there is; with adaptive stream the server is asked for no more.

    Raises `TrackError` when none comes within `timeout` seconds, when the track ends, and for a track that is no video.
    """
    if track.kind != TrackKind.KIND_VIDEO:
        raise TrackError(f"there is no picture of {track!r}")
    reader = FrameReader(track, PictureDecoder(), kept=1, size=check_size(size))
    try:
        async with asyncio.timeout(timeout):
            await reader.open()
            picture = await reader.read()
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
