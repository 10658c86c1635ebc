"""`livekit.RoomService`, the administration of rooms and participants (LiveKit: pkg/service/roomservice.go)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from google.protobuf.message import Message
from livekit.protocol import models
from livekit.protocol import room as proto

from lknb import limits
from lknb.server.data import LOSSY, RELIABLE
from lknb.server.grant import Grant, TokenRefused
from lknb.server.request import check_metadata
from lknb.server.twirp import Method, TwirpError

if TYPE_CHECKING:
    from lknb.server.participant import Participant
    from lknb.server.registry import RoomRegistry
    from lknb.server.room import Room

Reason = models.DisconnectReason


class RoomService:
    """The methods by name, for `twirp.serve`."""

    def __init__(self, registry: RoomRegistry) -> None:
        self._registry = registry
        self.methods: dict[str, Method] = {
            "CreateRoom": self._method(proto.CreateRoomRequest, "room_create", self._create_room),
            "ListRooms": self._method(proto.ListRoomsRequest, "room_list", self._list_rooms),
            "DeleteRoom": self._method(proto.DeleteRoomRequest, "room_create", self._delete_room),
            "ListParticipants": self._admin(proto.ListParticipantsRequest, self._list_participants),
            "GetParticipant": self._admin(proto.RoomParticipantIdentity, self._get_participant),
            "RemoveParticipant": self._admin(proto.RoomParticipantIdentity, self._remove_participant),
            "MutePublishedTrack": self._admin(proto.MuteRoomTrackRequest, self._mute_published_track),
            "UpdateParticipant": self._admin(proto.UpdateParticipantRequest, self._update_participant),
            "UpdateSubscriptions": self._admin(proto.UpdateSubscriptionsRequest, self._update_subscriptions),
            "SendData": self._admin(proto.SendDataRequest, self._send_data),
            "UpdateRoomMetadata": self._admin(proto.UpdateRoomMetadataRequest, self._update_room_metadata),
            "ForwardParticipant": self._admin(proto.ForwardParticipantRequest, self._unimplemented),
            "MoveParticipant": self._admin(proto.MoveParticipantRequest, self._unimplemented),
        }

    def authorise(self, authorisation: str) -> Grant:
        """The grant of an Authorization header. Raises TwirpError."""
        try:
            return self._registry.authority.verify(authorisation.removeprefix("Bearer "))
        except TokenRefused:
            raise TwirpError("unauthenticated", "invalid token") from None

    def _method(self, request: type[Message], permission: str, act: Callable[[Any], Awaitable[Message]]) -> Method:
        async def call(authorisation: str, message: Message) -> Message:
            if not getattr(self.authorise(authorisation).video, permission):
                raise TwirpError("unauthenticated", "permissions denied")
            return await act(message)

        return Method(request, call)

    def _admin(self, request: type[Message], act: Callable[[Any], Awaitable[Message]]) -> Method:
        async def call(authorisation: str, message: Any) -> Message:
            video = self.authorise(authorisation).video
            if not video.room_admin or not video.room or video.room != message.room:
                raise TwirpError("unauthenticated", "permissions denied")
            return await act(message)

        return Method(request, call)

    def _room(self, name: str) -> Room:
        room = self._registry.rooms.get(name)
        if room is None:
            raise TwirpError("not_found", "requested room does not exist")
        return room

    def _participant(self, room: str, identity: str) -> Participant:
        found = self._registry.rooms.get(room)
        participant = found.find(identity) if found is not None else None
        if participant is None:
            raise TwirpError("not_found", "participant does not exist")
        return participant

    async def _create_room(self, request: proto.CreateRoomRequest) -> models.Room:
        if not request.name or len(request.name.encode()) > limits.ROOM_NAME_BYTES:
            raise TwirpError("invalid_argument", f"a room needs a name of 1 to {limits.ROOM_NAME_BYTES} bytes")
        if len(request.metadata.encode()) > limits.METADATA_BYTES:
            raise TwirpError("invalid_argument", f"metadata exceeds {limits.METADATA_BYTES} bytes")
        if not self._registry.has_place(request.name):
            raise TwirpError("resource_exhausted", "room limit exceeded")
        room = self._registry.create(request.name)
        room.empty_timeout_s = request.empty_timeout or room.empty_timeout_s
        room.departure_timeout_s = request.departure_timeout or room.departure_timeout_s
        room.max_participants = request.max_participants or room.max_participants
        if request.metadata:
            room.set_metadata(request.metadata)
        return room.info()

    async def _list_rooms(self, request: proto.ListRoomsRequest) -> proto.ListRoomsResponse:
        names = set(request.names)
        rooms = [room.info() for name, room in self._registry.rooms.items() if not names or name in names]
        return proto.ListRoomsResponse(rooms=rooms)

    async def _delete_room(self, request: proto.DeleteRoomRequest) -> proto.DeleteRoomResponse:
        room = self._room(request.room)
        self._registry.rooms.pop(request.room)
        await room.close(Reason.ROOM_DELETED)
        return proto.DeleteRoomResponse()

    async def _list_participants(self, request: proto.ListParticipantsRequest) -> proto.ListParticipantsResponse:
        room = self._registry.rooms.get(request.room)
        # in a room that is not there is nobody, says the real server
        participants = list(room.participants.values()) if room is not None else []
        return proto.ListParticipantsResponse(participants=[participant.info for participant in participants])

    async def _get_participant(self, request: proto.RoomParticipantIdentity) -> models.ParticipantInfo:
        return self._participant(request.room, request.identity).info

    async def _remove_participant(self, request: proto.RoomParticipantIdentity) -> proto.RemoveParticipantResponse:
        await self._participant(request.room, request.identity).leave(Reason.PARTICIPANT_REMOVED, tell=True)
        return proto.RemoveParticipantResponse()

    async def _mute_published_track(self, request: proto.MuteRoomTrackRequest) -> proto.MuteRoomTrackResponse:
        participant = self._participant(request.room, request.identity)
        publication = participant.publications.get(request.track_sid)
        if publication is None:
            raise TwirpError("not_found", "track is not published")
        if not request.muted and publication.muted:
            raise TwirpError("failed_precondition", "remote unmute not enabled")
        participant.mute(request.track_sid, request.muted, by_admin=True)
        return proto.MuteRoomTrackResponse(track=publication.info)

    async def _update_participant(self, request: proto.UpdateParticipantRequest) -> models.ParticipantInfo:
        participant = self._participant(request.room, request.identity)
        attributes = {**participant.info.attributes, **request.attributes}
        problem = check_metadata(request.name, request.metadata, attributes)
        if problem:
            raise TwirpError("invalid_argument", problem)
        if request.HasField("permission"):
            participant.set_permission(request.permission)
        participant.update_metadata(request.name, request.metadata, dict(request.attributes))
        return participant.info

    async def _update_subscriptions(
        self, request: proto.UpdateSubscriptionsRequest
    ) -> proto.UpdateSubscriptionsResponse:
        participant = self._participant(request.room, request.identity)
        sids = dict.fromkeys(request.track_sids)
        for tracks in request.participant_tracks:
            sids.update(dict.fromkeys(tracks.track_sids))
        participant.subscriber.wish(list(sids), request.subscribe)
        return proto.UpdateSubscriptionsResponse()

    async def _send_data(self, request: proto.SendDataRequest) -> proto.SendDataResponse:
        room = self._room(request.room)
        if len(request.nonce) not in (0, 16):
            raise TwirpError("invalid_argument", "a nonce has 16 bytes")
        if len(request.data) > limits.DATA_PACKET_BYTES:
            raise TwirpError("invalid_argument", f"data exceeds {limits.DATA_PACKET_BYTES} bytes")
        packet = models.DataPacket(kind=request.kind, destination_identities=request.destination_identities)
        packet.user.payload = request.data
        packet.user.nonce = request.nonce
        packet.user.destination_sids.extend(request.destination_sids)
        packet.user.destination_identities.extend(request.destination_identities)
        if request.HasField("topic"):
            packet.user.topic = request.topic
        label = LOSSY if request.kind == models.DataPacket.Kind.LOSSY else RELIABLE
        room.send_data(packet, label, None)
        return proto.SendDataResponse()

    async def _update_room_metadata(self, request: proto.UpdateRoomMetadataRequest) -> models.Room:
        room = self._room(request.room)
        if len(request.metadata.encode()) > limits.METADATA_BYTES:
            raise TwirpError("invalid_argument", f"metadata exceeds {limits.METADATA_BYTES} bytes")
        room.set_metadata(request.metadata)
        return room.info()

    async def _unimplemented(self, request: Message) -> Message:
        raise TwirpError("unimplemented", "not implemented by this server")
