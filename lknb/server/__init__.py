"""The embedded LiveKit-compatible server: signalling, rooms, and an SFU that forwards and never decodes.

    cli.py            `lknb serve`: flags, ready line, signals, end with the parent
    config.py         what a server is started with
    app.py            the HTTP surface and the life of one server
    grant.py          tokens -> what a participant may do
    registry.py       all rooms, and their clock
    session.py        one websocket: from the request to a participant in a room
    signal.py         one participant's websocket: messages in, messages out, limits
    room.py           participants of one room, what they are told of each other
    participant.py    one participant: grants, tracks, subscriptions, requests
    announcement.py   what the others are told of it
    permission.py     who may subscribe to its tracks
    request.py        the table of signal requests
    peer.py           the peer connections of a participant: single.py (`/rtc/v1`), dual.py (`/rtc`)
    connection.py     one of them: transport, negotiation, media, data channels
    publishing.py     the sections a client sends in, matched with its tracks
    section.py        m-lines -> plans, for the descriptions the server writes
    uplink.py         packets from a publisher: binding, feedback, reports
    stream.py         one SSRC from a publisher (one simulcast layer)
    publication.py    one published track
    subscriber.py     what a participant is subscribed to, and why
    subscription.py   one track on its way to one subscriber: choice of layer, renumbering
    downlink.py       packets to a subscriber: retransmission, key frame requests, reports
    twirp.py          remote procedures over HTTP
    room_service.py   livekit.RoomService, the administration
    blank.py          the closing frames of a stream that stops
    data.py           data packets between participants
    speaker.py        who speaks
    quality.py        how well everybody is connected

May not: open a codec, see a pixel, import `core`, `codec`, `rtc` or `widgets`. The path of a packet, from the datagram to the
datagrams it becomes, is synchronous and holds no await.
"""
