from fractions import Fraction
from random import Random

import av
import numpy as np
import pytest
from aiortc.codecs.h264 import H264Encoder, H264PayloadDescriptor, h264_depayload

from lknb.errors import WireError
from lknb.wire.h264 import depacketize_h264, h264_dimensions, is_h264_keyframe, packetize_h264, split_annexb
from tests.wire.mutation import assert_total, mutants

START = b"\0\0\0\1"
SPS = bytes.fromhex("6742c01fda014016ec05a808080a00000300020000030079") + b"\x11"
PPS = bytes.fromhex("68ce0f2c80")
IDR = b"\x65\x88\x84"
SLICE = b"\x41\x9a\x02"


def encode(
    width: int = 320, height: int = 240, frames: int = 6, pixels: str = "yuv420p", **options: str
) -> list[bytes]:
    """Access units of libx264: noise, so that they need many packets; the first is a key frame."""
    codec = av.CodecContext.create("libx264", "w")
    codec.width, codec.height = width, height
    codec.pix_fmt, codec.time_base = pixels, Fraction(1, 30)
    codec.options = {"preset": "ultrafast", "tune": "zerolatency", **options}
    noise = np.random.default_rng(5)
    encoded = []
    for index in range(frames):
        picture = av.VideoFrame.from_ndarray(noise.integers(0, 256, (height, width, 3), np.uint8), "rgb24")
        picture.pts = index
        encoded += [bytes(packet) for packet in codec.encode(picture.reformat(format=pixels))]
    return encoded + [bytes(packet) for packet in codec.encode(None)]


def nals(access_unit: bytes) -> list[bytes]:
    return list(split_annexb(access_unit))


@pytest.fixture(scope="module")
def access_units() -> list[bytes]:
    return encode()


class TestKeyframe:
    @pytest.mark.parametrize(
        "payload",
        [
            pytest.param(SPS, id="parameter set alone"),
            pytest.param(IDR, id="IDR slice alone"),
            pytest.param(b"\x78\x00\x05" + PPS + b"\x00\x03" + IDR, id="second of an aggregate"),
            pytest.param(b"\x7c\x85\x88", id="first fragment of an IDR slice"),
            pytest.param(b"\x7c\x87\x42", id="first fragment of a parameter set"),
        ],
    )
    def test_beginnings(self, payload: bytes) -> None:
        assert is_h264_keyframe(payload)

    @pytest.mark.parametrize(
        "payload",
        [
            b"",
            SLICE,
            PPS,
            b"\x7c\x05\x88",
            b"\x7c\x45\x88",
            b"\x7c\x81\x88",
            b"\x7c",
            b"\x78",
            b"\x78\x00\x03" + SLICE,
            b"\x78\x00\x03" + SLICE + b"\x00",
            b"\x78\xff\xff" + SLICE + b"\x00\x03" + IDR,
        ],
    )
    def test_everything_else(self, payload: bytes) -> None:
        assert not is_h264_keyframe(payload)


class TestAnnexB:
    def test_start_codes_of_both_lengths(self) -> None:
        assert nals(START + SPS + b"\0\0\1" + PPS + START + IDR) == [SPS, PPS, IDR]

    def test_bytes_before_the_first_start_code_and_empty_units_are_skipped(self) -> None:
        assert nals(b"junk" + START + START + SLICE + b"\0\0") == [SLICE]

    def test_no_start_code(self) -> None:
        assert nals(b"\0\0\2\3") == []


