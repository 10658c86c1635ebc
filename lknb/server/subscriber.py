"""What one participant is subscribed to: wishes, permission, and the subscriptions that follow from both.

A wish is kept while it cannot be met (the track is not there yet, its publisher does not allow it) and met when it can
(LiveKit: pkg/rtc/subscriptionmanager.go). What is said of a track is forgotten with the track, or a minute later when there
never was one.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from livekit.protocol import models, rtc

from lknb import limits
from lknb.server.subscription import Subscription

if TYPE_CHECKING:
    from lknb.server.participant import Participant
    from lknb.server.publication import Publication

UNKNOWN_S = 60.0


class Subscriber:
    """The subscriptions of one participant, by track sid."""

    def __init__(self, participant: Participant) -> None:
        self.participant = participant
        self.subscriptions: dict[str, Subscription] = {}
        self._wishes: dict[str, bool] = {}
        self._settings: dict[str, rtc.UpdateTrackSettings] = {}
        self._told: dict[str, bool] = {}
        # tracks that were named and are not there: until when to wait for them; the oldest first
        self._unknown: dict[str, float] = {}

    def wish(self, track_sids: list[str], subscribe: bool) -> None:
        """The client, or an admin for it, asks for tracks or gives them up."""
        for sid in dict.fromkeys(track_sids):
            if not self._may_name(sid):
                continue
            self._wishes[sid] = subscribe
            publication = self.participant.room.tracks.get(sid)
            if publication is not None:
                self.reconcile(publication)

    def settings(self, update: rtc.UpdateTrackSettings) -> None:
        """How the client wants its tracks: paused, layer, size, frame rate. May come before the subscription."""
        now = time.monotonic()
        kept = rtc.UpdateTrackSettings()
        kept.CopyFrom(update)
        del kept.track_sids[:]
        for sid in dict.fromkeys(update.track_sids):
            if not self._may_name(sid):
                continue
            self._settings[sid] = kept
            subscription = self.subscriptions.get(sid)
            if subscription is not None:
                subscription.set_settings(kept, now)

    def _may_name(self, sid: str) -> bool:
        """Whether to remember what is said of this track; of those that are not there, only so many."""
        if sid in self.participant.room.tracks or sid in self._unknown:
            return True
        if len(self._unknown) >= limits.UNKNOWN_TRACKS or len(sid) > limits.IDENTITY_BYTES:
            return False
        self._unknown[sid] = time.monotonic() + UNKNOWN_S
        return True

    def tick(self, now: float) -> None:
        """Give up waiting for tracks that do not come."""
        while self._unknown:
            sid, until = next(iter(self._unknown.items()))
            if now < until:
                break
            del self._unknown[sid]
            self._settings.pop(sid, None)
            if self._wishes.pop(sid, False):
                error = models.SubscriptionError.SE_TRACK_NOTFOUND
                response = rtc.SubscriptionResponse(track_sid=sid, err=error)
                self.participant.send(rtc.SignalResponse(subscription_response=response))

    def reconcile_all(self) -> None:
        """Bring all subscriptions in line with wishes and permissions."""
        for publication in list(self.participant.room.tracks.values()):
            self.reconcile(publication)

    def reconcile(self, publication: Publication) -> None:
        """Subscribe, unsubscribe or leave as it is."""
        participant = self.participant
        if publication.publisher is participant or participant.gone or not publication.live:
            return
        self._unknown.pop(publication.sid, None)
        wished = self._wishes.get(publication.sid, participant.join.auto_subscribe)
        rules = publication.publisher.subscription_rules
        allowed = participant.info.permission.can_subscribe and rules.allows(participant.identity, publication.sid)
        subscribed = publication.sid in self.subscriptions
        if wished and self._told.get(publication.sid) is not allowed:
            self._told[publication.sid] = allowed
            update = rtc.SubscriptionPermissionUpdate(
                participant_sid=publication.publisher.sid, track_sid=publication.sid, allowed=allowed
            )
            participant.send(rtc.SignalResponse(subscription_permission_update=update))
        if wished and allowed and not subscribed:
            self._add(publication)
        elif subscribed and not (wished and allowed):
            self.drop(publication)
        if not wished:
            self._told.pop(publication.sid, None)

    def drop(self, publication: Publication) -> None:
        """End a subscription; the stream ends cleanly for the receiver."""
        subscription = self.subscriptions.pop(publication.sid, None)
        if subscription is None:
            return
        publication.subscriptions.pop(self.participant.sid, None)
        subscription.close(time.monotonic())
        publication.layers_wanted_changed(time.monotonic())
        if self.participant.gone:
            return
        self.participant.peer.unsubscribe(subscription)
        publisher = publication.publisher
        if not publisher.gone and not self.hears(publisher.sid):
            publisher.room.speakers.end_hearing(self.participant, publisher.sid)

    def refuse(self, publication: Publication, error: models.SubscriptionError) -> None:
        """It cannot be sent to this client, and is not tried again until it is asked for again."""
        self._wishes[publication.sid] = False
        self.drop(publication)
        response = rtc.SubscriptionResponse(track_sid=publication.sid, err=error)
        self.participant.send(rtc.SignalResponse(subscription_response=response))

    def forget(self, publication: Publication) -> None:
        """The track is gone, and with it all that was said of it."""
        self.drop(publication)
        self._wishes.pop(publication.sid, None)
        self._settings.pop(publication.sid, None)
        self._told.pop(publication.sid, None)
        self._unknown.pop(publication.sid, None)

    def close(self) -> None:
        """The participant leaves."""
        for subscription in list(self.subscriptions.values()):
            self.drop(subscription.publication)

    def hears(self, publisher_sid: str) -> bool:
        """Whether it is subscribed to anything of a publisher."""
        return any(s.publication.publisher.sid == publisher_sid for s in self.subscriptions.values())

    def _add(self, publication: Publication) -> None:
        publisher = publication.publisher
        if not self.hears(publisher.sid):
            publisher.room.speakers.begin_hearing(self.participant, publisher.sid)
        subscription = Subscription(publication, self)
        self.subscriptions[publication.sid] = subscription
        publication.subscriptions[self.participant.sid] = subscription
        settings = self._settings.get(publication.sid)
        if settings is not None:
            subscription.set_settings(settings, time.monotonic())
        self.participant.peer.subscribe(subscription)
