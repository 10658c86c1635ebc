from dataclasses import replace

import pytest
from aiortc.sdp import SessionDescription as AiortcDescription

from lknb.errors import WireError
from lknb.wire import extension
from lknb.wire.sdp import Codec, MediaSection, SessionDescription, TransportParameters, build_sdp, parse_sdp
from tests.wire.sdp_sample import DIGEST, SAMPLES

TRANSPORT = TransportParameters(
    ufrag="UaMM",
    pwd="mYfHbvdNDr7eWjJy41gq2SUF",
    fingerprints=(("sha-256", DIGEST),),
    setup="actpass",
    candidates=("candidate:1 1 udp 2130706431 127.0.0.1 5000 typ host",),
    end_of_candidates=True,
)


def description(*sections: MediaSection) -> SessionDescription:
    return SessionDescription(list(sections), [section.mid for section in sections], False, 1, 2, True)


class TestBuilding:
    @pytest.mark.parametrize("name", SAMPLES)
    def test_real_descriptions_survive(self, name: str) -> None:
        parsed, again = parse_sdp(SAMPLES[name]), parse_sdp(build_sdp(parse_sdp(SAMPLES[name])))
        for before, after in zip(parsed.media, again.media, strict=True):
            if before.rejected:
                assert (after.kind, after.mid, after.rejected) == (before.kind, before.mid, True)
            else:
                assert after == before
        parsed.media = again.media = []
        assert again == parsed

    def test_round_trip(self) -> None:
        offer = description(
            MediaSection(
                "audio",
                "0",
                codecs=[Codec(111, "opus", 48000, 2, "minptime=10;useinbandfec=1", ("transport-cc", "nack"))],
                extensions={extension.MID: 4, extension.AUDIO_LEVEL: 1},
                msid=("PA_x|TR_a", "TR_a"),
                ssrcs=[5],
                cname="PA_x",
                transport=TRANSPORT,
            ),
            MediaSection(
                "video",
                "1",
                direction="sendonly",
                codecs=[Codec(96, "VP8", 90000), Codec(97, "rtx", 90000, fmtp="apt=96")],
                rids=[("q", "send"), ("h", "send")],
                simulcast=("send", ("q", "h")),
                ssrcs=[7, 8],
                ssrc_groups=[("FID", (7, 8))],
                cname="PA_x",
                msid=("stream", ""),
                transport=TRANSPORT,
            ),
            MediaSection("video", "2", port=0, direction="inactive", codecs=[Codec(96, "VP8", 90000)]),
            MediaSection(
                "application",
                "3",
                protocol="UDP/DTLS/SCTP",
                sctp_port=5000,
                max_message_size=262144,
                transport=TRANSPORT,
            ),
        )
        assert parse_sdp(build_sdp(offer)) == offer

    def test_lines_that_peers_ask_for(self) -> None:
        section = MediaSection(
            "video", "v", codecs=[Codec(96, "VP8", 90000)], ssrcs=[5], msid=("s", "t"), transport=TRANSPORT
        )
        text = build_sdp(replace(description(section), ice_lite=True))
        lines = text.split("\r\n")
        assert text.endswith("\r\n")
        for line in (
            "a=group:BUNDLE v",
            "a=extmap-allow-mixed",
            "a=msid-semantic: WMS *",
            "a=ice-lite",
            "m=video 9 UDP/TLS/RTP/SAVPF 96",
            "c=IN IP4 0.0.0.0",
            "a=rtcp-mux",
            "a=rtcp-rsize",
            "a=msid:s t",
            # without a cname the stream id serves
            "a=ssrc:5 cname:s",
            "a=ssrc:5 msid:s t",
        ):
            assert line in lines

    def test_rejected_section_without_codec_still_names_a_format(self) -> None:
        text = build_sdp(description(MediaSection("video", "0", port=0)))
        assert "m=video 0 UDP/TLS/RTP/SAVPF 0\r\n" in text
        assert "ice-ufrag" not in text

    def test_rejected_data_channels(self) -> None:
        section = MediaSection("application", "0", port=0, protocol="UDP/DTLS/SCTP")
        assert "m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n" in build_sdp(description(section))

    def test_source_of_no_stream(self) -> None:
        section = MediaSection("audio", "0", codecs=[Codec(0, "PCMU", 8000)], ssrcs=[5], transport=TRANSPORT)
        assert "a=ssrc:5 cname:-\r\n" in build_sdp(description(section))

    def test_section_waiting_for_its_bundle(self) -> None:
        section = MediaSection("audio", "0", port=0, bundle_only=True, codecs=[Codec(0, "PCMU", 8000)])
        lines = build_sdp(description(section)).split("\r\n")
        assert "a=bundle-only" in lines
        assert "a=rtcp-mux" in lines

    @pytest.mark.parametrize(
        "section",
        [
            MediaSection("audio", "0\r\na=ice-lite", transport=TRANSPORT),
            MediaSection("audio", "0", cname="x\na=evil", ssrcs=[1], transport=TRANSPORT),
            MediaSection("audio", "0", msid=("a\rb", "c"), transport=TRANSPORT),
            MediaSection("audio", "0", codecs=[Codec(1, "x", 1, fmtp="\0")], transport=TRANSPORT),
            MediaSection("audio", "0", transport=replace(TRANSPORT, candidates=("candidate:1\r\na=x",))),
            MediaSection("audio", "0", direction="sideways", transport=TRANSPORT),
        ],
    )
    def test_a_value_cannot_bring_in_a_line(self, section: MediaSection) -> None:
        with pytest.raises(WireError):
            build_sdp(description(section))

    @pytest.mark.parametrize("name", SAMPLES)
    def test_aiortc_reads_what_we_build(self, name: str) -> None:
        ours = parse_sdp(SAMPLES[name])
        theirs = AiortcDescription.parse(build_sdp(ours))
        assert [media.rtp.muxId for media in theirs.media] == [section.mid for section in ours.media]
        assert [media.port for media in theirs.media] == [section.port for section in ours.media]
        assert [len(media.rtp.codecs) for media in theirs.media] == [len(section.codecs) for section in ours.media]
        for media, section in zip(theirs.media, ours.media, strict=True):
            assert [source.ssrc for source in media.ssrc] == section.ssrcs
            assert {header.uri: header.id for header in media.rtp.headerExtensions} == (
                {} if section.rejected else section.extensions
            )
