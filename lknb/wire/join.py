"""What a client asks for when it opens the signal connection (LiveKit: pkg/service/rtcservice.go, wsprotocol).

Two forms of one thing. `/rtc` spreads it over query parameters; `/rtc/v1` (and `/rtc` of some SDKs) has one parameter,
`join_request`: base64url of a `WrappedJoinRequest`, whose inner `JoinRequest` may be gzipped. The second form means a
single peer connection. The access token is not part of this.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from google.protobuf.message import DecodeError
from livekit.protocol import models, rtc

from lknb import limits
from lknb.errors import WireError

_SDK_NAMES = {
    "js": models.ClientInfo.SDK.JS,
    "ios": models.ClientInfo.SDK.SWIFT,
    "swift": models.ClientInfo.SDK.SWIFT,
    "android": models.ClientInfo.SDK.ANDROID,
    "flutter": models.ClientInfo.SDK.FLUTTER,
    "go": models.ClientInfo.SDK.GO,
    "unity": models.ClientInfo.SDK.UNITY,
    "reactnative": models.ClientInfo.SDK.REACT_NATIVE,
    "rust": models.ClientInfo.SDK.RUST,
    "python": models.ClientInfo.SDK.PYTHON,
    "cpp": models.ClientInfo.SDK.CPP,
    "unityweb": models.ClientInfo.SDK.UNITY_WEB,
    "node": models.ClientInfo.SDK.NODE,
    "unreal": models.ClientInfo.SDK.UNREAL,
    "esp32": models.ClientInfo.SDK.ESP32,
    "dotnet": models.ClientInfo.SDK.DOTNET,
}
_CLIENT_TEXTS = ("version", "os", "os_version", "device_model", "browser", "browser_version", "network")
_INT32_MAX = 0x7FFFFFFF
_GZIP_WINDOW_BITS = 31


@dataclass(slots=True)
class JoinParameters:
    """A join or a resume as a client asks for it.

    `subscriber_allow_pause` and `auto_subscribe_data_track` are None where the client leaves them to the server.
    `reconnect` with `participant_sid` asks for a resume; `reconnect_reason` is a `models.ReconnectReason`. `metadata`,
    `add_track_requests` and `publisher_offer` travel only in a join request, so only with `single_peer_connection`.
    """

    client_info: models.ClientInfo = field(default_factory=models.ClientInfo)
    auto_subscribe: bool = True
    adaptive_stream: bool = False
    subscriber_allow_pause: bool | None = None
    disable_ice_lite: bool = False
    auto_subscribe_data_track: bool | None = None
    metadata: str = field(default="", repr=False)
    attributes: dict[str, str] = field(default_factory=dict, repr=False)
    reconnect: bool = False
    reconnect_reason: int = 0
    participant_sid: str = ""
    single_peer_connection: bool = False
    add_track_requests: list[rtc.AddTrackRequest] = field(default_factory=list, repr=False)
    publisher_offer: rtc.SessionDescription | None = field(default=None, repr=False)


def parse_join(query: Mapping[str, str]) -> JoinParameters:
    """The parameters in a decoded query of `/rtc` or `/rtc/v1`; parameters not known here are passed over.

    Raises WireError for a `join_request` that is not base64 or no protobuf, or is over 1 MiB before or after
    decompression, and for `attributes` that are not a JSON object of strings. Numbers that are none count as 0, as in
    LiveKit.
    """
    if "join_request" in query:
        return _parse_join_request(query["join_request"])
    attributes = query.get("attributes", "")
    return JoinParameters(
        client_info=_parse_client_info(query),
        auto_subscribe=_flag(query.get("auto_subscribe", "1")),
        adaptive_stream=_flag(query.get("adaptive_stream", "")),
        subscriber_allow_pause=_optional_flag(query.get("subscriber_allow_pause", "")),
        disable_ice_lite=_flag(query.get("disable_ice_lite", "")),
        auto_subscribe_data_track=_optional_flag(query.get("auto_subscribe_data_track", "")),
        attributes=_parse_attributes(attributes) if attributes else {},
        reconnect=_flag(query.get("reconnect", "")),
        reconnect_reason=_integer(query.get("reconnect_reason", "")),
        participant_sid=_scalar_text(query.get("sid", "")),
    )


def build_join_query(parameters: JoinParameters) -> dict[str, str]:
    """The query parameters of `/rtc`, not yet percent-encoded."""
    info = parameters.client_info
    query = {
        "sdk": next((name for name, sdk in _SDK_NAMES.items() if sdk == info.sdk), ""),
        "protocol": str(info.protocol),
        "client_protocol": str(info.client_protocol) if info.client_protocol else "",
        "auto_subscribe": "1" if parameters.auto_subscribe else "0",
        "adaptive_stream": "1" if parameters.adaptive_stream else "0",
        "subscriber_allow_pause": _text(parameters.subscriber_allow_pause),
        "disable_ice_lite": "1" if parameters.disable_ice_lite else "",
        "auto_subscribe_data_track": _text(parameters.auto_subscribe_data_track),
        "capabilities": ",".join(
            name for name, number in models.ClientInfo.Capability.items() if number in info.capabilities
        ),
        **{name: getattr(info, name) for name in _CLIENT_TEXTS},
    }
    if parameters.attributes:
        text = json.dumps(parameters.attributes, ensure_ascii=False, separators=(",", ":"))
        query["attributes"] = base64.urlsafe_b64encode(text.encode("utf-8", "replace")).decode()
    if parameters.reconnect:
        query["reconnect"] = "1"
        query["sid"] = parameters.participant_sid
        query["reconnect_reason"] = str(parameters.reconnect_reason)
    return {name: value for name, value in query.items() if value}


def build_join_request(parameters: JoinParameters) -> dict[str, str]:
    """The query parameters of `/rtc/v1`, not yet percent-encoded: `join_request`, gzipped where that is smaller."""
    settings = rtc.ConnectionSettings(
        auto_subscribe=parameters.auto_subscribe,
        adaptive_stream=parameters.adaptive_stream,
        disable_ice_lite=parameters.disable_ice_lite,
    )
    if parameters.subscriber_allow_pause is not None:
        settings.subscriber_allow_pause = parameters.subscriber_allow_pause
    if parameters.auto_subscribe_data_track is not None:
        settings.auto_subscribe_data_track = parameters.auto_subscribe_data_track
    request = rtc.JoinRequest(
        client_info=parameters.client_info,
        connection_settings=settings,
        metadata=parameters.metadata,
        participant_attributes=parameters.attributes,
        add_track_requests=parameters.add_track_requests,
        publisher_offer=parameters.publisher_offer,
        reconnect=parameters.reconnect,
        reconnect_reason=parameters.reconnect_reason,  # type: ignore[arg-type]  # an open enum
        participant_sid=parameters.participant_sid,
    )
    plain = request.SerializeToString()
    zipped = gzip.compress(plain, mtime=0)
    if len(zipped) < len(plain):
        wrapped = rtc.WrappedJoinRequest(compression=rtc.WrappedJoinRequest.GZIP, join_request=zipped)
    else:
        wrapped = rtc.WrappedJoinRequest(join_request=plain)
    return {"join_request": base64.urlsafe_b64encode(wrapped.SerializeToString()).decode()}


def _parse_join_request(text: str) -> JoinParameters:
    wrapped, request = rtc.WrappedJoinRequest(), rtc.JoinRequest()
    try:
        wrapped.ParseFromString(_decode_base64(text))
        body = wrapped.join_request
        if wrapped.compression == rtc.WrappedJoinRequest.GZIP:
            body = _gunzip(body)
        request.ParseFromString(body)
    except DecodeError:
        raise WireError("join_request is not a protobuf message") from None
    settings = request.connection_settings
    return JoinParameters(
        client_info=request.client_info,
        auto_subscribe=settings.auto_subscribe,
        adaptive_stream=settings.adaptive_stream,
        subscriber_allow_pause=(
            settings.subscriber_allow_pause if settings.HasField("subscriber_allow_pause") else None
        ),
        disable_ice_lite=settings.disable_ice_lite,
        auto_subscribe_data_track=(
            settings.auto_subscribe_data_track if settings.HasField("auto_subscribe_data_track") else None
        ),
        metadata=request.metadata,
        attributes=dict(request.participant_attributes),
        reconnect=request.reconnect,
        reconnect_reason=request.reconnect_reason,
        participant_sid=request.participant_sid,
        single_peer_connection=True,
        add_track_requests=list(request.add_track_requests),
        publisher_offer=request.publisher_offer if request.HasField("publisher_offer") else None,
    )


def _decode_base64(text: str) -> bytes:
    """base64url, with or without its padding."""
    unpadded = text.rstrip("=")
    # four characters carry three bytes; checked before anything large is built
    if len(unpadded) * 3 // 4 > limits.JOIN_REQUEST_BYTES:
        raise WireError("query parameter is too long")
    try:
        return base64.b64decode(unpadded + "=" * (-len(unpadded) % 4), altchars="-_", validate=True)
    except (binascii.Error, ValueError):
        raise WireError("query parameter is not base64url") from None


def _gunzip(data: bytes) -> bytes:
    stream = zlib.decompressobj(_GZIP_WINDOW_BITS)
    try:
        plain = stream.decompress(data, limits.JOIN_REQUEST_BYTES + 1)
    except zlib.error:
        raise WireError("join_request is not gzip") from None
    if len(plain) > limits.JOIN_REQUEST_BYTES or not stream.eof:
        raise WireError("join_request is too long when decompressed, or cut off")
    return plain


def _parse_attributes(text: str) -> dict[str, str]:
    try:
        attributes = json.loads(_decode_base64(text))
    except (ValueError, RecursionError):
        raise WireError("attributes are not base64url JSON") from None
    if not isinstance(attributes, dict) or not all(isinstance(value, str) for value in attributes.values()):
        raise WireError("attributes are not a JSON object of strings")
    return {_scalar_text(key): _scalar_text(value) for key, value in attributes.items()}


def _parse_client_info(query: Mapping[str, str]) -> models.ClientInfo:
    known = models.ClientInfo.Capability.keys()
    names = query.get("capabilities", "").split(",")
    info = models.ClientInfo(
        sdk=_SDK_NAMES.get(query.get("sdk", "").lower(), models.ClientInfo.SDK.UNKNOWN),
        protocol=_integer(query.get("protocol", "")),
        client_protocol=_integer(query.get("client_protocol", "")),
        capabilities=[name for name in dict.fromkeys(names) if name in known],
    )
    for name in _CLIENT_TEXTS:
        setattr(info, name, _scalar_text(query.get(name, "")))
    return info


def _scalar_text(text: str) -> str:
    # protobuf refuses lone surrogates, which JSON escapes and percent-decoding can bring in
    return text.encode("utf-8", "replace").decode()


def _flag(text: str) -> bool:
    return text in ("1", "true")


def _optional_flag(text: str) -> bool | None:
    return _flag(text) if text else None


def _integer(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 20:
        return 0
    return min(int(text), _INT32_MAX)


def _text(flag: bool | None) -> str:
    return "" if flag is None else "1" if flag else "0"
