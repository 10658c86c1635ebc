"""The room core: one child process per kernel that holds the calls, so that a busy cell does not hurt them.

In the kernel (neither aiortc nor PyAV is imported there by these):

    client.py             CoreClient: requests, events, the shared process
    channel.py            its end of the link: a socket and a thread
    child.py              how the process is started, and made to go
    message.py            one message: JSON header and binary buffers; also on the lanes to pages

In the core process:

    __main__.py           `python -m lknb.core --fd N`
    process.py            from its socket to its end, soon after its kernel's
    link.py               its end of the link
    dispatch.py           messages -> functions, replies, cancellation
    operation.py          the table of operations; all rooms; sourcing.py: all sources
    session.py            one room, from connect to disconnect
    join.py               `/rtc/v1` or `/rtc`; options.py, address.py; refusal.py says why not
    signal.py             one signalling websocket
    connection.py         the peer connections of a session, one or two
    peer_connection.py    one peer connection: transport, media, data channels
    offerer.py            negotiation where we offer; answerer.py where the server does; section.py: our m-lines
    media_session.py      RTP and RTCP of one peer connection
    publishing.py         tracks we send; publication.py one of them
    rtp_sender.py         frames -> packets of a track; stream_sender.py of one SSRC
    outbox.py             packets leave: paced, numbered, estimated; bandwidth.py shares the estimate among tracks
    subscribing.py        tracks we receive
    rtp_receiver.py       packets -> frames of one track
    clock.py              capture times across a call
    data.py               data packets
    track_wishes.py       what we ask to be sent of them: the user's wishes and adaptive stream
    track.py              what views and readers see of a track; reader.py: frames to the kernel
    feed.py               a source and everybody who takes its frames; source/ the sources
    lane.py               the ways to pages; lane_*.py its parts, lane_audio*.py those of a room's sound
    capture.py            pages that capture, capture_page.py one of them; lane_capture.py one lane, capture_message.py its words

May not: decode what it receives (only its own sources use `codec`, and `lane_still` for pages that cannot), import `rtc`,
`widgets` or `server`. Everything runs on one event loop; only sources and stills have threads.
"""
