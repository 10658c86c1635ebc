"""One published track: what is said of it, and its layers.

The TrackInfo echoes what the publisher asked for, as the real server does, and fills in what the negotiation and the first
packets tell (mime type, mid, rid and ssrc of each layer).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from livekit.protocol import models, rtc

from lknb.logic.negotiation import H264_PROFILE, h264_profile
from lknb.logic.quality import QualityScore
from lknb.logic.speaker import AudioLevel
from lknb.server.room import new_sid

if TYPE_CHECKING:
    from lknb.logic.layer import LayerActivity
    from lknb.server.participant import Participant
    from lknb.server.stream import Stream
    from lknb.server.subscription import Subscription
    from lknb.wire.sdp import Codec

TrackType, TrackSource, VideoQuality = models.TrackType, models.TrackSource, models.VideoQuality

SOURCE_LETTERS = {
    TrackSource.CAMERA: "C",
    TrackSource.MICROPHONE: "M",
    TrackSource.SCREEN_SHARE: "S",
    TrackSource.SCREEN_SHARE_AUDIO: "s",
}
STREAMS = {
    TrackSource.CAMERA: "camera",
    TrackSource.MICROPHONE: "camera",
    TrackSource.SCREEN_SHARE: "screen",
    TrackSource.SCREEN_SHARE_AUDIO: "screen",
}
VIDEO_CODECS = ("vp8", "h264")
QUALITIES = (VideoQuality.LOW, VideoQuality.MEDIUM, VideoQuality.HIGH)
LayerMode = models.VideoLayer.Mode


class Publication:
    """A track somebody publishes. Layers are numbered upward from 0; audio and single-layer video have only layer 0."""

    def __init__(self, publisher: Participant, request: rtc.AddTrackRequest) -> None:
        self.publisher = publisher
        self.cid = request.cid
        self.announced_at = time.monotonic()
        self.kind = "audio" if request.type == TrackType.AUDIO else "video"
        self.wanted_codec = _wanted_codec(request)
        self.info = _track_info(request, self.wanted_codec)
        self.live = False
        """Whether the others were told of it: only then can they subscribe."""
        self.mid = ""
        self.codec = ""
        self.h264_profile = H264_PROFILE
        self.streams: dict[int, Stream] = {}
        self.subscriptions: dict[str, Subscription] = {}
        self.audio_level = AudioLevel()
        self._score = QualityScore(self.kind)
        self._measured = (0, 0)
        self._told_subscribed = False
        self._told_quality: int | None = None
        self._lower_due: float | None = None

    @property
    def sid(self) -> str:
        """Track sid."""
        return self.info.sid

    @property
    def muted(self) -> bool:
        """Whether the publisher, or an admin, muted it."""
        return self.info.muted

    @property
    def activities(self) -> list[LayerActivity]:
        """Liveness of all layers there are."""
        return [stream.activity for stream in self.streams.values()]

    def bind(self, mid: str, agreed: Codec, rids: list[str]) -> None:
        """The section that carries it was agreed on."""
        codec = agreed.name.lower()
        self.mid, self.codec, self.h264_profile = mid, codec, h264_profile(agreed)
        mime = f"{self.kind}/{codec if codec == 'opus' else codec.upper()}"
        self.info.mime_type = mime
        self.info.mid = mid
        self.info.version.unix_micro = time.time_ns() // 1000
        if not self.info.codecs:
            self.info.codecs.add(cid=self.cid)
        first = self.info.codecs[0]
        first.mime_type, first.mid = mime, mid
        for layers in (self.info.layers, first.layers):
            for index, layer in enumerate(layers):
                layer.spatial_layer = index
                if rids and index < 3:
                    layer.rid = "qhf"[index]

    def layer_of(self, rid: str) -> int:
        """The layer number of a rid (LiveKit: videolayerutils.go): q h f with three, q h with two, else all 0."""
        count = len(self.info.layers)
        index = {"q": 0, "h": 1, "f": 2, "2": 0, "1": 1, "0": 2}.get(rid, 0)
        return min(index, max(count - 1, 0))

    def note_ssrc(self, layer: int, ssrc: int) -> None:
        """The first packet of a layer came."""
        for layers in (self.info.layers, self.info.codecs[0].layers if self.info.codecs else ()):
            for item in layers:
                if item.spatial_layer == layer:
                    item.ssrc = ssrc

    def add_stream(self, stream: Stream, now: float) -> None:
        """A layer has an SSRC now, perhaps another one than before."""
        before = self.streams.get(stream.layer)
        self.streams[stream.layer] = stream
        self.note_ssrc(stream.layer, stream.ssrc)
        # told by the clock: a hostile publisher may change its SSRC with every packet
        self.publisher.announcement.changed_soon()
        if before is not None:
            stream.waiting |= before.waiting
            for subscription in self.subscriptions.values():
                subscription.replaced(before, now)

    def switched_off(self, layer: int) -> bool:
        """Whether the publisher was told that nobody wants this layer: when it stops then, its first packet revives it."""
        return self._told_quality is not None and layer > self._told_quality

    def layers_changed(self, now: float) -> None:
        """A layer came alive or died: everybody chooses anew."""
        for subscription in list(self.subscriptions.values()):
            subscription.update(now)

    def layer_for(self, quality: int, width: int, height: int) -> int:
        """The layer that serves a wish (LiveKit: mediatrackreceiver.go GetQualityForDimension).

        A size counts by its height: the smallest layer that has at least nine tenths of it. Without a size it is the
        layer the publisher announced for the quality, or the best one below it.
        """
        layers = self.info.layers
        if width > 0:
            fitting = (index for index, layer in enumerate(layers) if layer.height >= int(0.9 * height))
            return next(fitting, max(len(layers) - 1, 0))
        return max((index for index, layer in enumerate(layers) if layer.quality <= quality), default=0)

    def tell_subscribed(self) -> None:
        """Media flows to somebody: the publisher hears of the first one."""
        self.layers_wanted_changed(time.monotonic())
        if not self._told_subscribed:
            self._told_subscribed = True
            self.publisher.send(rtc.SignalResponse(track_subscribed=rtc.TrackSubscribed(track_sid=self.sid)))

    def layers_wanted_changed(self, now: float) -> None:
        """Tell the publisher which layers anybody wants (dynacast): more at once, fewer after a delay."""
        if self.kind != "video":
            return
        wanted = max((s.wanted_layer() for s in self.subscriptions.values() if s.ready), default=-1)
        told = self._told_quality
        if told is None or wanted >= told:
            self._lower_due = None
            if wanted != told and (wanted >= 0 or told is not None):
                self._tell_quality(wanted)
        elif self._lower_due is None:
            self._lower_due = now + self.publisher.room.config.dynacast_lower_delay_s

    def measure_quality(self) -> float:
        """The score of the way from the publisher to the server, since the last call."""
        packets = sum(stream.packets for stream in self.streams.values())
        lost = sum(stream.statistics.lost for stream in self.streams.values())
        before, self._measured = self._measured, (packets, lost)
        if self.muted or not self.streams:
            self._score.reset()
        else:
            # without a subscriber dynacast has switched every layer off
            expected = self.kind == "audio" or self._told_quality != -1
            self._score.update(packets=packets - before[0], lost=lost - before[1], expected=expected)
        return self._score.value

    def tick(self, now: float) -> None:
        """Timers."""
        if self._lower_due is not None and now >= self._lower_due:
            self._lower_due = None
            wanted = max((s.wanted_layer() for s in self.subscriptions.values() if s.ready), default=-1)
            if self._told_quality is not None and wanted < self._told_quality:
                self._tell_quality(wanted)

    def _tell_quality(self, wanted: int) -> None:
        self._told_quality = wanted
        layers = self.info.layers
        best = -1 if wanted < 0 else layers[wanted].quality if wanted < len(layers) else VideoQuality.HIGH
        qualities = [rtc.SubscribedQuality(quality=quality, enabled=quality <= best) for quality in QUALITIES]
        update = rtc.SubscribedQualityUpdate(
            track_sid=self.sid,
            subscribed_qualities=qualities,
            subscribed_codecs=[rtc.SubscribedCodec(codec=self.codec, qualities=qualities)],
        )
        self.publisher.send(rtc.SignalResponse(subscribed_quality_update=update))

    def set_muted(self, muted: bool, now: float) -> bool:
        """Mute or unmute; whether that changed anything. Nothing of a muted track is forwarded."""
        if self.info.muted == muted:
            return False
        for stream in self.streams.values():
            stream.activity.reset()
        self.info.muted = muted
        self.info.version.unix_micro = time.time_ns() // 1000
        for subscription in list(self.subscriptions.values()):
            subscription.update(now)
        return True


def _wanted_codec(request: rtc.AddTrackRequest) -> str:
    if request.type == TrackType.AUDIO:
        return "opus"
    for item in request.simulcast_codecs:
        name = item.codec.lower().removeprefix("video/")
        if name in VIDEO_CODECS:
            return name
    return "" if not request.simulcast_codecs else "vp8"


def _track_info(request: rtc.AddTrackRequest, codec: str) -> models.TrackInfo:
    letter = "A" if request.type == TrackType.AUDIO else "V"
    info = models.TrackInfo(
        sid=new_sid(f"TR_{letter}{SOURCE_LETTERS.get(request.source, '')}"),
        type=request.type,
        name=request.name,
        muted=request.muted,
        width=request.width,
        height=request.height,
        source=request.source,
        simulcast=len(request.layers) > 1,
        disable_dtx=request.disable_dtx,
        stereo=request.stereo,
        disable_red=request.disable_red,
        encryption=request.encryption,
        stream=request.stream or STREAMS.get(request.source, "unknown"),
        backup_codec_policy=request.backup_codec_policy,
        audio_features=request.audio_features,
    )
    info.layers.extend(_sorted_layers(request.layers))
    if not request.simulcast_codecs:
        info.codecs.add(cid=request.cid, layers=info.layers)
        if request.type == TrackType.AUDIO:
            info.backup_codec_policy = models.BackupCodecPolicy.SIMULCAST
    for item in request.simulcast_codecs[:1]:
        mode = LayerMode.ONE_SPATIAL_LAYER_PER_STREAM if request.type == TrackType.VIDEO else LayerMode.MODE_UNUSED
        info.codecs.add(
            mime_type=f"video/{codec}" if request.type == TrackType.VIDEO else item.codec,
            cid=item.cid or request.cid,
            layers=_sorted_layers(item.layers or request.layers),
            video_layer_mode=mode,
        )
    return info


def _sorted_layers(layers: object) -> list[models.VideoLayer]:
    return sorted(layers, key=lambda layer: layer.quality)  # type: ignore[call-overload, no-any-return]
