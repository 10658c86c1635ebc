import timeit

import pytest

from lknb import limits
from lknb.errors import WireError
from lknb.wire import extension
from lknb.wire.sdp import Codec, SessionDescription, TransportParameters, build_sdp, parse_sdp
from tests.wire.mutation import CASES, assert_total, mutants, text_mutants
from tests.wire.sdp_sample import DIGEST, MIXED, SAMPLES, minimal


class TestOfferOfChromium:
    offer = parse_sdp(SAMPLES["chromium_offer"])

    def test_session(self) -> None:
        assert self.offer.bundle == ["0", "1", "2", "3", "4", "5"]
        assert (self.offer.session_id, self.offer.session_version) == (5793165998111876818, 2)
        assert self.offer.extmap_allow_mixed
        assert not self.offer.ice_lite
        kinds = [(section.kind, section.mid, section.direction) for section in self.offer.media]
        assert kinds == [
            ("audio", "0", "recvonly"),
            ("video", "1", "recvonly"),
            ("audio", "2", "sendonly"),
            ("video", "3", "sendonly"),
            ("video", "4", "sendonly"),
            ("application", "5", "sendrecv"),
        ]
        assert not any(section.rejected for section in self.offer.media)
        assert self.offer.section("3") is self.offer.media[3]
        assert self.offer.section("9") is None

    def test_transport(self) -> None:
        transport = self.offer.media[0].transport
        assert transport is not None
        assert (transport.ufrag, transport.pwd, transport.setup) == ("UaMM", "mYfHbvdNDr7eWjJy41gq2SUF", "actpass")
        [(algorithm, digest)] = transport.fingerprints
        assert (algorithm, digest[:8], len(digest)) == ("sha-256", "B4:75:96", 95)
        assert len(transport.candidates) == 2
        assert transport.candidates[0].startswith("candidate:851516770 1 udp 2113937151 ")
        assert not transport.end_of_candidates
        assert transport.pwd not in repr(self.offer)

    def test_audio(self) -> None:
        audio = self.offer.media[2]
        assert audio.codecs[0] == Codec(111, "opus", 48000, 2, "minptime=10;useinbandfec=1", ("transport-cc",))
        assert audio.codecs[0].parameters() == {"minptime": "10", "useinbandfec": "1"}
        assert Codec(9, "G722", 8000) in audio.codecs
        assert audio.extensions[extension.AUDIO_LEVEL] == 1
        assert audio.msid == ("-", "1b137e7f-99eb-4f72-b282-488871b3e03c")
        assert (audio.ssrcs, audio.cname) == ([235121537], "D96wXjvcclXsyGjq")

    def test_simulcast_video(self) -> None:
        video = self.offer.media[3]
        assert video.rids == [("q", "send"), ("h", "send"), ("f", "send")]
        # the h layer is paused, "~h" on the wire
        assert video.simulcast == ("send", ("q", "h", "f"))
        assert video.ssrcs == []
        assert video.extensions[extension.RID] == 10
        assert video.extensions[extension.REPAIRED_RID] == 11
        assert video.extensions[extension.DEPENDENCY_DESCRIPTOR] == 12
        assert [codec.name for codec in video.codecs][:3] == ["VP8", "rtx", "H264"]
        assert video.codecs[0].feedback == ("goog-remb", "transport-cc", "ccm fir", "nack", "nack pli")
        assert video.codecs[1].parameters() == {"apt": "96"}

    def test_single_video_with_retransmission(self) -> None:
        video = self.offer.media[4]
        assert video.ssrcs == [1232306045, 4243338509]
        assert video.ssrc_groups == [("FID", (1232306045, 4243338509))]
        assert video.simulcast is None

    def test_data_channels(self) -> None:
        application = self.offer.media[5]
        assert (application.sctp_port, application.max_message_size) == (5000, 262144)
        assert application.codecs == []

    def test_second_offer_keeps_a_rejected_section(self) -> None:
        offer = parse_sdp(SAMPLES["chromium_reoffer"])
        assert [section.rejected for section in offer.media] == [False, True, False, False]
        assert offer.bundle == ["0", "2", "3"]


