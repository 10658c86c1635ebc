"""The only floor that knows asyncio transports, aiortc and aioice: ICE, DTLS, SRTP and SCTP of one bundle.

What lives here:

    peer.py           PeerTransport: all of it together; what the floors above use
    dtls.py           DTLS-SRTP with raw packets in and out
    srtp.py           one packet through libsrtp, in place
    data_channel.py   DataChannel over SCTP, bytes only
    ice.py            what both kinds of ICE share: demultiplexing, liveness
    ice_lite.py       UdpMux and IceLiteTransport: the server, one UDP port for all peers
    ice_full.py       FullIceTransport: the client, with ICE restart
    ice_agent.py      one ICE generation of the client, on aioice
    ice_server.py     STUN and TURN servers as the JoinResponse names them
    udp.py            one UDP socket drained by the loop, with kernel arrival times
    contract.py       checks that the private names of aiortc, aioice and pylibsrtp we lean on exist
    error.py          TransportError

What may not: SDP text (the caller's business, `wire.sdp`), RTP headers, codecs, rooms. WebRTC's camelCase never leaves
this package. Imports point down only: `wire`, `errors`, `limits`.
"""

from lknb.transport import contract as _contract  # first: refuses an aiortc or aioice we do not know

__all__: list[str] = []
del _contract
