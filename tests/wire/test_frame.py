from lknb.wire.frame import EncodedFrame


def test_a_frame_is_by_default_a_silent_single_layer_delta_frame() -> None:
    frame = EncodedFrame("opus", b"\xf8\xff\xfe", 960)

    assert (frame.keyframe, frame.rid, frame.concealed) == (False, "", False)
    assert (frame.width, frame.height, frame.timestamp_us) == (0, 0, 0)
    assert frame.audio_level == 127


def test_a_frame_has_no_room_for_other_attributes() -> None:
    assert not hasattr(EncodedFrame("vp8", b"", 0), "__dict__")
