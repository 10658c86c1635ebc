"""The picture size in an H264 sequence parameter set (ITU-T H.264 section 7.3.2.1.1)."""

from __future__ import annotations

from lknb.errors import WireError

_SIDE_PIXELS_MAX = 1 << 14

# Profiles whose parameter sets carry the chroma format and scaling lists.
_HIGH_PROFILES = frozenset((100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135))

# (SubWidthC, SubHeightC) by chroma_format_idc, table 6-1; monochrome is cropped in single rows and columns.
_CHROMA_STEP = ((1, 1), (2, 2), (2, 1), (1, 1))


class _BitReader:
    """Bits of a NAL unit, most significant first; WireError past the end."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def bits(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise WireError("H264 parameter set is cut off")
        return self._value >> self._left & (1 << count) - 1

    def golomb(self) -> int:
        """ue(v), section 9.1: an unsigned Exp-Golomb code of at most 32 bits."""
        zeros = 0
        while not self.bits(1):
            zeros += 1
            if zeros > 32:
                raise WireError("H264 parameter set has an Exp-Golomb code that is too long")
        return (1 << zeros) - 1 + self.bits(zeros)

    def signed_golomb(self) -> int:
        """se(v), section 9.1.1."""
        code = self.golomb()
        return (code + 1) // 2 if code & 1 else -(code // 2)


def parse_sps_dimensions(nal: bytes) -> tuple[int, int]:
    """(width, height) in pixels, cropping applied, of one sequence parameter set NAL unit with its header byte.

    Raises WireError for one that is cut off or malformed, and for a side of 0 or above 16,384 pixels.
    """
    # 00 00 03 stands for 00 00 in a NAL unit (section 7.4.1); no parameter set is near 512 bytes long
    reader = _BitReader(nal[1:512].replace(b"\0\0\3", b"\0\0"))
    profile = reader.bits(8)
    reader.bits(16)  # constraint flags, level
    reader.golomb()  # seq_parameter_set_id
    chroma_format = _skip_high_profile(reader) if profile in _HIGH_PROFILES else 1
    reader.golomb()  # log2_max_frame_num_minus4
    _skip_picture_order(reader)
    reader.golomb()  # max_num_ref_frames
    reader.bits(1)  # gaps_in_frame_num_value_allowed_flag
    columns = reader.golomb() + 1
    rows = reader.golomb() + 1
    frame_only = reader.bits(1)
    if not frame_only:
        reader.bits(1)  # mb_adaptive_frame_field_flag
    reader.bits(1)  # direct_8x8_inference_flag
    width, height = 16 * columns, 16 * rows * (2 - frame_only)
    if reader.bits(1):
        left, right, top, bottom = (reader.golomb() for _ in range(4))
        step_x, step_y = _CHROMA_STEP[chroma_format]
        width -= (left + right) * step_x
        height -= (top + bottom) * step_y * (2 - frame_only)
    if not (0 < width <= _SIDE_PIXELS_MAX and 0 < height <= _SIDE_PIXELS_MAX):
        raise WireError("H264 parameter set has a picture size out of range")
    return width, height


def _skip_high_profile(reader: _BitReader) -> int:
    """Pass over the fields of the high profiles; returns the index into the table of cropping steps."""
    chroma_format = reader.golomb()
    if chroma_format > 3:
        raise WireError("H264 parameter set has an unknown chroma format")
    separate_planes = chroma_format == 3 and reader.bits(1)
    reader.golomb()  # bit_depth_luma_minus8
    reader.golomb()  # bit_depth_chroma_minus8
    reader.bits(1)  # qpprime_y_zero_transform_bypass_flag
    if reader.bits(1):
        for index in range(12 if chroma_format == 3 else 8):
            if reader.bits(1):
                _skip_scaling_list(reader, 16 if index < 6 else 64)
    return 0 if separate_planes else chroma_format


def _skip_scaling_list(reader: _BitReader, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + reader.signed_golomb()) % 256
        last = following or last


def _skip_picture_order(reader: _BitReader) -> None:
    kind = reader.golomb()
    if kind == 0:
        reader.golomb()  # log2_max_pic_order_cnt_lsb_minus4
    elif kind == 1:
        reader.bits(1)  # delta_pic_order_always_zero_flag
        reader.golomb()  # offset_for_non_ref_pic
        reader.golomb()  # offset_for_top_to_bottom_field
        count = reader.golomb()
        if count > 255:
            raise WireError("H264 parameter set has too many reference frame offsets")
        for _ in range(count):
            reader.golomb()
