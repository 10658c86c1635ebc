"""The logic floor: state machines without I/O. No socket, clock, thread or randomness; `now` is an argument.

    sequence.py       numbers that wrap, and sources that begin a new numbering
    history.py        sent packets, to answer NACKs
    nack.py           missing packets: ask, ask again, give up
    twcc.py           arrival times -> transport-wide feedback
    report.py         reception statistics, and the clock of sender reports
    intake.py         numbers of arriving packets; jitter_video.py and reorder.py begin with it
    jitter_video.py   packets -> encoded pictures in decode order
    picture.py        packets in order -> pictures
    reorder.py        packets -> Opus packets in order at once, losses marked
    audio_packet.py   the duration of an Opus packet, and the mark of a lost one
    speaker.py        audio levels -> who speaks
    bandwidth.py      what the path to a receiver takes; bandwidth_*.py its parts, bandwidth_share.py who gets it
    pacer.py          packets leave evenly
    rate_meter.py     bit/s of the last second
    throttle.py       not more often than once in a while
    budget.py         so much per second, with a burst
    negotiation.py    offers and answers of one bundled peer connection; offer_turn.py: one at a time
    munger.py         renumbering of forwarded packets
    layer.py          which simulcast layers are alive, and which one somebody gets
    temporal.py       temporal layers of a VP8 stream, and where one may change
    quality.py        connection quality of one track
    roster.py         participants and tracks of a room, as told by the server; member.py, roster_event.py
    room_state.py     the life of a connection to a room
    track_setting.py  what a subscriber wants of a track
    timeline.py       where frames lie in a recording
    frame_rate.py     frames within the last second
    audience.py       who looks at a track, and how large
    label.py          names that participants chose, fit to be shown
    allowance.py      so many at once, and so many a second

A machine is fed with `add`, `handle` or `observe`, asked with `poll`, and says with `deadline` when it wants to be
asked next. What a peer sends never makes it raise or grow without bound: packets and messages were parsed by `wire`,
and every collection has a limit. Imports `wire`, `errors` and `limits`, nothing above.
"""
