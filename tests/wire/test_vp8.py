from fractions import Fraction
from random import Random

import av
import numpy as np
import pytest
from aiortc.codecs.vpx import Vp8Encoder, VpxPayloadDescriptor, vp8_depayload

from lknb.errors import WireError
from lknb.wire.vp8 import (
    build_vp8_descriptor,
    depacketize_vp8,
    is_vp8_keyframe,
    packetize_vp8,
    parse_vp8_descriptor,
    vp8_dimensions,
)
from tests.wire.mutation import assert_total, mutants

# The frame tag and header of a key frame of 1280 x 720, scaling bits set in the upper two of each side.
KEYFRAME = bytes.fromhex("50 43 00 9d 01 2a 00 45 d0 82 00 00")
DELTA_FRAME = bytes.fromhex("51 43 00 00 11 22")


def encode(width: int = 320, height: int = 240, frames: int = 6) -> list[bytes]:
    """Frames of libvpx: noise, so that they need many packets; the first is a key frame."""
    codec = av.CodecContext.create("libvpx", "w")
    codec.width, codec.height = width, height
    codec.pix_fmt, codec.time_base = "yuv420p", Fraction(1, 30)
    codec.options = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
    noise = np.random.default_rng(5)
    encoded = []
    for index in range(frames):
        picture = av.VideoFrame.from_ndarray(noise.integers(0, 256, (height, width, 3), np.uint8), "rgb24")
        picture.pts = index
        encoded += [bytes(packet) for packet in codec.encode(picture.reformat(format="yuv420p"))]
    return encoded + [bytes(packet) for packet in codec.encode(None)]


@pytest.fixture(scope="module")
def frames() -> list[bytes]:
    return encode()


class TestDescriptor:
    def test_single_byte(self) -> None:
        descriptor = parse_vp8_descriptor(b"\x10\x00")
        assert descriptor.start_of_frame
        assert (descriptor.size, descriptor.partition, descriptor.non_reference) == (1, 0, False)
        assert (descriptor.picture_id, descriptor.tl0_index, descriptor.key_index) == (None, None, None)
        assert (descriptor.picture_id_offset, descriptor.tl0_offset, descriptor.key_index_offset) == (-1, -1, -1)
        assert (descriptor.temporal_id, descriptor.sync) == (0, False)

    def test_all_fields(self) -> None:
        descriptor = parse_vp8_descriptor(bytes.fromhex("b0 f0 92 34 07 b5 ff"))
        assert descriptor.start_of_frame
        assert descriptor.non_reference
        assert (descriptor.picture_id, descriptor.picture_id_long, descriptor.picture_id_offset) == (0x1234, True, 2)
        assert (descriptor.tl0_index, descriptor.tl0_offset) == (7, 4)
        assert (descriptor.temporal_id, descriptor.sync) == (2, True)
        assert (descriptor.key_index, descriptor.key_index_offset) == (0x15, 5)
        assert descriptor.size == 6
        assert "picture_id=4660" in repr(descriptor)

    def test_short_picture_id(self) -> None:
        descriptor = parse_vp8_descriptor(bytes.fromhex("90 80 7f 00"))
        assert (descriptor.picture_id, descriptor.picture_id_long, descriptor.size) == (127, False, 3)

    def test_temporal_id_without_key_index_and_the_reverse(self) -> None:
        temporal = parse_vp8_descriptor(bytes.fromhex("90 20 df 00"))
        assert (temporal.temporal_id, temporal.sync, temporal.key_index) == (3, False, None)
        key = parse_vp8_descriptor(bytes.fromhex("90 10 df 00"))
        assert (key.temporal_id, key.sync, key.key_index) == (0, False, 31)

    def test_offsets_count_from_the_buffer(self) -> None:
        plain = parse_vp8_descriptor(bytes.fromhex("90 e0 92 34 07 40 ff"))
        moved = parse_vp8_descriptor(bytes(12) + bytes.fromhex("90 e0 92 34 07 40 ff"), 12)
        assert moved.picture_id_offset == plain.picture_id_offset + 12
        assert moved.tl0_offset == plain.tl0_offset + 12
        assert moved.size == plain.size
        assert moved != plain
        assert moved != object()

    @pytest.mark.parametrize(("first", "partition"), [(0x10, 0), (0x00, 0), (0x11, 1), (0x17, 7)])
    def test_only_the_start_of_partition_0_starts_a_frame(self, first: int, partition: int) -> None:
        descriptor = parse_vp8_descriptor(bytes((first, 0)))
        assert descriptor.partition == partition
        assert descriptor.start_of_frame is (first == 0x10)

    @pytest.mark.parametrize(
        "payload", ["", "10", "90", "90 80", "90 80 81", "90 80 81 94", "90 40", "90 20", "90 10", "90 f0 81 81 02"]
    )
    def test_cut_off(self, payload: str) -> None:
        with pytest.raises(WireError):
            parse_vp8_descriptor(bytes.fromhex(payload))
        assert not is_vp8_keyframe(bytes.fromhex(payload))

    def test_round_trip(self) -> None:
        random = Random(6)
        for _ in range(1000):
            maybe = [random.random() < 0.5 for _ in range(6)]
            picture_id = random.getrandbits(15) if maybe[0] else None
            tl0_index = random.getrandbits(8) if maybe[1] else None
            temporal_id = random.getrandbits(2) if maybe[2] else None
            key_index = random.getrandbits(5) if maybe[3] else None
            data = build_vp8_descriptor(
                start_of_frame=maybe[4],
                picture_id=picture_id,
                tl0_index=tl0_index,
                temporal_id=temporal_id,
                sync=maybe[5],
                key_index=key_index,
                non_reference=maybe[0],
            )
            descriptor = parse_vp8_descriptor(data + b"\0")
            assert descriptor.size == len(data)
            assert (descriptor.start_of_frame, descriptor.non_reference) == (maybe[4], maybe[0])
            assert (descriptor.picture_id, descriptor.tl0_index) == (picture_id, tl0_index)
            assert (descriptor.temporal_id, descriptor.key_index) == (temporal_id or 0, key_index)
            assert descriptor.sync is (maybe[5] and temporal_id is not None)

    def test_temporal_id_out_of_range(self) -> None:
        with pytest.raises(WireError):
            build_vp8_descriptor(start_of_frame=True, temporal_id=4)


