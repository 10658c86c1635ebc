"""Synthetic streams and a path that harms them, all in simulated time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

from lknb.wire.h264 import packetize_h264
from lknb.wire.vp8 import packetize_vp8

START = b"\0\0\0\1"
SPS = bytes.fromhex("6742c01fda014016ec05a808080a0000030002000003007911")  # 1280x720
PPS = bytes.fromhex("68ce0f2c80")


@dataclass(frozen=True)
class Packet:
    """One RTP packet as a jitter buffer sees it; `sent_at` in seconds."""

    sequence_number: int
    timestamp: int
    marker: int
    payload: bytes
    sent_at: float = 0.0

    @property
    def fields(self) -> tuple[int, int, int, bytes]:
        return self.sequence_number, self.timestamp, self.marker, self.payload


def vp8_frame(index: int, *, keyframe: bool, size: int = 3000, width: int = 640, height: int = 360) -> bytes:
    """Bytes that have the header of a VP8 frame, and differ from frame to frame."""
    head = b"\x10\x02\x00\x9d\x01\x2a" + width.to_bytes(2, "little") + height.to_bytes(2, "little")
    return (head if keyframe else b"\x11\x02\x00") + index.to_bytes(4, "big") + bytes(max(0, size - 14))


def h264_frame(index: int, *, keyframe: bool, size: int = 3000) -> bytes:
    """An access unit in Annex B form that differs from frame to frame; the body never looks like a start code."""
    body = index.to_bytes(4, "big").hex().encode() + b"\xaa" * max(1, size - 14)
    if keyframe:
        return START + SPS + START + PPS + START + b"\x65" + body
    return START + b"\x41" + body


@dataclass
class VideoSource:
    """Pictures at 30 per second, in packets."""

    codec: str = "vp8"
    sequence_number: int = 0
    timestamp: int = 0
    size: int = 3000
    keyframe_every: int = 0
    frames: list[bytes] = field(default_factory=list)
    now: float = 0.0

    def picture(self, *, keyframe: bool = False, size: int | None = None) -> list[Packet]:
        """The packets of the next picture, sent half a millisecond apart."""
        index = len(self.frames)
        keyframe = keyframe or index == 0 or (self.keyframe_every > 0 and index % self.keyframe_every == 0)
        make = vp8_frame if self.codec == "vp8" else h264_frame
        frame = make(index, keyframe=keyframe, size=self.size if size is None else size)
        self.frames.append(frame)
        payloads = packetize_vp8(frame, index) if self.codec == "vp8" else packetize_h264(frame)
        packets = [
            self._packet(payload, marker=place == len(payloads) - 1, sent_at=self.now + place * 0.0005)
            for place, payload in enumerate(payloads)
        ]
        self.timestamp = (self.timestamp + 3000) & 0xFFFFFFFF
        self.now += 1 / 30
        return packets

    def padding(self) -> Packet:
        """A packet of padding only, after the last picture."""
        return self._packet(b"", marker=0, sent_at=self.now, timestamp=(self.timestamp - 3000) & 0xFFFFFFFF)

    def pictures(self, count: int) -> list[Packet]:
        return [packet for _ in range(count) for packet in self.picture()]

    def _packet(self, payload: bytes, *, marker: int, sent_at: float, timestamp: int | None = None) -> Packet:
        number = self.sequence_number
        self.sequence_number = (number + 1) & 0xFFFF
        return Packet(number, self.timestamp if timestamp is None else timestamp, marker, payload, sent_at)


@dataclass
class AudioSource:
    """An Opus packet each 20 ms."""

    sequence_number: int = 0
    timestamp: int = 0
    now: float = 0.0
    step: int = 960

    def packet(self, size: int = 80) -> Packet:
        payload = self.timestamp.to_bytes(4, "big") + bytes(size - 4) if size >= 4 else b"\xf8\xff"[:size]
        packet = Packet(self.sequence_number, self.timestamp, 0, payload, self.now)
        self.sequence_number = (self.sequence_number + 1) & 0xFFFF
        self.pause(1)
        return packet

    def pause(self, steps: int) -> None:
        """Silence: time passes, no packet is sent."""
        self.timestamp = (self.timestamp + self.step * steps) & 0xFFFFFFFF
        self.now += self.step * steps / 48_000

    def packets(self, count: int) -> list[Packet]:
        return [self.packet() for _ in range(count)]


@dataclass
class Path:
    """A one-way path: loss, jitter, reordering, duplicates; the same for the same seed."""

    seed: int = 1
    delay_s: float = 0.01
    jitter_s: float = 0.0
    loss: float = 0.0
    reorder: float = 0.0
    reorder_s: float = 0.05
    duplicate: float = 0.0
    blackouts: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        self._random = Random(self.seed)

    def arrivals(self, sent_at: float) -> list[float]:
        """When a packet sent now arrives: never, once or twice."""
        draw = self._random.random
        dead = any(begin <= sent_at < end for begin, end in self.blackouts)
        if draw() < self.loss or dead:
            return []
        at = sent_at + self.delay_s + draw() * self.jitter_s
        if draw() < self.reorder:
            at += draw() * self.reorder_s
        return [at, at + 0.01] if draw() < self.duplicate else [at]

    def carry(self, packets: Iterable[Packet]) -> list[tuple[float, Packet]]:
        """(arrival, packet) in order of arrival."""
        pairs = [(at, place, p) for place, p in enumerate(packets) for at in self.arrivals(p.sent_at)]
        return [(at, packet) for at, _, packet in sorted(pairs, key=lambda pair: pair[:2])]
