"""A picture as JPEG, for pages whose browser decodes no video."""

from __future__ import annotations

import io

import av

from lknb.errors import MediaError

QUALITY = 80
SIDE_PIXELS = 1_920
"""The longest side of what is ever encoded."""


def encode_jpeg(picture: av.VideoFrame, width: float, height: float) -> tuple[bytes, int, int]:
    """`(data, width, height)` of the picture, no larger than it takes to fill `width` x `height`, and never enlarged.

    Raises `MediaError` when it cannot be encoded.
    """
    scale = min(1.0, SIDE_PIXELS / max(picture.width, picture.height))
    if width > 0 and height > 0:
        scale = min(scale, max(width / picture.width, height / picture.height))
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    encoded = io.BytesIO()
    try:
        image = picture.reformat(width=size[0], height=size[1], format="rgb24").to_image()  # type: ignore[no-untyped-call]
        image.save(encoded, "JPEG", quality=QUALITY, subsampling="4:2:0")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise MediaError(f"a picture of {size[0]}x{size[1]} cannot be written as JPEG: {error}") from error
    return encoded.getvalue(), *size
