import pytest

from lknb.errors import WireError
from lknb.wire import extension


class TestAudioLevel:
    @pytest.mark.parametrize("level", [0, 1, 64, 127])
    @pytest.mark.parametrize("voice", [True, False])
    def test_round_trip(self, level: int, voice: bool) -> None:
        value = extension.pack_audio_level(level, voice)
        assert len(value) == 1
        assert extension.parse_audio_level(value) == (level, voice)

    def test_levels_out_of_range_are_clamped(self) -> None:
        assert extension.pack_audio_level(-5, False) == b"\x00"
        assert extension.pack_audio_level(500, True) == b"\xff"

    def test_filled_up_two_byte_element(self) -> None:
        assert extension.parse_audio_level(b"\xb2\x00") == (50, True)

    def test_empty_element(self) -> None:
        with pytest.raises(WireError):
            extension.parse_audio_level(b"")


class TestTransportSequence:
    @pytest.mark.parametrize(("number", "value"), [(0, b"\0\0"), (0x1234, b"\x12\x34"), (65536 + 1, b"\0\1")])
    def test_packing_wraps(self, number: int, value: bytes) -> None:
        assert extension.pack_transport_sequence(number) == value
        assert extension.parse_transport_sequence(value) == number & 0xFFFF

    def test_version_2_of_the_draft_begins_alike(self) -> None:
        assert extension.parse_transport_sequence(b"\x01\x02\x80\x03") == 0x0102

    @pytest.mark.parametrize("value", [b"", b"\x01"])
    def test_short_element(self, value: bytes) -> None:
        with pytest.raises(WireError):
            extension.parse_transport_sequence(value)


class TestAbsSendTime:
    @pytest.mark.parametrize("now_s", [0.0, 0.25, 63.5, 64.25, 1_000_000.125])
    def test_wraps_every_64_seconds(self, now_s: float) -> None:
        value = extension.pack_abs_send_time(now_s)
        assert len(value) == 3
        assert extension.parse_abs_send_time(value) == pytest.approx(now_s % 64, abs=1 / (1 << 18))

    @pytest.mark.parametrize("value", [b"", b"\0\0", b"\0\0\0\0"])
    def test_wrong_length(self, value: bytes) -> None:
        with pytest.raises(WireError):
            extension.parse_abs_send_time(value)


class TestText:
    def test_round_trip(self) -> None:
        assert extension.parse_text(extension.pack_text("q")) == "q"

    def test_filled_up_element(self) -> None:
        assert extension.parse_text(b"12\0\0") == "12"

    @pytest.mark.parametrize("text", ["", "x" * 256])
    def test_text_that_does_not_fit(self, text: str) -> None:
        with pytest.raises(WireError):
            extension.pack_text(text)

    def test_bytes_that_are_no_ascii(self) -> None:
        with pytest.raises(WireError):
            extension.parse_text(b"\xff\xfe")


def test_uris_are_distinct() -> None:
    uris = [value for name, value in vars(extension).items() if name.isupper() and isinstance(value, str)]
    assert len(uris) == len(set(uris)) == 12
