"""Session descriptions for the tests: what real peers wrote, and one that has every line the parser knows.

Written by Chromium 156 (offer after gathering, and a second offer after a refused section), the livekit wheel 1.2.1 (the offer in
its join request) and pion 4.2.11 (offer, and answer to Chromium), each on this project's behalf.
"""

from pathlib import Path

SAMPLES = {path.stem: path.read_bytes().decode() for path in (Path(__file__).parent / "sample").glob("*.sdp")}
DIGEST = ":".join(["AB"] * 32)
# Everything the parser knows, once, as different peers write it.
MIXED = "\r\n".join(
    [
        "v=0",
        "o=- 5793165998111876818 3 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:LS 0",
        "a=group:BUNDLE 0 1 2 3",
        "a=msid-semantic:WMS*",
        "a=ice-lite",
        f"a=fingerprint:sha-256 {DIGEST.lower()}",
        f"a=fingerprint:SHA-384 {':'.join(['CD'] * 48)}",
        f"a=fingerprint:sha-512 {':'.join(['EF'] * 64)}",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111 0 13 97",
        "c=IN IP4 0.0.0.0",
        "a=mid:0",
        "a=ice-ufrag:UaMM",
        "a=ice-pwd:mYfHbvdNDr7eWjJy41gq2SUF",
        "a=ice-options:trickle goog-sped-v1",
        "a=setup:active",
        "a=candidate:1 1 udp 2130706431 127.0.0.1 5000 typ host",
        "a=end-of-candidates",
        "a=extmap-allow-mixed",
        "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level vad=on",
        "a=extmap:3/sendonly http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
        "a=extmap:5 urn:ietf:params:rtp-hdrext:encrypt urn:ietf:params:rtp-hdrext:sdes:mid",
        "a=extmap:4097 urn:ietf:params:rtp-hdrext:toffset",
        "a=sendonly",
        "a=rtcp-mux",
        "a=rtpmap:111 opus/48000/2",
        "a=rtcp-fb:* transport-cc",
        "a=rtcp-fb:111 nack ",
        "a=fmtp:111 minptime=10;useinbandfec=1",
        "a=ssrc:235121537 cname:D96wXjvcclXsyGjq",
        "a=ssrc:235121537 msid:stream track",
        "a=ssrc:235121537 mslabel:stream",
        "m=video 9/2 UDP/TLS/RTP/SAVPF 96 97",
        "a=mid:1",
        "a=ice-ufrag:UaMM",
        "a=ice-pwd:mYfHbvdNDr7eWjJy41gq2SUF",
        "a=msid:PA_x|TR_y TR_y",
        "a=msid:other track",
        "a=sendrecv",
        "a=rtpmap:96 VP8/90000",
        "a=rtcp-fb:96 ccm fir",
        "a=rtpmap:97 rtx/90000",
        "a=fmtp:97 apt=96",
        "a=rid:q send pt=96;max-width=320",
        "a=rid:h send",
        "a=rid:f send max-br=1000",
        "a=simulcast:send q,1;~h;~f,2 recv z",
        "a=ssrc-group:FID 1232306045 4243338509",
        "a=ssrc:1232306045 cname:D96wXjvcclXsyGjq",
        "a=ssrc:4243338509",
        "m=video 0 UDP/TLS/RTP/SAVPF 120",
        "a=bundle-only",
        "a=mid:2",
        "a=simulcast: recv rid=a;b",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "a=mid:3",
        "a=ice-ufrag:UaMM",
        "a=ice-pwd:mYfHbvdNDr7eWjJy41gq2SUF",
        "a=setup:active",
        "a=sctp-port:5001",
        "a=max-message-size:262144",
        "m=video 0 UDP/TLS/RTP/SAVPF 0",
        "c=IN IP4 0.0.0.0",
        "a=inactive",
        "a=mid:4",
        "",
    ]
)


def minimal(*lines: str, head: str = "m=audio 9 UDP/TLS/RTP/SAVPF 111") -> str:
    return "\r\n".join(["v=0", "o=- 1 2 IN IP4 127.0.0.1", head, "a=ice-ufrag:u", "a=ice-pwd:p", *lines, ""])