class TestOtherPeers:
    def test_offer_of_the_livekit_wheel(self) -> None:
        offer = parse_sdp(SAMPLES["wheel_offer"])
        assert [section.kind for section in offer.media] == ["audio"] * 3 + ["video"] * 3 + ["application"]
        assert [section.direction for section in offer.media[:6]] == ["recvonly"] * 6
        assert offer.media[0].extensions[extension.TRANSPORT_CC] == 3

    def test_offer_of_pion(self) -> None:
        offer = parse_sdp(SAMPLES["pion_offer"])
        video, audio, simulcast, receiving, application = offer.media
        assert video.msid == ("PA_x|TR_video", "TR_video")
        assert video.cname == "PA_x|TR_video"
        assert audio.codecs[0].name == "opus"
        assert simulcast.simulcast == ("send", ("q", "h"))
        assert len(simulcast.ssrc_groups) == 2
        assert receiving.direction == "recvonly"
        assert application.max_message_size == 1073741823
        # the fingerprint stands at session level
        assert application.transport is not None
        assert application.transport.fingerprints[0][1].startswith("DF:4C:08")

    def test_answer_of_pion(self) -> None:
        answer = parse_sdp(SAMPLES["pion_answer"])
        assert answer.media[3].rids == [("q", "recv"), ("h", "recv"), ("f", "recv")]
        assert answer.media[3].simulcast == ("recv", ("q", "h", "f"))
        assert {section.transport.setup for section in answer.media if section.transport} == {"active"}

    def test_everything_at_once(self) -> None:
        mixed = parse_sdp(MIXED)
        audio, video, waiting, application, rejected = mixed.media
        assert (mixed.bundle, mixed.ice_lite, mixed.extmap_allow_mixed) == (["0", "1", "2", "3"], True, False)

        assert audio.transport is not None
        assert [algorithm for algorithm, _ in audio.transport.fingerprints] == ["sha-256", "sha-384", "sha-512"]
        assert audio.transport.fingerprints[0][1] == DIGEST
        assert audio.transport.setup == "active"
        assert audio.transport.ice_lite
        assert audio.transport.end_of_candidates
        # 97 has no rtpmap and is no static type
        assert [(codec.payload_type, codec.name) for codec in audio.codecs] == [(111, "opus"), (0, "PCMU"), (13, "CN")]
        assert [codec.feedback for codec in audio.codecs] == [("transport-cc", "nack")] + [("transport-cc",)] * 2
        assert audio.extensions == {extension.AUDIO_LEVEL: 1, extension.TRANSPORT_CC: 3}
        assert audio.msid == ("stream", "track")

        assert video.msid == ("PA_x|TR_y", "TR_y")
        assert video.rids == [("q", "send"), ("h", "send"), ("f", "send")]
        assert video.simulcast == ("send", ("q", "h", "f"))
        assert video.ssrcs == [1232306045, 4243338509]

        assert waiting.bundle_only
        assert not waiting.rejected
        assert waiting.transport is None
        assert waiting.simulcast == ("recv", ("a", "b"))
        assert (application.sctp_port, application.max_message_size) == (5001, 262144)
        assert rejected.rejected
        assert (rejected.mid, rejected.transport, rejected.direction) == ("4", None, "inactive")
        # type 0 is an audio codec
        assert rejected.codecs == []

    def test_credentials_and_direction_at_session_level(self) -> None:
        text = "v=0\na=ice-ufrag:u\na=ice-pwd:p\na=setup:passive\na=recvonly\nm=audio 9 RTP/SAVPF 0\n"
        [section] = parse_sdp(text).media
        assert section.transport == TransportParameters("u", "p", setup="passive")
        assert section.direction == "recvonly"
        assert section.mid == ""

    def test_data_channels_as_before_rfc_8841(self) -> None:
        text = minimal("a=sctpmap:5002 webrtc-datachannel 1024", head="m=application 9 DTLS/SCTP 5002")
        [section] = parse_sdp(text).media
        assert (section.sctp_port, section.max_message_size) == (5002, 65536)

    def test_mixed_extensions_allowed_in_every_section(self) -> None:
        assert parse_sdp(minimal("a=extmap-allow-mixed")).extmap_allow_mixed
        assert not parse_sdp(minimal()).extmap_allow_mixed

    def test_lines_may_end_in_any_way(self) -> None:
        expected = parse_sdp(MIXED)
        assert parse_sdp(MIXED.replace("\r\n", "\n")) == expected
        assert parse_sdp(MIXED.replace("\r\n", "\r")) == expected
        assert parse_sdp(MIXED.rstrip()) == expected

    def test_description_without_media(self) -> None:
        assert parse_sdp("v=0\r\n") == SessionDescription()


