"""Session descriptions (RFC 8866) as WebRTC writes them (RFC 8829), as values.

    model.py      SessionDescription > MediaSection > Codec, TransportParameters
    parse.py      text -> model
    build.py      model -> text

Only what a bundled WebRTC session needs is kept; lines nobody here acts on are dropped. Which codec, direction or
extension to answer with is negotiation, and lives in `lknb.logic.negotiation`.
"""

from lknb.wire.sdp.build import build_sdp
from lknb.wire.sdp.model import Codec, MediaSection, SessionDescription, TransportParameters
from lknb.wire.sdp.parse import parse_sdp

__all__ = ["Codec", "MediaSection", "SessionDescription", "TransportParameters", "build_sdp", "parse_sdp"]
