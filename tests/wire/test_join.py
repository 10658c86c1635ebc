import base64
import gzip
import json
from pathlib import Path

import pytest
from livekit.protocol import models, rtc

from lknb import limits
from lknb.errors import WireError
from lknb.wire.join import JoinParameters, build_join_query, build_join_request, parse_join
from lknb.wire.sdp import parse_sdp
from tests.wire.mutation import CASES, assert_total, mutants

SAMPLE = Path(__file__).parent / "sample"
CAPABILITIES = [
    models.ClientInfo.Capability.CAP_PACKET_TRAILER,
    models.ClientInfo.Capability.CAP_COMPRESSION_DEFLATE_RAW,
]
# The query of the livekit wheel 1.2.1 on /rtc, without its token.
WHEEL_QUERY = {
    "sdk": "python",
    "os": "Debian",
    "os_version": "12.0.0",
    "device_model": "Unknown",
    "protocol": "18",
    "client_protocol": "2",
    "auto_subscribe": "1",
    "adaptive_stream": "0",
    "version": "1.2.1",
    "capabilities": "CAP_PACKET_TRAILER,CAP_COMPRESSION_DEFLATE_RAW",
}
WHEEL_INFO = models.ClientInfo(
    sdk=models.ClientInfo.SDK.PYTHON,
    version="1.2.1",
    protocol=18,
    client_protocol=2,
    os="Debian",
    os_version="12.0.0",
    device_model="Unknown",
    capabilities=CAPABILITIES,
)


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()


def wrap(body: bytes, *, zipped: bool = False) -> dict[str, str]:
    compression = rtc.WrappedJoinRequest.GZIP if zipped else rtc.WrappedJoinRequest.NONE
    message = rtc.WrappedJoinRequest(compression=compression, join_request=body)
    return {"join_request": encode(message.SerializeToString())}


def attributes(text: str) -> dict[str, str]:
    return {"attributes": encode(text.encode("utf-8", "surrogatepass"))}


def everything() -> JoinParameters:
    return JoinParameters(
        client_info=WHEEL_INFO,
        auto_subscribe=False,
        adaptive_stream=True,
        subscriber_allow_pause=False,
        disable_ice_lite=True,
        auto_subscribe_data_track=True,
        attributes={"colour": "grün", "": "x", "line\nbreak": "\0"},
        reconnect=True,
        reconnect_reason=models.ReconnectReason.RR_PUBLISHER_FAILED,
        participant_sid="PA_abc",
    )


