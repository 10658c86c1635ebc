"""The unit of media that crosses process borders: one encoded picture, or one Opus packet."""

from __future__ import annotations

from dataclasses import dataclass

AUDIO_LEVEL_SILENT = 127


@dataclass(slots=True)
class EncodedFrame:
    """One encoded picture or one Opus packet. Pixels and samples never travel; this does.

    A receiver may share one frame between several readers: treat it as read-only.
    """

    codec: str
    """`"vp8"`, `"h264"` or `"opus"`, lower case."""

    data: bytes
    """A VP8 frame, an H264 access unit in Annex B form, or an Opus packet; empty when `concealed`."""

    timestamp: int
    """RTP timestamp in units of the codec's clock (90,000 or 48,000 Hz), unwrapped: never back through 2^32."""

    keyframe: bool = False

    timestamp_us: int = 0
    """Capture time in microseconds: the sender's clock mapped through its sender reports, else the time of arrival.
    One axis per participant, so that sound and picture can be played in step."""

    width: int = 0
    """Of the picture, in pixels. Key frames carry it; a receiver repeats it on the frames that follow."""

    height: int = 0

    rid: str = ""
    """Simulcast layer `"q"`, `"h"` or `"f"`; empty for a single stream."""

    audio_level: int = AUDIO_LEVEL_SILENT
    """RFC 6464 level in -dBov, 0 (loudest) to 127 (silent)."""

    concealed: bool = False
    """Audio only: the 20 ms of this timestamp were lost, the decoder is to conceal them."""
