"""The signal requests a participant makes, one handler each (LiveKit: pkg/rtc/signalhandler)."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from livekit.protocol import models, rtc

from lknb import limits

if TYPE_CHECKING:
    from lknb.server.participant import Participant

RequestReason = rtc.RequestResponse.Reason
Handler = Callable[["Participant", rtc.SignalRequest], Awaitable[None] | None]


async def handle(participant: Participant, request: rtc.SignalRequest) -> None:
    """Do what a request asks. Unknown ones are ignored. Raises WireError for descriptions that cannot be read."""
    handler = HANDLERS.get(request.WhichOneof("message") or "")
    if handler is None:
        return
    pending = handler(participant, request)
    if pending is not None:
        await pending


def _ping(participant: Participant, request: rtc.SignalRequest) -> None:
    participant.send(rtc.SignalResponse(pong=int(time.time() * 1000)))


def _ping_req(participant: Participant, request: rtc.SignalRequest) -> None:
    pong = rtc.Pong(last_ping_timestamp=request.ping_req.timestamp, timestamp=int(time.time() * 1000))
    participant.send(rtc.SignalResponse(pong_resp=pong))


async def _offer(participant: Participant, request: rtc.SignalRequest) -> None:
    await participant.peer.handle_offer(request.offer)


async def _answer(participant: Participant, request: rtc.SignalRequest) -> None:
    await participant.peer.handle_answer(request.answer)


async def _trickle(participant: Participant, request: rtc.SignalRequest) -> None:
    try:
        init = json.loads(request.trickle.candidateInit)
    except ValueError:
        return
    candidate = init.get("candidate") if isinstance(init, dict) else None
    if isinstance(candidate, str) and candidate:
        await participant.peer.add_candidate(request.trickle.target, candidate)


def _add_track(participant: Participant, request: rtc.SignalRequest) -> None:
    participant.add_track(request.add_track)


def _mute(participant: Participant, request: rtc.SignalRequest) -> None:
    if not participant.mute(request.mute.sid, request.mute.muted):
        participant.refuse(RequestReason.NOT_FOUND, "track is not published", request)


def _subscription(participant: Participant, request: rtc.SignalRequest) -> None:
    _wish(participant, request.subscription)


def _wish(participant: Participant, update: rtc.UpdateSubscription) -> None:
    sids = dict.fromkeys(update.track_sids)
    for tracks in update.participant_tracks:
        sids.update(dict.fromkeys(tracks.track_sids))
    participant.subscriber.wish(list(sids), update.subscribe)


def _sync_state(participant: Participant, request: rtc.SignalRequest) -> None:
    """What a client that was cut off has, and wants by now (LiveKit: room.go onSyncState): the tracks that it wants against
    `auto_subscribe`, and those that are paused. What it asked for while nobody heard it is lost but for this."""
    state = request.sync_state
    if state.track_sids_disabled:
        participant.subscriber.settings(rtc.UpdateTrackSettings(track_sids=state.track_sids_disabled, disabled=True))
    _wish(participant, state.subscription)


def _track_setting(participant: Participant, request: rtc.SignalRequest) -> None:
    participant.subscriber.settings(request.track_setting)


def _subscription_permission(participant: Participant, request: rtc.SignalRequest) -> None:
    if not participant.subscription_rules.replace(request.subscription_permission, participant.room):
        return
    for publication in list(participant.publications.values()):
        for other in list(participant.room.participants.values()):
            other.subscriber.reconcile(publication)


async def _leave(participant: Participant, request: rtc.SignalRequest) -> None:
    kept = (
        models.DisconnectReason.CLIENT_INITIATED,
        models.DisconnectReason.USER_UNAVAILABLE,
        models.DisconnectReason.USER_REJECTED,
        models.DisconnectReason.AGENT_ERROR,
    )
    reason = request.leave.reason
    await participant.leave(reason if reason in kept else models.DisconnectReason.CLIENT_INITIATED, tell=False)


def _update_metadata(participant: Participant, request: rtc.SignalRequest) -> None:
    update = request.update_metadata
    if not participant.info.permission.can_update_metadata:
        participant.refuse(RequestReason.NOT_ALLOWED, "does not have permission to update own metadata", request)
        return
    attributes = dict(participant.info.attributes)
    attributes.update(update.attributes)
    problem = check_metadata(update.name, update.metadata, attributes)
    if problem:
        participant.refuse(RequestReason.LIMIT_EXCEEDED, problem, request)
        return
    participant.update_metadata(update.name, update.metadata, dict(update.attributes))
    response = rtc.RequestResponse(request_id=update.request_id, reason=RequestReason.OK)
    participant.send(rtc.SignalResponse(request_response=response))


def check_metadata(name: str, metadata: str, attributes: dict[str, str]) -> str | None:
    """What is too large about a participant's texts, or None (LiveKit: config.go LimitConfig)."""
    if len(name.encode()) > limits.NAME_BYTES:
        return f"name exceeds {limits.NAME_BYTES} bytes"
    if len(metadata.encode()) > limits.METADATA_BYTES:
        return f"metadata exceeds {limits.METADATA_BYTES} bytes"
    if sum(len(key.encode()) + len(value.encode()) for key, value in attributes.items()) > limits.ATTRIBUTES_BYTES:
        return f"attributes exceed {limits.ATTRIBUTES_BYTES} bytes"
    return None


def _update_audio_track(participant: Participant, request: rtc.SignalRequest) -> None:
    publication = participant.publications.get(request.update_audio_track.track_sid)
    if publication is None:
        participant.refuse(RequestReason.NOT_FOUND, "track is not published", request)
        return
    del publication.info.audio_features[:]
    publication.info.audio_features.extend(request.update_audio_track.features)
    participant.announcement.changed()


def _update_video_track(participant: Participant, request: rtc.SignalRequest) -> None:
    publication = participant.publications.get(request.update_video_track.track_sid)
    if publication is None:
        participant.refuse(RequestReason.NOT_FOUND, "track is not published", request)
        return
    publication.info.width = request.update_video_track.width
    publication.info.height = request.update_video_track.height
    participant.announcement.changed()


def _simulate(participant: Participant, request: rtc.SignalRequest) -> None:
    participant.simulate(request.simulate)


HANDLERS: dict[str, Handler] = {
    "ping": _ping,
    "ping_req": _ping_req,
    "offer": _offer,
    "answer": _answer,
    "trickle": _trickle,
    "add_track": _add_track,
    "mute": _mute,
    "subscription": _subscription,
    "sync_state": _sync_state,
    "track_setting": _track_setting,
    "subscription_permission": _subscription_permission,
    "leave": _leave,
    "update_metadata": _update_metadata,
    "update_audio_track": _update_audio_track,
    "update_video_track": _update_video_track,
    "simulate": _simulate,
}
