"""Whether a queue grows on the path: groups of packets -> delay variation -> trend -> over-use, normal, or under-use.

draft-ietf-rmcat-gcc-02 sections 5.1 to 5.4. The arrival-time filter is not the draft's Kalman filter but what
libwebrtc has had in its place since (trendline_estimator.cc): a line through the delays of the last groups, whose slope
is the growth of the queue.
"""

from __future__ import annotations

from collections import deque
from enum import Enum

from lknb.logic.bandwidth_sent import Arrival

_BURST_S = 0.005
_BURST_MAX_S = 0.1
_CLOCK_JUMP_S = 3.0
_REORDERED_GROUPS_MAX = 3

_WINDOW_GROUPS = 20
_SMOOTHING = 0.9
_GAIN = 4.0
_DELTAS_MAX = 60

_OVERUSE_MS = 10.0
_THRESHOLD_MS = 12.5
_THRESHOLD_MIN_MS = 6.0
_THRESHOLD_MAX_MS = 600.0
_THRESHOLD_UP = 0.0087
_THRESHOLD_DOWN = 0.039
_OUTLIER_MS = 15.0


class Usage(Enum):
    """What the delay says of the path (section 5.4)."""

    NORMAL = "normal"
    OVER = "over"
    UNDER = "under"


class DelayDetector:
    """Fed with every arrival, in order of arrival; `usage` is the present verdict."""

    __slots__ = ("_detector", "_group", "_previous", "_reordered", "_trend")

    def __init__(self) -> None:
        self._detector = _OveruseDetector()
        self._trend = _Trendline()
        self._group: _Group | None = None
        self._previous: _Group | None = None
        self._reordered = 0

    @property
    def usage(self) -> Usage:
        return self._detector.usage

    def add(self, arrival: Arrival) -> None:
        """One packet. Groups are packets that left within 5 ms, or arrived in one burst after a pause of the path
        (section 5.2)."""
        group = self._group
        if group is None:
            self._group = _Group(arrival)
        elif arrival.sent_s < group.first_sent_s:
            return
        elif group.takes(arrival):
            group.add(arrival)
        else:
            if self._previous is not None:
                self._compare(self._previous, group)
                if self._group is None:
                    return
            self._previous, self._group = group, _Group(arrival)

    def _compare(self, before: _Group, group: _Group) -> None:
        sent_delta_s = group.last_sent_s - before.last_sent_s
        arrival_delta_s = group.last_arrival_s - before.last_arrival_s
        if abs(arrival_delta_s - sent_delta_s) > _CLOCK_JUMP_S:
            self._reset()
        elif arrival_delta_s < 0:
            self._reordered += 1
            if self._reordered >= _REORDERED_GROUPS_MAX:
                self._reset()
        else:
            self._reordered = 0
            now_ms = group.last_arrival_s * 1000
            self._trend.add((arrival_delta_s - sent_delta_s) * 1000, now_ms)
            self._detector.add(self._trend, sent_delta_s * 1000, now_ms)

    def _reset(self) -> None:
        """The receiver's clock was set, or it is another receiver."""
        self._detector = _OveruseDetector()
        self._trend = _Trendline()
        self._group = self._previous = None
        self._reordered = 0


class _Group:
    """Packets that are looked at as one."""

    __slots__ = ("first_arrival_s", "first_sent_s", "last_arrival_s", "last_sent_s")

    def __init__(self, arrival: Arrival) -> None:
        self.first_sent_s = self.last_sent_s = arrival.sent_s
        self.first_arrival_s = self.last_arrival_s = arrival.arrival_s

    def takes(self, arrival: Arrival) -> bool:
        if arrival.sent_s - self.first_sent_s <= _BURST_S:
            return True
        arrival_delta_s = arrival.arrival_s - self.last_arrival_s
        return (
            arrival_delta_s <= _BURST_S
            and arrival_delta_s < arrival.sent_s - self.last_sent_s
            and arrival.arrival_s - self.first_arrival_s < _BURST_MAX_S
        )

    def add(self, arrival: Arrival) -> None:
        self.last_sent_s = max(self.last_sent_s, arrival.sent_s)
        self.last_arrival_s = max(self.last_arrival_s, arrival.arrival_s)


