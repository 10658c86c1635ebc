import pytest

from lknb import limits
from lknb.errors import WireError
from lknb.wire.candidate import Candidate, build_candidate, parse_candidate
from tests.wire.mutation import assert_total, mutants

HOST = "candidate:851516770 1 udp 2113937151 3ff2cad8-73e2-4cc1-91df-f8310c0506d3.local 47129 typ host generation 0 ufrag UaMM"
REFLEXIVE = "candidate:842163049 1 udp 1677729535 203.0.113.7 46154 typ srflx raddr 10.0.1.17 rport 46154 generation 0"
TCP = "candidate:1052353102 1 tcp 1518280447 192.0.2.79 9 typ host tcptype active generation 0 network-id 1"
IPV6 = "candidate:4 2 UDP 41885439 2001:db8::1 3478 typ relay raddr :: rport 0"


@pytest.mark.parametrize(
    ("text", "candidate"),
    [
        (
            HOST,
            Candidate(
                "851516770",
                1,
                "udp",
                2113937151,
                "3ff2cad8-73e2-4cc1-91df-f8310c0506d3.local",
                47129,
                "host",
                ufrag="UaMM",
            ),
        ),
        (REFLEXIVE, Candidate("842163049", 1, "udp", 1677729535, "203.0.113.7", 46154, "srflx", "10.0.1.17", 46154)),
        (TCP, Candidate("1052353102", 1, "tcp", 1518280447, "192.0.2.79", 9, "host", tcp_type="active")),
        (IPV6, Candidate("4", 2, "udp", 41885439, "2001:db8::1", 3478, "relay", "::", 0)),
    ],
)
def test_candidates_of_browsers(text: str, candidate: Candidate) -> None:
    assert parse_candidate(text) == candidate
    assert parse_candidate("a=" + text) == candidate
    assert parse_candidate(build_candidate(candidate)) == candidate


@pytest.mark.parametrize(
    "text",
    [
        "",
        "candidate:",
        "candidate:1 1 udp 1 127.0.0.1 5000 typ",
        "candidate: 1 udp 1 127.0.0.1 5000 typ host x",
        "1 1 udp 1 127.0.0.1 5000 typ host",
        "candidate:1 one udp 1 127.0.0.1 5000 typ host",
        "candidate:1 257 udp 1 127.0.0.1 5000 typ host",
        "candidate:1 1 udp 4294967296 127.0.0.1 5000 typ host",
        "candidate:1 1 udp -1 127.0.0.1 5000 typ host",
        "candidate:1 1 udp 1 127.0.0.1 65536 typ host",
        "candidate:1 1 udp 1 127.0.0.1 5_0 typ host",
        "candidate:1 1 udp 1 127.0.0.1 ५ typ host",
        "candidate:1 1 udp 1 127.0.0.1 5000 typ magic",
        "candidate:1 1 udp 1 127.0.0.1 5000 host typ",
        "candidate:1 1 udp 1 127.0.0.1 5000 typ srflx raddr 1.2.3.4 rport x",
        f"candidate:{'1' * 33} 1 udp 1 127.0.0.1 5000 typ host",
        "candidate:1 1 udp 1 bücher.local 5000 typ host",
    ],
)
def test_malformed_is_refused(text: str) -> None:
    with pytest.raises(WireError):
        parse_candidate(text)


def test_length_limit() -> None:
    head = "candidate:1 1 udp 1 127.0.0.1 5000 typ host x "
    longest = head + "y" * (limits.CANDIDATE_BYTES - len(head))
    assert parse_candidate(longest).port == 5000
    with pytest.raises(WireError):
        parse_candidate(longest + "y")


@pytest.mark.parametrize("host", ["", "a b", "a\nb"])
def test_a_field_cannot_bring_in_another(host: str) -> None:
    with pytest.raises(WireError):
        build_candidate(Candidate("1", 1, "udp", 1, host, 5000, "host"))


def test_value_or_wire_error() -> None:
    samples = [text.encode() for text in (HOST, REFLEXIVE, TCP, IPV6)]
    assert_total(
        lambda text: build_candidate(parse_candidate(text)), (case.decode("latin-1") for case in mutants(samples))
    )
