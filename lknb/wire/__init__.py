"""The wire floor: bytes and text of peers <-> values.

    frame.py       EncodedFrame, what crosses process borders
    rtp.py         RTP packets and header extension blocks
    extension.py   URIs and values of header extensions
    rtcp/          reports, feedback, transport-wide congestion control
    sdp/           session descriptions
    candidate.py   ICE candidates
    vp8.py         VP8 payload descriptors, packets, key frame headers
    h264.py        H264 packets, key frames
    h264_sps.py    picture size from an H264 sequence parameter set
    join.py        what a client asks for when it opens the signal connection

Everything here is pure and total: no clock, socket, randomness or state, and any input from a peer gives a value or
`WireError`, nothing else; sizes and counts are bounded by `lknb.limits`. It imports nothing of lknb but `errors` and
`limits`.
"""