class TestPackets:
    def test_small_units_travel_together(self) -> None:
        payloads = packetize_h264(START + SPS + START + PPS + START + IDR)
        assert len(payloads) == 1
        assert payloads[0][0] == 0x78
        assert depacketize_h264(payloads[0]) == START + SPS + START + PPS + START + IDR

    def test_single_unit_travels_bare(self) -> None:
        assert packetize_h264(START + SLICE) == [SLICE]

    def test_aggregate_header(self) -> None:
        # F is set if one is; NRI is the highest (RFC 6184 section 5.7)
        [payload] = packetize_h264(START + b"\x06ab" + START + b"\xa1cd")
        assert payload[0] == 0x80 | 0x20 | 24

    def test_fragments_are_even_and_fit(self) -> None:
        unit = b"\x65" + Random(8).randbytes(2500)
        payloads = packetize_h264(START + unit, 1200)
        assert [len(payload) for payload in payloads] == [835, 835, 836]
        assert [payload[1] for payload in payloads] == [0x85, 0x05, 0x45]
        assert all(payload[0] == 0x7C for payload in payloads)
        assert b"".join(map(depacketize_h264, payloads)) == START + unit

    def test_order_is_kept_around_a_large_unit(self) -> None:
        unit = b"\x65" + b"i" * 1000
        access_unit = START + SPS + START + PPS + START + unit + START + SLICE
        payloads = packetize_h264(access_unit, 500)
        assert b"".join(map(depacketize_h264, payloads)) == access_unit
        assert max(map(len, payloads)) <= 500

    def test_aggregate_does_not_grow_beyond_a_packet(self) -> None:
        access_unit = (START + b"\x41" + b"s" * 300) * 10
        payloads = packetize_h264(access_unit, 1000)
        assert [len(payload) for payload in payloads] == [1 + 3 * 303] * 3 + [301]
        assert b"".join(map(depacketize_h264, payloads)) == access_unit

    def test_unit_of_exactly_one_packet_next_to_others(self) -> None:
        access_unit = START + SPS + START + b"\x65" + b"i" * 999
        payloads = packetize_h264(access_unit, 1000)
        assert [len(payload) for payload in payloads] == [len(SPS), 1000]

    @pytest.mark.parametrize("max_payload", [3, 4, 7, 50, 1200])
    def test_any_size_of_packet(self, max_payload: int) -> None:
        random = Random(9)
        units = [bytes((0x61,)) + b"\x01" * random.randint(1, 90) for _ in range(20)]
        access_unit = b"".join(START + unit for unit in units)
        payloads = packetize_h264(access_unit, max_payload)
        assert max(map(len, payloads)) <= max_payload
        assert b"".join(map(depacketize_h264, payloads)) == access_unit

    @pytest.mark.parametrize(
        ("access_unit", "max_payload"), [(b"", 1200), (SLICE, 1200), (START, 1200), (START + IDR, 2)]
    )
    def test_no_unit_or_no_room(self, access_unit: bytes, max_payload: int) -> None:
        with pytest.raises(WireError):
            packetize_h264(access_unit, max_payload)

    @pytest.mark.parametrize(
        "payload",
        [
            pytest.param(b"", id="empty"),
            pytest.param(b"\x60abc", id="type 0"),
            pytest.param(b"\x79abc", id="STAP-B"),
            pytest.param(b"\x7dabc", id="FU-B"),
            pytest.param(b"\x7f", id="type 31"),
            pytest.param(b"\x7c\x85", id="fragment without content"),
            pytest.param(b"\x78", id="aggregate of nothing"),
            pytest.param(b"\x78\x00", id="aggregate cut within a length"),
            pytest.param(b"\x78\x00\x00\x00\x01a", id="aggregate with an empty unit"),
            pytest.param(b"\x78\x00\x04abc", id="aggregate length beyond the packet"),
        ],
    )
    def test_malformed_is_refused(self, payload: bytes) -> None:
        with pytest.raises(WireError):
            depacketize_h264(payload)


