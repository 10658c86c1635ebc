"""What one participant is subscribed to: wishes, permission, and the subscriptions that follow from both.

A wish is kept while it cannot be met (the track is not there yet, its publisher does not allow it) and met when it can
(LiveKit: pkg/rtc/subscriptionmanager.go).
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from livekit.protocol import rtc

from lknb.server.subscription import Subscription

if TYPE_CHECKING:
    from lknb.server.participant import Participant
    from lknb.server.publication import Publication

logger = logging.getLogger(__name__)

WISHES_MAX = 1000


class Subscriber:
    """The subscriptions of one participant, by track sid."""

    def __init__(self, participant: Participant) -> None:
        self.participant = participant
        self.subscriptions: dict[str, Subscription] = {}
        self._wishes: dict[str, bool] = {}
        self._settings: dict[str, rtc.UpdateTrackSettings] = {}
        self._told: dict[str, bool] = {}

    def wish(self, track_sids: list[str], subscribe: bool) -> None:
        """The client, or an admin for it, asks for tracks or gives them up."""
        for sid in track_sids:
            if sid not in self._wishes and len(self._wishes) >= WISHES_MAX:
                logger.info("%s wishes for too many tracks", self.participant.sid)
                return
            self._wishes[sid] = subscribe
            publication = self.participant.room.publication(sid)
            if publication is not None:
                self.reconcile(publication)

    def settings(self, update: rtc.UpdateTrackSettings) -> None:
        """How the client wants its tracks: paused, layer, size, frame rate. May come before the subscription."""
        now = time.monotonic()
        for sid in update.track_sids:
            if sid not in self._settings and len(self._settings) >= WISHES_MAX:
                return
            self._settings[sid] = update
            subscription = self.subscriptions.get(sid)
            if subscription is not None:
                subscription.set_settings(update, now)

    def reconcile_all(self) -> None:
        """Bring all subscriptions in line with wishes and permissions."""
        for publication in self.participant.room.publications():
            self.reconcile(publication)

    def reconcile(self, publication: Publication) -> None:
        """Subscribe, unsubscribe or leave as it is."""
        participant = self.participant
        if publication.publisher is participant or participant.gone or not publication.live:
            return
        wished = self._wishes.get(publication.sid, participant.join.auto_subscribe)
        allowed = participant.info.permission.can_subscribe and publication.publisher_allows(participant)
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

    def drop(self, publication: Publication) -> None:
        """End a subscription; the stream ends cleanly for the receiver."""
        subscription = self.subscriptions.pop(publication.sid, None)
        if subscription is None:
            return
        publication.subscriptions.pop(self.participant.sid, None)
        self._told.pop(publication.sid, None)
        subscription.close(time.monotonic())
        publication.layers_wanted_changed(time.monotonic())
        if not self.participant.gone:
            self.participant.peer.unsubscribe(subscription)

    def close(self) -> None:
        """The participant leaves."""
        for subscription in list(self.subscriptions.values()):
            self.drop(subscription.publication)

    def _add(self, publication: Publication) -> None:
        subscription = Subscription(publication, self)
        self.subscriptions[publication.sid] = subscription
        publication.subscriptions[self.participant.sid] = subscription
        settings = self._settings.get(publication.sid)
        if settings is not None:
            subscription.set_settings(settings, time.monotonic())
        self.participant.peer.subscribe(subscription)
