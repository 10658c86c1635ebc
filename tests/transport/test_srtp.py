from __future__ import annotations

import gc
import os
from collections.abc import Callable

import pylibsrtp
import pytest
from pylibsrtp import Policy, Session

from lknb.transport import contract, srtp
from lknb.transport.dtls import DtlsCounters
from tests.transport.pair import pli, rtp_packet

PROFILES = [
    (Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 44),
    (Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 28),
    (Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 30),
]


def sessions(profile: int, key_length: int) -> tuple[Session, Session]:
    """One for each direction of the same stream."""
    key = os.urandom(key_length)
    made = []
    for kind in (Policy.SSRC_ANY_OUTBOUND, Policy.SSRC_ANY_INBOUND):
        policy = Policy(key=key, ssrc_type=kind, srtp_profile=profile)
        policy.allow_repeat_tx = True
        policy.window_size = 1024
        made.append(Session(policy))
    return made[0], made[1]


@pytest.fixture(params=[True, False], ids=["in place", "public"])
def in_place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    assert contract.IN_PLACE_SRTP, "the fast way is not taken with the installed pylibsrtp"
    monkeypatch.setattr(contract, "IN_PLACE_SRTP", request.param)
    return bool(request.param)


def protect_rtp(session: Session) -> Callable[[bytes], bytes]:
    """`rtp_sender` as a function of one packet; ValueError for what it refuses as too long."""
    counters, sent = DtlsCounters(), []
    send = srtp.rtp_sender(session, lambda data: sent.append(bytes(data)), counters)

    def protect(packet: bytes) -> bytes:
        send(packet)
        if counters.send_oversize:
            raise ValueError("counted as oversize")
        assert counters.send_failed == 0
        assert counters.rtp_sent > 0
        return sent.pop()

    return protect


@pytest.mark.parametrize("profile", PROFILES)
def test_there_and_back(in_place: bool, profile: tuple[int, int]) -> None:
    out, back = sessions(*profile)
    protect, unprotect = protect_rtp(out), srtp.unprotect_rtp(back)
    for size in (12, 13, 500, 1200, srtp.MAX_PACKET_BYTES):
        packet = rtp_packet(size, size=size)
        protected = protect(packet)
        assert protected[:12] == packet[:12]
        assert len(protected) > len(packet)
        assert size < 100 or packet[12:] not in protected
        assert unprotect(protected) == packet
    protect, unprotect = srtp.protect_rtcp(out), srtp.unprotect_rtcp(back)
    assert unprotect(protect(pli())) == pli()


@pytest.mark.parametrize("profile", PROFILES)
def test_both_ways_make_the_same_bytes(profile: tuple[int, int]) -> None:
    out, back = sessions(*profile)
    fast, slow = protect_rtp(out), out.protect
    assert fast(rtp_packet(1)) == slow(rtp_packet(1))
    assert srtp.unprotect_rtp(back)(slow(rtp_packet(2))) == rtp_packet(2)


def test_too_long_is_a_value_error(in_place: bool) -> None:
    out, back = sessions(*PROFILES[0])
    with pytest.raises(ValueError):
        protect_rtp(out)(bytes(srtp.MAX_PACKET_BYTES + 1))
    with pytest.raises(ValueError):
        srtp.protect_rtcp(out)(bytes(srtp.MAX_RTCP_BYTES + 1))
    with pytest.raises(ValueError):
        srtp.unprotect_rtp(back)(bytes(srtp.MAX_PROTECTED_BYTES + 1))
    with pytest.raises(ValueError):
        srtp.unprotect_rtcp(back)(bytes(srtp.MAX_PROTECTED_BYTES + 1))


def test_forged_replayed_and_random_packets_are_errors(in_place: bool) -> None:
    out, back = sessions(*PROFILES[0])
    protect, unprotect = protect_rtp(out), srtp.unprotect_rtp(back)
    good = protect(rtp_packet(1))
    forged = bytearray(good)
    forged[-1] ^= 1
    with pytest.raises(pylibsrtp.Error):
        unprotect(bytes(forged))
    assert unprotect(good) == rtp_packet(1)
    with pytest.raises(pylibsrtp.Error, match="replay"):
        unprotect(good)
    for size in (*range(64), 1500):
        with pytest.raises(pylibsrtp.Error):
            unprotect(b"\x9f" + os.urandom(size)[1:] if size else b"")
    assert unprotect(protect(rtp_packet(2))) == rtp_packet(2)


def test_the_session_lives_as_long_as_its_function(in_place: bool) -> None:
    out, back = sessions(*PROFILES[0])
    protect, unprotect = protect_rtp(out), srtp.unprotect_rtp(back)
    del out, back
    gc.collect()
    assert unprotect(protect(rtp_packet(1))) == rtp_packet(1)
