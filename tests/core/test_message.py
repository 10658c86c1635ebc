import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lknb.core import message
from lknb.core.message import MessageDecoder, decode_message, encode_message
from lknb.errors import WireError

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
headers = st.dictionaries(st.text(max_size=12), json_values, max_size=6)
payloads = st.lists(st.binary(max_size=200), max_size=6)


def raw(header_length: int, sizes: list[int], rest: bytes) -> bytes:
    body = struct.pack(f">II{len(sizes)}I", header_length, len(sizes), *sizes) + rest
    return struct.pack(">I", len(body)) + body


@given(st.lists(st.tuples(headers, payloads), max_size=4), st.integers(1, 64))
def test_whatever_is_encoded_comes_out_however_the_stream_is_cut(messages, slice_bytes):
    stream = b"".join(encode_message(header, buffers) for header, buffers in messages)
    decoder = MessageDecoder()
    out = []
    for start in range(0, len(stream), slice_bytes):
        out += decoder.feed(stream[start : start + slice_bytes])
    assert out == [(json.loads(json.dumps(header)), buffers) for header, buffers in messages]
    assert decoder.pending_bytes == 0


@given(st.binary(max_size=300))
def test_any_bytes_give_messages_or_a_wire_error(data):
    decoder = MessageDecoder(max_message_bytes=1000)
    try:
        decoder.feed(data)
    except WireError:
        return
    assert decoder.pending_bytes <= len(data)


def test_buffers_may_be_views():
    encoded = encode_message({"op": "frame"}, [memoryview(b"abc"), bytearray(b"de")])
    assert decode_message(encoded) == ({"op": "frame"}, [b"abc", b"de"])


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">I", 7),
        struct.pack(">I", message.MAX_MESSAGE_BYTES + 1),
        raw(2, [], b"[]"),
        raw(2, [], b"{"),
        raw(3, [], b"{}"),
        raw(2, [1], b"{}"),
        raw(2, [], b"{}x"),
        raw(4, [], b"nope"),
        raw(2, [2**32 - 1, 1], b"{}"),
        struct.pack(">III", 8, 0, 2**32 - 1),
        raw(2, [0] * (message.MAX_BUFFERS + 1), b"{}"),
        raw(100_000, [], b'{"a":' + b"[" * 99_990 + b"     "),
    ],
    ids=[
        "short",
        "huge",
        "array",
        "cut json",
        "header beyond",
        "buffer beyond",
        "rest",
        "text",
        "overflow",
        "count",
        "many",
        "deep",
    ],
)
def test_bad_framing_is_refused(data):
    with pytest.raises(WireError):
        decode_message(data)


def test_an_absurd_length_is_refused_before_it_is_stored():
    decoder = MessageDecoder(max_message_bytes=100)
    with pytest.raises(WireError):
        decoder.feed(struct.pack(">I", 101))
    assert MessageDecoder(max_message_bytes=100).feed(struct.pack(">I", 100)) == []


def test_one_websocket_frame_is_exactly_one_message():
    encoded = encode_message({"a": 1})
    assert decode_message(encoded) == ({"a": 1}, [])
    for wrong in (encoded[:-1], encoded + b"\0", encoded * 2, b""):
        with pytest.raises(WireError):
            decode_message(wrong)


def test_the_encoder_refuses_what_no_decoder_takes():
    with pytest.raises(ValueError):
        encode_message({"level": float("nan")})
    with pytest.raises(WireError):
        encode_message({}, [b""] * (message.MAX_BUFFERS + 1))
    with pytest.raises(WireError):
        encode_message({}, [bytes(message.MAX_MESSAGE_BYTES)])
    largest = message.MAX_MESSAGE_BYTES - 8 - 4 - 2
    assert len(encode_message({}, [bytes(largest)])) == message.MAX_MESSAGE_BYTES + 4
