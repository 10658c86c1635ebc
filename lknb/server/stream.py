"""One SSRC from a publisher: an audio track, or one layer of a video track.

`receive` is the path of every packet: it keeps the books (loss, reports, liveness, level) and hands the packet to the
subscriptions that follow this layer.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Protocol, TypeAlias

from lknb.errors import WireError
from lknb.logic.budget import Budget
from lknb.logic.layer import LayerActivity
from lknb.logic.nack import NackGenerator
from lknb.logic.report import ReceptionStatistics, SenderReportClock
from lknb.logic.sequence import Unwrapper, difference
from lknb.logic.temporal import TemporalRates
from lknb.wire.h264 import is_h264_keyframe
from lknb.wire.vp8 import Vp8Descriptor, is_vp8_keyframe, parse_vp8_descriptor

if TYPE_CHECKING:
    from lknb.server.publication import Publication
    from lknb.server.subscription import Subscription
    from lknb.wire.rtp import RtpView

KEYFRAMES_PER_S = (2.0, 1.0, 1.0)
"""Asked for in the long run, by layer: those of big layers cost more (LiveKit's intervals)."""
KEYFRAMES_AT_ONCE = 2
KEYFRAME_INTERVAL_S = 0.32
"""Between two requests: libwebrtc ignores those within 0.3 s of another, so that a shorter one would be lost."""


PASSED_MAX = 500
"""Packets that are kept while a key frame is waited for."""

Passed: TypeAlias = "tuple[int, RtpView, bytes, Vp8Descriptor | None]"
"""A packet: its number, unwrapped, and what was read of it; without payload it is padding."""


class Feedback(Protocol):
    """The way back to the publisher."""

    def request_keyframe(self, ssrc: int) -> None:
        """Ask for a picture that decodes alone."""

    def request_packets(self, ssrc: int, sequence_numbers: tuple[int, ...]) -> None:
        """Ask for packets that are missing."""


class Stream:
    """State of one incoming SSRC. `waiting` want to follow it from its next key frame on."""

    def __init__(
        self,
        publication: Publication,
        mid: str,
        layer: int,
        ssrc: int,
        payload_type: int,
        level_id: int,
        feedback: Feedback,
    ) -> None:
        self.publication = publication
        self.mid = mid
        self.layer = layer
        self.ssrc = ssrc
        self.payload_type = payload_type
        self.audio = publication.kind == "audio"
        self.activity = LayerActivity(layer)
        clock_hz = 48_000 if self.audio else 90_000
        self.statistics = ReceptionStatistics(ssrc, clock_hz)
        self.clock = SenderReportClock(clock_hz)
        self.temporal = TemporalRates()
        self.waiting: set[Subscription] = set()
        self.packets = 0
        self.octets = 0
        self._followers: tuple[Subscription, ...] = ()
        self._level_id = level_id
        self._unwrap = Unwrapper(16)
        self._nack = NackGenerator()
        self._last_timestamp: int | None = None
        self._keyframe = 0
        """Where the last key frame begins that came while something was missing."""
        self._passed: list[Passed] = []
        """What has come while somebody waits for a key frame."""
        self._passed_since = 0
        """All that followed this packet is among it."""
        self._vp8 = publication.codec == "vp8"
        self._keyframe_wanted = False
        self._keyframe_due = 0.0
        self._keyframes = Budget(KEYFRAMES_PER_S[min(layer, 2)], KEYFRAMES_AT_ONCE)
        self._feedback = feedback

    def follow(self, subscription: Subscription, on: bool) -> None:
        """Deliver packets to a subscription, or stop."""
        others = tuple(s for s in self._followers if s is not subscription)
        self._followers = (*others, subscription) if on else others

    def request_keyframe(self, now: float) -> None:
        """Ask the publisher for a key frame; a request that comes too early is kept until it may go out."""
        if not self.audio:
            self._keyframe_wanted = True
            self._ask_keyframe(now)

    def _ask_keyframe(self, now: float) -> None:
        if now >= self._keyframe_due and not self._keyframes.wait_s(now):
            self._keyframe_wanted = False
            self._keyframe_due = now + KEYFRAME_INTERVAL_S
            self._keyframes.spend(1, now)
            self._feedback.request_keyframe(self.ssrc)

    def receive(self, view: RtpView, arrival_us: int, now: float) -> None:
        """One packet of this SSRC."""
        sequence = self._unwrap(view.sequence_number)
        self.packets += 1
        self.octets += len(view.data)
        self.statistics.add(view.sequence_number, view.timestamp, arrival_us)
        if not self.audio:
            self._nack.add(view.sequence_number, now)
            if self._nack.missing:
                self._request_missing(now)
        if view.payload_start == view.payload_end:
            # libwebrtc probes with packets of padding only, hundreds a second
            for subscription in self._followers:
                subscription.skip(sequence)
            if self.waiting:
                self._remember(sequence, view, b"", None)
            return
        if sequence == self._unwrap.highest and self.activity.packet(view.timestamp):
            self.publication.layers_changed(now)
        payload = view.data[view.payload_start : view.payload_end]
        descriptor: Vp8Descriptor | None = None
        if self._vp8:
            try:
                descriptor = parse_vp8_descriptor(payload)
            except WireError:
                for subscription in self._followers:
                    subscription.skip(sequence)
                return
            if descriptor.start_of_frame:
                self.temporal.add(descriptor.temporal_id, now)
        elif self.audio:
            self._observe_level(view, now)
        if (self._keyframe_wanted or self.waiting or self._nack.missing) and self._decodable(payload):
            self._keyframe_wanted = False
            self._keyframe = max(self._keyframe, sequence)
            if self.waiting:
                self._begin(sequence, view, payload, descriptor, now)
                return
        for subscription in self._followers:
            subscription.forward(sequence, view, payload, descriptor, now)
        if self.waiting:
            self._remember(sequence, view, payload, descriptor)
        elif self._passed:
            self._passed.clear()

    def _begin(
        self, sequence: int, view: RtpView, payload: bytes, descriptor: Vp8Descriptor | None, now: float
    ) -> None:
        """Those who wait follow from this packet on, the first of a key frame.

        When it was lost, and came once more, what follows it has come before: they get that as well. Where that is no longer
        there they wait for another key frame, since nobody would ever send them the rest of this one.
        """
        joining: tuple[Subscription, ...] = ()
        if sequence == self._unwrap.highest or sequence >= self._passed_since:
            joining = tuple(self.waiting)
        for subscription in joining:
            subscription.switch(self, sequence, view.timestamp, descriptor, now)
        for subscription in self._followers:
            subscription.forward(sequence, view, payload, descriptor, now)
        later = sorted((passed for passed in self._passed if passed[0] > sequence), key=itemgetter(0))
        for subscription in joining:
            for number, its_view, its_payload, its_descriptor in later:
                if its_payload:
                    subscription.forward(number, its_view, its_payload, its_descriptor, now)
                else:
                    subscription.skip(number)
        self._passed.clear()
        if self.waiting:
            self.request_keyframe(now)

    def _remember(self, sequence: int, view: RtpView, payload: bytes, descriptor: Vp8Descriptor | None) -> None:
        if len(self._passed) >= PASSED_MAX:
            self._passed.clear()
        if not self._passed:
            highest = self._unwrap.highest or 0
            self._passed_since = sequence - 1 if sequence == highest else highest
        self._passed.append((sequence, view, payload, descriptor))

    def _decodable(self, payload: bytes) -> bool:
        if self.audio:
            return True
        return is_vp8_keyframe(payload) if self._vp8 else is_h264_keyframe(payload)

    def _observe_level(self, view: RtpView, now: float) -> None:
        value = view.extension(self._level_id) if self._level_id else None
        last, self._last_timestamp = self._last_timestamp, view.timestamp
        if not value or last is None or self.publication.muted:
            return
        duration_ms = ((view.timestamp - last) & 0xFFFFFFFF) / 48
        if 0 < duration_ms <= 1000:
            self.publication.audio_level.observe(value[0] & 127, duration_ms, now)

    def _request_missing(self, now: float) -> None:
        numbers = self._nack.poll(now)
        if numbers:
            self._feedback.request_packets(self.ssrc, numbers)
        lost = self._nack.take_lost()
        if lost and self._followers and any(self._is_needed(number) for number in lost):
            # decoders wait for what does not come any more, libwebrtc's for 3 s before it asks
            self.request_keyframe(now)

    def _is_needed(self, number: int) -> bool:
        """Whether a packet, by its 16 bit, belongs to the last key frame or to what follows it."""
        highest = self._unwrap.highest or 0
        return highest + difference(number, highest & 0xFFFF) >= self._keyframe

    def end(self, now: float) -> None:
        """The publisher says that it sends no more of this layer (RFC 3550 section 6.6), for a while perhaps."""
        if self.activity.end():
            self._liveness_changed(now)

    def _liveness_changed(self, now: float) -> None:
        if not self.activity.live and self.publication.switched_off(self.layer):
            self.activity.reset()
        self.publication.layers_changed(now)

    def tick(self, now: float) -> None:
        """Timers."""
        if not self.publication.muted and self.activity.tick(now, self.publication.activities):
            self._liveness_changed(now)
        for subscription in self._followers:
            subscription.choose_temporal()
        if self.waiting:
            self.request_keyframe(now)
        elif self._keyframe_wanted:
            self._ask_keyframe(now)
        if self._nack.missing:
            self._request_missing(now)
