"""One message between two lknb processes, or between a process and a page: a JSON header and binary buffers.

All integers are big-endian 32 bit:

    length of all that follows | length of the header | number of buffers | length of each buffer | header | buffers

The header is one JSON object in UTF-8. Encoded media and protobuf messages travel as buffers, never inside the JSON.
On a stream `MessageDecoder` cuts messages out; on a websocket one binary frame holds one whole message, length included.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from lknb.errors import WireError

Header: TypeAlias = dict[str, Any]
Buffer: TypeAlias = bytes | bytearray | memoryview
Message: TypeAlias = tuple[Header, list[bytes]]

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
MAX_HEADER_BYTES = 1024 * 1024
MAX_BUFFERS = 64

_WORD = struct.Struct(">I")
_PREFIX = struct.Struct(">III")


def encode_message(header: Mapping[str, Any], buffers: Sequence[Buffer] = ()) -> bytes:
    """The bytes of one message.

    `header` must be plain JSON: finite numbers, string keys. Buffers must be contiguous. Raises `ValueError` or `TypeError`
    (from `json`) for what JSON cannot carry and `WireError` for a message no decoder would take.
    """
    text = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
    sizes = [memoryview(buffer).nbytes for buffer in buffers]
    length = 8 + 4 * len(sizes) + len(text) + sum(sizes)
    if len(text) > MAX_HEADER_BYTES or len(sizes) > MAX_BUFFERS or length > MAX_MESSAGE_BYTES:
        raise WireError(f"message of {length} bytes, {len(text)} of header and {len(sizes)} buffers is too large")
    prefix = _PREFIX.pack(length, len(text), len(sizes)) + struct.pack(f">{len(sizes)}I", *sizes)
    return b"".join((prefix, text, *buffers))


def decode_message(data: Buffer) -> Message:
    """The message of which `data` holds all bytes and nothing else, as one websocket frame does. Raises `WireError`."""
    messages = MessageDecoder()
    decoded = messages.feed(data)
    if len(decoded) != 1 or messages.pending_bytes:
        raise WireError("not exactly one message")
    return decoded[0]


class MessageDecoder:
    """Cuts messages out of a byte stream, however the stream is sliced.

    Memory is bounded by one message of `max_message_bytes`: a length beyond it raises `WireError` before anything of that
    size is kept. After an error the stream has no known boundary any more; the decoder must not be fed again.
    """

    def __init__(self, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._max_message_bytes = max_message_bytes
        self._data = bytearray()

    @property
    def pending_bytes(self) -> int:
        """How much of an unfinished message is held."""
        return len(self._data)

    def feed(self, data: Buffer) -> list[Message]:
        """The messages completed by `data`, in order. Raises `WireError`."""
        self._data += data
        return list(self._cut())

    def _cut(self) -> Iterator[Message]:
        start = 0
        held = self._data
        while len(held) - start >= 4:
            (length,) = _WORD.unpack_from(held, start)
            if not 8 <= length <= self._max_message_bytes:
                raise WireError(f"message of {length} bytes")
            end = start + 4 + length
            if len(held) < end:
                break
            yield _decode_body(bytes(memoryview(held)[start + 4 : end]))
            start = end
        if start:
            del held[:start]


def _decode_body(body: bytes) -> Message:
    header_bytes, count = struct.unpack_from(">II", body)
    offset = 8 + 4 * count
    if header_bytes > MAX_HEADER_BYTES or count > MAX_BUFFERS or offset + header_bytes > len(body):
        raise WireError("message header or buffer count out of bounds")
    sizes = struct.unpack_from(f">{count}I", body, 8)
    if offset + header_bytes + sum(sizes) != len(body):
        raise WireError("buffer lengths do not add up to the message")
    header = _decode_header(body[offset : offset + header_bytes])
    offset += header_bytes
    buffers = []
    for size in sizes:
        buffers.append(body[offset : offset + size])
        offset += size
    return header, buffers


def _decode_header(text: bytes) -> Header:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WireError("message header is not JSON") from error
    if not isinstance(header, dict):
        raise WireError("message header is not an object")
    return header