class _Trendline:
    """The slope of the smoothed delay over the last groups (section 5.3), in ms per ms."""

    __slots__ = ("_delay_ms", "_first_ms", "_points", "_smoothed_ms", "deltas", "slope")

    def __init__(self) -> None:
        self._points: deque[tuple[float, float]] = deque(maxlen=_WINDOW_GROUPS)
        self._delay_ms = self._smoothed_ms = 0.0
        self._first_ms: float | None = None
        self.deltas = 0
        self.slope = 0.0

    def add(self, delta_ms: float, now_ms: float) -> None:
        """The delay has changed by so much from one group to the next."""
        if self._first_ms is None:
            self._first_ms = now_ms
        self.deltas = min(self.deltas + 1, _DELTAS_MAX)
        self._delay_ms += delta_ms
        self._smoothed_ms = _SMOOTHING * self._smoothed_ms + (1 - _SMOOTHING) * self._delay_ms
        self._points.append((now_ms - self._first_ms, self._smoothed_ms))
        if len(self._points) == _WINDOW_GROUPS:
            self._fit()

    def _fit(self) -> None:
        mean_x = sum(x for x, _ in self._points) / _WINDOW_GROUPS
        mean_y = sum(y for _, y in self._points) / _WINDOW_GROUPS
        above = below = 0.0
        for x, y in self._points:
            above += (x - mean_x) * (y - mean_y)
            below += (x - mean_x) * (x - mean_x)
        if below:
            self.slope = above / below


class _OveruseDetector:
    """The trend against a threshold that adapts, lest flows that fill queues starve us (section 5.4)."""

    __slots__ = ("_last_slope", "_over_groups", "_over_ms", "_threshold_ms", "_updated_ms", "usage")

    def __init__(self) -> None:
        self.usage = Usage.NORMAL
        self._threshold_ms = _THRESHOLD_MS
        self._updated_ms: float | None = None
        self._over_ms = -1.0
        self._over_groups = 0
        self._last_slope = 0.0

    def add(self, trend: _Trendline, passed_ms: float, now_ms: float) -> None:
        if trend.deltas < 2:
            return
        offset_ms = trend.deltas * trend.slope * _GAIN
        if offset_ms > self._threshold_ms:
            # it has to last: half a group's time counts when it begins
            self._over_ms = passed_ms / 2 if self._over_ms < 0 else self._over_ms + passed_ms
            self._over_groups += 1
            if self._over_ms > _OVERUSE_MS and self._over_groups > 1 and trend.slope >= self._last_slope:
                self._over_ms, self._over_groups = 0.0, 0
                self.usage = Usage.OVER
        else:
            self._over_ms, self._over_groups = -1.0, 0
            self.usage = Usage.UNDER if offset_ms < -self._threshold_ms else Usage.NORMAL
        self._last_slope = trend.slope
        self._adapt(abs(offset_ms), now_ms)

    def _adapt(self, offset_ms: float, now_ms: float) -> None:
        passed_ms = 0.0 if self._updated_ms is None else min(max(now_ms - self._updated_ms, 0.0), 100.0)
        self._updated_ms = now_ms
        if offset_ms > self._threshold_ms + _OUTLIER_MS:
            return
        gain = _THRESHOLD_DOWN if offset_ms < self._threshold_ms else _THRESHOLD_UP
        threshold_ms = self._threshold_ms + gain * (offset_ms - self._threshold_ms) * passed_ms
        self._threshold_ms = min(max(threshold_ms, _THRESHOLD_MIN_MS), _THRESHOLD_MAX_MS)
