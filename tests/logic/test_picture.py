"""Packets in order -> pictures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lknb import limits
from lknb.logic.picture import PictureAssembler, VideoPacket
from lknb.wire.frame import EncodedFrame
from tests.logic.media import PPS, SPS, START, VideoSource, h264_frame


def packet(codec: str, payload: bytes, timestamp: int = 0, *, marker: bool = False) -> VideoPacket:
    return VideoPacket(codec, timestamp, marker, payload, 0.0, 1234)


def assemble(codec: str, packets: list[VideoPacket]) -> tuple[list[EncodedFrame], list[bool]]:
    assembler = PictureAssembler(codec, "h")
    out: list[EncodedFrame] = []
    return out, [assembler.add(p, out) for p in packets]


@pytest.mark.parametrize(("codec", "size"), [("vp8", (640, 360)), ("h264", (1280, 720))])
def test_pictures_are_whole_and_carry_their_size_on(codec: str, size: tuple[int, int]) -> None:
    source = VideoSource(codec)
    packets = [packet(codec, p.payload, p.timestamp, marker=bool(p.marker)) for p in source.pictures(3)]
    out, fine = assemble(codec, packets)
    assert all(fine)
    assert [frame.data for frame in out] == source.frames
    assert [frame.keyframe for frame in out] == [True, False, False]
    assert [frame.timestamp for frame in out] == [0, 3000, 6000]
    assert {(frame.width, frame.height) for frame in out} == {size}
    assert {(frame.codec, frame.rid, frame.timestamp_us, frame.concealed) for frame in out} == {
        (codec, "h", 1234, False)
    }


@pytest.mark.parametrize("codec", ["vp8", "h264"])
def test_without_markers_a_picture_ends_where_the_next_begins(codec: str) -> None:
    source = VideoSource(codec)
    out, fine = assemble(codec, [packet(codec, p.payload, p.timestamp) for p in source.pictures(3)])
    assert all(fine)
    assert [frame.data for frame in out] == source.frames[:2]


def test_a_vp8_picture_ends_where_another_begins_with_the_same_timestamp() -> None:
    source = VideoSource("vp8")
    out, fine = assemble("vp8", [packet("vp8", p.payload, 0) for p in source.pictures(2)])
    assert all(fine)
    assert [frame.data for frame in out] == source.frames[:1]


def test_padding_is_passed_over() -> None:
    source = VideoSource("vp8", size=2000)
    first, second = source.picture()
    packets = [packet("vp8", b""), packet("vp8", first.payload), packet("vp8", b"", 99)]
    out, fine = assemble("vp8", [*packets, packet("vp8", second.payload, marker=True)])
    assert all(fine)
    assert [frame.data for frame in out] == source.frames


@pytest.mark.parametrize(
    ("codec", "payload"),
    [("vp8", b"\x90\x80"), ("vp8", b"\x10"), ("h264", b"\x18\xff\xff\x00"), ("h264", b"\x7c\x85"), ("h264", b"\x1f")],
)
def test_a_malformed_payload_spoils_the_picture(codec: str, payload: bytes) -> None:
    out, fine = assemble(codec, [packet(codec, payload, marker=True)])
    assert (out, fine) == ([], [False])


def test_a_picture_without_its_beginning_is_spoilt() -> None:
    for codec in ("vp8", "h264"):
        packets = VideoSource(codec, size=5000).picture()[-1:]
        out, fine = assemble(codec, [packet(codec, p.payload, marker=True) for p in packets])
        assert (out, fine) == ([], [False])


def test_a_vp8_key_frame_with_a_broken_header_is_spoilt() -> None:
    begin = b"\x10\x10\x02\x00\x00\x00\x00\x00\x00\x00\x00"
    assert assemble("vp8", [packet("vp8", begin, marker=True)]) == ([], [False])
    out, fine = assemble("vp8", [packet("vp8", begin), packet("vp8", begin, 3000)])
    assert (out, fine) == ([], [True, False])


def test_an_h264_key_frame_may_lean_on_earlier_parameter_sets() -> None:
    source = VideoSource("h264")
    packets = [packet("h264", p.payload, p.timestamp, marker=bool(p.marker)) for p in source.picture()]
    out, fine = assemble("h264", [*packets, packet("h264", b"\x65\x88\x84", 3000, marker=True)])
    assert all(fine)
    assert [(frame.keyframe, frame.width) for frame in out] == [(True, 1280), (True, 1280)]


def test_a_picture_beyond_all_bounds_is_spoilt() -> None:
    count = limits.FRAME_BYTES // 1000
    packets = [packet("vp8", b"\x10\x11" + bytes(999))] + [packet("vp8", b"\x00" + bytes(1000))] * count
    out, fine = assemble("vp8", packets)
    assert out == []
    assert fine == [True] * count + [False]


def test_reset_forgets_the_picture_in_progress() -> None:
    source = VideoSource("vp8")
    assembler, out = PictureAssembler("vp8", ""), list[EncodedFrame]()
    assembler.add(packet("vp8", source.picture()[0].payload), out)
    assembler.reset()
    for p in source.picture(keyframe=True):
        assert assembler.add(packet("vp8", p.payload, p.timestamp, marker=bool(p.marker)), out)
    assert [frame.data for frame in out] == source.frames[1:]


def test_where_an_h264_decoder_can_begin() -> None:
    def has(payload: bytes) -> bool:
        return packet("h264", payload).has_parameter_sets()

    assert has(SPS)
    assert has(b"\x78" + len(PPS).to_bytes(2, "big") + PPS + len(SPS).to_bytes(2, "big") + SPS)
    assert not has(PPS)
    assert not has(b"\x65\x88")
    assert h264_frame(0, keyframe=True).startswith(START + SPS)


@given(codec=st.sampled_from(["vp8", "h264"]), payloads=st.lists(st.binary(max_size=40), max_size=12))
def test_any_payloads_are_survived(codec: str, payloads: list[bytes]) -> None:
    assembler, out = PictureAssembler(codec, ""), list[EncodedFrame]()
    for index, payload in enumerate(payloads):
        if not assembler.add(packet(codec, payload, index // 3, marker=index % 3 == 2), out):
            assembler.reset()
    assert all(frame.data for frame in out)