class TestKeyframe:
    def test_first_packet_of_a_key_frame(self) -> None:
        assert is_vp8_keyframe(b"\x10" + KEYFRAME)
        assert is_vp8_keyframe(bytes.fromhex("90 80 81 94") + KEYFRAME)

    def test_other_packets(self) -> None:
        assert not is_vp8_keyframe(b"\x10" + DELTA_FRAME)
        assert not is_vp8_keyframe(b"\x00" + KEYFRAME)
        assert not is_vp8_keyframe(b"\x11" + KEYFRAME)

    def test_dimensions(self) -> None:
        assert vp8_dimensions(KEYFRAME) == (1280, 720)

    @pytest.mark.parametrize(
        "frame",
        [
            b"",
            KEYFRAME[:9],
            DELTA_FRAME + bytes(10),
            KEYFRAME[:3] + b"\x9d\x01\x2b" + KEYFRAME[6:],
            KEYFRAME[:6] + bytes(2) + KEYFRAME[8:],
            KEYFRAME[:8] + b"\x00\xc0",
        ],
    )
    def test_malformed_header(self, frame: bytes) -> None:
        with pytest.raises(WireError):
            vp8_dimensions(frame)


class TestPackets:
    def test_pieces_are_even_and_fit(self) -> None:
        payloads = packetize_vp8(bytes(range(256)) * 10, 7, 1200)
        assert [len(payload) for payload in payloads] == [857, 857, 858]
        assert b"".join(depacketize_vp8(payload)[1] for payload in payloads) == bytes(range(256)) * 10
        starts = [parse_vp8_descriptor(payload).start_of_frame for payload in payloads]
        assert starts == [True, False, False]

    def test_frame_of_the_greatest_size_for_one_packet(self) -> None:
        assert len(packetize_vp8(bytes(1196), 7, 1200)) == 1
        assert len(packetize_vp8(bytes(1197), 7, 1200)) == 2

    def test_600_packets(self) -> None:
        # aiortc#26: a frame longer than the jitter buffer
        frame = Random(7).randbytes(600 * 1196)
        payloads = packetize_vp8(frame, 7, 1200)
        assert len(payloads) == 600
        assert b"".join(depacketize_vp8(payload)[1] for payload in payloads) == frame

    def test_every_packet_carries_the_ids(self) -> None:
        for payload in packetize_vp8(bytes(3000), 0x8001, 1000, tl0_index=300, temporal_id=1, sync=True, key_index=40):
            descriptor = parse_vp8_descriptor(payload)
            assert (descriptor.picture_id, descriptor.tl0_index, descriptor.key_index) == (1, 44, 8)
            assert (descriptor.temporal_id, descriptor.sync) == (1, True)

    @pytest.mark.parametrize(("frame", "max_payload"), [(b"", 1200), (b"x", 4), (b"x", -1)])
    def test_no_frame_or_no_room(self, frame: bytes, max_payload: int) -> None:
        with pytest.raises(WireError):
            packetize_vp8(frame, 7, max_payload)


