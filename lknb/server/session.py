"""One websocket: from the request to a participant in a room, and its messages until it closes.

Whatever refuses a join is said in the HTTP answer, before the upgrade: clients retry, or wait in vain, when they hear of it
inside the websocket.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from aiohttp import WSCloseCode, web
from livekit.protocol import models, rtc

from lknb import limits
from lknb.errors import WireError
from lknb.server.dual import DualPeer
from lknb.server.grant import Grant, TokenRefused
from lknb.server.participant import Participant
from lknb.server.request import check_metadata, handle
from lknb.server.room import CODECS, State
from lknb.server.signal import SignalLink
from lknb.server.single import SinglePeer
from lknb.wire.join import JoinParameters, parse_join

if TYPE_CHECKING:
    from lknb.server.registry import RoomRegistry
    from lknb.server.room import Room

logger = logging.getLogger(__name__)

PROTOCOL = 16
SERVER_VERSION = "1.11.0"  # what clients compare against: the LiveKit release whose behaviour this is
Action = rtc.LeaveRequest.Action
Reason = models.DisconnectReason
CORS = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*"}


def authorise(registry: RoomRegistry, request: web.Request) -> tuple[Grant, JoinParameters]:
    """Check a join before the upgrade. Raises the HTTP error the real server answers with."""
    token = request.query.get("access_token") or request.headers.get("Authorization", "").removeprefix("Bearer ")
    try:
        grant = registry.authority.verify(token)
    except TokenRefused:
        raise web.HTTPUnauthorized(text="invalid token", headers=CORS) from None
    if not grant.video.room_join:
        raise web.HTTPUnauthorized(text="invalid token", headers=CORS)
    if not grant.identity:
        raise web.HTTPBadRequest(text="identity cannot be empty", headers=CORS)
    if not grant.video.room:
        raise web.HTTPBadRequest(text="no room name", headers=CORS)
    if max(len(grant.identity.encode()), len(grant.video.room.encode())) > limits.IDENTITY_BYTES:
        raise web.HTTPBadRequest(text=f"identity or room name exceeds {limits.IDENTITY_BYTES} bytes", headers=CORS)
    try:
        join = _join_parameters(request)
    except WireError as error:
        raise web.HTTPBadRequest(text=str(error), headers=CORS) from None
    if (join.metadata or join.attributes) and not grant.video.can_update_own_metadata:
        raise web.HTTPUnauthorized(text="invalid token", headers=CORS)
    attributes = {**grant.attributes, **join.attributes}
    problem = check_metadata(grant.name, join.metadata or grant.metadata, attributes)
    if problem:
        raise web.HTTPBadRequest(text=problem, headers=CORS)
    full = registry.refusal(grant)
    if full:
        raise web.HTTPServiceUnavailable(text=full, headers=CORS)
    grant.attributes = attributes
    grant.metadata = join.metadata or grant.metadata
    return grant, join


def _join_parameters(request: web.Request) -> JoinParameters:
    if request.path.rstrip("/").removesuffix("/validate").endswith("/v1") and "join_request" not in request.query:
        raise WireError("join_request is missing")
    return parse_join(request.query)


async def serve_session(registry: RoomRegistry, request: web.Request) -> web.StreamResponse:
    """The `/rtc` and `/rtc/v1` websockets."""
    grant, join = authorise(registry, request)
    if request.headers.get("Upgrade", "").lower() != "websocket":
        raise web.HTTPNotFound(headers=CORS)
    room = registry.create(grant.video.room)
    socket = web.WebSocketResponse(heartbeat=10.0, max_msg_size=limits.SIGNAL_MESSAGE_BYTES, compress=False)
    try:
        await socket.prepare(request)
    except ConnectionError:
        # whoever asked has hung up meanwhile, which is no fault
        return web.Response()
    signal = SignalLink(socket)
    registry.signals.add(signal)
    try:
        participant = await (_resume if join.reconnect else _join)(registry, room, grant, join, signal)
        if participant is not None:
            await _listen(participant, signal)
    finally:
        registry.signals.discard(signal)
        await signal.close()
    return socket


async def _join(
    registry: RoomRegistry, room: Room, grant: Grant, join: JoinParameters, signal: SignalLink
) -> Participant:
    now = time.monotonic()
    # the room may have gone while the websocket was made
    room = registry.create(room.name)
    while (before := room.find(grant.identity)) is not None:
        before.depart(Reason.DUPLICATE_IDENTITY, tell=True)
    participant = Participant(room, grant, join, registry.authority)
    participant.peer = (SinglePeer if join.single_peer_connection else DualPeer)(participant, registry.mux)
    participant.attach_signal(signal, now)
    participant.info.state = State.JOINED
    others = room.others(participant)
    room.add(participant, now)
    subscriber_primary = isinstance(participant.peer, DualPeer) and participant.peer.subscriber_primary
    config = room.config
    response = rtc.JoinResponse(
        room=room.info(),
        participant=participant.info,
        other_participants=others,
        server_version=SERVER_VERSION,
        server_info=models.ServerInfo(
            edition=models.ServerInfo.Edition.Standard,
            version=SERVER_VERSION,
            protocol=PROTOCOL,
            node_id=registry.node_id,
        ),
        subscriber_primary=subscriber_primary,
        ping_timeout=config.ping_timeout_s,
        ping_interval=config.ping_interval_s,
        enabled_publish_codecs=[models.Codec(mime=mime) for mime in CODECS],
        fast_publish=participant.info.permission.can_publish,
    )
    participant.send(rtc.SignalResponse(join=response))
    # what is there already goes into the very first description
    participant.subscriber.reconcile_all()
    participant.send_token(now)
    try:
        for add_track in join.add_track_requests:
            participant.add_track(add_track)
        await participant.peer.open()
        if join.publisher_offer is not None:
            await participant.peer.handle_offer(join.publisher_offer)
    except WireError as error:
        logger.info("%s: %s", participant.sid, error)
        participant.depart(Reason.JOIN_FAILURE, tell=True)
    except BaseException:
        participant.depart(Reason.JOIN_FAILURE, tell=True)
        raise
    return participant


async def _resume(
    registry: RoomRegistry, room: Room, grant: Grant, join: JoinParameters, signal: SignalLink
) -> Participant | None:
    participant = room.participants.get(join.participant_sid) if join.participant_sid else room.find(grant.identity)
    if participant is None or participant.gone or participant.identity != grant.identity:
        leave = rtc.LeaveRequest(can_reconnect=True, reason=Reason.STATE_MISMATCH, action=Action.RECONNECT)
        signal.send(rtc.SignalResponse(leave=leave))
        return None
    server_info = models.ServerInfo(version=SERVER_VERSION, protocol=PROTOCOL, node_id=registry.node_id)
    response = rtc.ReconnectResponse(server_info=server_info)
    before = participant.resume_signal(signal, response, time.monotonic())
    participant.peer.restart()
    if before is not None:
        await before.close(WSCloseCode.GOING_AWAY)
    return participant


async def _listen(participant: Participant, signal: SignalLink) -> None:
    try:
        async for request in signal.messages():
            if participant.gone or participant.signal is not signal:
                break
            try:
                await handle(participant, request)
            except WireError as error:
                # a bad description is refused and the old session kept
                logger.info("%s: refused: %s", participant.sid, error)
            except asyncio.CancelledError:
                raise
            except Exception:
                # one client's message never ends the room's other sessions, or its own
                logger.exception("%s: request failed", participant.sid)
    finally:
        participant.signal_lost(signal, time.monotonic())