class TestQuery:
    def test_of_the_livekit_wheel(self) -> None:
        assert parse_join(WHEEL_QUERY) == JoinParameters(client_info=WHEEL_INFO)

    def test_empty(self) -> None:
        parameters = parse_join({})
        assert parameters == JoinParameters()
        assert parameters.auto_subscribe
        assert parameters.subscriber_allow_pause is None

    @pytest.mark.parametrize("parameters", [JoinParameters(), JoinParameters(client_info=WHEEL_INFO), everything()])
    def test_round_trip(self, parameters: JoinParameters) -> None:
        assert parse_join(build_join_query(parameters)) == parameters

    def test_resume(self) -> None:
        parameters = parse_join({"reconnect": "1", "sid": "PA_x", "reconnect_reason": "3"})
        assert (parameters.reconnect, parameters.participant_sid, parameters.reconnect_reason) == (True, "PA_x", 3)

    @pytest.mark.parametrize(
        ("text", "flag"), [("1", True), ("true", True), ("0", False), ("TRUE", False), ("", False)]
    )
    def test_flags(self, text: str, flag: bool) -> None:
        parameters = parse_join({"auto_subscribe": text, "disable_ice_lite": text, "subscriber_allow_pause": text})
        assert parameters.auto_subscribe is flag
        assert parameters.disable_ice_lite is flag
        assert parameters.subscriber_allow_pause is (flag if text else None)

    @pytest.mark.parametrize(
        ("text", "number"), [("", 0), ("x", 0), ("-1", 0), ("१", 0), ("9" * 30, 0), ("99", 99), ("9" * 12, 2**31 - 1)]
    )
    def test_protocol_numbers_are_never_refused(self, text: str, number: int) -> None:
        assert parse_join({"protocol": text}).client_info.protocol == number

    def test_unknown_sdk_and_capabilities(self) -> None:
        info = parse_join(
            {"sdk": "cobol", "capabilities": "CAP_TELEPATHY,CAP_PACKET_TRAILER,CAP_PACKET_TRAILER"}
        ).client_info
        assert info.sdk == models.ClientInfo.SDK.UNKNOWN
        assert list(info.capabilities) == [models.ClientInfo.Capability.CAP_PACKET_TRAILER]

    @pytest.mark.parametrize(
        ("name", "sdk"), [("js", "JS"), ("ReactNative", "REACT_NATIVE"), ("unityweb", "UNITY_WEB"), ("ios", "SWIFT")]
    )
    def test_names_of_sdks(self, name: str, sdk: str) -> None:
        assert parse_join({"sdk": name}).client_info.sdk == models.ClientInfo.SDK.Value(sdk)

    def test_every_sdk_has_a_name(self) -> None:
        for sdk in models.ClientInfo.SDK.values():
            parameters = JoinParameters(client_info=models.ClientInfo(sdk=sdk))
            assert parse_join(build_join_query(parameters)).client_info.sdk == sdk

    @pytest.mark.parametrize(
        "query",
        [
            {"attributes": "!!!!"},
            {"attributes": "é"},
            {"attributes": "A"},
            {"attributes": encode(b"\xff\xfe")},
            attributes("{"),
            attributes("[]"),
            attributes('"text"'),
            attributes('{"a": 1}'),
            attributes('{"a": null}'),
            attributes('{"a": {"b": "c"}}'),
            attributes("[" * 100_000),
            attributes("1" * 10_000),
        ],
    )
    def test_malformed_attributes(self, query: dict[str, str]) -> None:
        with pytest.raises(WireError):
            parse_join(query)

    def test_attributes_without_base64_padding(self) -> None:
        query = {"attributes": encode(b'{"a":"b"}').rstrip("=")}
        assert parse_join(query).attributes == {"a": "b"}

    def test_lone_surrogates_do_not_get_in(self) -> None:
        # protobuf would raise on them much later
        parameters = parse_join(attributes(r'{"a\ud800": "\udfff"}') | {"sid": "\ud800", "os": "\ud800"})
        assert parameters.attributes == {"a?": "?"}
        assert (parameters.participant_sid, parameters.client_info.os) == ("?", "?")


