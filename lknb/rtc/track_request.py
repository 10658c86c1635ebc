"""What the server is told of a track of ours: the AddTrackRequest, made from an open source and the publish options."""

from __future__ import annotations

from collections.abc import Mapping

from livekit.protocol import models, rtc

from lknb.rtc.argument import as_member
from lknb.rtc.enumeration import TrackSource
from lknb.rtc.option import TrackPublishOptions
from lknb.rtc.source import OpenSource

_QUALITY_OF_RID: Mapping[str, models.VideoQuality] = {
    "q": models.VideoQuality.LOW,
    "h": models.VideoQuality.MEDIUM,
    "f": models.VideoQuality.HIGH,
    # LiveKit calls a single layer HIGH, and takes it for spatial layer 0
    "": models.VideoQuality.HIGH,
}


def build_track_request(
    name: str, source: OpenSource, options: TrackPublishOptions, *, muted: bool
) -> rtc.AddTrackRequest:
    """The request, without `cid` and `simulcast_codecs`: the core names the media and knows the codec."""
    request = rtc.AddTrackRequest(
        name=name,
        type=models.TrackType.VIDEO if source.kind == "video" else models.TrackType.AUDIO,
        # the numbers of the sources are those of the protocol
        source=int(as_member("source", options.source, TrackSource)),  # type: ignore[arg-type]
        muted=muted,
        stream=options.stream,
    )
    if source.kind == "video":
        _describe_video(request, source)
    else:
        request.stereo = source.stereo
        request.disable_dtx = source.stereo or (options.dtx is not None and not options.dtx)
        request.disable_red = True
    return request


def _describe_video(request: rtc.AddTrackRequest, source: OpenSource) -> None:
    request.width, request.height = source.width, source.height
    for layer in source.layers:
        request.layers.add(
            quality=_QUALITY_OF_RID[layer.rid], width=layer.width, height=layer.height, bitrate=layer.max_bitrate_bps
        )