class TestRefusal:
    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("", id="empty"),
            pytest.param("o=- 1 2 IN IP4 127.0.0.1\r\n", id="no version"),
            pytest.param(minimal(head="m=audio 9 UDP/TLS/RTP/SAVPF"), id="m-line without format"),
            pytest.param(minimal(head="m=audio x UDP/TLS/RTP/SAVPF 0"), id="port is no number"),
            pytest.param(minimal(head="m=audio 65536 UDP/TLS/RTP/SAVPF 0"), id="port out of range"),
            pytest.param(minimal(head="m=audio 9 UDP/TLS/RTP/SAVPF 128"), id="payload type out of range"),
            pytest.param(minimal("a=rtpmap:128 x/8000"), id="rtpmap out of range"),
            pytest.param(minimal("a=rtpmap:111 opus"), id="rtpmap without clock rate"),
            pytest.param(minimal("a=rtpmap:111 opus/x"), id="clock rate is no number"),
            pytest.param(minimal("a=rtpmap:111 opus/48000/2/2"), id="rtpmap with too many parts"),
            pytest.param(minimal("a=rtpmap:111 /48000"), id="rtpmap without name"),
            pytest.param(minimal("a=rtpmap:111"), id="rtpmap without encoding"),
            pytest.param(minimal("a=fmtp:x a=b"), id="fmtp of no payload type"),
            pytest.param(minimal("a=rtcp-fb:300 nack"), id="feedback out of range"),
            pytest.param(minimal("a=extmap:x urn:x"), id="extension id is no number"),
            pytest.param(minimal("a=extmap:4352 urn:x"), id="extension id out of range"),
            pytest.param(minimal("a=extmap:1"), id="extension without uri"),
            pytest.param(minimal("a=mid:"), id="empty mid"),
            pytest.param(minimal("a=mid:a b"), id="mid of two words"),
            pytest.param(minimal("a=mid:" + "x" * 257), id="mid too long"),
            pytest.param(minimal("a=msid:"), id="empty msid"),
            pytest.param(minimal("a=ssrc:-1 cname:x"), id="negative ssrc"),
            pytest.param(minimal("a=ssrc:4294967296 cname:x"), id="ssrc out of range"),
            pytest.param(minimal("a=ssrc:1 cname:a b"), id="cname of two words"),
            pytest.param(minimal("a=ssrc-group:FID"), id="empty group"),
            pytest.param(minimal("a=ssrc-group:FID x"), id="group of no number"),
            pytest.param(minimal("a=rid:q"), id="rid without direction"),
            pytest.param(minimal("a=rid:q both"), id="rid of unknown direction"),
            pytest.param(minimal("a=simulcast:send"), id="simulcast of nothing"),
            pytest.param(minimal("a=simulcast:send q;;f"), id="simulcast with a gap"),
            pytest.param(minimal("a=simulcast:both q"), id="simulcast of unknown direction"),
            pytest.param(minimal("a=fingerprint:sha-256"), id="fingerprint without digest"),
            pytest.param(minimal("a=fingerprint:sha-256 AB:XY"), id="fingerprint of no hex"),
            pytest.param(minimal("a=fingerprint:sha-256 AB"), id="fingerprint of one byte"),
            pytest.param(minimal("a=setup:holdconn"), id="unknown DTLS role"),
            pytest.param(minimal("a=ice-ufrag:"), id="empty user fragment"),
            pytest.param(minimal("a=max-message-size:1e6"), id="message size is no number"),
            pytest.param(minimal("a=sctp-port:70000"), id="sctp port out of range"),
            pytest.param(minimal("o=- x 2 IN IP4 127.0.0.1"), id="session id is no number"),
            pytest.param(minimal("o=-"), id="origin cut"),
            pytest.param(minimal("a=x\0y"), id="NUL"),
            pytest.param(minimal().replace("a=ice-pwd:p\r\n", ""), id="user fragment without password"),
            pytest.param("v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n", id="no credentials"),
            pytest.param(minimal("a=mid:0", "m=audio 9 UDP/TLS/RTP/SAVPF 0", "a=mid:0"), id="one mid twice"),
            pytest.param(minimal("a=rtpmap:१११ opus/48000"), id="digits of another script"),
            pytest.param("v=0\r\na=group:BUNDLE " + "x" * 300, id="bundled mid too long"),
        ],
    )
    def test_malformed(self, text: str) -> None:
        with pytest.raises(WireError):
            parse_sdp(text)

    def test_rejected_sections_need_no_credentials(self) -> None:
        assert parse_sdp("v=0\r\nm=audio 0 UDP/TLS/RTP/SAVPF 0\r\n").media[0].rejected

    @pytest.mark.parametrize(
        ("line", "limit"),
        [
            ("a=ssrc:{} cname:x", limits.SDP_SSRCS),
            ("a=ssrc-group:FID {}", limits.SDP_SSRC_GROUPS),
            ("a=rid:r{} send", limits.RIDS),
            ("a=extmap:1 urn:{}", limits.SDP_EXTENSIONS),
            ("a=rtcp-fb:111 f{}", limits.SDP_FEEDBACK),
            ("a=fingerprint:md-{} AB:CD", limits.SDP_FINGERPRINTS),
        ],
    )
    def test_repeated_lines(self, line: str, limit: int) -> None:
        parse_sdp(minimal(*(line.format(i) for i in range(limit))))
        with pytest.raises(WireError):
            parse_sdp(minimal(*(line.format(i) for i in range(limit + 1))))

    def test_layers_of_a_simulcast_line(self) -> None:
        parse_sdp(minimal("a=simulcast:send " + ";".join(map(str, range(limits.RIDS)))))
        with pytest.raises(WireError):
            parse_sdp(minimal("a=simulcast:send " + ";".join(map(str, range(limits.RIDS + 1)))))

    def test_media_sections(self) -> None:
        line = "m=audio 9 UDP/TLS/RTP/SAVPF 0"
        assert len(parse_sdp(minimal(*[line] * (limits.SDP_MEDIA_SECTIONS - 1))).media) == limits.SDP_MEDIA_SECTIONS
        with pytest.raises(WireError):
            parse_sdp(minimal(*[line] * limits.SDP_MEDIA_SECTIONS))

    def test_size(self) -> None:
        head = minimal()
        lines = ("a=" + "x" * 997 + "\n") * ((limits.SDP_BYTES - len(head)) // 1000)
        text = head + lines + "y" * (limits.SDP_BYTES - len(head) - len(lines))
        assert len(parse_sdp(text).media) == 1
        with pytest.raises(WireError):
            parse_sdp(text + "y")

    def test_lines(self) -> None:
        text = "v=0" + "\n" * (limits.SDP_LINES - 1)
        assert parse_sdp(text).media == []
        with pytest.raises(WireError):
            parse_sdp(text + "\n")

    def test_line(self) -> None:
        longest = "a=" + "x" * (limits.SDP_LINE_BYTES - 2)
        parse_sdp(minimal(longest))
        with pytest.raises(WireError):
            parse_sdp(minimal(longest + "x"))

    def test_candidates_beyond_the_limit_are_ignored(self) -> None:
        lines = [f"a=candidate:{i} 1 udp 1 127.0.0.1 5000 typ host" for i in range(limits.CANDIDATES + 10)]
        transport = parse_sdp(minimal("a=candidate:" + "x" * limits.CANDIDATE_BYTES + "y", *lines)).media[0].transport
        assert transport is not None
        assert len(transport.candidates) == limits.CANDIDATES
        assert transport.candidates[0].startswith("candidate:0 ")


class TestHostileInput:
    @staticmethod
    def shortened(text: str) -> str:
        """The description with two codecs in each section: the same lines, and ten times as fast to parse."""
        parsed = parse_sdp(text)
        for section in parsed.media:
            del section.codecs[2:]
        del parsed.media[4:]
        return build_sdp(parsed)

    def samples(self) -> list[str]:
        return [MIXED, *map(self.shortened, SAMPLES.values())]

    @staticmethod
    def read_and_build(text: str) -> None:
        """What was read can be written, and means the same when read again."""
        # the first turn may name a format for a section left without one
        built = build_sdp(parse_sdp(build_sdp(parse_sdp(text))))
        assert build_sdp(parse_sdp(built)) == built

    def test_damaged_lines(self) -> None:
        assert_total(parse_sdp, text_mutants(self.samples(), CASES // 2))

    def test_damaged_characters(self) -> None:
        samples = [text.encode() for text in self.samples()]
        assert_total(parse_sdp, (case.decode("latin-1") for case in mutants(samples, CASES // 2)))

    def test_whole_descriptions(self) -> None:
        assert_total(parse_sdp, text_mutants(list(SAMPLES.values()), CASES // 100, seed=2))

    def test_what_was_read_can_be_built(self) -> None:
        assert_total(self.read_and_build, text_mutants(self.samples(), CASES // 20, seed=3))


def test_parsing_a_whole_offer_does_not_hold_up_the_server() -> None:
    # 0.7 ms for 17 kB on an idle machine
    text = SAMPLES["chromium_offer"]
    assert min(timeit.repeat(lambda: parse_sdp(text), number=3, repeat=7)) / 3 < 10e-3