class TestDimensions:
    @pytest.mark.parametrize("size", [(16, 16), (178, 98), (640, 360), (1280, 720), (1920, 1080)])
    def test_of_libx264(self, size: tuple[int, int]) -> None:
        assert h264_dimensions(encode(*size, frames=1)[0]) == size

    @pytest.mark.parametrize(
        ("pixels", "options"),
        [
            ("yuv420p", {"profile": "baseline"}),
            ("yuv420p", {"preset": "medium", "profile": "high"}),
            ("yuv420p", {"x264-params": "cqm=jvt"}),
            ("yuv420p", {"x264-params": "interlaced=1"}),
            ("yuv422p", {}),
            ("yuv444p", {"x264-params": "cqm=jvt"}),
        ],
    )
    def test_of_all_profiles(self, pixels: str, options: dict[str, str]) -> None:
        assert h264_dimensions(encode(322, 184, 1, pixels, **options)[0]) == (322, 184)

    def test_without_a_parameter_set(self) -> None:
        with pytest.raises(WireError):
            h264_dimensions(START + PPS + START + IDR)

    @pytest.mark.parametrize(
        "unit",
        [
            pytest.param(b"\x67", id="header only"),
            pytest.param(SPS[:6], id="cut"),
            pytest.param(b"\x67\x42\xc0\x1f" + bytes(20), id="Exp-Golomb code without end"),
            pytest.param(b"\x67\x64\x00\x1f\x84\xff", id="unknown chroma format"),
        ],
    )
    def test_malformed_parameter_set(self, unit: bytes) -> None:
        with pytest.raises(WireError):
            h264_dimensions(START + unit + b"\x80")

    @staticmethod
    def parameter_set(*codes: int | str, head: str = "6742001f") -> bytes:
        """A parameter set of ue(v) codes (int) and plain bits (str) behind its first four bytes."""
        bits = ""
        for code in codes:
            bits += code if isinstance(code, str) else f"{code + 1:b}".zfill(2 * (code + 1).bit_length() - 1)
        bits += "1" + "0" * (-(len(bits) + 1) % 8)
        return bytes.fromhex(head) + int(bits, 2).to_bytes(len(bits) // 8, "big")

    def test_escaped_zeros(self) -> None:
        unit = self.parameter_set(63, 0, 2, 1, "0", 19, 14, "1", "1", "0", "0", head="67420000")
        assert unit[2:5] == b"\0\0\2"
        escaped = unit[:4] + b"\3" + unit[4:]
        assert h264_dimensions(START + escaped) == (320, 240)

    @pytest.mark.parametrize(("chroma_format", "lists"), [(1, 8), (3, 12)])
    def test_scaling_lists(self, chroma_format: int, lists: int) -> None:
        # one list left out, one that says "as before" at its second value (8 + -8 = 0), the others in full
        full = ["1", *(0,) * 16], ["1", *(0,) * 64]
        fields: list[int | str] = [
            0,
            chroma_format,
            *(["0"] if chroma_format == 3 else []),
            0,
            0,
            "0",
            "1",
            "0",
            "1",
            0,
            16,
        ]
        for index in range(2, lists):
            fields += full[index >= 6]
        fields += [0, 2, 1, "0", 19, 14, "1", "1", "0", "0"]
        assert h264_dimensions(START + self.parameter_set(*fields, head="6764001f")) == (320, 240)

    def test_separate_colour_planes_are_cropped_in_single_pixels(self) -> None:
        fields = (0, 3, "1", 0, 0, "0", "0", 0, 2, 1, "0", 19, 14, "1", "1", "1", 0, 3, 0, 5, "0")
        assert h264_dimensions(START + self.parameter_set(*fields, head="6764001f")) == (317, 235)

    def test_code_of_more_than_32_bits(self) -> None:
        h264_dimensions(START + self.parameter_set((1 << 32) - 1, 0, 2, 1, "0", 19, 14, "1", "1", "0", "0"))
        with pytest.raises(WireError):
            h264_dimensions(START + self.parameter_set(1 << 33, 0, 2, 1, "0", 19, 14, "1", "1", "0", "0"))

    def test_picture_order_of_the_second_kind(self) -> None:
        unit = self.parameter_set(0, 0, 1, "1", 2, 3, 2, 5, 6, 1, "0", 19, 14, "1", "1", "0", "0")
        assert h264_dimensions(START + unit) == (320, 240)

    def test_too_many_reference_offsets(self) -> None:
        with pytest.raises(WireError):
            h264_dimensions(START + self.parameter_set(0, 0, 1, "1", 2, 3, 256) + b"\xff" * 99)

    @pytest.mark.parametrize("columns", [1024, 1 << 31])
    def test_side_out_of_range(self, columns: int) -> None:
        assert h264_dimensions(START + self.parameter_set(0, 0, 2, 1, "0", 1023, 0, "1", "1", "0", "0")) == (16384, 16)
        with pytest.raises(WireError):
            h264_dimensions(START + self.parameter_set(0, 0, 2, 1, "0", columns, 0, "1", "1", "0", "0"))

    def test_cropped_to_nothing(self) -> None:
        with pytest.raises(WireError):
            h264_dimensions(START + self.parameter_set(0, 0, 2, 1, "0", 0, 0, "1", "1", "1", 4, 4, 0, 0))


class TestAgainstLibx264AndAiortc:
    def test_aiortc_reads_our_packets(self, access_units: list[bytes]) -> None:
        for access_unit in access_units:
            payloads = packetize_h264(access_unit)
            assert len(payloads) > 1
            assert nals(b"".join(h264_depayload(payload) for payload in payloads)) == nals(access_unit)
            assert H264PayloadDescriptor.parse(payloads[0])[0].first_fragment

    def test_we_read_packets_of_aiortc(self, access_units: list[bytes]) -> None:
        for access_unit in access_units:
            payloads = H264Encoder._packetize(H264Encoder._split_bitstream(access_unit))
            assert nals(b"".join(map(depacketize_h264, payloads))) == nals(access_unit)

    def test_key_frames_are_found_in_packets(self, access_units: list[bytes]) -> None:
        found = [any(map(is_h264_keyframe, packetize_h264(access_unit))) for access_unit in access_units]
        assert found == [True] + [False] * (len(access_units) - 1)

    def test_what_went_through_packets_is_decoded(self, access_units: list[bytes]) -> None:
        codec = av.CodecContext.create("h264", "r")
        pictures = []
        for access_unit in access_units:
            data = b"".join(map(depacketize_h264, packetize_h264(access_unit)))
            pictures += codec.decode(av.Packet(data))
        pictures += codec.decode(None)
        assert [(picture.width, picture.height) for picture in pictures] == [(320, 240)] * len(access_units)


class TestHostileInput:
    PAYLOADS = (
        SPS,
        SLICE,
        b"\x78\x00\x05" + PPS + b"\x00\x03" + IDR,
        b"\x7c\x85\x88\x84",
        b"\x7c\x45\x88\x84",
    )

    def test_packets(self) -> None:
        assert_total(depacketize_h264, mutants(self.PAYLOADS))

    def test_keyframe_question_is_always_answered(self) -> None:
        assert_total(is_h264_keyframe, mutants(self.PAYLOADS, seed=2), always_a_value=True)

    def test_parameter_sets(self) -> None:
        sets = [encode(322, 182, 1, pixels)[0] for pixels in ("yuv420p", "yuv444p")]
        samples = [START + next(unit for unit in nals(data) if unit[0] & 0x1F == 7) for data in sets]
        assert_total(h264_dimensions, mutants([*samples, START + SPS]))

    def test_access_units(self) -> None:
        def read(access_unit: bytes) -> None:
            payloads = packetize_h264(access_unit, 40)
            assert max(map(len, payloads)) <= 40
            units = nals(access_unit)
            kinds = {unit[0] & 0x1F for unit in units}
            if kinds <= set(range(1, 24)):
                assert nals(b"".join(map(depacketize_h264, payloads))) == units

        sample = START + SPS + START + PPS + START + IDR * 40
        assert_total(read, mutants([sample, b"\0\0\1" + SLICE * 20], cases=30_000))
