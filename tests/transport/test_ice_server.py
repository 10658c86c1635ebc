from __future__ import annotations

import pytest

from lknb.transport.ice_server import IceServer, select_servers


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("stun:stun.example.com", ("stun.example.com", 3478)),
        ("stun:192.0.2.1:19302", ("192.0.2.1", 19302)),
        ("STUN:[2001:db8::1]:5", ("2001:db8::1", 5)),
        ("stun:[2001:db8::1]", ("2001:db8::1", 3478)),
        ("stun:host:0", None),
        ("stun:host:70000", None),
        ("stun:host:x", None),
        ("stun:", None),
        ("http://host", None),
        ("", None),
    ],
)
def test_stun_urls(url: str, address: tuple[str, int] | None) -> None:
    assert select_servers([IceServer([url])]).stun == address


def test_the_best_turn_server_wins() -> None:
    servers = [
        IceServer(["turns:tls.example.com:443?transport=tcp"], "u", "secret"),
        IceServer(["stun:one", "turn:tcp.example.com?transport=tcp", "turn:udp.example.com?transport=udp"], "v", "w"),
        IceServer(["stun:two"]),
    ]
    chosen = select_servers(servers)
    assert chosen.stun == ("one", 3478)
    turn = chosen.turn
    assert turn is not None
    assert (turn.address, turn.protocol, turn.tls) == (("udp.example.com", 3478), "udp", False)
    assert (turn.username, turn.credential) == ("v", "w")
    tls = select_servers(servers[:1]).turn
    assert tls is not None
    assert (tls.address, tls.protocol, tls.tls) == (("tls.example.com", 443), "tcp", True)


def test_credentials_do_not_show() -> None:
    server = IceServer(["turn:x"], "user", "secret")
    chosen = select_servers([server])
    assert "secret" not in f"{server!r} {chosen!r} {chosen.turn!r}"
