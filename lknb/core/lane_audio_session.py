"""The session of a page that plays a room: every audio track the room is subscribed to, Opus packets as they are.

    core -> page   {"type": "tracks", "tracks": [[index, track sid, participant sid, muted], ...]}    first, and after each change
                   {"type": "sound", sequence, "packets": [[index, timestamp_us], ...]} [packet] ...
                   {"type": "ended"}                                                  the room was left
    page -> core   {"type": "hello", lane}
                   {"type": "ack", sequence}                                          cumulative
                   {"type": "sound", state}                                           playing, or blocked by the browser

`timestamp_us` counts along the RTP timestamps of its track, so that a hole can be told from a pause. Through the kernel's
comm each message costs the page dearly, and all of a notebook's share one rate limit: there the packets of all tracks
travel together, some 60 ms at a time.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

from lknb.core.lane_audio_flow import AudioFlow
from lknb.core.lane_port import LanePort
from lknb.core.lane_ticket import Grant
from lknb.core.message import MAX_BUFFERS
from lknb.core.track import EncodedTrack
from lknb.errors import WireError
from lknb.wire.frame import EncodedFrame

AudioState: TypeAlias = Literal["waiting", "blocked", "playing", "ended"]

BUNDLE_S = 0.055
"""From one bundle to the next at least: three packets of 20 ms of each track, give or take their jitter."""
_CLOCK_HZ = 48_000
_MESSAGE_BYTES = 96
_PACKET_BYTES = 40
"""What header and lengths add, at most."""
LINK_BYTES = 64 * 1024
"""What others may have waiting on the link to the kernel, a moment of video, before it counts as full."""


class AudioTrack(EncodedTrack, Protocol):
    """A subscribed audio track."""

    @property
    def participant_sid(self) -> str:
        """Whose it is, `PA_...`."""


class AudioSession:
    """A `LaneSession` that sends a room's sound.

    `tracks()` gives the audio tracks as they are now, None when the room was left. `on_change` is called when `state`
    changes, `on_closed` when all is over.
    """

    def __init__(
        self,
        grant: Grant,
        port: LanePort,
        tracks: Callable[[], Sequence[AudioTrack] | None],
        *,
        clock: Callable[[], float],
        on_change: Callable[[], None],
        on_closed: Callable[[AudioSession], None],
    ) -> None:
        self.grant = grant
        self.state: AudioState = "waiting"
        self._port = port
        self._tracks = tracks
        self._clock = clock
        self._on_change = on_change
        self._on_closed = on_closed
        self._bundled = port.name == "comm"
        self._flow = AudioFlow(clock(), others_bytes=LINK_BYTES if self._bundled else 0)
        self._attached: dict[str, tuple[AudioTrack, Callable[[EncodedFrame], None]]] = {}
        self._indexes: dict[str, int] = {}
        self._told: list[list[Any]] | None = None
        self._packets: list[list[int]] = []
        self._data: list[bytes] = []
        self._flushed_at = float("-inf")

    def refresh(self) -> None:
        """Follow the tracks: begin with new ones, let go of those that ended, tell what is muted."""
        if self.state == "ended":
            return
        tracks = self._tracks()
        if tracks is None:
            self._end()
            return
        present = {track.sid: track for track in tracks}
        for sid, (track, _) in list(self._attached.items()):
            if present.get(sid) is not track:
                self._detach(sid)
        for track in tracks:
            if track.sid not in self._attached:
                self._attach(track)
        self._tell_tracks(tracks)
        if self._packets and self._is_due():
            # the packet that would have closed it did not come
            self._flush()

    def handle(self, header: Mapping[str, Any], buffers: Sequence[bytes]) -> None:
        """A message of the page. Raises `WireError` for what no page of ours says."""
        match header.get("type"):
            case "ack":
                self._flow.acknowledge(_sequence(header), self._clock())
            case "sound":
                self._hear_state(header.get("state"))
            case "hello":
                pass
            case _:
                raise WireError("a message of no known type")

    def closed(self) -> None:
        """The page is gone."""
        self._detach_all()
        self._on_closed(self)

    def _hear_state(self, state: object) -> None:
        if self.state == "ended":
            return
        if state == "playing" or state == "blocked":
            self._become(state)
        else:
            raise WireError("a page's sound is neither playing nor blocked")

    def _detach_all(self) -> None:
        for sid in list(self._attached):
            self._detach(sid)

    def _attach(self, track: AudioTrack) -> None:
        index = self._indexes.setdefault(track.sid, len(self._indexes))
        sink = functools.partial(self._receive, track, index)
        self._attached[track.sid] = (track, sink)
        track.attach(sink, keyframe=False)

    def _detach(self, sid: str) -> None:
        track, sink = self._attached.pop(sid)
        track.detach(sink)

    def _receive(self, track: AudioTrack, index: int, frame: EncodedFrame) -> None:
        """A track's next packet."""
        # a page that may not play drops what it gets, and its silence is not worth the messages
        if not frame.data or track.muted or self.state == "blocked":
            return
        self._packets.append([index, frame.timestamp * 1_000_000 // _CLOCK_HZ])
        self._data.append(frame.data)
        if not self._bundled or len(self._packets) == MAX_BUFFERS or self._is_due():
            self._flush()

    def _is_due(self) -> bool:
        return self._clock() - self._flushed_at >= BUNDLE_S

    def _flush(self) -> None:
        packets, self._packets = self._packets, []
        data, self._data = self._data, []
        self._flushed_at = self._clock()
        size = _MESSAGE_BYTES + sum(len(packet) + _PACKET_BYTES for packet in data)
        sequence = self._flow.offer(size, waiting_bytes=self._port.waiting_bytes, now=self._flushed_at)
        if sequence is not None:
            self._port.send({"type": "sound", "sequence": sequence, "packets": packets}, data)

    def _tell_tracks(self, tracks: Sequence[AudioTrack]) -> None:
        listed = [[self._indexes[track.sid], track.sid, track.participant_sid, track.muted] for track in tracks]
        if listed == self._told:
            return
        # what waits was sent before the change, and would sound after it
        silent = {index for index, _, _, muted in listed if not muted}
        kept = [n for n, (index, _) in enumerate(self._packets) if index in silent]
        self._packets = [self._packets[n] for n in kept]
        self._data = [self._data[n] for n in kept]
        self._told = listed
        self._port.send({"type": "tracks", "tracks": listed})

    def _end(self) -> None:
        self._detach_all()
        self._packets, self._data = [], []
        self._port.send({"type": "ended"})
        self._become("ended")

    def _become(self, state: AudioState) -> None:
        if state != self.state:
            self.state = state
            self._on_change()


def _sequence(header: Mapping[str, Any]) -> int:
    sequence = header.get("sequence")
    if not isinstance(sequence, int) or isinstance(sequence, bool):
        raise WireError("an ack without a number")
    return sequence
