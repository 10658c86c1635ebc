from lknb import limits


def test_limits_of_livekit() -> None:
    assert limits.SIGNAL_MESSAGE_BYTES == 2 * 1024 * 1024
    assert limits.JOIN_REQUEST_BYTES == 1024 * 1024
    assert limits.METADATA_BYTES == 512 * 1024
    assert limits.ATTRIBUTES_BYTES == 64 * 1024
    assert limits.NAME_BYTES == limits.IDENTITY_BYTES == 256
    assert limits.DATA_PACKET_BYTES == 64_000


def test_every_limit_is_a_positive_integer() -> None:
    values = {name: value for name, value in vars(limits).items() if name.isupper()}
    assert len(values) > 30
    assert all(type(value) is int and value > 0 for value in values.values())


def test_our_packets_fit_the_smallest_path() -> None:
    # IPv6 demands 1,280 bytes: 40 of IPv6, 8 of UDP, 12 of RTP; the rest is SRTP and header extensions
    assert 1280 - 40 - 8 - 12 - limits.RTP_PAYLOAD_BYTES >= 20
