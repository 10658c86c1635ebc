"""The tracks a session receives: from the server's descriptions to receivers, and to the events about them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from livekit.protocol import models

from lknb.core.clock import ParticipantClock
from lknb.core.media_session import MediaSession
from lknb.core.rtp_receiver import RtpReceiver
from lknb.core.section import SUPPORTED, SentTrack, payload_types, sent_tracks
from lknb.core.track import RemoteTrack
from lknb.wire.sdp import MediaSection, SessionDescription

logger = logging.getLogger(__name__)

Emit = Callable[[Mapping[str, Any]], None]


@dataclass(slots=True)
class _Subscription:
    """One track on one m-line."""

    track: RemoteTrack
    receiver: RtpReceiver
    media: MediaSession
    mid: str


class Subscribing:
    """Remote tracks of one room, by sid.

    `emit(header)` sends an event; `on_track(sid, track)` hears of each track that is received, and with None that it is so
    no longer; `rtt_s()` is the round trip to the server as far as it is known.
    """

    def __init__(
        self,
        room: int,
        emit: Emit,
        rtt_s: Callable[[], float],
        on_track: Callable[[str, RemoteTrack | None], None],
    ) -> None:
        self._room = room
        self._emit = emit
        self._on_track = on_track
        self._rtt_s = rtt_s
        self._subscriptions: dict[str, _Subscription] = {}
        self._infos: dict[str, tuple[str, models.TrackInfo]] = {}
        self._clocks: dict[str, ParticipantClock] = {}

    def track(self, sid: str) -> RemoteTrack | None:
        """A track that is received."""
        subscription = self._subscriptions.get(sid)
        return subscription.track if subscription is not None else None

    def published(self, sid: str) -> tuple[str, models.TrackInfo] | None:
        """Participant sid and info of a track that somebody else publishes, received or not."""
        return self._infos.get(sid)

    def audio_tracks(self) -> list[RemoteTrack]:
        """The audio tracks that are received."""
        return [it.track for it in self._subscriptions.values() if it.track.kind == "audio"]

    def stats(self) -> dict[str, dict[str, Any]]:
        """Figures by track sid."""
        now = time.monotonic()
        return {
            sid: {"mid": it.mid, "kind": it.track.kind, **it.receiver.stats(now)}
            for sid, it in self._subscriptions.items()
        }

    def note_participants(self, participants: Iterable[models.ParticipantInfo]) -> None:
        """What the server says of participants: who publishes what, and what is muted."""
        for participant in participants:
            if participant.state == models.ParticipantInfo.State.DISCONNECTED:
                self._clocks.pop(participant.sid, None)
                self._infos = {sid: known for sid, known in self._infos.items() if known[0] != participant.sid}
                continue
            listed = {info.sid for info in participant.tracks}
            self._infos = {
                sid: known for sid, known in self._infos.items() if known[0] != participant.sid or sid in listed
            }
            for info in participant.tracks:
                self._infos[info.sid] = (participant.sid, info)
                subscription = self._subscriptions.get(info.sid)
                if subscription is not None:
                    subscription.track.muted = info.muted

    def update(self, media: MediaSession, description: SessionDescription, mid_to_track_sid: Mapping[str, str]) -> None:
        """A description of the server: end what it sends no more, begin what is new."""
        sent = sent_tracks(description, mid_to_track_sid)
        for sid, subscription in list(self._subscriptions.items()):
            wanted = sent.get(subscription.mid)
            if subscription.media is media and (wanted is None or wanted.track_sid != sid):
                self._end(sid)
        for track in sent.values():
            codecs = payload_types(track.section)
            if not codecs:
                logger.warning("track %s is sent in a codec that was not offered", track.track_sid)
                continue
            self._receive(media, track, codecs)

    def close(self) -> None:
        """The session is over: no more frames. Nothing is announced, the room is gone as a whole."""
        for subscription in self._subscriptions.values():
            subscription.media.release(subscription.mid)
        self._subscriptions.clear()

    def _receive(self, media: MediaSession, sent: SentTrack, codecs: dict[int, str]) -> None:
        subscription = self._subscriptions.get(sent.track_sid)
        if subscription is None:
            subscription = self._begin(media, sent, codecs)
        subscription.receiver.codecs = codecs
        media.bind(sent.mid, _media_ssrcs(sent.section), subscription.receiver, time.monotonic())

    def _begin(self, media: MediaSession, sent: SentTrack, codecs: dict[int, str]) -> _Subscription:
        sid = sent.track_sid
        known_sid, info = self._infos.get(sid, (sent.participant_sid, models.TrackInfo()))
        participant_sid = sent.participant_sid or known_sid
        track = RemoteTrack(self._room, participant_sid, sid, sent.section.kind, _codec_of(info, codecs))
        track.muted = info.muted
        receiver = RtpReceiver(
            codecs,
            sent.section.extensions,
            self._clocks.setdefault(participant_sid, ParticipantClock()),
            local_ssrc=media.local_ssrc,
            deliver=track.deliver,
            send=media.send_feedback,
            wanted=lambda: track.watched,
            rtt_s=self._rtt_s,
        )
        track.ask_keyframe = lambda: receiver.request_keyframe(time.monotonic())
        subscription = self._subscriptions[sid] = _Subscription(track, receiver, media, sent.mid)
        self._emit(
            {
                "event": "track_subscribed",
                "room": self._room,
                "track_sid": sid,
                "participant_sid": participant_sid,
                "mid": sent.mid,
                "codec": track.codec,
                "kind": track.kind,
            }
        )
        self._on_track(sid, track)
        return subscription

    def _end(self, sid: str) -> None:
        subscription = self._subscriptions.pop(sid)
        subscription.media.release(subscription.mid)
        self._emit({"event": "track_unsubscribed", "room": self._room, "track_sid": sid})
        self._on_track(sid, None)


def _media_ssrcs(section: MediaSection) -> list[int]:
    repairs = {ssrc for name, group in section.ssrc_groups if name.upper() == "FID" for ssrc in group[1:]}
    return [ssrc for ssrc in section.ssrcs if ssrc not in repairs]


def _codec_of(info: models.TrackInfo, codecs: Mapping[int, str]) -> str:
    """What the publisher sends, if it is negotiated, else the codec the server prefers."""
    published = info.mime_type.rpartition("/")[2].lower()
    supported = [codec for codec in codecs.values() if any(codec in names for names in SUPPORTED.values())]
    return published if published in supported else supported[0]