class TestJoinRequest:
    def test_of_the_livekit_wheel(self) -> None:
        parameters = parse_join({"join_request": (SAMPLE / "wheel_join_request.txt").read_text().strip()})
        assert parameters.single_peer_connection
        assert parameters.client_info == WHEEL_INFO
        assert parameters.auto_subscribe
        assert not parameters.reconnect
        assert parameters.publisher_offer is not None
        assert parameters.publisher_offer.type == "offer"
        assert len(parse_sdp(parameters.publisher_offer.sdp).media) == 7

    def test_round_trip(self) -> None:
        parameters = everything()
        parameters.single_peer_connection = True
        parameters.metadata = "metadata"
        parameters.add_track_requests = [rtc.AddTrackRequest(cid="c", name="camera")]
        parameters.publisher_offer = rtc.SessionDescription(type="offer", sdp="v=0\r\n" * 100, id=7)
        query = build_join_request(parameters)
        assert parse_join(query) == parameters
        wrapped = rtc.WrappedJoinRequest.FromString(base64.urlsafe_b64decode(query["join_request"]))
        assert wrapped.compression == rtc.WrappedJoinRequest.GZIP

    def test_short_request_is_not_compressed(self) -> None:
        parameters = JoinParameters(reconnect=True, participant_sid="PA_x", single_peer_connection=True)
        query = build_join_request(parameters)
        assert parse_join(query) == parameters
        wrapped = rtc.WrappedJoinRequest.FromString(base64.urlsafe_b64decode(query["join_request"]))
        assert wrapped.compression == rtc.WrappedJoinRequest.NONE

    def test_defaults_of_an_empty_request(self) -> None:
        parameters = parse_join(wrap(b""))
        # a plain bool here, unlike in the query: unset is false
        assert not parameters.auto_subscribe
        assert parameters.auto_subscribe_data_track is None
        assert parameters.publisher_offer is None

    def test_reason_from_the_future(self) -> None:
        body = rtc.JoinRequest(reconnect=True, reconnect_reason=99).SerializeToString()  # type: ignore[arg-type]
        assert parse_join(wrap(body)).reconnect_reason == 99

    @pytest.mark.parametrize(
        "query",
        [
            pytest.param({"join_request": "***"}, id="no base64"),
            pytest.param({"join_request": encode(b"\xff" * 20)}, id="no protobuf"),
            pytest.param(wrap(b"\xff" * 20), id="no protobuf inside"),
            pytest.param(wrap(b"plain", zipped=True), id="no gzip"),
            pytest.param(wrap(b"", zipped=True), id="empty gzip"),
            pytest.param(wrap(gzip.compress(bytes(1000))[:-9], zipped=True), id="gzip cut off"),
            pytest.param(wrap(b"\x1a\x02\xff\xff"), id="text that is no UTF-8"),
        ],
    )
    def test_malformed(self, query: dict[str, str]) -> None:
        with pytest.raises(WireError):
            parse_join(query)

    @staticmethod
    def request_of(size: int) -> bytes:
        body = rtc.JoinRequest(metadata="x" * (size - 4)).SerializeToString()
        assert len(body) == size
        return body

    def test_size_after_decompression(self) -> None:
        limit = limits.JOIN_REQUEST_BYTES
        assert parse_join(wrap(gzip.compress(self.request_of(limit)), zipped=True)).metadata
        with pytest.raises(WireError):
            parse_join(wrap(gzip.compress(self.request_of(limit + 1)), zipped=True))

    def test_deflate_bomb(self) -> None:
        bomb = gzip.compress(bytes(1 << 27))
        assert len(bomb) < limits.JOIN_REQUEST_BYTES
        with pytest.raises(WireError):
            parse_join(wrap(bomb, zipped=True))

    def test_size_before_decompression(self) -> None:
        with pytest.raises(WireError, match="protobuf"):
            parse_join({"join_request": encode(b"\xff" * limits.JOIN_REQUEST_BYTES)})
        with pytest.raises(WireError, match="too long"):
            parse_join({"join_request": encode(b"\xff" * (limits.JOIN_REQUEST_BYTES + 1))})


def test_nothing_private_is_shown() -> None:
    parameters = everything()
    parameters.publisher_offer = rtc.SessionDescription(type="offer", sdp="a=ice-pwd:secret")
    parameters.metadata = "confidential"
    shown = repr(parameters)
    assert "secret" not in shown
    assert "confidential" not in shown
    assert "grün" not in shown


class TestHostileInput:
    def test_join_requests(self) -> None:
        messages = [
            base64.urlsafe_b64decode((SAMPLE / "wheel_join_request.txt").read_text()),
            rtc.WrappedJoinRequest(
                join_request=rtc.JoinRequest(
                    client_info=WHEEL_INFO, participant_attributes={"a": "b"}, participant_sid="PA_x", reconnect=True
                ).SerializeToString()
            ).SerializeToString(),
        ]
        assert_total(lambda data: parse_join({"join_request": encode(data)}), mutants(messages))

    def test_texts_that_are_hardly_base64(self) -> None:
        sample = (SAMPLE / "wheel_join_request.txt").read_bytes().strip()
        cases = (case.decode("latin-1") for case in mutants([sample, b"CAESBAoCCAk="], CASES // 10))
        assert_total(lambda text: parse_join({"join_request": text}), cases)

    def test_attributes(self) -> None:
        sample = json.dumps({"a": "b", "é": "\u2028"}).encode()
        assert_total(lambda data: parse_join({"attributes": encode(data)}), mutants([sample]))

    def test_queries(self) -> None:
        def read(data: bytes) -> JoinParameters:
            pairs = (part.partition("=") for part in data.decode("latin-1").split("&"))
            return parse_join({name: value for name, _, value in pairs if name != "join_request"})

        sample = "&".join(f"{name}={value}" for name, value in build_join_query(everything()).items()).encode()
        assert_total(read, mutants([sample]))