class TestAgainstLibvpxAndAiortc:
    def test_headers_of_libvpx(self, frames: list[bytes]) -> None:
        assert vp8_dimensions(frames[0]) == (320, 240)
        assert [is_vp8_keyframe(b"\x10" + frame) for frame in frames] == [True] + [False] * (len(frames) - 1)

    @pytest.mark.parametrize("size", [(16, 16), (178, 98), (1280, 720)])
    def test_dimensions_of_libvpx(self, size: tuple[int, int]) -> None:
        assert vp8_dimensions(encode(*size, frames=1)[0]) == size

    def test_aiortc_reads_our_packets(self, frames: list[bytes]) -> None:
        for picture_id, frame in enumerate(frames):
            payloads = packetize_vp8(frame, picture_id, tl0_index=picture_id, temporal_id=0)
            assert len(payloads) > 1
            assert b"".join(vp8_depayload(payload) for payload in payloads) == frame
            theirs, _ = VpxPayloadDescriptor.parse(payloads[0])
            assert (theirs.partition_start, theirs.picture_id, theirs.tl0picidx) == (1, picture_id, picture_id)

    def test_we_read_packets_of_aiortc(self, frames: list[bytes]) -> None:
        for picture_id, frame in zip((0, 127, 128, 0x7FFF), frames, strict=False):
            payloads = Vp8Encoder._packetize(frame, picture_id)
            pairs = [depacketize_vp8(payload) for payload in payloads]
            assert b"".join(piece for _, piece in pairs) == frame
            assert [descriptor.picture_id for descriptor, _ in pairs] == [picture_id] * len(pairs)
            assert [descriptor.start_of_frame for descriptor, _ in pairs] == [True] + [False] * (len(pairs) - 1)

    def test_what_went_through_packets_is_decoded(self, frames: list[bytes]) -> None:
        codec = av.CodecContext.create("vp8", "r")
        pictures = []
        for picture_id, frame in enumerate(frames):
            pieces = [depacketize_vp8(payload)[1] for payload in packetize_vp8(frame, picture_id)]
            pictures += codec.decode(av.Packet(b"".join(pieces)))
        assert [(picture.width, picture.height) for picture in pictures] == [(320, 240)] * len(frames)


class TestHostileInput:
    SAMPLES = (
        b"\x10" + KEYFRAME,
        bytes.fromhex("90 80 81 94") + KEYFRAME,
        bytes.fromhex("b0 f0 92 34 07 b5") + DELTA_FRAME,
        bytes.fromhex("80 e0 05 07 b5") + DELTA_FRAME,
    )

    def read(self, payload: bytes) -> None:
        descriptor = parse_vp8_descriptor(payload)
        assert 0 < descriptor.size < len(payload)
        for offset in (descriptor.picture_id_offset, descriptor.tl0_offset, descriptor.key_index_offset):
            assert -1 <= offset < descriptor.size
        vp8_dimensions(payload[descriptor.size :])

    def test_value_or_wire_error(self) -> None:
        assert_total(self.read, mutants(self.SAMPLES))

    def test_keyframe_question_is_always_answered(self) -> None:
        assert_total(is_vp8_keyframe, mutants(self.SAMPLES, seed=2), always_a_value=True)
