"""Every bound on what a peer may send, in one place. Each is the largest value that is accepted.

Where LiveKit has a limit it is LiveKit's, named in the comment; the others keep one peer from costing more than its
share.
"""

from __future__ import annotations

# Signalling (livekit: pkg/service/wsprotocol.go, pkg/service/rtcservice.go).
SIGNAL_MESSAGE_BYTES = 2 * 1024 * 1024
SIGNAL_COST_PER_S = 1_000
"""A message costs 1, and 1 more for each KiB; whoever sends more is read more slowly."""
ANNOUNCED_BYTES_PER_S = 1024 * 1024
"""What the others are told of one participant, before its changes are put together."""
UNKNOWN_TRACKS = 1_000
"""Wishes and settings of one participant for tracks that are not there (yet)."""
JOIN_REQUEST_BYTES = 1024 * 1024
"""A `join_request` of /rtc/v1, before and after decompression."""
HTTP_BODY_BYTES = 1024 * 1024
TOKEN_BYTES = 8 * 1024

# Text that participants choose (livekit: pkg/config/config.go LimitConfig, in UTF-8 bytes).
METADATA_BYTES = 512 * 1024
ATTRIBUTES_BYTES = 64 * 1024
"""Keys and values of all attributes of one participant together."""
NAME_BYTES = 256
IDENTITY_BYTES = 256
ROOM_NAME_BYTES = 256

# Data packets (the clients clamp to 64,000; streams and RPC: client-sdk-js src/room).
DATA_PACKET_BYTES = 64_000
STREAM_CHUNK_BYTES = 15_000
RPC_PAYLOAD_BYTES = 15 * 1024
RPC_ERROR_MESSAGE_BYTES = 256
RPC_ERROR_DATA_BYTES = 15 * 1024
OPEN_STREAMS = 1_000

# What one process carries.
ROOMS = 20
PARTICIPANTS = 200
TRACKS_PER_PARTICIPANT = 50
PENDING_TRACKS = 20
"""Tracks announced by one participant that have no media section yet (livekit: participant.go AddTrack)."""
PENDING_TRACKS_PER_CID = 3

# SDP.
SDP_BYTES = 1_000_000
"""Of one description, in characters."""
SDP_LINES = 30_000
SDP_LINE_BYTES = 32_768
SDP_MEDIA_SECTIONS = 256
SDP_EXTENSIONS = 64
SDP_FEEDBACK = 32
"""`a=rtcp-fb` lines of one payload type."""
SDP_SSRCS = 128
SDP_SSRC_GROUPS = 64
SDP_FINGERPRINTS = 16
SDP_TOKEN_BYTES = 256
"""A mid, rid, msid, cname, ICE user fragment or password."""
RIDS = 16

# ICE.
CANDIDATES = 50
"""Kept for one transport; more are ignored."""
CANDIDATES_PER_PARTICIPANT = 1_000
CANDIDATE_BYTES = 1_024

# Packets.
DATAGRAM_BYTES = 65_507
RTP_PAYLOAD_BYTES = 1_200
"""What our own packetisers put into one RTP packet, so that it fits every path with SRTP, UDP and IPv6 around it."""
RTCP_BYTES = 4_096
"""A compound RTCP packet; those of clients stay below 1,500."""
RTCP_PACKETS = 32
"""Packets within one compound."""
NACK_SEQUENCE_NUMBERS = 1_024
"""Named by one NACK when parsed."""
TRANSPORT_FEEDBACK_PACKETS = 8_192
"""Covered by one transport-wide feedback when parsed or built."""

# Pictures and sound.
FRAME_BYTES = 8 * 1024 * 1024
"""One encoded frame."""
FRAME_SIDE_PIXELS = 4_096
OPUS_PACKET_BYTES = 1_275 * 6
"""RFC 6716 section 3.2: at most 120 ms in frames of at most 1,275 bytes."""
